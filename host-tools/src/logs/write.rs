//! Writes what the runtime said of a data set as a log.

use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::evaluate::Outcome;
use crate::files::write_atomic;
use std::path::Path;
use stf_bnn::Model;
use stf_bnn::uncertainty::PredictionIntervals;
use stf_device_protocol::log::{LogFormat, LogWriter};

/// The kind of log that a file's name asks for.
///
/// # Errors
/// If it asks for none.
pub fn format_of(path: &Path) -> Result<LogFormat> {
    LogFormat::of_path(path).ok_or_else(|| {
        Error::malformed(path, "kind of log", "another extension", ".csv, .jsonl, .ndjson or .json")
    })
}

/// Writes one row an example, or a target of an example, to a `.csv` or `.jsonl` file. The model plays a part for
/// regressions alone, whose intervals are the widest that it carries.
///
/// # Errors
/// If the file has another extension, the predictions have no such rows, or the disk refuses.
pub fn write_log(path: &Path, model: Option<&Model<'_>>, data: &Dataset, outcomes: &[Outcome]) -> Result<()> {
    let format = format_of(path)?;
    if outcomes.iter().any(|outcome| outcome.classification.is_none() && outcome.targets == 0) {
        return Err(Error::malformed(path, "log", "predictions of neither kind", "classes or targets"));
    }
    let intervals = model.and_then(PredictionIntervals::new);
    write_atomic(path, |out| {
        let mut log = LogWriter::new(out, format);
        for (index, outcome) in outcomes.iter().enumerate() {
            let (counter, passes) = (index as u64, (outcome.samples, outcome.passes));
            if let Some(c) = &outcome.classification {
                log.class(counter, Some(data.labels[index]), &outcome.mean, passes, c)?;
            }
            for (target, name) in data.targets.names.iter().enumerate().take(outcome.targets) {
                let Some(gaussian) = outcome.gaussian(target) else { continue };
                let interval = intervals.as_ref().and_then(|all| all.interval(0, target, &gaussian));
                let y = data.targets.of(index).get(target).copied();
                log.target(counter, name, y, &gaussian, passes, interval.as_ref())?;
            }
        }
        log.finish().map(|_| ())
    })
}
