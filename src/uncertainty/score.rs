//! Numbers that say how uncertain a prediction is. Of every one, **more means less certain**: out of
//! distribution, and wrong predictions, should score higher.

use crate::number;
use crate::predict::Classification;

pub use crate::artifact::Score;

impl Score {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::MaxProbability, Self::PredictiveEntropy, Self::ExpectedEntropy, Self::MutualInformation];

    /// The score of a prediction.
    #[must_use]
    pub fn of(self, prediction: &Classification) -> f32 {
        match self {
            Self::MaxProbability => 1.0 - prediction.confidence,
            Self::PredictiveEntropy => prediction.predictive_entropy,
            Self::ExpectedEntropy => prediction.expected_entropy,
            Self::MutualInformation => prediction.mutual_information,
        }
    }

    /// Its name in figures: `max_probability`, `predictive_entropy` ...
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MaxProbability => "max_probability",
            Self::PredictiveEntropy => "predictive_entropy",
            Self::ExpectedEntropy => "expected_entropy",
            Self::MutualInformation => "mutual_information",
        }
    }
}

/// Free energy of one draw's logits, `-t * ln(sum(exp(z / t)))` (Liu et al. 2020, equation 3): more
/// means less evidence for any class. Average it over the draws, shown by
/// [`Predictor::predict_with`](crate::Predictor::predict_with).
#[must_use]
pub fn energy(logits: &[f32], temperature: f32) -> f32 {
    let greatest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = logits.iter().map(|&z| number::exp((z - greatest) / temperature)).sum();
    -greatest - temperature * number::ln(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_certain_scores_higher() {
        let sure = Classification {
            class: 0,
            confidence: 0.99,
            predictive_entropy: 0.05,
            expected_entropy: 0.04,
            mutual_information: 0.01,
        };
        let unsure = Classification {
            class: 0,
            confidence: 0.5,
            predictive_entropy: 1.5,
            expected_entropy: 1.0,
            mutual_information: 0.5,
        };
        for score in Score::ALL {
            assert!(score.of(&unsure) > score.of(&sure), "{score:?}");
        }
        assert!(energy(&[0.5, 0.0, -0.5], 1.0) > energy(&[9.0, 0.0, 0.0], 1.0));
    }

    #[test]
    fn energy_of_known_logits() {
        assert!((energy(&[0.0; 4], 1.0) + 4.0_f32.ln()).abs() < 1e-6);
        assert!((energy(&[3.0, 3.0], 2.0) + 3.0 + 2.0 * 2.0_f32.ln()).abs() < 1e-6);
        assert_eq!(energy(&[1e30, -1e30], 1.0), -1e30);
    }
}
