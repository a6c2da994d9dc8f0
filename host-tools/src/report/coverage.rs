//! Prediction sets: coverage and size against alpha.
//!
//! Two things are shown: what the artifact's own thresholds do on these data, and curves over many alphas,
//! for which thresholds are fitted anew on one half of the data and judged on the other.

use super::plot::{Axis, Mark, Plot};
use super::subject::Subject;
use super::text::{count, hundredths, percent};
use super::{Block, Section, Table};
use crate::binomial;
use crate::calibrate::conformal::{Example, thresholds};
use crate::calibrate::{Options, Share};
use crate::data::shuffled;
use crate::error::Result;
use crate::evaluate::{Evaluation, Predictions, SetFigures};
use serde::Serialize;
use stf_bnn::uncertainty::{Penalty, PredictionSets, SetMethod, conformal_score};

/// Alphas of the curves, in hundredths.
const ALPHAS: std::ops::RangeInclusive<u32> = 1..=30;

/// Why two of the curves do not fall any further.
const PREDICTED: &str = "APS and RAPS always hold the predicted class here (they are not randomized): they do not \
    fall below one class, nor their coverage below the accuracy.";

/// Confidence of the intervals.
const CONFIDENCE: f64 = 0.95;

/// Coverage of sets whose thresholds one half of the data fitted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CoverageFigures {
    /// Examples that fitted the thresholds.
    pub fit_examples: usize,
    /// Examples that judged them.
    pub judge_examples: usize,
    /// One curve a method.
    pub curves: Vec<CoverageCurve>,
}

/// One method.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CoverageCurve {
    /// `lac`, `aps` or `raps`.
    pub method: &'static str,
    /// By alpha.
    pub points: Vec<CoveragePoint>,
}

/// One alpha.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CoveragePoint {
    /// Share of sets that may miss the label.
    pub alpha: f64,
    /// Share of sets that hold it.
    pub coverage: f64,
    /// 95 % interval (Clopper and Pearson) of the coverage.
    pub interval: (f64, f64),
    /// Classes in a set, on average.
    pub mean_size: f64,
}

/// The curves; `None` if the data are too few for them.
///
/// # Errors
/// If a label is no class.
pub fn collect(subject: &Subject<'_>, predictions: &Predictions) -> Result<Option<CoverageFigures>> {
    let outcomes = &predictions.inside;
    let order = shuffled(outcomes.len(), subject.config.seed);
    let (fit, judge) = order.split_at(order.len() / 2);
    let alphas = ALPHAS.map(|hundredths| Share::from_millionths(hundredths * Share::ONE / 100));
    let alphas: Vec<Share> = alphas
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .filter(|alpha| alpha.rank(fit.len()).is_some())
        .collect();
    if alphas.len() < 2 {
        return Ok(None);
    }
    let penalty =
        PredictionSets::new(subject.model).map_or(Options::default().penalty, |sets| sets.penalty());
    let labels = &subject.data.labels;
    let example =
        |&i: &usize| Example { probabilities: &outcomes[i].mean, label: labels[i] as usize, share: 0.0 };
    let fit: Vec<Example<'_>> = fit.iter().map(example).collect();
    let judged: Vec<Example<'_>> = judge.iter().map(example).collect();
    let curve = |method: SetMethod| {
        let thresholds = thresholds(&fit, method, penalty, &alphas, false)?;
        Ok(CoverageCurve {
            method: method.name(),
            points: judge_all(&judged, method, penalty, &alphas, &thresholds),
        })
    };
    let curves = SetMethod::ALL.into_iter().map(curve).collect::<Result<_>>()?;
    Ok(Some(CoverageFigures { fit_examples: fit.len(), judge_examples: judged.len(), curves }))
}

