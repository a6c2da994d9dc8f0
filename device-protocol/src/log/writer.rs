//! Writes logs: CSV with a header line, or one JSON object a line. Every f32 is written with the digits that give
//! its bits back.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;
use stf_bnn::Classification;
use stf_bnn::uncertainty::{Gaussian, PredictionInterval};

/// Form of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Comma-separated values with a header line.
    Csv,
    /// One JSON object a line.
    JsonLines,
}

impl LogFormat {
    /// By a file's extension: `.csv`, `.jsonl`, `.ndjson` or `.json`.
    #[must_use]
    pub fn of_path(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_lowercase().as_str() {
            "csv" => Some(Self::Csv),
            "jsonl" | "ndjson" | "json" => Some(Self::JsonLines),
            _ => None,
        }
    }
}

/// Writes one row a prediction.
#[derive(Debug)]
pub struct LogWriter<W> {
    out: W,
    format: LogFormat,
    started: bool,
    line: String,
}

impl<W: Write> LogWriter<W> {
    /// Nothing written yet.
    pub const fn new(out: W, format: LogFormat) -> Self {
        Self { out, format, started: false, line: String::new() }
    }

    /// Writes the prediction of a classifier with its counter and mean probabilities; `label` if the right class
    /// is known.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn class(
        &mut self,
        counter: u64,
        label: Option<u32>,
        probabilities: &[f32],
        (samples, passes): (u16, u16),
        c: &Classification,
    ) -> io::Result<()> {
        let mut fields = Fields(Vec::new());
        fields.add("counter", counter);
        fields.0.push(("label", label.map(|label| label.to_string())));
        fields.add("class", c.class);
        fields.float("confidence", c.confidence);
        fields.float("predictive_entropy", c.predictive_entropy);
        fields.float("expected_entropy", c.expected_entropy);
        fields.float("mutual_information", c.mutual_information);
        fields.add("samples", samples);
        fields.add("passes", passes);
        self.row(&fields, probabilities)
    }

    /// Writes the prediction of one target of a Gaussian regression; `y` if its value is known.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn target(
        &mut self,
        counter: u64,
        name: &str,
        y: Option<f32>,
        g: &Gaussian,
        (samples, passes): (u16, u16),
        interval: Option<&PredictionInterval>,
    ) -> io::Result<()> {
        let mut fields = Fields(Vec::new());
        fields.add("counter", counter);
        fields.0.push(("target", Some(self.text(name))));
        fields.0.push(("y", y.map(float)));
        fields.float("mean", g.mean);
        fields.float("aleatoric_variance", g.aleatoric_variance);
        fields.float("epistemic_variance", g.epistemic_variance);
        fields.0.push(("low", interval.map(|interval| float(interval.low))));
        fields.0.push(("high", interval.map(|interval| float(interval.high))));
        fields.add("samples", samples);
        fields.add("passes", passes);
        self.row(&fields, &[])
    }

    /// Writes what is buffered.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }

    fn row(&mut self, fields: &Fields, probabilities: &[f32]) -> io::Result<()> {
        self.line.clear();
        match self.format {
            LogFormat::Csv => self.csv(fields, probabilities),
            LogFormat::JsonLines => self.json(fields, probabilities),
        }
        self.started = true;
        self.out.write_all(self.line.as_bytes())
    }

    fn csv(&mut self, fields: &Fields, probabilities: &[f32]) {
        let line = &mut self.line;
        if !self.started {
            let names = fields.0.iter().map(|(name, _)| (*name).to_string());
            let columns = (0..probabilities.len()).map(|class| format!("p{class}"));
            *line += &names.chain(columns).collect::<Vec<_>>().join(",");
            line.push('\n');
        }
        let values = fields.0.iter().map(|(_, value)| value.clone().unwrap_or_default());
        let columns = probabilities.iter().copied().map(float);
        *line += &values.chain(columns).collect::<Vec<_>>().join(",");
        line.push('\n');
    }

    fn json(&mut self, fields: &Fields, probabilities: &[f32]) {
        let line = &mut self.line;
        line.push('{');
        for (index, (name, value)) in fields.0.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            // Writing to a string cannot fail.
            let _ = write!(line, "{comma}\"{name}\":{}", value.as_deref().unwrap_or("null"));
        }
        if !probabilities.is_empty() {
            let values = probabilities.iter().copied().map(float).collect::<Vec<_>>().join(",");
            let _ = write!(line, ",\"probabilities\":[{values}]");
        }
        line.push_str("}\n");
    }

    /// A text in quotation marks, with those inside escaped as the format wants it.
    fn text(&self, text: &str) -> String {
        let clean = text.replace(|c: char| c.is_control(), " ");
        match self.format {
            LogFormat::Csv => format!("\"{}\"", clean.replace('"', "\"\"")),
            LogFormat::JsonLines => format!("\"{}\"", clean.replace('\\', "\\\\").replace('"', "\\\"")),
        }
    }
}

/// Names with their values as text; `None` for what is not known.
struct Fields(Vec<(&'static str, Option<String>)>);

impl Fields {
    fn add(&mut self, name: &'static str, value: impl ToString) {
        self.0.push((name, Some(value.to_string())));
    }

    fn float(&mut self, name: &'static str, value: f32) {
        self.0.push((name, Some(float(value))));
    }
}

/// The shortest digits that give the bits back; they are a JSON number too.
fn float(value: f32) -> String {
    format!("{value:?}")
}
