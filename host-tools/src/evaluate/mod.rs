//! Figures of a model on data: what `stf eval` prints. Every prediction comes from the runtime.

mod auroc;
mod outcomes;

pub use auroc::auroc;
pub use outcomes::{Outcome, outcomes, require_shape};

use crate::data::Dataset;
use crate::error::{Error, Result};
use serde::Serialize;
use std::ops::Deref;
use stf_bnn::uncertainty::Calibration;
use stf_bnn::{Classification, Config, Model};
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
}

/// An evaluation is its figures, and more.
impl Deref for Evaluation {
    type Target = Figures;

    fn deref(&self) -> &Figures {
        &self.figures
    }
}

/// Detection of one out-of-distribution set against the evaluated data.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OodEntry {
    /// Name of the out-of-distribution data.
    pub data: String,
    /// Number of its examples.
    pub n: usize,
    /// Area under the ROC curve by score; out of distribution is the positive class.
    pub auroc: OodScores,
}

/// Area under the ROC curve of each score, every one oriented so that the area is of "out".
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct OodScores {
    /// The greatest probability; less of it is farther out.
    pub max_probability: f64,
    /// Entropy of the mean probabilities.
    pub predictive_entropy: f64,
    /// Mutual information; `null` where there is no noise, hence no such score.
    pub mutual_information: Option<f64>,
}

/// Evaluates a classifier on labelled data, and its detection of each set in `ood`.
///
/// # Errors
/// If the model is no classifier, shapes differ, a label has no output, or the data are empty.
pub fn evaluate(model: &Model<'_>, data: &Dataset, ood: &[Dataset], config: &Config) -> Result<Evaluation> {
    let manifest = model.manifest();
    require_classifier(manifest.name, manifest.task == stf_bnn::artifact::Task::Classification)?;
    require_labels(data, manifest.outputs)?;
    let inside = outcomes(model, data, config)?;
    let metrics = Metrics::of(&metrics(&inside, data), inside.iter().map(|o| u64::from(o.passes)).sum());
    let figures = Figures::new(manifest.name, &data.name, config.samples.most(model), config.seed, &metrics);
    let outside = ood.iter().map(|set| outcomes(model, set, config)).collect::<Result<Vec<_>>>()?;
    with_detection(figures, &inside, ood.iter().zip(&outside))
}

/// Completes the figures of predictions, wherever they were made, by the detection of each set of
/// `outside`.
///
/// # Errors
/// If a set is empty.
pub fn with_detection<'a>(
    figures: Figures,
    inside: &[Outcome],
    outside: impl IntoIterator<Item = (&'a Dataset, &'a Vec<Outcome>)>,
) -> Result<Evaluation> {
    let ood =
        outside.into_iter().map(|(set, outcomes)| detection(inside, set, outcomes)).collect::<Result<_>>()?;
    Ok(Evaluation { figures, ood })
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
    Err(Error::invalid(format!("model {name}"), "a regression", "a classifier"))
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

fn detection(inside: &[Outcome], set: &Dataset, outside: &[Outcome]) -> Result<OodEntry> {
    let area = |score: fn(&Classification) -> f32| {
        let scores = |outcomes: &[Outcome]| -> Vec<f32> {
            outcomes.iter().filter_map(|outcome| outcome.classification.as_ref().map(score)).collect()
        };
        auroc(&scores(inside), &scores(outside))
            .ok_or_else(|| Error::invalid(format!("data {}", set.name), "no example", "at least one"))
    };
    // One pass has no mutual information.
    let noisy = inside.iter().chain(outside).any(|outcome| outcome.samples > 1);
    Ok(OodEntry {
        data: set.name.clone(),
        n: set.len(),
        auroc: OodScores {
            max_probability: area(|c| -c.confidence)?,
            predictive_entropy: area(|c| c.predictive_entropy)?,
            mutual_information: if noisy { Some(area(|c| c.mutual_information)?) } else { None },
        },
    })
}
