//! Depthwise convolutions: sixteen channels in registers, tap by tap.
#![allow(unsafe_code)]

use crate::kernels::Conv;
use crate::kernels::reference::{self, axis};
use core::arch::aarch64::{
    int32x4_t, vdup_n_s8, vdupq_n_s32, vget_low_s16, vld1_s8, vmlal_high_s16, vmlal_s16, vmovl_s8, vst1q_s32,
    vsubl_s8,
};

/// Channels at a time.
const RUN: usize = 16;

/// A way over the outputs.
pub(super) struct Sweep<'a>(pub(super) &'a Conv<'a>);

/// Adds `(x - zero_point) * w` of eight channels.
#[inline(always)]
fn add(acc: &mut [int32x4_t; 2], x: &[i8; 8], w: &[i8; 8], zero_point: i8) {
    // SAFETY: reads the eight bytes of each array; NEON is part of this target.
    unsafe {
        let x = vsubl_s8(vld1_s8(x.as_ptr()), vdup_n_s8(zero_point));
        let w = vmovl_s8(vld1_s8(w.as_ptr()));
        acc[0] = vmlal_s16(acc[0], vget_low_s16(x), vget_low_s16(w));
        acc[1] = vmlal_high_s16(acc[1], x, w);
    }
}

/// The rows and columns of the input under one window, tap by tap: `each(input index, weight index)`.
#[inline(always)]
fn taps(conv: &Conv<'_>, row: usize, column: usize, mut each: impl FnMut(usize, usize)) {
    let Conv { x, window, .. } = conv;
    let (width, channels) = (usize::from(x.width), usize::from(x.channels));
    let (top, row_lo, row_hi) = axis(window, 0, row, x.height.into());
    let (left, lo, hi) = axis(window, 1, column, width);
    let [dilation_h, dilation_w] = window.dilation.map(usize::from);
    for ky in row_lo..row_hi {
        let line = top.wrapping_add_unsigned(ky * dilation_h) as usize * width;
        for kx in lo..hi {
            let at = line + left.wrapping_add_unsigned(kx * dilation_w) as usize;
            each(at * channels, (ky * usize::from(window.kernel[1]) + kx) * channels);
        }
    }
}

impl reference::Sweep for Sweep<'_> {
    #[inline(always)]
    fn accumulate<const N: usize>(
        &mut self,
        weights: [&[i8]; N],
        mut sink: impl FnMut(usize, usize, [&[i32]; N]),
    ) {
        let Conv { x, y, .. } = *self.0;
        let channels = usize::from(x.channels);
        let (height, width) = (usize::from(y.height), usize::from(y.width));
        for (image, conv) in self.0.each_image().enumerate() {
            for pixel in 0..height * width {
                for first in (0..channels).step_by(RUN) {
                    let run = RUN.min(channels - first);
                    let index = (image * height * width + pixel) * channels + first;
                    let mut sums = [[0_i32; RUN]; N];
                    for (sums, weights) in sums.iter_mut().zip(weights) {
                        window(&conv, [pixel / width, pixel % width], first, run, weights, sums);
                    }
                    sink(index, first, sums.each_ref().map(|sums| &sums[..run]));
                }
            }
        }
    }
}

/// Sums of one window and up to [`RUN`] channels.
#[inline(always)]
fn window(conv: &Conv<'_>, at: [usize; 2], first: usize, run: usize, weights: &[i8], sums: &mut [i32; RUN]) {
    let zero_point = conv.x.zero_point;
    if run < RUN {
        taps(conv, at[0], at[1], |x, w| {
            let (x, w) = (&conv.input[x + first..x + first + run], &weights[w + first..w + first + run]);
            for ((sum, &x), &w) in sums.iter_mut().zip(x).zip(w) {
                *sum = sum.wrapping_add((i32::from(x) - i32::from(zero_point)) * i32::from(w));
            }
        });
        return;
    }
    // SAFETY: NEON is part of this target.
    let mut acc = unsafe { [[vdupq_n_s32(0); 2]; 2] };
    taps(conv, at[0], at[1], |x, w| {
        let x = conv.input[x + first..x + first + RUN].as_chunks::<8>().0;
        let w = weights[w + first..w + first + RUN].as_chunks::<8>().0;
        for ((acc, x), w) in acc.iter_mut().zip(x).zip(w) {
            add(acc, x, w, zero_point);
        }
    });
    for (to, &acc) in sums.as_chunks_mut::<4>().0.iter_mut().zip(acc.as_flattened()) {
        // SAFETY: writes the four values of the array.
        unsafe { vst1q_s32(to.as_mut_ptr(), acc) };
    }
}
