//! Gaussian regressions and autoencoders: their outputs, and what was fitted for them.

use super::blobs::{check_blob, check_finite};
use super::facts::{check_alphas, check_policy};
use super::{At, Result};
use crate::artifact::facts::{Anomaly, Intervals};
use crate::artifact::manifest::{GaussianHead, Task};
use crate::artifact::names::{Field, Rule};

/// Least and greatest standard deviation of targets, 2^-48 and 2^48: with variances of `exp(+-14)` in
/// their units no product leaves the normal f32.
const STD: core::ops::RangeInclusive<f32> = 3.552_713_7e-15..=2.814_749_8e14;

#[inline(never)]
pub(super) fn check(at: &mut At<'_, '_>) -> Result {
    let model = at.model;
    let outputs = u32::from(model.manifest().outputs);
    match &model.manifest().task {
        Task::Classification | Task::Regression => Ok(()),
        Task::Gaussian(head) => check_gaussian(at, head, outputs),
        Task::Reconstruction(anomaly) => {
            let inputs = u32::try_from(model.manifest().input.tensor.len()).unwrap_or(u32::MAX);
            at.equal(Field::Outputs, outputs, inputs)?;
            anomaly.as_ref().map_or(Ok(()), |fact| check_anomaly(at, fact))
        }
    }
}

#[inline(never)]
fn check_gaussian(at: &mut At<'_, '_>, head: &GaussianHead, outputs: u32) -> Result {
    at.rule(Field::Outputs, outputs.is_multiple_of(2), Rule::MeansAndVariances)?;
    let targets = outputs / 2;
    check_blob(at, Field::GaussianTargetMean, head.target_mean, targets * 4)?;
    check_blob(at, Field::GaussianTargetStd, head.target_std, targets * 4)?;
    check_finite(at, Field::GaussianTargetMean, head.target_mean)?;
    for &std in at.model.f32s(head.target_std) {
        at.float(Field::GaussianTargetStd, std, STD.contains(&std), Rule::StandardDeviation)?;
    }
    head.intervals.as_ref().map_or(Ok(()), |fact| check_intervals(at, fact, targets))
}

#[inline(never)]
fn check_intervals(at: &mut At<'_, '_>, fact: &Intervals, targets: u32) -> Result {
    check_policy(at, Field::IntervalsPolicyNumSamples, &fact.policy)?;
    at.range(Field::IntervalsExamples, fact.examples, 1, u32::MAX)?;
    let levels = check_alphas(at, Field::IntervalsAlphas, fact.alphas)?;
    // At most 255 * 32767 * 4.
    check_blob(at, Field::IntervalsFactors, fact.factors, levels * targets * 4)?;
    let factors = at.model.f32s(fact.factors);
    for &factor in factors {
        at.float(Field::IntervalsFactors, factor, factor.is_finite() && factor >= 0.0, Rule::NotNegative)?;
    }
    // The next level promises less.
    let next = factors.get(targets as usize..).unwrap_or_default();
    let ordered = factors.iter().zip(next).all(|(factor, next)| factor >= next);
    at.rule(Field::IntervalsFactors, ordered, Rule::OrderedFactors)
}

#[inline(never)]
fn check_anomaly(at: &mut At<'_, '_>, fact: &Anomaly) -> Result {
    let model = at.model;
    check_policy(at, Field::AnomalyPolicyNumSamples, &fact.policy)?;
    at.range(Field::AnomalyExamples, fact.examples, 1, u32::MAX)?;
    let count = fact.scores.len / 4;
    at.range(Field::AnomalyScores, count, 1, fact.examples)?;
    check_blob(at, Field::AnomalyScores, fact.scores, count * 4)?;
    check_blob(at, Field::AnomalyAbove, fact.above, count * 4)?;
    let mut least = 0.0;
    for (index, &score) in model.f32s(fact.scores).iter().enumerate() {
        let increasing = score.is_finite() && if index == 0 { score >= 0.0 } else { score > least };
        at.float(Field::AnomalyScores, score, increasing, Rule::Increasing)?;
        least = score;
    }
    let mut most = fact.examples;
    for &above in model.u32s(fact.above) {
        at.signed_range(Field::AnomalyAbove, above.into(), 0, i64::from(most) - 1)?;
        most = above;
    }
    Ok(())
}
