//! PAC-Bayes bounds on the error of the stochastic predictor: draw a first kernel, predict with it.
//!
//! The training part is divided. Stage 1 sees the first part only, so that the prior, a Gaussian around
//! its first kernel, and everything behind that kernel do not depend on the second part; the bound is on
//! the second part. With probability at least `1 - delta`, for every posterior at once (Seeger 2002,
//! Maurer 2004): `kl(empirical error || error) <= (KL(q || p) + ln(2 sqrt(n) / delta)) / n`.

mod inverse;

pub use inverse::{binary_kl, kl_inverse};

use crate::compare::{Seeded, Settings, Watch, outcomes_of};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::train::methods::{Logits, Net, Weights, logits};
use crate::train::variational::kl;
use crate::train::{Device, PriorMean, Purpose, Random, Stage2Config, stage1, stage2};
use serde::Serialize;

/// What is bounded, and how surely.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Wish {
    /// Share of the training part that stage 1 sees.
    pub prior_share: f64,
    /// Probability that the bound fails.
    pub delta: f64,
    /// Probability that the estimate of the empirical error fails.
    pub estimate_delta: f64,
    /// Draws of the estimate.
    pub draws: usize,
    /// Temperature of the posterior of stage 2.
    pub temperature: f32,
    /// Standard deviation of the prior; fixed before the second part is seen.
    pub prior_sigma: f32,
}

/// The bound, and what it stands on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bound {
    /// Name of the data.
    pub data: String,
    /// Seed of parts, weights and draws.
    pub seed: u64,
    /// The settings.
    pub wish: Wish,
    /// Examples that the prior saw.
    pub prior_examples: usize,
    /// Examples that the bound is on.
    pub n: usize,
    /// KL(q || p), nats, summed over the first kernel's weights.
    pub kl: f64,
    /// Mean 0-1 loss of the draws on the second part.
    pub empirical: f64,
    /// Upper bound of the stochastic predictor's empirical error, with probability `1 - estimate_delta`.
    pub empirical_upper: f64,
    /// The bound by the inverse of the binary kl (Seeger).
    pub seeger: f64,
    /// The bound by Pinsker's inequality (McAllester).
    pub mcallester: f64,
    /// Whether even the better one is no more than what guessing promises.
    pub vacuous: bool,
    /// Error of guessing: 1 - 1 / classes.
    pub guessing: f64,
    /// Mean 0-1 loss of the draws on the test part, for comparison.
    pub test_stochastic: f64,
    /// Error of the averaged prediction on the test part: what is used, and what the bound is not on.
    pub test_averaged: f64,
    /// Confidence and accuracy before stage 2.
    pub before: Gap,
    /// Confidence and accuracy after stage 2.
    pub after: Gap,
    /// What has to hold, in words.
    pub assumptions: Vec<&'static str>,
}

/// Mean confidence less accuracy, on the part that stage 2 fits and on the test part.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Gap {
    /// On the second part of the training data.
    pub train: f64,
    /// On the test part.
    pub test: f64,
}

const ASSUMPTIONS: [&str; 5] = [
    "The examples of the second part and future inputs are independent draws from one distribution.",
    "Stage 1, its batch-norm statistics, the normalisation and the prior's sigma were fixed without the second part.",
    "The bound is on the stochastic predictor, which draws a first kernel for every input, in float; not on the \
     averaged prediction, and not on the int8 network.",
    "The empirical error is estimated by independent draws; its upper bound fails with probability estimate_delta, on \
     top of delta.",
    "Architecture and settings were not chosen by looking at the second part.",
];

