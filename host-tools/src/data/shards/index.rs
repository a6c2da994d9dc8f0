//! `shards.json`: what a sharded set is, and which files it has.

use super::super::dataset::Element;
use crate::error::{Error, Result};
use crate::graph::Shape;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Name of the file.
pub(super) const FILE: &str = "shards.json";
/// The version that is written and read.
pub(super) const VERSION: u32 = 1;
/// Most values of one example: a record fits any memory that trains on it.
const MAX_VALUES: usize = 1 << 28;

/// Contents of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Index {
    pub version: u32,
    /// Short name of the data, which recipes go by.
    pub name: String,
    pub shape: Shape,
    pub element: Element,
    pub class_names: Vec<String>,
    /// `whole`, or `train` and `test`.
    pub parts: BTreeMap<String, Vec<Shard>>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Shard {
    /// Name in the folder.
    pub file: String,
    /// Examples in it.
    pub records: u32,
}

impl Index {
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let text = std::fs::read_to_string(&path).map_err(Error::io(&path, "read"))?;
        let index: Self = serde_json::from_str(&text).map_err(|error| {
            Error::malformed(&path, "contents", error, "an index written by `stf data shard`")
        })?;
        if index.version != VERSION {
            return Err(Error::malformed(&path, "version", index.version, VERSION));
        }
        let Shape { height, width, channels } = index.shape;
        let values = height.checked_mul(width).and_then(|v| v.checked_mul(channels));
        if values.is_none_or(|values| values == 0 || values > MAX_VALUES) {
            let expected = format!("1 to {MAX_VALUES} values");
            return Err(Error::malformed(&path, "shape", index.shape, expected));
        }
        let is_plain = |file: &str| Path::new(file).file_name().is_some_and(|name| name == file);
        if let Some(shard) = index.parts.values().flatten().find(|shard| !is_plain(&shard.file)) {
            return Err(Error::malformed(&path, "file", &shard.file, "a name without a folder"));
        }
        Ok(index)
    }
}
