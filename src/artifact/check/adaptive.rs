//! The adaptive rule: ranges, and that the model has what the rule decides about.

use super::{At, Model, Result};
use crate::artifact::adaptive::Adaptive;
use crate::artifact::manifest::Task;
use crate::predict::Config;

/// One in millionths.
const MILLION: i64 = 1_000_000;

pub(super) fn check(model: &Model<'_>) -> Result {
    let at = At(None);
    let manifest = model.manifest();
    let Some(rule) = &manifest.adaptive else { return Ok(()) };
    let decides = manifest.task == Task::Classification && manifest.posterior.is_some();
    at.rule("adaptive", decides, "a classification with a posterior")?;
    check_rule(at, rule)
}

fn check_rule(at: At, rule: &Adaptive<'_>) -> Result {
    let (min, max) = (i64::from(rule.samples_min), i64::from(rule.samples_max));
    at.range("adaptive.samples_max", max, 1, Config::MAX_SAMPLES.into())?;
    at.range("adaptive.samples_min", min, 0, max)?;
    at.range("adaptive.group", rule.group.into(), 1, max)?;
    let threshold = rule.threshold;
    at.float("adaptive.threshold", threshold, (0.0..=1.0).contains(&threshold), "a margin of 0 to 1")?;
    at.range("adaptive.delta_millionths", rule.delta_millionths.into(), 1, MILLION - 1)?;
    at.range("adaptive.confidence_millionths", rule.confidence_millionths.into(), 1, MILLION - 1)?;
    at.range("adaptive.examples", rule.examples.into(), 1, u32::MAX.into())?;
    at.range("adaptive.differing", rule.differing.into(), 0, rule.examples.into())?;
    let passes = (1.0..=f32::from(rule.samples_max) + 1.0).contains(&rule.mean_passes);
    at.float("adaptive.mean_passes", rule.mean_passes, passes, "1 to samples_max + 1")
}
