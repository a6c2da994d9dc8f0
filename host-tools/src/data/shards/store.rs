//! Reading: checks a set's files when it is opened, and each record when it is read.

use super::super::dataset::{Element, RawExample, Scratch};
use super::header::{self, Header, crc32};
use super::index::{Index, Shard};
use crate::error::{Error, Result};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of a record's checksum.
pub(super) const CRC: usize = 4;

/// Some examples of a sharded set, in an order of their own.
#[derive(Debug, Clone)]
pub struct Sharded {
    store: Arc<Store>,
    /// Record of each example. Sets have fewer than 2^32 records: half the memory of `usize`.
    rows: Vec<u32>,
}

#[derive(Debug)]
struct Store {
    folder: PathBuf,
    element: Element,
    values: usize,
    shards: Vec<OpenShard>,
}

#[derive(Debug)]
struct OpenShard {
    path: PathBuf,
    file: File,
    /// Number of its first record in the set.
    first: u32,
}

impl PartialEq for Sharded {
    fn eq(&self, other: &Self) -> bool {
        let key = |set: &Self| set.store.shards.iter().map(|shard| shard.path.clone()).collect::<Vec<_>>();
        self.rows == other.rows && key(self) == key(other)
    }
}

impl Sharded {
    /// Opens the files of one part; the labels of all records come with it.
    pub(super) fn open(folder: &Path, index: &Index, files: &[Shard]) -> Result<(Self, Vec<u32>)> {
        let (mut shards, mut labels) = (Vec::new(), Vec::new());
        for shard in files {
            let path = folder.join(&shard.file);
            let file = File::open(&path).map_err(Error::io(&path, "open"))?;
            let first = u32::try_from(labels.len()).map_err(|_| too_many(folder))?;
            labels.extend(check(&path, &file, index, shard.records)?);
            shards.push(OpenShard { path, file, first });
        }
        let records = u32::try_from(labels.len()).map_err(|_| too_many(folder))?;
        let (element, values) = (index.element, index.shape.len());
        let store = Store { folder: folder.to_path_buf(), element, values, shards };
        Ok((Self { store: Arc::new(store), rows: (0..records).collect() }, labels))
    }

    /// Number of examples.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no example.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Type of the values.
    #[must_use]
    pub fn element(&self) -> Element {
        self.store.element
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.store.folder
    }

    /// These examples, in this order; every index is below [`Self::len`].
    pub(in super::super) fn select(&self, indices: &[usize]) -> Self {
        Self { store: Arc::clone(&self.store), rows: indices.iter().map(|&index| self.rows[index]).collect() }
    }

    /// Reads one example.
    ///
    /// # Errors
    /// If the index is out of range, the file cannot be read, the record's checksum is wrong, or a value
    /// is not finite.
    pub fn read<'a>(&self, index: usize, scratch: &'a mut Scratch) -> Result<RawExample<'a>> {
        let row = *self.rows.get(index).ok_or_else(|| {
            let what = format!("{}: example index", self.store.folder.display());
            Error::invalid(what, index, format!("below {}", self.rows.len()))
        })?;
        self.store.read(row, scratch)
    }
}

impl Store {
    fn read<'a>(&self, row: u32, scratch: &'a mut Scratch) -> Result<RawExample<'a>> {
        let shard = &self.shards[self.shards.partition_point(|shard| shard.first <= row) - 1];
        let (record, size) = (row - shard.first, self.values * self.element.bytes());
        scratch.bytes.resize(size + CRC, 0);
        let at = header::LEN as u64 + u64::from(record) * (size + CRC) as u64;
        read_at(&shard.file, &mut scratch.bytes, at).map_err(Error::io(&shard.path, "read a record of"))?;
        let (bytes, crc) = scratch.bytes.split_at(size);
        let (found, expected) = (u32::from_le_bytes([crc[0], crc[1], crc[2], crc[3]]), crc32(bytes));
        if found != expected {
            let field = format!("checksum of record {record}");
            return Err(Error::malformed(
                &shard.path,
                field,
                format!("{found:08x}"),
                format!("{expected:08x}"),
            ));
        }
        if self.element == Element::U8 {
            return Ok(RawExample::U8(bytes));
        }
        scratch.values.clear();
        scratch.values.extend(bytes.as_chunks().0.iter().map(|&value| f32::from_le_bytes(value)));
        match scratch.values.iter().position(|value| !value.is_finite()) {
            None => Ok(RawExample::F32(&scratch.values)),
            Some(bad) => {
                let field = format!("record {record}, value {bad}");
                Err(Error::malformed(&shard.path, field, scratch.values[bad], "a finite f32"))
            }
        }
    }
}

fn too_many(folder: &Path) -> Error {
    Error::malformed(folder, "records", "2^32 or more", "fewer than 2^32")
}

/// Checks header, length and labels of one file; returns the labels.
fn check(path: &Path, file: &File, index: &Index, records: u32) -> Result<Vec<u32>> {
    let mut bytes = [0; header::LEN];
    read_at(file, &mut bytes, 0).map_err(Error::io(path, "read the header of"))?;
    let header = Header::from_bytes(path, &bytes)?;
    let require = |field: &str, found: String, expected: String| match found == expected {
        true => Ok(()),
        false => Err(Error::malformed(path, field, found, format!("{expected}, as shards.json says"))),
    };
    require("shape", header.shape.to_string(), index.shape.to_string())?;
    require("element", header.element.to_string(), index.element.to_string())?;
    require("records", header.records.to_string(), records.to_string())?;
    let record = index.shape.len() * index.element.bytes() + CRC;
    let labels_at = header::LEN as u64 + u64::from(records) * record as u64;
    let length = file.metadata().map_err(Error::io(path, "read the size of"))?.len();
    let expected = labels_at + 4 * u64::from(records);
    if length != expected {
        return Err(Error::malformed(path, "bytes", length, expected));
    }
    let mut labels = vec![0; 4 * records as usize];
    read_at(file, &mut labels, labels_at).map_err(Error::io(path, "read the labels of"))?;
    if crc32(&labels) != header.labels_crc {
        let (found, expected) = (format!("{:08x}", crc32(&labels)), format!("{:08x}", header.labels_crc));
        return Err(Error::malformed(path, "checksum of the labels", found, expected));
    }
    Ok(labels.as_chunks().0.iter().map(|&label| u32::from_le_bytes(label)).collect())
}

/// Fills `bytes` from a place in a file, whatever other threads read from it.
#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], at: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, at)
}

/// Fills `bytes` from a place in a file, whatever other threads read from it.
#[cfg(windows)]
fn read_at(file: &File, mut bytes: &mut [u8], mut at: u64) -> std::io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, bytes, at)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            count => {
                bytes = &mut bytes[count..];
                at += count as u64;
            }
        }
    }
    Ok(())
}
