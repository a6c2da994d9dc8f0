//! What `stf inspect` says of the facts fitted after quantization.

use super::common::accepted_scores;
use serde::Serialize;
use std::fmt::Write;
use stf_bnn::Model;
use stf_bnn::artifact::{SamplingPolicy, Task};
use stf_bnn::uncertainty::{
    AbstentionRule, AnomalyDetector, DriftMonitor, PredictionIntervals, PredictionSets, SetMethod,
};

/// Facts fitted after quantization.
#[derive(Debug, Serialize)]
pub struct FactRows {
    /// How predictions were sampled; `null` if nothing was fitted.
    sampled: Option<String>,
    /// Prediction sets, one row a method and level.
    sets: Vec<SetRow>,
    abstention: Option<AbstentionRow>,
    drift: Option<DriftRow>,
    /// Targets of a Gaussian regression with their intervals.
    targets: Vec<TargetRow>,
    anomaly: Option<AnomalyRow>,
}

#[derive(Debug, Serialize)]
struct TargetRow {
    name: String,
    mean: f32,
    std: f32,
    /// One factor of sigma a level.
    intervals: Vec<FactorRow>,
}

#[derive(Debug, Serialize)]
struct FactorRow {
    coverage: f64,
    factor: f32,
    examples: u32,
}

#[derive(Debug, Serialize)]
struct AnomalyRow {
    examples: u32,
    scores: usize,
    greatest_error: f32,
}

#[derive(Debug, Serialize)]
struct SetRow {
    method: &'static str,
    coverage: f64,
    examples: u32,
    class_conditional: bool,
    randomized: bool,
    thresholds: Vec<f32>,
}

#[derive(Debug, Serialize)]
struct AbstentionRow {
    score: &'static str,
    threshold: f32,
    risk: f64,
    confidence: f64,
    examples: u32,
    accepted: u32,
    errors: u32,
}

#[derive(Debug, Serialize)]
struct DriftRow {
    score: &'static str,
    examples: u32,
    bins: usize,
    false_alarm: f64,
    alarm_at_evidence: f32,
}

impl FactRows {
    /// The facts of a model.
    pub fn new(model: &Model<'_>) -> Self {
        let (sets, rule) = (PredictionSets::new(model), AbstentionRule::new(model));
        let monitor = DriftMonitor::new(model);
        let policy = (sets.map(|sets| sets.fact().policy))
            .or(rule.map(|rule| rule.fact().policy))
            .or(monitor.map(|monitor| monitor.fact().policy))
            .or(PredictionIntervals::new(model).map(|intervals| intervals.fact().policy))
            .or(AnomalyDetector::new(model).map(|detector| detector.fact().policy));
        Self {
            sampled: policy.map(sampled),
            sets: sets.map_or_else(Vec::new, |sets| set_rows(&sets)),
            abstention: rule.map(|rule| {
                let fact = rule.fact();
                AbstentionRow {
                    score: fact.score.name(),
                    threshold: fact.threshold,
                    risk: f64::from(fact.risk_millionths) / 1e6,
                    confidence: f64::from(fact.confidence_millionths) / 1e6,
                    examples: fact.examples,
                    accepted: fact.accepted,
                    errors: fact.errors,
                }
            }),
            targets: target_rows(model),
            anomaly: AnomalyDetector::new(model).map(|detector| {
                let scores = model.f32s(detector.fact().scores);
                AnomalyRow {
                    examples: detector.fact().examples,
                    scores: scores.len(),
                    greatest_error: scores.last().copied().unwrap_or_default(),
                }
            }),
            drift: monitor.map(|monitor| {
                let fact = monitor.fact();
                DriftRow {
                    score: fact.score.name(),
                    examples: fact.examples,
                    bins: fact.thresholds.len as usize / 4 + 1,
                    false_alarm: f64::from(fact.false_alarm_millionths) / 1e6,
                    alarm_at_evidence: monitor.level(),
                }
            }),
        }
    }

