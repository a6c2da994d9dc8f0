//! Data sets larger than memory: a folder of files of fixed-size records, read record by record.
//!
//! `shards.json` says what the set is (name, shape, element, class names) and which files its parts
//! have; each file is, in little-endian order:
//!
//! | bytes | what |
//! |---|---|
//! | 64 | header: see `header.rs` |
//! | records x (values of one example + 4) | the raw values of each example, u8 or f32, and their CRC-32 |
//! | records x 4 | labels, u32 |
//!
//! Labels are read and checked when the set is opened. A record is read when a batch asks for it, and
//! its checksum and its values are checked each time: damage is found wherever it is, without reading
//! everything first. Files are read, not mapped (`docs/decisions.md` has the comparison): a file that
//! is cut short is an error and not a signal, and what has been read is not counted as our memory.

mod header;
mod index;
mod store;
mod writer;

#[cfg(test)]
mod tests;

pub use store::Sharded;
pub use writer::{DEFAULT_SHARD_BYTES, Summary, Writer};

use super::{Dataset, Inputs, Loaded};
use crate::error::{Error, Result};
use index::Index;
use std::path::Path;

/// Whether a folder holds a sharded set.
#[must_use]
pub fn is_folder(folder: &Path) -> bool {
    folder.join(index::FILE).is_file()
}

/// Opens a sharded set; only labels are read.
///
/// # Errors
/// If a file is missing, cut short or damaged, or says something else than `shards.json`.
pub fn open(folder: &Path) -> Result<Loaded> {
    let index = Index::read(folder)?;
    let part = |name: &str| -> Result<Option<Dataset>> {
        let Some(files) = index.parts.get(name) else { return Ok(None) };
        let (inputs, labels) = Sharded::open(folder, &index, files)?;
        let set = Dataset {
            name: index.name.clone(),
            shape: index.shape,
            inputs: Inputs::Sharded(inputs),
            labels,
            class_names: index.class_names.clone(),
            targets: Default::default(),
        };
        Ok(Some(set))
    };
    match (part("train")?, part("test")?, part("whole")?) {
        (Some(train), Some(test), None) => Loaded::official(folder, train, test),
        (None, None, Some(whole)) => whole.checked(folder).map(Loaded::Whole),
        _ => {
            let found = index.parts.keys().cloned().collect::<Vec<_>>().join(", ");
            Err(Error::malformed(&folder.join(index::FILE), "parts", found, "whole, or train and test"))
        }
    }
}
