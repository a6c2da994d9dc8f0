//! Figures of a model on data: what `stf eval` prints. Every prediction comes from the runtime.

mod anomaly;
pub mod bootstrap;
mod detection;
mod figures;
mod names;
mod outcomes;
mod promises;
mod regression;

pub use anomaly::{
    AlarmRow, AnomalyEntry, AnomalyErrors, AnomalyEvaluation, LEVELS, anomaly_errors, anomaly_of, errors,
    evaluate_anomaly,
};
pub use detection::{ByScore, Misclassification, OodEntry, misclassification, out_of_distribution};
pub use figures::{Details, Intervals, ReliabilityBin, details};
pub use names::{require_classes, require_targets, with_classes_of};
pub use outcomes::{Outcome, outcomes, predict_all, require_shape};
pub use promises::{AbstentionFigures, DriftFigures, Promises, SetFigures};
pub use regression::{IntervalRow, RegressionEvaluation, TargetFigures, evaluate_regression, regression_of};

use crate::data::Dataset;
use crate::data::corrupt::Corruption;
use crate::error::{Error, Result};
use serde::Serialize;
use std::ops::Deref;
use stf_bnn::artifact::SamplingPolicy;
use stf_bnn::uncertainty::Calibration;
use stf_bnn::{Config, Model};
pub use stf_device_protocol::Figures;
use stf_device_protocol::Metrics;

/// Figures on one data set, and detection of others; the field names are what scripts read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// What every tool of this project prints of an evaluation.
    #[serde(flatten)]
    pub figures: Figures,
    /// Out-of-distribution detection, one entry a data set.
    pub ood: Vec<OodEntry>,
    /// Further figures.
    #[serde(flatten)]
    pub details: Details,
    /// The artifact's promises; `null` if it makes none or is not at hand.
    pub promises: Option<Promises>,
    /// Figures on shifted copies of the data.
    pub shifts: Vec<ShiftEntry>,
}

/// An evaluation is its figures, and more.
impl Deref for Evaluation {
    type Target = Figures;

    fn deref(&self) -> &Figures {
        &self.figures
    }
}

/// Figures on one shifted copy of the data, and its detection against the data themselves.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShiftEntry {
    /// Kind and severity, such as `blur:3`.
    pub shift: String,
    /// Share of correct classes, 0 to 1.
    pub accuracy: f64,
    /// Negative log likelihood, nats.
    pub nll: f64,
    /// Brier score, summed over classes: 0 to 2.
    pub brier: f64,
    /// Expected calibration error, 15 equal-width bins.
    pub ece: f64,
    /// Detection of the shifted examples; the shift is the positive class.
    pub detection: OodEntry,
    /// The artifact's promises, which are none for shifted data.
    pub promises: Option<Promises>,
}

/// Evaluates a classifier on labelled data, and its detection of each set in `ood`.
///
/// # Errors
/// If the model is no classifier, shapes differ, a label has no output, or the data are empty.
pub fn evaluate(model: &Model<'_>, data: &Dataset, ood: &[Dataset], config: &Config) -> Result<Evaluation> {
    evaluate_shifts(model, data, ood, &[], config)
}

/// As [`evaluate`], and on copies of the data shifted by each of `shifts`.
///
/// # Errors
/// As [`evaluate`], or if the data are no pictures.
pub fn evaluate_shifts(
    model: &Model<'_>,
    data: &Dataset,
    ood: &[Dataset],
    shifts: &[Corruption],
    config: &Config,
) -> Result<Evaluation> {
    let predictions = predict(model, data, ood, config)?;
    of_predictions(model, data, ood, &predictions, shifts, config)
}

/// Outcomes of labelled data, and of each other set.
#[derive(Debug, Clone, PartialEq)]
pub struct Predictions {
    /// Of the labelled data.
    pub inside: Vec<Outcome>,
    /// Of each other set.
    pub outside: Vec<Vec<Outcome>>,
}

/// Predicts everything that an evaluation needs.
///
/// # Errors
/// As [`evaluate`].
pub fn predict(model: &Model<'_>, data: &Dataset, ood: &[Dataset], config: &Config) -> Result<Predictions> {
    let manifest = model.manifest();
    require_classifier(manifest.name, manifest.task == stf_bnn::artifact::Task::Classification)?;
    require_classes(model, data)?;
    let inside = outcomes(model, data, config)?;
    let outside = ood.iter().map(|set| outcomes(model, set, config)).collect::<Result<_>>()?;
    Ok(Predictions { inside, outside })
}