/// Trains both stages on their parts and bounds the error.
///
/// # Errors
/// If settings cannot be used, or training fails.
pub fn bound(settings: &Settings, seeded: &Seeded, wish: Wish) -> Result<Bound> {
    check(&wish)?;
    let Seeded { seed, splits, graph, .. } = seeded;
    let name = &splits.train.name;
    let (first, second) = divide(&splits.train, wish.prior_share, *seed)?;
    // Fitted anew: the normalisation is part of what the second part must not have touched.
    let preprocessing = crate::data::Preprocessing::fit(&first)?;
    let data = |train| crate::train::TrainData {
        train,
        validation: &splits.validation,
        preprocessing: &preprocessing,
    };
    let mut watch = Watch::new(format!("stage 1, seed {seed}"));
    let plain = stage1(graph, data(&first), &settings.stage1(name, *seed), None, &mut watch)?.params;
    let config = Stage2Config {
        prior: PriorMean::Map,
        prior_sigma: wish.prior_sigma,
        ..settings.stage2(graph, name, *seed, wish.temperature)
    };
    let mut watch = Watch::new(format!("stage 2, seed {seed}"));
    let state = stage2(graph, &plain, data(&second), &config, None, &mut watch)?;
    let node = state.posterior.node;
    let missing = || Error::invalid("first kernel", "none", "a tensor");
    let mu = state.params.nodes[node].weight.as_ref().ok_or_else(missing)?;
    let divergence = kl(mu, &state.posterior.log_var, &state.prior_mean, wish.prior_sigma);
    let before = Net { graph: graph.clone(), weights: Weights::Plain(plain), device: Device::Cpu };
    let posteriors = vec![state.posterior.clone()];
    let net = Net {
        graph: graph.clone(),
        weights: Weights::MeanField { params: state.params, posteriors },
        device: Device::Cpu,
    };

    let draw = |net: &Net, set: &Dataset| logits(net, set, &preprocessing, wish.draws, *seed);
    let (on_second, on_test) = (draw(&net, &second)?, draw(&net, &splits.test)?);
    let empirical = stochastic_error(&on_second, &second.labels);
    let gap = |train: &Logits, test: &Logits| Gap {
        train: confidence_gap(train, &second.labels),
        test: confidence_gap(test, &splits.test.labels),
    };
    let gap_before = gap(&draw(&before, &second)?, &draw(&before, &splits.test)?);
    let n = second.len();
    let empirical_upper = kl_inverse(empirical, (2.0 / wish.estimate_delta).ln() / wish.draws as f64);
    let budget = budget(divergence, n, wish.delta);
    let (seeger, mcallester) = (kl_inverse(empirical_upper, budget), mcallester(empirical_upper, budget));
    let guessing = 1.0 - 1.0 / graph.output_shape().len() as f64;
    Ok(Bound {
        data: name.clone(),
        seed: *seed,
        wish,
        prior_examples: first.len(),
        n,
        kl: divergence,
        empirical,
        empirical_upper,
        seeger,
        mcallester,
        vacuous: seeger.min(mcallester) >= guessing,
        guessing,
        test_stochastic: stochastic_error(&on_test, &splits.test.labels),
        test_averaged: averaged_error(&on_test, &splits.test.labels),
        before: gap_before,
        after: gap(&on_second, &on_test),
        assumptions: ASSUMPTIONS.to_vec(),
    })
}

fn check(wish: &Wish) -> Result<()> {
    let share = |what: &str, value: f64| match value > 0.0 && value < 1.0 {
        true => Ok(()),
        false => Err(Error::invalid(what, value, "a share between 0 and 1")),
    };
    share("share of the prior", wish.prior_share)?;
    share("delta", wish.delta)?;
    share("delta of the estimate", wish.estimate_delta)?;
    match wish.draws {
        0 => Err(Error::invalid("draws", 0, "at least 1")),
        _ => Ok(()),
    }
}

/// `(KL + ln(2 sqrt(n) / delta)) / n`; Maurer's constant, for n of at least 8.
fn budget(kl: f64, n: usize, delta: f64) -> f64 {
    (kl + (2.0 * (n as f64).sqrt() / delta).ln()) / n as f64
}

fn mcallester(empirical: f64, budget: f64) -> f64 {
    (empirical + (0.5 * budget).sqrt()).min(1.0)
}

/// A random share for the prior, and the rest.
fn divide(train: &Dataset, share: f64, seed: u64) -> Result<(Dataset, Dataset)> {
    let mut order: Vec<usize> = (0..train.len()).collect();
    let mut random = Random::new(seed, Purpose::Order, &[0x00b0_0d5e]);
    for last in (1..order.len()).rev() {
        order.swap(last, random.below(last + 1));
    }
    let first = (share * train.len() as f64).round() as usize;
    if first < 2 || train.len() - first < 8 {
        let found = format!("{first} and {} examples", train.len().saturating_sub(first));
        return Err(Error::invalid("parts of the training data", found, "at least 2 and 8"));
    }
    Ok((train.select(&order[..first])?, train.select(&order[first..])?))
}

/// Mean 0-1 loss of single draws.
fn stochastic_error(drawn: &Logits, labels: &[u32]) -> f64 {
    let mut wrong = 0usize;
    for (draws, &label) in drawn.examples().zip(labels) {
        let class = |z: &[f32]| (1..z.len()).fold(0, |best, c| if z[c] > z[best] { c } else { best });
        wrong += draws.chunks_exact(drawn.classes).filter(|z| class(z) != label as usize).count();
    }
    wrong as f64 / (labels.len() * drawn.draws) as f64
}

fn averaged_error(drawn: &Logits, labels: &[u32]) -> f64 {
    let outcomes = outcomes_of(drawn, 1.0);
    let wrong = outcomes
        .iter()
        .zip(labels)
        .filter(|(outcome, label)| outcome.classification.is_none_or(|c| u32::from(c.class) != **label));
    wrong.count() as f64 / labels.len() as f64
}

fn confidence_gap(drawn: &Logits, labels: &[u32]) -> f64 {
    let outcomes = outcomes_of(drawn, 1.0);
    let confidence: f64 =
        outcomes.iter().filter_map(|outcome| outcome.classification).map(|c| f64::from(c.confidence)).sum();
    confidence / labels.len() as f64 - (1.0 - averaged_error(drawn, labels))
}

#[cfg(test)]
mod tests;
