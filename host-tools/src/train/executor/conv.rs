//! Convolution forward and backward: directly where the kernels allow it, else patches times kernel, a
//! block of patches at a time.

use super::depthwise;
use super::direct::{Direct, InputGradient};
use super::im2col::{Geometry, with_scratch};
use super::types::{Perturbation, chunk, sum_partials};
use crate::kernels::direct;
use crate::kernels::gemm::{Matrix, gemm};
use crate::kernels::simd::vectorize;
use rayon::prelude::*;

/// `y[n, oh, ow, co] = conv(x[n, ih, iw, ci], weight[co, kh, kw, ci / groups]) + bias`.
pub(super) fn forward(
    geometry: &Geometry,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    perturbation: Perturbation<'_>,
    y: &mut [f32],
    n: usize,
) {
    if let Perturbation::Flipout { delta, input_signs, output_signs } = perturbation {
        let signs = Signs { delta, input: input_signs, output: output_signs };
        return flipout_forward(geometry, x, weight, bias, &signs, y, n);
    }
    if geometry.is_depthwise() {
        return depthwise::forward(geometry, x, weight, bias, y, n);
    }
    let (prepared, size) = (Prepared::new(geometry, weight), chunk(n));
    y.par_chunks_mut(size * geometry.output.len()).zip(x.par_chunks(size * geometry.input.len())).for_each(
        |(y, x)| {
            for (y, x) in y.chunks_mut(geometry.output.len()).zip(x.chunks(geometry.input.len())) {
                prepared.image_forward(x, bias, y, false);
            }
        },
    );
}

/// A convolution with its kernel in the order that the way it goes wants.
#[expect(clippy::large_enum_variant, reason = "one lives for a whole batch")]
enum Prepared<'a> {
    Direct { direct: Direct, packed: Vec<f32> },
    Patches { geometry: &'a Geometry, weight: &'a [f32] },
}

impl<'a> Prepared<'a> {
    fn new(geometry: &'a Geometry, weight: &'a [f32]) -> Self {
        match Direct::new(geometry) {
            Some(direct) => {
                let mut packed = Vec::new();
                direct.walk.pack(weight, &mut packed);
                Self::Direct { direct, packed }
            }
            None => Self::Patches { geometry, weight },
        }
    }

    /// One image; adds to `y` if `accumulate`.
    fn image_forward(&self, x: &[f32], bias: Option<&[f32]>, y: &mut [f32], accumulate: bool) {
        match self {
            Self::Direct { direct, packed } => with_scratch([direct.scratch(), 0], |scratch, _| {
                let image = direct.image(x, scratch);
                direct::forward(&direct.walk, image, packed, bias, y, accumulate);
            }),
            Self::Patches { geometry, weight } => {
                image_forward(geometry, x, weight, y, accumulate);
                add_bias(y, bias);
            }
        }
    }
}

/// One image by patches; adds to `y` if `accumulate`.
fn image_forward(geometry: &Geometry, x: &[f32], weight: &[f32], y: &mut [f32], accumulate: bool) {
    let (patch, channels) = (geometry.patch(), geometry.output.channels);
    let per_group = channels / geometry.groups;
    each_block(geometry, x, |group, first, rows, patches| {
        let w = Matrix::transposed(&weight[group * per_group * patch..][..per_group * patch], patch);
        let y = &mut y[first * channels + group * per_group..];
        gemm([rows, per_group, patch], Matrix::rows(patches, patch), w, y, channels, accumulate);
    });
}

/// Gathers the patches of one image block by block: `work(group, first position, rows, patches)`.
fn each_block(geometry: &Geometry, x: &[f32], mut work: impl FnMut(usize, usize, usize, &[f32])) {
    let (rows, positions) = (geometry.block_rows(), geometry.positions());
    with_scratch([rows.min(positions) * geometry.patch(), 0], |patches, _| {
        for group in 0..geometry.groups {
            for first in (0..positions).step_by(rows) {
                let rows = rows.min(positions - first);
                geometry.gather(x, group, first..first + rows, patches);
                work(group, first, rows, patches);
            }
        }
    });
}

/// `y += bias`, row by row.
pub(super) fn add_bias(y: &mut [f32], bias: Option<&[f32]>) {
    if let Some(bias) = bias {
        vectorize(|| {
            for row in y.chunks_exact_mut(bias.len()) {
                for (y, b) in row.iter_mut().zip(bias) {
                    *y += b;
                }
            }
        });
    }
}

