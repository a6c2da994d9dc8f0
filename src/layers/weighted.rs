//! Layers with weights.

use super::{Frame, Step};
use crate::artifact::{Layer, Model, Weights};
use crate::kernels::{Conv, Dense, Filter, Kernels, Output};

/// See [`Kernels::conv2d`] and [`Kernels::depthwise`]; `SERVED`: without code for shapes that the kernels do not
/// serve.
pub(super) fn conv<const DEPTHWISE: bool, const SERVED: bool>(
    layer: &Layer,
    kernels: Kernels,
    input: &[i8],
    filter: &Filter<'_>,
    scratch: &mut [i16],
    output: Output<'_>,
) -> Option<()> {
    let (x, _, y) = layer.tensors();
    let conv = &Conv { input, x: *x, y: *y?, window: layer.window()? };
    match (DEPTHWISE, SERVED) {
        (false, false) => kernels.conv2d(conv, filter, scratch, output),
        (false, true) => return kernels.conv2d_served(conv, filter, scratch, output),
        (true, false) => kernels.depthwise(conv, filter, scratch, output),
        (true, true) => return kernels.depthwise_served(conv, filter, scratch, output),
    }
    Some(())
}

/// See [`Kernels::dense`].
pub(super) fn dense(
    layer: &Layer,
    kernels: Kernels,
    input: &[i8],
    filter: &Filter<'_>,
    scratch: &mut [i16],
    output: Output<'_>,
) -> Option<()> {
    let x = layer.tensors().0;
    let (inputs, outputs) = ((x.len() as usize).max(1), layer.out_channels() as usize);
    kernels.dense(&Dense { input, inputs, outputs, zero_point: x.zero_point }, filter, scratch, output);
    Some(())
}

/// Convolution, depthwise or not, or dense layer.
pub(super) fn run(step: &Step<'_>, layer: &Layer, frame: &mut Frame<'_>) -> Option<()> {
    let weights = layer.weights()?;
    let filter = filter(step.model, &weights, frame.packed);
    let ((x, _, y), clamp) = (layer.tensors(), layer.weighted_clamp()?);
    let y = y?;
    let zero_point = y.zero_point;
    let (x, y, scratch) = frame.ends(step.first, x, y)?;
    let output = Output::Int8 { y, zero_point, clamp };
    step.run_weighted(layer, x, &filter, scratch, output)
}

/// Dense layer whose accumulators become f32.
pub(super) fn dense_output(step: &Step<'_>, layer: &Layer, frame: &mut Frame<'_>) -> Option<()> {
    let weights = layer.weights()?;
    let filter = filter(step.model, &weights, frame.packed);
    let (x, outputs, scratch) = frame.real_ends(step.first, layer.tensors().0)?;
    dense(layer, step.kernels, x, &filter, scratch, Output::Real(outputs))
}

/// Weights, biases and multipliers of a layer, and what the kernels packed of them.
#[cfg_attr(not(feature = "std"), inline(never))]
pub(crate) fn filter<'a>(model: &Model<'a>, weights: &Weights, packed: &'a [u8]) -> Filter<'a> {
    Filter {
        values: model.i8s(weights.values),
        bias: model.i32s(weights.bias),
        multiplier: model.f32s(weights.multiplier),
        packed,
    }
}

/// Packs the weights of every layer, one after another, for kernels that do.
pub(crate) fn pack(model: &Model<'_>, kernels: Kernels, packed: &mut [u8]) {
    let mut rest = packed;
    for layer in model.layers() {
        let Some(weights) = layer.weights() else { continue };
        let Some(to) = rest.split_off_mut(..kernels.packed_bytes(&layer)) else { return };
        if !to.is_empty() {
            kernels.pack(&layer, &filter(model, &weights, &[]), to);
        }
    }
}
