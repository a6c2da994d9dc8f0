//! Depthwise convolution: no matrix product in it, so plain loops over channels.
//!
//! Inside, the kernel has its taps first, `[kh * kw, channels]`, so that the innermost loop runs over
//! neighbouring channels of image and kernel alike.

use super::im2col::Geometry;
use super::types::chunk;
use crate::kernels::simd::vectorize;
use rayon::prelude::*;

pub(super) fn forward(
    geometry: &Geometry,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    y: &mut [f32],
    n: usize,
) {
    let (weight, size) = (taps_first(weight, geometry.output.channels), chunk(n));
    let zeros = vec![0.0; geometry.output.channels];
    let bias = bias.unwrap_or(&zeros);
    y.par_chunks_mut(size * geometry.output.len()).zip(x.par_chunks(size * geometry.input.len())).for_each(
        |(y, x)| {
            for (y, x) in y.chunks_mut(geometry.output.len()).zip(x.chunks(geometry.input.len())) {
                vectorize(|| {
                    for (position, y) in y.chunks_exact_mut(bias.len()).enumerate() {
                        y.copy_from_slice(bias);
                        each_tap(geometry, position, |tap, at| multiply_add(y, &x[at..], &weight[tap..]));
                    }
                });
            }
        },
    );
}

pub(super) fn backward_input(
    geometry: &Geometry,
    dy: &[f32],
    weight: &[f32],
    dx: &mut [f32],
    n: usize,
    accumulate: bool,
) {
    let channels = geometry.output.channels;
    let (weight, size) = (taps_first(weight, channels), chunk(n));
    dx.par_chunks_mut(size * geometry.input.len()).zip(dy.par_chunks(size * geometry.output.len())).for_each(
        |(dx, dy)| {
            for (dx, dy) in dx.chunks_mut(geometry.input.len()).zip(dy.chunks(geometry.output.len())) {
                if !accumulate {
                    dx.fill(0.0);
                }
                vectorize(|| {
                    for (position, dy) in dy.chunks_exact(channels).enumerate() {
                        each_tap(geometry, position, |tap, at| {
                            multiply_add(&mut dx[at..at + channels], dy, &weight[tap..]);
                        });
                    }
                });
            }
        },
    );
}

/// Adds the kernel gradient of one image to `dw`, taps first.
pub(super) fn image_backward_weight(geometry: &Geometry, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    let channels = geometry.output.channels;
    vectorize(|| {
        for (position, dy) in dy.chunks_exact(channels).enumerate() {
            each_tap(geometry, position, |tap, at| {
                multiply_add(&mut dw[tap..tap + channels], &x[at..], dy);
            });
        }
    });
}

/// `[taps, channels]` to `[channels, taps]`.
pub(super) fn channels_first(values: &[f32], channels: usize, out: &mut [f32]) {
    let taps = values.len() / channels;
    for (tap, row) in values.chunks_exact(channels).enumerate() {
        for (channel, value) in row.iter().enumerate() {
            out[channel * taps + tap] = *value;
        }
    }
}

fn taps_first(values: &[f32], channels: usize) -> Vec<f32> {
    let taps = values.len() / channels;
    (0..taps).flat_map(|tap| (0..channels).map(move |channel| values[channel * taps + tap])).collect()
}

/// `sum[c] += a[c] * b[c]` over the length of `sum`.
#[inline(always)]
fn multiply_add(sum: &mut [f32], a: &[f32], b: &[f32]) {
    let len = sum.len();
    for ((sum, a), b) in sum.iter_mut().zip(&a[..len]).zip(&b[..len]) {
        *sum += a * b;
    }
}

/// Visits the taps of one output position that lie inside the image: `visit(offset of the tap in the
/// kernel, offset of its first channel in the image)`.
#[inline(always)]
fn each_tap(geometry: &Geometry, position: usize, mut visit: impl FnMut(usize, usize)) {
    let channels = geometry.input.channels;
    let [kernel_h, kernel_w] = geometry.window.kernel;
    let [dilation_h, dilation_w] = geometry.window.dilation;
    let (row, column) = (position / geometry.output.width, position % geometry.output.width);
    let y0 = (row * geometry.window.stride[0]) as isize - geometry.window.pad_begin[0] as isize;
    let x0 = (column * geometry.window.stride[1]) as isize - geometry.window.pad_begin[1] as isize;
    for ky in 0..kernel_h {
        let y = y0 + (ky * dilation_h) as isize;
        if y < 0 || y >= geometry.input.height as isize {
            continue;
        }
        for kx in 0..kernel_w {
            let x = x0 + (kx * dilation_w) as isize;
            if x < 0 || x >= geometry.input.width as isize {
                continue;
            }
            let at = (y as usize * geometry.input.width + x as usize) * channels;
            visit((ky * kernel_w + kx) * channels, at);
        }
    }
}
