//! Whether an autoencoder's input is normal: conformal p-values of its reconstruction error.

use crate::artifact::{Anomaly, Model, Task};

/// The artifact's reference, ready to judge reconstruction errors.
#[derive(Debug, Clone, Copy)]
pub struct AnomalyDetector<'m> {
    fact: Anomaly,
    scores: &'m [f32],
    above: &'m [u32],
}

impl<'m> AnomalyDetector<'m> {
    /// `None` if the artifact carries no reference.
    #[must_use]
    pub fn new(model: &Model<'m>) -> Option<Self> {
        let Task::Reconstruction(Some(fact)) = model.manifest().task else { return None };
        let (scores, above) = (model.f32s(fact.scores), model.u32s(fact.above));
        Some(Self { fact, scores, above })
    }

    /// What the artifact says of it.
    #[must_use]
    pub fn fact(&self) -> &Anomaly {
        &self.fact
    }

    /// Conformal p-value of a reconstruction error: see [`conformal_p_value`].
    #[must_use]
    pub fn p_value(&self, score: f32) -> f32 {
        conformal_p_value(self.scores, self.above, self.fact.examples, score)
    }

    /// Whether to raise an alarm: `p_value <= alpha`. A normal input raises one with probability `alpha` at
    /// most, on average over reference examples.
    #[must_use]
    pub fn alarm(&self, score: f32, alpha: f32) -> bool {
        self.p_value(score) <= alpha
    }
}

/// `(1 + reference scores at or above this one) / (examples + 1)`, from a table: `scores` are some of the
/// `examples` reference scores, strictly increasing, `above` says how many of all are above each. Where the
/// table has gaps the p-value is larger, never smaller, than with all scores. 1 for NaN.
#[must_use]
pub fn conformal_p_value(scores: &[f32], above: &[u32], examples: u32, score: f32) -> f32 {
    let below = scores.partition_point(|&reference| reference < score);
    // Those at or above `score` are among those above the greatest entry that is below it.
    let count = below.checked_sub(1).and_then(|last| above.get(last)).copied().unwrap_or(examples);
    ((1.0 + f64::from(count)) / (1.0 + f64::from(examples))) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_table_gives_the_exact_share_and_gaps_only_larger_ones() {
        let reference: [f32; 9] = [1.0, 2.0, 2.0, 3.0, 5.0, 8.0, 8.0, 8.0, 9.0];
        let count = |of: &dyn Fn(f32) -> bool| reference.iter().filter(|&&r| of(r)).count();
        let scores = [1.0, 2.0, 3.0, 5.0, 8.0, 9.0];
        let above = scores.map(|s| count(&|r| r > s) as u32);
        for score in [0.0, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 8.0, 8.5, 9.0, 9.5, f32::INFINITY] {
            let exact = (1 + count(&|r| r >= score)) as f32 / 10.0;
            assert_eq!(conformal_p_value(&scores, &above, 9, score), exact, "{score}");
            let sparse = conformal_p_value(&scores[1..4], &above[1..4], 9, score);
            assert!(sparse >= exact, "{score}: {sparse} {exact}");
        }
        assert_eq!(conformal_p_value(&scores, &above, 9, f32::NAN), 1.0);
        assert_eq!(conformal_p_value(&[], &[], 9, 3.0), 1.0);
    }
}
