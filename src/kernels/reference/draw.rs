//! Noise of weights or of outputs, one stream after another.

use crate::kernels::{NoiseDraw, OutputDraw};
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

/// See [`Kernels::draw_outputs`](crate::kernels::Kernels).
#[inline(always)]
pub(crate) fn draw_outputs(draw: &OutputDraw<'_>, eps: &mut [i16]) {
    let streams = eps.chunks_exact_mut(draw.count.max(1));
    for (eps, &stream) in streams.zip(draw.streams) {
        let mut gaussian = Gaussian::new(draw.seed, stream);
        // |eps| <= MAX_EPS, which fits an i16.
        eps.iter_mut().for_each(|eps| *eps = gaussian.sample() as i16);
    }
}
