//! Gaussian regressions and autoencoders: their outputs, and what was fitted for them.

use super::blobs::check_blob;
use super::facts::{check_alphas, check_policy};
use super::{At, Model, Result};
use crate::artifact::facts::{Anomaly, Intervals};
use crate::artifact::manifest::{GaussianHead, Task};

/// Least and greatest standard deviation of targets, 2^-48 and 2^48: with variances of `exp(+-14)` in
/// their units no product leaves the normal f32.
const STD: core::ops::RangeInclusive<f32> = 3.552_713_7e-15..=2.814_749_8e14;

pub(super) fn check(model: &Model<'_>) -> Result {
    match &model.manifest().task {
        Task::Classification | Task::Regression => Ok(()),
        Task::Gaussian(head) => check_gaussian(model, head),
        Task::Reconstruction(anomaly) => {
            let manifest = model.manifest();
            At(None).equal("outputs", manifest.outputs.into(), manifest.input.tensor.len())?;
            anomaly.as_ref().map_or(Ok(()), |fact| check_anomaly(model, fact))
        }
    }
}

fn check_gaussian(model: &Model<'_>, head: &GaussianHead) -> Result {
    let at = At(None);
    let outputs = model.manifest().outputs;
    at.rule("outputs", outputs.is_multiple_of(2), "a mean and a variance for each target")?;
    let targets = u64::from(outputs / 2);
    check_blob(model, at, "gaussian.target_mean", head.target_mean, targets * 4)?;
    check_blob(model, at, "gaussian.target_std", head.target_std, targets * 4)?;
    model.f32s(head.target_mean).iter().try_for_each(|&mean| at.finite("gaussian.target_mean", mean))?;
    for &std in model.f32s(head.target_std) {
        at.float("gaussian.target_std", std, STD.contains(&std), "2^-48 to 2^48")?;
    }
    head.intervals.as_ref().map_or(Ok(()), |fact| check_intervals(model, fact, targets))
}

fn check_intervals(model: &Model<'_>, fact: &Intervals, targets: u64) -> Result {
    let at = At(None);
    check_policy("intervals.policy.num_samples", &fact.policy)?;
    at.range("intervals.examples", fact.examples.into(), 1, u32::MAX.into())?;
    let levels = check_alphas(model, "intervals.alphas", fact.alphas)?;
    check_blob(model, at, "intervals.factors", fact.factors, levels * targets * 4)?;
    let factors = model.f32s(fact.factors);
    for &factor in factors {
        at.float(
            "intervals.factors",
            factor,
            factor.is_finite() && factor >= 0.0,
            "finite and not negative",
        )?;
    }
    // The next level promises less.
    let next = factors.get(targets as usize..).unwrap_or_default();
    let ordered = factors.iter().zip(next).all(|(factor, next)| factor >= next);
    at.rule("intervals.factors", ordered, "factors that do not grow from one level to the next")
}

fn check_anomaly(model: &Model<'_>, fact: &Anomaly) -> Result {
    let at = At(None);
    check_policy("anomaly.policy.num_samples", &fact.policy)?;
    at.range("anomaly.examples", fact.examples.into(), 1, u32::MAX.into())?;
    let count = u64::from(fact.scores.len / 4);
    at.range("anomaly.scores", count as i64, 1, fact.examples.into())?;
    check_blob(model, at, "anomaly.scores", fact.scores, count * 4)?;
    check_blob(model, at, "anomaly.above", fact.above, count * 4)?;
    let mut least = 0.0;
    for (index, &score) in model.f32s(fact.scores).iter().enumerate() {
        let increasing = score.is_finite() && if index == 0 { score >= 0.0 } else { score > least };
        at.float("anomaly.scores", score, increasing, "finite, not negative, strictly increasing")?;
        least = score;
    }
    let mut most = i64::from(fact.examples);
    for &above in model.u32s(fact.above) {
        at.range("anomaly.above", above.into(), 0, most - 1)?;
        most = above.into();
    }
    Ok(())
}
