//! What a prediction returns.

use super::adaptive::Decision;
use super::head::Head;
use super::input::Input;
use crate::artifact::Model;
use crate::uncertainty::Gaussian;
use crate::{kernels, number};

/// Logarithms of variances are taken as if between minus this and this: no variance underflows or
/// overflows, and none is 0.
pub const MAX_LOG_VAR: f32 = 14.0;

/// Result of one prediction; the slices live in the workspace until the next one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction<'a> {
    /// Mean over the draws: class probabilities, or the output values of a regression. Of a Gaussian
    /// regression, in the units of its targets: the means of all targets, then their aleatoric variances.
    /// `[outputs]`
    pub mean: &'a [f32],
    /// Standard deviation over the draws (of the set of draws: divided by their number) of each
    /// entry of `mean`; zero for a single pass. `[outputs]`
    pub spread: &'a [f32],
    /// Number of targets of a Gaussian regression, else 0: see [`Self::gaussian`].
    pub targets: usize,
    /// Mean squared difference of the reconstruction from the input, preprocessed but not quantized;
    /// `None` unless the network is an autoencoder.
    pub reconstruction_error: Option<f32>,
    /// Passes that were averaged.
    pub samples: u16,
    /// Passes through the network that it took: `samples`, and one more if a mean pass came first and
    /// did not settle the class.
    pub passes: u16,
    /// Class and uncertainties; `None` for a regression.
    pub classification: Option<Classification>,
}

impl Prediction<'_> {
    /// Distribution of a target of a Gaussian regression, in the target's units; `None` if there is no such target.
    #[must_use]
    pub fn gaussian(&self, target: usize) -> Option<Gaussian> {
        Gaussian::of_outputs(self.mean, self.spread, self.targets, target)
    }
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
    /// Passes run.
    pub(super) passes: u16,
    /// Sum of the draws' entropies.
    pub(super) entropy: f32,
}

impl<'a> Summary<'a> {
    /// Adds one draw's outputs: logits, which become probabilities, logarithms of variances, which become
    /// variances, or values. The first one starts over.
    pub(super) fn push(&mut self, outputs: &mut [f32], model: &Model<'_>, head: Option<&Head>) {
        self.entropy += match head {
            None => probabilities(model, outputs),
            Some(head) => (head.draw)(model, outputs),
        };
        self.samples += 1;
        let n = f32::from(self.samples);
        let sums = outputs.iter().zip(&mut *self.mean).zip(&mut *self.spread);
        if self.samples == 1 {
            for ((&x, mean), squares) in sums {
                // Not -0: a mean starts at 0.
                *mean = x + 0.0;
                *squares = 0.0;
            }
            return;
        }
        for ((&x, mean), squares) in sums {
            let before = x - *mean;
            *mean += before / n;
            *squares += before * (x - *mean);
        }
    }

    pub(super) fn finish(self, model: &Model<'_>, input: Input<'_>, head: Option<&Head>) -> Prediction<'a> {
        // One at least: there is no prediction without a pass.
        let n = f32::from(self.samples);
        // A single pass has squares of zero already.
        let spread = if self.samples > 1 { &mut *self.spread } else { &mut [] };
        for squares in spread {
            *squares = kernels::sqrt((*squares / n).max(0.0));
        }
        match head {
            None => self.classify(),
            Some(head) => (head.finish)(self, model, input),
        }
    }

    /// The averages as they are.
    pub(super) fn values(self) -> Prediction<'a> {
        Prediction {
            mean: self.mean,
            spread: self.spread,
            targets: 0,
            reconstruction_error: None,
            samples: self.samples,
            passes: self.passes,
            classification: None,
        }
    }

    /// The averages as probabilities of classes.
    pub(super) fn classify(self) -> Prediction<'a> {
        let entropy = self.entropy / f32::from(self.samples);
        let classification = Some(classification(self.mean, entropy));
        Prediction { classification, ..self.values() }
    }
}

/// Logits of one draw become probabilities, whose entropy is returned.
pub(super) fn probabilities(model: &Model<'_>, outputs: &mut [f32]) -> f32 {
    number::softmax(outputs, model.manifest().temperature);
    number::entropy(outputs)
}

fn classification(probabilities: &[f32], expected_entropy: f32) -> Classification {
    let Decision { class, confidence, .. } = Decision::of(probabilities);
    let predictive_entropy = number::entropy(probabilities);
    let mutual_information = (predictive_entropy - expected_entropy).max(0.0);
    Classification { class, confidence, predictive_entropy, expected_entropy, mutual_information }
}
