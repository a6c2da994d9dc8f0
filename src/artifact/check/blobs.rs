//! The arrays in the blob section: their places, sizes and values, and that no accumulator overflows.

use super::{At, Result};
use crate::artifact::header::ALIGNMENT;
use crate::artifact::manifest::{Blob, Layer, NoiseKind, Posterior, Tensor};
use crate::artifact::names::{Field, Rule};
use crate::random;

/// A blob is in the section, aligned, and `bytes` long.
#[inline(never)]
pub(super) fn check_blob(at: &mut At<'_, '_>, field: Field, blob: Blob, bytes: u32) -> Result {
    at.equal(field, blob.len, bytes)?;
    at.equal(field, blob.offset % ALIGNMENT as u32, 0)?;
    at.equal(field, at.model.bytes(blob).len() as u32, bytes)
}

/// Positive normal multipliers, one a channel.
#[inline(never)]
fn check_multipliers(at: &mut At<'_, '_>, field: Field, blob: Blob, channels: u32) -> Result {
    check_blob(at, field, blob, channels * 4)?;
    let multipliers = at.model.f32s(blob);
    multipliers.iter().try_for_each(|&m| at.positive(field, m))
}

/// A finite number each.
#[inline(never)]
pub(super) fn check_finite(at: &mut At<'_, '_>, field: Field, blob: Blob) -> Result {
    let values = at.model.f32s(blob);
    values.iter().try_for_each(|&x| at.finite(field, x))
}

/// Preprocessing of the raw input.
#[inline(never)]
pub(super) fn check_input(at: &mut At<'_, '_>) -> Result {
    let input = &at.model.manifest().input;
    let channels = u32::from(input.tensor.channels);
    check_blob(at, Field::InputMean, input.mean, channels * 4)?;
    check_finite(at, Field::InputMean, input.mean)?;
    check_multipliers(at, Field::InputMultiplier, input.multiplier, channels)
}

/// Shape of a layer's weights. A product that would overflow is the greatest number, which no blob is long.
#[derive(Debug, Clone, Copy)]
struct Shape {
    channels: u32,
    /// Weights of one output channel.
    fan_in: u32,
    /// Whether channel `c` has the weights `c, c + channels, ...` instead of a run of its own.
    interleaved: bool,
}

#[inline(never)]
fn shape(layer: &Layer) -> Option<Shape> {
    let area = layer.window().map_or(1, |window| window.area());
    let (input, _, output) = layer.tensors();
    let inputs = u32::try_from(input.len()).unwrap_or(u32::MAX);
    let rows = |channels, fan_in| Some(Shape { channels, fan_in, interleaved: false });
    match layer {
        Layer::Conv2d { .. } => rows(output?.channels.into(), area.saturating_mul(input.channels.into())),
        Layer::DepthwiseConv2d { .. } => {
            Some(Shape { channels: input.channels.into(), fan_in: area, interleaved: true })
        }
        Layer::Dense { .. } => rows(output?.channels.into(), inputs),
        Layer::DenseOutput { weights, .. } => rows(weights.bias.len / 4, inputs),
        _ => None,
    }
}

impl Shape {
    fn count(self) -> u32 {
        self.channels.saturating_mul(self.fan_in)
    }

    /// Whether `bias + sum |weight| * reach` fits an i32 for every channel. Without `std` both uses share its
    /// code.
    fn fits(self, bias: &[i32], reach: u32, magnitude: impl Fn(usize) -> u32) -> bool {
        if cfg!(feature = "std") {
            self.sums_fit(bias, reach, magnitude)
        } else {
            self.shared(bias, reach, &magnitude)
        }
    }

    #[inline(never)]
    fn shared(self, bias: &[i32], reach: u32, magnitude: &dyn Fn(usize) -> u32) -> bool {
        self.sums_fit(bias, reach, magnitude)
    }

    #[inline(always)]
    fn sums_fit(self, bias: &[i32], reach: u32, magnitude: impl Fn(usize) -> u32) -> bool {
        let (channels, fan_in) = (self.channels as usize, self.fan_in as usize);
        let (next, step) = if self.interleaved { (1, channels) } else { (fan_in, 1) };
        (0..channels).all(|channel| {
            let start = bias.get(channel).map_or(0, |&b| u64::from(b.unsigned_abs()));
            let sum: u64 = (0..fan_in).map(|i| u64::from(magnitude(channel * next + i * step))).sum();
            start + sum * u64::from(reach) <= i32::MAX as u64
        })
    }
}

