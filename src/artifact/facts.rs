//! What was fitted after quantization, through the runtime's own predictions: thresholds of
//! prediction sets and of abstention, factors of prediction intervals, and the references of the drift
//! monitor and of anomaly scores.

use super::manifest::Blob;
use serde::{Deserialize, Serialize};

/// A number that says how uncertain a prediction is; of every one, more means less certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Score {
    /// One minus the greatest mean probability, 0 to below 1.
    MaxProbability,
    /// Entropy of the mean probabilities, nats: total uncertainty.
    PredictiveEntropy,
    /// Mean entropy of the draws' probabilities, nats: aleatoric uncertainty.
    ExpectedEntropy,
    /// The first entropy minus the second, nats: epistemic uncertainty. 0 where there is no noise.
    MutualInformation,
}

/// How predictions were sampled when something was fitted on them. A guarantee holds for predictions
/// that are sampled in the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SamplingPolicy {
    /// Draws of a prediction; the greatest number, where they are adaptive; 0 for one pass without noise.
    pub num_samples: u16,
    /// Whether the artifact's adaptive rule ended the draws.
    pub adaptive: bool,
    /// Seed of the draws. Plays a part only for draws that all inputs share.
    pub seed: u64,
    /// Whether every prediction had draws of its own.
    pub fresh: bool,
    /// Whether draws came in antithetic pairs.
    pub antithetic: bool,
}

/// Thresholds of prediction sets (split conformal prediction).
///
/// A class is in the set if its score is at most the threshold; see
/// [`crate::uncertainty::SetMethod`] for the scores. Thresholds are the calibration score of rank
/// `ceil((n + 1) (1 - alpha))`, without interpolation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Conformal {
    /// How the calibration examples were predicted.
    pub policy: SamplingPolicy,
    /// Calibration examples; at least 1.
    pub examples: u32,
    /// One threshold a class, from the examples of that class (Mondrian), instead of one for all.
    pub class_conditional: bool,
    /// Whether APS and RAPS count a random share of a class's own probability, as they do for exact
    /// coverage, instead of none of it, for sets that always hold the predicted class.
    pub randomized: bool,
    /// RAPS: penalty for each class beyond `raps_rank`; finite and not negative.
    pub raps_lambda: f32,
    /// RAPS: classes without a penalty; at least 1.
    pub raps_rank: u16,
    /// u32 in millionths, strictly increasing between 0 and 1,000,000, both excluded: shares of sets
    /// that may miss the label. `[levels]`
    pub alphas: Blob,
    /// f32, finite. `[3 methods (LAC, APS, RAPS), levels, 1 or classes]`
    pub thresholds: Blob,
}

/// When to answer.
///
/// With probability `confidence` over the calibration examples, at most a share `risk` of the accepted
/// predictions is wrong, where inputs come as they came for calibration.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Abstention {
    /// How the calibration examples were predicted.
    pub policy: SamplingPolicy,
    /// The score that is compared.
    pub score: Score,
    /// Predictions with at most this score are accepted; finite.
    pub threshold: f32,
    /// Greatest share of wrong ones among the accepted, in millionths; below 1,000,000.
    pub risk_millionths: u32,
    /// Confidence in it, in millionths; below 1,000,000.
    pub confidence_millionths: u32,
    /// Calibration examples; at least 1.
    pub examples: u32,
    /// Those that the threshold accepts; at least 1 and at most `examples`.
    pub accepted: u32,
    /// Wrong ones among them.
    pub errors: u32,
}

/// Reference of the drift monitor: where uncertainty scores lie while nothing has changed, and what is
/// bet against it.
///
/// `bins - 1` thresholds divide the scores into bins: bin `j` holds those above exactly `j` of them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// How the reference examples were predicted.
    pub policy: SamplingPolicy,
    /// The score that is watched.
    pub score: Score,
    /// Reference examples; at least 1.
    pub examples: u32,
    /// Greatest probability that a stream without drift ever raises the alarm, in millionths: the
    /// reference's and the bets' together. Below 1,000,000.
    pub false_alarm_millionths: u32,
    /// The share of it that pays for the reference being a sample; below `false_alarm_millionths`.
    pub reference_millionths: u32,
    /// f32, finite, strictly increasing. `[bins - 1]`, 1 to 255 of them.
    pub thresholds: Blob,
    /// f32: with confidence `1 - reference / 1,000,000` for all together, the probabilities of a score
    /// above each threshold are at most these. Not increasing, 0 to 1. `[bins - 1]`
    pub above: Blob,
    /// f32: likewise of a score at or below each threshold. Not decreasing, 0 to 1. `[bins - 1]`
    pub below: Blob,
    /// f32, 0 to 2^20: by how much each bet multiplies its stake where a score falls in a bin. No bet
    /// may gain on average while the bounds hold: the loader proves that its mean is at most
    /// `1 - 2^-21`, which leaves room for the rounding of the products. `[1 to 8 bets, bins]`
    pub bets: Blob,
}

/// Factors of prediction intervals of a Gaussian regression (split conformal prediction with normalised
/// residuals).
///
/// The interval of a target is `mean - factor * sigma` to `mean + factor * sigma`, with sigma the root of
/// aleatoric plus epistemic variance. A factor is the calibration score `|y - mean| / sigma` of rank
/// `ceil((n + 1) (1 - alpha))`, without interpolation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intervals {
    /// How the calibration examples were predicted.
    pub policy: SamplingPolicy,
    /// Calibration examples; at least 1.
    pub examples: u32,
    /// u32 in millionths, strictly increasing between 0 and 1,000,000, both excluded: shares of intervals
    /// that may miss the target. `[levels]`
    pub alphas: Blob,
    /// f32, finite, not negative, not increasing from one level to the next. `[levels, targets]`
    pub factors: Blob,
}

/// Reference of the anomaly score of an autoencoder: where reconstruction errors of normal inputs lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anomaly {
    /// How the reference examples were predicted.
    pub policy: SamplingPolicy,
    /// Reference examples; at least 1.
    pub examples: u32,
    /// f32, finite, not negative, strictly increasing: reconstruction errors of reference examples. `[1 or more]`
    pub scores: Blob,
    /// u32, strictly decreasing, the first below `examples`: reference examples with an error above each.
    pub above: Blob,
}
