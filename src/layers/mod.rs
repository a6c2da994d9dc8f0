//! Each kind of layer on the arena of the draws that run side by side.

mod elementwise;
mod joint;
pub(crate) mod weighted;

use crate::artifact::{Layer, Model, Tensor};
use crate::kernels::{Conv, Kernels};
use core::ops::Range;

/// The memory that one layer works on, for all draws side by side.
#[derive(Debug)]
pub struct Frame<'a> {
    /// The network's quantized input, which layer 0 reads.
    pub input: &'a [i8],
    /// Activations of `tile` draws: a tensor is `[draws, height, width, channels]` at `tile` times its
    /// offset.
    pub arena: &'a mut [i8],
    /// Scratch for the largest layer.
    pub scratch: &'a mut [i16],
    /// The network's f32 outputs, which the last layer writes: `[draws, outputs]`.
    pub outputs: &'a mut [f32],
    /// This layer's packed weights; empty if the kernels read them in place.
    pub packed: &'a [u8],
    /// Draws that the arena has room for.
    pub tile: usize,
    /// Draws that run; at most `tile`, and 1 in layer 0.
    pub draws: usize,
}

/// Bytes of a tensor in an arena of `tile` draws, of which `draws` run.
pub(crate) fn range(tensor: &Tensor, tile: usize, draws: usize) -> Range<usize> {
    let start = (tensor.offset as usize).saturating_mul(tile);
    start..start.saturating_add((tensor.len() as usize).saturating_mul(draws))
}

impl Frame<'_> {
    fn range(&self, tensor: &Tensor) -> Range<usize> {
        range(tensor, self.tile, self.draws)
    }

    /// The input values of a layer, and its place in the arena to write to; they do not overlap.
    fn ends(&mut self, first: bool, x: &Tensor, y: &Tensor) -> Option<(&[i8], &mut [i8], &mut [i16])> {
        let [x, y] = [x, y].map(|tensor| self.range(tensor));
        if first {
            return Some((self.input, self.arena.get_mut(y)?, self.scratch));
        }
        let [x, y] = self.arena.get_disjoint_mut([x, y]).ok()?;
        Some((x, y, self.scratch))
    }
}

/// Runs layer `index` of a checked model. `None` if the frame is not one for this model.
#[must_use]
pub fn run(
    model: &Model<'_>,
    kernels: Kernels,
    index: usize,
    layer: &Layer,
    frame: &mut Frame<'_>,
) -> Option<()> {
    let first = index == 0;
    match layer {
        Layer::Conv2d { .. } | Layer::DepthwiseConv2d { .. } | Layer::Dense { .. } => {
            weighted::run(model, kernels, first, layer, frame)
        }
        Layer::DenseOutput { input, weights } => {
            weighted::dense_output(model, kernels, first, input, weights, frame)
        }
        Layer::MaxPool { input, output, window } => {
            let (x, y, _) = frame.ends(first, input, output)?;
            kernels.max_pool(&Conv { input: x, x: *input, y: *output, window: *window }, y);
            Some(())
        }
        Layer::AvgPool { input, output, window, count_padding, clamp } => {
            let (x, y, _) = frame.ends(first, input, output)?;
            let pool = Conv { input: x, x: *input, y: *output, window: *window };
            kernels.avg_pool(&pool, *count_padding, *clamp, y);
            Some(())
        }
        Layer::Add { a, b, output, multiplier_a, multiplier_b, clamp } => {
            elementwise::add(kernels, [a, b, output], [*multiplier_a, *multiplier_b], *clamp, frame)
        }
        Layer::Lookup { input, output, table } => {
            elementwise::lookup(kernels, first, input, output, model.i8s(*table), frame)
        }
        Layer::Dequantize { input } => elementwise::dequantize(first, input, frame),
        Layer::Sub { a, b, output, multiplier_a, multiplier_b, clamp } => {
            elementwise::add(kernels, [a, b, output], [*multiplier_a, -*multiplier_b], *clamp, frame)
        }
        Layer::Mul { a, b, output, multiplier, clamp } => {
            joint::multiply([a, b, output], *multiplier, *clamp, frame)
        }
        Layer::Concat { a, b, output, axis, multiplier_a, multiplier_b, clamp } => {
            joint::concat([a, b, output], *axis, [*multiplier_a, *multiplier_b], *clamp, frame)
        }
        Layer::Pad { input, output, begin } => joint::pad(first, input, output, *begin, frame),
    }
}

/// The input values of a layer that writes f32 outputs, those outputs, and scratch.
fn to_outputs<'f>(
    first: bool,
    x: &Tensor,
    frame: &'f mut Frame<'_>,
) -> Option<(&'f [i8], &'f mut [f32], &'f mut [i16])> {
    let range = frame.range(x);
    let input = if first { frame.input } else { frame.arena.get(range)? };
    Some((input, frame.outputs, frame.scratch))
}
