//! `stf eval`: figures of an artifact on data, every prediction made by the runtime.

use super::common::{
    DataDirArg, SampleArgs, SplitArg, check_artifact, content_of, load_ood, load_split_of, print_result,
    read_artifact,
};
use crate::data::Dataset;
use crate::data::corrupt::Corruption;
use crate::error::{Error, Result};
use crate::evaluate::{
    self, AnomalyEvaluation, ByScore, Evaluation, Outcome, Promises, RegressionEvaluation, anomaly_errors,
    anomaly_of, outcomes, regression_of, require_targets, with_classes_of,
};
use crate::files::require_writable;
use crate::logs::{evaluate_logs, format_of, write_log};
use crate::report::{self, Report, Subject};
use clap::Args;
use serde::Serialize;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use stf_bnn::artifact::Task;

/// Kinds of shift.
const CORRUPT_HELP: &str = "Evaluate on a shifted copy of the data too; may be given several times. \
    Kinds: noise, blur, brightness, contrast, rotation, translation, jpeg; severities: 1 to 5";

/// Evaluate an artifact on a data set, through the device's own runtime
#[derive(Debug, Args)]
pub struct EvalArgs {
    #[command(flatten)]
    what: EvaluationArgs,
    /// Write a report for people, one HTML page, to this file too
    #[arg(long, value_name = "FILE", conflicts_with = "log")]
    report: Option<PathBuf>,
    /// With --report: write its figures as JSON and its plots as SVG files into this folder
    #[arg(long, value_name = "DIR", requires = "report")]
    files: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What is evaluated, and how.
#[derive(Debug, Args)]
pub(super) struct EvaluationArgs {
    /// The .stf file
    #[arg(required_unless_present = "log")]
    model: Option<PathBuf>,
    /// Data by name (digits, mnist, fashion-mnist, cifar10, spoken-digits) or path
    #[arg(long, value_name = "NAME|PATH", required_unless_present = "log")]
    data: Option<String>,
    /// Evaluate predictions that devices logged instead, without the model: .csv or .jsonl files (docs/logs.md)
    #[arg(long, value_name = "FILE", num_args = 1..,
        conflicts_with_all = ["model", "data", "ood", "corrupt", "corruptions", "limit"])]
    log: Vec<PathBuf>,
    /// Figures of the log for each value of this column too
    #[arg(long, value_name = "COLUMN", requires = "log")]
    by: Option<String>,
    /// Write every prediction to this log too, .csv or .jsonl
    #[arg(long, value_name = "FILE", conflicts_with = "log")]
    log_out: Option<PathBuf>,
    /// Which part of the data
    #[arg(long, value_enum, default_value_t = SplitArg::Test)]
    split: SplitArg,
    /// Out-of-distribution data to tell apart by uncertainty; may be given several times
    #[arg(long, value_name = "NAME|PATH")]
    ood: Vec<String>,
    /// Evaluate on a shifted copy of the data too, such as blur:3; may be given several times
    #[arg(long, value_name = "NAME:SEVERITY", long_help = CORRUPT_HELP)]
    corrupt: Vec<Corruption>,
    /// Every kind of shift at every severity
    #[arg(long, conflicts_with = "corrupt")]
    corruptions: bool,
    /// At most so many examples of each data set, from the front
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    #[command(flatten)]
    samples: SampleArgs,
    #[command(flatten)]
    data_dir: DataDirArg,
}

/// Runs the command.
///
/// # Errors
/// If the artifact or the data cannot be read, or do not fit each other; if a report cannot be written.
pub fn run(args: &EvalArgs) -> Result<()> {
    if !args.what.log.is_empty() {
        let evaluation = evaluate_logs(&args.what.log, args.what.by.as_deref())?;
        return print_result(args.json, &evaluation, ToString::to_string);
    }
    args.report.as_deref().map_or(Ok(()), require_writable)?;
    let (evaluation, report) = args.what.evaluate(args.report.is_some())?;
    if let (Some(report), Some(page)) = (report, &args.report) {
        report.write_page(page)?;
        if let Some(folder) = &args.files {
            report.write_files(folder)?;
        }
    }
    print_result(args.json, &evaluation, Evaluated::text)
}

