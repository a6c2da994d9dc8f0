//! Answer or abstain, and whether a guarantee covers how predictions are made.

use super::Score;
use crate::artifact::{Abstention, Model, SamplingPolicy};
use crate::predict::{Classification, Config, Draws, Samples};

/// The artifact's rule of when to answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AbstentionRule {
    fact: Abstention,
}

impl AbstentionRule {
    /// `None` if the artifact carries no rule.
    #[must_use]
    pub fn new(model: &Model<'_>) -> Option<Self> {
        model.manifest().abstention.map(|fact| Self { fact })
    }

    /// What the artifact says of it.
    #[must_use]
    pub fn fact(&self) -> &Abstention {
        &self.fact
    }

    /// Whether to answer with this prediction.
    #[must_use]
    pub fn accepts(&self, prediction: &Classification) -> bool {
        self.score(prediction) <= self.fact.threshold
    }

    /// The score that the rule compares.
    #[must_use]
    pub fn score(&self, prediction: &Classification) -> f32 {
        Score::of(self.fact.score, prediction)
    }
}

impl SamplingPolicy {
    /// The policy of predictions made with these settings.
    #[must_use]
    pub fn of(model: &Model<'_>, config: &Config) -> Self {
        let num_samples = match config.samples {
            _ if model.manifest().posterior.is_none() => 0,
            Samples::Mean => 0,
            samples => samples.most(model),
        };
        let adaptive = config.samples == Samples::Adaptive && num_samples > 0;
        let fresh = config.draws == Draws::Fresh;
        Self { num_samples, adaptive, seed: config.seed, fresh, antithetic: config.antithetic }
    }

    /// Whether predictions made with these settings are those that a guarantee was fitted for. The seed
    /// matters only for draws that all inputs share: fresh draws of any seed are alike.
    #[must_use]
    pub fn covers(&self, model: &Model<'_>, config: &Config) -> bool {
        self.covers_policy(&Self::of(model, config))
    }

    /// As [`Self::covers`], for predictions that somebody else made, such as a device.
    #[must_use]
    pub fn covers_policy(&self, other: &Self) -> bool {
        let same_seed = self.fresh || self.seed == other.seed || self.num_samples == 0;
        let alike = Self { seed: other.seed, ..*self } == *other;
        let mean = self.num_samples == 0 && other.num_samples == 0;
        mean || (alike && same_seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_covers_what_is_sampled_alike() {
        let policy =
            SamplingPolicy { num_samples: 8, adaptive: false, seed: 1, fresh: true, antithetic: true };
        let covers = |a: SamplingPolicy, b: SamplingPolicy| a.covers_policy(&b);
        assert!(covers(policy, policy) && covers(policy, SamplingPolicy { seed: 9, ..policy }));
        for other in [
            SamplingPolicy { num_samples: 4, ..policy },
            SamplingPolicy { num_samples: 0, ..policy },
            SamplingPolicy { adaptive: true, ..policy },
            SamplingPolicy { fresh: false, ..policy },
            SamplingPolicy { antithetic: false, ..policy },
        ] {
            assert!(!covers(policy, other) && !covers(other, policy), "{other:?}");
        }
        let fixed = SamplingPolicy { fresh: false, ..policy };
        assert!(covers(fixed, fixed) && !covers(fixed, SamplingPolicy { seed: 9, ..fixed }));
        let mean = SamplingPolicy { num_samples: 0, ..policy };
        assert!(covers(mean, SamplingPolicy { seed: 9, fresh: false, ..mean }));
    }
}
