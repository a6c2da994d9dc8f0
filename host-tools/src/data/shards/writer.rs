//! Writing, example by example, in memory for one example and the labels.

use super::super::dataset::{Element, RawExample};
use super::header::{self, Header, crc32};
use super::index::{self, Index, Shard, VERSION};
use super::store::CRC;
use crate::error::{Error, Result};
use crate::graph::Shape;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Size of a file beyond which the next one is begun.
pub const DEFAULT_SHARD_BYTES: u64 = 1 << 30;

/// Writes a sharded set into a new folder. One that is dropped before [`Self::finish`] removes what it wrote.
#[derive(Debug)]
pub struct Writer {
    folder: PathBuf,
    /// Whether the folder was not there before.
    is_new: bool,
    /// Files that go if the set is not finished.
    unfinished: Vec<PathBuf>,
    shard_bytes: u64,
    index: Index,
    open: BTreeMap<String, OpenShard>,
    bytes: u64,
}

#[derive(Debug)]
struct OpenShard {
    path: PathBuf,
    file: BufWriter<File>,
    labels: Vec<u8>,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Examples of each part.
    pub parts: BTreeMap<String, u64>,
    /// Number of files.
    pub shards: usize,
    /// Their size together.
    pub bytes: u64,
}

impl Writer {
    /// Begins a set of examples of `shape`. A file is closed once it has `shard_bytes` bytes or more.
    ///
    /// # Errors
    /// If the folder cannot be made, or is not empty.
    pub fn create(
        folder: &Path,
        name: &str,
        shape: Shape,
        element: Element,
        shard_bytes: u64,
    ) -> Result<Self> {
        let is_new = !folder.exists();
        std::fs::create_dir_all(folder).map_err(Error::io(folder, "create"))?;
        let mut entries = std::fs::read_dir(folder).map_err(Error::io(folder, "list"))?;
        if entries.next().is_some() {
            return Err(Error::malformed(folder, "folder", "files", "an empty folder, or none"));
        }
        let (name, class_names, parts) = (name.to_string(), Vec::new(), BTreeMap::new());
        Ok(Self {
            folder: folder.to_path_buf(),
            is_new,
            unfinished: Vec::new(),
            shard_bytes,
            index: Index { version: VERSION, name, shape, element, class_names, parts },
            open: BTreeMap::new(),
            bytes: 0,
        })
    }

    /// Adds an example to a part: `whole`, or `train` and `test`.
    ///
    /// # Errors
    /// If the example has another size or element than the set, a value is not finite, or the disk
    /// refuses.
    pub fn push(&mut self, part: &str, example: RawExample<'_>, label: u32) -> Result<()> {
        let Index { shape, element, .. } = self.index;
        if example.element() != element || example.len() != shape.len() {
            let found = format!("{} {} values", example.len(), example.element());
            let what = format!("{}: example", self.folder.display());
            return Err(Error::invalid(what, found, format!("{} {element} values", shape.len())));
        }
        let bytes = match example {
            RawExample::U8(values) => values.to_vec(),
            RawExample::F32(values) => {
                if let Some(bad) = values.iter().find(|value| !value.is_finite()) {
                    let what = format!("{}: value of an example", self.folder.display());
                    return Err(Error::invalid(what, bad, "a finite f32"));
                }
                values.iter().flat_map(|value| value.to_le_bytes()).collect()
            }
        };
        let (crc, record) = (crc32(&bytes), (bytes.len() + CRC) as u64);
        let shard_bytes = self.shard_bytes;
        let shard = self.shard(part)?;
        shard.write(&bytes)?;
        shard.write(&crc.to_le_bytes())?;
        shard.labels.extend(label.to_le_bytes());
        let records = shard.labels.len() as u64 / 4;
        if records * record >= shard_bytes || records == u64::from(u32::MAX) {
            self.close(part)?;
        }
        Ok(())
    }

    /// Ends the set.
    ///
    /// # Errors
    /// If there is no example, or the disk refuses.
    pub fn finish(mut self, class_names: Vec<String>) -> Result<Summary> {
        for part in self.open.keys().cloned().collect::<Vec<_>>() {
            self.close(&part)?;
        }
        self.index.class_names = class_names;
        let path = self.folder.join(index::FILE);
        let text = serde_json::to_vec_pretty(&self.index)
            .map_err(|error| Error::malformed(&path, "contents", error, "an index with a JSON form"))?;
        // The index comes last and at once: a folder without it is no data set.
        let unfinished = self.folder.join("shards.json.part");
        self.unfinished.push(unfinished.clone());
        std::fs::write(&unfinished, text).map_err(Error::io(&unfinished, "write"))?;
        std::fs::rename(&unfinished, &path).map_err(Error::io(&path, "create"))?;
        self.unfinished.clear();
        self.is_new = false;
        let sum = |shards: &Vec<Shard>| shards.iter().map(|shard| u64::from(shard.records)).sum();
        Ok(Summary {
            parts: self.index.parts.iter().map(|(part, shards)| (part.clone(), sum(shards))).collect(),
            shards: self.index.parts.values().map(Vec::len).sum(),
            bytes: self.bytes,
        })
    }

    /// The open file of a part.
    fn shard(&mut self, part: &str) -> Result<&mut OpenShard> {
        if !self.open.contains_key(part) {
            let number = self.index.parts.get(part).map_or(0, Vec::len);
            let path = self.folder.join(format!("{part}-{number:05}.stfshard"));
            let file = File::create_new(&path).map_err(Error::io(&path, "create"))?;
            self.unfinished.push(path.clone());
            let mut shard = OpenShard { path, file: BufWriter::new(file), labels: Vec::new() };
            shard.write(&[0; header::LEN])?;
            self.open.insert(part.to_string(), shard);
        }
        self.open.get_mut(part).ok_or_else(|| Error::invalid("part", part, "an open file"))
    }

    /// Writes labels and header of a part's open file.
    fn close(&mut self, part: &str) -> Result<()> {
        let Some(mut shard) = self.open.remove(part) else { return Ok(()) };
        let labels = std::mem::take(&mut shard.labels);
        shard.write(&labels)?;
        let records = (labels.len() / 4) as u32; // `push` closes a file before it has more
        let Index { shape, element, .. } = self.index;
        let header = Header { element, shape, records, labels_crc: crc32(&labels) };
        shard.file.seek(SeekFrom::Start(0)).map_err(Error::io(&shard.path, "write"))?;
        shard.write(&header.to_bytes())?;
        let file =
            shard.file.into_inner().map_err(|error| Error::io(&shard.path, "write")(error.into_error()))?;
        file.sync_all().map_err(Error::io(&shard.path, "write"))?;
        self.bytes += file.metadata().map_err(Error::io(&shard.path, "read the size of"))?.len();
        let file = shard.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.index.parts.entry(part.to_string()).or_default().push(Shard { file, records });
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Closed first: not every system removes an open file. The error that led here is the one to report.
        self.open.clear();
        for path in &self.unfinished {
            let _ = std::fs::remove_file(path);
        }
        if self.is_new {
            let _ = std::fs::remove_dir(&self.folder);
        }
    }
}

impl OpenShard {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(Error::io(&self.path, "write"))
    }
}
