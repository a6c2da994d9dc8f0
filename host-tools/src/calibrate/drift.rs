//! The drift monitor's reference: bins of the score, bounds of their probabilities, and bets.

use super::share::Share;
use crate::binomial;

/// Shares of the reference scores above the edges.
const TAILS: [f64; 18] =
    [0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.15, 0.1, 0.07, 0.05, 0.03, 0.02, 0.01, 0.005, 0.0025];

/// Exponents of the bets on greater scores: a p-value `p` is paid `e p^(e - 1)` (Vovk 1993). The less,
/// the more is bet on the smallest p-values.
const UP: [f64; 3] = [0.15, 0.4, 0.7];

/// Exponent of the bet on smaller scores.
const DOWN: [f64; 1] = [0.5];

/// Factors are scaled by this: f32 rounding then never makes a bet gain on average.
const SCALE: f64 = 1.0 - 1.0 / 1_048_576.0;

/// What the artifact carries.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// Edges of the bins, strictly increasing.
    pub thresholds: Vec<f32>,
    /// Upper bounds of the probability of a score above each edge.
    pub above: Vec<f32>,
    /// Upper bounds of the probability of a score at or below each edge.
    pub below: Vec<f32>,
    /// `[bets, bins]`
    pub bets: Vec<f32>,
}

/// Edges from `fit`; bounds from `certify`, which `fit` does not have, exact binomial, all of them together
/// with confidence `1 - delta`. `None` if the scores of `fit` are all equal.
#[must_use]
pub fn reference(fit: &[f32], certify: &[f32], delta: Share) -> Option<Reference> {
    let thresholds = edges(fit);
    if thresholds.is_empty() || certify.is_empty() {
        return None;
    }
    let each = delta.value() / (2 * thresholds.len()) as f64;
    let n = certify.len() as u64;
    let bound = |count: usize| round_up(binomial::upper_bound(count as u64, n, 1.0 - each));
    let count = |edge: f32| certify.iter().filter(|&&score| score > edge).count();
    let above: Vec<f32> = thresholds.iter().map(|&edge| bound(count(edge))).collect();
    let below: Vec<f32> = thresholds.iter().map(|&edge| bound(certify.len() - count(edge))).collect();
    // Bin j lies between the tails j and j + 1, of which the outermost are certain and empty.
    let tails: Vec<f64> = [1.0].into_iter().chain(above.iter().map(|&a| f64::from(a))).chain([0.0]).collect();
    let heads: Vec<f64> = [0.0].into_iter().chain(below.iter().map(|&b| f64::from(b))).chain([1.0]).collect();
    let up = UP.iter().flat_map(|&e| tails.windows(2).map(move |pair| factor(pair[1], pair[0], e)));
    let down = DOWN.iter().flat_map(|&e| heads.windows(2).map(move |pair| factor(pair[0], pair[1], e)));
    let bets = up.chain(down).collect();
    Some(Reference { thresholds, above, below, bets })
}

/// Quantiles, strictly increasing; each has scores on both sides.
fn edges(fit: &[f32]) -> Vec<f32> {
    let mut scores = fit.to_vec();
    scores.sort_unstable_by(f32::total_cmp);
    let n = scores.len();
    let mut edges: Vec<f32> = TAILS
        .iter()
        .filter_map(|tail| {
            let above = (tail * n as f64).round() as usize;
            (above >= 2 && above < n).then(|| scores[n - above - 1])
        })
        .filter(|&edge| scores.last().is_some_and(|&last| edge < last))
        .collect();
    edges.dedup();
    edges
}

/// Mean of `e p^(e - 1)` over p-values from `low` to `high`, or its value where these are equal.
fn factor(low: f64, high: f64, e: f64) -> f32 {
    let mean = if high > low { (high.powf(e) - low.powf(e)) / (high - low) } else { e * high.powf(e - 1.0) };
    (mean * SCALE) as f32
}

/// The least f32 that is not below a probability, at most 1.
fn round_up(p: f64) -> f32 {
    let near = p as f32;
    if f64::from(near) < p { near.next_up().min(1.0) } else { near.min(1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_quantiles_and_bounds_lie_above_the_shares() {
        let scores: Vec<f32> = (0..2000).map(|i| (i * 7 % 2000) as f32).collect();
        let found = reference(&scores, &scores, Share::from_millionths(5000).unwrap()).unwrap();
        assert_eq!(found.thresholds.len(), TAILS.len());
        for ((&edge, &above), (&below, tail)) in
            found.thresholds.iter().zip(&found.above).zip(found.below.iter().zip(TAILS))
        {
            assert_eq!(edge, (2000.0 * (1.0 - tail)).round() as f32 - 1.0);
            assert!(f64::from(above) > tail && f64::from(above) < tail + 0.06, "{tail}: {above}");
            assert!(f64::from(below) > 1.0 - tail && f64::from(below) < 1.06 - tail);
        }
        // On the bounds themselves a bet on greater scores breaks even, but for the scale.
        let bins = found.thresholds.len() + 1;
        for bet in found.bets[..UP.len() * bins].chunks_exact(bins) {
            let tail = |j: usize| match j {
                0 => 1.0,
                _ => found.above.get(j - 1).map_or(0.0, |&a| f64::from(a)),
            };
            let mean: f64 = (0..bins).map(|j| f64::from(bet[j]) * (tail(j) - tail(j + 1))).sum();
            assert!((mean - SCALE).abs() < 2e-7, "{mean}");
            assert!(bet.windows(2).all(|pair| pair[0] <= pair[1]));
        }
    }

    #[test]
    fn equal_scores_have_no_reference_and_ties_no_empty_bin() {
        let delta = Share::from_millionths(5000).unwrap();
        assert_eq!(reference(&[0.5; 100], &[0.5; 100], delta), None);
        let two: Vec<f32> = (0..100).map(|i| f32::from(u8::from(i >= 50))).collect();
        assert_eq!(reference(&two, &two, delta).unwrap().thresholds, [0.0]);
    }
}
