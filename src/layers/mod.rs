//! Each kind of layer on the arena of the draws that run side by side.

mod elementwise;
mod joint;
mod operators;
pub(crate) mod output_noise;
mod pool;
pub(crate) mod weighted;

pub use operators::Operators;

use crate::artifact::{Layer, Model, Tensor};
use crate::kernels::{Filter, Kernels, Output};
use core::ops::Range;

/// The memory that one layer works on, for all draws side by side.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    /// The network's quantized input, which layer 0 reads.
    pub(crate) input: &'a [i8],
    /// Activations of `tile` draws: a tensor is `[draws, height, width, channels]` at `tile` times its
    /// offset.
    pub(crate) arena: &'a mut [i8],
    /// Scratch for the largest layer.
    pub(crate) scratch: &'a mut [i16],
    /// The network's f32 outputs, which the last layer writes: `[draws, outputs]`.
    pub(crate) outputs: &'a mut [f32],
    /// This layer's packed weights; empty if the kernels read them in place.
    pub(crate) packed: &'a [u8],
    /// Draws that the arena has room for.
    pub(crate) tile: usize,
    /// Draws that run; at most `tile`, and 1 in layer 0.
    pub(crate) draws: usize,
}

/// Bytes of a tensor in an arena of `tile` draws, of which `draws` run.
pub(crate) fn range(tensor: &Tensor, tile: usize, draws: usize) -> Range<usize> {
    let start = (tensor.offset as usize).saturating_mul(tile);
    start..start.saturating_add((tensor.len() as usize).saturating_mul(draws))
}

/// Where a layer writes, and the rest of the arena.
struct Place<'a> {
    before: &'a [i8],
    y: &'a mut [i8],
    after: &'a [i8],
    range: Range<usize>,
}

impl<'a> Place<'a> {
    #[cfg_attr(not(feature = "std"), inline(never))]
    fn new(arena: &'a mut [i8], range: Range<usize>) -> Option<Self> {
        let (before, rest) = arena.split_at_mut_checked(range.start)?;
        let (y, after) = rest.split_at_mut_checked(range.end.checked_sub(range.start)?)?;
        Some(Self { before, y, after, range })
    }

    /// Values that do not overlap it.
    #[cfg_attr(not(feature = "std"), inline(never))]
    fn beside(&self, x: &Range<usize>) -> Option<&'a [i8]> {
        match x.start.checked_sub(self.range.end) {
            Some(start) => self.after.get(start..x.end.checked_sub(self.range.end)?),
            None => self.before.get(x.clone()),
        }
    }

    /// Values beside it; `None` for those that it has itself.
    fn input(&self, x: &Range<usize>) -> Option<Option<&'a [i8]>> {
        if *x == self.range { Some(None) } else { self.beside(x).map(Some) }
    }
}

impl Frame<'_> {
    fn range(&self, tensor: &Tensor) -> Range<usize> {
        range(tensor, self.tile, self.draws)
    }

    /// The input values of a layer, and its place in the arena to write to; they do not overlap.
    #[cfg_attr(not(feature = "std"), inline(never))]
    fn ends(&mut self, first: bool, x: &Tensor, y: &Tensor) -> Option<(&[i8], &mut [i8], &mut [i16])> {
        let [x, y] = [x, y].map(|tensor| self.range(tensor));
        let place = Place::new(self.arena, y)?;
        let x = if first { self.input } else { place.beside(&x)? };
        Some((x, place.y, self.scratch))
    }

    /// The input values of a layer that writes f32 outputs, those outputs, and scratch.
    fn real_ends(&mut self, first: bool, x: &Tensor) -> Option<(&[i8], &mut [f32], &mut [i16])> {
        let range = self.range(x);
        let input = if first { self.input } else { self.arena.get(range)? };
        Some((input, self.outputs, self.scratch))
    }
}

/// What a layer needs beside its own fields and its memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step<'s> {
    /// The checked model.
    pub(crate) model: &'s Model<'s>,
    /// Kernels that run.
    pub(crate) kernels: Kernels,
    /// Operators that may run.
    pub(crate) operators: &'s Operators,
    /// Whether this is layer 0, which reads the network's input.
    pub(crate) first: bool,
}

impl Step<'_> {
    /// Runs a layer. `None` if the frame is not one for this model, or the operator is not among those that
    /// may run.
    #[must_use]
    pub(crate) fn run(&self, layer: &Layer, frame: &mut Frame<'_>) -> Option<()> {
        self.operators.run(self, layer, frame)
    }

    /// Runs a layer with weights with any filter of its shape on `input`, `[images, height, width,
    /// channels]`.
    pub(crate) fn run_weighted(
        &self,
        layer: &Layer,
        input: &[i8],
        filter: &Filter<'_>,
        scratch: &mut [i16],
        output: Output<'_>,
    ) -> Option<()> {
        self.operators.run_weighted(layer, self.kernels, input, filter, scratch, output)
    }
}
