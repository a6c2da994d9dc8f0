//! Streaming calibration metrics, the same on host and device.

use crate::number;
use serde::{Deserialize, Serialize};

/// Equal-width confidence bins of the expected calibration error: `(i/15, (i+1)/15]`.
pub const BINS: usize = 15;

/// Probabilities below this count as this in the negative log-likelihood: the least normal f32
/// times 2^23 would be ln = -71; this one, 2^-52, is ln = -36.04, the precision of an f64 average.
pub const PROBABILITY_FLOOR: f32 = 2.220_446e-16;

/// One bin of confidences.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Bin {
    /// Predictions in it.
    pub count: u64,
    /// Those that are right.
    pub correct: u64,
    /// Sum of their confidences.
    pub confidence: f64,
}

impl Bin {
    /// Share of right predictions, 0 to 1; `None` for an empty bin, which has no point in a
    /// reliability diagram.
    #[must_use]
    pub fn accuracy(&self) -> Option<f64> {
        (self.count > 0).then(|| self.correct as f64 / self.count as f64)
    }

    /// Mean confidence, 0 to 1; `None` for an empty bin.
    #[must_use]
    pub fn mean_confidence(&self) -> Option<f64> {
        (self.count > 0).then(|| self.confidence / self.count as f64)
    }

    /// Adds one prediction, which is right or wrong.
    pub(super) fn push(&mut self, confidence: f32, correct: bool) {
        self.count += 1;
        self.correct += u64::from(correct);
        self.confidence += f64::from(confidence);
    }

    /// Adds another part's predictions.
    pub(super) fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.correct += other.correct;
        self.confidence += other.confidence;
    }

    /// Distance of right predictions from the expected number of them; 0 for an empty bin.
    pub(super) fn gap(&self) -> f64 {
        (self.correct as f64 - self.confidence).abs()
    }
}

/// What one prediction adds to the figures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    /// Greatest probability.
    pub confidence: f32,
    /// Whether its class is the label.
    pub correct: bool,
    /// Negative log-likelihood of the label, nats.
    pub nll: f64,
    /// Squared distance from the label's one-hot vector.
    pub brier: f64,
}

impl Scored {
    /// Scores one prediction. The predicted class is the greatest probability, the first of equal ones.
    ///
    /// `None` if `label` is no index of `probabilities`, or one of them is not between 0 and 1.001
    /// (NaN included): f32 probabilities may sum to a little more than 1.
    #[must_use]
    pub fn new(probabilities: &[f32], label: usize) -> Option<Self> {
        let right = *probabilities.get(label)?;
        if !are_probabilities(probabilities) {
            return None;
        }
        let (mut class, mut confidence) = (0, f32::NEG_INFINITY);
        for (index, &p) in probabilities.iter().enumerate() {
            if p > confidence {
                (class, confidence) = (index, p);
            }
        }
        let brier = probabilities
            .iter()
            .enumerate()
            .map(|(index, &p)| f64::from(p) - if index == label { 1.0 } else { 0.0 })
            .map(|distance| distance * distance)
            .sum::<f64>();
        let nll = -f64::from(number::ln(right.max(PROBABILITY_FLOOR)));
        Some(Self { confidence, correct: class == label, nll, brier })
    }
}

/// Whether all are between 0 and 1.001, see [`Scored::new`]; NaN is not.
pub(super) fn are_probabilities(values: &[f32]) -> bool {
    values.iter().all(|p| (0.0..=1.001).contains(p))
}

/// Running accuracy, negative log-likelihood, Brier score and calibration error of class
/// probabilities.
///
/// Sums are f64 in the order of [`Self::push`]; merging parts in a fixed order gives fixed bits.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Calibration {
    count: u64,
    correct: u64,
    nll: f64,
    brier: f64,
    bins: [Bin; BINS],
}

impl Calibration {
    /// No prediction yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one prediction, see [`Scored::new`].
    ///
    /// Returns `false`, and counts nothing, if `label` is no index of `probabilities` or one of them is
    /// no probability.
    pub fn push(&mut self, probabilities: &[f32], label: usize) -> bool {
        let scored = Scored::new(probabilities, label);
        if let Some(scored) = &scored {
            self.push_scored(scored);
        }
        scored.is_some()
    }

    /// Adds one prediction that was scored before.
    pub fn push_scored(&mut self, scored: &Scored) {
        self.count += 1;
        self.correct += u64::from(scored.correct);
        self.nll += scored.nll;
        self.brier += scored.brier;
        self.bins[bin_of(scored.confidence)].push(scored.confidence, scored.correct);
    }

