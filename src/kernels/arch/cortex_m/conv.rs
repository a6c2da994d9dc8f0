//! Convolutions by bands: the input rows under a band of output pixels are expanded once, then each pair
//! of output channels meets all its pixels.
//!
//! ```text
//! for each band of output pixels:
//!     expand the input rows it reads, padding included
//!     [gather windows, where lines are no multiple of four values or dilated]
//!     for each pair of output channels: expand its weights; tile over the pixels
//! ```
#![allow(unsafe_code)]

use super::expand::{self, Lines, gather};
use super::plan::Plan;
use super::tile::{Job, UNIT_CODE, to_i8, to_i32};
use crate::kernels::Conv;

impl Plan {
    /// Expands the input under the band at `[row, column]`.
    #[inline(never)]
    fn expand(&self, input: &[i8], zero_point: i16, at: [usize; 2], rows: &mut [i16]) {
        let (Some(height), Some(pitch)) = (self.span(0, self.band[0]), self.row_values()) else { return };
        let start = [
            (at[0] * self.stride[0]) as isize - self.pad[0] as isize,
            (at[1] * self.stride[1]) as isize - self.pad[1] as isize,
        ];
        for index in 0..height {
            let Some(to) = rows.get_mut(index * pitch..(index + 1) * pitch) else { return };
            let row = start[0] + index as isize;
            let left = (start[1].min(0).unsigned_abs() * self.channels).min(pitch);
            let first = start[1].max(0) as usize;
            let inside = (self.x[1].saturating_sub(first) * self.channels).min(pitch - left);
            let from = (row as usize).wrapping_mul(self.x[1]).wrapping_add(first).wrapping_mul(self.channels);
            let outside = row < 0 || row as usize >= self.x[0] || inside == 0;
            let (Some(from), false) = (input.get(from..from.wrapping_add(inside)), outside) else {
                to.fill(0);
                continue;
            };
            let Some((before, rest)) = to.split_at_mut_checked(left) else { return };
            let Some((values, behind)) = rest.split_at_mut_checked(inside) else { return };
            before.fill(0);
            behind.fill(0);
            if self.direct {
                expand::inputs::<false>(values, from, zero_point);
            } else {
                expand::inputs::<true>(values, from, zero_point);
            }
        }
    }

    /// Copies each window of the band in one piece.
    #[inline(never)]
    fn gather(&self, rows: &[i16], patches: &mut [i16]) -> Option<()> {
        let pitch = self.row_values()?;
        // A dilated line is as many lines of one tap.
        let dense = self.dilation[1] == 1;
        let (line, taps) =
            if dense { (self.kernel[1] * self.channels, 1) } else { (self.channels, self.kernel[1]) };
        let words = line.div_ceil(2);
        let patch = self.units * 4;
        for row in 0..self.band[0] {
            for tap in 0..taps {
                let first = row * self.stride[0] * pitch + tap * self.dilation[1] * self.channels;
                let line_step = self.dilation[0] * pitch;
                let pixel_step = self.stride[1] * self.channels;
                let last = first + (self.kernel[0] - 1) * line_step + (self.band[1] - 1) * pixel_step;
                let from = rows.get(first..last + words * 2)?;
                let to = row * self.band[1] * patch + tap * line;
                let next = (self.kernel[0] - 1) * taps * line + (self.band[1] - 1) * patch;
                let to = patches.get_mut(to..to + next + words * 2)?;
                let lines = Lines {
                    to: to.as_mut_ptr(),
                    from: from.as_ptr(),
                    pixels: self.band[1],
                    pixel_step: pixel_step * 2,
                    lines: self.kernel[0],
                    line_step: line_step * 2,
                    eights: words.div_ceil(8),
                    entry: (words.wrapping_neg() % 8) * 8,
                    back: ((taps - 1) * line * 2) as isize - (line % 2 * 2) as isize,
                    skip: (patch - self.kernel[0] * taps * line) * 2,
                };
                // SAFETY: the two slices just taken end with the last word that is read and written.
                unsafe { gather(&raw const lines) };
            }
        }
        Some(())
    }
}

