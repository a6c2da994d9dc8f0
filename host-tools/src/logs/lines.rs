//! Logs as one JSON object a line.

use super::Reading;
use crate::error::{Error, Result};
use serde::Deserialize;
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader};
use stf_device_protocol::log::Row;

/// Greatest length of a line, in bytes: memory stays bounded whatever the file is.
const MAX_LINE: u64 = 1 << 24;

/// What figures need of an object; others of its members are passed over.
#[derive(Deserialize)]
struct Object {
    label: Option<u32>,
    probabilities: Option<Vec<f32>>,
    passes: Option<u16>,
    y: Option<f32>,
    mean: Option<f32>,
    aleatoric_variance: Option<f32>,
    epistemic_variance: Option<f32>,
    low: Option<f32>,
    high: Option<f32>,
}

pub(super) fn read(reading: &mut Reading<'_>, by: Option<&str>) -> Result<()> {
    let path = reading.path;
    let file = File::open(path).map_err(Error::io(path, "open"))?;
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let (mut line, mut number, mut at) = (Vec::new(), 0_u64, 0_u64);
    loop {
        line.clear();
        let length = std::io::Read::take(&mut reader, MAX_LINE).read_until(b'\n', &mut line);
        let length = length.map_err(Error::io(path, "read"))? as u64;
        (number, at) = (number + 1, at + length);
        let malformed = |found: &dyn std::fmt::Display, expected: &str| {
            Error::malformed(path, format!("line {number}"), found, expected)
        };
        if length == 0 {
            return Ok(());
        }
        if Some(at) == reading.cut_at {
            reading.reject_cut();
            return Ok(());
        }
        if length == MAX_LINE {
            return Err(malformed(&"a longer line", "at most 16 MiB"));
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let expected = "an object with probabilities and label, or with y, mean, aleatoric_variance and \
                        epistemic_variance";
        let object: Object = serde_json::from_slice(&line).map_err(|error| malformed(&error, expected))?;
        let row = object.row().ok_or_else(|| malformed(&"other members", expected))?;
        let group = match by {
            None => String::new(),
            Some(name) => {
                group(&line, name).ok_or_else(|| malformed(&"another object", &format!("{name} in it")))?
            }
        };
        reading.push(&group, &row)?;
    }
}

/// Value of a member, as text.
fn group(line: &[u8], name: &str) -> Option<String> {
    let value: Value = serde_json::from_slice(line).ok()?;
    Some(match value.get(name)? {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    })
}

impl Object {
    fn row(self) -> Option<Row> {
        if let Some(probabilities) = self.probabilities {
            return Some(Row::Class { label: self.label, probabilities, passes: self.passes });
        }
        Some(Row::Target {
            y: self.y,
            mean: self.mean?,
            aleatoric_variance: self.aleatoric_variance?,
            epistemic_variance: self.epistemic_variance?,
            interval: self.low.zip(self.high),
        })
    }
}
