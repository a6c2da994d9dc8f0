//! How well uncertainty tells examples apart: out of distribution from in, wrong from right.

use super::Outcome;
use crate::error::{Error, Result};
use serde::Serialize;
use stf_bnn::Classification;
use stf_bnn::uncertainty::{Ranking, Score};

/// Detection of one out-of-distribution set against the evaluated data; "out" is the positive class.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OodEntry {
    /// Name of the out-of-distribution data.
    pub data: String,
    /// Number of its examples.
    pub n: usize,
    /// Area under the ROC curve by score.
    pub auroc: ByScore,
    /// Average precision by score.
    pub aupr: ByScore,
    /// Share of the data's own examples that are taken for "out" where 95 % of "out" are found.
    pub fpr95: ByScore,
}

/// Finding wrong predictions; "wrong" is the positive class.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Misclassification {
    /// Area under the ROC curve by score.
    pub auroc: ByScore,
    /// Average precision by score.
    pub aupr: ByScore,
    /// Share of the right predictions that are taken for wrong where 95 % of the wrong are found.
    pub fpr95: ByScore,
}

/// One figure for each score; of every score, more means less certain.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ByScore {
    /// One minus the greatest probability.
    pub max_probability: f64,
    /// Entropy of the mean probabilities.
    pub predictive_entropy: f64,
    /// Mean entropy of the draws.
    pub expected_entropy: f64,
    /// Mutual information; `null` where there is no noise, hence no such score.
    pub mutual_information: Option<f64>,
    /// Free energy of the logits, mean over the draws; `null` where the logits are not at hand.
    pub energy: Option<f64>,
}

impl ByScore {
    fn new(rankings: &Rankings, figure: impl Fn(&Ranking) -> f64) -> Self {
        let [max_probability, predictive_entropy, expected_entropy, mutual_information] =
            rankings.scores.each_ref().map(&figure);
        let mutual_information = rankings.noisy.then_some(mutual_information);
        let energy = rankings.energy.as_ref().map(&figure);
        Self { max_probability, predictive_entropy, expected_entropy, mutual_information, energy }
    }
}

/// Walks of all scores over the same examples.
struct Rankings {
    /// In the order of [`Score::ALL`].
    scores: [Ranking; 4],
    energy: Option<Ranking>,
    noisy: bool,
}

impl Rankings {
    /// Negatives, then positives; `None` without one of them.
    fn new(negative: &[&Outcome], positive: &[&Outcome], noisy: bool) -> Option<Self> {
        let rank = |score: &dyn Fn(&Outcome) -> f32| {
            let of = |kind: &[&Outcome], is: bool| kind.iter().map(|o| (score(o), is)).collect::<Vec<_>>();
            Ranking::of_scores(&mut [of(negative, false), of(positive, true)].concat())
        };
        let by_score =
            |score: Score| rank(&|outcome| outcome.classification.map_or(f32::NAN, |c| score.of(&c)));
        let [a, b, c, d] = Score::ALL.map(by_score);
        Some(Self {
            scores: [a?, b?, c?, d?],
            energy: rank(&|outcome| outcome.energy.unwrap_or(f32::NAN)),
            noisy,
        })
    }
}

/// Detection of `outside` against `inside`.
///
/// # Errors
/// If either has no example.
pub fn out_of_distribution(
    name: &str,
    inside: &[Outcome],
    outside: &[Outcome],
    noisy: bool,
) -> Result<OodEntry> {
    let (negative, positive): (Vec<_>, Vec<_>) = (inside.iter().collect(), outside.iter().collect());
    let rankings = Rankings::new(&negative, &positive, noisy)
        .ok_or_else(|| Error::invalid(format!("data {name}"), "no example", "at least one"))?;
    Ok(OodEntry {
        data: name.to_string(),
        n: outside.len(),
        auroc: ByScore::new(&rankings, Ranking::auroc),
        aupr: ByScore::new(&rankings, Ranking::aupr),
        fpr95: ByScore::new(&rankings, Ranking::fpr95),
    })
}

/// Detection of wrong predictions; `None` if all are right or all are wrong.
#[must_use]
pub fn misclassification(outcomes: &[Outcome], labels: &[u32], noisy: bool) -> Option<Misclassification> {
    let wrong = |outcome: &Outcome, label: u32| {
        outcome.classification.is_some_and(|c: Classification| u32::from(c.class) != label)
    };
    let (positive, negative): (Vec<_>, Vec<_>) =
        outcomes.iter().zip(labels).partition(|(outcome, label)| wrong(outcome, **label));
    let outcomes =
        |pairs: Vec<(_, _)>| pairs.into_iter().map(|(outcome, _): (_, &u32)| outcome).collect::<Vec<_>>();
    let rankings = Rankings::new(&outcomes(negative), &outcomes(positive), noisy)?;
    Some(Misclassification {
        auroc: ByScore::new(&rankings, Ranking::auroc),
        aupr: ByScore::new(&rankings, Ranking::aupr),
        fpr95: ByScore::new(&rankings, Ranking::fpr95),
    })
}
