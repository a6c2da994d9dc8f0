//! Pictures and tables of an autoencoder's anomaly score.

use super::anomaly_figures::{
    AlarmCurve, AlarmPoint, AnomalyFigures, ErrorHistogram, Extreme, Extremes, RocCurve, SHOWN_ALPHA,
    bar_width,
};
use super::plot::{Axis, Mark, Plot};
use super::text::{count, four, or_dash, percent, several, significant};
use super::uncertainty::Shares;
use super::{Block, Card, Section, Table};
use crate::evaluate::bootstrap::Interval;
use crate::evaluate::{AlarmRow, AnomalyEvaluation};

/// Key figures, which are made elsewhere, the distribution of the error, and detection.
pub fn detection(
    tiles: Vec<[String; 3]>,
    evaluation: &AnomalyEvaluation,
    figures: &AnomalyFigures,
) -> Section {
    let mut plots = vec![(histogram(&figures.histogram), histogram_caption(&figures.histogram))];
    if !figures.roc.is_empty() {
        let caption = "Each point is a threshold: alarms on the evaluated data to the right, on the other data upwards. \
            The dashed line is chance.";
        plots.push((roc(&figures.roc), caption.into()));
    }
    let mut blocks = vec![Block::Tiles(tiles), Block::Plots(plots)];
    if evaluation.ood.is_empty() {
        blocks.push(Block::Text("No other data were given (--ood) to tell apart.".into()));
    } else {
        blocks.push(Block::Table(table(evaluation)));
    }
    Section { id: "detection", title: "Reconstruction error in and out of distribution", blocks }
}

fn histogram_caption(histogram: &ErrorHistogram) -> String {
    let alarm = histogram.alarm_from.map_or(String::new(), |from| {
        format!(
            " The dashed line is the least error that raises an alarm at alpha {SHOWN_ALPHA}: {}.",
            significant(from.into())
        )
    });
    format!("The last bar holds all greater errors, too.{alarm}")
}

fn histogram(histogram: &ErrorHistogram) -> Plot {
    let width = bar_width(histogram);
    let bar = |(i, &share): (usize, &f64)| (i as f64 * width, (i + 1) as f64 * width, share);
    let mark = |(colour, set): (usize, &Shares)| Mark::Steps {
        bars: set.shares.iter().enumerate().map(bar).collect(),
        colour,
        name: set.data.clone(),
    };
    let heights = histogram.sets.iter().flat_map(|set| set.shares.iter().copied());
    let y = Axis::fitting("share of examples", 0.0, heights);
    let mut marks: Vec<Mark> = histogram.sets.iter().enumerate().map(mark).collect();
    if let Some(from) = histogram.alarm_from.map(f64::from).filter(|&from| from <= histogram.max) {
        let points = vec![(from, 0.0), (from, y.max)];
        marks.push(Mark::Rule { points, name: format!("alarm at alpha {SHOWN_ALPHA}") });
    }
    let mean = |set: &Shares| format!("{} {}", set.data, significant(set.mean));
    let means = histogram.sets.iter().map(mean).collect::<Vec<_>>().join(", ");
    Plot {
        id: "error".into(),
        title: "Reconstruction error".into(),
        description: format!("Histogram of the reconstruction error. Means: {means}."),
        x: Axis::new("mean squared reconstruction error", 0.0, histogram.max),
        y,
        marks,
    }
}

fn roc(curves: &[RocCurve]) -> Plot {
    let mark = |(colour, curve): (usize, &RocCurve)| Mark::Line {
        points: curve.points.clone(),
        // The colour that its set has in the histogram.
        colour: colour + 1,
        name: curve.data.clone(),
    };
    let rule = Mark::Rule { points: vec![(0.0, 0.0), (1.0, 1.0)], name: "chance".into() };
    let words = curves.iter().map(|curve| format!("{} {}", curve.data, four(curve.auroc)));
    Plot {
        id: "roc".into(),
        title: "Detection of other data".into(),
        description: format!(
            "ROC curves of the reconstruction error. Areas: {}.",
            words.collect::<Vec<_>>().join(", ")
        ),
        x: Axis::new("share of the evaluated data with an alarm", 0.0, 1.0),
        y: Axis::new("share of the other data with an alarm", 0.0, 1.0),
        marks: [rule].into_iter().chain(curves.iter().enumerate().map(mark)).collect(),
    }
}

fn table(evaluation: &AnomalyEvaluation) -> Table {
    let levels = evaluation.alarms.iter().map(|row| format!("alarms at {}", row.alpha));
    let head = ["data", "examples", "AUROC", "95 % interval"].map(String::from);
    let rates = |rows: &[AlarmRow]| rows.iter().map(|row| percent(row.rate)).collect::<Vec<_>>();
    let row = |name: &str, n: usize, auroc: Option<(f64, Interval)>, alarms: &[AlarmRow]| {
        let interval = |(_, Interval(low, high))| format!("{}–{}", four(low), four(high));
        let first = [name.into(), count(n), or_dash(auroc, |(area, _)| four(area)), or_dash(auroc, interval)];
        first.into_iter().chain(rates(alarms)).collect::<Vec<String>>()
    };
    let own = row(&evaluation.data, evaluation.n, None, &evaluation.alarms);
    let others = evaluation
        .ood
        .iter()
        .map(|entry| row(&entry.data, entry.n, Some((entry.auroc, entry.auroc_interval)), &entry.alarms));
    Table {
        name: "Detection and alarms".into(),
        head: head.into_iter().chain(levels).collect(),
        rows: [own].into_iter().chain(others).collect(),
    }
}

