//! `stf eval`: figures of an artifact on data, every prediction made by the runtime.

use super::common::{
    DataDirArg, SampleArgs, SplitArg, check_artifact, load_ood, load_split, print_result, read_artifact,
};
use crate::data::corrupt::Corruption;
use crate::error::Result;
use crate::evaluate::{self, ByScore, Evaluation, Promises};
use crate::report::{self, Report, Subject};
use clap::Args;
use std::fmt::Write;
use std::path::PathBuf;

/// Kinds of shift.
const CORRUPT_HELP: &str = "Evaluate on a shifted copy of the data too; may be given several times. \
    Kinds: noise, blur, brightness, contrast, rotation, translation, jpeg; severities: 1 to 5";

/// Evaluate an artifact on a data set, through the device's own runtime
#[derive(Debug, Args)]
pub struct EvalArgs {
    #[command(flatten)]
    what: EvaluationArgs,
    /// Write a report for people, one HTML page, to this file too
    #[arg(long, value_name = "FILE")]
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
    model: PathBuf,
    /// Data by name (digits, mnist, fashion-mnist, cifar10) or path
    #[arg(long, value_name = "NAME|PATH")]
    data: String,
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
    let (evaluation, report) = args.what.evaluate(args.report.is_some())?;
    if let (Some(report), Some(page)) = (report, &args.report) {
        report.write_page(page)?;
        if let Some(folder) = &args.files {
            report.write_files(folder)?;
        }
    }
    print_result(args.json, &evaluation, text)
}

impl EvaluationArgs {
    /// Evaluates, and collects a report of it if one is wanted.
    ///
    /// # Errors
    /// As [`run`].
    pub(super) fn evaluate(&self, reported: bool) -> Result<(Evaluation, Option<Report>)> {
        let bytes = read_artifact(&self.model)?;
        let model = check_artifact(&self.model, &bytes)?;
        let seed = model.manifest().provenance.seed;
        let data = load_split(&self.data, self.split, seed, &self.data_dir, self.limit)?;
        let load = |spec: &String| load_ood(spec, &self.data_dir, self.limit);
        let ood = self.ood.iter().map(load).collect::<Result<Vec<_>>>()?;
        let shifts = if self.corruptions { Corruption::all().collect() } else { self.corrupt.clone() };
        let config = self.samples.config();
        let predictions = evaluate::predict(&model, &data, &ood, &config)?;
        let evaluation = evaluate::of_predictions(&model, &data, &ood, &predictions, &shifts, &config)?;
        let subject = Subject { model: &model, file: &bytes, data: &data, ood: &ood, config: &config };
        let report = reported.then(|| report::classifier(&subject, &evaluation, &predictions)).transpose()?;
        Ok((evaluation, report))
    }
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
