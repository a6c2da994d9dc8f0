//! Fits what makes uncertainty trustworthy, on predictions of the quantized model by the runtime:
//! temperature, prediction sets, abstention, and the reference of the drift monitor.
//!
//! The calibration split has two parts, [`parts`]. The first fits what may be chosen freely:
//! quantization ranges (in `export`), temperature, candidates and bin edges. The second, which took no
//! part in any of this, certifies: conformal thresholds, the abstention threshold, the bounds of the
//! drift monitor. So it does factors of prediction intervals of a regression, and the reference of an
//! autoencoder's anomaly score.

pub mod abstention;
mod anomaly;
mod artifact;
pub mod conformal;
pub mod drift;
mod intervals;
mod options;
mod share;
pub mod temperature;

pub use anomaly::{AnomalySummary, fit_anomaly};
pub use artifact::{Facts, SetFacts, rewrite};
pub use intervals::{FactorRow, IntervalSummary, fit_intervals};
pub use options::{Options, Wanted};
pub use share::Share;

use crate::data::{Dataset, shuffled};
use crate::error::{Error, Result};
use crate::evaluate::{Outcome, metrics, outcomes, predict_all, require_classes};
use crate::export::adaptive::{self, Wish};
use conformal::Example;
use serde::Serialize;
use stf_bnn::artifact::{SamplingPolicy, Task};
use stf_bnn::uncertainty::{SetMethod, random_share};
use stf_bnn::{AlignedBytes, Config, Model, Samples};

/// What was fitted, and on how much.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Examples that fitted the temperature, candidates and edges.
    pub fit_examples: usize,
    /// Other examples, that certified.
    pub certify_examples: usize,
    /// Samples of a prediction; 0 for one pass without noise.
    pub num_samples: u16,
    /// Temperature of the softmax.
    pub temperature: f32,
    /// Figures on the certifying part, at temperature 1 and after.
    pub before: Figures,
    /// Likewise after.
    pub after: Figures,
    /// Thresholds of prediction sets, one a method and level; the greatest where each class has its own.
    pub sets: Vec<SetThreshold>,
    /// Score that abstention and drift monitor compare.
    pub score: &'static str,
    /// When to answer; `null` if no threshold was certified.
    pub abstention: Option<AbstentionSummary>,
    /// Whether there is a reference of the drift monitor.
    pub drift: bool,
    /// What was left out, and why.
    pub notices: Vec<String>,
}

/// Divides the certifying part where predictions stop by a rule that is fitted, too.
const RULE_SEED: u64 = 0x2a1e;

/// Calibration figures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Figures {
    /// Negative log likelihood, nats.
    pub nll: f64,
    /// Expected calibration error.
    pub ece: f64,
}

/// One conformal threshold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SetThreshold {
    /// `lac`, `aps` or `raps`.
    pub method: &'static str,
    /// Share of sets that may miss the label.
    pub alpha: f64,
    /// The threshold.
    pub threshold: f32,
}

/// The certified threshold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct AbstentionSummary {
    /// Promised greatest risk among accepted predictions.
    pub risk: f64,
    /// Confidence of the promise.
    pub confidence: f64,
    /// Scores up to this are accepted.
    pub threshold: f32,
    /// Share of the certifying part that is accepted.
    pub coverage: f64,
    /// Wrong ones among these.
    pub observed_risk: f64,
}

/// The fitting and the certifying half of a calibration split, drawn with `seed`, each in its order.
///
/// # Errors
/// Never, for a data set that is consistent.
pub fn parts(calibration: &Dataset, seed: u64) -> Result<(Dataset, Dataset)> {
    // Any constant: keeps this stream apart from that of the splits.
    let mut indices = shuffled(calibration.len(), seed ^ 0xca11_b7a7e);
    let (fit, certify) = indices.split_at_mut(calibration.len() / 2);
    fit.sort_unstable();
    certify.sort_unstable();
    Ok((calibration.select(fit)?, calibration.select(certify)?))
}

