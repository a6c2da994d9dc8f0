//! Weight gradient: tiles of neighbouring kernel values times vectors of channels, summed over
//! positions.

#![expect(
    clippy::needless_range_loop,
    reason = "sums stay in registers only if every loop over them is unrolled"
)]

use super::vector::{Vector, each, even, of_size};
use super::{POSITIONS_AT_ONCE, Walk};
use std::ops::Range;

/// The weight gradient of one image.
pub(super) struct WeightGradient<'a> {
    pub walk: Walk,
    pub image: &'a [f32],
    pub dy: &'a [f32],
    /// Channels of `dy` and of the result.
    pub padded: usize,
}

impl WeightGradient<'_> {
    /// Two vectors of channels at a time by tiles of at most `TWO` values, one vector by `ONE`.
    ///
    /// # Safety
    /// The CPU must have `V`'s instructions, `image` must hold the walk's reach, `dy` the output's
    /// positions and `dw` the kernel, both for `padded` channels, a multiple of `V::LANES`.
    #[inline(always)]
    pub(super) unsafe fn run<V: Vector, const ONE: usize, const TWO: usize>(&self, dw: &mut [f32]) {
        let at_once = (POSITIONS_AT_ONCE / self.walk.columns.max(1)).max(1);
        for first in (0..self.walk.rows).step_by(at_once) {
            let rows = first..(first + at_once).min(self.walk.rows);
            let mut tap = 0;
            while tap < self.walk.taps {
                let taps = self.taps_at_once(tap);
                let mut channel = 0;
                while channel < self.padded {
                    // SAFETY: rows and taps are the walk's; `channel` plus the one or two vectors is
                    // within `padded`; the rest is the caller's.
                    unsafe {
                        if channel + 2 * V::LANES <= self.padded {
                            self.block::<V, 2, TWO>(&rows, tap, 1, channel, dw);
                            if taps == 2 {
                                self.block::<V, 2, TWO>(&rows, tap + 1, 1, channel, dw);
                            }
                            channel += 2 * V::LANES;
                        } else {
                            self.block::<V, 1, ONE>(&rows, tap, taps, channel, dw);
                            channel += V::LANES;
                        }
                    }
                }
                tap += taps;
            }
        }
    }

    /// Short kernel rows are summed two at a time: a few sums alone would wait for each other.
    #[inline(always)]
    const fn taps_at_once(&self, tap: usize) -> usize {
        if self.walk.row <= SHORT && tap + 1 < self.walk.taps { 2 } else { 1 }
    }

    /// All values of one kernel row (or, if it is short, of two), for `N` vectors of channels.
    ///
    /// # Safety
    /// As [`Self::run`]; `rows` and `tap` to `tap + taps` are the walk's,
    /// `channel + N * V::LANES <= padded`.
    #[inline(always)]
    unsafe fn block<V: Vector, const N: usize, const MAX: usize>(
        &self,
        rows: &Range<usize>,
        tap: usize,
        taps: usize,
        channel: usize,
        dw: &mut [f32],
    ) {
        let (mut value, values) = (0, self.walk.row);
        if taps == 2 {
            // SAFETY: a tile of all values; the rest is the caller's.
            return unsafe { of_size!(values, SHORT, self.pair::<V; N>(rows, tap, channel, dw)) };
        }
        while value < values {
            let size = even(values - value, MAX);
            // SAFETY: the tile ends at or before `values`; the rest is the caller's.
            unsafe { of_size!(size, MAX, self.single::<V; N>(rows, tap, channel, value, dw)) };
            value += size;
        }
    }

    /// # Safety
    /// As [`Self::tile`].
    #[inline(always)]
    unsafe fn single<V: Vector, const N: usize, const J: usize>(
        &self,
        rows: &Range<usize>,
        tap: usize,
        channel: usize,
        value: usize,
        dw: &mut [f32],
    ) {
        // SAFETY: handed on to the caller.
        unsafe { self.tile::<V, N, J, 1>(rows, tap, channel, value, dw) }
    }

    /// # Safety
    /// As [`Self::tile`].
    #[inline(always)]
    unsafe fn pair<V: Vector, const N: usize, const J: usize>(
        &self,
        rows: &Range<usize>,
        tap: usize,
        channel: usize,
        dw: &mut [f32],
    ) {
        // SAFETY: handed on to the caller.
        unsafe { self.tile::<V, N, J, 2>(rows, tap, channel, 0, dw) }
    }

    /// `J` values from `value`, of `T` kernel rows from `tap`.
    ///
    /// # Safety
    /// As [`Self::block`]; `value + J <= row`, `tap + T <= taps`.
    #[inline(always)]
    unsafe fn tile<V: Vector, const N: usize, const J: usize, const T: usize>(
        &self,
        rows: &Range<usize>,
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
            let at = |t: usize, j: usize, n: usize| (t * walk.row + j) * self.padded + n * V::LANES;
            let mut sums = [[[V::splat(0.0); N]; J]; T];
            for t in 0..T {
                each::<N, J>(|j, n| sums[t][j][n] = V::load(dw.add(at(t, j, n))));
            }
            for row in rows.clone() {
                let mut image =
                    self.image.as_ptr().add(row * walk.row_step + tap * walk.image_stride + value);
                let mut dy = self.dy.as_ptr().add(row * walk.columns * self.padded + channel);
                for _ in 0..walk.columns {
                    let mut slopes = [V::splat(0.0); N];
                    for n in 0..N {
                        slopes[n] = V::load(dy.add(n * V::LANES));
                    }
                    for t in 0..T {
                        for j in 0..J {
                            let x = V::splat(*image.add(t * walk.image_stride + j));
                            for n in 0..N {
                                sums[t][j][n] = sums[t][j][n].plus_product(x, slopes[n]);
                            }
                        }
                    }
                    image = image.wrapping_add(walk.column_step);
                    dy = dy.wrapping_add(self.padded);
                }
            }
            for t in 0..T {
                each::<N, J>(|j, n| sums[t][j][n].store(dw.add(at(t, j, n))));
            }
        }
    }
}

/// Kernel rows of no more values than this are summed in pairs.
const SHORT: usize = 5;