/// Where results go: `[pixels, channels]`.
#[derive(Debug)]
pub(super) enum Out<'a> {
    /// Requantized over the whole range of i8.
    Values { y: &'a mut [i8], bias: &'a [i32], multiplier: &'a [f32], zero_point: i8 },
    /// Accumulators, on top of `bias`.
    Sums { acc: &'a mut [i32], bias: &'a [i32] },
    /// Accumulators on top of `bias`, which may be empty, of one band and two channels: `[pixels, 2]`.
    Band { acc: &'a mut [i32], bias: &'a [i32] },
}

/// Neighbouring output pixels.
#[derive(Debug, Clone, Copy)]
struct Pixels {
    /// The first one, in the image.
    first: usize,
    /// The first one, in the band.
    in_band: usize,
    count: usize,
}

/// The output channels at work: one or two from `first` on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair {
    pub(super) first: usize,
    /// Channels of the layer.
    pub(super) of: usize,
}

impl Pair {
    pub(super) fn len(self) -> usize {
        self.of.saturating_sub(self.first).min(2)
    }

    fn second(self) -> usize {
        (self.first + 1).min(self.of.saturating_sub(1))
    }
}

type Kernel = unsafe extern "C" fn(*const Job);

impl Out<'_> {
    /// Completes a job for these pixels and channels; `None` if they are not there.
    fn aim(&mut self, job: &mut Job, pixels: Pixels, pair: Pair) -> Option<Kernel> {
        let two = |values: &[i32]| [pair.first, pair.second()].map(|c| values.get(c).copied().unwrap_or(0));
        let range = pixels.first * pair.of..(pixels.first + pixels.count) * pair.of;
        let second = pair.len().checked_sub(1)?;
        match self {
            Self::Values { y, bias, multiplier, zero_point } => {
                job.out = y.get_mut(range)?.get_mut(pair.first..)?.as_mut_ptr().cast();
                job.bias = two(bias);
                job.multiplier = [*multiplier.get(pair.first)?, *multiplier.get(pair.second())?];
                job.zero_point = (*zero_point).into();
                (job.out_pixel, job.out_channel) = (pair.of, second);
                return Some(to_i8);
            }
            Self::Sums { acc, bias } => {
                job.out = acc.get_mut(range)?.get_mut(pair.first..)?.as_mut_ptr().cast();
                job.bias = two(bias);
                (job.out_pixel, job.out_channel) = (pair.of * 4, second * 4);
            }
            Self::Band { acc, bias } => {
                let range = pixels.in_band * 2..(pixels.in_band + pixels.count) * 2;
                job.out = acc.get_mut(range)?.as_mut_ptr().cast();
                job.bias = two(bias);
                (job.out_pixel, job.out_channel) = (8, second * 4);
            }
        }
        Some(to_i32)
    }

    /// Runs windows that start `steps[0]` values apart in `x`, their segments `steps[1]`.
    fn run(
        &mut self,
        plan: &Plan,
        x: &[i16],
        steps: [usize; 2],
        w: &[i16],
        pixels: Pixels,
        pair: Pair,
    ) -> Option<()> {
        let [pixel_step, segment_step] = steps;
        let more = pixels.count.checked_sub(1)?;
        let last = more * pixel_step + (plan.segments - 1) * segment_step + plan.units * 4;
        let x = x.get(..last)?;
        let w = w.get(..plan.weights_values())?;
        let mut job = Job {
            x: x.as_ptr(),
            pixel_step: pixel_step * 2,
            w: w.as_ptr(),
            pairs: pixels.count / 2,
            fours: plan.units.div_ceil(4),
            entry: (plan.units.wrapping_neg() % 4) * UNIT_CODE,
            skip: segment_step.wrapping_sub(plan.units * 4).wrapping_mul(2),
            w_end: w.as_ptr_range().end,
            out: core::ptr::null_mut(),
            out_pixel: 0,
            out_channel: 0,
            unused: 0,
            bias: [0; 2],
            multiplier: [0.0; 2],
            zero_point: 0,
        };
        let tile = self.aim(&mut job, pixels, pair)?;
        if job.pairs > 0 {
            // SAFETY: `x[..last]` holds the last value that the last pixel reads, and the slice taken in
            // `aim` the last output; both were cut from slices just above. 4-byte alignment: `conv2d`
            // aligns the scratch, whose parts have even lengths, and all steps are even.
            unsafe { tile(&raw const job) };
        }
        if pixels.count % 2 == 1 {
            job.x = job.x.wrapping_add(more * pixel_step);
            job.out = job.out.wrapping_add(more * job.out_pixel);
            (job.pairs, job.pixel_step, job.out_pixel) = (1, 0, 0);
            // SAFETY: as above; both pixels of the pair are the last one.
            unsafe { tile(&raw const job) };
        }
        Some(())
    }
}

