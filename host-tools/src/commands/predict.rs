//! `stf predict`: one prediction with its uncertainty.

use super::common::{DeviceArg, SampleArgs, check_artifact, print_result, read_artifact};
use crate::data;
use crate::error::{Error, Result};
use crate::evaluate::{Outcome, outcomes};
use clap::Args;
use serde::Serialize;
use std::fmt::Write;
use std::path::PathBuf;
use stf_bnn::Model;
use stf_bnn::artifact::SamplingPolicy;
use stf_bnn::uncertainty::{
    AbstentionRule, AnomalyDetector, PredictionIntervals, PredictionSets, SetMethod, random_share,
};

/// Predict the class of images or arrays, with uncertainty
#[derive(Debug, Args)]
pub struct PredictArgs {
    /// The .stf file, or a run folder for its float network
    pub model: PathBuf,
    /// PNG or JPEG image, .wav recording, .npy array of one example or of several, or .csv table of inputs
    #[arg(required = true)]
    pub inputs: Vec<PathBuf>,
    #[command(flatten)]
    samples: SampleArgs,
    /// Where the float network of a run folder runs; GPUs need a build with the feature `gpu` or `cuda`
    #[arg(long, value_enum, default_value_t = DeviceArg::Cpu)]
    device: DeviceArg,
    /// Print one JSON object a line, one an example
    #[arg(long)]
    pub json: bool,
}

/// One prediction; the field names are what scripts read.
#[derive(Debug, Clone, Serialize)]
pub struct PredictionRecord {
    /// File, and the example's number where a file holds several.
    pub input: String,
    /// Most probable class.
    pub class: usize,
    /// Its name, if the model has names.
    pub class_name: Option<String>,
    /// Its probability.
    pub confidence: f32,
    /// Mean probability of each class.
    pub probabilities: Vec<f32>,
    /// Standard deviation of each probability over the draws.
    pub spread: Vec<f32>,
    /// Total uncertainty, nats.
    pub predictive_entropy: f32,
    /// Aleatoric part, nats.
    pub expected_entropy: f32,
    /// Epistemic part, nats.
    pub mutual_information: f32,
    /// Passes that were averaged.
    pub samples: u16,
    /// Passes that it took.
    pub passes: u16,
    /// What the artifact's thresholds say.
    #[serde(flatten)]
    verdict: Verdict,
}

/// What the artifact's thresholds say of a prediction.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Verdict {
    /// Whether the prediction was sampled as those of calibration: else nothing of the following is promised.
    /// `null` if the artifact promises nothing.
    sampled_as_calibrated: Option<bool>,
    /// Whether to answer; `null` if the artifact has no rule.
    accepted: Option<bool>,
    /// Prediction sets at the least promised coverage, one a method.
    sets: Vec<SetRecord>,
    #[serde(skip)]
    targets: Vec<TargetRecord>,
    #[serde(skip)]
    p_value: Option<f32>,
}

/// One prediction set.
#[derive(Debug, Clone, Serialize)]
struct SetRecord {
    method: &'static str,
    coverage: f64,
    classes: Vec<usize>,
}

impl Verdict {
    /// On the prediction with this counter, sampled so.
    pub(super) fn new(model: &Model<'_>, outcome: &Outcome, policy: &SamplingPolicy, counter: u64) -> Self {
        let rule = AbstentionRule::new(model);
        let accepted = rule.zip(outcome.classification).map(|(rule, c)| rule.accepts(&c));
        let detector = AnomalyDetector::new(model);
        let verdict = Self {
            sampled_as_calibrated: fitted_for(model).map(|fitted| fitted.covers_policy(policy)),
            accepted,
            sets: Vec::new(),
            targets: targets(model, outcome),
            p_value: detector.zip(outcome.reconstruction_error).map(|(d, error)| d.p_value(error)),
        };
        let Some(sets) = PredictionSets::new(model) else { return verdict };
        let mut bits = vec![0; sets.words()];
        let share = random_share(policy.seed, counter);
        let level = sets.levels() - 1;
        let rows = SetMethod::ALL.into_iter().filter_map(|method| {
            let set = sets.set(method, level, &outcome.mean, share, &mut bits)?;
            Some(SetRecord {
                method: method.name(),
                coverage: set.coverage,
                classes: set.classes().collect(),
            })
        });
        Self { sets: rows.collect(), ..verdict }
    }
}