/// An evaluation, by what the network is for.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Evaluated {
    Classes(Box<Evaluation>),
    Targets(RegressionEvaluation),
    Anomalies(AnomalyEvaluation),
}

impl Evaluated {
    fn text(&self) -> String {
        match self {
            Self::Classes(evaluation) => text(evaluation),
            Self::Targets(evaluation) => evaluation.to_string(),
            Self::Anomalies(evaluation) => evaluation.to_string(),
        }
    }
}

impl EvaluationArgs {
    /// The artifact and the data.
    fn named(&self) -> Result<(&Path, &str)> {
        match (&self.model, &self.data) {
            (Some(model), Some(data)) => Ok((model, data)),
            _ => Err(Error::invalid("--log", "logged predictions", "a model and its data")),
        }
    }

    /// Options that a model of another task has no use for.
    fn refuse(&self, given: bool, options: &str) -> Result<()> {
        if !given {
            return Ok(());
        }
        Err(Error::invalid("options", options, "a classifier"))
    }

    /// Evaluates, and collects a report of it if one is wanted.
    ///
    /// # Errors
    /// As [`run`].
    pub(super) fn evaluate(&self, reported: bool) -> Result<(Evaluated, Option<Report>)> {
        let (path, spec) = self.named()?;
        if let Some(log) = &self.log_out {
            // Before minutes of predictions.
            format_of(log)?;
            require_writable(log)?;
        }
        let bytes = read_artifact(path)?;
        let model = check_artifact(path, &bytes)?;
        let (seed, config) = (model.manifest().provenance.seed, self.samples.config());
        let load = || load_split_of(content_of(&model), spec, self.split, seed, &self.data_dir, self.limit);
        let (data, ood) = match model.manifest().task {
            Task::Classification | Task::Regression => {
                (with_classes_of(&model, load()?)?, self.load_others()?)
            }
            Task::Gaussian(_) => {
                self.refuse(self.corruptions || !self.corrupt.is_empty(), "--corrupt")?;
                self.refuse(!self.ood.is_empty(), "--ood")?;
                (load()?, Vec::new())
            }
            Task::Reconstruction(_) => {
                self.refuse(self.corruptions || !self.corrupt.is_empty(), "--corrupt")?;
                self.refuse(self.log_out.is_some(), "--log-out")?;
                (load()?, self.load_others()?)
            }
        };
        let subject = Subject { model: &model, file: &bytes, data: &data, ood: &ood, config: &config };
        match model.manifest().task {
            Task::Classification | Task::Regression => self.classes(&subject, reported),
            Task::Gaussian(_) => self.targets(&subject, reported),
            Task::Reconstruction(_) => anomalies(&subject, reported),
        }
    }

    fn load_others(&self) -> Result<Vec<Dataset>> {
        self.ood.iter().map(|spec| load_ood(spec, &self.data_dir, self.limit)).collect()
    }

    fn write_log(&self, subject: &Subject<'_>, outcomes: &[Outcome]) -> Result<()> {
        match &self.log_out {
            Some(log) => write_log(log, Some(subject.model), subject.data, outcomes),
            None => Ok(()),
        }
    }

    fn classes(&self, subject: &Subject<'_>, reported: bool) -> Result<(Evaluated, Option<Report>)> {
        let &Subject { model, data, ood, config, .. } = subject;
        let shifts = if self.corruptions { Corruption::all().collect() } else { self.corrupt.clone() };
        let predictions = evaluate::predict(model, data, ood, config)?;
        self.write_log(subject, &predictions.inside)?;
        let evaluation = evaluate::of_predictions(model, data, ood, &predictions, &shifts, config)?;
        let report = reported.then(|| report::classifier(subject, &evaluation, &predictions)).transpose()?;
        Ok((Evaluated::Classes(Box::new(evaluation)), report))
    }

