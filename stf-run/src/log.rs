//! The log of an evaluation.

use crate::arguments::Arguments;
use std::fs::File;
use std::io::BufWriter;
use stf_bnn::Classification;
use stf_device_protocol::log::{LogFormat, LogWriter};

/// A log that is being written, if one was asked for.
pub struct Log(Option<LogWriter<BufWriter<File>>>);

impl Log {
    /// Makes the file.
    pub fn create(arguments: &Arguments) -> Result<Self, String> {
        let Some(path) = &arguments.log_out else { return Ok(Self(None)) };
        let named = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let format =
            LogFormat::of_path(path).ok_or_else(|| named(&"expected .csv, .jsonl, .ndjson or .json"))?;
        let file = File::create(path).map_err(|error| named(&error))?;
        Ok(Self(Some(LogWriter::new(BufWriter::new(file), format))))
    }

    /// Writes one prediction of a classifier.
    pub fn push(
        &mut self,
        index: usize,
        label: u32,
        mean: &[f32],
        passes: (u16, u16),
        classification: Option<&Classification>,
    ) -> Result<(), String> {
        let (Some(log), Some(c)) = (&mut self.0, classification) else { return Ok(()) };
        log.class(index as u64, Some(label), mean, passes, c).map_err(|error| format!("log: {error}"))
    }

    /// Writes what is buffered.
    pub fn finish(self) -> Result<(), String> {
        self.0.map_or(Ok(()), |log| log.finish().map(|_| ()).map_err(|error| format!("log: {error}")))
    }
}
