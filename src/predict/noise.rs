//! Drawing the first layer's noise into the workspace.

use super::config::{Config, Draws};
use super::workspace::{Buffers, Layout};
use crate::artifact::NoiseKind;
use crate::bayes::FirstLayer;
use crate::kernels::{Kernels, OutputDraw, PACK, STREAMS};
use crate::layers::Operators;

/// What the noise is drawn for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Noise<'p> {
    pub(super) first: &'p FirstLayer<'p>,
    pub(super) layout: &'p Layout,
    pub(super) operators: &'p Operators,
    pub(super) kernels: Kernels,
    pub(super) seed: u64,
}

impl Noise<'_> {
    /// What is drawn before there is an input: all streams of fixed draws. Packs the variances of noise per
    /// output, for kernels that do.
    pub(super) fn prepare(&self, config: &Config, buffers: &mut Buffers<'_>) {
        if PACK && !buffers.squares.is_empty() {
            self.first.pack_variances(self.kernels, buffers.noise_weights, buffers.packed_noise);
        }
        if config.draws == Draws::Fixed {
            for stream in (0..self.layout.streams).step_by(self.layout.group().into()) {
                self.fill_slots(buffers, stream.into(), stream.into(), self.layout.streams - stream);
            }
        }
    }

    /// Draws a group of streams, or the `left` ones that there are, into as many slots from `slot` on.
    #[cfg_attr(not(feature = "std"), inline(never))]
    pub(super) fn fill_slots(&self, buffers: &mut Buffers<'_>, slot: usize, stream: u64, left: u16) {
        let count = usize::from(self.layout.group().min(left)).min(STREAMS);
        let streams: [_; STREAMS] = core::array::from_fn(|i| stream.wrapping_add(i as u64));
        let (first, seed) = (self.first, self.seed);
        let Layout { noise_weights, noise_outputs, packed_noise, .. } = *self.layout;
        match first.kind() {
            NoiseKind::Outputs => {
                let Some(noise) = self.operators.output_noise() else { return };
                let eps = slot * noise_outputs..(slot + count) * noise_outputs;
                let eps = buffers.noise_outputs.get_mut(eps).unwrap_or_default();
                let draw = OutputDraw { seed, streams: &streams[..count], count: noise_outputs };
                (noise.draw)(self.kernels, &draw, eps);
            }
            NoiseKind::Weights if PACK && packed_noise > 0 => {
                first.draw_weights(self.kernels, seed, &streams[..count], buffers.noise_weights);
                let packed = buffers.packed_noise.chunks_exact_mut(packed_noise).skip(slot).take(count);
                for (packed, noise) in packed.zip(buffers.noise_weights.chunks_exact(noise_weights.max(1))) {
                    let noise = first.noise_filter(noise, &[]);
                    self.kernels.pack(first.layer, &noise, packed);
                }
            }
            NoiseKind::Weights => {
                let weights = slot * noise_weights..(slot + count) * noise_weights;
                let weights = buffers.noise_weights.get_mut(weights).unwrap_or_default();
                first.draw_weights(self.kernels, seed, &[stream], weights);
            }
        }
    }
}
