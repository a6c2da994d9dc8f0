//! What was fitted after quantization: ranges, orders, and that no bet of the drift monitor gains on
//! average.

use super::blobs::{check_blob, check_finite};
use super::{At, Result};
use crate::artifact::facts::{Abstention, Conformal, Drift, SamplingPolicy};
use crate::artifact::manifest::{Blob, Task};
use crate::artifact::names::{Field, Rule};
use crate::predict::Config;

/// One in millionths.
pub(super) const MILLION: u32 = 1_000_000;

/// Prediction methods with a threshold of their own.
const METHODS: u32 = 3;

/// Most bets and most bins of the drift monitor.
const MAX_BETS: u32 = 8;
const MAX_BINS: u32 = 256;

/// Greatest factor of a bet, and its greatest mean.
const MAX_FACTOR: f32 = 1_048_576.0;
const MAX_MEAN: f64 = 1.0 - 1.0 / 2_097_152.0;

#[inline(never)]
pub(super) fn check(at: &mut At<'_, '_>) -> Result {
    let manifest = at.model.manifest();
    let fitted = manifest.conformal.is_some() || manifest.abstention.is_some() || manifest.drift.is_some();
    let classifier = !fitted || manifest.task == Task::Classification;
    at.rule(Field::Task, classifier, Rule::Classification)?;
    manifest.conformal.as_ref().map_or(Ok(()), |fact| check_conformal(at, fact))?;
    manifest.abstention.as_ref().map_or(Ok(()), |fact| check_abstention(at, fact))?;
    manifest.drift.as_ref().map_or(Ok(()), |fact| check_drift(at, fact))
}

pub(super) fn check_policy(at: &mut At<'_, '_>, field: Field, policy: &SamplingPolicy) -> Result {
    at.range(field, policy.num_samples.into(), 0, Config::MAX_SAMPLES.into())
}

#[inline(never)]
fn check_conformal(at: &mut At<'_, '_>, fact: &Conformal) -> Result {
    let model = at.model;
    check_policy(at, Field::ConformalPolicyNumSamples, &fact.policy)?;
    at.range(Field::ConformalExamples, fact.examples, 1, u32::MAX)?;
    let lambda = fact.raps_lambda;
    let valid = lambda.is_finite() && lambda >= 0.0;
    at.float(Field::ConformalRapsLambda, lambda, valid, Rule::NotNegative)?;
    at.range(Field::ConformalRapsRank, fact.raps_rank.into(), 1, u16::MAX.into())?;
    let levels = check_alphas(at, Field::ConformalAlphas, fact.alphas)?;
    let columns = if fact.class_conditional { u32::from(model.manifest().outputs) } else { 1 };
    // At most 3 * 255 * 65535 * 4.
    check_blob(at, Field::ConformalThresholds, fact.thresholds, METHODS * levels * columns * 4)?;
    check_finite(at, Field::ConformalThresholds, fact.thresholds)
}

/// Shares in millionths, strictly increasing; returns their number.
#[inline(never)]
pub(super) fn check_alphas(at: &mut At<'_, '_>, field: Field, alphas: Blob) -> Result<u32> {
    let levels = alphas.len / 4;
    at.range(field, levels, 1, u8::MAX.into())?;
    check_blob(at, field, alphas, levels * 4)?;
    let mut least = 1;
    for &alpha in at.model.u32s(alphas) {
        at.range(field, alpha, least, MILLION - 1)?;
        least = alpha + 1;
    }
    Ok(levels)
}

#[inline(never)]
fn check_abstention(at: &mut At<'_, '_>, fact: &Abstention) -> Result {
    check_policy(at, Field::AbstentionPolicyNumSamples, &fact.policy)?;
    at.finite(Field::AbstentionThreshold, fact.threshold)?;
    at.range(Field::AbstentionRiskMillionths, fact.risk_millionths, 1, MILLION - 1)?;
    at.range(Field::AbstentionConfidenceMillionths, fact.confidence_millionths, 1, MILLION - 1)?;
    at.range(Field::AbstentionExamples, fact.examples, 1, u32::MAX)?;
    at.range(Field::AbstentionAccepted, fact.accepted, 1, fact.examples)?;
    at.range(Field::AbstentionErrors, fact.errors, 0, fact.accepted)
}

#[inline(never)]
fn check_drift(at: &mut At<'_, '_>, fact: &Drift) -> Result {
    let model = at.model;
    check_policy(at, Field::DriftPolicyNumSamples, &fact.policy)?;
    at.range(Field::DriftExamples, fact.examples, 1, u32::MAX)?;
    let alarm = fact.false_alarm_millionths;
    at.range(Field::DriftFalseAlarmMillionths, alarm, 1, MILLION - 1)?;
    at.range(Field::DriftReferenceMillionths, fact.reference_millionths, 0, alarm - 1)?;
    let edges = fact.thresholds.len / 4;
    at.range(Field::DriftThresholds, edges, 1, MAX_BINS - 1)?;
    check_blob(at, Field::DriftThresholds, fact.thresholds, edges * 4)?;
    check_blob(at, Field::DriftAbove, fact.above, edges * 4)?;
    check_blob(at, Field::DriftBelow, fact.below, edges * 4)?;
    check_finite(at, Field::DriftThresholds, fact.thresholds)?;
    let increasing = model.f32s(fact.thresholds).windows(2).all(|pair| pair[0] < pair[1]);
    at.rule(Field::DriftThresholds, increasing, Rule::Increasing)?;
    let (above, below) = (model.f32s(fact.above), model.f32s(fact.below));
    check_bounds(at, Field::DriftAbove, above, above.windows(2).all(|pair| pair[0] >= pair[1]))?;
    check_bounds(at, Field::DriftBelow, below, below.windows(2).all(|pair| pair[0] <= pair[1]))?;
    let covers = above.iter().zip(below).all(|(&a, &b)| f64::from(a) + f64::from(b) >= 1.0);
    at.rule(Field::DriftAbove, covers, Rule::CoveringBounds)?;
    let bins = edges + 1;
    let bets = fact.bets.len / 4 / bins;
    at.range(Field::DriftBets, bets, 1, MAX_BETS)?;
    check_blob(at, Field::DriftBets, fact.bets, bets * bins * 4)?;
    model.f32s(fact.bets).chunks_exact(bins as usize).try_for_each(|bet| check_bet(at, bet, above, below))
}

#[inline(never)]
fn check_bounds(at: &mut At<'_, '_>, field: Field, bounds: &[f32], ordered: bool) -> Result {
    for &bound in bounds {
        at.float(field, bound, (0.0..=1.0).contains(&bound), Rule::Probability)?;
    }
    at.rule(field, ordered, Rule::OrderedBounds)
}

/// The greatest mean that the bounds allow: each rise of the factor from one bin to the next is worth
/// at most the probability above the edge, each fall at least it.
fn check_bet(at: &mut At<'_, '_>, bet: &[f32], above: &[f32], below: &[f32]) -> Result {
    for &factor in bet {
        at.float(Field::DriftBets, factor, (0.0..=MAX_FACTOR).contains(&factor), Rule::Factor)?;
    }
    let first = bet.first().map_or(0.0, |&factor| f64::from(factor));
    let mean = bet.windows(2).zip(above.iter().zip(below)).fold(first, |mean, (pair, (&above, &below))| {
        let rise = f64::from(pair[1]) - f64::from(pair[0]);
        mean + rise * if rise > 0.0 { f64::from(above) } else { 1.0 - f64::from(below) }
    });
    at.rule(Field::DriftBets, mean <= MAX_MEAN, Rule::BetWithoutGain)
}