/// Gradient with respect to the input; overwrites `dx`, or adds to it if `accumulate`.
pub(super) fn backward_input(
    geometry: &Geometry,
    dy: &[f32],
    weight: &[f32],
    dx: &mut [f32],
    n: usize,
    accumulate: bool,
) {
    if geometry.is_depthwise() {
        return depthwise::backward_input(geometry, dy, weight, dx, n, accumulate);
    }
    let (way, size) = (InputGradient::new(geometry, weight), chunk(n));
    dx.par_chunks_mut(size * geometry.input.len()).zip(dy.par_chunks(size * geometry.output.len())).for_each(
        |(dx, dy)| {
            for (dx, dy) in dx.chunks_mut(geometry.input.len()).zip(dy.chunks(geometry.output.len())) {
                match &way {
                    Some(way) => with_scratch([way.scratch(), 0], |scratch, _| {
                        way.image(dy, dx, accumulate, scratch);
                    }),
                    None => image_backward_input(geometry, dy, weight, dx, accumulate),
                }
            }
        },
    );
}

fn image_backward_input(geometry: &Geometry, dy: &[f32], weight: &[f32], dx: &mut [f32], accumulate: bool) {
    let (patch, channels) = (geometry.patch(), geometry.output.channels);
    let per_group = channels / geometry.groups;
    if !accumulate {
        dx.fill(0.0);
    }
    let (block, positions) = (geometry.block_rows(), geometry.positions());
    with_scratch([block.min(positions) * patch, 0], |patches, _| {
        for group in 0..geometry.groups {
            let w = Matrix::rows(&weight[group * per_group * patch..][..per_group * patch], patch);
            for first in (0..positions).step_by(block) {
                let rows = block.min(positions - first);
                let dy = Matrix::rows(&dy[first * channels + group * per_group..], channels);
                gemm([rows, patch, per_group], dy, w, patches, patch, false);
                vectorize(|| geometry.scatter_add(patches, group, first..first + rows, dx));
            }
        }
    });
}

/// Gradients with respect to weight and bias; overwrites both.
pub(super) fn backward_weight(
    geometry: &Geometry,
    x: &[f32],
    dy: &[f32],
    dw: &mut [f32],
    db: Option<&mut [f32]>,
    n: usize,
) {
    let (size, want_bias) = (chunk(n), db.is_some());
    let way = WeightGradient::new(geometry);
    let partials: Vec<(Vec<f32>, Vec<f32>)> = x
        .par_chunks(size * geometry.input.len())
        .zip(dy.par_chunks(size * geometry.output.len()))
        .map(|(x, dy)| {
            let mut partial = vec![0.0; way.len()];
            for (x, dy) in x.chunks(geometry.input.len()).zip(dy.chunks(geometry.output.len())) {
                way.add_image(x, dy, &mut partial);
            }
            (partial, if want_bias { column_sums(dy, geometry.output.channels) } else { Vec::new() })
        })
        .collect();
    let (weights, biases): (Vec<_>, Vec<_>) = partials.into_iter().unzip();
    let mut sum = vec![0.0; way.len()];
    sum_partials(&weights, &mut sum);
    way.unpack(&sum, dw);
    if let Some(db) = db {
        sum_partials(&biases, db);
    }
}

/// The way to a convolution's weight gradient; its sums have an order of their own until unpacked.
#[expect(clippy::large_enum_variant, reason = "one lives for a whole batch")]
enum WeightGradient<'a> {
    Depthwise(&'a Geometry),
    Direct(Direct),
    Patches(&'a Geometry),
}

impl<'a> WeightGradient<'a> {
    fn new(geometry: &'a Geometry) -> Self {
        match Direct::new(geometry) {
            _ if geometry.is_depthwise() => Self::Depthwise(geometry),
            Some(direct) => Self::Direct(direct),
            None => Self::Patches(geometry),
        }
    }

    /// Floats of the sums.
    fn len(&self) -> usize {
        match self {
            Self::Direct(direct) => direct.walk.packed_len(),
            Self::Depthwise(geometry) | Self::Patches(geometry) => {
                geometry.output.channels * geometry.patch()
            }
        }
    }

    /// Adds one image's gradient.
    fn add_image(&self, x: &[f32], dy: &[f32], sums: &mut [f32]) {
        match self {
            Self::Depthwise(geometry) => depthwise::image_backward_weight(geometry, x, dy, sums),
            Self::Direct(direct) => with_scratch([direct.scratch(), direct.gradient_scratch()], |a, b| {
                let (image, dy) = (direct.image(x, a), direct.gradient(dy, b));
                direct::weight_gradient(&direct.walk, image, dy, sums);
            }),
            Self::Patches(geometry) => image_backward_weight(geometry, x, dy, sums),
        }
    }

    /// Writes sums in the kernel's order.
    fn unpack(&self, sums: &[f32], dw: &mut [f32]) {
        match self {
            Self::Depthwise(geometry) => depthwise::channels_first(sums, geometry.output.channels, dw),
            Self::Direct(direct) => direct.walk.unpack(sums, dw),
            Self::Patches(_) => dw.copy_from_slice(sums),
        }
    }
}

/// `dw[co, patch] += dy^T patches` of one image.
fn image_backward_weight(geometry: &Geometry, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    let (patch, channels) = (geometry.patch(), geometry.output.channels);
    let per_group = channels / geometry.groups;
    each_block(geometry, x, |group, first, rows, patches| {
        let dy = Matrix::transposed(&dy[first * channels + group * per_group..], channels);
        let dw = &mut dw[group * per_group * patch..][..per_group * patch];
        gemm([per_group, patch, rows], dy, Matrix::rows(patches, patch), dw, patch, true);
    });
}

/// Sum of each column of rows of `columns` values.
pub(super) fn column_sums(values: &[f32], columns: usize) -> Vec<f32> {
    let mut sums = vec![0.0f32; columns];
    vectorize(|| {
        for row in values.chunks_exact(columns) {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += value;
            }
        }
    });
    sums
}

