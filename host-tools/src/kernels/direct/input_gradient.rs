//! Input gradient: each output position's gradient, times the kernel, is added onto its window.
//!
//! ```text
//! for each output row, for each kernel row, for each tile of P output columns x N vectors of values
//!     sum[P][N] = 0
//!     for each output channel: sum[p][n] += dy[column p, channel] * weight[channel][n]
//!     image[window of column p, kernel row][n] += sum[p][n]
//! ```
//!
//! Windows of neighbouring columns overlap, and a sum that is read back right after it was stored under
//! another alignment stalls the CPU. So columns take turns on several images, whose sum is the result.

use super::Walk;
use super::vector::{Vector, each, even, multiply_add_row, of_size};

/// The input gradient of one image.
pub(super) struct InputGradient<'a> {
    pub walk: Walk,
    /// `[rows, columns, channels]`.
    pub dy: &'a [f32],
    /// `[taps, channels, padded]`.
    pub packed: &'a [f32],
    /// Values of one row of `packed`: those of a kernel row, and padding.
    pub padded: usize,
    /// Images that the columns take turns on.
    pub copies: usize,
    /// Floats of one of them.
    pub copy_len: usize,
}

impl InputGradient<'_> {
    /// Two vectors of values at a time by tiles of at most `TWO` positions, one vector by `ONE`.
    ///
    /// # Safety
    /// The CPU must have `V`'s instructions, `dy` must hold the output, `packed` the kernel for `padded`
    /// values, a multiple of `V::LANES`, and `images` `copies` images of `copy_len` floats, each of
    /// which holds the walk's reach with rows of `padded` values.
    #[inline(always)]
    pub(super) unsafe fn run<V: Vector, const ONE: usize, const TWO: usize>(&self, images: &mut [f32]) {
        for row in 0..self.walk.rows {
            for tap in 0..self.walk.taps {
                let mut value = 0;
                while value < self.padded {
                    // SAFETY: row and tap are the walk's; `value` plus the one or two vectors is within
                    // `padded`; the rest is the caller's.
                    unsafe {
                        if value + 2 * V::LANES <= self.padded {
                            self.block::<V, 2, TWO>(row, tap, value, images);
                            value += 2 * V::LANES;
                        } else {
                            self.block::<V, 1, ONE>(row, tap, value, images);
                            value += V::LANES;
                        }
                    }
                }
            }
        }
    }

    /// All columns of one row, for `N` vectors of values of one kernel row.
    ///
    /// # Safety
    /// As [`Self::run`]; `row` and `tap` are the walk's, `value + N * V::LANES <= padded`.
    #[inline(always)]
    unsafe fn block<V: Vector, const N: usize, const MAX: usize>(
        &self,
        row: usize,
        tap: usize,
        value: usize,
        images: &mut [f32],
    ) {
        let (mut column, columns) = (0, self.walk.columns);
        while column < columns {
            let size = even(columns - column, MAX);
            // SAFETY: the tile ends at or before `columns`; the rest is the caller's.
            unsafe { of_size!(size, MAX, self.tile::<V; N>(row, tap, value, column, images)) };
            column += size;
        }
    }

    /// `P` columns from `column`.
    ///
    /// # Safety
    /// As [`Self::block`]; `column + P <= columns`.
    #[inline(always)]
    unsafe fn tile<V: Vector, const N: usize, const P: usize>(
        &self,
        row: usize,
        tap: usize,
        value: usize,
        column: usize,
        images: &mut [f32],
    ) {
        let (walk, channels) = (&self.walk, self.walk.channels);
        // SAFETY: the caller vouches for the CPU.
        let zero = unsafe { V::splat(0.0) };
        let mut sums = [[zero; N]; P];
        // SAFETY: row, column and channel stay below those of `dy`; tap, channel and value below those
        // of `packed`.
        unsafe {
            let dy = self.dy.as_ptr().add((row * walk.columns + column) * channels);
            let weight = self.packed.as_ptr().add(tap * channels * self.padded + value);
            multiply_add_row((dy, channels), channels, (weight, self.padded), &mut sums);
        }
        let window = row * walk.row_step + tap * walk.image_stride + column * walk.column_step + value;
        let images = images.as_mut_ptr();
        each::<N, P>(|p, n| {
            let copy = (column + p) % self.copies * self.copy_len;
            // SAFETY: row, tap, column and value stay below those of the reach that each copy holds with
            // rows of `padded` values.
            unsafe {
                let to = images.add(copy + window + p * walk.column_step + n * V::LANES);
                V::load(to).plus_product(sums[p][n], V::splat(1.0)).store(to);
            }
        });
    }
}
