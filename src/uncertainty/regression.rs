//! Streaming figures of real targets, the same on host and device.

use super::{Gaussian, PredictionInterval};
use serde::{Deserialize, Serialize};

/// Running root mean squared error, mean absolute error, negative log likelihood and uncertainty of one
/// target.
///
/// Sums are f64 in the order of [`Self::push`]; merging parts in a fixed order gives fixed bits.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Regression {
    count: u64,
    squared: f64,
    absolute: f64,
    nll: f64,
    aleatoric: f64,
    epistemic: f64,
}

impl Regression {
    /// No prediction yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one prediction of the target `y`.
    ///
    /// Returns `false`, and counts nothing, unless all numbers are finite and the variance is positive.
    pub fn push(&mut self, gaussian: &Gaussian, y: f32) -> bool {
        let distance = f64::from(y) - f64::from(gaussian.mean);
        let (variance, nll) = (gaussian.variance(), gaussian.nll(y));
        let usable = distance.is_finite() && variance.is_finite() && variance > 0.0 && nll.is_finite();
        if usable {
            self.count += 1;
            self.squared += distance * distance;
            self.absolute += distance.abs();
            self.nll += nll;
            self.aleatoric += f64::from(gaussian.aleatoric_variance);
            self.epistemic += f64::from(gaussian.epistemic_variance);
        }
        usable
    }

    /// Adds all predictions of another part.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.squared += other.squared;
        self.absolute += other.absolute;
        self.nll += other.nll;
        self.aleatoric += other.aleatoric;
        self.epistemic += other.epistemic;
    }

    /// Predictions counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Root of the mean squared error, in the target's units; 0 without predictions.
    #[must_use]
    pub fn rmse(&self) -> f64 {
        libm::sqrt(self.mean(self.squared))
    }

    /// Mean absolute error, in the target's units.
    #[must_use]
    pub fn mae(&self) -> f64 {
        self.mean(self.absolute)
    }

    /// Mean negative log likelihood of the Gaussians, nats.
    #[must_use]
    pub fn nll(&self) -> f64 {
        self.mean(self.nll)
    }

    /// Mean aleatoric variance, in the target's units squared.
    #[must_use]
    pub fn aleatoric_variance(&self) -> f64 {
        self.mean(self.aleatoric)
    }

    /// Mean epistemic variance, in the target's units squared.
    #[must_use]
    pub fn epistemic_variance(&self) -> f64 {
        self.mean(self.epistemic)
    }

    fn mean(&self, sum: f64) -> f64 {
        if self.count == 0 { 0.0 } else { sum / self.count as f64 }
    }
}

/// Running coverage and width of prediction intervals of one target and level.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct IntervalFigures {
    count: u64,
    covered: u64,
    width: f64,
}

impl IntervalFigures {
    /// No interval yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the interval of one prediction of the target `y`.
    pub fn push(&mut self, interval: &PredictionInterval, y: f32) {
        self.push_bounds(interval.low, interval.high, interval.contains(y));
    }

    /// Adds an interval from `low` to `high` that holds the target or not.
    pub fn push_bounds(&mut self, low: f32, high: f32, covered: bool) {
        self.count += 1;
        self.covered += u64::from(covered);
        self.width += f64::from(high) - f64::from(low);
    }

    /// Adds all intervals of another part.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.covered += other.covered;
        self.width += other.width;
    }

    /// Intervals counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Those that hold their target.
    #[must_use]
    pub fn covered(&self) -> u64 {
        self.covered
    }

    /// Share of intervals that hold their target, 0 to 1; 0 without intervals.
    #[must_use]
    pub fn coverage(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.covered as f64 / self.count as f64 }
    }

    /// Mean width, in the target's units; 0 without intervals.
    #[must_use]
    pub fn mean_width(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.width / self.count as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gaussian(mean: f32, aleatoric_variance: f32, epistemic_variance: f32) -> Gaussian {
        Gaussian { mean, aleatoric_variance, epistemic_variance }
    }

    #[test]
    fn three_predictions_by_hand_and_in_parts() {
        let rows = [
            (gaussian(1.0, 1.0, 0.0), 4.0),
            (gaussian(0.0, 3.0, 1.0), 0.0),
            (gaussian(-1.0, 0.5, 0.5), -2.0),
        ];
        let (mut whole, mut left, mut right) = (Regression::new(), Regression::new(), Regression::new());
        for (i, (g, y)) in rows.iter().enumerate() {
            assert!(whole.push(g, *y) && if i < 2 { left.push(g, *y) } else { right.push(g, *y) });
        }
        left.merge(&right);
        assert_eq!(left, whole);
        assert_eq!((whole.count(), whole.mae()), (3, 4.0 / 3.0));
        assert!((whole.rmse() - (10.0_f64 / 3.0).sqrt()).abs() < 1e-12);
        assert_eq!((whole.aleatoric_variance(), whole.epistemic_variance()), (1.5, 0.5));
        let nll = 1.5 * (2.0 * std::f64::consts::PI).ln() + 0.5 * (9.0 + 4.0_f64.ln() + 1.0);
        assert!((whole.nll() - nll / 3.0).abs() < 1e-12);
    }

    #[test]
    fn what_is_not_finite_is_not_counted() {
        let mut figures = Regression::new();
        for (g, y) in [
            (gaussian(f32::NAN, 1.0, 0.0), 0.0),
            (gaussian(0.0, 0.0, 0.0), 0.0),
            (gaussian(0.0, f32::INFINITY, 0.0), 0.0),
            (gaussian(0.0, 1.0, 0.0), f32::INFINITY),
        ] {
            assert!(!figures.push(&g, y), "{g:?} {y}");
        }
        assert_eq!(figures, Regression::new());
        assert_eq!((figures.rmse(), figures.nll()), (0.0, 0.0));
    }

    #[test]
    fn coverage_and_width_merge() {
        let (mut figures, mut other) = (IntervalFigures::new(), IntervalFigures::new());
        figures.push_bounds(-1.0, 1.0, true);
        other.push_bounds(0.0, 4.0, false);
        figures.merge(&other);
        assert_eq!((figures.count(), figures.coverage(), figures.mean_width()), (2, 0.5, 3.0));
    }
}