    /// Adds all predictions of another part.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.correct += other.correct;
        self.nll += other.nll;
        self.brier += other.brier;
        self.bins.iter_mut().zip(&other.bins).for_each(|(bin, other)| bin.merge(other));
    }

    /// Predictions counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Right predictions.
    #[must_use]
    pub fn correct(&self) -> u64 {
        self.correct
    }

    /// Share of right predictions, 0 to 1; 0 without predictions.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        self.mean(self.correct as f64)
    }

    /// Mean negative log-likelihood in nats, of probabilities of at least [`PROBABILITY_FLOOR`].
    #[must_use]
    pub fn nll(&self) -> f64 {
        self.mean(self.nll)
    }

    /// Mean Brier score, the squared distances summed over classes: 0 to 2.
    #[must_use]
    pub fn brier(&self) -> f64 {
        self.mean(self.brier)
    }

    /// Expected calibration error with [`BINS`] equal-width bins (Guo et al. 2017, equation 3).
    #[must_use]
    pub fn ece(&self) -> f64 {
        self.mean(self.bins.iter().map(Bin::gap).sum())
    }

    /// Maximum calibration error: the greatest distance of accuracy from mean confidence in a bin that
    /// is not empty (Guo et al. 2017, equation 5); 0 without predictions.
    #[must_use]
    pub fn mce(&self) -> f64 {
        let gaps = self.bins.iter().filter(|bin| bin.count > 0).map(|bin| bin.gap() / bin.count as f64);
        gaps.fold(0.0, f64::max)
    }

    /// The bins, for a reliability diagram.
    #[must_use]
    pub fn bins(&self) -> &[Bin; BINS] {
        &self.bins
    }

    fn mean(&self, sum: f64) -> f64 {
        if self.count == 0 { 0.0 } else { sum / self.count as f64 }
    }
}

/// The bin `(i/15, (i+1)/15]` of a confidence, with 0 in the first and 1 in the last.
pub(super) fn bin_of(confidence: f32) -> usize {
    // f64 boundaries: an f32 is never exactly on one but for 0, 3/15 ... that are no binary fractions.
    (0..BINS - 1).position(|i| f64::from(confidence) <= (i + 1) as f64 / BINS as f64).unwrap_or(BINS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_predictions_by_hand() {
        let mut metrics = Calibration::new();
        assert!(metrics.push(&[0.5, 0.25, 0.25], 0));
        assert!(metrics.push(&[0.5, 0.5, 0.0], 1)); // the first of equal ones: wrong
        assert!(metrics.push(&[0.0, 0.0, 1.0], 2));
        assert!(metrics.push(&[0.25, 0.0, 0.75], 1)); // probability 0: the floor
        assert!(!metrics.push(&[1.0, 0.0], 2));
        assert!(!metrics.push(&[f32::NAN, 0.0], 1) && !metrics.push(&[-0.1, 1.1], 1));
        assert_eq!(metrics.count(), 4);
        assert_eq!(metrics.accuracy(), 0.5);
        let nll = (2.0 * 0.5_f64.ln().abs() + 0.0 + 52.0 * 2.0_f64.ln()) / 4.0;
        assert!((metrics.nll() - nll).abs() < 1e-6, "{} {nll}", metrics.nll());
        let brier = (0.375 + 0.5 + 0.0 + (0.0625 + 1.0 + 0.5625)) / 4.0;
        assert!((metrics.brier() - brier).abs() < 1e-12);
        // Bins: 0.5 twice (one right): gap 0 of 2; 1.0: gap 0; 0.75 wrong: gap 0.75.
        assert!((metrics.ece() - 0.75 / 4.0).abs() < 1e-12);
        assert_eq!(metrics.mce(), 0.75);
        assert_eq!(
            (metrics.bins()[7].accuracy(), metrics.bins()[7].mean_confidence()),
            (Some(0.5), Some(0.5))
        );
        assert_eq!(metrics.bins()[0].accuracy(), None);
    }

    #[test]
    fn parts_merge_to_the_whole() {
        let rows: [[f32; 2]; 6] =
            [[0.5, 0.5], [0.125, 0.875], [0.25, 0.75], [1.0, 0.0], [0.375, 0.625], [0.0, 1.0]];
        let (mut whole, mut left, mut right) = (Calibration::new(), Calibration::new(), Calibration::new());
        for (i, row) in rows.iter().enumerate() {
            whole.push(row, i % 2);
            if i < 3 {
                left.push(row, i % 2)
            } else {
                right.push(row, i % 2)
            };
        }
        left.merge(&right);
        assert_eq!(left.bins(), whole.bins());
        assert_eq!((left.count(), left.correct()), (whole.count(), whole.correct()));
        assert!((left.nll() - whole.nll()).abs() < 1e-12 && (left.ece() - whole.ece()).abs() < 1e-12);
        assert!((left.brier() - whole.brier()).abs() < 1e-12);
    }

    #[test]
    fn bins_are_open_below_and_closed_above() {
        assert_eq!(bin_of(0.0), 0);
        assert_eq!(bin_of(1.0), BINS - 1);
        assert_eq!(bin_of(0.5), 7);
        for i in 1..BINS {
            let boundary = i as f32 / BINS as f32;
            let exact = i as f64 / BINS as f64;
            assert_eq!(bin_of(boundary), if f64::from(boundary) <= exact { i - 1 } else { i });
        }
    }
}
