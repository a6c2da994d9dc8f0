//! Scores in bins: figures of a ranking in fixed memory, however long the stream.

use super::{Ranking, Selective};

/// Counts of two kinds of examples by score, in `N` equal bins from `min` to `max`; what lies outside
/// counts in the outermost bins. Parts merge by addition.
///
/// Areas from it treat the scores of one bin as equal: they differ from the exact ones by at most half
/// the share of pairs that share a bin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScoreHistogram<const N: usize> {
    min: f32,
    max: f32,
    /// Negatives and positives of each bin.
    counts: [[u64; 2]; N],
}

impl<const N: usize> ScoreHistogram<N> {
    /// No example yet. `None` if there is no bin, or `min < max` does not hold with finite bounds.
    #[must_use]
    pub fn new(min: f32, max: f32) -> Option<Self> {
        let usable = N > 0 && min.is_finite() && max.is_finite() && min < max;
        usable.then_some(Self { min, max, counts: [[0; 2]; N] })
    }

    /// Goes on from the counts of another histogram with these bounds, `[N, 2]`. `None` as for [`Self::new`].
    #[must_use]
    pub fn from_counts(min: f32, max: f32, counts: [[u64; 2]; N]) -> Option<Self> {
        Self::new(min, max).map(|histogram| Self { counts, ..histogram })
    }

    /// Counts one example; `positive` is what should score high (out of distribution, or wrong).
    /// Returns `false`, and counts nothing, for NaN.
    pub fn push(&mut self, score: f32, positive: bool) -> bool {
        if score.is_nan() {
            return false;
        }
        let share = (f64::from(score) - f64::from(self.min)) / (f64::from(self.max) - f64::from(self.min));
        // A cast saturates: what lies below is in bin 0.
        let bin = ((share * N as f64) as usize).min(N - 1);
        self.counts[bin][usize::from(positive)] += 1;
        true
    }

    /// Adds another part; `false`, and adds nothing, if its bins are others.
    pub fn merge(&mut self, other: &Self) -> bool {
        let fits = self.min == other.min && self.max == other.max;
        if fits {
            for (mine, theirs) in self.counts.iter_mut().flatten().zip(other.counts.iter().flatten()) {
                *mine += theirs;
            }
        }
        fits
    }

    /// Negatives and positives by bin, `[N, 2]`.
    #[must_use]
    pub fn counts(&self) -> &[[u64; 2]; N] {
        &self.counts
    }

    /// Detection of the positives by a high score.
    #[must_use]
    pub fn ranking(&self) -> Ranking {
        let total = |kind: usize| self.counts.iter().map(|bin| bin[kind]).sum();
        let mut ranking = Ranking::new(total(1), total(0));
        self.counts.iter().rev().for_each(|bin| ranking.push(bin[1], bin[0]));
        ranking
    }

    /// Risk and coverage where the score is an uncertainty and the positives are errors.
    #[must_use]
    pub fn selective(&self) -> Selective {
        let mut selective = Selective::new();
        self.counts.iter().for_each(|bin| selective.push(bin[0] + bin[1], bin[1]));
        selective
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examples() -> impl Iterator<Item = (f32, bool)> {
        (0..2000_u32).map(|i| {
            let u = (i.wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 24) as f32;
            let positive = i % 3 == 0;
            (if positive { u.sqrt() } else { u }, positive)
        })
    }

    #[test]
    fn areas_are_near_the_exact_ones_and_parts_merge() {
        let mut exact: Vec<(f32, bool)> = examples().collect();
        let mut parts = [ScoreHistogram::<512>::new(0.0, 1.0).unwrap(); 2];
        for (i, (score, positive)) in examples().enumerate() {
            assert!(parts[i % 2].push(score, positive));
        }
        let [mut whole, other] = parts;
        assert!(whole.merge(&other) && !whole.merge(&ScoreHistogram::new(0.0, 2.0).unwrap()));
        let (binned, ranking) = (whole.ranking(), Ranking::of_scores(&mut exact).unwrap());
        assert!((binned.auroc() - ranking.auroc()).abs() < 1e-3);
        assert!((binned.aupr() - ranking.aupr()).abs() < 1e-2);
        let selective = Selective::of_scores(&mut exact).unwrap();
        assert!((whole.selective().aurc() - selective.aurc()).abs() < 1e-3);
        assert!((whole.selective().augrc() - selective.augrc()).abs() < 1e-3);
    }

    #[test]
    fn outliers_and_nan() {
        let mut histogram = ScoreHistogram::<4>::new(-1.0, 1.0).unwrap();
        for (score, bin) in [(-9.0, 0), (-1.0, 0), (-0.5, 1), (0.0, 2), (1.0, 3), (f32::INFINITY, 3)] {
            let before = histogram.counts()[bin][0];
            assert!(histogram.push(score, false));
            assert_eq!(histogram.counts()[bin][0], before + 1, "{score}");
        }
        assert!(!histogram.push(f32::NAN, true));
        assert!(ScoreHistogram::<4>::new(1.0, 1.0).is_none() && ScoreHistogram::<0>::new(0.0, 1.0).is_none());
    }
}
