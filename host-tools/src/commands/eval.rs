//! `stf eval`: figures of an artifact on data, every prediction made by the runtime.

use super::common::{
    DataDirArg, SampleArgs, SplitArg, check_artifact, content_of, load_ood, load_split_of, print_result,
    read_artifact,
};
use crate::data::corrupt::Corruption;
use crate::error::{Error, Result};
use crate::evaluate::{
    ByScore, Evaluation, Promises, evaluate_anomaly, evaluate_regression, evaluate_shifts, outcomes,
};
use crate::logs::{evaluate_logs, write_log};
use clap::Args;
use std::fmt::Write;
use std::path::PathBuf;
use stf_bnn::artifact::Task;

/// Kinds of shift.
const CORRUPT_HELP: &str = "Evaluate on a shifted copy of the data too; may be given several times. \
    Kinds: noise, blur, brightness, contrast, rotation, translation, jpeg; severities: 1 to 5";

/// Evaluate an artifact on a data set, through the device's own runtime
#[derive(Debug, Args)]
pub struct EvalArgs {
    /// The .stf file
    #[arg(required_unless_present = "log")]
    pub model: Option<PathBuf>,
    /// Data by name (digits, mnist, fashion-mnist, cifar10) or path
    #[arg(long, value_name = "NAME|PATH", required_unless_present = "log")]
    pub data: Option<String>,
    /// Evaluate predictions that devices logged instead, without the model: .csv or .jsonl files (docs/logs.md)
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["model", "data"])]
    pub log: Vec<PathBuf>,
    /// Figures of the log for each value of this column too
    #[arg(long, value_name = "COLUMN", requires = "log")]
    pub by: Option<String>,
    /// Write every prediction to this log too, .csv or .jsonl
    #[arg(long, value_name = "FILE", conflicts_with = "log")]
    pub log_out: Option<PathBuf>,
    /// Which part of the data
    #[arg(long, value_enum, default_value_t = SplitArg::Test)]
    pub split: SplitArg,
    /// Out-of-distribution data to tell apart by uncertainty; may be given several times
    #[arg(long, value_name = "NAME|PATH")]
    pub ood: Vec<String>,
    /// Evaluate on a shifted copy of the data too, such as blur:3; may be given several times
    #[arg(long, value_name = "NAME:SEVERITY", long_help = CORRUPT_HELP)]
    pub corrupt: Vec<Corruption>,
    /// Every kind of shift at every severity
    #[arg(long, conflicts_with = "corrupt")]
    pub corruptions: bool,
    /// At most so many examples of each data set, from the front
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    #[command(flatten)]
    samples: SampleArgs,
    #[command(flatten)]
    data_dir: DataDirArg,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
///
/// # Errors
/// If the artifact or the data cannot be read, or do not fit each other.
pub fn run(args: &EvalArgs) -> Result<()> {
    let (Some(path), Some(spec)) = (&args.model, &args.data) else {
        // clap requires both unless --log is given.
        let evaluation = evaluate_logs(&args.log, args.by.as_deref())?;
        return print_result(args.json, &evaluation, ToString::to_string);
    };
    let bytes = read_artifact(path)?;
    let model = check_artifact(path, &bytes)?;
    let seed = model.manifest().provenance.seed;
    let config = args.samples.config();
    let content = content_of(&model);
    let data = load_split_of(content, spec, args.split, seed, &args.data_dir, args.limit)?;
    if let Some(log) = &args.log_out {
        write_log(log, Some(&model), &data, &outcomes(&model, &data, &config)?)?;
    }
    if let Task::Gaussian(_) = model.manifest().task {
        args.refuse(
            !args.ood.is_empty() || args.corruptions || !args.corrupt.is_empty(),
            "--ood, --corrupt",
        )?;
        let evaluation = evaluate_regression(&model, &data, &config)?;
        return print_result(args.json, &evaluation, ToString::to_string);
    }
    let ood =
        args.ood.iter().map(|spec| load_ood(spec, &args.data_dir, args.limit)).collect::<Result<Vec<_>>>()?;
    if let Task::Reconstruction(_) = model.manifest().task {
        args.refuse(args.corruptions || !args.corrupt.is_empty(), "--corrupt")?;
        let evaluation = evaluate_anomaly(&model, &data, &ood, &config)?;
        return print_result(args.json, &evaluation, ToString::to_string);
    }
    let shifts = if args.corruptions { Corruption::all().collect() } else { args.corrupt.clone() };
    let evaluation = evaluate_shifts(&model, &data, &ood, &shifts, &config)?;
    print_result(args.json, &evaluation, text)
}

impl EvalArgs {
    /// Options that a model of another task than classification has no use for.
    fn refuse(&self, given: bool, options: &str) -> Result<()> {
        if !given {
            return Ok(());
        }
        Err(Error::invalid("options", options, "a classifier"))
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
