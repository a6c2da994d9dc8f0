//! What becomes of a tile's accumulators.

use super::simd::{Rounding, Simd};
use crate::kernels::{Filter, Mean, Output};

/// Where one tile of output channels goes.
pub(super) struct To<'o, 'a, 'f> {
    pub(super) output: &'o mut Output<'a>,
    pub(super) filter: &'o Filter<'f>,
    /// Multipliers of the tile's channels, in tile order.
    pub(super) multiplier: *const f32,
    /// Its first output channel.
    pub(super) channel: usize,
    /// Its channels that exist.
    pub(super) run: usize,
    /// Output channels of the layer.
    pub(super) channels: usize,
}

impl To<'_, '_, '_> {
    /// Makes the outputs of pixels `pixel..pixel + P`.
    ///
    /// # Safety
    /// `multiplier` leads to `C * LANES` f32; an int8 output holds these pixels.
    #[inline(always)]
    pub(super) unsafe fn put<S: Simd, const P: usize, const C: usize>(
        &mut self,
        s: S,
        pixel: usize,
        acc: &[[S::I; C]; P],
    ) {
        let index = pixel * self.channels + self.channel;
        if let Output::Int8 { y, zero_point, clamp } = &mut *self.output {
            let rounding = Rounding { zero_point: *zero_point, clamp: *clamp };
            for (p, &acc) in acc.iter().enumerate() {
                // SAFETY: the caller's promises: pixel `pixel + p` and its channels exist.
                unsafe {
                    let to = y.as_mut_ptr().add(index + p * self.channels);
                    s.requantize(acc, self.multiplier, rounding, to, self.run);
                }
            }
            return;
        }
        // A copy: the accumulators themselves are never in memory, so that the outputs above come from registers.
        let acc = *acc;
        for (p, acc) in acc.iter().enumerate() {
            let sums = natural(s, acc);
            self.other(s, index + p * self.channels, &sums[..self.run]);
        }
    }

    /// Outputs that are not int8 by the plain rule: a first layer's or the last one's.
    // Inlined, so that it is compiled for the instructions of its caller.
    #[inline(always)]
    fn other<S: Simd>(&mut self, s: S, index: usize, sums: &[i32]) {
        let m = &self.filter.multiplier[self.channel..];
        let end = index + sums.len();
        match &mut *self.output {
            Output::Sums(to) => to[index..end].copy_from_slice(sums),
            Output::Real(to) => {
                let values = to[index..end].iter_mut().zip(sums).zip(m);
                values.for_each(|((to, &sum), &m)| *to = sum as f32 * m);
            }
            Output::Noisy(noisy) => {
                if let Mean::Sums { sums: mean, multiplier } = noisy.mean {
                    s.combine(noisy, index, [&mean[index..], sums], [&multiplier[self.channel..], m]);
                }
            }
            Output::Int8 { .. } => {}
        }
    }
}

/// Accumulators in the order of the channels; at most 64.
#[inline(always)]
fn natural<S: Simd, const C: usize>(s: S, acc: &[S::I; C]) -> [i32; 64] {
    let mut sums = [0; 64];
    for (j, &acc) in acc.iter().enumerate() {
        let mut lanes = [0; 16];
        // SAFETY: vectors have at most 16 lanes.
        unsafe { s.store(acc, lanes.as_mut_ptr()) };
        for (quarter, four) in lanes[..S::LANES].as_chunks::<4>().0.iter().enumerate() {
            let at = 4 * C * quarter + 4 * j;
            sums[at..at + 4].copy_from_slice(four);
        }
    }
    sums
}
