//! 3x3 depthwise convolutions by bands of four channels.
#![allow(unsafe_code)]

use super::expand::{self, Columns};
use super::ops::low_halves;
use super::plan::{self, COLUMNS, PLANES};
use super::plane::{Job, stride_1, stride_2};
use crate::kernels::Conv;

/// i16 values of one row of a band.
const PITCH: usize = COLUMNS * PLANES;

/// Bias, multipliers and zero point of the outputs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Requantize<'a> {
    pub(super) bias: &'a [i32],
    pub(super) multiplier: &'a [f32],
    pub(super) zero_point: i8,
}

/// A band of output pixels and four channels.
#[derive(Debug, Clone, Copy)]
struct Band {
    stride: usize,
    row: usize,
    column: usize,
    rows: usize,
    columns: usize,
    channel: usize,
}

impl Band {
    /// Expands the input under the band into four planes, `[rows, PLANES, COLUMNS]`.
    fn expand(&self, conv: &Conv<'_>, input: &[i8], planes: &mut [i16]) {
        let [height, width, channels] = [conv.x.height, conv.x.width, conv.x.channels].map(usize::from);
        let top = (self.row * self.stride) as isize - conv.window.pad[0] as isize;
        let left = (self.column * self.stride) as isize - conv.window.pad[1] as isize;
        let span = (self.columns - 1) * self.stride + 3;
        let before = left.min(0).unsigned_abs().min(span);
        let first = left.max(0) as usize;
        let inside = width.saturating_sub(first).min(span - before);
        let zero = u32::from(i16::from(conv.x.zero_point) as u16);
        let rows = (self.rows - 1) * self.stride + 3;
        for (index, to) in planes.as_chunks_mut::<PITCH>().0.iter_mut().take(rows).enumerate() {
            let row = top + index as isize;
            if row < 0 || row as usize >= height || inside == 0 {
                continue;
            }
            let from = (row as usize * width + first) * channels + self.channel;
            let (Some(from), Some(_)) = (
                input.get(from..from + (inside - 1) * channels + PLANES),
                to.get(before..before + (PLANES - 1) * COLUMNS + inside),
            ) else {
                return;
            };
            let columns = Columns {
                to: to.as_mut_ptr().wrapping_add(before),
                from: from.as_ptr(),
                step: channels,
                pairs: inside / 2,
                odd: inside % 2,
                zero: low_halves(zero, zero),
            };
            // SAFETY: the slice just taken holds the four channels of all columns; `to` is a row of
            // planes 64 bytes apart, in each of which that many columns from `before` on exist.
            unsafe { expand::planes(&raw const columns) };
        }
    }

    /// Runs one channel; `lane` is its plane.
    fn run(
        &self,
        conv: &Conv<'_>,
        lane: usize,
        planes: &[i16],
        weights: &[i8],
        to: &Requantize<'_>,
        y: &mut [i8],
    ) -> Option<()> {
        let [height, width, channels] = [conv.y.height, conv.y.width, conv.y.channels].map(usize::from);
        let channel = self.channel + lane;
        let taps: &[i8] = weights.get(channel..)?;
        let mut w = [[0; 2]; 3];
        for (ky, w) in w.iter_mut().enumerate() {
            let tap = |kx: usize| taps.get((ky * 3 + kx) * channels).map(|&w| w as i16 as u16 as u32);
            let [w0, w1, w2] = [tap(0)?, tap(1)?, tap(2)?];
            *w = [low_halves(w0, w1), low_halves(w1, w2)];
        }
        let bias = *to.bias.get(channel)?;
        let mut job = Job {
            x_skip: 0,
            out_skip: 0,
            pairs: 0,
            rows: 0,
            bias: [bias; 2],
            multiplier: *to.multiplier.get(channel)?,
            zero_point: to.zero_point.into(),
            x: core::ptr::null(),
            w,
            out: core::ptr::null_mut(),
            out_pixel: channels,
        };
        let mut block = |row: usize, column: usize, rows: usize, pairs: usize, single: bool| -> Option<()> {
            if rows == 0 || pairs == 0 {
                return Some(());
            }
            let start = row * self.stride * PITCH + lane * COLUMNS + column * self.stride;
            // The windows of the last pair end within its row, or in the next.
            let end = start + ((rows - 1) * self.stride + 2) * PITCH + (pairs * 2 - 1) * self.stride + 4;
            job.x = planes.get(start..end)?.as_ptr();
            let first = ((self.row + row) * width + self.column + column) * channels + channel;
            let last = first + ((rows - 1) * width + if single { 0 } else { pairs * 2 - 1 }) * channels;
            job.out = y.get_mut(first..=last)?.as_mut_ptr().cast();
            (job.rows, job.pairs) = (rows, pairs);
            job.x_skip = (self.stride * PITCH).wrapping_sub(pairs * 2 * self.stride).wrapping_mul(2);
            job.out_pixel = if single { 0 } else { channels };
            job.out_skip = width.wrapping_sub(pairs * 2).wrapping_mul(channels);
            let kernel = if self.stride == 1 { stride_1 } else { stride_2 };
            // SAFETY: the two slices just taken hold everything that is read and written. `planes` starts
            // at a multiple of 4 bytes, and `start` is even: `column` is even, or the stride is 2.
            unsafe { kernel(&raw const job) };
            Some(())
        };
        let pairs = self.columns.div_ceil(2);
        if self.columns.is_multiple_of(2) {
            return block(0, 0, self.rows, pairs, false);
        }
        // An odd row's last pair writes one value too many: to the next row's first, which comes later.
        let last = usize::from(self.row + self.rows == height);
        block(0, 0, self.rows - last, pairs, false)?;
        block(self.rows - 1, 0, last, pairs - 1, false)?;
        block(self.rows - 1, self.columns - 1, last, 1, true)
    }
}

/// The convolution of one image, `input`, over the whole range of i8; `None` if this module does not run it, or a
/// slice is too short.
#[inline(never)]
pub(super) fn depthwise(
    conv: &Conv<'_>,
    input: &[i8],
    weights: &[i8],
    scratch: &mut [i16],
    to: &Requantize<'_>,
    y: &mut [i8],
) -> Option<()> {
    let (stride, band_rows) = plan::depthwise(&conv.x, &conv.y, &conv.window)?;
    let [height, width, channels] = [conv.y.height, conv.y.width, conv.y.channels].map(usize::from);
    let misaligned = (scratch.as_ptr().addr() / 2) % 2;
    let planes = scratch.get_mut(misaligned..misaligned + ((band_rows - 1) * stride + 4) * PITCH)?;
    // As many as have their whole windows in a plane, and even.
    let widest = if stride == 1 { COLUMNS - 2 } else { (COLUMNS - 2) / 4 * 2 };
    let mut row = 0;
    while row < height {
        let rows = band_rows.min(height - row);
        // From the right: what an odd last column writes too much is the first column's.
        for column in (0..width.div_ceil(widest)).rev().map(|index| index * widest) {
            let columns = widest.min(width - column);
            // Padding is in the same place for all channels.
            planes.fill(0);
            for channel in (0..channels).step_by(PLANES) {
                let band = Band { stride, row, column, rows, columns, channel };
                band.expand(conv, input, planes);
                for lane in 0..PLANES {
                    band.run(conv, lane, planes, weights, to, y)?;
                }
            }
        }
        row += rows;
    }
    Some(())
}
