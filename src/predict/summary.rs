//! What a prediction returns.

use super::adaptive::Decision;
use crate::artifact::{Model, Task};
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

    /// Adds one draw's outputs: logits, which become probabilities, logarithms of variances, which become
    /// variances, or values.
    pub(super) fn push(&mut self, outputs: &mut [f32], model: &Model<'_>) {
        match model.manifest().task {
            Task::Classification => {
                number::softmax(outputs, model.manifest().temperature);
                self.entropy += number::entropy(outputs);
            }
            Task::Gaussian(_) => {
                let targets = outputs.len() / 2;
                for log_var in outputs.iter_mut().skip(targets) {
                    *log_var = number::exp(log_var.clamp(-MAX_LOG_VAR, MAX_LOG_VAR));
                }
            }
            Task::Regression | Task::Reconstruction(_) => {}
        }
        self.samples += 1;
        let n = f32::from(self.samples);
        for ((&x, mean), squares) in outputs.iter().zip(&mut *self.mean).zip(&mut *self.spread) {
            let before = x - *mean;
            *mean += before / n;
            *squares += before * (x - *mean);
        }
    }

    pub(super) fn finish(self, model: &Model<'_>, passes: u16) -> Prediction<'a> {
        let n = f32::from(self.samples.max(1));
        // A single pass has squares of zero already.
        let spread = if self.samples > 1 { &mut *self.spread } else { &mut [] };
        for squares in spread {
            *squares = kernels::sqrt((*squares / n).max(0.0));
        }
        let targets = to_target_units(model, self.mean, self.spread);
        let mean: &'a [f32] = self.mean;
        let classify = model.manifest().task == Task::Classification;
        Prediction {
            mean,
            spread: self.spread,
            samples: self.samples,
            passes,
            targets,
            reconstruction_error: None,
            classification: classify.then(|| classification(mean, self.entropy / n)),
        }
    }
}

/// Brings means and variances of a Gaussian regression from the units of training into those of its
/// targets, whose number is returned; 0 for other tasks.
fn to_target_units(model: &Model<'_>, mean: &mut [f32], spread: &mut [f32]) -> usize {
    let Task::Gaussian(head) = model.manifest().task else { return 0 };
    let targets = mean.len() / 2;
    let (means, variances) = mean.split_at_mut(targets.min(mean.len()));
    let (spreads, variance_spreads) = spread.split_at_mut(targets.min(spread.len()));
    let units = model.f32s(head.target_mean).iter().zip(model.f32s(head.target_std));
    let values = means.iter_mut().zip(variances).zip(spreads.iter_mut().zip(variance_spreads));
    for ((&target_mean, &std), ((mean, variance), (spread, variance_spread))) in units.zip(values) {
        *mean = *mean * std + target_mean;
        *spread *= std;
        *variance *= std * std;
        *variance_spread *= std * std;
    }
    targets
}

fn classification(probabilities: &[f32], expected_entropy: f32) -> Classification {
    let Decision { class, confidence, .. } = Decision::of(probabilities);
    let predictive_entropy = number::entropy(probabilities);
    let mutual_information = (predictive_entropy - expected_entropy).max(0.0);
    Classification { class, confidence, predictive_entropy, expected_entropy, mutual_information }
}
