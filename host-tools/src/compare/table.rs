//! The table of a comparison: means over seeds with their intervals.

use super::{Figures, Mean, UnitRecord};
use crate::train::methods::Method;
use serde::Serialize;
use std::fmt::Write;

/// One line of the table: a method in float, with a temperature of the softmax, or as the device runs it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The method.
    pub method: Method,
    /// `float`, `float + temperature` or `int8`.
    pub form: &'static str,
    /// Seeds.
    pub seeds: Vec<u64>,
    /// Temperature of the posterior.
    pub posterior_temperature: Option<f32>,
    /// Share of correct classes, 0 to 1.
    pub accuracy: Mean,
    /// Negative log likelihood, nats.
    pub nll: Mean,
    /// Expected calibration error.
    pub ece: Mean,
    /// Brier score.
    pub brier: Mean,
    /// Detection of each out-of-distribution set.
    pub ood: Vec<OodRow>,
    /// Accuracy on shifted copies.
    pub corrupted_accuracy: Option<Mean>,
    /// Negative log likelihood on shifted copies.
    pub corrupted_nll: Option<Mean>,
    /// Expected calibration error on shifted copies.
    pub corrupted_ece: Option<Mean>,
    /// Numbers that have to be kept.
    pub parameters: usize,
    /// Passes of a prediction.
    pub passes: usize,
    /// Seconds of training, the stage-1 network that it starts from included.
    pub total_seconds: Mean,
    /// Seconds of training on top of stage 1.
    pub own_seconds: Mean,
    /// The same in processor time of all threads.
    pub own_cpu_seconds: Option<Mean>,
    /// Peak memory of training on top of what was there, bytes.
    pub memory_bytes: Option<Mean>,
    /// Planned activations and gradients, bytes.
    pub planned_bytes: usize,
}

/// Areas under the ROC curve.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OodRow {
    /// Name of the data.
    pub data: String,
    /// By the entropy of the mean probabilities.
    pub predictive_entropy: Mean,
    /// By the mutual information.
    pub mutual_information: Option<Mean>,
}

/// Rows of these units, in the order of [`Method::ALL`].
#[must_use]
pub fn rows(records: &[UnitRecord]) -> Vec<Row> {
    let mut rows = Vec::new();
    for method in Method::ALL {
        let units: Vec<&UnitRecord> = records.iter().filter(|unit| unit.method == method).collect();
        rows.extend(row(&units, "float", |unit| Some(&unit.float)));
        rows.extend(row(&units, "float + temperature", |unit| Some(&unit.tempered.figures)));
        rows.extend(row(&units, "int8", |unit| unit.int8.as_ref()));
    }
    rows
}