/// Greatest distance of an input value from its zero point.
fn reach(tensor: &Tensor) -> u32 {
    let zero_point = i32::from(tensor.zero_point);
    (127 - zero_point).max(zero_point + 128) as u32
}

/// Weights, biases, multipliers and tables of one layer.
#[inline(never)]
pub(super) fn check_layer(at: &mut At<'_, '_>, layer: &Layer) -> Result {
    if let Layer::Lookup { table, .. } = layer {
        return check_blob(at, Field::Table, *table, 256);
    }
    let (Some(weights), Some(shape)) = (layer.weights(), shape(layer)) else { return Ok(()) };
    check_blob(at, Field::WeightsValues, weights.values, shape.count())?;
    check_blob(at, Field::WeightsBias, weights.bias, shape.channels * 4)?;
    check_multipliers(at, Field::WeightsMultiplier, weights.multiplier, shape.channels)?;
    let (values, bias) = (at.model.i8s(weights.values), at.model.i32s(weights.bias));
    let magnitude = |index: usize| values.get(index).map_or(0, |w| w.unsigned_abs().into());
    let fits = shape.fits(bias, reach(layer.tensors().0), magnitude);
    at.rule(Field::Weights, fits, Rule::AccumulatorsFit)
}

/// The posterior of layer 0, if the model has one.
#[inline(never)]
pub(super) fn check_posterior(at: &mut At<'_, '_>) -> Result {
    let Some(posterior) = &at.model.manifest().posterior else { return Ok(()) };
    let layer = at.model.layers().next();
    let bayesian = match layer {
        Some(Layer::Conv2d { .. } | Layer::DepthwiseConv2d { .. }) => posterior.kind == NoiseKind::Weights,
        Some(Layer::Dense { .. }) => true,
        _ => false,
    };
    at.rule(Field::PosteriorKind, bayesian, Rule::BayesianLayer)?;
    let Some((layer, shape)) = layer.and_then(|layer| Some((layer, shape(&layer)?))) else { return Ok(()) };
    check_posterior_values(at, posterior, shape)?;
    if posterior.kind == NoiseKind::Weights {
        let table = at.model.u16s(posterior.table);
        // Entries are at most `MAX_TABLE`, just checked.
        let log_var = at.model.bytes(posterior.log_var);
        let greatest = |index: usize| {
            let b = log_var.get(index).copied().unwrap_or(0);
            let entry = table.get(usize::from(b)).copied().unwrap_or(0);
            let noise = [random::MAX_EPS, -random::MAX_EPS].map(|eps| random::noise_weight(entry, eps));
            u32::from(noise[0].unsigned_abs().max(noise[1].unsigned_abs()))
        };
        let fits = shape.fits(&[], reach(layer.tensors().0), greatest);
        at.rule(Field::PosteriorTable, fits, Rule::NoiseFits)?;
    }
    Ok(())
}

#[inline(never)]
fn check_posterior_values(at: &mut At<'_, '_>, posterior: &Posterior, shape: Shape) -> Result {
    let model = at.model;
    check_blob(at, Field::PosteriorLogVar, posterior.log_var, shape.count())?;
    check_blob(at, Field::PosteriorLogVarMax, posterior.log_var_max, shape.channels * 4)?;
    check_blob(at, Field::PosteriorTable, posterior.table, 512)?;
    check_blob(at, Field::PosteriorNoiseMultiplier, posterior.noise_multiplier, shape.channels * 4)?;
    check_finite(at, Field::PosteriorLogVarMax, posterior.log_var_max)?;
    let step = posterior.log_var_step;
    at.float(Field::PosteriorLogVarStep, step, step.is_finite() && step >= 0.0, Rule::NotNegative)?;
    for &m in model.f32s(posterior.noise_multiplier) {
        if m.to_bits() != 0 {
            at.positive(Field::PosteriorNoiseMultiplier, m)?;
        }
    }
    if posterior.kind == NoiseKind::Weights {
        for &entry in model.u16s(posterior.table) {
            at.range(Field::PosteriorTable, entry.into(), 0, random::MAX_TABLE.into())?;
        }
    }
    at.finite(Field::PosteriorPriorPriorSigma, posterior.prior.prior_sigma)?;
    at.finite(Field::PosteriorPriorTemperature, posterior.prior.temperature)
}
