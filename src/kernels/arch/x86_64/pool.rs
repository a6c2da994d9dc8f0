//! Pooling: a run of channels at a time in registers.

use super::simd::{Rounding, Simd};
use crate::artifact::{Clamp, Tensor, Window};
use crate::kernels::Conv;
use crate::kernels::reference;

/// As [`reference::axis`], without its divisions where the window has no padding.
#[inline(always)]
fn axis(window: &Window, axis: usize, at: usize, size: usize) -> (isize, usize, usize) {
    let [kernel, stride, dilation, pad] =
        [window.kernel, window.stride, window.dilation, window.pad].map(|pair| usize::from(pair[axis]));
    match (at * stride).checked_sub(pad) {
        Some(start) if start + kernel.saturating_sub(1) * dilation < size => (start as isize, 0, kernel),
        _ => reference::axis(window, axis, at, size),
    }
}

/// Calls `each(input of the image, output pixel, first and last tap's row, of the window's column)`.
#[inline(always)]
fn pixels(conv: &Conv<'_>, y: &mut [i8], mut each: impl FnMut(&[i8], &mut [i8], Taps)) {
    let Conv { x, y: shape, window, .. } = conv;
    let channels = usize::from(x.channels);
    let [dilation_h, dilation_w] = window.dilation.map(usize::from);
    let images = y.chunks_exact_mut((shape.len() as usize).max(1));
    for (image, out) in conv.each_image().zip(images) {
        let rows = out.chunks_exact_mut(usize::from(shape.width) * channels);
        for (row, out) in rows.enumerate() {
            let (top, row_lo, row_hi) = axis(window, 0, row, x.height.into());
            for (column, out) in out.chunks_exact_mut(channels).enumerate() {
                let (left, lo, hi) = axis(window, 1, column, x.width.into());
                let taps = Taps {
                    // Not negative: the first real row and column of the window.
                    first: [
                        (top + (row_lo * dilation_h) as isize) as usize,
                        (left + (lo * dilation_w) as isize) as usize,
                    ],
                    count: [row_hi - row_lo, hi - lo],
                    step: [dilation_h, dilation_w],
                };
                each(image.input, out, taps);
            }
        }
    }
}

/// The real input pixels under a window.
#[derive(Clone, Copy)]
struct Taps {
    first: [usize; 2],
    count: [usize; 2],
    step: [usize; 2],
}

impl Taps {
    /// Calls `each` with the first value of each of them.
    #[inline(always)]
    fn each(self, x: &Tensor, mut each: impl FnMut(usize)) {
        let (width, channels) = (usize::from(x.width), usize::from(x.channels));
        for row in 0..self.count[0] {
            let line = (self.first[0] + row * self.step[0]) * width;
            for column in 0..self.count[1] {
                each((line + self.first[1] + column * self.step[1]) * channels);
            }
        }
    }
}

/// See [`reference::max_pool`](crate::kernels::reference::max_pool).
#[inline(always)]
pub(super) fn max_pool(conv: &Conv<'_>, y: &mut [i8]) {
    pixels(conv, y, |input, mut out, taps| {
        let mut channel = 0;
        while !out.is_empty() {
            let (now, rest) = out.split_at_mut(out.len().min(32));
            match now.len() {
                17.. => maximum::<32, 16>(conv, input, taps, channel, now),
                9.. => maximum::<16, 8>(conv, input, taps, channel, now),
                _ => maximum::<8, 4>(conv, input, taps, channel, now),
            }
            channel += now.len();
            out = rest;
        }
    });
}

/// At most `RUN` channels from `channel` on, in a register; `HALF` is half of them.
#[inline(always)]
fn maximum<const RUN: usize, const HALF: usize>(
    conv: &Conv<'_>,
    input: &[i8],
    taps: Taps,
    channel: usize,
    out: &mut [i8],
) {
    let mut best = [i8::MIN; RUN];
    taps.each(&conv.x, |at| {
        let values = &input[at + channel..];
        // What lies behind the channels is read with them, and not kept.
        match values.first_chunk::<RUN>() {
            Some(values) => best.iter_mut().zip(values).for_each(|(best, &x)| *best = (*best).max(x)),
            None => best.iter_mut().zip(values).for_each(|(best, &x)| *best = (*best).max(x)),
        }
    });
    // Two halves that overlap: a copy of any length would be a call.
    let behind = out.len().wrapping_sub(HALF);
    match (best.first_chunk::<HALF>(), best.get(behind..).and_then(<[i8]>::first_chunk::<HALF>)) {
        (Some(first), Some(last)) if behind <= HALF => {
            out[..HALF].copy_from_slice(first);
            out[behind..].copy_from_slice(last);
        }
        _ => out.iter_mut().zip(best).for_each(|(out, best)| *out = best),
    }
}

/// See [`reference::avg_pool`](crate::kernels::reference::avg_pool).
#[inline(always)]
pub(super) fn avg_pool<S: Simd>(s: S, conv: &Conv<'_>, count_padding: bool, clamp: Clamp, y: &mut [i8]) {
    let block = 4 * S::LANES;
    if !usize::from(conv.x.channels).is_multiple_of(block) {
        return reference::avg_pool(conv, count_padding, clamp, y);
    }
    let Conv { x, y: to, window, .. } = *conv;
    let rounding = Rounding { zero_point: to.zero_point, clamp };
    pixels(conv, y, |input, out, taps| {
        let inside = taps.count[0] * taps.count[1];
        let n = if count_padding { window.area() } else { inside as u32 };
        let multiplier = [x.scale / (n as f32 * to.scale); 64];
        let init = [-i32::from(x.zero_point) * inside as i32; 16];
        for (number, out) in out.chunks_exact_mut(block).enumerate() {
            let input = &input[number * block..];
            // Taps wait until there are four.
            let zeros = [0_u8; 64];
            let mut waiting = [zeros.as_ptr(); 4];
            let mut count = 0;
            // SAFETY: vectors have at most 16 lanes.
            let mut acc = [unsafe { s.load(init.as_ptr()) }; 4];
            taps.each(&x, |at| {
                waiting[count % 4] = input[at..at + block].as_ptr().cast();
                count += 1;
                if count % 4 == 0 {
                    // SAFETY: a block can be read at each, as sliced above.
                    acc = unsafe { s.add_bytes(acc, waiting) };
                    waiting = [zeros.as_ptr(); 4];
                }
            });
            // SAFETY: a block can be read at each, of the input or of the zeros; `out` is one block.
            unsafe {
                acc = s.add_bytes(acc, waiting);
                s.requantize(acc, multiplier.as_ptr(), rounding, out.as_mut_ptr(), block);
            }
        }
    });
}