    fn targets(&self, subject: &Subject<'_>, reported: bool) -> Result<(Evaluated, Option<Report>)> {
        let &Subject { model, data, config, .. } = subject;
        require_targets(model, data)?;
        let found = outcomes(model, data, config)?;
        self.write_log(subject, &found)?;
        let evaluation = regression_of(model, data, &found, config)?;
        let report = reported.then(|| report::regression(subject, &evaluation, &found)).transpose()?;
        Ok((Evaluated::Targets(evaluation), report))
    }
}

fn anomalies(subject: &Subject<'_>, reported: bool) -> Result<(Evaluated, Option<Report>)> {
    let &Subject { model, data, ood, config, .. } = subject;
    let errors = anomaly_errors(model, data, ood, config)?;
    let evaluation = anomaly_of(model, data, ood, &errors, config);
    let report = reported.then(|| report::anomaly(subject, &evaluation, &errors)).transpose()?;
    Ok((Evaluated::Anomalies(evaluation), report))
}

/// The figures in words, for a reader.
pub(super) fn text(evaluation: &Evaluation) -> String {
    let details = &evaluation.details;
    let mut text = format!("{}\n", evaluation.figures);
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "  MCE {:.4}, adaptive ECE {:.4}, classwise ECE {:.4}, AURC {:.4}, AUGRC {:.4}",
        details.mce, details.adaptive_ece, details.classwise_ece, details.aurc, details.augrc
    );
    if let Some(promises) = &evaluation.promises {
        promises_text(&mut text, promises);
    }
    for entry in &evaluation.ood {
        let scores = scores(&entry.auroc);
        let _ =
            writeln!(text, "  out of distribution {} ({} examples), AUROC: {scores}", entry.data, entry.n);
    }
    if !evaluation.shifts.is_empty() {
        let _ = writeln!(text, "  shift          accuracy     NLL     ECE  AUROC of the predictive entropy");
    }
    for entry in &evaluation.shifts {
        let _ = writeln!(
            text,
            "  {:<13} {:>7.2} % {:>7.4} {:>7.4}  {:.4}",
            entry.shift,
            100.0 * entry.accuracy,
            entry.nll,
            entry.ece,
            entry.detection.auroc.predictive_entropy
        );
    }
    text
}

fn scores(by_score: &ByScore) -> String {
    let optional = |area: Option<f64>| area.map_or("-".to_string(), |area| format!("{area:.4}"));
    format!(
        "max probability {:.4}, predictive entropy {:.4}, expected entropy {:.4}, mutual information {}, energy {}",
        by_score.max_probability,
        by_score.predictive_entropy,
        by_score.expected_entropy,
        optional(by_score.mutual_information),
        optional(by_score.energy)
    )
}

fn promises_text(text: &mut String, promises: &Promises) {
    if !promises.sampled_as_calibrated {
        text.push_str(
            "  sampled otherwise than calibrated: the following is promised for other predictions\n",
        );
    }
    // Writing to a string cannot fail.
    for set in &promises.sets {
        let _ = writeln!(
            text,
            "  {:<4} sets: {:.2} % hold the label ({:.2} % promised), {:.3} classes on average, {:.2} % empty",
            set.method,
            100.0 * set.coverage,
            100.0 * set.nominal,
            set.mean_size,
            100.0 * set.empty
        );
    }
    if let Some(a) = &promises.abstention {
        let risk = a.risk.map_or("none".to_string(), |risk| format!("{:.2} %", 100.0 * risk));
        let _ = writeln!(
            text,
            "  accepted: {:.2} %, {risk} of them wrong (at most {:.2} % promised)",
            100.0 * a.coverage,
            100.0 * a.promised_risk
        );
    }
    if let Some(d) = &promises.drift {
        let after = d.alarm_after.map_or("no alarm".to_string(), |count| format!("alarm after {count}"));
        let _ = writeln!(
            text,
            "  drift: {after} (evidence up to {:.3e}, alarm at {:.0})",
            d.peak_evidence, d.level
        );
    }
}
