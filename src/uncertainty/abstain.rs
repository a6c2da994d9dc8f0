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
    pub fn of(config: &Config) -> Self {
        let num_samples = match config.samples {
            Samples::Mean => 0,
            Samples::MonteCarlo(num_samples) => num_samples,
        };
        let fresh = config.draws == Draws::Fresh;
        Self { num_samples, adaptive: false, seed: config.seed, fresh, antithetic: config.antithetic }
    }

    /// Whether predictions made with these settings are those that a guarantee was fitted for. The seed
    /// matters only for draws that all inputs share: fresh draws of any seed are alike.
    #[must_use]
    pub fn covers(&self, config: &Config) -> bool {
        let other = Self::of(config);
        let same_seed = self.fresh || self.seed == other.seed || self.num_samples == 0;
        let alike = Self { seed: other.seed, ..*self } == other;
        let mean = self.num_samples == 0 && other.num_samples == 0;
        mean || (alike && same_seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_covers_what_is_sampled_alike() {
        let config = Config::default();
        let policy = SamplingPolicy::of(&config);
        assert!(policy.covers(&config) && policy.covers(&Config { seed: 9, tile: 4, ..config }));
        assert!(!policy.covers(&Config { samples: Samples::MonteCarlo(4), ..config }));
        assert!(!policy.covers(&Config { antithetic: false, ..config }));
        let fixed = Config { draws: Draws::Fixed, ..config };
        assert!(!policy.covers(&fixed) && SamplingPolicy::of(&fixed).covers(&fixed));
        assert!(!SamplingPolicy::of(&fixed).covers(&Config { seed: 9, ..fixed }));
        let mean = Config { samples: Samples::Mean, ..config };
        assert!(SamplingPolicy::of(&mean).covers(&Config { seed: 9, draws: Draws::Fixed, ..mean }));
    }
}
