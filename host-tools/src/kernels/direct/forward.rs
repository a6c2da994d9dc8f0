//! Forward: tiles of neighbouring output positions times vectors of channels.

use super::Walk;
use super::vector::{Vector, each, even, multiply_add_row, of_size};

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
    /// Two vectors of channels at a time by tiles of at most `TWO` positions, one vector by `ONE`.
    ///
    /// # Safety
    /// The CPU must have `V`'s instructions, `image` must hold the walk's reach, `packed` its kernel
    /// for `padded` channels, `start` as many floats, `y` the whole output; `padded` must be a
    /// multiple of `V::LANES`.
    #[inline(always)]
    pub(super) unsafe fn run<V: Vector, const ONE: usize, const TWO: usize>(&self, y: &mut [f32]) {
        let mut channel = 0;
        while channel < self.padded {
            // SAFETY: `channel` plus the one or two vectors is within `padded`; the rest is the caller's.
            unsafe {
                if channel + 2 * V::LANES <= self.padded {
                    self.block::<V, 2, TWO>(channel, y);
                    channel += 2 * V::LANES;
                } else {
                    self.block::<V, 1, ONE>(channel, y);
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
    unsafe fn block<V: Vector, const N: usize, const MAX: usize>(&self, channel: usize, y: &mut [f32]) {
        for row in 0..self.walk.rows {
            let (mut column, columns) = (0, self.walk.columns);
            while column < columns {
                let size = even(columns - column, MAX);
                // SAFETY: the tile ends at or before `columns`; the rest is the caller's.
                unsafe { of_size!(size, MAX, self.tile::<V; N>(channel, row, column, y)) };
                column += size;
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
            each::<N, P>(|p, n| sums[p][n] = V::load(self.start.as_ptr().add(channel + n * V::LANES)));
            let image = self.image.as_ptr().add(row * walk.row_step + column * walk.column_step);
            let mut weight = self.packed.as_ptr().add(channel);
            for tap in 0..walk.taps {
                let image = (image.add(tap * walk.image_stride), walk.column_step);
                weight = multiply_add_row(image, walk.row, (weight, self.padded), &mut sums);
            }
            self.write(channel, row * walk.columns + column, &sums, y);
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
        let left = channels - channel;
        let y = y[channel..].as_mut_ptr();
        // SAFETY: `y` has `P` rows of `channels` floats, of which `left` lie behind `channel`: whole vectors,
        // or as many lanes as are left.
        unsafe {
            let to = |p: usize, n: usize| y.add(p * channels + n * V::LANES);
            let one = V::splat(1.0);
            if left < N * V::LANES {
                let count = |n: usize| left.saturating_sub(n * V::LANES).min(V::LANES);
                if self.accumulate {
                    each::<N, P>(|p, n| {
                        let old = V::load_part(to(p, n), count(n));
                        old.plus_product(sums[p][n], one).store_part(to(p, n), count(n));
                    });
                } else {
                    each::<N, P>(|p, n| sums[p][n].store_part(to(p, n), count(n)));
                }
            } else if self.accumulate {
                each::<N, P>(|p, n| V::load(to(p, n)).plus_product(sums[p][n], one).store(to(p, n)));
            } else {
                each::<N, P>(|p, n| sums[p][n].store(to(p, n)));
            }
        }
    }
}
