//! Forward: tiles of neighbouring output positions times vectors of channels.

use super::vector::Vector;
use super::{MAX_LANES, Walk};

/// One forward convolution.
pub(super) struct Forward<'a> {
    pub walk: Walk,
    pub image: &'a [f32],
    pub packed: &'a [f32],
    /// What the sums start from, `[padded]`: the bias.
    pub start: &'a [f32],
    /// Channels of `packed` and `start`.
    pub padded: usize,
    /// Whether to add to what is there.
    pub accumulate: bool,
}

impl Forward<'_> {
    /// Two vectors of channels at a time by tiles of `TWO` and `FEW` positions, one vector by `ONE`.
    ///
    /// # Safety
    /// The CPU must have `V`'s instructions, `image` must hold the walk's reach, `packed` its kernel
    /// for `padded` channels, `start` as many floats, `y` the whole output; `padded` must be a
    /// multiple of `V::LANES`.
    #[inline(always)]
    pub(super) unsafe fn run<V: Vector, const ONE: usize, const TWO: usize, const FEW: usize>(
        &self,
        y: &mut [f32],
    ) {
        let mut channel = 0;
        while channel < self.padded {
            // SAFETY: `channel` plus the one or two vectors is within `padded`; the rest is the caller's.
            unsafe {
                if channel + 2 * V::LANES <= self.padded {
                    self.block::<V, 2, TWO, FEW>(channel, y);
                    channel += 2 * V::LANES;
                } else {
                    self.block::<V, 1, ONE, FEW>(channel, y);
                    channel += V::LANES;
                }
            }
        }
    }

    /// All positions of `N` vectors of channels.
    ///
    /// # Safety
    /// As [`Self::run`]; `channel + N * V::LANES <= padded`.
    #[inline(always)]
    unsafe fn block<V: Vector, const N: usize, const MANY: usize, const FEW: usize>(
        &self,
        channel: usize,
        y: &mut [f32],
    ) {
        for row in 0..self.walk.rows {
            let (mut column, columns) = (0, self.walk.columns);
            // SAFETY: each tile ends at or before `columns`; the rest is the caller's.
            unsafe {
                while column + MANY <= columns {
                    self.tile::<V, N, MANY>(channel, row, column, y);
                    column += MANY;
                }
                while column + FEW <= columns {
                    self.tile::<V, N, FEW>(channel, row, column, y);
                    column += FEW;
                }
                while column < columns {
                    self.tile::<V, N, 1>(channel, row, column, y);
                    column += 1;
                }
            }
        }
    }

    /// `P` positions of one row, from `column`.
    ///
    /// # Safety
    /// As [`Self::block`]; `row` is one of the rows and `column + P <= columns`.
    #[inline(always)]
    unsafe fn tile<V: Vector, const N: usize, const P: usize>(
        &self,
        channel: usize,
        row: usize,
        column: usize,
        y: &mut [f32],
    ) {
        let walk = &self.walk;
        // SAFETY: `channel` and the vectors after it lie within `start` and within each row of
        // `packed`; row, tap, column and value stay below those of the reach that `image` holds.
        unsafe {
            let mut sums = [[V::splat(0.0); N]; P];
            for sums in &mut sums {
                for (n, sum) in sums.iter_mut().enumerate() {
                    *sum = V::load(self.start.as_ptr().add(channel + n * V::LANES));
                }
            }
            let image = self.image.as_ptr().add(row * walk.row_step + column * walk.column_step);
            let mut weight = self.packed.as_ptr().add(channel);
            for tap in 0..walk.taps {
                let image = image.add(tap * walk.image_stride);
                let mut value = 0;
                // Unrolled, so that the address of each position is worked out once for four values.
                while value + 4 <= walk.row {
                    for step in 0..4 {
                        self.multiply_add(image.add(value), step, weight.add(step * self.padded), &mut sums);
                    }
                    weight = weight.wrapping_add(4 * self.padded);
                    value += 4;
                }
                while value < walk.row {
                    self.multiply_add(image.add(value), 0, weight, &mut sums);
                    weight = weight.wrapping_add(self.padded);
                    value += 1;
                }
            }
            self.write(channel, row * walk.columns + column, &sums, y);
        }
    }

    /// `sums[p] += image[position p, value] * weight`, for one value.
    ///
    /// # Safety
    /// As [`Self::tile`], whose pointers these are.
    #[inline(always)]
    unsafe fn multiply_add<V: Vector, const N: usize, const P: usize>(
        &self,
        image: *const f32,
        value: usize,
        weight: *const f32,
        sums: &mut [[V; N]; P],
    ) {
        // SAFETY: the caller's pointers lead into the image and the packed kernel.
        unsafe {
            let mut weights = [V::splat(0.0); N];
            for (n, vector) in weights.iter_mut().enumerate() {
                *vector = V::load(weight.add(n * V::LANES));
            }
            for (p, sums) in sums.iter_mut().enumerate() {
                let x = V::splat(*image.add(p * self.walk.column_step).add(value));
                for (sum, weight) in sums.iter_mut().zip(weights) {
                    *sum = sum.plus_product(x, weight);
                }
            }
        }
    }

    /// Writes (or adds) the sums of positions from `position`, without the padded channels.
    ///
    /// # Safety
    /// As [`Self::tile`].
    #[inline(always)]
    unsafe fn write<V: Vector, const N: usize, const P: usize>(
        &self,
        channel: usize,
        position: usize,
        sums: &[[V; N]; P],
        y: &mut [f32],
    ) {
        let channels = self.walk.channels;
        let y = &mut y[position * channels..(position + P) * channels];
        // Only short loops of constant length touch the sums: were one of them too long to be unrolled,
        // all sums would live in memory, and each product would be stored.
        if channel + N * V::LANES <= channels {
            let y = y[channel..].as_mut_ptr();
            if self.accumulate {
                each::<N, P>(|p, n| {
                    // SAFETY: `y` has `P` rows of `channels` floats, of which `N` vectors lie behind
                    // `channel`.
                    unsafe {
                        let to = y.add(p * channels + n * V::LANES);
                        V::load(to).plus_product(sums[p][n], V::splat(1.0)).store(to);
                    }
                });
            } else {
                // SAFETY: as above.
                each::<N, P>(|p, n| unsafe { sums[p][n].store(y.add(p * channels + n * V::LANES)) });
            }
            return;
        }
        let mut lanes = [[[0.0; MAX_LANES]; N]; P];
        // SAFETY: the innermost arrays hold a vector of every width.
        each::<N, P>(|p, n| unsafe { sums[p][n].store(lanes[p][n].as_mut_ptr()) });
        for (y, lanes) in y.chunks_exact_mut(channels).zip(&lanes) {
            let sums = lanes.iter().flat_map(|lanes| &lanes[..V::LANES]);
            for (y, sum) in y[channel..].iter_mut().zip(sums) {
                *y = if self.accumulate { *y + sum } else { *sum };
            }
        }
    }
}

/// Visits all pairs below `(P, N)`.
#[inline(always)]
fn each<const N: usize, const P: usize>(mut visit: impl FnMut(usize, usize)) {
    for p in 0..P {
        for n in 0..N {
            visit(p, n);
        }
    }
}