/// How the predictions were sampled that the artifact's promises were fitted on; they are all of one kind.
fn fitted_for(model: &Model<'_>) -> Option<SamplingPolicy> {
    (PredictionSets::new(model).map(|sets| sets.fact().policy))
        .or(AbstentionRule::new(model).map(|rule| rule.fact().policy))
        .or(PredictionIntervals::new(model).map(|intervals| intervals.fact().policy))
        .or(AnomalyDetector::new(model).map(|detector| detector.fact().policy))
}

/// One output of a model without classes.
#[derive(Debug, Clone, Serialize)]
struct RegressionRecord {
    input: String,
    mean: Vec<f32>,
    spread: Vec<f32>,
    samples: u16,
    passes: u16,
    /// As of a classification.
    sampled_as_calibrated: Option<bool>,
    /// Distribution and intervals of each target of a Gaussian regression.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    targets: Vec<TargetRecord>,
    /// An autoencoder's anomaly score.
    #[serde(skip_serializing_if = "Option::is_none")]
    reconstruction_error: Option<f32>,
    /// Its conformal p-value: how often a normal input has such an error or a greater one.
    #[serde(skip_serializing_if = "Option::is_none")]
    p_value: Option<f32>,
}

/// One target, in its units.
#[derive(Debug, Clone, Serialize)]
pub(super) struct TargetRecord {
    target: String,
    mean: f32,
    sigma: f32,
    /// Standard deviation that the input leaves open.
    aleatoric: f32,
    /// Standard deviation that the network does not know better.
    epistemic: f32,
    intervals: Vec<IntervalRecord>,
}

/// One prediction interval.
#[derive(Debug, Clone, Serialize)]
struct IntervalRecord {
    coverage: f64,
    low: f32,
    high: f32,
}

fn targets(model: &Model<'_>, outcome: &Outcome) -> Vec<TargetRecord> {
    let intervals = PredictionIntervals::new(model);
    let record = |target| {
        let gaussian = outcome.gaussian(target)?;
        let levels = 0..intervals.as_ref().map_or(0, PredictionIntervals::levels);
        let interval = |level| intervals.as_ref()?.interval(level, target, &gaussian);
        let rows = levels.filter_map(interval).map(|i| IntervalRecord {
            coverage: i.coverage,
            low: i.low,
            high: i.high,
        });
        Some(TargetRecord {
            target: model.class_name(target).map_or_else(|| target.to_string(), str::to_string),
            mean: gaussian.mean,
            sigma: gaussian.sigma(),
            aleatoric: gaussian.aleatoric_variance.sqrt(),
            epistemic: gaussian.epistemic_variance.sqrt(),
            intervals: rows.collect(),
        })
    };
    (0..outcome.targets).filter_map(record).collect()
}

/// Runs the command.
///
/// # Errors
/// If the artifact or an input cannot be read, or an input has another shape than the model's.
pub fn run(args: &PredictArgs) -> Result<()> {
    if args.model.is_dir() {
        return super::predict_float::run(&args.model, &args.inputs, &args.samples, args.device, args.json);
    }
    if args.device != DeviceArg::Cpu {
        let found = format!("{} for a .stf file", args.device.device());
        return Err(Error::invalid("device", found, "cpu, or a run folder: its float network runs on GPUs"));
    }
    let bytes = read_artifact(&args.model)?;
    let model = check_artifact(&args.model, &bytes)?;
    let config = args.samples.config();
    let policy = SamplingPolicy::of(&model, &config);
    for path in &args.inputs {
        let examples = data::read_inputs(path)?;
        let several = examples.len() > 1;
        for (index, outcome) in outcomes(&model, &examples, &config)?.into_iter().enumerate() {
            let input =
                if several { format!("{}[{index}]", path.display()) } else { path.display().to_string() };
            let verdict = Verdict::new(&model, &outcome, &policy, index as u64);
            let name = |class| model.class_name(class).map(str::to_string);
            print_outcome(&name, input, outcome, verdict, args.json)?;
        }
    }
    Ok(())
}

