//! Pictures and tables of real targets.

use super::plot::{Axis, Mark, Plot};
use super::targets::{AlphaRow, Judged, SigmaGroup, TargetReport};
use super::text::{as_precise_as, between, count, four, hundredths, or_dash, percent, significant};
use super::{Block, Section, Table};
use crate::binomial;
use crate::evaluate::{IntervalRow, RegressionEvaluation, TargetFigures};

/// Targets that have plots of their own.
const PLOTTED: usize = 4;

/// Longest name in a plot's title.
const NAME: usize = 20;

/// A plot of each target, as far as they have some.
fn plots(reports: &[TargetReport], plot: impl Fn(&TargetReport) -> (Plot, String)) -> Block {
    let several = reports.len() > 1;
    let one = |(index, report): (usize, &TargetReport)| {
        let (mut plot, caption) = plot(report);
        if several {
            let name: String = report.target.chars().take(NAME).collect();
            plot.title = format!("{}: {name}", plot.title);
            plot.id = format!("{}-{index}", plot.id);
        }
        (plot, caption)
    };
    Block::Plots(reports.iter().take(PLOTTED).enumerate().map(one).collect())
}

/// Key figures are made elsewhere; the table of targets and the predictions against the values.
pub fn quality(
    tiles: Vec<[String; 3]>,
    evaluation: &RegressionEvaluation,
    reports: &[TargetReport],
) -> Section {
    let mut blocks = vec![
        Block::Tiles(tiles),
        Block::Text("Small figures: 95 % intervals, bootstrap over examples.".into()),
        Block::Table(targets(evaluation, reports)),
        plots(reports, predicted),
    ];
    if reports.len() > PLOTTED {
        blocks.push(Block::Text(format!("The first {PLOTTED} targets have plots; all are in the tables.")));
    }
    Section { id: "quality", title: "Errors and likelihood", blocks }
}

fn targets(evaluation: &RegressionEvaluation, reports: &[TargetReport]) -> Table {
    let row = |(figures, report): (&TargetFigures, &TargetReport)| {
        vec![
            figures.target.clone(),
            significant(figures.rmse),
            between(report.rmse_interval.0, report.rmse_interval.1, significant),
            significant(figures.mae),
            or_dash(report.r2, four),
            four(figures.nll),
            significant(figures.aleatoric),
            significant(figures.epistemic),
        ]
    };
    let head =
        ["target", "RMSE", "95 % interval", "MAE", "R²", "NLL, nats", "sigma aleatoric", "sigma epistemic"];
    Table::new("Figures of each target", &head, evaluation.targets.iter().zip(reports).map(row).collect())
}

fn predicted(report: &TargetReport) -> (Plot, String) {
    let point = |one: &Judged| (one.observed, one.predicted, one.predicted, one.predicted);
    let ends = report.shown.iter().flat_map(|one| [one.observed, one.predicted]);
    let axis = |title| Axis::around(title, ends.clone());
    let (x, y) = (axis("observed value"), axis("predicted mean"));
    let plot = Plot {
        id: "predicted-observed".into(),
        title: "Predicted against observed".into(),
        description: format!(
            "{} predictions; the means explain {} of the variance.",
            count(report.shown.len()),
            or_dash(report.r2, percent)
        ),
        marks: vec![
            Mark::Rule { points: vec![(x.min, x.min), (x.max, x.max)], name: "ideal".into() },
            Mark::Points {
                points: report.shown.iter().map(point).collect(),
                colour: 0,
                name: "predictions".into(),
            },
        ],
        x,
        y,
    };
    let caption =
        format!("{} of the examples, evenly spread, in the target's unit.", count(report.shown.len()));
    (plot, caption)
}

/// Whether sigma is what it says.
pub fn calibration(n: usize, reports: &[TargetReport]) -> Section {
    let words = "If sigma is right, values fall into every part of their predicted distribution alike, and the errors of \
        examples of one sigma are as large as it says.";
    let blocks =
        vec![Block::Text(words.into()), plots(reports, |report| pit(n, report)), plots(reports, errors)];
    Section { id: "calibration", title: "Whether sigma is what it says", blocks }
}