/// A band of output pixels whose input is expanded.
#[derive(Debug)]
pub(super) struct Expanded<'a> {
    plan: &'a Plan,
    /// Row and column of its first pixel.
    at: [usize; 2],
    rows: &'a [i16],
    patches: &'a [i16],
    w: &'a mut [i16],
}

impl Expanded<'_> {
    /// One pair of channels, weights `[channels, kernel_h, kernel_w, x.channels]`.
    pub(super) fn run(&mut self, weights: &[i8], pair: Pair, out: &mut Out<'_>) -> Option<()> {
        let plan = self.plan;
        let row = plan.kernel[0] * plan.kernel[1] * plan.channels;
        let [a, b] = [pair.first, pair.second()].map(|c| weights.get(c * row..(c + 1) * row));
        if plan.direct {
            expand::weights(self.w, a?, b?);
        } else {
            expand::weights_natural(self.w, a?, b?);
        }
        let [height, width] = plan.band;
        if !plan.direct {
            let steps = [plan.units * 4, 0];
            // A band of several rows is as wide as the image.
            let pixels = Pixels { first: self.pixel(0), in_band: 0, count: height * width };
            return out.run(plan, self.patches, steps, self.w, pixels, pair);
        }
        let pitch = plan.row_values()?;
        let steps = [plan.stride[1] * plan.channels, plan.dilation[0] * pitch];
        for row in 0..height {
            let x = self.rows.get(row * plan.stride[0] * pitch..)?;
            let pixels = Pixels { first: self.pixel(row), in_band: row * width, count: width };
            out.run(plan, x, steps, self.w, pixels, pair)?;
        }
        Some(())
    }

    /// First pixel of a row of the band, in the image.
    fn pixel(&self, row: usize) -> usize {
        (self.at[0] + row) * self.plan.y[1] + self.at[1]
    }

    /// Pixels of the band in order, in the image.
    pub(super) fn pixels(&self) -> impl Iterator<Item = usize> {
        let [height, width] = self.plan.band;
        (0..height).flat_map(move |row| (0..width).map(move |column| self.pixel(row) + column))
    }
}

/// Calls `each` for every band of one image, `input`, and every pair of channels. `None` if this module does not
/// run the layer, or a slice is too short.
#[inline(never)]
pub(super) fn bands(
    conv: &Conv<'_>,
    input: &[i8],
    scratch: &mut [i16],
    each: &mut dyn FnMut(&mut Expanded<'_>, Pair) -> Option<()>,
) -> Option<()> {
    let mut plan = Plan::new(&conv.x, &conv.y, &conv.window)?;
    let misaligned = (scratch.as_ptr().addr() / 2) % 2;
    let (w, rest) = scratch.get_mut(misaligned..)?.split_at_mut_checked(plan.weights_values())?;
    let (rows, patches) = rest.split_at_mut_checked(plan.rows_values()?)?;
    let channels = usize::from(conv.y.channels);
    let [height, width] = plan.band;
    for row in (0..plan.y[0]).step_by(height.max(1)) {
        plan.band[0] = height.min(plan.y[0] - row);
        for column in (0..plan.y[1]).step_by(width.max(1)) {
            plan.band[1] = width.min(plan.y[1] - column);
            plan.expand(input, conv.x.zero_point.into(), [row, column], rows);
            if !plan.direct {
                plan.gather(rows, patches)?;
            }
            let mut expanded = Expanded { plan: &plan, at: [row, column], rows, patches, w };
            for first in (0..channels).step_by(2) {
                each(&mut expanded, Pair { first, of: channels })?;
            }
        }
    }
    Some(())
}

/// One image, `input`; `None` as [`bands`].
#[inline(never)]
pub(super) fn conv2d(
    conv: &Conv<'_>,
    input: &[i8],
    weights: &[i8],
    scratch: &mut [i16],
    mut out: Out<'_>,
) -> Option<()> {
    bands(conv, input, scratch, &mut |band, pair| band.run(weights, pair, &mut out))
}