/// Calibrates an artifact that classifies; returns the rewritten file and what was fitted: [`heat`], the
/// rule of an adaptive number of samples anew if there was one, [`certify`]. Where the options' predictions
/// follow that rule, each of the last two has half of `certifying`. What the artifact carried of the kind
/// before is replaced; the same input gives the same bytes.
///
/// # Errors
/// If the artifact is damaged or no classifier, the data do not fit it, or there are too few examples
/// for what `options` insist on.
pub fn calibrate(
    bytes: &AlignedBytes,
    fit: &Dataset,
    certifying: &Dataset,
    options: &Options,
) -> Result<(Vec<u8>, Summary)> {
    let model = open_classifier(bytes)?;
    let mut warm = heat(bytes, fit, options)?;
    let mut refused = None;
    // Predictions under a rule that was fitted on the same examples would certify too much.
    let halves = (options.config.samples == Samples::Adaptive).then(|| parts(certifying, RULE_SEED));
    let halves = halves.transpose()?;
    let (ruling, certifying) = halves.as_ref().map_or((certifying, certifying), |(a, b)| (a, b));
    if let Some(rule) = model.manifest().adaptive {
        let wish = Wish {
            samples_min: rule.samples_min,
            samples_max: rule.samples_max,
            antithetic: rule.antithetic,
            delta: f64::from(rule.delta_millionths) / 1e6,
            confidence: f64::from(rule.confidence_millionths) / 1e6,
        };
        let (with_rule, fitted) = adaptive::attach(warm, ruling, &wish)?;
        warm = with_rule;
        if let adaptive::Fit::Refused(reason) = fitted {
            refused = Some(format!("no adaptive number of samples any more: {reason}"));
        }
    }
    let (file, mut summary) = certify(&AlignedBytes::new(&warm), fit, certifying, options)?;
    summary.notices.extend(refused);
    Ok((file, summary))
}

/// Fits the temperature on `fit`. The result carries nothing else that depends on it.
///
/// # Errors
/// If the artifact is damaged or no classifier, or the data do not fit it.
pub fn heat(bytes: &AlignedBytes, fit: &Dataset, options: &Options) -> Result<Vec<u8>> {
    let model = open_classifier(bytes)?;
    require_classes(&model, fit)?;
    // The rule of an adaptive number follows the temperature: all its samples stand for it here.
    let samples = match options.config.samples {
        Samples::Adaptive => Samples::MonteCarlo(options.config.samples.most(&model)),
        samples => samples,
    };
    let drawn = draws(&model, fit, &Config { samples, ..options.config })?;
    let temperature = temperature::fit(&drawn);
    rewrite(&model, &Facts { temperature, ..Facts::default() })
}

/// Fits prediction sets, abstention and the drift monitor of an artifact whose temperature is fitted.
///
/// # Errors
/// As [`calibrate`].
pub fn certify(
    bytes: &AlignedBytes,
    fit: &Dataset,
    certifying: &Dataset,
    options: &Options,
) -> Result<(Vec<u8>, Summary)> {
    let model = open_classifier(bytes)?;
    require_classes(&model, fit)?;
    require_classes(&model, certifying)?;
    let cold = Facts { temperature: 1.0, keep_adaptive: true, ..Facts::default() };
    let cold = AlignedBytes::new(&rewrite(&model, &cold)?);
    let before = outcomes(&open(&cold)?, certifying, &options.config)?;
    let fitted = Predicted { outcomes: outcomes(&model, fit, &options.config)?, data: fit };
    let held_out = Predicted { outcomes: outcomes(&model, certifying, &options.config)?, data: certifying };
    let (facts, mut summary) = fit_facts(&model, &fitted, &held_out, options)?;
    summary.before = figures(&before, certifying);
    Ok((rewrite(&model, &facts)?, summary))
}

fn open(bytes: &AlignedBytes) -> Result<Model<'_>> {
    Model::from_bytes(bytes)
        .map_err(|error| Error::invalid("artifact", error, "an artifact that the runtime accepts"))
}

fn open_classifier(bytes: &AlignedBytes) -> Result<Model<'_>> {
    let model = open(bytes)?;
    if model.manifest().task != Task::Classification {
        return Err(Error::invalid(
            format!("model {}", model.manifest().name),
            "a regression",
            "a classifier",
        ));
    }
    Ok(model)
}

fn draws(model: &Model<'_>, data: &Dataset, config: &Config) -> Result<Vec<temperature::Drawn>> {
    let classes = usize::from(model.manifest().outputs);
    let logits = predict_all(model, data, config, &|_, logits| logits)?;
    let drawn =
        |(logits, &label): (Vec<f32>, &u32)| temperature::Drawn { logits, classes, label: label as usize };
    Ok(logits.into_iter().zip(&data.labels).map(drawn).collect())
}

