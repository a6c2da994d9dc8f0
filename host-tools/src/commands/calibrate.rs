//! `stf calibrate`: fits temperature, prediction sets, abstention and drift reference of an artifact.

use super::common::{
    DataDirArg, SampleArgs, SplitArg, accepted_scores, check_artifact, content_of, part, print_result,
    read_artifact,
};
use super::sign::SigningArgs;
use crate::calibrate::{
    AnomalySummary, IntervalSummary, Options, Share, Summary, calibrate, fit_anomaly, fit_intervals, parts,
};
use crate::data::{self, Dataset, Loaded};
use crate::error::{Error, Result};
use crate::evaluate::with_classes_of;
use crate::files::write_atomic;
use clap::{Args, ValueEnum};
use std::fmt::Write as _;
use std::path::PathBuf;
use stf_bnn::Model;
use stf_bnn::artifact::Task;
use stf_bnn::uncertainty::{Penalty, Score};

/// Fit temperature, prediction sets, abstention and drift monitor of a classifier, intervals of a regression,
/// or the anomaly reference of an autoencoder, through the device's own runtime
#[derive(Debug, Args)]
pub struct CalibrateArgs {
    /// The .stf file
    pub model: PathBuf,
    /// Data by name (digits, mnist, fashion-mnist, cifar10, spoken-digits) or path
    #[arg(long, value_name = "NAME|PATH")]
    pub data: String,
    /// Which part of the data; never the test part that figures are reported on
    #[arg(long, value_enum, default_value_t = SplitArg::Calibration)]
    pub split: SplitArg,
    /// Where to write [default: over the model]
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    samples: SampleArgs,
    #[command(flatten)]
    calibration: CalibrationArgs,
    #[command(flatten)]
    signing: SigningArgs,
    #[command(flatten)]
    data_dir: DataDirArg,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// What to calibrate for.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Calibration")]
pub struct CalibrationArgs {
    /// Share of prediction sets that may miss the label, or of intervals that may miss the target; may be given several times [default: 0.01, 0.05 and 0.1 where the examples suffice]
    #[arg(long, value_name = "A")]
    alpha: Vec<Share>,
    /// One threshold a class, so that each class is covered as often
    #[arg(long)]
    class_conditional: bool,
    /// Randomize APS and RAPS sets: exact coverage, but sets may be empty
    #[arg(long)]
    randomized_sets: bool,
    /// RAPS: penalty for each class beyond --raps-rank
    #[arg(long, value_name = "X", default_value_t = 0.01, value_parser = parse_penalty)]
    raps_lambda: f32,
    /// RAPS: classes without penalty
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    raps_rank: u16,
    /// Uncertainty score of abstention and drift monitor
    #[arg(long, value_enum, default_value_t = ScoreArg::PredictiveEntropy)]
    score: ScoreArg,
    /// Greatest share of wrong ones among accepted predictions [default: 0.02 where it can be certified]
    #[arg(long, value_name = "R")]
    risk: Option<Share>,
    /// Confidence in --risk
    #[arg(long, value_name = "C", default_value = "0.95")]
    confidence: Share,
    /// Greatest probability that the drift monitor ever raises a false alarm
    #[arg(long, value_name = "P", default_value = "0.01")]
    false_alarm: Share,
}

fn parse_penalty(text: &str) -> std::result::Result<f32, String> {
    let penalty = text.parse().ok().filter(|x: &f32| x.is_finite() && *x >= 0.0);
    penalty.ok_or_else(|| "expected a number that is not negative".to_string())
}

/// Command-line form of [`Score`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ScoreArg {
    /// One minus the greatest mean probability.
    MaxProbability,
    /// Entropy of the mean probabilities: total uncertainty.
    PredictiveEntropy,
    /// Mean entropy of the draws: aleatoric uncertainty.
    ExpectedEntropy,
    /// The difference of the two: epistemic uncertainty.
    MutualInformation,
}

impl CalibrationArgs {
    /// The options, for predictions sampled with `config`.
    #[must_use]
    pub fn options(&self, config: stf_bnn::Config) -> Options {
        let defaults = Options { config, ..Options::default() };
        let mut options = Options {
            class_conditional: self.class_conditional,
            randomized: self.randomized_sets,
            penalty: Penalty { lambda: self.raps_lambda, rank: self.raps_rank },
            score: match self.score {
                ScoreArg::MaxProbability => Score::MaxProbability,
                ScoreArg::PredictiveEntropy => Score::PredictiveEntropy,
                ScoreArg::ExpectedEntropy => Score::ExpectedEntropy,
                ScoreArg::MutualInformation => Score::MutualInformation,
            },
            confidence: self.confidence,
            false_alarm: self.false_alarm,
            ..defaults
        };
        if !self.alpha.is_empty() {
            options.alphas.share.clone_from(&self.alpha);
            options.alphas.share.sort_unstable();
            options.alphas.share.dedup();
            options.alphas.asked = true;
        }
        if let Some(risk) = self.risk {
            options.risk.share = risk;
            options.risk.asked = true;
        }
        options
    }
}

