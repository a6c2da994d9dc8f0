//! What the artifact promises, held against labelled data: prediction sets, abstention, drift.

use super::Outcome;
use crate::data::shuffled;
use serde::Serialize;
use stf_bnn::Model;
use stf_bnn::artifact::SamplingPolicy;
use stf_bnn::uncertainty::{AbstentionRule, DriftMonitor, PredictionSets, SetMethod, random_share};

/// Promises and what came of them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Promises {
    /// Whether predictions were sampled as they were for calibration: else nothing is promised.
    pub sampled_as_calibrated: bool,
    /// Prediction sets, one entry a method and level.
    pub sets: Vec<SetFigures>,
    /// When to answer.
    pub abstention: Option<AbstentionFigures>,
    /// The drift monitor, fed with the predictions in an order that is drawn once and for all: data that were
    /// read class by class would look like drift.
    pub drift: Option<DriftFigures>,
}

/// Prediction sets of one method and level.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SetFigures {
    /// `lac`, `aps` or `raps`.
    pub method: &'static str,
    /// Promised coverage.
    pub nominal: f64,
    /// Share of sets that hold the label.
    pub coverage: f64,
    /// Classes in a set, on average.
    pub mean_size: f64,
    /// Share of empty sets.
    pub empty: f64,
}

/// Accepted predictions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct AbstentionFigures {
    /// Promised greatest risk.
    pub promised_risk: f64,
    /// Confidence of the promise.
    pub confidence: f64,
    /// Share of the predictions that are accepted.
    pub coverage: f64,
    /// Share of wrong ones among them; `null` if none is accepted.
    pub risk: Option<f64>,
}

/// The drift monitor at the end.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct DriftFigures {
    /// Greatest probability of a false alarm.
    pub false_alarm: f64,
    /// Whether the alarm was raised.
    pub alarm: bool,
    /// Predictions until it was; `null` without an alarm.
    pub alarm_after: Option<u32>,
    /// Greatest evidence of drift; the alarm's level is `level`.
    pub peak_evidence: f32,
    /// Evidence that raises the alarm.
    pub level: f32,
}

impl Promises {
    /// Holds the artifact's promises against outcomes with the prediction counters 0, 1, 2 ... `None` if
    /// it makes none.
    #[must_use]
    pub fn hold(
        model: &Model<'_>,
        outcomes: &[Outcome],
        labels: &[u32],
        policy: &SamplingPolicy,
    ) -> Option<Self> {
        let (sets, rule) = (PredictionSets::new(model), AbstentionRule::new(model));
        let drift = DriftMonitor::new(model);
        let fitted = (sets.map(|sets| sets.fact().policy))
            .or(rule.map(|rule| rule.fact().policy))
            .or(drift.map(|drift| drift.fact().policy))?;
        Some(Self {
            sampled_as_calibrated: fitted.covers_policy(policy),
            sets: sets.map_or_else(Vec::new, |sets| all_sets(&sets, outcomes, labels, policy.seed)),
            abstention: rule.map(|rule| abstention(&rule, outcomes, labels)),
            drift: drift.map(|monitor| watch(monitor, outcomes)),
        })
    }
}

fn all_sets(sets: &PredictionSets<'_>, outcomes: &[Outcome], labels: &[u32], seed: u64) -> Vec<SetFigures> {
    let levels = |method| (0..sets.levels()).map(move |level| (method, level));
    let one = |(method, level): (SetMethod, usize)| {
        let mut bits = vec![0; sets.words()];
        let (mut covered, mut size, mut empty) = (0_usize, 0_usize, 0_usize);
        for (counter, (outcome, &label)) in outcomes.iter().zip(labels).enumerate() {
            let share = random_share(seed, counter as u64);
            let Some(set) = sets.set(method, level, &outcome.mean, share, &mut bits) else { continue };
            covered += usize::from(set.contains(label as usize));
            size += set.len;
            empty += usize::from(set.is_empty());
        }
        let share = |count: usize| count as f64 / outcomes.len().max(1) as f64;
        SetFigures {
            method: method.name(),
            nominal: sets.coverage(level).unwrap_or(0.0),
            coverage: share(covered),
            mean_size: share(size),
            empty: share(empty),
        }
    };
    SetMethod::ALL.into_iter().flat_map(levels).map(one).collect()
}

fn abstention(rule: &AbstentionRule, outcomes: &[Outcome], labels: &[u32]) -> AbstentionFigures {
    let (mut accepted, mut wrong) = (0_usize, 0_usize);
    for (outcome, &label) in outcomes.iter().zip(labels) {
        if let Some(c) = outcome.classification.filter(|c| rule.accepts(c)) {
            accepted += 1;
            wrong += usize::from(u32::from(c.class) != label);
        }
    }
    AbstentionFigures {
        promised_risk: f64::from(rule.fact().risk_millionths) / 1e6,
        confidence: f64::from(rule.fact().confidence_millionths) / 1e6,
        coverage: accepted as f64 / outcomes.len().max(1) as f64,
        risk: (accepted > 0).then(|| wrong as f64 / accepted as f64),
    }
}

fn watch(mut monitor: DriftMonitor<'_>, outcomes: &[Outcome]) -> DriftFigures {
    let mut figures = DriftFigures {
        false_alarm: f64::from(monitor.fact().false_alarm_millionths) / 1e6,
        alarm: false,
        alarm_after: None,
        peak_evidence: 0.0,
        level: monitor.level(),
    };
    let order = shuffled(outcomes.len(), 0);
    for classification in order.iter().filter_map(|&index| outcomes[index].classification.as_ref()) {
        let report = monitor.push(classification);
        figures.peak_evidence = report.peak;
        if report.alarm && !figures.alarm {
            (figures.alarm, figures.alarm_after) = (true, Some(report.count));
        }
    }
    figures
}
