//! What was fitted after quantization: ranges, orders, and that no bet of the drift monitor gains on
//! average.

use super::blobs::check_blob;
use super::{At, Model, Result};
use crate::artifact::facts::{Abstention, Conformal, Drift, SamplingPolicy};
use crate::artifact::manifest::{Blob, Task};
use crate::predict::Config;

/// One in millionths.
pub(super) const MILLION: u32 = 1_000_000;

/// Prediction methods with a threshold of their own.
const METHODS: u64 = 3;

/// Most bets and most bins of the drift monitor.
const MAX_BETS: u64 = 8;
const MAX_BINS: u64 = 256;

/// Greatest factor of a bet, and its greatest mean.
const MAX_FACTOR: f32 = 1_048_576.0;
const MAX_MEAN: f64 = 1.0 - 1.0 / 2_097_152.0;

pub(super) fn check(model: &Model<'_>) -> Result {
    let manifest = model.manifest();
    let fitted = manifest.conformal.is_some() || manifest.abstention.is_some() || manifest.drift.is_some();
    let classifier = !fitted || manifest.task == Task::Classification;
    At(None).rule("task", classifier, "a classification where thresholds of one are given")?;
    manifest.conformal.as_ref().map_or(Ok(()), |fact| check_conformal(model, fact))?;
    manifest.abstention.as_ref().map_or(Ok(()), check_abstention)?;
    manifest.drift.as_ref().map_or(Ok(()), |fact| check_drift(model, fact))
}

pub(super) fn check_policy(field: &'static str, policy: &SamplingPolicy) -> Result {
    At(None).range(field, policy.num_samples.into(), 0, Config::MAX_SAMPLES.into())
}

fn check_conformal(model: &Model<'_>, fact: &Conformal) -> Result {
    let at = At(None);
    check_policy("conformal.policy.num_samples", &fact.policy)?;
    at.range("conformal.examples", fact.examples.into(), 1, u32::MAX.into())?;
    let lambda = fact.raps_lambda;
    at.float(
        "conformal.raps_lambda",
        lambda,
        lambda.is_finite() && lambda >= 0.0,
        "finite and not negative",
    )?;
    at.range("conformal.raps_rank", fact.raps_rank.into(), 1, u16::MAX.into())?;
    let levels = check_alphas(model, "conformal.alphas", fact.alphas)?;
    let columns = if fact.class_conditional { u64::from(model.manifest().outputs) } else { 1 };
    check_blob(model, at, "conformal.thresholds", fact.thresholds, METHODS * levels * columns * 4)?;
    model.f32s(fact.thresholds).iter().try_for_each(|&q| at.finite("conformal.thresholds", q))
}

/// Shares in millionths, strictly increasing; returns their number.
pub(super) fn check_alphas(model: &Model<'_>, field: &'static str, alphas: Blob) -> Result<u64> {
    let at = At(None);
    let levels = u64::from(alphas.len / 4);
    at.range(field, levels as i64, 1, u8::MAX.into())?;
    check_blob(model, at, field, alphas, levels * 4)?;
    let mut least = 1;
    for &alpha in model.u32s(alphas) {
        at.range(field, alpha.into(), least, i64::from(MILLION) - 1)?;
        least = i64::from(alpha) + 1;
    }
    Ok(levels)
}

fn check_abstention(fact: &Abstention) -> Result {
    let at = At(None);
    check_policy("abstention.policy.num_samples", &fact.policy)?;
    at.finite("abstention.threshold", fact.threshold)?;
    let below_one = i64::from(MILLION) - 1;
    at.range("abstention.risk_millionths", fact.risk_millionths.into(), 1, below_one)?;
    at.range("abstention.confidence_millionths", fact.confidence_millionths.into(), 1, below_one)?;
    at.range("abstention.examples", fact.examples.into(), 1, u32::MAX.into())?;
    at.range("abstention.accepted", fact.accepted.into(), 1, fact.examples.into())?;
    at.range("abstention.errors", fact.errors.into(), 0, fact.accepted.into())
}

fn check_drift(model: &Model<'_>, fact: &Drift) -> Result {
    let at = At(None);
    check_policy("drift.policy.num_samples", &fact.policy)?;
    at.range("drift.examples", fact.examples.into(), 1, u32::MAX.into())?;
    let alarm = i64::from(fact.false_alarm_millionths);
    at.range("drift.false_alarm_millionths", alarm, 1, i64::from(MILLION) - 1)?;
    at.range("drift.reference_millionths", fact.reference_millionths.into(), 0, alarm - 1)?;
    let edges = u64::from(fact.thresholds.len / 4);
    at.range("drift.thresholds", edges as i64, 1, MAX_BINS as i64 - 1)?;
    for (field, blob) in
        [("drift.thresholds", fact.thresholds), ("drift.above", fact.above), ("drift.below", fact.below)]
    {
        check_blob(model, at, field, blob, edges * 4)?;
    }
    let thresholds = model.f32s(fact.thresholds);
    thresholds.iter().try_for_each(|&t| at.finite("drift.thresholds", t))?;
    let increasing = thresholds.windows(2).all(|pair| pair[0] < pair[1]);
    at.rule("drift.thresholds", increasing, "strictly increasing numbers")?;
    let (above, below) = (model.f32s(fact.above), model.f32s(fact.below));
    check_bounds(at, "drift.above", above, above.windows(2).all(|pair| pair[0] >= pair[1]))?;
    check_bounds(at, "drift.below", below, below.windows(2).all(|pair| pair[0] <= pair[1]))?;
    let covers = above.iter().zip(below).all(|(&a, &b)| f64::from(a) + f64::from(b) >= 1.0);
    at.rule("drift.above", covers, "bounds that sum to at least 1 with those of drift.below")?;
    let bins = edges + 1;
    let bets = u64::from(fact.bets.len / 4) / bins;
    at.range("drift.bets", bets as i64, 1, MAX_BETS as i64)?;
    check_blob(model, at, "drift.bets", fact.bets, bets * bins * 4)?;
    model.f32s(fact.bets).chunks_exact(bins as usize).try_for_each(|bet| check_bet(at, bet, above, below))
}

fn check_bounds(at: At, field: &'static str, bounds: &[f32], ordered: bool) -> Result {
    for &bound in bounds {
        at.float(field, bound, (0.0..=1.0).contains(&bound), "a probability")?;
    }
    at.rule(field, ordered, "bounds in the order of their thresholds")
}

/// The greatest mean that the bounds allow: each rise of the factor from one bin to the next is worth
/// at most the probability above the edge, each fall at least it.
fn check_bet(at: At, bet: &[f32], above: &[f32], below: &[f32]) -> Result {
    for &factor in bet {
        at.float("drift.bets", factor, (0.0..=MAX_FACTOR).contains(&factor), "a factor of 0 to 2^20")?;
    }
    let first = bet.first().map_or(0.0, |&factor| f64::from(factor));
    let mean = bet.windows(2).zip(above.iter().zip(below)).fold(first, |mean, (pair, (&above, &below))| {
        let rise = f64::from(pair[1]) - f64::from(pair[0]);
        mean + rise * if rise > 0.0 { f64::from(above) } else { 1.0 - f64::from(below) }
    });
    at.rule("drift.bets", mean <= MAX_MEAN, "a bet that does not gain on average")
}
