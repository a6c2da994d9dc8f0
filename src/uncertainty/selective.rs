//! Risk against coverage: what is gained by not answering where the network is unsure.

/// Walks a threshold from the most certain predictions to all of them and gathers the areas.
///
/// Give it the counts of every distinct uncertainty (or of every bin of a histogram) in increasing
/// order.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Selective {
    accepted: u64,
    errors: u64,
    /// Sum over the accepted of the risk among all accepted up to them.
    risks: f64,
    /// Sum over the accepted of twice the number of errors, at the middle of each step.
    twice_errors: f64,
}

impl Selective {
    /// Nothing accepted yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Accepts `count` more predictions of one uncertainty, `errors` of them wrong. After it,
    /// [`Self::accepted`] and [`Self::errors`] are a point of the risk-coverage curve.
    ///
    /// Equals are accepted one after another in random order, and the areas are the expectation over
    /// that order. The time grows with `count`.
    pub fn push(&mut self, count: u64, errors: u64) {
        let slope = if count == 0 { 0.0 } else { errors as f64 / count as f64 };
        for i in 1..=count {
            self.risks += (self.errors as f64 + slope * i as f64) / (self.accepted + i) as f64;
        }
        self.twice_errors += (2 * self.errors + errors) as f64 * count as f64;
        self.accepted += count;
        self.errors += errors;
    }

    /// Walks all predictions, pairs of uncertainty and whether it was wrong, in any order; sorts them in
    /// place. `None` if there is none or an uncertainty is NaN.
    #[must_use]
    pub fn of_scores(scores: &mut [(f32, bool)]) -> Option<Self> {
        if scores.is_empty() || scores.iter().any(|(score, _)| score.is_nan()) {
            return None;
        }
        scores.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let mut selective = Self::new();
        for tied in scores.chunk_by(|a, b| a.0 == b.0) {
            let errors = tied.iter().filter(|(_, wrong)| *wrong).count();
            selective.push(tied.len() as u64, errors as u64);
        }
        Some(selective)
    }

    /// Predictions accepted so far.
    #[must_use]
    pub const fn accepted(&self) -> u64 {
        self.accepted
    }

    /// Wrong ones among them.
    #[must_use]
    pub const fn errors(&self) -> u64 {
        self.errors
    }

    /// Area under the risk-coverage curve (Geifman et al. 2019): the mean over k of the risk among the k
    /// most certain predictions, 0 to 1; 0 without predictions.
    #[must_use]
    pub fn aurc(&self) -> f64 {
        if self.accepted == 0 { 0.0 } else { self.risks / self.accepted as f64 }
    }

    /// Area under the generalized risk-coverage curve (Traub et al. 2024): the curve of the probability
    /// of being accepted *and* wrong, by trapezia, 0 to 0.5; 0 without predictions. It equals
    /// `(1 - auroc) a (1 - a) + (1 - a)^2 / 2` for accuracy `a` and the AUROC of finding errors.
    #[must_use]
    pub fn augrc(&self) -> f64 {
        let n = self.accepted as f64;
        if self.accepted == 0 { 0.0 } else { self.twice_errors / (2.0 * n * n) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Ranking;
    use super::*;

    #[test]
    fn areas_by_hand() {
        let mut scores = [(0.3, true), (0.1, false), (0.2, false), (0.4, true)];
        let selective = Selective::of_scores(&mut scores).unwrap();
        assert!((selective.aurc() - (0.0 + 0.0 + 1.0 / 3.0 + 0.5) / 4.0).abs() < 1e-12);
        assert!((selective.augrc() - (0.5 + 1.5) / 16.0).abs() < 1e-12);
        assert_eq!((selective.accepted(), selective.errors()), (4, 2));
        assert_eq!(Selective::of_scores(&mut []), None);
        assert_eq!((Selective::new().aurc(), Selective::new().augrc()), (0.0, 0.0));
    }

    #[test]
    fn ties_are_the_mean_over_their_orders() {
        // One wrong among three equals, after one right: the wrong one is 1st, 2nd or 3rd of them.
        let mut scores = [(0.1, false), (0.2, true), (0.2, false), (0.2, false)];
        let tied = Selective::of_scores(&mut scores).unwrap().aurc();
        let orders = [[0.5, 1.0 / 3.0, 0.25], [0.0, 1.0 / 3.0, 0.25], [0.0, 0.0, 0.25]];
        let mean = orders.iter().flatten().sum::<f64>() / 3.0 / 4.0;
        assert!((tied - mean).abs() < 1e-12, "{tied} {mean}");
    }

    #[test]
    fn augrc_follows_from_accuracy_and_auroc() {
        let mut scores: [(f32, bool); 60] =
            core::array::from_fn(|i| (((i * 37) % 23) as f32 / 23.0, (i * i) % 7 < 2));
        let wrong = scores.iter().filter(|s| s.1).count() as f64 / 60.0;
        let auroc = Ranking::of_scores(&mut scores).unwrap().auroc();
        let expected = (1.0 - auroc) * wrong * (1.0 - wrong) + wrong * wrong / 2.0;
        assert!((Selective::of_scores(&mut scores).unwrap().augrc() - expected).abs() < 1e-12);
    }
}
