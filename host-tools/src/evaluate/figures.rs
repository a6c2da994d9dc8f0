//! Calibration and selective prediction in detail, with bootstrap intervals.

use super::bootstrap::{self, Interval};
use super::detection::{Misclassification, misclassification};
use super::outcomes::Outcome;
use serde::Serialize;
use stf_bnn::uncertainty::{BINS, Bin, Calibration, Classwise, Score, Scored, Selective, equal_mass_ece};
pub use stf_device_protocol::log::ReliabilityBin;

/// Coverages of the risk-coverage points.
const COVERAGES: [f64; 8] = [0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0];

/// Figures beyond the headline.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Details {
    /// Greatest calibration error of a bin.
    pub mce: f64,
    /// Expected calibration error with 15 bins of equal mass.
    pub adaptive_ece: f64,
    /// Mean over classes of each class's expected calibration error.
    pub classwise_ece: f64,
    /// Area under the risk-coverage curve, by the greatest probability.
    pub aurc: f64,
    /// Area under the generalized risk-coverage curve, by the greatest probability.
    pub augrc: f64,
    /// Risk among the most certain predictions.
    pub risk_coverage: Vec<RiskPoint>,
    /// Finding wrong predictions; `null` if all are right or all are wrong.
    pub misclassification: Option<Misclassification>,
    /// The reliability diagram: the bins that are not empty.
    pub reliability: Vec<ReliabilityBin>,
    /// 95 % bootstrap intervals over examples.
    pub intervals: Intervals,
}

/// One point of the risk-coverage curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RiskPoint {
    /// Share of the predictions that are accepted: the least that is at least the one asked for and
    /// divides no group of equal uncertainty.
    pub coverage: f64,
    /// Share of wrong ones among them.
    pub risk: f64,
}

/// 95 % bootstrap intervals.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Intervals {
    /// Of the accuracy.
    pub accuracy: Interval,
    /// Of the negative log likelihood.
    pub nll: Interval,
    /// Of the Brier score.
    pub brier: Interval,
    /// Of the calibration error. Resamples repeat examples, which raises this figure: the interval may
    /// lie above it where calibration is nearly perfect.
    pub ece: Interval,
}

/// All of it. Labels below the number of outputs; mutual information only if `noisy`.
#[must_use]
pub fn details(outcomes: &[Outcome], labels: &[u32], noisy: bool) -> Details {
    let scored: Vec<Scored> = outcomes
        .iter()
        .zip(labels)
        .filter_map(|(outcome, &label)| Scored::new(&outcome.mean, label as usize))
        .collect();
    let calibration = calibration(scored.iter());
    let mut confidences: Vec<(f32, bool)> = scored.iter().map(|s| (s.confidence, s.correct)).collect();
    let (selective, risk_coverage) = selective(outcomes, labels);
    Details {
        mce: calibration.mce(),
        adaptive_ece: equal_mass_ece(&mut confidences, BINS),
        classwise_ece: classwise_ece(outcomes, labels),
        aurc: selective.aurc(),
        augrc: selective.augrc(),
        risk_coverage,
        misclassification: misclassification(outcomes, labels, noisy),
        reliability: ReliabilityBin::all(&calibration),
        intervals: intervals(&scored),
    }
}

fn calibration<'a>(scored: impl Iterator<Item = &'a Scored>) -> Calibration {
    let mut calibration = Calibration::new();
    scored.for_each(|scored| calibration.push_scored(scored));
    calibration
}

fn classwise_ece(outcomes: &[Outcome], labels: &[u32]) -> f64 {
    let classes = outcomes.first().map_or(0, |outcome| outcome.mean.len());
    let mut bins = vec![Bin::default(); classes * BINS];
    Classwise::new(&mut bins).map_or(0.0, |mut classwise| {
        for (outcome, &label) in outcomes.iter().zip(labels) {
            classwise.push(&outcome.mean, label as usize);
        }
        classwise.ece()
    })
}

/// Areas by the greatest probability, and the points of the curve.
fn selective(outcomes: &[Outcome], labels: &[u32]) -> (Selective, Vec<RiskPoint>) {
    let mut scores: Vec<(f32, bool)> = outcomes
        .iter()
        .zip(labels)
        .filter_map(|(outcome, &label)| {
            let c = outcome.classification.as_ref()?;
            Some((Score::MaxProbability.of(c), u32::from(c.class) != label))
        })
        .collect();
    scores.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let (mut selective, mut points) = (Selective::new(), Vec::new());
    let mut wanted = COVERAGES.iter().peekable();
    for tied in scores.chunk_by(|a, b| a.0 == b.0) {
        selective.push(tied.len() as u64, tied.iter().filter(|(_, wrong)| *wrong).count() as u64);
        let coverage = selective.accepted() as f64 / scores.len() as f64;
        while wanted.next_if(|&&least| coverage >= least).is_some() {
            points
                .push(RiskPoint { coverage, risk: selective.errors() as f64 / selective.accepted() as f64 });
        }
    }
    points.dedup();
    (selective, points)
}

fn intervals(scored: &[Scored]) -> Intervals {
    let figures = |indices: &[usize]| {
        let resample = calibration(indices.iter().map(|&i| &scored[i]));
        [resample.accuracy(), resample.nll(), resample.brier(), resample.ece()]
    };
    // The seed is fixed: the same predictions give the same intervals.
    let [accuracy, nll, brier, ece] = bootstrap::intervals(scored.len(), 0, figures);
    Intervals { accuracy, nll, brier, ece }
}
