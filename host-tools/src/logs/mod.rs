//! `stf eval --log`: figures of predictions that devices logged, without the model. Rows stream through the
//! runtime's accumulators, so that a log of any length takes the same memory; files are read side by side and
//! merged in their order. `docs/logs.md` says which columns there are.

mod lines;
mod table;
mod write;

pub use write::{format_of, write_log};

use crate::error::{Error, Result};
use rayon::prelude::*;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use stf_device_protocol::log::{LogFigures, LogFormat, Row, Tally};

/// Most groups of `--by`.
const MAX_GROUPS: usize = 100_000;

/// What `stf eval --log` prints; the field names are what scripts read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LogEvaluation {
    /// The files.
    pub log: Vec<String>,
    /// The column that divides the rows; `null` if none does.
    pub by: Option<String>,
    /// Figures of all rows.
    #[serde(flatten)]
    pub figures: LogFigures,
    /// Figures of each of its values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Group>,
}

/// Rows with one value of a column.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// The value.
    pub group: String,
    /// Figures of its rows.
    #[serde(flatten)]
    pub figures: LogFigures,
}

/// Tallies by the value of a column; one, of the empty value, if no column divides the rows.
type Tallies = BTreeMap<String, Tally>;

/// Figures of all rows in `files`, and of those with each value of the column `by`.
///
/// # Errors
/// If a file cannot be read or is no log: the line and what is wrong there are named. A last line without an
/// end was cut when it was written: it counts as rejected.
pub fn evaluate_logs(files: &[PathBuf], by: Option<&str>) -> Result<LogEvaluation> {
    let parts = files.par_iter().map(|file| read(file, by)).collect::<Result<Vec<Tallies>>>()?;
    let mut tallies = Tallies::new();
    for (file, part) in files.iter().zip(parts) {
        for (group, tally) in part {
            let Some(known) = tallies.get_mut(&group) else {
                tallies.insert(group, tally);
                continue;
            };
            if !known.merge(&tally) {
                return Err(mixed(file));
            }
        }
    }
    let mut all: Option<Tally> = None;
    for tally in tallies.values() {
        let merged = all.as_mut().is_none_or(|all| all.merge(tally));
        if !merged {
            return Err(mixed(&files[0]));
        }
        all.get_or_insert_with(|| tally.clone());
    }
    let Some(all) = all else {
        return Err(Error::invalid("logs", "no row", "at least one"));
    };
    let group = |(group, tally): (&String, &Tally)| Group { group: group.clone(), figures: tally.figures() };
    Ok(LogEvaluation {
        log: files.iter().map(|file| file.display().to_string()).collect(),
        by: by.map(str::to_string),
        figures: all.figures(),
        groups: if by.is_some() { tallies.iter().map(group).collect() } else { Vec::new() },
    })
}

fn read(path: &Path, by: Option<&str>) -> Result<Tallies> {
    let mut reading = Reading { path, tallies: Tallies::new(), cut_at: cut_at(path)? };
    match LogFormat::of_path(path) {
        Some(LogFormat::Csv) => table::read(&mut reading, by)?,
        Some(LogFormat::JsonLines) => lines::read(&mut reading, by)?,
        None => {
            let expected = ".csv, .jsonl, .ndjson or .json";
            return Err(Error::malformed(path, "kind of log", "another extension", expected));
        }
    }
    Ok(reading.tallies)
}

/// A log that is being read.
struct Reading<'a> {
    path: &'a Path,
    tallies: Tallies,
    /// Length of the file, if its last line has no end.
    cut_at: Option<u64>,
}

impl Reading<'_> {
    /// Counts a row, in its group.
    fn push(&mut self, group: &str, row: &Row) -> Result<()> {
        if !self.tallies.contains_key(group) {
            if self.tallies.len() >= MAX_GROUPS {
                let what = "values of the column to divide by";
                return Err(Error::malformed(self.path, what, "more", format!("at most {MAX_GROUPS}")));
            }
            self.tallies.insert(group.to_string(), Tally::for_row(row));
        }
        let counted = self.tallies.get_mut(group).is_some_and(|tally| tally.push(row));
        if counted { Ok(()) } else { Err(mixed(self.path)) }
    }

    /// Counts the cut last line, if there is a row before it.
    fn reject_cut(&mut self) {
        match self.tallies.values_mut().next() {
            Some(Tally::Classes(tally)) => tally.reject(),
            Some(Tally::Targets(tally)) => tally.reject(),
            None => {}
        }
    }
}

fn mixed(path: &Path) -> Error {
    Error::malformed(path, "rows", "classes and targets", "rows of one kind")
}

fn cut_at(path: &Path) -> Result<Option<u64>> {
    let failed = |source| Error::io(path, "read")(source);
    let mut file = File::open(path).map_err(Error::io(path, "open"))?;
    let length = file.seek(SeekFrom::End(0)).map_err(failed)?;
    if length == 0 {
        return Ok(None);
    }
    let mut last = [0];
    file.seek(SeekFrom::Start(length - 1)).map_err(failed)?;
    file.read_exact(&mut last).map_err(failed)?;
    Ok((last != *b"\n").then_some(length))
}

impl fmt::Display for LogEvaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.log.join(", "), self.figures)?;
        for group in &self.groups {
            writeln!(f, "{}: {}", group.group, group.figures)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
