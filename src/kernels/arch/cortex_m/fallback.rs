//! Any convolution, value by value: for the shapes that bands do not serve (other depthwise windows than
//! 3x3, dilated lines of an odd number of channels, windows larger than the scratch). Small before fast.

use super::axis;
use super::finish::{mean_filter, put};
use crate::kernels::{Conv, Filter, Output};

/// A convolution of either kind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape<'a> {
    pub(super) conv: Conv<'a>,
    pub(super) depthwise: bool,
}

impl Shape<'_> {
    /// `sum (x - zero_point) * w` of one output value; `row` and `column` say where its window stands.
    #[inline(never)]
    fn sum(&self, weights: &[i8], [row, column]: [usize; 2], channel: usize) -> i32 {
        let Conv { input, x, window, .. } = &self.conv;
        let (width, channels) = (usize::from(x.width), usize::from(x.channels));
        let (top, row_lo, row_hi) = axis(window, 0, row, x.height.into());
        let (left, lo, hi) = axis(window, 1, column, width);
        let [dilation_h, dilation_w] = window.dilation.map(usize::from);
        let [kernel_h, kernel_w] = window.kernel.map(usize::from);
        let first = if self.depthwise { 0 } else { channel * kernel_h * kernel_w };
        let mut sum = 0_i32;
        for ky in row_lo..row_hi {
            let line = top.wrapping_add_unsigned(ky * dilation_h) as usize * width;
            for kx in lo..hi {
                let at = (line + left.wrapping_add_unsigned(kx * dilation_w) as usize) * channels;
                let tap = (first + ky * kernel_w + kx) * channels;
                let (start, count) = if self.depthwise { (channel, 1) } else { (0, channels) };
                let values = input.get(at + start..).unwrap_or_default();
                let weights = weights.get(tap + start..).unwrap_or_default();
                for (&x, &w) in values.iter().zip(weights).take(count) {
                    let x = i32::from(x) - i32::from(self.conv.x.zero_point);
                    sum = sum.wrapping_add(x * i32::from(w));
                }
            }
        }
        sum
    }

    /// Every output of every image.
    #[cold]
    #[inline(never)]
    pub(super) fn run(&self, filter: &Filter<'_>, output: &mut Output<'_>) {
        let [x, y] = [self.conv.x, self.conv.y];
        let (len, mean) = ((x.len() as usize).max(1), mean_filter(output));
        let mut index = 0;
        for image in 0..self.conv.input.len().checked_div(len).unwrap_or(0) {
            let Some(input) = self.conv.input.get(image * len..(image + 1) * len) else { return };
            let shape = Self { conv: Conv { input, ..self.conv }, ..*self };
            for row in 0..usize::from(y.height) {
                for column in 0..usize::from(y.width) {
                    for channel in 0..usize::from(y.channels) {
                        let sum = |filter: &Filter<'_>| shape.sum(filter.values, [row, column], channel);
                        let sums = [sum(filter), mean.as_ref().map_or(0, sum)];
                        if put(filter, output, index, channel, sums).is_none() {
                            return;
                        }
                        index += 1;
                    }
                }
            }
        }
    }
}
