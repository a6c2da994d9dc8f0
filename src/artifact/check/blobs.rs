//! The arrays in the blob section: their places, sizes and values, and that no accumulator overflows.

use super::{At, Model, Result};
use crate::artifact::header::ALIGNMENT;
use crate::artifact::manifest::{Blob, Layer, NoiseKind, Posterior, Tensor};
use crate::random;

/// A blob is in the section, aligned, and `bytes` long.
pub(super) fn check_blob(model: &Model<'_>, at: At, field: &'static str, blob: Blob, bytes: u64) -> Result {
    at.equal(field, blob.len.into(), bytes)?;
    at.equal(field, u64::from(blob.offset) % ALIGNMENT as u64, 0)?;
    at.equal(field, model.bytes(blob).len() as u64, bytes)
}

/// Positive normal multipliers, one a channel.
fn check_multipliers(model: &Model<'_>, at: At, field: &'static str, blob: Blob, channels: u64) -> Result {
    check_blob(model, at, field, blob, channels * 4)?;
    model.f32s(blob).iter().try_for_each(|&m| at.positive(field, m))
}

/// Preprocessing of the raw input.
pub(super) fn check_input(model: &Model<'_>) -> Result {
    let at = At(None);
    let input = model.manifest().input;
    let channels = u64::from(input.tensor.channels);
    check_blob(model, at, "input.mean", input.mean, channels * 4)?;
    model.f32s(input.mean).iter().try_for_each(|&m| at.finite("input.mean", m))?;
    check_multipliers(model, at, "input.multiplier", input.multiplier, channels)
}

/// Shape of a layer's weights.
#[derive(Debug, Clone, Copy)]
struct Shape {
    channels: u64,
    /// Weights of one output channel.
    fan_in: u64,
    /// Whether channel `c` has the weights `c, c + channels, ...` instead of a run of its own.
    interleaved: bool,
}

fn shape(layer: &Layer) -> Option<Shape> {
    let area = u64::from(layer.window().map_or(1, |window| window.area()));
    let input = layer.input();
    let rows = |channels, fan_in| Some(Shape { channels, fan_in, interleaved: false });
    match layer {
        Layer::Conv2d { output, .. } => rows(output.channels.into(), area * u64::from(input.channels)),
        Layer::DepthwiseConv2d { .. } => {
            Some(Shape { channels: input.channels.into(), fan_in: area, interleaved: true })
        }
        Layer::Dense { output, .. } => rows(output.channels.into(), input.len()),
        Layer::DenseOutput { weights, .. } => rows(u64::from(weights.bias.len / 4), input.len()),
        _ => None,
    }
}

impl Shape {
    /// Whether `bias + sum |weight| * reach` fits an i32 for every channel.
    fn fits<T: Copy>(self, weights: &[T], bias: &[i32], reach: i64, magnitude: impl Fn(T) -> i64) -> bool {
        let (channels, fan_in) = (self.channels as usize, self.fan_in as usize);
        (0..channels).all(|channel| {
            let start = bias.get(channel).map_or(0, |&b| i64::from(b).abs());
            let sum: i64 = if self.interleaved {
                weights.iter().skip(channel).step_by(channels).map(|&w| magnitude(w)).sum()
            } else {
                weights.iter().skip(channel * fan_in).take(fan_in).map(|&w| magnitude(w)).sum()
            };
            start + sum * reach <= i64::from(i32::MAX)
        })
    }
}

/// Greatest distance of an input value from its zero point.
fn reach(tensor: &Tensor) -> i64 {
    let zero_point = i64::from(tensor.zero_point);
    (127 - zero_point).max(zero_point + 128)
}

/// Weights, biases, multipliers and tables of one layer.
pub(super) fn check_layer(model: &Model<'_>, at: At, layer: &Layer) -> Result {
    if let Layer::Lookup { table, .. } = layer {
        return check_blob(model, at, "table", *table, 256);
    }
    let (Some(weights), Some(shape)) = (layer.weights(), shape(layer)) else { return Ok(()) };
    let count = shape.channels.saturating_mul(shape.fan_in);
    check_blob(model, at, "weights.values", weights.values, count)?;
    check_blob(model, at, "weights.bias", weights.bias, shape.channels * 4)?;
    check_multipliers(model, at, "weights.multiplier", weights.multiplier, shape.channels)?;
    let (values, bias) = (model.i8s(weights.values), model.i32s(weights.bias));
    let fits = shape.fits(values, bias, reach(&layer.input()), |w| i64::from(w).abs());
    at.rule("weights", fits, "accumulators that fit an i32 for every input")
}

/// The posterior of layer 0, if the model has one.
pub(super) fn check_posterior(model: &Model<'_>) -> Result {
    let Some(posterior) = model.manifest().posterior else { return Ok(()) };
    let at = At(None);
    let layer = model.layers().next();
    let bayesian = match layer {
        Some(Layer::Conv2d { .. } | Layer::DepthwiseConv2d { .. }) => posterior.kind == NoiseKind::Weights,
        Some(Layer::Dense { .. }) => true,
        _ => false,
    };
    at.rule("posterior.kind", bayesian, "a layer 0 that can be Bayesian in this way")?;
    let Some((layer, shape)) = layer.and_then(|layer| Some((layer, shape(&layer)?))) else { return Ok(()) };
    check_posterior_values(model, at, &posterior, shape)?;
    if posterior.kind == NoiseKind::Weights {
        let table = model.u16s(posterior.table);
        let at_most = |b: u8| {
            table.get(usize::from(b)).map_or(0, |&t| -i64::from(random::noise_weight(t, -random::MAX_EPS)))
        };
        let greatest: [i64; 256] = core::array::from_fn(|b| {
            let positive = table.get(b).map_or(0, |&t| i64::from(random::noise_weight(t, random::MAX_EPS)));
            positive.max(at_most(b as u8))
        });
        let fits = shape
            .fits(model.bytes(posterior.log_var), &[], reach(&layer.input()), |b| greatest[usize::from(b)]);
        at.rule("posterior.table", fits, "noise accumulators that fit an i32 for every input and draw")?;
    }
    Ok(())
}

fn check_posterior_values(model: &Model<'_>, at: At, posterior: &Posterior, shape: Shape) -> Result {
    check_blob(model, at, "posterior.log_var", posterior.log_var, shape.channels * shape.fan_in)?;
    check_blob(model, at, "posterior.log_var_max", posterior.log_var_max, shape.channels * 4)?;
    check_blob(model, at, "posterior.table", posterior.table, 512)?;
    check_blob(model, at, "posterior.noise_multiplier", posterior.noise_multiplier, shape.channels * 4)?;
    for &x in model.f32s(posterior.log_var_max) {
        at.finite("posterior.log_var_max", x)?;
    }
    let step = posterior.log_var_step;
    at.float("posterior.log_var_step", step, step.is_finite() && step >= 0.0, "finite and not negative")?;
    for &m in model.f32s(posterior.noise_multiplier) {
        if m.to_bits() != 0 {
            at.positive("posterior.noise_multiplier", m)?;
        }
    }
    if posterior.kind == NoiseKind::Weights {
        for &entry in model.u16s(posterior.table) {
            at.range("posterior.table", entry.into(), 0, random::MAX_TABLE.into())?;
        }
    }
    at.finite("posterior.prior.prior_sigma", posterior.prior.prior_sigma)?;
    at.finite("posterior.prior.temperature", posterior.prior.temperature)
}
