//! What more samples cost and what they buy, and where the time goes.

use super::plot::{Axis, Mark, Plot};
use super::subject::Subject;
use super::text::{bytes, count, four, hundredths, significant};
use super::{Block, Section, Table};
use crate::bench::{self, Setting};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::evaluate::{Outcome, outcomes};
use serde::Serialize;
use std::time::Duration;
use stf_bnn::kernels::Kernels;
use stf_bnn::{Config, Model, Samples};

/// Numbers of samples.
const SAMPLES: [u16; 6] = [1, 2, 4, 8, 16, 32];

/// Examples that quality is judged on, at most: the same ones for every number of samples.
const EXAMPLES: usize = 2000;

/// How long each setting is timed.
const EACH: Duration = Duration::from_millis(60);

/// How long the layers are timed.
const LAYERS: Duration = Duration::from_millis(150);

/// Quality and time by number of samples, time by layer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cost {
    /// Examples that quality was judged on.
    pub examples: usize,
    /// Kernels that were timed.
    pub kernels: &'static str,
    /// The pass without noise, then by number of samples.
    pub samples: Vec<CostRow>,
    /// One pass without noise.
    pub layers: Vec<LayerRow>,
}

/// One number of samples, one draw at a time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CostRow {
    /// Samples; 0 for one pass without noise.
    pub num_samples: u16,
    /// What the predictions are worth.
    #[serde(flatten)]
    pub quality: Quality,
    /// Microseconds of a prediction on one core of this machine, median.
    pub median_us: f64,
    /// Memory of a predictor with the reference kernels, which need as much as any device does, bytes.
    pub workspace_bytes: usize,
}

/// What predictions are worth, by what the network is for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Quality {
    /// Of a classifier.
    Classes {
        /// Share of correct classes.
        accuracy: f64,
        /// Nats.
        nll: f64,
        /// 15 equal-width bins.
        ece: f64,
    },
    /// Of a regression.
    Targets {
        /// Nats, summed over targets.
        nll: f64,
    },
    /// Of an autoencoder.
    Reconstruction {
        /// Mean reconstruction error.
        mean_error: f64,
    },
}

impl Quality {
    /// Titles and texts of its figures.
    fn columns(&self) -> Vec<(&'static str, String)> {
        match *self {
            Self::Classes { accuracy, nll, ece } => {
                vec![("accuracy, %", hundredths(accuracy)), ("NLL", four(nll)), ("ECE", four(ece))]
            }
            Self::Targets { nll } => vec![("NLL", four(nll))],
            Self::Reconstruction { mean_error } => vec![("mean error", significant(mean_error))],
        }
    }

    /// Id of its plot.
    fn id(&self) -> &'static str {
        match self {
            Self::Classes { .. } | Self::Targets { .. } => "cost-nll",
            Self::Reconstruction { .. } => "cost-error",
        }
    }

    /// The figure that is plotted: its name in words, on the axis, and its value.
    fn plotted(&self) -> (&'static str, &'static str, f64) {
        match *self {
            Self::Classes { nll, .. } | Self::Targets { nll } => ("NLL", "NLL, nats", nll),
            Self::Reconstruction { mean_error } => {
                ("Reconstruction error", "mean reconstruction error", mean_error)
            }
        }
    }
}

/// One layer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerRow {
    /// Its kind.
    pub layer: &'static str,
    /// Multiply-accumulates of one pass.
    pub macs: u64,
    /// Weights, bytes.
    pub weight_bytes: u64,
    /// Microseconds on one core of this machine, median.
    pub median_us: f64,
}

