//! Figures of a model on data: what `stf eval` prints. Every prediction comes from the runtime.

mod auroc;
mod outcomes;

pub use auroc::auroc;
pub use outcomes::{Outcome, outcomes, require_shape};

use crate::data::Dataset;
use crate::error::{Error, Result};
use serde::Serialize;
use stf_bnn::uncertainty::Calibration;
use stf_bnn::{Classification, Config, Model};

/// Figures on one data set; the field names are what scripts read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// Name of the network.
    pub model: String,
    /// Name of the data.
    pub data: String,
    /// Number of examples.
    pub n: usize,
    /// Monte-Carlo samples asked for, at most where they are adaptive; 1 for the mean.
    pub num_samples: u16,
    /// Passes through the network that a prediction took, on average.
    pub mean_passes: f64,
    /// Share of correct classes, 0 to 1.
    pub accuracy: f64,
    /// Negative log likelihood, nats.
    pub nll: f64,
    /// Brier score, summed over classes: 0 to 2.
    pub brier: f64,
    /// Expected calibration error, 15 equal-width bins, 0 to 1.
    pub ece: f64,
    /// Seed of the draws.
    pub seed: u64,
    /// Out-of-distribution detection, one entry a data set.
    pub ood: Vec<OodEntry>,
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
    require_labels(model, data)?;
    let inside = outcomes(model, data, config)?;
    let metrics = metrics(&inside, data);
    let ood = ood.iter().map(|set| detection(model, &inside, set, config)).collect::<Result<_>>()?;
    Ok(Evaluation {
        model: model.manifest().name.to_string(),
        data: data.name.clone(),
        n: data.len(),
        num_samples: config.samples.most(model),
        mean_passes: inside.iter().map(|o| f64::from(o.passes)).sum::<f64>() / inside.len() as f64,
        accuracy: metrics.accuracy(),
        nll: metrics.nll(),
        brier: metrics.brier(),
        ece: metrics.ece(),
        seed: config.seed,
        ood,
    })
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

fn require_labels(model: &Model<'_>, data: &Dataset) -> Result<()> {
    let manifest = model.manifest();
    if manifest.task != stf_bnn::artifact::Task::Classification {
        return Err(Error::invalid(format!("model {}", manifest.name), "a regression", "a classifier"));
    }
    if data.is_empty() {
        return Err(Error::invalid(format!("data {}", data.name), "no example", "at least one"));
    }
    match data.labels.iter().position(|&label| label >= u32::from(manifest.outputs)) {
        Some(index) => Err(Error::invalid(
            format!("{}: label of example {index}", data.name),
            data.labels[index],
            format!("below {}, the model's number of classes", manifest.outputs),
        )),
        None => Ok(()),
    }
}

fn detection(model: &Model<'_>, inside: &[Outcome], set: &Dataset, config: &Config) -> Result<OodEntry> {
    let outside = outcomes(model, set, config)?;
    let area = |score: fn(&Classification) -> f32| {
        let scores = |outcomes: &[Outcome]| -> Vec<f32> {
            outcomes.iter().filter_map(|outcome| outcome.classification.as_ref().map(score)).collect()
        };
        auroc(&scores(inside), &scores(&outside))
            .ok_or_else(|| Error::invalid(format!("data {}", set.name), "no example", "at least one"))
    };
    let noisy = model.manifest().posterior.is_some() && config.samples.most(model) > 1;
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
