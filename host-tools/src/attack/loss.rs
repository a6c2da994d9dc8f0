//! What attacks climb: losses of the averaged prediction, in terms of the logarithm of its mean
//! probabilities.

use serde::{Deserialize, Serialize};

/// A loss to be made large.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// Cross-entropy of the mean probabilities.
    CrossEntropy,
    /// Difference of logits ratio (Croce and Hein 2020), of the logarithms of the mean probabilities: of a
    /// single draw, that of the logits. Needs three classes.
    Dlr,
}

/// Keeps a ratio finite where all classes are alike.
const TINY: f64 = 1e-12;

impl Loss {
    /// The loss of one example and its derivative with respect to `log_mean`, the logarithms of the mean
    /// probabilities, `[classes]`.
    #[must_use]
    pub fn of(self, log_mean: &[f64], label: usize) -> (f64, Vec<f64>) {
        let mut derivative = vec![0.0; log_mean.len()];
        if self == Self::CrossEntropy || log_mean.len() < 3 {
            derivative[label] = -1.0;
            return (-log_mean[label], derivative);
        }
        let mut order: Vec<usize> = (0..log_mean.len()).collect();
        order.sort_by(|&a, &b| log_mean[b].total_cmp(&log_mean[a]));
        let rival = if order[0] == label { order[1] } else { order[0] };
        let span = log_mean[order[0]] - log_mean[order[2]] + TINY;
        let gap = log_mean[label] - log_mean[rival];
        derivative[label] -= 1.0 / span;
        derivative[rival] += 1.0 / span;
        derivative[order[0]] += gap / (span * span);
        derivative[order[2]] -= gap / (span * span);
        (-gap / span, derivative)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derivatives_are_the_differences() {
        for (z, label) in
            [([-0.3, -2.0, -1.6, -3.0], 0), ([-0.3, -2.0, -1.6, -3.0], 1), ([-2.0, -0.4, -1.5, -4.0], 3)]
        {
            for loss in [Loss::CrossEntropy, Loss::Dlr] {
                let (_, derivative) = loss.of(&z, label);
                for class in 0..z.len() {
                    let moved = |by: f64| {
                        let mut z = z;
                        z[class] += by;
                        loss.of(&z, label).0
                    };
                    let wanted = (moved(1e-6) - moved(-1e-6)) / 2e-6;
                    assert!((derivative[class] - wanted).abs() < 1e-6, "{loss:?} {class}");
                }
            }
        }
    }

    /// The formula of the paper, by hand: z = (5, 3, 1), label 0: -(5 - 3) / (5 - 1).
    #[test]
    fn the_ratio_is_that_of_the_paper_and_ignores_scale_and_shift() {
        assert!((Loss::Dlr.of(&[5.0, 3.0, 1.0], 0).0 + 0.5).abs() < 1e-9);
        assert!((Loss::Dlr.of(&[107.0, 103.0, 99.0], 0).0 + 0.5).abs() < 1e-9);
        assert!((Loss::Dlr.of(&[5.0, 3.0, 1.0], 1).0 - 0.5).abs() < 1e-9);
    }
}
