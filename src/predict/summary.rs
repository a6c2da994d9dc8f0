//! What a prediction returns.

use super::adaptive::Decision;
use crate::{kernels, number};

/// Result of one prediction; the slices live in the workspace until the next one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction<'a> {
    /// Mean over the draws: class probabilities, or the output values of a regression.
    /// `[outputs]`
    pub mean: &'a [f32],
    /// Standard deviation over the draws (of the set of draws: divided by their number) of each
    /// entry of `mean`; zero for a single pass. `[outputs]`
    pub spread: &'a [f32],
    /// Passes that were averaged.
    pub samples: u16,
    /// Passes through the network that it took: `samples`, and one more if a mean pass came first and
    /// did not settle the class.
    pub passes: u16,
    /// Class and uncertainties; `None` for a regression.
    pub classification: Option<Classification>,
}

/// Decision and uncertainties of a classification, in nats where they are entropies.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Classification {
    /// Class of the greatest mean probability; the least index of equal ones.
    pub class: u16,
    /// Its mean probability.
    pub confidence: f32,
    /// Total uncertainty: entropy of the mean probabilities.
    pub predictive_entropy: f32,
    /// Aleatoric uncertainty: mean entropy of the draws' probabilities.
    pub expected_entropy: f32,
    /// Epistemic uncertainty: entropy of the mean minus mean entropy; never below 0.
    pub mutual_information: f32,
}

/// Running mean and variance of the draws (Welford), in the order of the draws.
#[derive(Debug)]
pub(super) struct Summary<'a> {
    pub(super) mean: &'a mut [f32],
    /// Sum of squared distances from the mean; at the end the standard deviation.
    pub(super) spread: &'a mut [f32],
    pub(super) samples: u16,
    /// Sum of the draws' entropies.
    pub(super) entropy: f32,
}

impl<'a> Summary<'a> {
    /// Starts over.
    pub(super) fn clear(mean: &mut [f32], spread: &mut [f32]) {
        mean.fill(0.0);
        spread.fill(0.0);
    }

    /// Goes on after `samples` draws.
    pub(super) fn resume(mean: &'a mut [f32], spread: &'a mut [f32], samples: u16, entropy: f32) -> Self {
        Self { mean, spread, samples, entropy }
    }

    /// Adds one draw's outputs: logits, which become probabilities, or values.
    pub(super) fn push(&mut self, outputs: &mut [f32], temperature: Option<f32>) {
        if let Some(temperature) = temperature {
            number::softmax(outputs, temperature);
            self.entropy += number::entropy(outputs);
        }
        self.samples += 1;
        let n = f32::from(self.samples);
        for ((&x, mean), squares) in outputs.iter().zip(&mut *self.mean).zip(&mut *self.spread) {
            let before = x - *mean;
            *mean += before / n;
            *squares += before * (x - *mean);
        }
    }

    pub(super) fn finish(self, classify: bool, passes: u16) -> Prediction<'a> {
        let n = f32::from(self.samples.max(1));
        // A single pass has squares of zero already.
        let spread = if self.samples > 1 { &mut *self.spread } else { &mut [] };
        for squares in spread {
            *squares = kernels::sqrt((*squares / n).max(0.0));
        }
        let mean: &'a [f32] = self.mean;
        let classification = classify.then(|| classification(mean, self.entropy / n));
        Prediction { mean, spread: self.spread, samples: self.samples, passes, classification }
    }
}

fn classification(probabilities: &[f32], expected_entropy: f32) -> Classification {
    let Decision { class, confidence, .. } = Decision::of(probabilities);
    let predictive_entropy = number::entropy(probabilities);
    let mutual_information = (predictive_entropy - expected_entropy).max(0.0);
    Classification { class, confidence, predictive_entropy, expected_entropy, mutual_information }
}
