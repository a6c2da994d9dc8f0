//! Layers with weights.

use super::{Frame, to_outputs};
use crate::artifact::{Clamp, Layer, Model, Tensor, Weights};
use crate::kernels::{Conv, Dense, Filter, Kernels, Output};

/// A layer with int8 weights and int8 outputs, whatever its geometry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weighted {
    pub(crate) x: Tensor,
    pub(crate) y: Tensor,
    pub(crate) weights: Weights,
    pub(crate) clamp: Clamp,
    pub(crate) layer: Layer,
}

impl Weighted {
    /// `None` for other kinds of layers.
    pub(crate) fn new(layer: &Layer) -> Option<Self> {
        match *layer {
            Layer::Conv2d { input, output, weights, clamp, .. }
            | Layer::DepthwiseConv2d { input, output, weights, clamp, .. }
            | Layer::Dense { input, output, weights, clamp } => {
                Some(Self { x: input, y: output, weights, clamp, layer: *layer })
            }
            _ => None,
        }
    }

    /// Runs the layer with any filter of its shape on `input`, `[images, height, width, channels]`.
    #[inline]
    pub(crate) fn run(
        &self,
        kernels: Kernels,
        input: &[i8],
        filter: &Filter<'_>,
        scratch: &mut [i16],
        output: Output<'_>,
    ) {
        let conv = |window| Conv { input, x: self.x, y: self.y, window };
        match self.layer {
            Layer::Conv2d { window, .. } => kernels.conv2d(&conv(window), filter, scratch, output),
            Layer::DepthwiseConv2d { window, .. } => {
                kernels.depthwise(&conv(window), filter, scratch, output);
            }
            _ => kernels.dense(&dense(input, &self.x, self.y.channels.into()), filter, scratch, output),
        }
    }
}

fn dense<'a>(input: &'a [i8], x: &Tensor, outputs: usize) -> Dense<'a> {
    Dense { input, inputs: (x.len() as usize).max(1), outputs, zero_point: x.zero_point }
}

/// Convolution, depthwise or not, or dense layer.
pub(super) fn run(
    model: &Model<'_>,
    kernels: Kernels,
    first: bool,
    layer: &Layer,
    frame: &mut Frame<'_>,
) -> Option<()> {
    let weighted = Weighted::new(layer)?;
    let filter = filter(model, &weighted.weights, frame.packed);
    let (zero_point, clamp) = (weighted.y.zero_point, weighted.clamp);
    let (x, y, scratch) = frame.ends(first, &weighted.x, &weighted.y)?;
    weighted.run(kernels, x, &filter, scratch, Output::Int8 { y, zero_point, clamp });
    Some(())
}

/// Dense layer whose accumulators become f32.
pub(super) fn dense_output(
    model: &Model<'_>,
    kernels: Kernels,
    first: bool,
    input: &Tensor,
    weights: &Weights,
    frame: &mut Frame<'_>,
) -> Option<()> {
    let filter = filter(model, weights, frame.packed);
    let (x, outputs, scratch) = to_outputs(first, input, frame)?;
    kernels.dense(&dense(x, input, filter.bias.len()), &filter, scratch, Output::Real(outputs));
    Some(())
}

/// Weights, biases and multipliers of a layer, and what the kernels packed of them.
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