/// The evaluation of what [`predict`] predicted of the same data.
///
/// # Errors
/// As [`evaluate_shifts`].
pub fn of_predictions(
    model: &Model<'_>,
    data: &Dataset,
    ood: &[Dataset],
    predictions: &Predictions,
    shifts: &[Corruption],
    config: &Config,
) -> Result<Evaluation> {
    let Predictions { inside, outside } = predictions;
    let metrics = Metrics::of(&metrics(inside, data), inside.iter().map(|o| u64::from(o.passes)).sum());
    let most = config.samples.most(model);
    let figures = Figures::new(model.manifest().name, &data.name, most, config.seed, &metrics);
    let mut evaluation = with_detection(figures, inside, &data.labels, ood.iter().zip(outside))?;
    evaluation.promises = Promises::hold(model, inside, &data.labels, &SamplingPolicy::of(model, config));
    for &corruption in shifts {
        evaluation.shifts.push(shift(model, data, inside, corruption, config)?);
    }
    Ok(evaluation)
}

fn shift(
    model: &Model<'_>,
    data: &Dataset,
    inside: &[Outcome],
    corruption: Corruption,
    config: &Config,
) -> Result<ShiftEntry> {
    // The seed is fixed: every model meets the same pictures.
    let shifted = corruption.apply(data, 0)?;
    let outside = outcomes(model, &shifted, config)?;
    let metrics = metrics(&outside, &shifted);
    let noisy = inside.iter().any(|outcome| outcome.samples > 1);
    Ok(ShiftEntry {
        shift: corruption.to_string(),
        accuracy: metrics.accuracy(),
        nll: metrics.nll(),
        brier: metrics.brier(),
        ece: metrics.ece(),
        detection: out_of_distribution(&shifted.name, inside, &outside, noisy)?,
        promises: Promises::hold(model, &outside, &shifted.labels, &SamplingPolicy::of(model, config)),
    })
}

/// Completes the figures of predictions, wherever they were made, by further ones and by the detection
/// of each set of `outside`.
///
/// # Errors
/// If a set is empty.
pub fn with_detection<'a>(
    figures: Figures,
    inside: &[Outcome],
    labels: &[u32],
    outside: impl IntoIterator<Item = (&'a Dataset, &'a Vec<Outcome>)>,
) -> Result<Evaluation> {
    // One pass has no mutual information.
    let noisy = inside.iter().any(|outcome| outcome.samples > 1);
    let ood = outside
        .into_iter()
        .map(|(set, outcomes)| out_of_distribution(&set.name, inside, outcomes, noisy))
        .collect::<Result<_>>()?;
    let details = details(inside, labels, noisy);
    Ok(Evaluation { figures, ood, details, promises: None, shifts: Vec::new() })
}

/// Streams predictions, in order, through the accumulator that devices use.
#[must_use]
pub fn metrics(outcomes: &[Outcome], data: &Dataset) -> Calibration {
    let mut metrics = Calibration::new();
    for (outcome, &label) in outcomes.iter().zip(&data.labels) {
        metrics.push(&outcome.mean, label as usize);
    }
    metrics
}

/// Only a classifier has these figures.
///
/// # Errors
/// If it is none; names the model.
pub fn require_classifier(name: &str, classifier: bool) -> Result<()> {
    if classifier {
        return Ok(());
    }
    let found = "no classes (a regression or an autoencoder)";
    Err(Error::invalid(format!("model {name}"), found, "a classifier"))
}

/// Every label must be one of the model's classes.
///
/// # Errors
/// If one is not, or there is none.
pub fn require_labels(data: &Dataset, classes: u16) -> Result<()> {
    if data.is_empty() {
        return Err(Error::invalid(format!("data {}", data.name), "no example", "at least one"));
    }
    match data.labels.iter().position(|&label| label >= u32::from(classes)) {
        Some(index) => Err(Error::invalid(
            format!("{}: label of example {index}", data.name),
            data.labels[index],
            format!("below {classes}, the model's number of classes"),
        )),
        None => Ok(()),
    }
}
