//! The adaptive rule: ranges, and that the model has what the rule decides about.

use super::{At, Result};
use crate::artifact::adaptive::Adaptive;
use crate::artifact::manifest::Task;
use crate::artifact::names::{Field, Rule};
use crate::predict::Config;

/// One in millionths.
const MILLION: u32 = 1_000_000;

#[inline(never)]
pub(super) fn check(at: &mut At<'_, '_>) -> Result {
    let manifest = at.model.manifest();
    let Some(rule) = &manifest.adaptive else { return Ok(()) };
    let decides = manifest.task == Task::Classification && manifest.posterior.is_some();
    at.rule(Field::Adaptive, decides, Rule::ClassificationWithPosterior)?;
    check_rule(at, rule)
}

fn check_rule(at: &mut At<'_, '_>, rule: &Adaptive<'_>) -> Result {
    let (min, max) = (u32::from(rule.samples_min), u32::from(rule.samples_max));
    at.range(Field::AdaptiveSamplesMax, max, 1, Config::MAX_SAMPLES.into())?;
    at.range(Field::AdaptiveSamplesMin, min, 0, max)?;
    at.range(Field::AdaptiveGroup, rule.group.into(), 1, max)?;
    let threshold = rule.threshold;
    at.float(Field::AdaptiveThreshold, threshold, (0.0..=1.0).contains(&threshold), Rule::Margin)?;
    at.range(Field::AdaptiveDeltaMillionths, rule.delta_millionths, 1, MILLION - 1)?;
    at.range(Field::AdaptiveConfidenceMillionths, rule.confidence_millionths, 1, MILLION - 1)?;
    at.range(Field::AdaptiveExamples, rule.examples, 1, u32::MAX)?;
    at.range(Field::AdaptiveDiffering, rule.differing, 0, rule.examples)?;
    let passes = (1.0..=f32::from(rule.samples_max) + 1.0).contains(&rule.mean_passes);
    at.float(Field::AdaptiveMeanPasses, rule.mean_passes, passes, Rule::PassesOfSamplesMax)
}
