//! Figures of an autoencoder's anomaly score: false alarms on normal data, detection of others.

use super::bootstrap::{Interval, intervals_of_parts};
use super::outcomes;
use crate::data::Dataset;
use crate::error::{Error, Result};
use serde::Serialize;
use std::fmt;
use stf_bnn::artifact::{SamplingPolicy, Task};
use stf_bnn::uncertainty::{AnomalyDetector, Ranking};
use stf_bnn::{Config, Model};

/// Levels of the alarms that are counted.
pub const LEVELS: [f32; 3] = [0.01, 0.05, 0.1];

/// What `stf eval` prints of an autoencoder; the field names are what scripts read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AnomalyEvaluation {
    /// Name of the network.
    pub model: String,
    /// Name of the data.
    pub data: String,
    /// Number of examples.
    pub n: usize,
    /// Monte-Carlo samples asked for; 1 for the mean.
    pub num_samples: u16,
    /// Passes that a prediction took, on average.
    pub mean_passes: f64,
    /// Seed of the draws.
    pub seed: u64,
    /// Mean reconstruction error.
    pub mean_error: f64,
    /// Whether predictions were sampled as the reference was; `null` without a reference.
    pub sampled_as_calibrated: Option<bool>,
    /// Share of alarms on the data at each level: false ones, if the data are normal.
    pub alarms: Vec<AlarmRow>,
    /// Detection of each other set.
    pub ood: Vec<AnomalyEntry>,
}

/// Alarms at one level.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct AlarmRow {
    /// Greatest probability of an alarm on a normal input.
    pub alpha: f32,
    /// Share of examples that raise it.
    pub rate: f64,
}

/// Detection of one set against the evaluated data.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AnomalyEntry {
    /// Name of the data.
    pub data: String,
    /// Number of its examples.
    pub n: usize,
    /// Area under the ROC curve of the reconstruction error.
    pub auroc: f64,
    /// 95 % bootstrap interval over examples of both sets.
    pub auroc_interval: Interval,
    /// Share of its examples that raise an alarm at each level.
    pub alarms: Vec<AlarmRow>,
}

/// Reconstruction errors of everything that an evaluation needs.
#[derive(Debug, Clone, PartialEq)]
pub struct AnomalyErrors {
    /// Of the evaluated data.
    pub inside: Vec<f32>,
    /// Passes that these took.
    pub passes: u64,
    /// Of each other set.
    pub outside: Vec<Vec<f32>>,
}

/// Predicts the evaluated data and each set in `others`.
///
/// # Errors
/// If the model is no autoencoder, a set is empty, or shapes differ.
pub fn anomaly_errors(
    model: &Model<'_>,
    data: &Dataset,
    others: &[Dataset],
    config: &Config,
) -> Result<AnomalyErrors> {
    let (inside, passes) = errors(model, data, config)?;
    let outside = others.iter().map(|set| Ok(errors(model, set, config)?.0)).collect::<Result<_>>()?;
    Ok(AnomalyErrors { inside, passes, outside })
}

/// Evaluates an autoencoder on data, and its detection of each set in `others`.
///
/// # Errors
/// If the model is none, or shapes differ.
pub fn evaluate_anomaly(
    model: &Model<'_>,
    data: &Dataset,
    others: &[Dataset],
    config: &Config,
) -> Result<AnomalyEvaluation> {
    Ok(anomaly_of(model, data, others, &anomaly_errors(model, data, others, config)?, config))
}

/// The evaluation of errors of the same data that [`anomaly_errors`] found.
#[must_use]
pub fn anomaly_of(
    model: &Model<'_>,
    data: &Dataset,
    others: &[Dataset],
    errors: &AnomalyErrors,
    config: &Config,
) -> AnomalyEvaluation {
    let detector = AnomalyDetector::new(model);
    let (inside, n) = (&errors.inside, errors.inside.len());
    let policy = SamplingPolicy::of(model, config);
    let entry = |(set, outside): (&Dataset, &Vec<f32>)| AnomalyEntry {
        data: set.name.clone(),
        n: outside.len(),
        auroc: auroc(&mut labelled(inside, outside)),
        auroc_interval: auroc_interval(inside, outside),
        alarms: alarms(detector.as_ref(), outside),
    };
    AnomalyEvaluation {
        model: model.manifest().name.to_string(),
        data: data.name.clone(),
        n,
        num_samples: config.samples.most(model),
        mean_passes: errors.passes as f64 / n as f64,
        seed: config.seed,
        mean_error: inside.iter().map(|&error| f64::from(error)).sum::<f64>() / n as f64,
        sampled_as_calibrated: detector.map(|detector| detector.fact().policy.covers_policy(&policy)),
        alarms: alarms(detector.as_ref(), inside),
        ood: others.iter().zip(&errors.outside).map(entry).collect(),
    }
}