/// Predicts and times; `judge` says what predictions of some of the data are worth.
///
/// # Errors
/// If the data cannot be read, or their predictions not be judged.
pub fn collect(
    subject: &Subject<'_>,
    judge: &impl Fn(&Dataset, &[Outcome]) -> Result<Quality>,
) -> Result<Cost> {
    let (model, data) = (subject.model, subject.data);
    let some = data.select(&(0..data.len().min(EXAMPLES)).collect::<Vec<_>>())?;
    let inputs = bench::inputs_of(model, data)?;
    let kernels = subject.config.kernels();
    let counts = if model.manifest().posterior.is_some() { &SAMPLES[..] } else { &[] };
    let choices = [Samples::Mean].into_iter().chain(counts.iter().map(|&k| Samples::MonteCarlo(k)));
    let settings: Vec<Setting> = choices
        .map(|samples| Setting { config: Config { samples, tile: 1, ..*subject.config }, kernels })
        .collect();
    let timings = bench::predictions(model, &inputs, &settings, EACH)?;
    let row = |(setting, (timing, _)): (&Setting, (bench::Timing, f64))| {
        Ok(CostRow {
            num_samples: if let Samples::MonteCarlo(samples) = setting.config.samples { samples } else { 0 },
            quality: judge(&some, &outcomes(model, &some, &setting.config())?)?,
            median_us: timing.median_us,
            workspace_bytes: device_workspace_bytes(model, &setting.config)?,
        })
    };
    let layer = |(layer, timing): (stf_bnn::artifact::Layer, bench::Timing)| LayerRow {
        layer: layer.name(),
        macs: layer.macs(),
        weight_bytes: layer.weights().map_or(0, |weights| weights.values.len.into()),
        median_us: timing.median_us,
    };
    Ok(Cost {
        examples: some.len(),
        kernels: kernels.name(),
        samples: settings.iter().zip(timings).map(row).collect::<Result<_>>()?,
        layers: bench::layers(model, &inputs, kernels, LAYERS)?.into_iter().map(layer).collect(),
    })
}

/// Memory of a predictor that runs one draw at a time with the reference kernels: what a device needs.
/// Kernels of larger machines keep packed weights there as well.
///
/// # Errors
/// If the settings do not fit the model.
pub fn device_workspace_bytes(model: &Model<'_>, config: &Config) -> Result<usize> {
    let config = Config { tile: 1, kernels: Some(Kernels::REFERENCE), ..*config };
    let bytes = model.workspace_bytes(&config);
    bytes.map_err(|error| Error::invalid("workspace", error, "a usable size"))
}

/// Plots and tables.
pub fn section(cost: &Cost) -> Section {
    let words = format!(
        "Quality on the first {} examples, the same for every row. Times are medians on one core of the machine that \
         made this page, with the {} kernels, one draw at a time.",
        count(cost.examples),
        cost.kernels
    );
    let mut blocks = vec![Block::Text(words)];
    if cost.samples.len() > 2 {
        let quality = "A Monte-Carlo average over more draws of the first layer.";
        let time = "The first layer's mean is computed once for all draws; each draw then runs the rest of the network.";
        blocks.push(Block::Plots(vec![(quality_plot(cost), quality.into()), (time_plot(cost), time.into())]));
    }
    blocks.push(Block::Table(samples_table(cost)));
    blocks.push(Block::Text("One pass without noise, layer by layer:".into()));
    blocks.push(Block::Table(layers_table(cost)));
    Section { id: "cost", title: "Cost against the number of samples", blocks }
}

fn samples_table(cost: &Cost) -> Table {
    let row = |row: &CostRow| {
        let samples = if row.num_samples == 0 { "mean".into() } else { row.num_samples.to_string() };
        let quality = row.quality.columns().into_iter().map(|(_, text)| text);
        let rest = [count(format!("{:.0}", row.median_us)), bytes(row.workspace_bytes as u64)];
        [samples].into_iter().chain(quality).chain(rest).collect()
    };
    let quality = cost.samples.first().map(|row| row.quality.columns()).unwrap_or_default();
    let quality = quality.iter().map(|(title, _)| *title);
    let head: Vec<&str> = ["samples"].into_iter().chain(quality).chain(["µs", "workspace"]).collect();
    Table::new("Cost by number of samples", &head, cost.samples.iter().map(row).collect())
}

