//! Times predictions of the runtime on one core: what `stf bench` prints.

pub mod clock;
mod timing;

pub use timing::{Timing, alternate};

use crate::data::{Dataset, Inputs, Scratch};
use crate::error::{Error, Result};
use crate::graph::Shape;
use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::time::{Duration, Instant};
use stf_bnn::artifact::Layer;
use stf_bnn::kernels::Kernels;
use stf_bnn::{Config, Draws, Model, Pass, Predictor, Samples};

/// Number of made-up inputs.
const MADE_UP: usize = 16;

/// Inputs that are read from a set on disk: reading is not timed.
const MAX_INPUTS: usize = 1024;

/// How to predict while the clock runs.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Samples, tile and draws.
    pub config: Config,
    /// Kernels.
    pub kernels: Kernels,
}

impl Setting {
    /// The runtime's configuration with these kernels.
    #[must_use]
    pub fn config(&self) -> Config {
        Config { kernels: Some(self.kernels), ..self.config }
    }
}

/// Made-up bytes in the shape of the model's input: every value from 0 to 255 is as likely.
#[must_use]
pub fn made_up_inputs(model: &Model<'_>) -> Dataset {
    let input = model.manifest().input.tensor;
    let mut values = vec![0; MADE_UP * input.len() as usize];
    Xoshiro256PlusPlus::seed_from_u64(0).fill_bytes(&mut values);
    Dataset {
        name: "made up".into(),
        shape: Shape::new(input.height.into(), input.width.into(), input.channels.into()),
        inputs: Inputs::U8(values),
        labels: vec![0; MADE_UP],
        class_names: Vec::new(),
        targets: Default::default(),
    }
}

/// The first examples of a data set, at least one, in the model's shape and in memory.
///
/// # Errors
/// If there is none, the shapes differ, or they cannot be read.
pub fn inputs_of(model: &Model<'_>, data: &Dataset) -> Result<Dataset> {
    crate::evaluate::require_shape(model, data)?;
    if data.is_empty() {
        return Err(Error::invalid(format!("data {}", data.name), "no example", "at least one"));
    }
    let first = data.select(&(0..data.len().min(MAX_INPUTS)).collect::<Vec<_>>())?;
    Ok(Dataset { inputs: first.clone().into_memory()?, ..first })
}

fn unusable(error: &dyn std::fmt::Display) -> Error {
    Error::invalid("prediction settings", error, "settings that this model supports")
}

/// Times whole predictions: the settings take turns in short bursts, so that what else the machine does
/// falls on all of them. Returns the times, and the passes a prediction took on average.
///
/// # Errors
/// If a setting does not fit the model, or an input cannot be predicted.
pub fn predictions(
    model: &Model<'_>,
    inputs: &Dataset,
    settings: &[Setting],
    each: Duration,
) -> Result<Vec<(Timing, f64)>> {
    let mut workspaces = Vec::new();
    for setting in settings {
        workspaces.push(vec![0; model.workspace_bytes(&setting.config()).map_err(|e| unusable(&e))?]);
    }
    let mut runs = Vec::new();
    for (setting, workspace) in settings.iter().zip(&mut workspaces) {
        let predictor =
            Predictor::new(model, setting.config(), workspace).map_err(|error| unusable(&error))?;
        runs.push((predictor, 0_u64, 0_u64));
    }
    let mut scratch = Scratch::default();
    let timings = alternate(&mut runs, each, |(predictor, count, passes)| {
        let input = inputs.raw(*count as usize % inputs.len(), &mut scratch)?.into();
        let start = Instant::now();
        let prediction = predictor.predict(input).map_err(|error| unusable(&error))?;
        let elapsed = start.elapsed();
        *count += 1;
        *passes += u64::from(prediction.passes);
        Ok(elapsed)
    })?;
    let passes = runs.iter().map(|(_, count, passes)| *passes as f64 / *count as f64);
    Ok(timings.into_iter().zip(passes).collect())
}

/// Times each layer of one pass without noise. The first layer's time includes quantizing the input.
///
/// # Errors
/// As [`predictions`].
pub fn layers(
    model: &Model<'_>,
    inputs: &Dataset,
    kernels: Kernels,
    each: Duration,
) -> Result<Vec<(Layer, Timing)>> {
    let config = Config { samples: Samples::Mean, kernels: Some(kernels), ..Config::default() };
    let mut workspace = vec![0; model.workspace_bytes(&config).map_err(|error| unusable(&error))?];
    let mut predictor = Predictor::new(model, config, &mut workspace).map_err(|error| unusable(&error))?;
    let layers: Vec<Layer> = model.layers().collect();
    let mut times = vec![Vec::new(); layers.len()];
    let (mut scratch, begin) = (Scratch::default(), Instant::now());
    for index in 0.. {
        let input = inputs.raw(index % inputs.len(), &mut scratch)?.into();
        // The last layer has no tensor to show: its time ends with the pass.
        let (mut at, mut next) = (Instant::now(), 0);
        let outputs = predictor.trace(input, Pass::Mean, |layer, _, _| {
            let now = Instant::now();
            times[layer].push(now - at);
            (at, next) = (now, layer + 1);
        });
        outputs.map_err(|error| unusable(&error))?;
        if let Some(last) = times.get_mut(next) {
            last.push(at.elapsed());
        }
        if begin.elapsed() >= each {
            break;
        }
    }
    Ok(layers.into_iter().zip(times.into_iter().map(Timing::new)).collect())
}

/// Share of a prediction's time that drawing the noise takes, 0 to 1: a prediction with new draws
/// against one whose draws were made before, in turns, least times. `None` where there is no noise.
///
/// # Errors
/// As [`predictions`].
pub fn noise_share(
    model: &Model<'_>,
    inputs: &Dataset,
    setting: Setting,
    each: Duration,
) -> Result<Option<f64>> {
    if model.manifest().posterior.is_none() {
        return Ok(None);
    }
    let with = |draws| Setting { config: Config { draws, ..setting.config }, ..setting };
    let times = predictions(model, inputs, &[with(Draws::Fresh), with(Draws::Fixed)], each)?;
    let [fresh, fixed] = [0, 1].map(|i| times[i].0.least_us);
    Ok(Some(((fresh - fixed) / fresh).clamp(0.0, 1.0)))
}
