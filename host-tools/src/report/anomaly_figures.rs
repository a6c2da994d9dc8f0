//! Figures of an autoencoder's anomaly score: its distribution, alarms by alpha, detection of other data.

use super::picture;
use super::subject::Subject;
use super::uncertainty::{BARS, Shares, shares};
use crate::binomial;
use crate::data::Dataset;
use crate::error::Result;
use crate::evaluate::{AnomalyErrors, AnomalyEvaluation};
use serde::Serialize;
use stf_bnn::uncertainty::AnomalyDetector;

/// Alphas of the alarms, in hundredths.
const ALPHAS: std::ops::RangeInclusive<u32> = 1..=30;

/// Level of the alarm that the histogram shows.
pub const SHOWN_ALPHA: f32 = 0.05;

/// Share of each set that the histogram shows; what is above is in its last bar.
const SHOWN_SHARE: f64 = 0.98;

/// Points of a ROC curve, about.
const POINTS: usize = 200;

/// Examples of each kind.
const EXAMPLES: usize = 8;

/// Confidence of the intervals.
const CONFIDENCE: f64 = 0.95;

/// What the page shows of an autoencoder.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AnomalyFigures {
    /// Distribution of the reconstruction error.
    pub histogram: ErrorHistogram,
    /// Normal examples that the alarms refer to; 0 without a reference.
    pub reference_examples: u32,
    /// Alarms by alpha, the evaluated data first; none without a reference.
    pub alarms: Vec<AlarmCurve>,
    /// Detection of each other set.
    pub roc: Vec<RocCurve>,
}

/// Histogram of the reconstruction error.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ErrorHistogram {
    /// Upper end of the last bar, which holds all errors above, too; the first begins at 0.
    pub max: f64,
    /// Least error that raises an alarm at [`SHOWN_ALPHA`]; `null` if none does.
    pub alarm_from: Option<f32>,
    /// The evaluated data first.
    pub sets: Vec<Shares>,
}

/// Alarms of one set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AlarmCurve {
    /// Name of the data.
    pub data: String,
    /// By alpha.
    pub points: Vec<AlarmPoint>,
}

/// Alarms at one level.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct AlarmPoint {
    /// Greatest probability of an alarm on a normal input.
    pub alpha: f64,
    /// Share of the examples that raise one.
    pub rate: f64,
    /// 95 % interval (Clopper and Pearson).
    pub interval: (f64, f64),
}

/// Detection of one set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RocCurve {
    /// Name of the data.
    pub data: String,
    /// Area under the curve.
    pub auroc: f64,
    /// Share of the evaluated data above a threshold, share of this set above it; from (0, 0) to (1, 1).
    pub points: Vec<(f64, f64)>,
}

/// Examples by kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Extremes {
    /// What they are, in words.
    pub kind: String,
    /// The examples.
    pub examples: Vec<Extreme>,
}

/// One example.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Extreme {
    /// Name of its data.
    pub data: String,
    /// Index in the data.
    pub index: usize,
    /// Reconstruction error.
    pub error: f32,
    /// Conformal p-value; `null` without a reference.
    pub p_value: Option<f32>,
    /// PNG, base64; `None` where the input is no picture.
    #[serde(skip)]
    pub png: Option<String>,
}

/// The figures.
pub fn collect(
    subject: &Subject<'_>,
    evaluation: &AnomalyEvaluation,
    errors: &AnomalyErrors,
) -> AnomalyFigures {
    let detector = AnomalyDetector::new(subject.model);
    let names = subject.ood.iter().map(|set| set.name.clone());
    let outside: Vec<(String, &[f32])> = names.zip(errors.outside.iter().map(Vec::as_slice)).collect();
    let own = (subject.data.name.clone(), errors.inside.as_slice());
    let sets: Vec<(String, &[f32])> = [own].into_iter().chain(outside.iter().cloned()).collect();
    let roc = outside.iter().zip(&evaluation.ood).map(|((name, set), entry)| RocCurve {
        data: name.clone(),
        auroc: entry.auroc,
        points: roc_curve(&errors.inside, set),
    });
    AnomalyFigures {
        histogram: histogram(&sets, detector.and_then(|detector| alarm_from(&detector))),
        reference_examples: detector.map_or(0, |detector| detector.fact().examples),
        alarms: detector.map_or(Vec::new(), |detector| {
            sets.iter()
                .map(|(name, set)| AlarmCurve { data: name.clone(), points: alarm_curve(&detector, set) })
                .collect()
        }),
        roc: roc.collect(),
    }
}

