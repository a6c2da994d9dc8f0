//! Whether confidence is what it says: key figures, reliability, and risk when the least certain are left
//! out.

use super::plot::{Axis, Mark, Plot};
use super::provenance::Artifact;
use super::subject::Subject;
use super::text::{between, bytes, four, percent};
use super::{Block, Section};
use crate::binomial;
use crate::evaluate::bootstrap::Interval;
use crate::evaluate::{AbstentionFigures, Evaluation, Predictions, ReliabilityBin};
use serde::Serialize;
use stf_bnn::uncertainty::Score;

/// Points of a risk-coverage curve.
const POINTS: usize = 200;

/// Confidence of the intervals.
const CONFIDENCE: f64 = 0.95;

/// Coverage below which a share of so few answers says nothing: not shown.
const LEAST_SHOWN: f64 = 0.05;

/// Risk over coverage, by one score.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RiskCurve {
    /// Name of the score.
    pub score: &'static str,
    /// From the most certain on.
    pub points: Vec<RiskPoint>,
}

/// One point of the curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RiskPoint {
    /// Share of the inputs that are answered.
    pub coverage: f64,
    /// Share of wrong ones among the answers.
    pub risk: f64,
    /// 95 % interval of the risk (Clopper and Pearson).
    pub interval: (f64, f64),
}

/// By the greatest probability, and by mutual information where there is such a score.
pub fn risk_curves(subject: &Subject<'_>, predictions: &Predictions) -> Vec<RiskCurve> {
    let scores = [Score::MaxProbability, Score::MutualInformation];
    let known = if subject.is_noisy(predictions) { &scores[..] } else { &scores[..1] };
    let judged = |score: Score| {
        let pairs = predictions.inside.iter().zip(&subject.data.labels);
        let judged = pairs.filter_map(|(outcome, &label)| {
            let c = outcome.classification.as_ref()?;
            Some((score.of(c), u32::from(c.class) != label))
        });
        judged.collect::<Vec<_>>()
    };
    known.iter().map(|&score| RiskCurve { score: score.name(), points: risk_curve(judged(score)) }).collect()
}

/// A point at the first end of a group of equal scores behind each of [`POINTS`] coverages.
fn risk_curve(mut judged: Vec<(f32, bool)>) -> Vec<RiskPoint> {
    judged.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut points, mut accepted, mut wrong) = (Vec::new(), 0_u64, 0_u64);
    let mut next = 1;
    for tied in judged.chunk_by(|a, b| a.0 == b.0) {
        accepted += tied.len() as u64;
        wrong += tied.iter().filter(|(_, wrong)| *wrong).count() as u64;
        let coverage = accepted as f64 / judged.len() as f64;
        if coverage * POINTS as f64 >= next as f64 {
            next = (coverage * POINTS as f64) as usize + 1;
            let interval = binomial::interval(wrong, accepted, CONFIDENCE);
            points.push(RiskPoint { coverage, risk: wrong as f64 / accepted as f64, interval });
        }
    }
    points
}

/// Key figures and both plots.
pub fn section(evaluation: &Evaluation, curves: &[RiskCurve], artifact: &Artifact) -> Section {
    let reliability_caption = "On the dashed line a confidence of 80 % is right in 80 % of cases; below it the \
        network is too sure. Bars: 95 % intervals (Clopper and Pearson). Shaded: where the predictions are.";
    let risk_caption = "Answering only the more certain inputs should lower the share of wrong answers. The best \
        possible order would leave out exactly the wrong ones.";
    let abstention = evaluation.promises.as_ref().and_then(|promises| promises.abstention.as_ref());
    let blocks = vec![
        Block::Tiles(tiles(evaluation, artifact)),
        Block::Text("Small figures: 95 % intervals, bootstrap over examples.".into()),
        Block::Plots(vec![
            (reliability(evaluation), reliability_caption.into()),
            (risk(evaluation.accuracy, curves, abstention), risk_caption.into()),
        ]),
    ];
    Section { id: "quality", title: "Accuracy and calibration", blocks }
}

fn tiles(evaluation: &Evaluation, artifact: &Artifact) -> Vec<[String; 3]> {
    let (details, intervals) = (&evaluation.details, &evaluation.details.intervals);
    let tile = |name: &str, value: f64, text: fn(f64) -> String, Interval(low, high): Interval| {
        [name.to_string(), text(value), between(low, high, text)]
    };
    let noted = |name: &str, value: String, note: String| [name.to_string(), value, note];
    vec![
        tile("Accuracy", evaluation.accuracy, percent, intervals.accuracy),
        tile("NLL, nats", evaluation.nll, four, intervals.nll),
        tile("Brier score", evaluation.brier, four, intervals.brier),
        tile("ECE, 15 bins", evaluation.ece, four, intervals.ece),
        noted("MCE", four(details.mce), format!("adaptive ECE {}", four(details.adaptive_ece))),
        noted("AURC", four(details.aurc), format!("AUGRC {}", four(details.augrc))),
        noted(
            "Artifact",
            bytes(artifact.file_bytes as u64),
            format!("{} of it posterior", bytes(artifact.posterior_bytes)),
        ),
        noted("Workspace", bytes(artifact.workspace_bytes as u64), "on a device, one draw at a time".into()),
    ]
}

