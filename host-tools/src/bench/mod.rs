//! Times predictions of the runtime on one core: what `stf bench` prints.

pub mod clock;
mod timing;

pub use timing::{Timing, alternate};

use crate::data::{Dataset, RawExample, Scratch};
use crate::error::{Error, Result};
use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::time::{Duration, Instant};
use stf_bnn::artifact::Layer;
use stf_bnn::kernels::Kernels;
use stf_bnn::{Config, Draws, Input, Model, Pass, Predictor, Samples};

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

/// Examples to predict, one after another.
#[derive(Debug, Clone)]
pub enum Examples {
    /// Bytes.
    U8(Vec<u8>),
    /// Finite numbers.
    F32(Vec<f32>),
}

/// Made-up bytes in the shape of the model's input: every value from 0 to 255 is as likely.
#[must_use]
pub fn made_up_inputs(model: &Model<'_>) -> Examples {
    let size = model.manifest().input.tensor.len() as usize;
    let mut values = vec![0; MADE_UP * size];
    Xoshiro256PlusPlus::seed_from_u64(0).fill_bytes(&mut values);
    Examples::U8(values)
}

/// An example by index, over and over.
fn input(examples: &Examples, size: usize, index: usize) -> Input<'_> {
    let count = match examples {
        Examples::U8(values) => values.len() / size,
        Examples::F32(values) => values.len() / size,
    };
    let start = index % count.max(1) * size;
    match examples {
        Examples::U8(values) => Input::U8(&values[start..start + size]),
        Examples::F32(values) => Input::F32(&values[start..start + size]),
    }
}

/// The first examples of a data set, at least one, in the model's shape.
///
/// # Errors
/// If there is none, the shapes differ, or they cannot be read.
pub fn inputs_of(model: &Model<'_>, data: &Dataset) -> Result<Examples> {
    crate::evaluate::require_shape(model, data)?;
    if data.is_empty() {
        return Err(Error::invalid(format!("data {}", data.name), "no example", "at least one"));
    }
    let (mut bytes, mut values, mut scratch) = (Vec::new(), Vec::new(), Scratch::default());
    for index in 0..data.len().min(MAX_INPUTS) {
        match data.raw(index, &mut scratch)? {
            RawExample::U8(example) => bytes.extend_from_slice(example),
            RawExample::F32(example) => values.extend_from_slice(example),
        }
    }
    Ok(if values.is_empty() { Examples::U8(bytes) } else { Examples::F32(values) })
}

fn unusable(error: &dyn std::fmt::Display) -> Error {
    Error::invalid("prediction settings", error, "settings that this model supports")
}

fn size(model: &Model<'_>) -> usize {
    model.manifest().input.tensor.len() as usize
}

/// Times whole predictions: the settings take turns in short bursts, so that what else the machine does
/// falls on all of them. Returns the times, and the passes a prediction took on average.
///
/// # Errors
/// If a setting does not fit the model, or an input cannot be predicted.
pub fn predictions(
    model: &Model<'_>,
    inputs: &Examples,
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
    let size = size(model);
    let timings = alternate(&mut runs, each, |(predictor, count, passes)| {
        let input = input(inputs, size, *count as usize);
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
    inputs: &Examples,
    kernels: Kernels,
    each: Duration,
) -> Result<Vec<(Layer, Timing)>> {
    let config = Config { samples: Samples::Mean, kernels: Some(kernels), ..Config::default() };
    let mut workspace = vec![0; model.workspace_bytes(&config).map_err(|error| unusable(&error))?];
    let mut predictor = Predictor::new(model, config, &mut workspace).map_err(|error| unusable(&error))?;
    let layers: Vec<Layer> = model.layers().collect();
    let mut times = vec![Vec::new(); layers.len()];
    let (size, begin) = (size(model), Instant::now());
    for index in 0.. {
        // The last layer has no tensor to show: its time ends with the pass.
        let (mut at, mut next) = (Instant::now(), 0);
        let outputs = predictor.trace(input(inputs, size, index), Pass::Mean, |layer, _, _| {
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
    inputs: &Examples,
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
