//! How uncertainty tells other data from the network's own.

use super::plot::{Axis, Mark, Plot};
use super::subject::Subject;
use super::text::{count, four, hundredths, or_dash};
use super::{Block, Section, Table};
use crate::evaluate::{ByScore, Evaluation, Outcome, Predictions};
use serde::Serialize;
use stf_bnn::uncertainty::Score;

/// Bars of a histogram.
pub(super) const BARS: usize = 30;

/// Histogram of one score.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Histogram {
    /// Name of the score.
    pub score: &'static str,
    /// Upper end of the last bar; the first begins at 0.
    pub max: f64,
    /// The evaluated data first.
    pub sets: Vec<Shares>,
}

/// Shares of one data set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shares {
    /// Name of the data.
    pub data: String,
    /// Share of the predictions in each bar.
    pub shares: Vec<f64>,
    /// Mean of the score, nats.
    pub mean: f64,
}

/// Histograms of total uncertainty and, where draws differ, of its epistemic part.
pub fn histograms(subject: &Subject<'_>, predictions: &Predictions) -> Vec<Histogram> {
    let scores = [Score::PredictiveEntropy, Score::MutualInformation];
    let known = if subject.is_noisy(predictions) { &scores[..] } else { &scores[..1] };
    let sets = || {
        let own = (subject.data.name.as_str(), predictions.inside.as_slice());
        std::iter::once(own).chain(subject.outside(predictions))
    };
    let one = |&score: &Score| {
        let values: Vec<(&str, Vec<f64>)> = sets().map(|(name, set)| (name, values(set, score))).collect();
        let max = values.iter().flat_map(|(_, values)| values).copied().fold(1e-6, f64::max);
        let shares = |(name, values): (&str, Vec<f64>)| Shares {
            data: name.to_string(),
            shares: shares(&values, max),
            mean: values.iter().sum::<f64>() / values.len().max(1) as f64,
        };
        Histogram { score: score.name(), max, sets: values.into_iter().map(shares).collect() }
    };
    known.iter().map(one).collect()
}

fn values(outcomes: &[Outcome], score: Score) -> Vec<f64> {
    outcomes.iter().filter_map(|o| o.classification.as_ref()).map(|c| f64::from(score.of(c))).collect()
}

/// Share of the values, which are not negative, in each of the bars from 0 to `max`; the last holds those above.
pub(super) fn shares(values: &[f64], max: f64) -> Vec<f64> {
    let mut bars = vec![0_usize; BARS];
    for value in values {
        bars[((value / max * BARS as f64) as usize).min(BARS - 1)] += 1;
    }
    bars.into_iter().map(|bar| bar as f64 / values.len().max(1) as f64).collect()
}

/// Histograms, detection and shifts.
pub fn section(evaluation: &Evaluation, histograms: &[Histogram]) -> Section {
    let mut blocks = vec![Block::Plots(histograms.iter().map(plot).collect())];
    if evaluation.ood.is_empty() {
        blocks.push(Block::Text("No other data were given (--ood) to tell apart.".into()));
    } else {
        blocks.push(Block::Text(
            "Detection of other data by each score: area under the ROC curve, .5 is chance. Energy is that of the logits."
                .into(),
        ));
        blocks.push(Block::Table(detection(evaluation)));
    }
    if !evaluation.shifts.is_empty() {
        blocks.push(Block::Text("Shifted copies of the data, by severity from 1 to 5.".into()));
        blocks.push(Block::Table(shifts(evaluation)));
    }
    Section { id: "uncertainty", title: "Uncertainty in and out of distribution", blocks }
}

fn plot(histogram: &Histogram) -> (Plot, String) {
    let width = histogram.max / BARS as f64;
    let bar = |(i, &share): (usize, &f64)| (i as f64 * width, (i + 1) as f64 * width, share);
    let mark = |(colour, set): (usize, &Shares)| Mark::Steps {
        bars: set.shares.iter().enumerate().map(bar).collect(),
        colour,
        name: set.data.clone(),
    };
    let (id, title, axis, caption) = match histogram.score {
        "mutual_information" => (
            "mutual-information",
            "Epistemic uncertainty",
            "mutual information, nats",
            "Disagreement of the draws: what the network does not know. Unknown inputs should lie to the right.",
        ),
        _ => (
            "predictive-entropy",
            "Total uncertainty",
            "predictive entropy, nats",
            "Entropy of the mean probabilities: hard and unknown inputs lie to the right.",
        ),
    };
    let mean = |set: &Shares| format!("{} {:.4}", set.data, set.mean);
    let plot = Plot {
        id: id.into(),
        title: title.into(),
        description: format!(
            "Histogram of the {axis}. Means: {}.",
            histogram.sets.iter().map(mean).collect::<Vec<_>>().join(", ")
        ),
        x: Axis::new(axis, 0.0, histogram.max),
        y: Axis::fitting(
            "share of predictions",
            0.0,
            histogram.sets.iter().flat_map(|set| set.shares.iter().copied()),
        ),
        marks: histogram.sets.iter().enumerate().map(mark).collect(),
    };
    (plot, caption.into())
}

fn detection(evaluation: &Evaluation) -> Table {
    let head = [
        "AUROC against",
        "examples",
        "max probability",
        "predictive entropy",
        "expected entropy",
        "mutual information",
        "energy",
    ];
    let row = |name: &str, examples: String, scores: &ByScore| {
        vec![
            name.to_string(),
            examples,
            four(scores.max_probability),
            four(scores.predictive_entropy),
            four(scores.expected_entropy),
            or_dash(scores.mutual_information, four),
            or_dash(scores.energy, four),
        ]
    };
    let mut rows: Vec<_> =
        evaluation.ood.iter().map(|entry| row(&entry.data, count(entry.n), &entry.auroc)).collect();
    if let Some(wrong) = &evaluation.details.misclassification {
        rows.push(row("own mistakes", "–".into(), &wrong.auroc));
    }
    Table::new("Detection of other data", &head, rows)
}

fn shifts(evaluation: &Evaluation) -> Table {
    let row = |entry: &crate::evaluate::ShiftEntry| {
        vec![
            entry.shift.clone(),
            hundredths(entry.accuracy),
            four(entry.nll),
            four(entry.ece),
            four(entry.detection.auroc.predictive_entropy),
        ]
    };
    let head = ["shift", "accuracy, %", "NLL", "ECE", "AUROC, entropy"];
    Table::new("Shifted data", &head, evaluation.shifts.iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_sum_to_one_and_the_greatest_is_in_the_last_bar() {
        let bars = shares(&[0.0, 0.1, 1.0, 1.0], 1.0);
        assert!((bars.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert_eq!((bars[0], bars[3], bars[BARS - 1]), (0.25, 0.25, 0.5));
        assert_eq!(shares(&[], 1.0), vec![0.0; BARS]);
    }
}