fn pit(n: usize, report: &TargetReport) -> (Plot, String) {
    let bars = report.pit.len() as f64;
    let (share, width) = (1.0 / bars, 1.0 / bars);
    // 95 % of the bars of a calibrated prediction, by the normal approximation of the binomial distribution.
    let half = 1.96 * (share * (1.0 - share) / n.max(1) as f64).sqrt();
    let (low, high) = ((share - half).max(0.0), share + half);
    let bar = |(i, &height): (usize, &f64)| (i as f64 * width, (i + 1) as f64 * width, height);
    let outside = report.pit.iter().filter(|height| !(low..=high).contains(*height)).count();
    let plot = Plot {
        id: "pit".into(),
        title: "Where values lie in their prediction".into(),
        description: format!(
            "Histogram of the distribution function at the value, {bars} bars from 0 to 1; {outside} of them outside \
             the band of a calibrated prediction. Shares in percent: {}.",
            report.pit.iter().map(|&share| hundredths(share)).collect::<Vec<_>>().join(", ")
        ),
        x: Axis::new("distribution function at the value (PIT)", 0.0, 1.0),
        y: Axis::fitting("share of examples", 0.0, report.pit.iter().copied().chain([high])),
        marks: vec![
            Mark::Band {
                points: vec![(0.0, low, high), (1.0, low, high)],
                colour: 5,
                name: "95 % if calibrated".into(),
            },
            Mark::Steps {
                bars: report.pit.iter().enumerate().map(bar).collect(),
                colour: 0,
                name: "examples".into(),
            },
            Mark::Rule { points: vec![(0.0, share), (1.0, share)], name: "calibrated".into() },
        ],
    };
    let caption = "Flat is calibrated. High ends: sigma is too small; a hump in the middle: too large; a slope: means are \
        off to one side.";
    (plot, caption.into())
}

fn errors(report: &TargetReport) -> (Plot, String) {
    let groups = &report.sigma_groups;
    let point = |group: &SigmaGroup| (group.sigma, group.rmse, group.interval.0, group.interval.1);
    let words = |group: &SigmaGroup| format!("{}: {}", significant(group.sigma), significant(group.rmse));
    let x =
        Axis::around("predicted sigma (root of the group's mean variance)", groups.iter().map(|g| g.sigma));
    let heights = groups.iter().flat_map(|g| [g.interval.1, g.sigma]);
    let plot = Plot {
        id: "error-sigma".into(),
        title: "Error against sigma".into(),
        description: format!(
            "Root mean squared error by predicted sigma. {}.",
            groups.iter().map(words).collect::<Vec<_>>().join(", ")
        ),
        y: Axis::fitting("root mean squared error", 0.0, heights),
        marks: vec![
            Mark::Rule { points: vec![(x.min, x.min), (x.max, x.max)], name: "calibrated".into() },
            Mark::Points {
                points: groups.iter().map(point).collect(),
                colour: 0,
                name: "groups of equal size, 95 %".into(),
            },
        ],
        x,
    };
    let caption = "On the dashed line errors are as large as sigma says; above it sigma is too small. Bars: 95 % intervals, \
        bootstrap over the group's examples.";
    (plot, caption.into())
}

/// Coverage of the intervals, and the artifact's own as a table.
pub fn intervals(evaluation: &RegressionEvaluation, reports: &[TargetReport]) -> Section {
    let own = |report: &TargetReport| {
        let found = evaluation.targets.iter().find(|target| target.target == report.target);
        found.map_or(&[][..], |target| &target.intervals[..])
    };
    let any = evaluation.targets.iter().any(|target| !target.intervals.is_empty());
    let mut blocks = vec![plots(reports, |report| coverage(evaluation.n, report, own(report)))];
    if evaluation.sampled_as_calibrated == Some(false) {
        let words = "Predictions were sampled otherwise than for calibration: the artifact's intervals promise nothing \
            for them.";
        blocks.push(Block::Text(words.into()));
    }
    if any {
        blocks.push(Block::Text("The artifact's own intervals, fitted on its calibration data:".into()));
        blocks.push(Block::Table(own_table(evaluation)));
    } else {
        blocks.push(Block::Text("The artifact carries no intervals of its own.".into()));
    }
    Section { id: "promises", title: "Prediction intervals", blocks }
}

fn interval(row: &IntervalRow, n: usize) -> (f64, f64) {
    binomial::interval((row.coverage * n as f64).round() as u64, n as u64, 0.95)
}