/// Prints one prediction; `name` knows the classes' names.
pub(super) fn print_outcome(
    name: &dyn Fn(usize) -> Option<String>,
    input: String,
    outcome: Outcome,
    verdict: Verdict,
    json: bool,
) -> Result<()> {
    let Some(classification) = outcome.classification else {
        let Outcome { mean, spread, samples, passes, reconstruction_error, .. } = outcome;
        let Verdict { sampled_as_calibrated, targets, p_value, .. } = verdict;
        let record = RegressionRecord {
            input,
            mean,
            spread,
            samples,
            passes,
            sampled_as_calibrated,
            targets,
            reconstruction_error,
            p_value,
        };
        return print_result(json, &record, regression_text);
    };
    let class = usize::from(classification.class);
    let record = PredictionRecord {
        input,
        class,
        class_name: name(class),
        confidence: classification.confidence,
        probabilities: outcome.mean,
        spread: outcome.spread,
        predictive_entropy: classification.predictive_entropy,
        expected_entropy: classification.expected_entropy,
        mutual_information: classification.mutual_information,
        samples: outcome.samples,
        passes: outcome.passes,
        verdict,
    };
    print_result(json, &record, |record| text(name, record))
}

/// Says that nothing is promised.
fn otherwise(sampled_as_calibrated: Option<bool>) -> &'static str {
    match sampled_as_calibrated {
        Some(false) => {
            "  sampled otherwise than calibrated: what the artifact promises, it promises of other predictions\n"
        }
        _ => "",
    }
}

fn regression_text(record: &RegressionRecord) -> String {
    let mut text = format!("{}: {} samples, {} passes\n", record.input, record.samples, record.passes);
    text.push_str(otherwise(record.sampled_as_calibrated));
    // Writing to a string cannot fail.
    for t in &record.targets {
        let _ = writeln!(
            text,
            "  {}: {} +- {} (standard deviation; aleatoric {}, epistemic {})",
            t.target, t.mean, t.sigma, t.aleatoric, t.epistemic
        );
        for interval in &t.intervals {
            let percent = 100.0 * interval.coverage;
            let _ = writeln!(text, "    {percent:.0} % interval: {} to {}", interval.low, interval.high);
        }
    }
    if let Some(error) = record.reconstruction_error {
        let p_value = record.p_value.map_or(String::new(), |p| format!(", p-value {p}"));
        let _ = writeln!(text, "  reconstruction error {error}{p_value}");
    } else if record.targets.is_empty() {
        let _ = writeln!(text, "  mean   {:?}\n  spread {:?}", record.mean, record.spread);
    }
    text
}

fn text(name: &dyn Fn(usize) -> Option<String>, record: &PredictionRecord) -> String {
    let name = |class: usize| name(class).unwrap_or_else(|| class.to_string());
    let mut text = format!(
        "{}: {} ({:.1} %), {} samples, {} passes\n",
        record.input,
        name(record.class),
        100.0 * record.confidence,
        record.samples,
        record.passes
    );
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "  uncertainty in nats: total {:.4} = aleatoric {:.4} + epistemic {:.4}",
        record.predictive_entropy, record.expected_entropy, record.mutual_information
    );
    let mut order: Vec<usize> = (0..record.probabilities.len()).collect();
    order.sort_by(|&a, &b| record.probabilities[b].total_cmp(&record.probabilities[a]));
    for &class in order.iter().take(5) {
        let _ = writeln!(
            text,
            "  {:>6.2} % +- {:>5.2}  {}",
            100.0 * record.probabilities[class],
            100.0 * record.spread[class],
            name(class)
        );
    }
    text.push_str(otherwise(record.verdict.sampled_as_calibrated));
    if let Some(accepted) = record.verdict.accepted {
        text.push_str(if accepted { "  accepted\n" } else { "  not accepted: too uncertain to answer\n" });
    }
    for set in &record.verdict.sets {
        let names: Vec<String> = set.classes.iter().map(|&class| name(class)).collect();
        let _ = writeln!(text, "  {} set, {:.0} %: {}", set.method, 100.0 * set.coverage, names.join(", "));
    }
    text
}
