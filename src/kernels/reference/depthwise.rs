//! Depthwise convolution: a run of channels at a time, tap by tap.

use super::{RUN, axis};
use crate::kernels::Conv;

/// See the module.
pub(super) struct Sweep<'a>(pub(super) &'a Conv<'a>);

impl super::Sweep for Sweep<'_> {
    #[inline(always)]
    fn accumulate<const N: usize>(
        &mut self,
        weights: [&[i8]; N],
        mut sink: impl FnMut(usize, usize, [&[i32]; N]),
    ) {
        let values = self.0.y.len() as usize;
        for (image, conv) in self.0.each_image().enumerate() {
            one_image(&conv, weights, |index, channel, acc| sink(image * values + index, channel, acc));
        }
    }
}

#[inline(always)]
fn one_image<const N: usize>(
    conv: &Conv<'_>,
    weights: [&[i8]; N],
    mut sink: impl FnMut(usize, usize, [&[i32]; N]),
) {
    let Conv { input, x, y, window, .. } = conv;
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