/// Runs the command.
///
/// # Errors
/// If artifact and data do not fit each other, there are too few examples for what was asked, or the
/// disk refuses.
pub fn run(args: &CalibrateArgs) -> Result<()> {
    match args.split {
        SplitArg::Test => {
            return Err(Error::invalid("--split", "test", "a part that no figure is reported on"));
        }
        SplitArg::Train => {
            return Err(Error::invalid("--split", "train", "a part that the network was not trained on"));
        }
        _ => {}
    }
    let bytes = read_artifact(&args.model)?;
    let model = check_artifact(&args.model, &bytes)?;
    let loses_signature = model.is_signed() && !args.signing.is_asked();
    if loses_signature && args.out.is_none() {
        let expected = "--sign KEY --release N to sign it again, or --out FILE for an unsigned one";
        return Err(Error::malformed(&args.model, "artifact", "a signature, which would not hold", expected));
    }
    let seed = model.manifest().provenance.seed;
    let data = with_classes_of(&model, args.load(&model)?)?;
    let (fit, certify) = parts(&data, seed)?;
    let options = args.calibration.options(args.samples.config());
    let (out, model_path) = (args.out.as_ref().unwrap_or(&args.model), args.model.display());
    let write = |file: Vec<u8>| {
        let file = args.signing.apply(out, file)?;
        write_atomic(out, |writer| writer.write_all(&file))?;
        if loses_signature {
            eprintln!("{}: not signed: the signature of {} does not hold for it", out.display(), model_path);
        }
        Ok(())
    };
    match model.manifest().task {
        Task::Gaussian(_) => {
            let (file, summary) = fit_intervals(&bytes, &certify, &options)?;
            write(file)?;
            print_result(args.json, &summary, interval_text)
        }
        Task::Reconstruction(_) => {
            let (file, summary) = fit_anomaly(&bytes, &certify, &options.config)?;
            write(file)?;
            print_result(args.json, &summary, anomaly_text)
        }
        Task::Classification | Task::Regression => {
            let (file, summary) = calibrate(&bytes, &fit, &certify, &options)?;
            write(file)?;
            print_result(args.json, &summary, text)
        }
    }
}

impl CalibrateArgs {
    /// The data to calibrate on: nothing that the network was trained on, nor what figures are reported on.
    fn load(&self, model: &Model<'_>) -> Result<Dataset> {
        let provenance = &model.manifest().provenance;
        let loaded = data::load_raw(&self.data, self.data_dir.data_dir.as_deref(), content_of(model))?;
        let (spec, known) = (self.data.as_str(), provenance.data);
        let (official, related) =
            (matches!(loaded, Loaded::Official { .. }), is_of(spec, known) || is_of(known, spec));
        if self.split == SplitArg::All && (related || official) {
            let what =
                if related { "what the network was trained and is judged on" } else { "its test part" };
            let found = format!("all of {spec}, which is {what}");
            return Err(Error::invalid("--split", found, "calibration, or data of their own"));
        }
        // A choice from official parts is divided by itself.
        if official && related && spec != known {
            let found = format!("{spec}, which is partly what the network was trained on");
            return Err(Error::invalid("--data", found, format!("{known}, or data of their own")));
        }
        part(loaded, self.split, provenance.seed)
    }
}

/// Whether a spec is the source, or a choice from it.
fn is_of(spec: &str, source: &str) -> bool {
    spec.strip_prefix(source).is_some_and(|choice| choice.is_empty() || choice.starts_with(['#', '@']))
}

/// The factors of a regression as lines.
#[must_use]
pub fn interval_text(summary: &IntervalSummary) -> String {
    let mut text = format!("calibrated on {} examples, {} samples\n", summary.examples, summary.num_samples);
    // Writing to a string cannot fail.
    for row in &summary.factors {
        let _ =
            writeln!(text, "  intervals of {}, alpha {}: +- {:.4} sigma", row.target, row.alpha, row.factor);
    }
    for notice in &summary.notices {
        let _ = writeln!(text, "  {notice}");
    }
    text
}

/// The reference of an autoencoder as lines.
#[must_use]
pub fn anomaly_text(summary: &AnomalySummary) -> String {
    format!(
        "reference of {} examples, {} samples, {} scores kept\n  reconstruction error: median {:.5}, greatest {:.5}; \
         p-values from {:.3e}",
        summary.examples,
        summary.num_samples,
        summary.kept,
        summary.median_error,
        summary.greatest_error,
        summary.least_p_value
    )
}

/// The summary as lines.
#[must_use]
pub fn text(summary: &Summary) -> String {
    let mut text = format!(
        "calibrated on {} + {} examples, {} samples: temperature {:.3}, NLL {:.4} -> {:.4}, ECE {:.4} -> {:.4}\n",
        summary.fit_examples,
        summary.certify_examples,
        summary.num_samples,
        summary.temperature,
        summary.before.nll,
        summary.after.nll,
        summary.before.ece,
        summary.after.ece
    );
    // Writing to a string cannot fail.
    for set in &summary.sets {
        let _ = writeln!(
            text,
            "  prediction sets {:<4} alpha {}: score at most {:.6}",
            set.method, set.alpha, set.threshold
        );
    }
    if let Some(a) = &summary.abstention {
        let _ = writeln!(
            text,
            "  abstention: with confidence {}, at most {} of the accepted are wrong ({}; here {:.1} % accepted, {:.2} % of them wrong)",
            a.confidence,
            a.risk,
            accepted_scores(summary.score, a.threshold),
            100.0 * a.coverage,
            100.0 * a.observed_risk
        );
    }
    if summary.drift {
        let _ = writeln!(text, "  drift monitor on {}", summary.score);
    }
    for notice in &summary.notices {
        let _ = writeln!(text, "  {notice}");
    }
    text
}