    /// The facts as lines.
    pub fn text(&self, text: &mut String) {
        // Writing to a string cannot fail.
        if let Some(sampled) = &self.sampled {
            let _ = writeln!(text, "calibrated for predictions of {sampled}:");
        }
        for set in &self.sets {
            let greatest = set.thresholds.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let _ = writeln!(
                text,
                "  {:<4} sets hold the label with probability {} at least (score up to {greatest}{}{}; {} examples)",
                set.method,
                set.coverage,
                if set.class_conditional { ", by class" } else { "" },
                if set.randomized && set.method != "lac" { ", randomized" } else { "" },
                set.examples
            );
        }
        for target in &self.targets {
            let _ = writeln!(
                text,
                "  target {}: mean {}, standard deviation {}",
                target.name, target.mean, target.std
            );
            for row in &target.intervals {
                let _ = writeln!(
                    text,
                    "    intervals hold it with probability {} at least: +- {} sigma ({} examples)",
                    row.coverage, row.factor, row.examples
                );
            }
        }
        if let Some(a) = &self.anomaly {
            let _ = writeln!(
                text,
                "  anomaly score: p-values from {} normal examples ({} scores kept, errors up to {})",
                a.examples, a.scores, a.greatest_error
            );
        }
        if let Some(a) = &self.abstention {
            let _ = writeln!(
                text,
                "  accepted with {}: at most {} of them wrong, with confidence {} ({} of {} were, of {} examples)",
                accepted_scores(a.score, a.threshold),
                a.risk,
                a.confidence,
                a.errors,
                a.accepted,
                a.examples
            );
        }
        if let Some(d) = &self.drift {
            let _ = writeln!(
                text,
                "  drift monitor on the {}, {} bins from {} examples: alarm at evidence {:.0}, false with probability {} at most, ever",
                d.score, d.bins, d.examples, d.alarm_at_evidence, d.false_alarm
            );
        }
    }
}

fn target_rows(model: &Model<'_>) -> Vec<TargetRow> {
    let Task::Gaussian(head) = model.manifest().task else { return Vec::new() };
    let intervals = PredictionIntervals::new(model);
    let moments = model.f32s(head.target_mean).iter().zip(model.f32s(head.target_std));
    let row = |(target, (&mean, &std)): (usize, (&f32, &f32))| TargetRow {
        name: model.class_name(target).map_or_else(|| target.to_string(), str::to_string),
        mean,
        std,
        intervals: intervals.map_or_else(Vec::new, |all| {
            let factor = |level| {
                let examples = all.fact().examples;
                Some(FactorRow {
                    coverage: all.coverage(level)?,
                    factor: all.factor(level, target)?,
                    examples,
                })
            };
            (0..all.levels()).filter_map(factor).collect()
        }),
    };
    moments.enumerate().map(row).collect()
}

fn set_rows(sets: &PredictionSets<'_>) -> Vec<SetRow> {
    let fact = sets.fact();
    let levels = |method| (0..sets.levels()).map(move |level| (method, level));
    SetMethod::ALL
        .into_iter()
        .flat_map(levels)
        .map(|(method, level)| SetRow {
            method: method.name(),
            coverage: sets.coverage(level).unwrap_or(0.0),
            examples: fact.examples,
            class_conditional: fact.class_conditional,
            randomized: fact.randomized,
            thresholds: sets.thresholds(method, level).unwrap_or_default().to_vec(),
        })
        .collect()
}

fn sampled(policy: SamplingPolicy) -> String {
    if policy.num_samples == 0 {
        return "one pass without noise".to_string();
    }
    format!(
        "{}{} {} draws{}{}",
        if policy.adaptive { "up to " } else { "" },
        policy.num_samples,
        if policy.fresh { "fresh" } else { "fixed" },
        if policy.antithetic { " in antithetic pairs" } else { "" },
        if policy.fresh { String::new() } else { format!(", seed {}", policy.seed) }
    )
}
