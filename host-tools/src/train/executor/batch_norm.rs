//! Batch normalization: by the batch's statistics in stage 1, by the running ones otherwise.

use super::types::TASKS;
use crate::kernels::simd::vectorize;
use rayon::prelude::*;

/// Statistics of one batch, and the affine map that follows from them.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Statistics {
    pub mean: Vec<f32>,
    /// Biased variance: the mean square around the mean.
    pub variance: Vec<f32>,
    /// `1 / sqrt(variance + eps)`.
    pub inverse_std: Vec<f32>,
    /// Rows that were averaged: examples times positions.
    pub rows: usize,
}

/// Mean and variance of each column of `x[rows, channels]`, in two passes.
pub(super) fn statistics(x: &[f32], channels: usize, eps: f32) -> Statistics {
    let rows = x.len() / channels;
    let mean = column_means(x, channels, |value, _| value, &vec![0.0; channels]);
    let variance = column_means(x, channels, |value, mean| (value - mean) * (value - mean), &mean);
    let inverse_std = variance.iter().map(|variance| 1.0 / (variance + eps).sqrt()).collect();
    Statistics { mean, variance, inverse_std, rows }
}

/// Mean over rows of `term(x, shift)`. Blocks are summed in f32 and their sums in f64, in order.
fn column_means(
    x: &[f32],
    channels: usize,
    term: impl Fn(f32, f32) -> f32 + Sync,
    shift: &[f32],
) -> Vec<f32> {
    let rows = x.len() / channels;
    let sums = task_sums(x.par_chunks(task_len(x.len(), channels)).map(|part| {
        let mut sums = vec![0.0f64; channels];
        for block in part.chunks(BLOCK_ROWS * channels) {
            let mut block_sums = vec![0.0f32; channels];
            vectorize(|| {
                for row in block.chunks_exact(channels) {
                    for ((sum, value), shift) in block_sums.iter_mut().zip(row).zip(shift) {
                        *sum += term(*value, *shift);
                    }
                }
            });
            add_wide(&mut sums, &block_sums);
        }
        sums
    }));
    sums.iter().map(|sum| (sum / rows as f64) as f32).collect()
}

/// Rows whose f32 sum is still good to a few units in the last place.
const BLOCK_ROWS: usize = 256;

fn task_len(len: usize, channels: usize) -> usize {
    (len / channels).div_ceil(TASKS).max(1) * channels
}

fn add_wide(sums: &mut [f64], block: &[f32]) {
    for (sum, value) in sums.iter_mut().zip(block) {
        *sum += f64::from(*value);
    }
}

fn task_sums(parts: impl IndexedParallelIterator<Item = Vec<f64>>) -> Vec<f64> {
    let parts: Vec<Vec<f64>> = parts.collect();
    let mut total = vec![0.0; parts.first().map_or(0, Vec::len)];
    for part in &parts {
        for (sum, value) in total.iter_mut().zip(part) {
            *sum += value;
        }
    }
    total
}

/// Factor and offset per channel: `y = x * factor + offset`.
pub(super) fn affine(mean: &[f32], inverse_std: &[f32], gamma: &[f32], beta: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let factor: Vec<f32> = gamma.iter().zip(inverse_std).map(|(gamma, inverse)| gamma * inverse).collect();
    let offset =
        beta.iter().zip(mean).zip(&factor).map(|((beta, mean), factor)| beta - mean * factor).collect();
    (factor, offset)
}

/// `y = x * factor + offset`, per channel.
pub(super) fn apply(x: &[f32], factor: &[f32], offset: &[f32], y: &mut [f32]) {
    let len = task_len(x.len(), factor.len());
    y.par_chunks_mut(len).zip(x.par_chunks(len)).for_each(|(y, x)| {
        vectorize(|| {
            for (y, x) in y.chunks_exact_mut(factor.len()).zip(x.chunks_exact(factor.len())) {
                for (((y, x), factor), offset) in y.iter_mut().zip(x).zip(factor).zip(offset) {
                    *y = x * factor + offset;
                }
            }
        });
    });
}

/// `y = y * factor + offset`, per channel.
pub(super) fn apply_in_place(y: &mut [f32], factor: &[f32], offset: &[f32]) {
    let len = task_len(y.len(), factor.len());
    y.par_chunks_mut(len).for_each(|y| {
        vectorize(|| {
            for y in y.chunks_exact_mut(factor.len()) {
                for ((y, factor), offset) in y.iter_mut().zip(factor).zip(offset) {
                    *y = *y * factor + offset;
                }
            }
        });
    });
}

/// Gradients through batch statistics: turns `dy` in `d` into `dx`, returns `(dgamma, dbeta)`.
pub(super) fn backward(
    statistics: &Statistics,
    x: &[f32],
    gamma: &[f32],
    d: &mut [f32],
) -> (Vec<f32>, Vec<f32>) {
    let channels = gamma.len();
    let Statistics { mean, inverse_std, rows, .. } = statistics;
    let len = task_len(x.len(), channels);
    let sums = task_sums(x.par_chunks(len).zip(d.par_chunks(len)).map(|(x, d)| gradient_sums(x, d, mean)));
    let (dbeta, centered) = sums.split_at(channels);
    let dbeta: Vec<f32> = dbeta.iter().map(|sum| *sum as f32).collect();
    let dgamma: Vec<f32> =
        centered.iter().zip(inverse_std).map(|(sum, inverse)| *sum as f32 * inverse).collect();
    // dx = gamma / std * (dy - mean(dy) - xhat * mean(dy * xhat)), gathered into three factors.
    let scale = 1.0 / *rows as f32;
    let a: Vec<f32> = gamma.iter().zip(inverse_std).map(|(gamma, inverse)| gamma * inverse).collect();
    let b: Vec<f32> = (0..channels).map(|c| -a[c] * inverse_std[c] * dgamma[c] * scale).collect();
    let c: Vec<f32> = (0..channels).map(|c| -a[c] * dbeta[c] * scale - b[c] * mean[c]).collect();
    d.par_chunks_mut(len).zip(x.par_chunks(len)).for_each(|(d, x)| {
        vectorize(|| {
            for (d, x) in d.chunks_exact_mut(channels).zip(x.chunks_exact(channels)) {
                for ((((d, x), a), b), c) in d.iter_mut().zip(x).zip(&a).zip(&b).zip(&c) {
                    *d = *d * a + x * b + c;
                }
            }
        });
    });
    (dgamma, dbeta)
}

/// Column sums of `dy` and of `dy * (x - mean)`, one after the other.
fn gradient_sums(x: &[f32], d: &[f32], mean: &[f32]) -> Vec<f64> {
    let channels = mean.len();
    let mut sums = vec![0.0f64; 2 * channels];
    for (x, d) in x.chunks(BLOCK_ROWS * channels).zip(d.chunks(BLOCK_ROWS * channels)) {
        let mut block = vec![0.0f32; 2 * channels];
        let (plain, centered) = block.split_at_mut(channels);
        vectorize(|| {
            for (x, d) in x.chunks_exact(channels).zip(d.chunks_exact(channels)) {
                for ((((plain, centered), x), d), mean) in
                    plain.iter_mut().zip(centered.iter_mut()).zip(x).zip(d).zip(mean)
                {
                    *plain += d;
                    *centered += d * (x - mean);
                }
            }
        });
        add_wide(&mut sums, &block);
    }
    sums
}
