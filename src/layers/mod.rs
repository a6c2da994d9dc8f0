//! Each kind of layer on the arena of one draw.

mod elementwise;
mod pool;
pub(crate) mod weighted;

use crate::artifact::{Layer, Model, Tensor};
use crate::kernels::Kernels;
use core::ops::Range;

/// The memory that one layer of one draw works on.
#[derive(Debug)]
pub struct Frame<'a> {
    /// The network's quantized input, which layer 0 reads.
    pub input: &'a [i8],
    /// Activations of this draw.
    pub arena: &'a mut [i8],
    /// Scratch of [`scratch_values`](crate::kernels::scratch_values) for the largest layer.
    pub scratch: &'a mut [i16],
    /// The network's f32 outputs, which the last layer writes.
    pub outputs: &'a mut [f32],
}

/// Bytes of a tensor in the arena.
pub(crate) fn range(tensor: &Tensor) -> Range<usize> {
    let start = tensor.offset as usize;
    start..start.saturating_add(tensor.len() as usize)
}

impl Frame<'_> {
    /// The input values of a layer, and its place in the arena to write to; they do not overlap.
    fn ends(&mut self, first: bool, x: &Tensor, y: &Tensor) -> Option<(&[i8], &mut [i8], &mut [i16])> {
        if first {
            return Some((self.input, self.arena.get_mut(range(y))?, self.scratch));
        }
        let [x, y] = self.arena.get_disjoint_mut([range(x), range(y)]).ok()?;
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
            pool::max(x, input, y, output, window);
            Some(())
        }
        Layer::AvgPool { input, output, window, count_padding, clamp } => {
            let (x, y, _) = frame.ends(first, input, output)?;
            pool::average(x, input, y, output, window, *count_padding, *clamp);
            Some(())
        }
        Layer::Add { a, b, output, multiplier_a, multiplier_b, clamp } => {
            let add = elementwise::Add::new(a, b, output, [*multiplier_a, *multiplier_b], *clamp);
            add.run(frame.arena)
        }
        Layer::Lookup { input, output, table } => {
            elementwise::lookup(first, input, output, model.i8s(*table), frame)
        }
        Layer::Dequantize { input } => elementwise::dequantize(first, input, frame),
    }
}

/// The input values of a layer that writes f32 outputs, and those outputs.
fn to_outputs<'f>(first: bool, x: &Tensor, frame: &'f mut Frame<'_>) -> Option<(&'f [i8], &'f mut [f32])> {
    let input = if first { frame.input } else { frame.arena.get(range(x))? };
    Some((input, frame.outputs))
}
