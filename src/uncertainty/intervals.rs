//! Prediction intervals of real targets, with a promised coverage.

use super::Gaussian;
use crate::artifact::{Intervals, Model, Task};

/// The artifact's factors, ready to make intervals.
#[derive(Debug, Clone, Copy)]
pub struct PredictionIntervals<'m> {
    fact: Intervals,
    alphas: &'m [u32],
    /// `[levels, targets]`
    factors: &'m [f32],
    targets: usize,
}

/// Where a target lies, in its units.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PredictionInterval {
    /// `mean - factor * sigma`.
    pub low: f32,
    /// `mean + factor * sigma`.
    pub high: f32,
    /// Promised share of intervals that hold the target, between 0 and 1: over calibration examples and
    /// inputs that come from where they came from, sampled in the same way.
    pub coverage: f64,
    gaussian: Gaussian,
    factor: f32,
}

impl<'m> PredictionIntervals<'m> {
    /// `None` if the artifact carries no factors.
    #[must_use]
    pub fn new(model: &Model<'m>) -> Option<Self> {
        let Task::Gaussian(head) = model.manifest().task else { return None };
        let fact = head.intervals?;
        let (alphas, factors) = (model.u32s(fact.alphas), model.f32s(fact.factors));
        Some(Self { fact, alphas, factors, targets: usize::from(model.manifest().outputs / 2) })
    }

    /// What the artifact says of them.
    #[must_use]
    pub fn fact(&self) -> &Intervals {
        &self.fact
    }

    /// Number of levels; level 0 has the greatest coverage.
    #[must_use]
    pub fn levels(&self) -> usize {
        self.alphas.len()
    }

    /// Number of targets.
    #[must_use]
    pub fn targets(&self) -> usize {
        self.targets
    }

    /// Promised coverage of a level, between 0 and 1.
    #[must_use]
    pub fn coverage(&self, level: usize) -> Option<f64> {
        self.alphas.get(level).map(|&alpha| f64::from(1_000_000 - alpha) / 1e6)
    }

    /// Factor of sigma of a target at a level.
    #[must_use]
    pub fn factor(&self, level: usize, target: usize) -> Option<f32> {
        if target >= self.targets {
            return None;
        }
        self.factors.get(level.checked_mul(self.targets)?.checked_add(target)?).copied()
    }

    /// The interval of a target at a level; `None` if there is no such level or target.
    #[must_use]
    pub fn interval(&self, level: usize, target: usize, gaussian: &Gaussian) -> Option<PredictionInterval> {
        let factor = self.factor(level, target)?;
        let half = factor * gaussian.sigma();
        Some(PredictionInterval {
            low: gaussian.mean - half,
            high: gaussian.mean + half,
            coverage: self.coverage(level)?,
            gaussian: *gaussian,
            factor,
        })
    }
}

impl PredictionInterval {
    /// Whether the interval holds `y`: `|y - mean| / sigma <= factor`, as it was calibrated. `low` and `high`
    /// are rounded, and may say otherwise of a value within two rounding steps of them.
    #[must_use]
    pub fn contains(&self, y: f32) -> bool {
        self.gaussian.residual(y) <= self.factor
    }
}
