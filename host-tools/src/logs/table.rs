//! Logs as CSV with a header line.

use super::Reading;
use crate::error::{Error, Result};
use csv::ByteRecord;
use std::str::FromStr;
use stf_device_protocol::log::Row;

/// Where the values are.
enum Columns {
    Class {
        label: usize,
        probabilities: Vec<usize>,
        passes: Option<usize>,
    },
    /// `interval`: low and high.
    Target {
        y: usize,
        moments: [usize; 3],
        interval: Option<[usize; 2]>,
    },
}

pub(super) fn read(reading: &mut Reading<'_>, by: Option<&str>) -> Result<()> {
    let path = reading.path;
    let failed = |error: csv::Error| Error::malformed(path, "log", error, "comma-separated values");
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_path(path).map_err(failed)?;
    let header: Vec<String> =
        reader.headers().map_err(failed)?.iter().map(|name| name.trim().to_string()).collect();
    let columns = columns(reading, &header)?;
    let by = by.map(|name| find(&header, name).ok_or_else(|| missing(reading, name, &header))).transpose()?;
    let mut record = ByteRecord::new();
    while reader.read_byte_record(&mut record).map_err(failed)? {
        if Some(reader.position().byte()) == reading.cut_at {
            reading.reject_cut();
            break;
        }
        let line = record.position().map_or(0, csv::Position::line);
        if record.len() != header.len() {
            let expected = format!("{}, as in the header", header.len());
            return Err(Error::malformed(path, format!("line {line}, values"), record.len(), expected));
        }
        let row = Line { reading, header: &header, record: &record, line }.row(&columns)?;
        let group = by.map_or(&b""[..], |column| &record[column]);
        reading.push(&String::from_utf8_lossy(group), &row)?;
    }
    Ok(())
}

fn find(header: &[String], name: &str) -> Option<usize> {
    header.iter().position(|column| column == name)
}

fn missing(reading: &Reading<'_>, name: &str, header: &[String]) -> Error {
    Error::malformed(reading.path, "columns", header.join(", "), format!("{name} among them"))
}

fn columns(reading: &Reading<'_>, header: &[String]) -> Result<Columns> {
    let required = |name: &str| find(header, name).ok_or_else(|| missing(reading, name, header));
    if find(header, "p0").is_some() {
        let probabilities: Vec<usize> = (0..).map_while(|class| find(header, &format!("p{class}"))).collect();
        // Behind a gap there would be classes that nobody counts.
        let number = |name: &String| name.strip_prefix('p')?.parse::<usize>().ok();
        if header.iter().filter_map(number).any(|class| class >= probabilities.len()) {
            return Err(missing(reading, &format!("p{}", probabilities.len()), header));
        }
        let passes = find(header, "passes");
        return Ok(Columns::Class { label: required("label")?, probabilities, passes });
    }
    if find(header, "mean").is_none() {
        let expected = "label and p0, p1 ..., or y, mean, aleatoric_variance and epistemic_variance";
        return Err(Error::malformed(reading.path, "columns", header.join(", "), expected));
    }
    Ok(Columns::Target {
        y: required("y")?,
        moments: [required("mean")?, required("aleatoric_variance")?, required("epistemic_variance")?],
        interval: find(header, "low").zip(find(header, "high")).map(|(low, high)| [low, high]),
    })
}

/// One line.
struct Line<'a> {
    reading: &'a Reading<'a>,
    header: &'a [String],
    record: &'a ByteRecord,
    line: u64,
}

impl Line<'_> {
    fn row(&self, columns: &Columns) -> Result<Row> {
        match columns {
            Columns::Class { label, probabilities, passes } => Ok(Row::Class {
                label: self.optional(*label)?,
                probabilities: probabilities.iter().map(|&c| self.number(c)).collect::<Result<_>>()?,
                passes: passes.map(|column| self.optional(column)).transpose()?.flatten(),
            }),
            &Columns::Target { y, moments: [mean, aleatoric, epistemic], interval } => Ok(Row::Target {
                y: self.optional(y)?,
                mean: self.number(mean)?,
                aleatoric_variance: self.number(aleatoric)?,
                epistemic_variance: self.number(epistemic)?,
                interval: match interval {
                    Some([low, high]) => self.optional(low)?.zip(self.optional(high)?),
                    None => None,
                },
            }),
        }
    }

    /// `None` where nothing is written.
    fn optional<T: FromStr>(&self, column: usize) -> Result<Option<T>> {
        if self.record[column].trim_ascii().is_empty() { Ok(None) } else { self.number(column).map(Some) }
    }

    fn number<T: FromStr>(&self, column: usize) -> Result<T> {
        let text = self.record[column].trim_ascii();
        std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or_else(|| {
            let field = format!("line {}, column {}", self.line, self.header[column]);
            let found = String::from_utf8_lossy(text).escape_debug().to_string();
            Error::malformed(self.reading.path, field, found, "a number")
        })
    }
}
