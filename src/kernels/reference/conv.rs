//! Convolution with two tricks:
//! 1. im2col: a pixel's window is gathered once, as `x - zero_point` in i16, so that each channel is
//!    one dot product of i16 with i8, which compilers turn into multiply-add instructions.
//! 2. a short window (few input channels, as in first layers) leaves such a dot product mostly tail:
//!    16 pixels are gathered side by side instead, and each weight meets all of them at once.

use super::{RUN, axis};
use crate::artifact::Layer;
use crate::kernels::Conv;

/// Pixels side by side where windows are short.
const PIXELS: usize = 16;

/// Longest window, in values, that is gathered [`PIXELS`] pixels at a time.
const SHORT_PATCH: usize = 64;

/// Number of `i16` of scratch.
pub(crate) fn scratch_values(layer: &Layer) -> usize {
    match layer {
        Layer::Conv2d { input, window, .. } => {
            let patch = (window.area() as usize).saturating_mul(usize::from(input.channels));
            if patch <= SHORT_PATCH { patch * PIXELS } else { patch }
        }
        _ => 0,
    }
}

/// See the module.
pub(super) struct Sweep<'a> {
    pub(super) conv: &'a Conv<'a>,
    pub(super) scratch: &'a mut [i16],
}

impl super::Sweep for Sweep<'_> {
    #[inline(always)]
    fn accumulate<const N: usize>(
        &mut self,
        weights: [&[i8]; N],
        mut sink: impl FnMut(usize, usize, [&[i32]; N]),
    ) {
        let patch = self.conv.window.area() as usize * usize::from(self.conv.x.channels);
        let values = self.conv.y.len() as usize;
        for (image, conv) in self.conv.each_image().enumerate() {
            let sink = |index, channel, acc: [&[i32]; N]| sink(image * values + index, channel, acc);
            if patch <= SHORT_PATCH {
                conv2d_short(&conv, patch, weights, self.scratch, sink);
            } else {
                conv2d_long(&conv, patch, weights, self.scratch, sink);
            }
        }
    }
}

/// `sum x * w`; the artifact's check proves that no sum overflows.
#[inline(always)]
fn dot(x: &[i16], w: &[i8]) -> i32 {
    x.iter().zip(w).fold(0_i32, |sum, (&x, &w)| sum.wrapping_add(i32::from(x) * i32::from(w)))
}

/// Dot products of one weight row with 16 columns, `columns` being `[row.len(), PIXELS]`.
#[inline(always)]
fn dot_columns(columns: &[i16], row: &[i8]) -> [i32; PIXELS] {
    let mut acc = [0_i32; PIXELS];
    for (x, &w) in columns.as_chunks::<PIXELS>().0.iter().zip(row) {
        for (acc, &x) in acc.iter_mut().zip(x) {
            *acc = acc.wrapping_add(i32::from(x) * i32::from(w));
        }
    }
    acc
}

/// Values copied at once where a line of the window is not longer.
const LINE: usize = 16;

/// Writes `x - zero_point` of as many values as `to` holds.
#[inline(always)]
fn centre(to: &mut [i16], from: &[i8], zero_point: i16) {
    to.iter_mut().zip(from).for_each(|(to, &x)| *to = i16::from(x) - zero_point);
}

