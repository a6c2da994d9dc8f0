//! Scores that tell members from others: more for members.

use super::Curve;
use serde::{Deserialize, Serialize};

/// What a network says of one labelled example.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// Logarithm of the label's odds, `ln(p / (1 - p))`: nearly Gaussian over models.
    pub logit: f64,
    /// Negative log likelihood, nats.
    pub loss: f64,
    /// Entropy of the prediction, nats.
    pub entropy: f64,
    /// Whether the prediction is right.
    pub right: bool,
}

/// Keeps logarithms of probabilities finite: about the least positive f32.
const FLOOR: f64 = 1e-38;

impl Observation {
    /// Of the label's probability, the sum of the others', and the entropy.
    #[must_use]
    pub fn new(probability: f64, others: f64, entropy: f64, right: bool) -> Self {
        let (p, rest) = (probability.max(FLOOR), others.max(FLOOR));
        Self { logit: p.ln() - rest.ln(), loss: -p.ln(), entropy, right }
    }
}

/// Curves of the attacks by loss, by entropy and by likelihood ratio.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates(
    /// In this order.
    pub [Curve; 3],
);

/// Attacks one model: `members[model][example]`, `said[model][example]`.
#[must_use]
pub fn rates(members: &[Vec<bool>], said: &[Vec<Observation>], target: usize) -> Rates {
    let score = |score: &dyn Fn(&Observation) -> f64| said[target].iter().map(score).collect::<Vec<_>>();
    let scores = [score(&|o| -o.loss), score(&|o| -o.entropy), lira(members, said, target)];
    let guess = Curve { auc: 0.5, tpr: [0.0; 2] };
    Rates(scores.map(|scores| Curve::of(&scores, &members[target]).unwrap_or(guess)))
}

/// Logarithm of the likelihood ratio of the target's logits under "was in" and "was not", both Gaussian
/// with a mean of their own for each example and one variance for all (the paper's choice for few
/// shadows).
#[must_use]
pub fn lira(members: &[Vec<bool>], said: &[Vec<Observation>], target: usize) -> Vec<f64> {
    let n = members[target].len();
    let shadows: Vec<usize> = (0..members.len()).filter(|&model| model != target).collect();
    let mut means = [vec![f64::NAN; n], vec![f64::NAN; n]];
    let (mut squares, mut count) = ([0.0f64; 2], [0usize; 2]);
    for example in 0..n {
        for (side, means) in means.iter_mut().enumerate() {
            let logits: Vec<f64> = shadows
                .iter()
                .filter(|&&model| usize::from(members[model][example]) == side)
                .map(|&model| said[model][example].logit)
                .collect();
            if logits.is_empty() {
                continue;
            }
            let mean = logits.iter().sum::<f64>() / logits.len() as f64;
            means[example] = mean;
            squares[side] += logits.iter().map(|logit| (logit - mean).powi(2)).sum::<f64>();
            count[side] += logits.len() - 1;
        }
    }
    let variance: Vec<f64> = (0..2).map(|s| (squares[s] / count[s].max(1) as f64).max(1e-12)).collect();
    (0..n)
        .map(|example| {
            let log_density = |side: usize| {
                let distance = said[target][example].logit - means[side][example];
                -0.5 * (distance * distance / variance[side] + variance[side].ln())
            };
            let ratio = log_density(1) - log_density(0);
            if ratio.is_finite() { ratio } else { 0.0 }
        })
        .collect()
}