fn layers_table(cost: &Cost) -> Table {
    let row = |(index, row): (usize, &LayerRow)| {
        vec![
            format!("{index} {}", row.layer),
            count(row.macs),
            bytes(row.weight_bytes),
            format!("{:.1}", row.median_us),
        ]
    };
    let rows = cost.layers.iter().enumerate().map(row).collect();
    Table::new("Cost by layer", &["layer", "MACs", "weights", "µs"], rows)
}

/// Rows with draws.
fn drawn(cost: &Cost) -> impl Iterator<Item = &CostRow> {
    cost.samples.iter().filter(|row| row.num_samples > 0)
}

/// Samples on a scale of powers of two.
fn samples_axis(cost: &Cost) -> Axis {
    let ticks: Vec<(f64, String)> = drawn(cost).map(|row| (at(row), row.num_samples.to_string())).collect();
    let last = ticks.last().map_or(1.0, |tick| tick.0);
    // Room for the marks at both ends.
    Axis::new("samples of a prediction", -0.15, last + 0.15).named(ticks)
}

fn at(row: &CostRow) -> f64 {
    f64::from(row.num_samples).log2()
}

fn quality_plot(cost: &Cost) -> Plot {
    let value = |row: &CostRow| row.quality.plotted().2;
    let (name, axis, _) = cost.samples.first().map_or(("", "", 0.0), |row| row.quality.plotted());
    let mean = cost.samples.iter().find(|row| row.num_samples == 0);
    let points: Vec<_> = drawn(cost).map(|row| (at(row), value(row), value(row), value(row))).collect();
    let x = samples_axis(cost);
    let level = mean.map(|row| vec![(x.min, value(row)), (x.max, value(row))]).unwrap_or_default();
    let words = |row: &CostRow| format!("{} samples {}", row.num_samples, significant(value(row)));
    Plot {
        id: cost.samples.first().map_or("cost-nll", |row| row.quality.id()).into(),
        title: format!("{name} against the number of samples"),
        description: format!("{}.", drawn(cost).map(words).collect::<Vec<_>>().join(", ")),
        y: Axis::around(axis, cost.samples.iter().map(value)),
        x,
        marks: vec![
            Mark::Rule { points: level, name: "one pass without noise".into() },
            Mark::Line {
                points: points.iter().map(|&(x, y, ..)| (x, y)).collect(),
                colour: 0,
                name: String::new(),
            },
            Mark::Points { points, colour: 0, name: "Monte-Carlo average".into() },
        ],
    }
}

fn time_plot(cost: &Cost) -> Plot {
    let mean = cost.samples.iter().find(|row| row.num_samples == 0);
    let linear = |row: &CostRow| (f64::from(row.num_samples), row.median_us, row.median_us, row.median_us);
    let points: Vec<_> = drawn(cost).map(linear).collect();
    let last = points.last().map_or(1.0, |point| point.0) * 1.03;
    let level = mean.map(|row| vec![(0.0, row.median_us), (last, row.median_us)]).unwrap_or_default();
    let words = |row: &CostRow| format!("{} samples {:.0} µs", row.num_samples, row.median_us);
    Plot {
        id: "cost-time".into(),
        title: "Time against the number of samples".into(),
        description: format!("{}.", drawn(cost).map(words).collect::<Vec<_>>().join(", ")),
        x: Axis::new("samples of a prediction", 0.0, last),
        y: Axis::fitting("µs a prediction, one core", 0.0, cost.samples.iter().map(|row| row.median_us)),
        marks: vec![
            Mark::Rule { points: level, name: "one pass without noise".into() },
            Mark::Line {
                points: points.iter().map(|&(x, y, ..)| (x, y)).collect(),
                colour: 1,
                name: String::new(),
            },
            Mark::Points { points, colour: 1, name: "median".into() },
        ],
    }
}