fn reliability(evaluation: &Evaluation) -> Plot {
    let bins = &evaluation.details.reliability;
    let n = evaluation.n.max(1) as f64;
    let point = |bin: &ReliabilityBin| {
        let right = (bin.accuracy * bin.count as f64).round() as u64;
        let (low, high) = binomial::interval(right, bin.count, CONFIDENCE);
        (bin.confidence, bin.accuracy, low, high)
    };
    let share = |bin: &ReliabilityBin| (bin.low, bin.high, bin.count as f64 / n);
    let words = |bin: &ReliabilityBin| format!("{:.2}: {:.2}", bin.confidence, bin.accuracy);
    Plot {
        id: "reliability".into(),
        title: "Reliability".into(),
        description: format!(
            "Accuracy by mean confidence of the bin. {}.",
            bins.iter().map(words).collect::<Vec<_>>().join(", ")
        ),
        x: Axis::new("confidence (greatest mean probability)", 0.0, 1.0),
        y: Axis::new("share", 0.0, 1.0),
        marks: vec![
            Mark::Steps {
                bars: bins.iter().map(share).collect(),
                colour: 5,
                name: "share of predictions".into(),
            },
            Mark::Rule { points: vec![(0.0, 0.0), (1.0, 1.0)], name: "ideal".into() },
            Mark::Points {
                points: bins.iter().map(point).collect(),
                colour: 0,
                name: "accuracy, 95 %".into(),
            },
        ],
    }
}

fn risk(accuracy: f64, curves: &[RiskCurve], abstention: Option<&AbstentionFigures>) -> Plot {
    let shown = |curve: &RiskCurve| {
        curve.points.iter().copied().filter(|point| point.coverage >= LEAST_SHOWN).collect::<Vec<_>>()
    };
    let mut marks = Vec::new();
    if let Some(curve) = curves.first() {
        let points = shown(curve).iter().map(|p| (p.coverage, p.interval.0, p.interval.1)).collect();
        marks.push(Mark::Band { points, colour: 0, name: "95 %".into() });
    }
    // The best order: right answers first, so that only what is beyond the accuracy is wrong.
    let coverages = (0..=POINTS).map(|i| i as f64 / POINTS as f64).filter(|&coverage| coverage > 0.0);
    let best = coverages.map(|coverage| (coverage, ((coverage - accuracy) / coverage).max(0.0))).collect();
    marks.push(Mark::Rule { points: best, name: "best possible".into() });
    for (colour, curve) in curves.iter().enumerate() {
        let points = shown(curve).iter().map(|p| (p.coverage, p.risk)).collect();
        marks.push(Mark::Line { points, colour, name: format!("by {}", curve.score.replace('_', " ")) });
    }
    if let Some(a) = abstention {
        let at = a.risk.map(|risk| (a.coverage, risk, risk, a.promised_risk));
        let name = format!("artifact's rule (risk up to {})", percent(a.promised_risk));
        marks.push(Mark::Points { points: at.into_iter().collect(), colour: 2, name });
    }
    let risks = curves.iter().flat_map(|curve| shown(curve).into_iter().map(|point| point.risk));
    Plot {
        id: "risk-coverage".into(),
        title: "Risk when the least certain are left out".into(),
        description: describe(curves),
        x: Axis::new("coverage: share of inputs answered", 0.0, 1.0),
        y: Axis::fitting("risk: share of wrong answers", 0.0, risks),
        marks,
    }
}

fn describe(curves: &[RiskCurve]) -> String {
    let at = |curve: &RiskCurve, coverage: f64| {
        let point = curve.points.iter().find(|point| point.coverage >= coverage);
        point.map_or(String::new(), |point| {
            format!("{} at coverage {:.2}", percent(point.risk), point.coverage)
        })
    };
    let one = |curve: &RiskCurve| {
        let parts = [0.5, 0.8, 0.9, 1.0].map(|coverage| at(curve, coverage));
        format!("By {}: {}.", curve.score.replace('_', " "), parts.join(", "))
    };
    format!("Share of wrong answers. {}", curves.iter().map(one).collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_divides_no_group_of_equal_scores_and_ends_with_all() {
        let judged = vec![(0.3, true), (0.1, false), (0.1, true), (0.1, false), (0.3, false), (0.2, false)];
        let found: Vec<_> = risk_curve(judged).iter().map(|p| (p.coverage, p.risk)).collect();
        assert_eq!(found, [(0.5, 1.0 / 3.0), (4.0 / 6.0, 0.25), (1.0, 2.0 / 6.0)]);
        assert!(risk_curve(Vec::new()).is_empty());
    }

    #[test]
    fn a_long_curve_is_thinned() {
        let judged = (0..100_000).map(|i| (i as f32, i % 10 == 0)).collect();
        let points = risk_curve(judged);
        assert_eq!(points.len(), POINTS);
        assert_eq!(points.last().unwrap().coverage, 1.0);
        assert!(points.iter().all(|p| p.interval.0 < p.risk && p.risk < p.interval.1));
    }
}
