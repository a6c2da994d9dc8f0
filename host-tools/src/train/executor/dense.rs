//! Fully connected layers forward and backward, with their two kinds of noise.

use super::conv::{add_bias, column_sums};
use super::im2col::with_scratch;
use super::types::{Perturbation, TASKS};
use crate::kernels::gemm::{Matrix, gemm};
use crate::kernels::simd::vectorize;
use rayon::prelude::*;

/// Least number of examples of one task: with fewer, packing the weights costs more than it saves.
const LEAST_ROWS: usize = 32;

/// Sizes of a dense layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Geometry {
    pub inputs: usize,
    pub outputs: usize,
}

fn rows_per_task(n: usize) -> usize {
    n.div_ceil(TASKS).max(LEAST_ROWS)
}

/// `y[n, out] = x[n, in] weight[out, in]^T + bias`, and the noise. Returns the standard deviation of
/// each output under local reparameterization, which the backward pass needs.
pub(super) fn forward(
    geometry: Geometry,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    perturbation: Perturbation<'_>,
    y: &mut [f32],
) -> Vec<f32> {
    multiply(geometry, x, weight, bias, y);
    let mut deviation = Vec::new();
    match perturbation {
        Perturbation::None => {}
        Perturbation::Flipout { delta, input_signs, output_signs } => {
            let rows = rows_per_task(y.len() / geometry.outputs);
            y.par_chunks_mut(rows * geometry.outputs)
                .zip(x.par_chunks(rows * geometry.inputs))
                .zip(input_signs.par_chunks(rows * geometry.inputs))
                .zip(output_signs.par_chunks(rows * geometry.outputs))
                .for_each(|(((y, x), s), r)| add_flipout(geometry, x, s, delta, r, y));
        }
        Perturbation::Local { variance, eps } => {
            deviation.resize(y.len(), 0.0);
            multiply(geometry, &product(x, x), variance, None, &mut deviation);
            for ((y, variance), eps) in y.iter_mut().zip(&mut deviation).zip(eps) {
                *variance = variance.max(0.0).sqrt();
                *y += *variance * eps;
            }
        }
    }
    deviation
}

/// `y = x weight^T + bias`.
fn multiply(
    Geometry { inputs, outputs }: Geometry,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    y: &mut [f32],
) {
    let rows = rows_per_task(y.len() / outputs);
    y.par_chunks_mut(rows * outputs).zip(x.par_chunks(rows * inputs)).for_each(|(y, x)| {
        let sizes = [y.len() / outputs, outputs, inputs];
        gemm(sizes, Matrix::rows(x, inputs), Matrix::transposed(weight, inputs), y, outputs, false);
        add_bias(y, bias);
    });
}

/// `y += ((x * s) delta^T) * r`.
fn add_flipout(
    Geometry { inputs, outputs }: Geometry,
    x: &[f32],
    s: &[f32],
    delta: &[f32],
    r: &[f32],
    y: &mut [f32],
) {
    with_scratch([x.len(), y.len()], |signed, noise| {
        vectorize(|| signed.iter_mut().zip(x).zip(s).for_each(|((signed, x), s)| *signed = x * s));
        let sizes = [y.len() / outputs, outputs, inputs];
        let (x, delta) = (Matrix::rows(signed, inputs), Matrix::transposed(delta, inputs));
        gemm(sizes, x, delta, noise, outputs, false);
        vectorize(|| y.iter_mut().zip(noise).zip(r).for_each(|((y, noise), r)| *y += *noise * r));
    });
}

fn product(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a * b).collect()
}

/// `dx = dy weight`, added if `accumulate`.
pub(super) fn backward_input(
    Geometry { inputs, outputs }: Geometry,
    dy: &[f32],
    weight: &[f32],
    dx: &mut [f32],
    accumulate: bool,
) {
    let rows = rows_per_task(dx.len() / inputs);
    dx.par_chunks_mut(rows * inputs).zip(dy.par_chunks(rows * outputs)).for_each(|(dx, dy)| {
        let sizes = [dx.len() / inputs, inputs, outputs];
        gemm(sizes, Matrix::rows(dy, outputs), Matrix::rows(weight, inputs), dx, inputs, accumulate);
    });
}

/// `dw = dy^T x` and the column sums of `dy`; overwrites both.
pub(super) fn backward_weight(
    geometry: Geometry,
    x: &[f32],
    dy: &[f32],
    dw: &mut [f32],
    db: Option<&mut [f32]>,
) {
    let Geometry { inputs, outputs } = geometry;
    let n = x.len() / inputs;
    // Split by rows of the result: no partial sums of what can be a large matrix.
    let rows = outputs.div_ceil(TASKS).max(8);
    dw.par_chunks_mut(rows * inputs).enumerate().for_each(|(task, dw)| {
        let dy = Matrix::transposed(&dy[task * rows..], outputs);
        gemm([dw.len() / inputs, inputs, n], dy, Matrix::rows(x, inputs), dw, inputs, false);
    });
    if let Some(db) = db {
        db.copy_from_slice(&column_sums(dy, outputs));
    }
}

/// Gradient with respect to `delta` or `variance`; overwrites `dnoise`.
pub(super) fn backward_noise(
    geometry: Geometry,
    x: &[f32],
    dy: &[f32],
    perturbation: Perturbation<'_>,
    deviation: &[f32],
    dnoise: &mut [f32],
) {
    match perturbation {
        Perturbation::None => dnoise.fill(0.0),
        Perturbation::Flipout { input_signs, output_signs, .. } => {
            let (x, dy) = (product(x, input_signs), product(dy, output_signs));
            backward_weight(geometry, &x, &dy, dnoise, None);
        }
        Perturbation::Local { eps, .. } => {
            // d sqrt(v) / d v = 1 / (2 sqrt(v)); an input of all zeros has no variance to learn from.
            let slope = |((dy, eps), deviation): ((&f32, &f32), &f32)| {
                if *deviation > 0.0 { dy * eps / (2.0 * deviation) } else { 0.0 }
            };
            let dv: Vec<f32> = dy.iter().zip(eps).zip(deviation).map(slope).collect();
            backward_weight(geometry, &product(x, x), &dv, dnoise, None);
        }
    }
}
