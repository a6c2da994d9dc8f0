//! Maximum and mean over windows.

use crate::artifact::{Clamp, Window};
use crate::kernels::Conv;
use crate::number;
use core::ops::Range;

/// Positions on one axis of the input that the window at `at` covers; padding left out.
fn covered(
    window: &Window,
    axis: usize,
    at: usize,
    size: u16,
) -> impl Iterator<Item = usize> + Clone + use<> {
    let stride = i64::from(window.stride[axis]);
    let start = at as i64 * stride - i64::from(window.pad[axis]);
    let dilation = i64::from(window.dilation[axis]);
    let size = i64::from(size);
    let lo = if start < 0 { (-start + dilation - 1) / dilation } else { 0 };
    let hi = if start < size { (size - start + dilation - 1) / dilation } else { 0 };
    let kernel = i64::from(window.kernel[axis]);
    (lo.min(kernel)..hi.min(kernel)).map(move |k| (start + k * dilation) as usize)
}

/// Calls `each(values of the output pixel, input positions, their number)` for every output pixel in
/// order; an input position is the range of its channels.
#[inline(always)]
fn windows(
    conv: &Conv<'_>,
    y: &mut [i8],
    mut each: impl FnMut(&[i8], &mut [i8], &mut dyn Iterator<Item = Range<usize>>, usize),
) {
    let Conv { x, y: shape, window, .. } = conv;
    let (width, channels) = (usize::from(x.width), usize::from(x.channels));
    let images = y.chunks_exact_mut((shape.len() as usize).max(1));
    for (image, out) in conv.each_image().zip(images) {
        for (pixel, out) in out.chunks_exact_mut(channels).enumerate() {
            let rows = covered(window, 0, pixel / usize::from(shape.width), x.height);
            let columns = covered(window, 1, pixel % usize::from(shape.width), x.width);
            let count = rows.clone().count() * columns.clone().count();
            let mut taps = rows.flat_map(|row| columns.clone().map(move |column| row * width + column));
            let mut taps = taps.by_ref().map(|at| at * channels..(at + 1) * channels);
            each(image.input, out, &mut taps, count);
        }
    }
}

/// See [`Kernels::max_pool`](crate::kernels::Kernels).
#[inline(always)]
pub(crate) fn max_pool(conv: &Conv<'_>, y: &mut [i8]) {
    windows(conv, y, |input, out, taps, _| {
        out.fill(i8::MIN);
        for tap in taps {
            out.iter_mut().zip(&input[tap]).for_each(|(out, &x)| *out = (*out).max(x));
        }
    });
}

/// Channels that are summed at a time.
const RUN: usize = 32;

/// See [`Kernels::avg_pool`](crate::kernels::Kernels).
#[inline(always)]
pub(crate) fn avg_pool(conv: &Conv<'_>, count_padding: bool, clamp: Clamp, y: &mut [i8]) {
    let Conv { x, y: to, window, .. } = *conv;
    let zero_point = i32::from(x.zero_point);
    let channels = usize::from(x.channels);
    for first in (0..channels).step_by(RUN) {
        let run = first..(first + RUN).min(channels);
        windows(conv, y, |input, out, taps, inside| {
            let mut sums = [0_i32; RUN];
            for tap in taps {
                let values = &input[tap][run.clone()];
                sums.iter_mut().zip(values).for_each(|(sum, &x)| *sum += i32::from(x) - zero_point);
            }
            let n = if count_padding { window.area() } else { inside as u32 };
            let m = x.scale / (n as f32 * to.scale);
            for (out, sum) in out[run.clone()].iter_mut().zip(sums) {
                *out = number::requantize(sum, m, to.zero_point, clamp);
            }
        });
    }
}
