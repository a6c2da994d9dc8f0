//! The ROC curve of a membership attack, at the low false positive rates that matter.

use stf_bnn::uncertainty::Ranking;

/// False positive rates at which the true positive rate is reported.
pub const TPR_AT: [f64; 2] = [0.001, 0.01];

/// Figures of one curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Curve {
    /// Area under it; ties count half.
    pub auc: f64,
    /// Greatest true positive rate at a false positive rate of at most each of [`TPR_AT`].
    pub tpr: [f64; 2],
}

impl Curve {
    /// Of scores, more for members; `None` without a member or without another.
    #[must_use]
    pub fn of(scores: &[f64], members: &[bool]) -> Option<Self> {
        let mut pairs: Vec<(f64, bool)> = scores.iter().copied().zip(members.iter().copied()).collect();
        pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
        let positives = members.iter().filter(|member| **member).count();
        let negatives = members.len() - positives;
        // Ranks keep the order that f32 might lose.
        let mut ranked: Vec<(f32, bool)> = Vec::with_capacity(pairs.len());
        let (mut hits, mut alarms, mut tpr) = (0usize, 0usize, [0.0; 2]);
        for tied in pairs.chunk_by(|a, b| a.0 == b.0) {
            let rank = (pairs.len() - ranked.len()) as f32;
            ranked.extend(tied.iter().map(|(_, member)| (rank, *member)));
            hits += tied.iter().filter(|(_, member)| *member).count();
            alarms += tied.iter().filter(|(_, member)| !*member).count();
            for (rate, most) in tpr.iter_mut().zip(TPR_AT) {
                if alarms as f64 <= most * negatives as f64 {
                    *rate = hits as f64 / positives.max(1) as f64;
                }
            }
        }
        Some(Self { auc: Ranking::of_scores(&mut ranked)?.auroc(), tpr })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: 2 members and 200 others; one member above all, one above all but 2 (1 %).
    #[test]
    fn rates_are_those_of_the_definition() {
        let mut scores: Vec<f64> = (0..200).map(f64::from).collect();
        scores.extend([1000.0, 197.5]);
        let members: Vec<bool> = (0..202).map(|i| i >= 200).collect();
        let curve = Curve::of(&scores, &members).unwrap();
        assert_eq!(curve.tpr, [0.5, 1.0]);
        assert!((curve.auc - (200.0 + 198.0) / 400.0).abs() < 1e-9, "{}", curve.auc);
        // All alike: guessing, and no rate at all below one.
        let flat = Curve::of(&vec![1.0; 202], &members).unwrap();
        assert_eq!(flat, Curve { auc: 0.5, tpr: [0.0, 0.0] });
        assert_eq!(Curve::of(&[1.0], &[true]), None);
    }
}
