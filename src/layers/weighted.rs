//! Layers with weights: bias and requantization around the kernels.

use super::{Frame, to_outputs};
use crate::artifact::{Clamp, Layer, Model, Tensor, Weights};
use crate::kernels::{Conv, Kernels};
use crate::number;

/// A layer with int8 weights and int8 outputs, whatever its geometry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weighted {
    pub(crate) x: Tensor,
    pub(crate) y: Tensor,
    pub(crate) weights: Weights,
    pub(crate) clamp: Clamp,
    layer: Layer,
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

    /// Accumulators without bias, to `sink(index, channel, accumulators of each set of weights)`.
    #[inline]
    pub(crate) fn accumulate<const N: usize>(
        &self,
        kernels: Kernels,
        input: &[i8],
        weights: [&[i8]; N],
        scratch: &mut [i16],
        sink: impl FnMut(usize, usize, [&[i32]; N]),
    ) {
        let conv = |window| Conv { input, x: self.x, y: self.y, window };
        match self.layer {
            Layer::Conv2d { window, .. } => kernels.conv2d(&conv(window), weights, scratch, sink),
            Layer::DepthwiseConv2d { window, .. } => kernels.depthwise(&conv(window), weights, sink),
            _ => kernels.dense(input, self.x.zero_point, self.y.channels.into(), weights, sink),
        }
    }
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
    let (values, bias, multiplier) = parameters(model, &weighted.weights);
    let (zero_point, clamp) = (weighted.y.zero_point, weighted.clamp);
    let (x, y, scratch) = frame.ends(first, &weighted.x, &weighted.y)?;
    weighted.accumulate(kernels, x, [values], scratch, |index, channel, [acc]| {
        let (out, bias, m) = (&mut y[index..], &bias[channel..], &multiplier[channel..]);
        for (((&acc, out), &bias), &m) in acc.iter().zip(out).zip(bias).zip(m) {
            *out = number::requantize(acc.wrapping_add(bias), m, zero_point, clamp);
        }
    });
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
    let (values, bias, multiplier) = parameters(model, weights);
    let (x, outputs) = to_outputs(first, input, frame)?;
    kernels.dense(x, input.zero_point, bias.len(), [values], |index, channel, [acc]| {
        let (out, bias, m) = (&mut outputs[index..], &bias[channel..], &multiplier[channel..]);
        for (((&acc, out), &bias), &m) in acc.iter().zip(out).zip(bias).zip(m) {
            *out = acc.wrapping_add(bias) as f32 * m;
        }
    });
    Some(())
}

/// Weights, biases and multipliers.
pub(crate) fn parameters<'a>(model: &Model<'a>, weights: &Weights) -> (&'a [i8], &'a [i32], &'a [f32]) {
    (model.i8s(weights.values), model.i32s(weights.bias), model.f32s(weights.multiplier))
}