fn row<'a>(
    units: &[&'a UnitRecord],
    form: &'static str,
    figures: impl Fn(&'a UnitRecord) -> Option<&'a Figures>,
) -> Option<Row> {
    let found: Option<Vec<&Figures>> = units.iter().map(|unit| figures(unit)).collect();
    let (first, found) = (units.first()?, found?);
    let mean =
        |figure: &dyn Fn(&Figures) -> f64| Mean::of(&found.iter().map(|f| figure(f)).collect::<Vec<_>>());
    let of_units = |figure: &dyn Fn(&UnitRecord) -> f64| {
        Mean::of(&units.iter().map(|unit| figure(unit)).collect::<Vec<_>>())
    };
    let optional = |figure: &dyn Fn(&UnitRecord) -> Option<f64>| {
        units.iter().map(|unit| figure(unit)).collect::<Option<Vec<_>>>().and_then(|values| Mean::of(&values))
    };
    let corrupted = |figure: &dyn Fn(&super::figures::Corrupted) -> f64| {
        let values: Option<Vec<f64>> = found.iter().map(|f| f.corrupted.as_ref().map(figure)).collect();
        values.and_then(|values| Mean::of(&values))
    };
    let ood = first.float.ood.iter().enumerate().filter_map(|(index, set)| {
        let information: Option<Vec<f64>> =
            found.iter().map(|f| f.ood.get(index)?.mutual_information).collect();
        Some(OodRow {
            data: set.data.clone(),
            predictive_entropy: mean(&|f| f.ood.get(index).map_or(f64::NAN, |o| o.predictive_entropy))?,
            mutual_information: information.and_then(|values| Mean::of(&values)),
        })
    });
    Some(Row {
        method: first.method,
        form,
        seeds: units.iter().map(|unit| unit.seed).collect(),
        posterior_temperature: first.posterior_temperature,
        accuracy: mean(&|f| f.accuracy)?,
        nll: mean(&|f| f.nll)?,
        ece: mean(&|f| f.ece)?,
        brier: mean(&|f| f.brier)?,
        ood: ood.collect(),
        corrupted_accuracy: corrupted(&|c| c.accuracy),
        corrupted_nll: corrupted(&|c| c.nll),
        corrupted_ece: corrupted(&|c| c.ece),
        parameters: first.parameters,
        passes: first.passes,
        total_seconds: of_units(&|u| u.training.seconds + u.stage1.map_or(0.0, |stage1| stage1.seconds))?,
        own_seconds: of_units(&|u| u.training.seconds)?,
        own_cpu_seconds: optional(&|u| u.training.cpu_seconds),
        memory_bytes: optional(&|u| u.training.memory_bytes.map(|bytes| bytes as f64)),
        planned_bytes: first.training.planned_bytes,
    })
}

/// The rows as two Markdown tables: quality, and what it costs.
#[must_use]
pub fn markdown(rows: &[Row]) -> String {
    let mut text = String::from("| method | form | accuracy, % | NLL | ECE | Brier |");
    let sets: Vec<&str> =
        rows.first().map(|row| row.ood.iter().map(|set| set.data.as_str()).collect()).unwrap_or_default();
    let shifted = rows.iter().any(|row| row.corrupted_nll.is_some());
    // Writing to a string cannot fail.
    for set in &sets {
        let _ = write!(text, " AUROC {set}: entropy | mutual information |");
    }
    if shifted {
        text.push_str(" shifted: accuracy, % | NLL | ECE |");
    }
    let columns = 6 + 2 * sets.len() + if shifted { 3 } else { 0 };
    let _ = writeln!(text, "\n|{}", "---|".repeat(columns));
    for row in rows {
        let _ = write!(text, "| {} | {} | {} |", row.method.title(), row.form, cell(&row.accuracy, 100.0, 2));
        for figure in [&row.nll, &row.ece, &row.brier] {
            let _ = write!(text, " {} |", cell(figure, 1.0, 4));
        }
        for set in &row.ood {
            let information = maybe(set.mutual_information.as_ref(), 1.0, 3);
            let _ = write!(text, " {} | {information} |", cell(&set.predictive_entropy, 1.0, 3));
        }
        if shifted {
            let accuracy = maybe(row.corrupted_accuracy.as_ref(), 100.0, 1);
            let (nll, ece) =
                (maybe(row.corrupted_nll.as_ref(), 1.0, 3), maybe(row.corrupted_ece.as_ref(), 1.0, 3));
            let _ = write!(text, " {accuracy} | {nll} | {ece} |");
        }
        text.push('\n');
    }
    text.push_str(
        "\n| method | temperature of the posterior | numbers kept | passes | training, s (with stage 1) | on top of \
         stage 1: s | processor s | peak memory, MB | planned, MB |\n|---|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows.iter().filter(|row| row.form == "float") {
        let temperature = row.posterior_temperature.map_or("–".to_string(), |t| t.to_string());
        let megabytes = 1.0 / f64::from(1 << 20);
        let _ = writeln!(
            text,
            "| {} | {temperature} | {} | {} | {} | {} | {} | {} | {:.1} |",
            row.method.title(),
            row.parameters,
            row.passes,
            cell(&row.total_seconds, 1.0, 1),
            cell(&row.own_seconds, 1.0, 1),
            maybe(row.own_cpu_seconds.as_ref(), 1.0, 1),
            maybe(row.memory_bytes.as_ref(), megabytes, 1),
            row.planned_bytes as f64 * megabytes,
        );
    }
    text
}

fn maybe(mean: Option<&Mean>, factor: f64, digits: usize) -> String {
    mean.map_or("–".to_string(), |mean| cell(mean, factor, digits))
}

/// Mean, and half of the interval.
fn cell(mean: &Mean, factor: f64, digits: usize) -> String {
    let value = format!("{:.digits$}", factor * mean.mean);
    match mean.half_width {
        Some(half) => format!("{value} ± {:.digits$}", factor * half),
        None => value,
    }
}