struct Signs<'a> {
    delta: &'a [f32],
    input: &'a [f32],
    output: &'a [f32],
}

impl Signs<'_> {
    /// `target[c, tap, i] += value[c, tap, i] * r[c] * s[i]` for one example's signs.
    fn add_signed(&self, geometry: &Geometry, example: usize, value: &[f32], target: &mut [f32]) {
        let inputs = geometry.input.channels;
        let (group, patch) = (geometry.group_channels(), geometry.patch());
        let per_group = geometry.output.channels / geometry.groups;
        let s = &self.input[example * inputs..][..inputs];
        let r = &self.output[example * geometry.output.channels..][..geometry.output.channels];
        for (channel, (target, value)) in
            target.chunks_exact_mut(patch).zip(value.chunks_exact(patch)).enumerate()
        {
            let s = &s[channel / per_group * group..][..group];
            for (target, value) in target.chunks_exact_mut(group).zip(value.chunks_exact(group)) {
                for ((target, value), s) in target.iter_mut().zip(value).zip(s) {
                    *target += value * (r[channel] * s);
                }
            }
        }
    }
}

/// Since the signs of one example are the same at all positions, its perturbed convolution is a plain
/// one by `W + delta * (r s^T)`: flipout costs one convolution, not two.
fn flipout_forward(
    geometry: &Geometry,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    signs: &Signs<'_>,
    y: &mut [f32],
    n: usize,
) {
    let size = chunk(n);
    y.par_chunks_mut(size * geometry.output.len())
        .zip(x.par_chunks(size * geometry.input.len()))
        .enumerate()
        .for_each(|(task, (y, x))| {
            let mut perturbed = vec![0.0; weight.len()];
            let images = y.chunks_mut(geometry.output.len()).zip(x.chunks(geometry.input.len()));
            for (i, (y, x)) in images.enumerate() {
                perturbed.copy_from_slice(weight);
                signs.add_signed(geometry, task * size + i, signs.delta, &mut perturbed);
                Prepared::new(geometry, &perturbed).image_forward(x, bias, y, false);
            }
        });
}

/// Gradients with respect to mean kernel and `delta`; overwrites both.
pub(super) fn flipout_backward_weight(
    geometry: &Geometry,
    x: &[f32],
    dy: &[f32],
    perturbation: Perturbation<'_>,
    dw: &mut [f32],
    ddelta: &mut [f32],
    n: usize,
) {
    let Perturbation::Flipout { delta, input_signs, output_signs } = perturbation else {
        return backward_weight(geometry, x, dy, dw, None, n);
    };
    let signs = Signs { delta, input: input_signs, output: output_signs };
    let (way, size) = (WeightGradient::new(geometry), chunk(n));
    let partials: Vec<(Vec<f32>, Vec<f32>)> = x
        .par_chunks(size * geometry.input.len())
        .zip(dy.par_chunks(size * geometry.output.len()))
        .enumerate()
        .map(|(task, (x, dy))| {
            let (mut packed, mut one) = (vec![0.0; way.len()], vec![0.0; dw.len()]);
            let mut mean = vec![0.0; dw.len()];
            let mut noise = vec![0.0; dw.len()];
            let images = x.chunks(geometry.input.len()).zip(dy.chunks(geometry.output.len()));
            for (i, (x, dy)) in images.enumerate() {
                packed.fill(0.0);
                way.add_image(x, dy, &mut packed);
                way.unpack(&packed, &mut one);
                for (sum, value) in mean.iter_mut().zip(&one) {
                    *sum += value;
                }
                signs.add_signed(geometry, task * size + i, &one, &mut noise);
            }
            (mean, noise)
        })
        .collect();
    let (means, noises): (Vec<_>, Vec<_>) = partials.into_iter().unzip();
    sum_partials(&means, dw);
    sum_partials(&noises, ddelta);
}