/// Coverage and size of the sets of `examples` at each threshold.
fn judge_all(
    examples: &[Example<'_>],
    method: SetMethod,
    penalty: Penalty,
    alphas: &[Share],
    thresholds: &[f32],
) -> Vec<CoveragePoint> {
    let mut own = Vec::new();
    let mut all = Vec::new();
    for example in examples {
        for class in 0..example.probabilities.len() {
            let score = conformal_score(method, penalty, example.probabilities, class, example.share);
            // Not a number: in no set.
            let score = score.unwrap_or(f32::INFINITY);
            all.push(score);
            if class == example.label {
                own.push(score);
            }
        }
    }
    [&mut own, &mut all].into_iter().for_each(|scores| scores.sort_unstable_by(f32::total_cmp));
    let up_to = |scores: &[f32], threshold: f32| scores.partition_point(|&score| score <= threshold);
    let n = examples.len().max(1) as f64;
    let point = |(alpha, &threshold): (&Share, &f32)| {
        let covered = up_to(&own, threshold);
        CoveragePoint {
            alpha: alpha.value(),
            coverage: covered as f64 / n,
            interval: binomial::interval(covered as u64, examples.len() as u64, CONFIDENCE),
            mean_size: up_to(&all, threshold) as f64 / n,
        }
    };
    alphas.iter().zip(thresholds).map(point).collect()
}

/// Both plots, and the artifact's own sets as a table.
pub fn section(evaluation: &Evaluation, figures: &CoverageFigures) -> Section {
    let own = evaluation.promises.as_ref().map_or(&[][..], |promises| &promises.sets);
    let lines = format!(
        "Lines: thresholds fitted anew on {} of these examples, judged on the other {}.",
        count(figures.fit_examples),
        count(figures.judge_examples)
    );
    let (own_words, size_words) = if own.is_empty() {
        (" The artifact has no thresholds of its own.", "")
    } else {
        (
            " Points: the artifact's own thresholds, fitted on other data, with 95 % intervals.",
            " Points: the artifact's own.",
        )
    };
    let mut blocks = vec![Block::Plots(vec![
        (coverage_plot(figures, own, evaluation.n), format!("{lines}{own_words}")),
        (size_plot(figures, own), format!("Smaller sets say more.{size_words} {PREDICTED}")),
    ])];
    if let Some(promises) = &evaluation.promises {
        if !promises.sampled_as_calibrated {
            let words =
                "Predictions were sampled otherwise than for calibration: nothing is promised for them.";
            blocks.push(Block::Text(words.into()));
        }
        if !own.is_empty() {
            blocks.push(Block::Text(
                "The artifact's own prediction sets, fitted on its calibration data:".into(),
            ));
            blocks.push(Block::Table(own_table(own, evaluation.n)));
        }
        if let Some(a) = &promises.abstention {
            blocks.push(Block::Text(format!(
                "Abstention: the artifact's rule accepts {} of the inputs; {} of those are answered wrongly, at most {} was \
                 promised with confidence {:.2}.",
                percent(a.coverage),
                a.risk.map_or("none".to_string(), percent),
                percent(a.promised_risk),
                a.confidence
            )));
        }
    }
    Section { id: "promises", title: "Prediction sets and abstention", blocks }
}

fn alpha(set: &SetFigures) -> f64 {
    1.0 - set.nominal
}

fn interval(set: &SetFigures, n: usize) -> (f64, f64) {
    binomial::interval((set.coverage * n as f64).round() as u64, n as u64, CONFIDENCE)
}

fn own_table(own: &[SetFigures], n: usize) -> Table {
    let row = |set: &SetFigures| {
        let (low, high) = interval(set, n);
        vec![
            set.method.to_uppercase(),
            hundredths(set.nominal),
            hundredths(set.coverage),
            format!("{}–{}", hundredths(low), hundredths(high)),
            format!("{:.3}", set.mean_size),
            hundredths(set.empty),
        ]
    };
    let head = ["method", "promised, %", "observed, %", "95 % interval", "classes", "empty, %"];
    Table::new("Prediction sets of the artifact", &head, own.iter().map(row).collect())
}

/// Lines of all methods, then the artifact's points, side by side so that intervals do not hide each other.
fn marks(
    figures: &CoverageFigures,
    own: &[SetFigures],
    y: impl Fn(&CoveragePoint) -> f64,
    own_y: impl Fn(&SetFigures) -> (f64, f64, f64),
) -> Vec<Mark> {
    let line = |(colour, curve): (usize, &CoverageCurve)| Mark::Line {
        points: curve.points.iter().map(|point| (point.alpha, y(point))).collect(),
        colour,
        name: curve.method.to_uppercase(),
    };
    let mut marks: Vec<Mark> = figures.curves.iter().enumerate().map(line).collect();
    for (colour, curve) in figures.curves.iter().enumerate() {
        let shift = (colour as f64 - 1.0) * 0.003;
        let point = |set: &SetFigures| {
            let (at, low, high) = own_y(set);
            (alpha(set) + shift, at, low, high)
        };
        let points: Vec<_> = own.iter().filter(|set| set.method == curve.method).map(point).collect();
        if !points.is_empty() {
            marks.push(Mark::Points {
                points,
                colour,
                name: format!("{}, artifact", curve.method.to_uppercase()),
            });
        }
    }
    marks
}

/// Alphas of the curves and of the artifact.
fn alpha_axis(figures: &CoverageFigures, own: &[SetFigures]) -> Axis {
    let fitted = figures.curves.iter().flat_map(|curve| &curve.points).map(|point| point.alpha);
    Axis::fitting("alpha: share of sets that may miss the label", 0.0, fitted.chain(own.iter().map(alpha)))
}

fn coverage_plot(figures: &CoverageFigures, own: &[SetFigures], n: usize) -> Plot {
    let x = alpha_axis(figures, own);
    let mut all = marks(
        figures,
        own,
        |point| point.coverage,
        |set| {
            let (low, high) = interval(set, n);
            (set.coverage, low, high)
        },
    );
    all.insert(
        0,
        Mark::Rule { points: vec![(0.0, 1.0), (x.max, 1.0 - x.max)], name: "promised: 1 − alpha".into() },
    );
    let points = figures.curves.iter().flat_map(|curve| &curve.points);
    let coverages = points.map(|point| point.coverage).chain(own.iter().map(|set| interval(set, n).0));
    let least = coverages.fold(1.0 - x.max, f64::min);
    let words = |curve: &CoverageCurve| {
        let furthest =
            curve.points.iter().map(|point| (point.coverage - (1.0 - point.alpha)).abs()).fold(0.0, f64::max);
        format!("{} at most {} from what is promised", curve.method.to_uppercase(), percent(furthest))
    };
    Plot {
        id: "coverage".into(),
        title: "Coverage of prediction sets against alpha".into(),
        description: format!("{}.", figures.curves.iter().map(words).collect::<Vec<_>>().join(", ")),
        x,
        y: Axis::new("coverage: share of sets with the label", least - 0.01, 1.0),
        marks: all,
    }
}

fn size_plot(figures: &CoverageFigures, own: &[SetFigures]) -> Plot {
    let sizes = figures.curves.iter().flat_map(|curve| curve.points.iter().map(|point| point.mean_size));
    let words = |curve: &CoverageCurve| {
        let at = |alpha: f64| curve.points.iter().find(|point| point.alpha >= alpha - 1e-9);
        let size = at(0.05)
            .map_or(String::new(), |point| format!("{:.3} at alpha {:.2}", point.mean_size, point.alpha));
        format!("{} {size}", curve.method.to_uppercase())
    };
    Plot {
        id: "set-size".into(),
        title: "Size of prediction sets against alpha".into(),
        description: format!(
            "Mean classes in a set. {}.",
            figures.curves.iter().map(words).collect::<Vec<_>>().join(", ")
        ),
        x: alpha_axis(figures, own),
        y: Axis::fitting(
            "classes in a set, on average",
            0.0,
            sizes.chain(own.iter().map(|set| set.mean_size)),
        ),
        marks: marks(
            figures,
            own,
            |point| point.mean_size,
            |set| (set.mean_size, set.mean_size, set.mean_size),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coverage_and_size_are_counted_by_hand() {
        let rows = [[0.7, 0.2, 0.1], [0.5, 0.3, 0.2], [0.1, 0.3, 0.6]];
        let labels = [0, 1, 2];
        let examples: Vec<Example<'_>> = rows
            .iter()
            .zip(labels)
            .map(|(row, label)| Example { probabilities: row, label, share: 0.0 })
            .collect();
        let alphas = ["0.1", "0.5"].map(|text| text.parse::<Share>().unwrap());
        let none = Penalty { lambda: 0.0, rank: 1 };
        // Scores 1 - p; up to .75: .3, (.8, .9), .5 and .7, (.8), .4 and .7, (.9).
        let points = judge_all(&examples, SetMethod::Lac, none, &alphas, &[0.75, 0.45]);
        let found: Vec<_> = points.iter().map(|p| (p.alpha, p.coverage, p.mean_size)).collect();
        assert_eq!(found, [(0.1, 1.0, 5.0 / 3.0), (0.5, 2.0 / 3.0, 2.0 / 3.0)]);
    }
}
