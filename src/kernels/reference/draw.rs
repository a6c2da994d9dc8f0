//! Noise weights, one stream after another.

use crate::kernels::NoiseDraw;
use crate::random::{Gaussian, noise_weight};

/// See [`Kernels::draw`](crate::kernels::Kernels).
#[inline(always)]
pub(crate) fn draw(draw: &NoiseDraw<'_>, noise: &mut [i8]) {
    let streams = noise.chunks_exact_mut(draw.log_var.len().max(1));
    for (noise, &stream) in streams.zip(draw.streams) {
        let mut gaussian = Gaussian::new(draw.seed, stream);
        for (noise, &b) in noise.iter_mut().zip(draw.log_var) {
            *noise = noise_weight(draw.table[usize::from(b)], gaussian.sample());
        }
    }
}
