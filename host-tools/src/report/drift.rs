//! The drift monitor at work: its evidence over a stream of the network's own data that another kind of
//! data then follows.

use super::plot::{Axis, Mark, Plot, powers_of_ten};
use super::subject::Subject;
use super::text::{or_dash, several};
use super::{Block, Section, Table};
use crate::data::corrupt::{Corruption, Kind};
use crate::data::{Element, shuffled};
use crate::error::Result;
use crate::evaluate::{Outcome, Predictions, outcomes};
use serde::Serialize;
use stf_bnn::uncertainty::DriftMonitor;

/// Inputs of each kind.
const INPUTS: usize = 300;

/// Shown where no other data are given.
const SHIFT: Corruption = Corruption { kind: Kind::Noise, severity: 5 };

/// The monitor over each stream.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DriftFigures {
    /// Greatest probability of a false alarm, ever.
    pub false_alarm: f64,
    /// Evidence that raises the alarm.
    pub level: f64,
    /// Inputs of the network's own data before the change.
    pub change_at: usize,
    /// Streams; in the first nothing changes.
    pub streams: Vec<Stream>,
}

/// One stream.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stream {
    /// What comes after the change.
    pub then: String,
    /// Evidence after each input.
    pub evidence: Vec<f64>,
    /// Inputs seen when the alarm was raised.
    pub alarm_after: Option<usize>,
}

/// Feeds the monitor; `None` without a reference in the artifact.
///
/// # Errors
/// If data cannot be read.
pub fn collect(subject: &Subject<'_>, predictions: &Predictions) -> Result<Option<DriftFigures>> {
    let Some(monitor) = DriftMonitor::new(subject.model) else { return Ok(None) };
    // In random order: data are often sorted, and the monitor would notice.
    let order = |count| shuffled(count, subject.config.seed);
    let inside = &predictions.inside;
    let own: Vec<&Outcome> = order(inside.len()).iter().take(2 * INPUTS).map(|&i| &inside[i]).collect();
    let (before, after) = own.split_at(own.len() / 2);
    let stream = |then: String, after: &[&Outcome]| watch(monitor, then, before.iter().chain(after));
    let mut streams = vec![stream("no change".into(), after)];
    for (name, set) in subject.outside(predictions) {
        let set: Vec<&Outcome> = order(set.len()).iter().take(INPUTS).map(|&i| &set[i]).collect();
        streams.push(stream(format!("then {name}"), &set));
    }
    if subject.ood.is_empty() && subject.data.element() == Element::U8 {
        let some: Vec<usize> = order(inside.len()).into_iter().take(INPUTS).collect();
        let shifted = SHIFT.apply(&subject.data.select(&some)?, 0)?;
        let set = outcomes(subject.model, &shifted, subject.config)?;
        streams.push(stream(format!("then {SHIFT}"), &set.iter().collect::<Vec<_>>()));
    }
    Ok(Some(DriftFigures {
        false_alarm: f64::from(monitor.fact().false_alarm_millionths) / 1e6,
        level: monitor.level().into(),
        change_at: before.len(),
        streams,
    }))
}

fn watch<'a>(
    mut monitor: DriftMonitor<'_>,
    then: String,
    outcomes: impl Iterator<Item = &'a &'a Outcome>,
) -> Stream {
    let classifications = outcomes.filter_map(|outcome| outcome.classification.as_ref());
    let reports: Vec<_> = classifications.map(|c| monitor.push(c)).collect();
    Stream {
        then,
        evidence: reports.iter().map(|report| report.evidence.into()).collect(),
        alarm_after: reports.iter().position(|report| report.alarm).map(|at| at + 1),
    }
}

/// Evidence as people read it: beyond a million its size says nothing.
fn evidence(value: f64) -> String {
    if value > 1e6 { "over 10⁶".into() } else { format!("{value:.3}") }
}

/// The plot and when the alarm came.
pub fn section(figures: &DriftFigures) -> Section {
    let caption = format!(
        "Evidence against \u{201c}nothing has changed\u{201d}, a test martingale. While nothing changes it reaches the alarm's level \
         with probability {} at most, however long the stream. What is far above it is drawn at the upper edge.",
        figures.false_alarm
    );
    let row = |(i, stream): (usize, &Stream)| {
        let alarm = match stream.alarm_after {
            Some(after) if i == 0 || after <= figures.change_at => {
                format!("false, after {}", several(after, "input"))
            }
            Some(after) => format!("{} after the change", several(after - figures.change_at, "input")),
            None => "none".into(),
        };
        let peak = stream
            .evidence
            .iter()
            .copied()
            .fold(None, |peak: Option<f64>, e| Some(peak.map_or(e, |p| p.max(e))));
        vec![stream.then.clone(), alarm, or_dash(peak, evidence)]
    };
    let rows = figures.streams.iter().enumerate().map(row).collect();
    let blocks = vec![
        Block::Plots(vec![(plot(figures), caption)]),
        Block::Table(Table::new("Alarms", &["stream", "alarm", "greatest evidence"], rows)),
    ];
    Section { id: "drift-monitor", title: "Drift monitor", blocks }
}

fn plot(figures: &DriftFigures) -> Plot {
    let longest = figures.streams.iter().map(|stream| stream.evidence.len()).max().unwrap_or(0) as f64;
    // Evidence grows by powers: its logarithm is what can be read. Far above the alarm it says no more.
    let log = |evidence: f64| evidence.max(1e-4).log10();
    let level = log(figures.level);
    let all = figures.streams.iter().flat_map(|stream| stream.evidence.iter().copied().map(log));
    let (least, most) = all.fold((0.0_f64, level), |(low, high), e| (low.min(e), high.max(e)));
    let (bottom, top) = (least - 0.3, (most + 0.3).min(3.0 * level.max(1.0)));
    let change = figures.change_at as f64;
    let mut marks = vec![
        Mark::Rule { points: vec![(0.0, level), (longest, level)], name: "alarm".into() },
        Mark::Rule { points: vec![(change, bottom), (change, top)], name: String::new() },
    ];
    marks.extend(figures.streams.iter().enumerate().map(|(colour, stream)| Mark::Line {
        points: stream.evidence.iter().enumerate().map(|(i, &e)| (i as f64 + 1.0, log(e).min(top))).collect(),
        colour,
        name: stream.then.clone(),
    }));
    let words = |stream: &Stream| {
        let alarm = stream.alarm_after.map_or("no alarm".to_string(), |after| format!("alarm after {after}"));
        format!("{}: {alarm}", stream.then)
    };
    Plot {
        id: "drift".into(),
        title: format!("Drift monitor: the data change after {}", several(figures.change_at, "input")),
        description: format!("{}.", figures.streams.iter().map(words).collect::<Vec<_>>().join(", ")),
        x: Axis::new("inputs seen", 0.0, longest),
        y: Axis::new("evidence", bottom, top).named(powers_of_ten(bottom, top)),
        marks,
    }
}