fn coverage(n: usize, report: &TargetReport, own: &[IntervalRow]) -> (Plot, String) {
    let rows = &report.coverage;
    let line = |value: fn(&AlphaRow) -> Option<f64>| {
        rows.iter().filter_map(|row| Some((row.alpha, value(row)?))).collect::<Vec<_>>()
    };
    let (gaussian, conformal) = (line(|row| Some(row.gaussian)), line(|row| row.conformal));
    let own: Vec<_> = own
        .iter()
        .map(|row| {
            let (low, high) = interval(row, n);
            (1.0 - row.nominal, row.coverage, low, high)
        })
        .collect();
    let x = Axis::fitting(
        "alpha: share of intervals that may miss the value",
        0.0,
        rows.iter().map(|row| row.alpha).chain(own.iter().map(|point| point.0)),
    );
    let lows = rows.iter().map(|row| row.gaussian_interval.0).chain(conformal.iter().map(|point| point.1));
    let least = lows.chain(own.iter().map(|point| point.2)).fold(1.0 - x.max, f64::min);
    let furthest = |line: &[(f64, f64)]| {
        line.iter().map(|(alpha, coverage)| (coverage - (1.0 - alpha)).abs()).fold(0.0, f64::max)
    };
    let band = rows.iter().map(|row| (row.alpha, row.gaussian_interval.0, row.gaussian_interval.1));
    let description = format!(
        "The Gaussian as predicted is at most {} from what is promised, conformal intervals {}.",
        percent(furthest(&gaussian)),
        percent(furthest(&conformal))
    );
    let mut marks = vec![
        Mark::Rule { points: vec![(0.0, 1.0), (x.max, 1.0 - x.max)], name: "promised: 1 − alpha".into() },
        Mark::Band { points: band.collect(), colour: 1, name: String::new() },
        Mark::Line { points: gaussian, colour: 1, name: "Gaussian as predicted, 95 %".into() },
    ];
    if !conformal.is_empty() {
        marks.push(Mark::Line { points: conformal, colour: 0, name: "conformal".into() });
    }
    if !own.is_empty() {
        marks.push(Mark::Points { points: own, colour: 0, name: "artifact's own, 95 %".into() });
    }
    let plot = Plot {
        id: "coverage".into(),
        title: "Coverage of intervals".into(),
        description,
        x,
        y: Axis::new("share of intervals with the value", (least - 0.01).max(0.0), 1.0),
        marks,
    };
    let caption = "Gaussian: mean ± z·sigma. Conformal: mean ± factor·sigma, the factor fitted on one half of these \
        examples, judged on the other. Points: the artifact's own factors, fitted on other data.";
    (plot, caption.into())
}

fn own_table(evaluation: &RegressionEvaluation) -> Table {
    let rows = evaluation.targets.iter().flat_map(|target| {
        target.intervals.iter().map(|row| {
            let (low, high) = interval(row, evaluation.n);
            vec![
                target.target.clone(),
                hundredths(row.nominal),
                hundredths(row.coverage),
                format!("{}–{}", hundredths(low), hundredths(high)),
                significant(row.mean_width),
            ]
        })
    });
    let head = ["target", "promised, %", "observed, %", "95 % interval", "mean width"];
    Table::new("Prediction intervals of the artifact", &head, rows.collect())
}

/// Values that the predictions thought least likely.
pub fn unlikely(reports: &[TargetReport]) -> Section {
    let row = |report: &TargetReport, one: &Judged| {
        vec![
            format!("{}, example {}", report.target, one.index),
            as_precise_as(one.observed, one.sigma),
            as_precise_as(one.predicted, one.sigma),
            significant(one.sigma),
            format!("{:+.2}", one.residual()),
        ]
    };
    let rows = reports.iter().flat_map(|report| report.unlikely.iter().map(move |one| row(report, one)));
    let head = ["target", "observed", "predicted", "sigma", "residual, sigma"];
    let words =
        "Values furthest from their predicted mean, in sigma: mislabelled, new, or where sigma is too small.";
    let table = Table::new("Least likely values", &head, rows.collect());
    let blocks = vec![Block::Text(words.into()), Block::Table(table)];
    Section { id: "examples", title: "Least likely values", blocks }
}
