//! The specification of every kernel.
//!
//! ```text
//! acc[pixel, channel] = sum over the window and input channels of (x - zero_point) * w
//! ```
//! where a padded element counts as `x = zero_point`. Then two tricks:
//! 1. im2col: a pixel's window is gathered once, as `x - zero_point` in i16, so that each channel is
//!    one dot product of i16 with i8, which compilers turn into multiply-add instructions.
//! 2. a short window (few input channels, as in first layers) leaves such a dot product mostly tail:
//!    16 pixels are gathered side by side instead, and each weight meets all of them at once.

use super::Conv;
use crate::artifact::Window;

/// Output channels given to the sink at a time, at most.
pub const RUN: usize = 16;

/// Pixels side by side where windows are short.
pub const PIXELS: usize = 16;

/// Longest window, in values, that is gathered [`PIXELS`] pixels at a time.
pub const SHORT_PATCH: usize = 64;

/// `sum x * w`; the artifact's check proves that no sum overflows.
#[inline(always)]
fn dot(x: &[i16], w: &[i8]) -> i32 {
    x.iter().zip(w).fold(0_i32, |sum, (&x, &w)| sum.wrapping_add(i32::from(x) * i32::from(w)))
}

/// `sum (x - zero_point) * w` without a gathered copy of `x`.
#[inline(always)]
fn dot_i8(x: &[i8], zero_point: i16, w: &[i8]) -> i32 {
    x.iter()
        .zip(w)
        .fold(0_i32, |sum, (&x, &w)| sum.wrapping_add(i32::from(i16::from(x) - zero_point) * i32::from(w)))
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

/// First input element of a window and the window elements `lo..hi` that are no padding, on one axis.
#[inline(always)]
fn axis(window: &Window, axis: usize, at: usize, size: usize) -> (isize, usize, usize) {
    let dilation = isize::from_ne(window.dilation[axis]);
    let start = at as isize * isize::from_ne(window.stride[axis]) - isize::from_ne(window.pad[axis]);
    let kernel = usize::from(window.kernel[axis]);
    let before = |limit: isize| {
        // Number of window elements at positions below `limit`.
        let distance = limit - start;
        if distance <= 0 { 0 } else { ((distance + dilation - 1) / dilation) as usize }
    };
    (start, before(0).min(kernel), before(size as isize).min(kernel))
}

/// Lossless `u16` to `isize`; `From` is missing because `isize` may be 16 bits wide elsewhere.
trait FromNarrow {
    fn from_ne(value: u16) -> Self;
}

impl FromNarrow for isize {
    #[inline(always)]
    fn from_ne(value: u16) -> Self {
        value as Self
    }
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

/// Convolution; see [`super::Kernels::conv2d`].
#[inline(always)]
pub fn conv2d<const N: usize>(
    conv: &Conv<'_>,
    weights: [&[i8]; N],
    scratch: &mut [i16],
    sink: impl FnMut(usize, usize, [&[i32]; N]),
) {
    let patch = conv.window.area() as usize * usize::from(conv.x.channels);
    if patch <= SHORT_PATCH {
        conv2d_short(conv, patch, weights, scratch, sink);
    } else {
        conv2d_long(conv, patch, weights, scratch, sink);
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

/// Depthwise convolution; see [`super::Kernels::depthwise`].
#[inline(always)]
pub fn depthwise<const N: usize>(
    conv: &Conv<'_>,
    weights: [&[i8]; N],
    mut sink: impl FnMut(usize, usize, [&[i32]; N]),
) {
    let Conv { input, x, y, window } = conv;
    let (width, channels) = (usize::from(x.width), usize::from(x.channels));
    let zero_point = i16::from(x.zero_point);
    let kernel_w = usize::from(window.kernel[1]);
    let [dilation_h, dilation_w] = window.dilation.map(usize::from);
    for row in 0..usize::from(y.height) {
        let (top, row_lo, row_hi) = axis(window, 0, row, x.height.into());
        for column in 0..usize::from(y.width) {
            let (left, lo, hi) = axis(window, 1, column, width);
            let pixel = row * usize::from(y.width) + column;
            for first in (0..channels).step_by(RUN) {
                let run = RUN.min(channels - first);
                let mut acc = [[0_i32; RUN]; N];
                for ky in row_lo..row_hi {
                    let line = (top + (ky * dilation_h) as isize) as usize * width;
                    for kx in lo..hi {
                        let at =
                            (line as isize + left + (kx * dilation_w) as isize) as usize * channels + first;
                        let tap = (ky * kernel_w + kx) * channels + first;
                        let values = &input[at..at + run];
                        for (acc, weights) in acc.iter_mut().zip(weights) {
                            for ((acc, &x), &w) in acc.iter_mut().zip(values).zip(&weights[tap..tap + run]) {
                                *acc = acc.wrapping_add(i32::from(i16::from(x) - zero_point) * i32::from(w));
                            }
                        }
                    }
                }
                sink(pixel * channels + first, first, acc.each_ref().map(|acc| &acc[..run]));
            }
        }
    }
}

/// Dense layer; see [`super::Kernels::dense`].
#[inline(always)]
pub fn dense<const N: usize>(
    input: &[i8],
    zero_point: i8,
    outputs: usize,
    weights: [&[i8]; N],
    mut sink: impl FnMut(usize, usize, [&[i32]; N]),
) {
    let inputs = input.len();
    let mut acc = [[0_i32; RUN]; N];
    for first in (0..outputs).step_by(RUN) {
        let run = RUN.min(outputs - first);
        for (acc, weights) in acc.iter_mut().zip(weights) {
            let rows = weights[first * inputs..(first + run) * inputs].chunks_exact(inputs);
            acc.iter_mut().zip(rows).for_each(|(acc, row)| *acc = dot_i8(input, zero_point.into(), row));
        }
        sink(first, first, acc.each_ref().map(|acc| &acc[..run]));
    }
}
