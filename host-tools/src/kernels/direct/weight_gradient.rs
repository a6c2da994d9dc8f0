//! Weight gradient: tiles of neighbouring kernel values times vectors of channels, summed over
//! positions.

use super::vector::Vector;
use super::{POSITIONS_AT_ONCE, Walk};

/// The weight gradient of one image.
pub(super) struct WeightGradient<'a> {
    pub walk: Walk,
    pub image: &'a [f32],
    pub dy: &'a [f32],
    /// Channels of `dy` and of the result.
    pub padded: usize,
}

impl WeightGradient<'_> {
    /// Two vectors of channels at a time by tiles of `TWO` and `FEW` values, one vector by `ONE`.
    ///
    /// # Safety
    /// The CPU must have `V`'s instructions, `image` must hold the walk's reach, `dy` the output's
    /// positions and `dw` the kernel, both for `padded` channels, a multiple of `V::LANES`.
    #[inline(always)]
    pub(super) unsafe fn run<V: Vector, const ONE: usize, const TWO: usize, const FEW: usize>(
        &self,
        dw: &mut [f32],
    ) {
        let at_once = (POSITIONS_AT_ONCE / self.walk.columns.max(1)).max(1);
        for first in (0..self.walk.rows).step_by(at_once) {
            let rows = first..(first + at_once).min(self.walk.rows);
            for tap in 0..self.walk.taps {
                let mut channel = 0;
                while channel < self.padded {
                    // SAFETY: rows and tap are the walk's; `channel` plus the one or two vectors is
                    // within `padded`; the rest is the caller's.
                    unsafe {
                        if channel + 2 * V::LANES <= self.padded {
                            self.block::<V, 2, TWO, FEW>(rows.clone(), tap, channel, dw);
                            channel += 2 * V::LANES;
                        } else {
                            self.block::<V, 1, ONE, FEW>(rows.clone(), tap, channel, dw);
                            channel += V::LANES;
                        }
                    }
                }
            }
        }
    }

    /// All values of one kernel row, for `N` vectors of channels.
    ///
    /// # Safety
    /// As [`Self::run`]; `rows` and `tap` are the walk's, `channel + N * V::LANES <= padded`.
    #[inline(always)]
    unsafe fn block<V: Vector, const N: usize, const MANY: usize, const FEW: usize>(
        &self,
        rows: std::ops::Range<usize>,
        tap: usize,
        channel: usize,
        dw: &mut [f32],
    ) {
        let (mut value, values) = (0, self.walk.row);
        // SAFETY: each tile ends at or before `values`; the rest is the caller's.
        unsafe {
            while value + MANY <= values {
                self.tile::<V, N, MANY>(rows.clone(), tap, channel, value, dw);
                value += MANY;
            }
            while value + FEW <= values {
                self.tile::<V, N, FEW>(rows.clone(), tap, channel, value, dw);
                value += FEW;
            }
            while value < values {
                self.tile::<V, N, 1>(rows.clone(), tap, channel, value, dw);
                value += 1;
            }
        }
    }

    /// `J` values from `value`.
    ///
    /// # Safety
    /// As [`Self::block`]; `value + J <= row`.
    #[inline(always)]
    unsafe fn tile<V: Vector, const N: usize, const J: usize>(
        &self,
        rows: std::ops::Range<usize>,
        tap: usize,
        channel: usize,
        value: usize,
        dw: &mut [f32],
    ) {
        let walk = &self.walk;
        // SAFETY: tap, value and channel stay below those that `dw` holds; row, tap, column and value
        // below those of the reach that `image` holds; row, column and channel below those of `dy`.
        unsafe {
            let dw = dw.as_mut_ptr().add((tap * walk.row + value) * self.padded + channel);
            let mut sums = [[V::splat(0.0); N]; J];
            for (j, sums) in sums.iter_mut().enumerate() {
                for (n, sum) in sums.iter_mut().enumerate() {
                    *sum = V::load(dw.add(j * self.padded + n * V::LANES));
                }
            }
            for row in rows {
                let mut image =
                    self.image.as_ptr().add(row * walk.row_step + tap * walk.image_stride + value);
                let mut dy = self.dy.as_ptr().add(row * walk.columns * self.padded + channel);
                for _ in 0..walk.columns {
                    let mut slopes = [V::splat(0.0); N];
                    for (n, slope) in slopes.iter_mut().enumerate() {
                        *slope = V::load(dy.add(n * V::LANES));
                    }
                    for (j, sums) in sums.iter_mut().enumerate() {
                        let x = V::splat(*image.add(j));
                        for (sum, slope) in sums.iter_mut().zip(slopes) {
                            *sum = sum.plus_product(x, slope);
                        }
                    }
                    image = image.wrapping_add(walk.column_step);
                    dy = dy.wrapping_add(self.padded);
                }
            }
            for (j, sums) in sums.iter().enumerate() {
                for (n, sum) in sums.iter().enumerate() {
                    sum.store(dw.add(j * self.padded + n * V::LANES));
                }
            }
        }
    }
}
