//! How well a score ranks one kind of example above another: areas under ROC and precision-recall
//! curves, from counts by score.

/// Walks a threshold from the greatest score down and gathers the areas.
///
/// Give it the counts of every distinct score (or of every bin of a histogram, whose scores then count
/// as equal) in decreasing order of the score. "Positive" is what should score high: out of
/// distribution, or misclassified. Up to 2^31 of each kind.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ranking {
    positives: u64,
    negatives: u64,
    /// Positives and negatives at or above the threshold.
    true_positives: u64,
    false_positives: u64,
    /// Pairs in the right order, ties half, times two.
    twice_wins: u64,
    /// Sum over positives of the precision at their score.
    precision: f64,
    /// False positives where 95 % of the positives are found.
    at_95: Option<u64>,
}

impl Ranking {
    /// Nothing seen yet of this many examples.
    #[must_use]
    pub const fn new(positives: u64, negatives: u64) -> Self {
        Self {
            positives,
            negatives,
            true_positives: 0,
            false_positives: 0,
            twice_wins: 0,
            precision: 0.0,
            at_95: None,
        }
    }

    /// Lowers the threshold past the examples of the next score.
    pub fn push(&mut self, positives: u64, negatives: u64) {
        self.true_positives += positives;
        let below = self.negatives.saturating_sub(self.false_positives + negatives);
        self.twice_wins += positives * (2 * below + negatives);
        self.false_positives += negatives;
        let found = self.true_positives + self.false_positives;
        if found > 0 {
            self.precision += positives as f64 * (self.true_positives as f64 / found as f64);
        }
        if self.at_95.is_none() && 20 * self.true_positives >= 19 * self.positives {
            self.at_95 = Some(self.false_positives);
        }
    }

    /// Walks all scores, in any order; sorts them in place. `None` if one is NaN or a kind is missing.
    #[must_use]
    pub fn of_scores(scores: &mut [(f32, bool)]) -> Option<Self> {
        if scores.iter().any(|(score, _)| score.is_nan()) {
            return None;
        }
        let positives = scores.iter().filter(|(_, positive)| *positive).count() as u64;
        let mut ranking = Self::new(positives, scores.len() as u64 - positives);
        scores.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        // -0.0 and 0.0 are one score, so ties are found by ==, not by the order of the sort.
        for tied in scores.chunk_by(|a, b| a.0 == b.0) {
            let positives = tied.iter().filter(|(_, positive)| *positive).count() as u64;
            ranking.push(positives, tied.len() as u64 - positives);
        }
        ranking.complete().then_some(ranking)
    }

    /// Whether there is something to compare.
    const fn complete(&self) -> bool {
        self.positives > 0 && self.negatives > 0
    }

    /// Probability that a random positive scores above a random negative, ties half: the area under the
    /// ROC curve. NaN if a kind is missing.
    #[must_use]
    pub fn auroc(&self) -> f64 {
        self.twice_wins as f64 / (2.0 * self.positives as f64 * self.negatives as f64)
    }

    /// Average precision: precision summed over the steps of recall, the area under the
    /// precision-recall curve without interpolation. NaN if there is no positive.
    #[must_use]
    pub fn aupr(&self) -> f64 {
        self.precision / self.positives as f64
    }

    /// Share of the negatives that score at least as high as the threshold that finds 95 % of the
    /// positives. NaN if there is no negative.
    #[must_use]
    pub fn fpr95(&self) -> f64 {
        self.at_95.unwrap_or(self.negatives) as f64 / self.negatives as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition itself, pair by pair.
    fn by_pairs(scores: &[(f32, bool)]) -> f64 {
        let of = |kind: bool| scores.iter().filter(move |s| s.1 == kind).map(|s| s.0);
        let wins: f64 = of(true)
            .flat_map(|p| {
                of(false).map(move |n| {
                    if p > n {
                        1.0
                    } else if p == n {
                        0.5
                    } else {
                        0.0
                    }
                })
            })
            .sum();
        wins / (of(true).count() * of(false).count()) as f64
    }

    #[test]
    fn the_area_is_the_share_of_pairs_in_order() {
        let negative = [0.1, 0.5, 0.5, 0.2, -1.0, 0.0, 0.9].map(|s| (s, false));
        let positive = [0.5, 0.7, -0.0, 0.2, 2.0].map(|s| (s, true));
        let mut scores = [&negative[..], &positive[..]].concat();
        let expected = by_pairs(&scores);
        assert!((Ranking::of_scores(&mut scores).unwrap().auroc() - expected).abs() < 1e-12);
    }

    #[test]
    fn separation_reverse_and_all_equal() {
        let of = |pairs: [(f32, bool); 4]| Ranking::of_scores(&mut pairs.clone()).unwrap();
        let right = of([(0.0, false), (1.0, false), (2.0, true), (3.0, true)]);
        assert_eq!((right.auroc(), right.aupr(), right.fpr95()), (1.0, 1.0, 0.0));
        let wrong = of([(0.0, true), (1.0, true), (2.0, false), (3.0, false)]);
        assert_eq!((wrong.auroc(), wrong.fpr95()), (0.0, 1.0));
        assert!((wrong.aupr() - (1.0 / 3.0 + 0.5) / 2.0).abs() < 1e-12);
        let equal = of([(1.0, true), (1.0, true), (1.0, false), (1.0, false)]);
        assert_eq!((equal.auroc(), equal.aupr(), equal.fpr95()), (0.5, 0.5, 1.0));
    }

    #[test]
    fn nothing_to_compare_and_nan_have_no_areas() {
        assert_eq!(Ranking::of_scores(&mut [(1.0, true)]), None);
        assert_eq!(Ranking::of_scores(&mut [(1.0, true), (f32::NAN, false)]), None);
    }
}