fn histogram(sets: &[(String, &[f32])], alarm_from: Option<f32>) -> ErrorHistogram {
    let quantile = |set: &[f32]| {
        let mut sorted = set.to_vec();
        sorted.sort_unstable_by(f32::total_cmp);
        let rank = (SHOWN_SHARE * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied().map_or(0.0, f64::from)
    };
    let max = sets.iter().map(|(_, set)| quantile(set)).filter(|top| top.is_finite()).fold(1e-12, f64::max);
    let one = |(name, set): &(String, &[f32])| {
        let values: Vec<f64> = set.iter().copied().map(f64::from).collect();
        let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
        Shares { data: name.clone(), shares: shares(&values, max), mean }
    };
    ErrorHistogram { max, alarm_from, sets: sets.iter().map(one).collect() }
}

/// Least f32 that raises an alarm: alarms grow with the error, so that halving the positive numbers by their
/// bits, which are in their order, finds it.
fn alarm_from(detector: &AnomalyDetector<'_>) -> Option<f32> {
    let alarm = |bits: u32| detector.alarm(f32::from_bits(bits), SHOWN_ALPHA);
    let (mut low, mut high) = (0, f32::INFINITY.to_bits());
    if !alarm(high) {
        return None;
    }
    while low < high {
        let middle = low + (high - low) / 2;
        if alarm(middle) { high = middle } else { low = middle + 1 }
    }
    Some(f32::from_bits(low)).filter(|error| error.is_finite())
}

fn alarm_curve(detector: &AnomalyDetector<'_>, errors: &[f32]) -> Vec<AlarmPoint> {
    let point = |hundredths: u32| {
        let alpha = hundredths as f32 / 100.0;
        let raised = errors.iter().filter(|&&error| detector.alarm(error, alpha)).count();
        AlarmPoint {
            alpha: f64::from(hundredths) / 100.0,
            rate: raised as f64 / errors.len().max(1) as f64,
            interval: binomial::interval(raised as u64, errors.len() as u64, CONFIDENCE),
        }
    };
    ALPHAS.map(point).collect()
}

/// Walks the threshold from the greatest error down; equal errors make one step. Thinned.
fn roc_curve(inside: &[f32], outside: &[f32]) -> Vec<(f64, f64)> {
    let tagged = inside.iter().map(|&e| (e, false)).chain(outside.iter().map(|&e| (e, true)));
    let mut scores: Vec<(f32, bool)> = tagged.collect();
    scores.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
    let (mut counts, mut points, mut last) = ([0_usize; 2], vec![(0.0, 0.0)], (0.0, 0.0));
    let totals = [inside.len().max(1) as f64, outside.len().max(1) as f64];
    for tied in scores.chunk_by(|a, b| a.0 == b.0) {
        tied.iter().for_each(|(_, other)| counts[usize::from(*other)] += 1);
        let at = (counts[0] as f64 / totals[0], counts[1] as f64 / totals[1]);
        // As far along the curve as a point should be from the last.
        if at.0 - last.0 + at.1 - last.1 >= 2.0 / POINTS as f64 {
            points.push(at);
            last = at;
        }
    }
    if last != (1.0, 1.0) {
        points.push((1.0, 1.0));
    }
    points
}

/// The most and the least anomalous examples of the data, and the least anomalous of each other set.
///
/// # Errors
/// If one cannot be read.
pub fn extremes(subject: &Subject<'_>, errors: &AnomalyErrors) -> Result<Vec<Extremes>> {
    let detector = AnomalyDetector::new(subject.model);
    let kind = |kind: String, set: &Dataset, errors: &[f32], greatest: bool| {
        let mut order: Vec<usize> = (0..errors.len()).collect();
        order.sort_by(|&a, &b| errors[a].total_cmp(&errors[b]).then(a.cmp(&b)));
        if greatest {
            order.reverse();
        }
        let example = |&index: &usize| {
            Ok(Extreme {
                data: set.name.clone(),
                index,
                error: errors[index],
                p_value: detector.map(|detector| detector.p_value(errors[index])),
                png: picture::png(set, index)?,
            })
        };
        let examples = order.iter().take(EXAMPLES).map(example).collect::<Result<_>>()?;
        Ok(Extremes { kind, examples })
    };
    let data = subject.data;
    let mut found = vec![
        kind(format!("Most anomalous of {}", data.name), data, &errors.inside, true)?,
        kind(format!("Least anomalous of {}", data.name), data, &errors.inside, false)?,
    ];
    for (set, errors) in subject.ood.iter().zip(&errors.outside) {
        found.push(kind(format!("Least anomalous of {}", set.name), set, errors, false)?);
    }
    Ok(found)
}

/// Width of a bar of the histogram.
pub fn bar_width(histogram: &ErrorHistogram) -> f64 {
    histogram.max / BARS as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_roc_curve_takes_equal_errors_in_one_step_and_ends_with_all() {
        let points = roc_curve(&[1.0, 2.0, 3.0, 3.0], &[3.0, 4.0]);
        assert_eq!(points, [(0.0, 0.0), (0.0, 0.5), (0.5, 1.0), (0.75, 1.0), (1.0, 1.0)]);
        // Its trapezoids are the area that ranks by pairs: 4 wins of 4, and 2 wins and 2 ties of 4.
        let area: f64 = points.windows(2).map(|p| (p[1].0 - p[0].0) * (p[1].1 + p[0].1) / 2.0).sum();
        assert_eq!(area, (4.0 + 2.0 + 1.0) / 8.0);
    }

    #[test]
    fn a_long_roc_curve_is_thinned_and_keeps_its_area() {
        let [inside, outside]: [Vec<f32>; 2] =
            [0, 300].map(|shift| (0..2000).map(|i| (i * 7919 % 2000 + shift) as f32).collect());
        let points = roc_curve(&inside, &outside);
        assert!((POINTS / 2..=2 * POINTS).contains(&points.len()), "{}", points.len());
        let area: f64 = points.windows(2).map(|p| (p[1].0 - p[0].0) * (p[1].1 + p[0].1) / 2.0).sum();
        let tagged = inside.iter().map(|&e| (e, false)).chain(outside.iter().map(|&e| (e, true)));
        let ranking = stf_bnn::uncertainty::Ranking::of_scores(&mut tagged.collect::<Vec<_>>()).unwrap();
        assert!((area - ranking.auroc()).abs() < 1e-3, "{area} {}", ranking.auroc());
    }

    #[test]
    fn what_is_far_above_is_in_the_last_bar() {
        let mut errors = vec![0.5_f32; 98];
        errors.extend([700.0, 800.0]);
        let found = histogram(&[("a".into(), &errors)], None);
        assert_eq!(found.max, 0.5);
        assert_eq!(found.sets[0].shares[BARS - 1], 1.0);
        let found = histogram(&[("a".into(), &errors), ("b".into(), &[1.0])], None);
        assert_eq!((found.max, found.sets[0].shares[BARS / 2]), (1.0, 0.98));
        assert!((found.sets[0].shares[BARS - 1] - 0.02).abs() < 1e-12);
    }
}
