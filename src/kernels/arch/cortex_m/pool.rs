//! Pooling, four channels a word.

use super::ops::{max8, sxtab16, sxtab16_odd};
use super::{axis, each_image};
use crate::artifact::Clamp;
use crate::kernels::Conv;
use crate::number::requantize;

/// The input under one window: its first element, rows and columns, and the steps between them, in values.
#[derive(Debug, Clone, Copy)]
struct Taps {
    start: usize,
    rows: usize,
    columns: usize,
    row_step: usize,
    column_step: usize,
}

/// Calls `each(input, taps, output values)` for every output pixel.
#[inline(never)]
fn windows(conv: &Conv<'_>, y: &mut [i8], each: &mut dyn FnMut(&[i8], &Taps, &mut [i8])) {
    let Conv { x, y: to, window, .. } = conv;
    let (width, channels) = (usize::from(x.width), usize::from(x.channels).max(1));
    let [dilation_h, dilation_w] = window.dilation.map(usize::from);
    let _ = each_image(conv, y, &mut |input, y| {
        for row in 0..usize::from(to.height) {
            let (top, row_lo, row_hi) = axis(window, 0, row, x.height.into());
            let top = top.wrapping_add_unsigned(row_lo * dilation_h) as usize;
            for column in 0..usize::from(to.width) {
                let (left, lo, hi) = axis(window, 1, column, width);
                let left = left.wrapping_add_unsigned(lo * dilation_w) as usize;
                let taps = Taps {
                    start: (top * width + left) * channels,
                    rows: row_hi.saturating_sub(row_lo),
                    columns: hi.saturating_sub(lo),
                    row_step: dilation_h * width * channels,
                    column_step: dilation_w * channels,
                };
                let at = (row * usize::from(to.width) + column) * channels;
                each(input, &taps, y.get_mut(at..at + channels)?);
            }
        }
        Some(())
    });
}

impl Taps {
    /// Calls `each` with the four values at `channel` of every element under the window.
    #[inline(always)]
    fn words(&self, input: &[i8], channel: usize, mut each: impl FnMut(u32)) {
        for row in 0..self.rows {
            let mut at = self.start + row * self.row_step + channel;
            for _ in 0..self.columns {
                let Some(x) = input.get(at..).and_then(|x| x.first_chunk::<4>()) else { return };
                each(u32::from_ne_bytes(x.map(|x| x as u8)));
                at += self.column_step;
            }
        }
    }

    /// Calls `each` with one channel's value of every element under the window.
    #[inline(always)]
    fn values(&self, input: &[i8], channel: usize, mut each: impl FnMut(i8)) {
        for row in 0..self.rows {
            let mut at = self.start + row * self.row_step + channel;
            for _ in 0..self.columns {
                let Some(&x) = input.get(at) else { return };
                each(x);
                at += self.column_step;
            }
        }
    }
}

/// See [`Kernels::max_pool`](crate::kernels::Kernels).
pub(super) fn max(conv: &Conv<'_>, y: &mut [i8]) {
    windows(conv, y, &mut |input, taps, y| {
        let (words, rest) = y.as_chunks_mut::<4>();
        let tail = words.len() * 4;
        for (index, y) in words.iter_mut().enumerate() {
            let mut max = 0x8080_8080;
            taps.words(input, index * 4, |x| max = max8(max, x));
            *y = max.to_ne_bytes().map(|x| x as i8);
        }
        for (index, y) in rest.iter_mut().enumerate() {
            *y = i8::MIN;
            taps.values(input, tail + index, |x| *y = x.max(*y));
        }
    });
}

/// Sums of i8 that fit an i16: 256 times -128 is the least.
const SHORT: u32 = 256;

/// Sums of four channels, not centred.
#[inline(never)]
fn sums(taps: &Taps, input: &[i8], channel: usize) -> [i32; 4] {
    let (mut even, mut odd, mut left) = (0, 0, SHORT);
    let mut total = [0; 4];
    let mut flush = |even: &mut u32, odd: &mut u32| {
        for (total, sum) in total.iter_mut().zip([*even, *odd, *even >> 16, *odd >> 16]) {
            *total += i32::from(sum as i16);
        }
        (*even, *odd) = (0, 0);
    };
    taps.words(input, channel, |x| {
        (even, odd, left) = (sxtab16(even, x), sxtab16_odd(odd, x), left - 1);
        if left == 0 {
            flush(&mut even, &mut odd);
            left = SHORT;
        }
    });
    flush(&mut even, &mut odd);
    total
}

/// See [`Kernels::avg_pool`](crate::kernels::Kernels).
pub(super) fn average(conv: &Conv<'_>, count_padding: bool, clamp: Clamp, y: &mut [i8]) {
    let zero_point = i32::from(conv.x.zero_point);
    windows(conv, y, &mut |input, taps, y| {
        let inside = taps.rows * taps.columns;
        let n = if count_padding { conv.window.area() } else { inside as u32 };
        let m = conv.x.scale / (n as f32 * conv.y.scale);
        let mean = |sum: i32| requantize(sum - inside as i32 * zero_point, m, conv.y.zero_point, clamp);
        let (words, rest) = y.as_chunks_mut::<4>();
        let tail = words.len() * 4;
        for (index, y) in words.iter_mut().enumerate() {
            for (y, sum) in y.iter_mut().zip(sums(taps, input, index * 4)) {
                *y = mean(sum);
            }
        }
        for (index, y) in rest.iter_mut().enumerate() {
            let mut sum = 0;
            taps.values(input, tail + index, |x| sum += i32::from(x));
            *y = mean(sum);
        }
    });
}