fn figures(outcomes: &[Outcome], data: &Dataset) -> Figures {
    let metrics = metrics(outcomes, data);
    Figures { nll: metrics.nll(), ece: metrics.ece() }
}

/// One part of the split, predicted.
struct Predicted<'a> {
    outcomes: Vec<Outcome>,
    data: &'a Dataset,
}

impl Predicted<'_> {
    /// Uncertainty and whether the class is wrong.
    fn judged(&self, options: &Options) -> Vec<abstention::Judged> {
        let judge = |(outcome, &label): (&Outcome, &u32)| {
            let c = outcome.classification.as_ref()?;
            Some((options.score.of(c), u32::from(c.class) != label))
        };
        self.outcomes.iter().zip(&self.data.labels).filter_map(judge).collect()
    }

    fn examples(&self, options: &Options) -> Vec<Example<'_>> {
        // The outcomes were predicted with the counters 0, 1, 2 ...
        let share = |counter: usize| match options.randomized {
            true => random_share(options.config.seed, counter as u64),
            false => 0.0,
        };
        self.outcomes
            .iter()
            .zip(&self.data.labels)
            .enumerate()
            .map(|(i, (outcome, &label))| Example {
                probabilities: &outcome.mean,
                label: label as usize,
                share: share(i),
            })
            .collect()
    }
}

/// Everything behind the temperature.
fn fit_facts(
    model: &Model<'_>,
    fit: &Predicted<'_>,
    certify: &Predicted<'_>,
    options: &Options,
) -> Result<(Facts, Summary)> {
    let mut notices = Vec::new();
    let temperature = model.manifest().temperature;
    let policy = SamplingPolicy::of(model, &options.config);
    let examples = certify.examples(options);
    let alphas = options.usable_alphas(&examples, &mut notices)?;
    let sets = SetMethod::ALL
        .iter()
        .map(|&method| {
            conformal::thresholds(&examples, method, options.penalty, &alphas, options.class_conditional)
        })
        .collect::<Result<Vec<_>>>()?;
    let columns = if options.class_conditional { examples[0].probabilities.len() } else { 1 };
    let set_rows = SetMethod::ALL.iter().zip(&sets).flat_map(|(method, thresholds)| {
        alphas.iter().zip(thresholds.chunks(columns)).map(|(alpha, row)| SetThreshold {
            method: method.name(),
            alpha: alpha.value(),
            threshold: row.iter().copied().fold(f32::NEG_INFINITY, f32::max),
        })
    });
    let (fit_judged, judged) = (fit.judged(options), certify.judged(options));
    let certified = abstention::certify(&fit_judged, &judged, options.risk.share, options.confidence);
    if certified.is_none() {
        options.risk.refuse(&judged, options.confidence, &mut notices)?;
    }
    let scores = |judged: &[abstention::Judged]| judged.iter().map(|&(score, _)| score).collect::<Vec<_>>();
    let reference_delta = options.reference_delta()?;
    let reference = drift::reference(&scores(&fit_judged), &scores(&judged), reference_delta);
    if reference.is_none() {
        notices.push(format!("no drift monitor: all examples have the same {}", options.score.name()));
    }
    let n = judged.len();
    let summary = Summary {
        fit_examples: fit.data.len(),
        certify_examples: n,
        num_samples: policy.num_samples,
        temperature,
        before: Figures { nll: 0.0, ece: 0.0 },
        after: figures(&certify.outcomes, certify.data),
        sets: set_rows.collect(),
        score: options.score.name(),
        abstention: certified.map(|found| AbstentionSummary {
            risk: options.risk.share.value(),
            confidence: options.confidence.value(),
            threshold: found.threshold,
            coverage: found.accepted as f64 / n as f64,
            observed_risk: found.errors as f64 / found.accepted as f64,
        }),
        drift: reference.is_some(),
        notices,
    };
    let facts = Facts {
        temperature,
        keep_adaptive: true,
        policy: Some(policy),
        examples: n,
        sets: (!alphas.is_empty()).then(|| artifact::SetFacts {
            alphas,
            thresholds: sets.concat(),
            class_conditional: options.class_conditional,
            randomized: options.randomized,
            penalty: options.penalty,
        }),
        score: Some(options.score),
        abstention: certified.map(|found| (found, options.risk.share, options.confidence)),
        drift: reference.map(|reference| (reference, options.false_alarm, reference_delta)),
    };
    Ok((facts, summary))
}