/// Alarms against their level; without a reference there are none.
pub fn alarms(evaluation: &AnomalyEvaluation, figures: &AnomalyFigures) -> Section {
    let mut blocks = Vec::new();
    if let Some((own, others)) = figures.alarms.split_first() {
        let caption = format!(
            "A normal input raises an alarm with probability alpha at most, on average over references: this one has {}, \
             and its chance moves all of the line. Shaded: 95 % intervals (Clopper and Pearson) of these data alone.",
            several(figures.reference_examples as usize, "normal example")
        );
        let mut plots = vec![(false_alarms(own), caption)];
        if !others.is_empty() {
            let caption = "How many of the other data's examples raise an alarm; the more, the better.";
            plots.push((found(others), caption.into()));
        }
        blocks.push(Block::Plots(plots));
        if evaluation.sampled_as_calibrated == Some(false) {
            let words =
                "Predictions were sampled otherwise than the reference: the levels promise nothing for them.";
            blocks.push(Block::Text(words.into()));
        }
    } else {
        let words = "The artifact has no reference of normal examples (stf calibrate), hence no alarms.";
        blocks.push(Block::Text(words.into()));
    }
    Section { id: "promises", title: "Alarms", blocks }
}

fn alpha_axis(points: &[AlarmPoint]) -> Axis {
    let title = "alpha: share of normal inputs that may raise an alarm";
    Axis::fitting(title, 0.0, points.iter().map(|point| point.alpha))
}

fn false_alarms(own: &AlarmCurve) -> Plot {
    let x = alpha_axis(&own.points);
    let at = |alpha: f64| own.points.iter().find(|point| (point.alpha - alpha).abs() < 1e-9);
    let words = [0.01, 0.05, 0.1]
        .into_iter()
        .filter_map(|alpha| at(alpha).map(|point| format!("{} at alpha {alpha}", percent(point.rate))));
    let heights = own.points.iter().map(|point| point.interval.1).chain([x.max]);
    let band = own.points.iter().map(|point| (point.alpha, point.interval.0, point.interval.1));
    let line = own.points.iter().map(|point| (point.alpha, point.rate));
    Plot {
        id: "false-alarms".into(),
        title: "False alarms against alpha".into(),
        description: format!(
            "Share of {} with an alarm: {}.",
            own.data,
            words.collect::<Vec<_>>().join(", ")
        ),
        y: Axis::fitting("share of examples with an alarm", 0.0, heights),
        marks: vec![
            Mark::Band { points: band.collect(), colour: 0, name: "95 %".into() },
            Mark::Rule { points: vec![(0.0, 0.0), (x.max, x.max)], name: "promised: at most alpha".into() },
            Mark::Line { points: line.collect(), colour: 0, name: own.data.clone() },
        ],
        x,
    }
}

fn found(others: &[AlarmCurve]) -> Plot {
    let mark = |(colour, curve): (usize, &AlarmCurve)| Mark::Line {
        points: curve.points.iter().map(|point| (point.alpha, point.rate)).collect(),
        colour: colour + 1,
        name: curve.data.clone(),
    };
    let words = |curve: &AlarmCurve| {
        let last = curve.points.last().map_or(0.0, |point| point.rate);
        format!("{} up to {}", curve.data, percent(last))
    };
    Plot {
        id: "alarms".into(),
        title: "Alarms on other data against alpha".into(),
        description: format!(
            "Share of other data with an alarm: {}.",
            others.iter().map(words).collect::<Vec<_>>().join(", ")
        ),
        x: alpha_axis(&others[0].points),
        y: Axis::new("share of examples with an alarm", 0.0, 1.0),
        marks: others.iter().enumerate().map(mark).collect(),
    }
}

/// Examples as pictures.
pub fn examples(kinds: &[Extremes]) -> Section {
    let words =
        "By reconstruction error; p is the conformal p-value, an alarm at alpha where it is alpha or less.";
    let cards = |examples: &[Extreme]| examples.iter().map(card).collect();
    let shown = kinds.iter().filter(|kind| !kind.examples.is_empty());
    let pictures = shown.map(|kind| Block::Examples(kind.kind.clone(), cards(&kind.examples)));
    let blocks = [Block::Text(words.into())].into_iter().chain(pictures).collect();
    Section { id: "examples", title: "Examples", blocks }
}

fn card(example: &Extreme) -> Card {
    let error = significant(example.error.into());
    let p_value = example.p_value.map(|p| format!("p {}", significant(p.into())));
    let lines = p_value.into_iter().chain([format!("example {}", example.index)]);
    Card {
        png: example.png.clone(),
        alternative: format!("Example {} of {}, error {error}", example.index, example.data),
        title: format!("error {error}"),
        wrong: example.p_value.is_some_and(|p| p <= SHOWN_ALPHA),
        lines: lines.collect(),
    }
}