/// Writes one pixel's window as `x - zero_point`, `[kernel_h, kernel_w, x.channels]`.
///
/// `patch` may be longer than the window; what lies behind it is not kept.
#[inline(always)]
fn gather(conv: &Conv<'_>, row: usize, column: usize, patch: &mut [i16]) {
    let Conv { input, x, window, .. } = conv;
    let (width, channels) = (usize::from(x.width), usize::from(x.channels));
    let zero_point = i16::from(x.zero_point);
    let (top, row_lo, row_hi) = axis(window, 0, row, x.height.into());
    let (left, lo, hi) = axis(window, 1, column, width);
    let [dilation_h, dilation_w] = window.dilation.map(usize::from);
    let line_len = usize::from(window.kernel[1]) * channels;
    let copied = hi.saturating_sub(lo) * channels;
    for ky in 0..usize::from(window.kernel[0]) {
        let (start, end) = (ky * line_len, (ky + 1) * line_len);
        if ky < row_lo || ky >= row_hi || copied == 0 {
            patch[start..end].fill(0);
            continue;
        }
        let line = (top + (ky * dilation_h) as isize) as usize * width;
        let at = |kx: usize| (line as isize + left + (kx * dilation_w) as isize) as usize * channels;
        if lo > 0 {
            patch[start..start + lo * channels].fill(0);
        }
        let start = start + lo * channels;
        if dilation_w == 1 {
            let from = at(lo);
            // A short line is copied with what follows it, which the next line or the zeros below
            // overwrite: one vector operation in place of a loop.
            match (patch.get_mut(start..start + LINE), input.get(from..from + LINE)) {
                (Some(to), Some(from)) if copied <= LINE => centre(to, from, zero_point),
                _ => centre(&mut patch[start..start + copied], &input[from..from + copied], zero_point),
            }
        } else {
            for (kx, to) in (lo..hi).zip(patch[start..end].chunks_exact_mut(channels)) {
                centre(to, &input[at(kx)..at(kx) + channels], zero_point);
            }
        }
        // Not where there is no padding: an empty fill is still a call.
        if start + copied < end {
            patch[start + copied..end].fill(0);
        }
    }
}

/// One pixel at a time.
#[inline(always)]
fn conv2d_long<const N: usize>(
    conv: &Conv<'_>,
    patch: usize,
    weights: [&[i8]; N],
    scratch: &mut [i16],
    mut sink: impl FnMut(usize, usize, [&[i32]; N]),
) {
    let (width, channels) = (usize::from(conv.y.width), usize::from(conv.y.channels));
    let Some(x) = scratch.get_mut(..patch) else { return };
    let mut acc = [[0_i32; RUN]; N];
    for pixel in 0..usize::from(conv.y.height) * width {
        gather(conv, pixel / width, pixel % width, x);
        for first in (0..channels).step_by(RUN) {
            let run = RUN.min(channels - first);
            for (acc, weights) in acc.iter_mut().zip(weights) {
                let rows = weights[first * patch..(first + run) * patch].chunks_exact(patch);
                acc.iter_mut().zip(rows).for_each(|(acc, row)| *acc = dot(x, row));
            }
            sink(pixel * channels + first, first, acc.each_ref().map(|acc| &acc[..run]));
        }
    }
}

/// [`PIXELS`] pixels at a time.
#[inline(always)]
fn conv2d_short<const N: usize>(
    conv: &Conv<'_>,
    patch: usize,
    weights: [&[i8]; N],
    scratch: &mut [i16],
    mut sink: impl FnMut(usize, usize, [&[i32]; N]),
) {
    let (width, channels) = (usize::from(conv.y.width), usize::from(conv.y.channels));
    let pixels = usize::from(conv.y.height) * width;
    let Some(columns) = scratch.get_mut(..patch * PIXELS) else { return };
    let mut one = [0_i16; SHORT_PATCH + LINE];
    let mut acc = [[[0_i32; RUN]; PIXELS]; N];
    for start in (0..pixels).step_by(PIXELS) {
        let block = PIXELS.min(pixels - start);
        for lane in 0..block {
            let pixel = start + lane;
            gather(conv, pixel / width, pixel % width, &mut one);
            let columns = columns.as_chunks_mut::<PIXELS>().0;
            columns.iter_mut().zip(&one).for_each(|(column, &x)| column[lane % PIXELS] = x);
        }
        for first in (0..channels).step_by(RUN) {
            let run = RUN.min(channels - first);
            for (acc, weights) in acc.iter_mut().zip(weights) {
                let rows = weights[first * patch..(first + run) * patch].chunks_exact(patch);
                for (channel, row) in rows.enumerate() {
                    let sums = dot_columns(columns, row);
                    acc.iter_mut().zip(sums).for_each(|(acc, sum)| acc[channel % RUN] = sum);
                }
            }
            for lane in 0..block {
                let index = (start + lane) * channels + first;
                sink(index, first, acc.each_ref().map(|acc| &acc[lane][..run]));
            }
        }
    }
}