/// Reconstruction errors of all examples, and the passes that they took.
///
/// # Errors
/// If the model is no autoencoder, the data are empty, or a prediction fails.
pub fn errors(model: &Model<'_>, data: &Dataset, config: &Config) -> Result<(Vec<f32>, u64)> {
    let name = model.manifest().name;
    if !matches!(model.manifest().task, Task::Reconstruction(_)) {
        return Err(Error::invalid(format!("model {name}"), "no autoencoder", "an autoencoder"));
    }
    if data.is_empty() {
        return Err(Error::invalid(format!("data {}", data.name), "no example", "at least one"));
    }
    let found = outcomes(model, data, config)?;
    let passes = found.iter().map(|outcome| u64::from(outcome.passes)).sum();
    Ok((found.iter().filter_map(|outcome| outcome.reconstruction_error).collect(), passes))
}

fn labelled(inside: &[f32], outside: &[f32]) -> Vec<(f32, bool)> {
    inside.iter().map(|&e| (e, false)).chain(outside.iter().map(|&e| (e, true))).collect()
}

fn auroc(scores: &mut [(f32, bool)]) -> f64 {
    Ranking::of_scores(scores).map_or(f64::NAN, |ranking| ranking.auroc())
}

/// Resamples both sets, each by itself.
fn auroc_interval(inside: &[f32], outside: &[f32]) -> Interval {
    let figures = |indices: &[usize]| {
        let (first, second) = indices.split_at(inside.len());
        let one = first.iter().map(|&i| (inside[i], false));
        let other = second.iter().map(|&i| (outside[i], true));
        [auroc(&mut one.chain(other).collect::<Vec<_>>())]
    };
    let [interval] = intervals_of_parts(&[inside.len(), outside.len()], 0, figures);
    interval
}

fn alarms(detector: Option<&AnomalyDetector<'_>>, errors: &[f32]) -> Vec<AlarmRow> {
    let Some(detector) = detector else { return Vec::new() };
    let rate = |alpha: f32| {
        let raised = errors.iter().filter(|&&error| detector.alarm(error, alpha)).count();
        raised as f64 / errors.len() as f64
    };
    LEVELS.map(|alpha| AlarmRow { alpha, rate: rate(alpha) }).to_vec()
}

impl fmt::Display for AnomalyEvaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} on {} ({} examples), {} samples, {:.2} passes a prediction, seed {}\n  mean reconstruction error {:.5}",
            self.model, self.data, self.n, self.num_samples, self.mean_passes, self.seed, self.mean_error
        )?;
        if self.sampled_as_calibrated == Some(false) {
            writeln!(
                f,
                "  sampled otherwise than the reference: the alarms' levels are promised for other predictions"
            )?;
        }
        let rates = |rows: &[AlarmRow]| {
            let text = rows.iter().map(|row| format!("{:.2} % at {}", 100.0 * row.rate, row.alpha));
            text.collect::<Vec<_>>().join(", ")
        };
        if !self.alarms.is_empty() {
            writeln!(f, "  alarms: {}", rates(&self.alarms))?;
        }
        for entry in &self.ood {
            let Interval(low, high) = entry.auroc_interval;
            writeln!(
                f,
                "  {} ({} examples): AUROC {:.4} ({low:.4} to {high:.4})",
                entry.data, entry.n, entry.auroc
            )?;
            if !entry.alarms.is_empty() {
                writeln!(f, "    alarms: {}", rates(&entry.alarms))?;
            }
        }
        Ok(())
    }
}
