//! Figures of an evaluation: the one record that `stf`, `stf-run` and a device's answer become, so that
//! their names and their text cannot drift apart.

use crate::message::Metrics;
use serde::Serialize;
use std::fmt;

/// Figures of a classifier on labelled data; the field names are what scripts read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
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
}

impl Figures {
    /// Figures of what `metrics` counted.
    #[must_use]
    pub fn new(model: &str, data: &str, num_samples: u16, seed: u64, metrics: &Metrics) -> Self {
        let n = usize::try_from(metrics.count).unwrap_or(usize::MAX);
        Self {
            model: model.to_string(),
            data: data.to_string(),
            n,
            num_samples,
            mean_passes: metrics.passes as f64 / n as f64,
            accuracy: metrics.accuracy,
            nll: metrics.nll,
            brier: metrics.brier,
            ece: metrics.ece,
            seed,
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { model, data, n, num_samples, mean_passes, accuracy, nll, brier, ece, seed } = self;
        writeln!(
            f,
            "{model} on {data} ({n} examples), {num_samples} samples, {mean_passes:.2} passes a prediction, seed {seed}"
        )?;
        writeln!(f, "  accuracy {:8.2} %", 100.0 * accuracy)?;
        writeln!(f, "  NLL      {nll:8.4} nats")?;
        writeln!(f, "  Brier    {brier:8.4}")?;
        write!(f, "  ECE      {ece:8.4}")
    }
}
