//! A run's folder: one training at a time, its settings, its log, and the state to resume from.
//!
//! ```text
//! lock          held while a process trains
//! config.json   the settings of the run
//! checkpoint    tensors and counters after the last finished epoch, see [`Checkpoint`]
//! log.jsonl     one JSON object a line
//! ```

pub mod chain;
mod checkpoint;
mod progress;
mod settings;

pub use checkpoint::Checkpoint;
pub use progress::{RunObserver, StageReport, StageReports};
pub use settings::RunSettings;

use crate::error::{Error, Result};
use crate::files::{remove_partial, write_atomic};
use serde::Serialize;
use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// An opened run folder. The lock is released when this is dropped or the process ends, however it
/// ends.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    _lock: File,
}

impl RunFolder {
    /// Opens the folder, making it if needed, and locks it.
    ///
    /// # Errors
    /// If another process holds the lock, or the folder cannot be made.
    pub fn open(path: &Path) -> Result<Self> {
        fs::create_dir_all(path).map_err(Error::io(path, "create"))?;
        let file = path.join("lock");
        let lock = File::options().create(true).truncate(false).write(true).open(&file);
        let lock = lock.map_err(Error::io(&file, "open"))?;
        match lock.try_lock() {
            Ok(()) => {
                // Ours alone now: what a killed process was writing is of no use.
                remove_partial(path);
                Ok(Self { path: path.to_path_buf(), _lock: lock })
            }
            Err(TryLockError::WouldBlock) => Err(Error::malformed(
                path,
                "run folder",
                "in use by another process",
                "a folder that no other `stf train` writes to",
            )),
            Err(TryLockError::Error(source)) => Err(Error::io(file, "lock")(source)),
        }
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes `config.json`.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn save_config(&self, config: &impl Serialize) -> Result<()> {
        let path = self.path.join("config.json");
        let text = serde_json::to_string_pretty(config)
            .map_err(|error| Error::malformed(&path, "settings", error, "values that JSON can hold"))?;
        write_atomic(&path, |writer| writeln!(writer, "{text}"))
    }

    /// Replaces the checkpoint; a kill at any moment leaves the old one or the new one, whole.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn save_checkpoint(&self, checkpoint: &Checkpoint) -> Result<()> {
        checkpoint.save(&self.checkpoint_path())
    }

    /// Reads the checkpoint; `None` if there is none.
    ///
    /// # Errors
    /// If it cannot be read or is malformed.
    pub fn load_checkpoint(&self) -> Result<Option<Checkpoint>> {
        let path = self.checkpoint_path();
        match path.try_exists().map_err(Error::io(&path, "look for"))? {
            true => Checkpoint::load(&path).map(Some),
            false => Ok(None),
        }
    }

    /// Where the checkpoint is.
    #[must_use]
    pub fn checkpoint_path(&self) -> PathBuf {
        self.path.join("checkpoint")
    }

    /// Adds one line to `log.jsonl`.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn log(&self, entry: &serde_json::Value) -> Result<()> {
        let path = self.log_path();
        let file = File::options().create(true).append(true).open(&path);
        // One write a line: a kill cannot leave half of one behind another.
        let line = format!("{entry}\n");
        file.map_err(Error::io(&path, "open"))?.write_all(line.as_bytes()).map_err(Error::io(path, "write"))
    }

    /// The log's entries. A line cut by a kill can only be the last, and is passed over.
    ///
    /// # Errors
    /// If the log cannot be read, or a line other than the last is not JSON.
    pub fn read_log(&self) -> Result<Vec<serde_json::Value>> {
        let path = self.log_path();
        let bytes = read_if_there(&path)?.unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let complete = text.rfind('\n').map_or("", |end| &text[..end]);
        let parse = |(number, line): (usize, &str)| {
            serde_json::from_str(line).map_err(|error| {
                Error::malformed(&path, format!("line {}", number + 1), error, "a JSON object")
            })
        };
        complete.lines().enumerate().map(parse).collect()
    }

    /// Keeps only the log's entries for which `keep` holds: on resume, those of epochs that the
    /// checkpoint has.
    ///
    /// # Errors
    /// As [`Self::read_log`], or if the disk refuses.
    pub fn retain_log(&self, keep: impl FnMut(&serde_json::Value) -> bool) -> Result<()> {
        let mut entries = self.read_log()?;
        entries.retain(keep);
        write_atomic(&self.log_path(), |writer| {
            entries.iter().try_for_each(|entry| writeln!(writer, "{entry}"))
        })
    }

    /// Removes checkpoint and log, for a new run in an old folder.
    ///
    /// # Errors
    /// If a file is there and cannot be removed.
    pub fn clear(&self) -> Result<()> {
        for path in [self.checkpoint_path(), self.log_path()] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(Error::io(path, "remove")(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn log_path(&self) -> PathBuf {
        self.path.join("log.jsonl")
    }
}

fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(path, "read")(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_second_opener_is_refused_until_the_first_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/run");
        let first = RunFolder::open(&path).unwrap();
        let message = RunFolder::open(&path).unwrap_err().to_string();
        assert!(message.contains("in use by another process"), "{message}");
        drop(first);
        assert!(RunFolder::open(&path).is_ok());
    }

    #[test]
    fn what_is_in_a_folder_is_a_run_until_it_is_cleared() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunFolder::open(dir.path()).unwrap();
        assert_eq!(chain::started(dir.path()), None);
        run.save_config(&json!({"epochs": 3})).unwrap();
        let config = fs::read(dir.path().join("config.json")).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&config).unwrap(), json!({"epochs": 3}));
        assert_eq!(chain::started(dir.path()), Some("config.json"));
        fs::remove_file(dir.path().join("config.json")).unwrap();
        for file in ["checkpoint", "log.jsonl", "stage1.safetensors", "stage2.safetensors"] {
            fs::write(dir.path().join(file), "x").unwrap();
            assert_eq!(chain::started(dir.path()), Some(file));
            chain::clear(&run).unwrap();
            assert_eq!(chain::started(dir.path()), None);
        }
    }

    #[test]
    fn the_log_grows_survives_a_cut_and_can_be_trimmed() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunFolder::open(dir.path()).unwrap();
        assert!(run.read_log().unwrap().is_empty());
        for epoch in 1..=3 {
            run.log(&json!({"epoch": epoch})).unwrap();
        }
        let path = dir.path().join("log.jsonl");
        let mut text = fs::read_to_string(&path).unwrap();
        text.push_str("{\"epoch\": 4");
        fs::write(&path, &text).unwrap();
        assert_eq!(run.read_log().unwrap().len(), 3);
        run.retain_log(|entry| entry["epoch"].as_u64() < Some(3)).unwrap();
        run.log(&json!({"epoch": 3})).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"epoch\":1}\n{\"epoch\":2}\n{\"epoch\":3}\n");
        fs::write(&path, "{\n{}\n").unwrap();
        assert!(run.read_log().unwrap_err().to_string().contains("line 1"));
        run.clear().unwrap();
        assert!(run.read_log().unwrap().is_empty() && run.load_checkpoint().unwrap().is_none());
    }
}
