//! The part of a prediction that belongs to its noisy first layer.

use super::Predictor;
use crate::artifact::{Layer, NoiseKind};
use crate::bayes::{FirstLayer, Halves, Squares};
use crate::kernels::PACK;
use crate::layers;
use crate::predict::config::Draws;
use crate::predict::noise::Noise;
use crate::predict::workspace::Layout;

impl Predictor<'_, '_> {
    /// Computes what all draws of the input share.
    #[cfg_attr(not(feature = "std"), inline(never))]
    pub(super) fn share(&mut self) -> Option<()> {
        if !self.noisy {
            return Some(());
        }
        let step = self.step(true);
        let layer = self.model.layers().next()?;
        let first = FirstLayer::new(self.model, &layer)?;
        let buffers = &mut self.buffers;
        if !buffers.acc_mean.is_empty() {
            // Layer 0 is packed first.
            first.mean(&step, buffers.input, buffers.packed, buffers.scratch, buffers.acc_mean)?;
        }
        if !PACK || buffers.squares.is_empty() {
            first.output_noise_scale(&step, buffers.input, buffers.noise_scale);
        } else {
            let squares = Squares {
                packed: buffers.packed_noise,
                bytes: buffers.squares,
                sums: buffers.square_sums,
                scratch: buffers.scratch,
            };
            first.packed_noise_scale(self.kernels, buffers.input, squares, buffers.noise_scale);
        }
        Some(())
    }

    /// The noisy first layer of a draw, in its lane; with the second draw of its pair where that one
    /// is in the next lane of this tile of `count`, or has a place to wait. Returns the lanes done.
    pub(super) fn run_first(&mut self, layer: &Layer, draw: u16, lane: u16, count: u16) -> Option<u16> {
        let antithetic = self.config.antithetic;
        let (stream, negate) = if antithetic { (draw / 2, draw % 2 == 1) } else { (draw, false) };
        let partner = antithetic && !negate && draw + 1 < self.layout.passes;
        let step = self.step(true);
        let first = FirstLayer::new(self.model, layer)?;
        let slot = self.draw_stream(&first, stream);
        let y = first.y();
        let tile = usize::from(self.layout.tile);
        let buffers = &mut self.buffers;
        let lanes = buffers.arena.get_mut(layers::range(y, tile, tile))?;
        let mut lanes = lanes.chunks_exact_mut((y.len() as usize).max(1)).skip(lane.into());
        let this = lanes.next()?;
        if negate && self.twin_of == Some(stream) {
            this.iter_mut().zip(&*buffers.twin).for_each(|(this, &twin)| *this = twin);
            return Some(1);
        }
        let beside = partner && lane + 1 < count;
        let twin: &mut [i8] = if beside {
            lanes.next()?
        } else if partner && !buffers.twin.is_empty() {
            self.twin_of = Some(stream);
            buffers.twin
        } else {
            &mut []
        };
        let to = Halves { this, twin, negate };
        match first.kind() {
            NoiseKind::Weights => {
                let Layout { noise_weights, packed_noise, .. } = self.layout;
                let packed = slot_of(buffers.packed_noise, packed_noise, slot)?;
                // Packed noise is read nowhere else.
                let noise_slot = if packed_noise > 0 { 0 } else { slot };
                let noise = slot_of(buffers.noise_weights, noise_weights, noise_slot)?;
                let noise = first.noise_filter(noise, packed);
                let (input, acc_mean, scratch) = (&*buffers.input, &*buffers.acc_mean, &mut *buffers.scratch);
                first.with_weight_noise(&step, input, &noise, acc_mean, scratch, to)?;
            }
            NoiseKind::Outputs => {
                let eps = slot_of(buffers.noise_outputs, self.layout.noise_outputs, slot)?;
                first.with_output_noise(&step, buffers.acc_mean, buffers.noise_scale, eps, to)?;
            }
        }
        Some(if beside { 2 } else { 1 })
    }

    /// Makes sure that the noise of a stream of this prediction is in memory; returns its slot.
    fn draw_stream(&mut self, first: &FirstLayer<'_>, stream: u16) -> usize {
        if self.config.draws == Draws::Fixed {
            return stream.into();
        }
        let streams = self.layout.streams;
        let within = stream % self.layout.group();
        let start = stream - within;
        let absolute = self.counter.wrapping_mul(streams.into()).wrapping_add(start.into());
        if self.drawn != Some(absolute) {
            let Self { layout, operators, kernels, .. } = self;
            let noise = Noise { first, layout, operators, kernels: *kernels, seed: self.config.seed };
            noise.fill_slots(&mut self.buffers, 0, absolute, streams - start);
            self.drawn = Some(absolute);
        }
        within.into()
    }
}

/// One of the equal slots of a buffer.
fn slot_of<T>(buffer: &[T], len: usize, slot: usize) -> Option<&[T]> {
    buffer.get(slot * len..(slot + 1) * len)
}
