//! Predictive distribution of a real target.

use crate::number;

/// Mean and variance of a target, in its units; the variance by the law of total variance.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Gaussian {
    /// Mean over the draws of the predicted means.
    pub mean: f32,
    /// Mean over the draws of the predicted variances: what the input leaves open.
    pub aleatoric_variance: f32,
    /// Variance over the draws of the predicted means: what the network does not know.
    pub epistemic_variance: f32,
}

impl Gaussian {
    /// Of one of `targets` from the outputs of a prediction in the targets' units: `mean` has the means of
    /// all targets, then their aleatoric variances, `spread` the standard deviations over the draws of the
    /// same. `None` if there is no such target.
    #[must_use]
    pub fn of_outputs(mean: &[f32], spread: &[f32], targets: usize, target: usize) -> Option<Self> {
        if target >= targets {
            return None;
        }
        let epistemic = *spread.get(target)?;
        Some(Self {
            mean: *mean.get(target)?,
            aleatoric_variance: *mean.get(targets.checked_add(target)?)?,
            epistemic_variance: epistemic * epistemic,
        })
    }

    /// Total variance.
    #[must_use]
    pub fn variance(&self) -> f32 {
        self.aleatoric_variance + self.epistemic_variance
    }

    /// Standard deviation, the root of the total variance.
    #[must_use]
    pub fn sigma(&self) -> f32 {
        number::sqrt(self.variance())
    }

    /// Normalised residual `|y - mean| / sigma`: the score of prediction intervals.
    #[must_use]
    pub fn residual(&self, y: f32) -> f32 {
        (y - self.mean).abs() / self.sigma()
    }

    /// Negative log likelihood of `y`, nats: `(ln(2 pi variance) + (y - mean)^2 / variance) / 2`, of the
    /// Gaussian with the mean and the total variance.
    #[must_use]
    pub fn nll(&self, y: f32) -> f64 {
        const HALF_LN_2_PI: f64 = 0.918_938_533_204_672_7;
        let (variance, distance) = (f64::from(self.variance()), f64::from(y) - f64::from(self.mean));
        HALF_LN_2_PI + 0.5 * (libm::log(variance) + distance * distance / variance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_targets_by_hand() {
        let (mean, spread) = ([1.0, -2.0, 3.0, 0.0], [1.0, 0.5, 9.0, 9.0]);
        let g = Gaussian::of_outputs(&mean, &spread, 2, 0).unwrap();
        assert_eq!(g, Gaussian { mean: 1.0, aleatoric_variance: 3.0, epistemic_variance: 1.0 });
        assert_eq!((g.sigma(), g.residual(-2.0), g.residual(4.0)), (2.0, 1.5, 1.5));
        let expected = 0.5 * (2.0 * std::f64::consts::PI * 4.0).ln() + 9.0 / 8.0;
        assert!((g.nll(4.0) - expected).abs() < 1e-12);
        assert_eq!(Gaussian::of_outputs(&mean, &spread, 2, 1).unwrap().variance(), 0.25);
        assert_eq!(Gaussian::of_outputs(&mean, &spread, 2, 2), None);
        assert_eq!(Gaussian::of_outputs(&mean[..3], &spread, 2, 1), None);
        assert_eq!(Gaussian::of_outputs(&mean, &spread, usize::MAX, 1), None);
    }
}
