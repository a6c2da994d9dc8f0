//! The rule of an adaptive number of samples: when the draws of a prediction end.

use serde::{Deserialize, Serialize};

/// When a class is settled, and what was proved of the rule.
///
/// With `samples_min` 0 a prediction begins with the pass of the posterior mean: if the margin of its
/// probabilities (the greatest minus the second) is at least `threshold`, that pass is the result.
/// Otherwise it is left out of the result, and draws follow as in a prediction with `samples_max`
/// samples; after `samples_min` draws or more, at every multiple of `group`, they end if the margin of
/// their mean probabilities is at least `threshold`. A prediction that is never settled is the one with
/// `samples_max` samples, bit for bit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Adaptive<'a> {
    /// Least number of draws; 0 lets the mean pass decide alone.
    pub samples_min: u16,
    /// Greatest number of draws; 1 to 1024.
    pub samples_max: u16,
    /// Draws between two checks; at least 1.
    pub group: u16,
    /// Whether draws come in antithetic pairs.
    pub antithetic: bool,
    /// Margin of probabilities that settles a class, 0 to 1.
    pub threshold: f32,
    /// Greatest share, in millionths, of predictions whose class may differ from that of `samples_max`
    /// samples; above 0 and below 1,000,000.
    pub delta_millionths: u32,
    /// Confidence in it, in millionths; above 0 and below 1,000,000.
    pub confidence_millionths: u32,
    /// Examples that the threshold was fitted on; at least 1.
    pub examples: u32,
    /// Those of them whose class differs.
    pub differing: u32,
    /// Passes that their predictions took on average; 1 to `samples_max + 1`.
    pub mean_passes: f32,
    /// What is guaranteed, and under which conditions, for people.
    pub guarantee: &'a str,
}
