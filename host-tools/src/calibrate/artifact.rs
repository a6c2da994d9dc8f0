//! Writes what was fitted into an artifact.

use super::abstention::Certified;
use super::drift::Reference;
use super::share::Share;
use crate::error::{Error, Result};
use stf_bnn::Model;
use stf_bnn::artifact::{Abstention, ArtifactWriter, Conformal, Drift, Manifest, SamplingPolicy, Task};
use stf_bnn::uncertainty::{Penalty, Score};

/// What was fitted.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Facts {
    /// Temperature of the softmax.
    pub temperature: f32,
    /// Whether the rule of an adaptive number of samples stays: it is void at another temperature.
    pub keep_adaptive: bool,
    /// How predictions were sampled.
    pub policy: Option<SamplingPolicy>,
    /// Certifying examples.
    pub examples: usize,
    /// Thresholds of prediction sets.
    pub sets: Option<SetFacts>,
    /// Score of abstention and drift monitor.
    pub score: Option<Score>,
    /// When to answer: threshold, risk and confidence.
    pub abstention: Option<(Certified, Share, Share)>,
    /// Reference of the drift monitor, false alarms, and the reference's share of them.
    pub drift: Option<(Reference, Share, Share)>,
}

/// Thresholds of prediction sets.
#[derive(Debug, Clone, PartialEq)]
pub struct SetFacts {
    /// Shares of sets that may miss the label, strictly increasing. `[levels]`
    pub alphas: Vec<Share>,
    /// `[methods, levels, 1 or classes]`
    pub thresholds: Vec<f32>,
    /// One threshold a class.
    pub class_conditional: bool,
    /// Randomized APS and RAPS.
    pub randomized: bool,
    /// Penalty of RAPS.
    pub penalty: Penalty,
}

/// The artifact with another task, whose blobs `task` writes, and nothing else fitted but what it says.
///
/// # Errors
/// If the runtime does not accept the result.
pub(super) fn retask(model: &Model<'_>, task: impl FnOnce(&mut ArtifactWriter) -> Task) -> Result<Vec<u8>> {
    let mut writer = ArtifactWriter::resume(model);
    let task = task(&mut writer);
    finish(writer, Manifest { task, ..*model.manifest() })
}

fn finish(writer: ArtifactWriter, manifest: Manifest<'_>) -> Result<Vec<u8>> {
    writer
        .finish(manifest)
        .map_err(|error| Error::invalid("artifact", error, "an artifact that the runtime accepts"))
}

/// The artifact with these facts in place of those it had.
///
/// # Errors
/// If the runtime does not accept the result.
pub fn rewrite(model: &Model<'_>, facts: &Facts) -> Result<Vec<u8>> {
    let mut writer = ArtifactWriter::resume(model);
    let examples = u32::try_from(facts.examples)
        .map_err(|_| Error::invalid("calibration examples", facts.examples, "at most 2^32 - 1"))?;
    let conformal = facts.policy.zip(facts.sets.as_ref()).map(|(policy, sets)| {
        let alphas: Vec<u32> = sets.alphas.iter().map(|alpha| alpha.millionths()).collect();
        Conformal {
            policy,
            examples,
            class_conditional: sets.class_conditional,
            randomized: sets.randomized,
            raps_lambda: sets.penalty.lambda,
            raps_rank: sets.penalty.rank,
            alphas: writer.values(&alphas),
            thresholds: writer.values(&sets.thresholds),
        }
    });
    let scored = facts.policy.zip(facts.score);
    let abstention = scored.zip(facts.abstention).map(|((policy, score), (found, risk, confidence))| {
        let count = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        Abstention {
            policy,
            score,
            threshold: found.threshold,
            risk_millionths: risk.millionths(),
            confidence_millionths: confidence.millionths(),
            examples,
            accepted: count(found.accepted),
            errors: count(found.errors),
        }
    });
    let drift = scored.zip(facts.drift.as_ref()).map(|((policy, score), (reference, alarm, delta))| Drift {
        policy,
        score,
        examples,
        false_alarm_millionths: alarm.millionths(),
        reference_millionths: delta.millionths(),
        thresholds: writer.values(&reference.thresholds),
        above: writer.values(&reference.above),
        below: writer.values(&reference.below),
        bets: writer.values(&reference.bets),
    });
    let adaptive = model.manifest().adaptive.filter(|_| facts.keep_adaptive);
    let temperature = facts.temperature;
    let manifest = Manifest { temperature, adaptive, conformal, abstention, drift, ..*model.manifest() };
    finish(writer, manifest)
}
