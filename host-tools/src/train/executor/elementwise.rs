//! Element-wise operators, in place.

use super::plan::derivative_from_output;
use super::types::TASKS;
use crate::graph::{Activation, NodeId};
use crate::kernels::relu;
use crate::kernels::simd::vectorize;
use crate::train::random::mix;
use rayon::prelude::*;

fn task_len(len: usize) -> usize {
    len.div_ceil(TASKS).next_multiple_of(64)
}

/// `to = from`.
pub(super) fn copy(from: &[f32], to: &mut [f32]) {
    let len = task_len(to.len());
    to.par_chunks_mut(len).zip(from.par_chunks(len)).for_each(|(to, from)| to.copy_from_slice(from));
}

/// `to += from`.
pub(super) fn add(from: &[f32], to: &mut [f32]) {
    let len = task_len(to.len());
    to.par_chunks_mut(len).zip(from.par_chunks(len)).for_each(|(to, from)| {
        vectorize(|| {
            for (to, from) in to.iter_mut().zip(from) {
                *to += from;
            }
        });
    });
}

/// `y = activation(y)`.
pub(super) fn activate(activation: Activation, y: &mut [f32]) {
    let len = task_len(y.len());
    y.par_chunks_mut(len).for_each(|y| match activation {
        Activation::Relu => vectorize(|| y.iter_mut().for_each(|y| *y = if *y > 0.0 { *y } else { 0.0 })),
        Activation::Relu6 => vectorize(|| y.iter_mut().for_each(|y| *y = y.clamp(0.0, 6.0))),
        _ => y.iter_mut().for_each(|y| *y = activation.value(*y)),
    });
}

/// Where a ReLU ends, if it is one.
pub(super) const fn relu_cap(activation: Activation) -> Option<f32> {
    match activation {
        Activation::Relu => Some(f32::INFINITY),
        Activation::Relu6 => Some(6.0),
        _ => None,
    }
}

/// `y = clamp(y, 0, cap)`, with its derivative in `bits`.
pub(super) fn relu(cap: f32, y: &mut [f32], bits: &mut [u16]) {
    let len = task_len(y.len());
    let bits = &mut bits[..y.len().div_ceil(relu::BITS)];
    y.par_chunks_mut(len)
        .zip(bits.par_chunks_mut(len / relu::BITS))
        .for_each(|(y, bits)| relu::relu(y, cap, bits));
}

/// `d *= ReLU'`, from the bits that [`relu`] left.
pub(super) fn relu_backward(d: &mut [f32], bits: &[u16]) {
    let len = task_len(d.len());
    let bits = &bits[..d.len().div_ceil(relu::BITS)];
    d.par_chunks_mut(len)
        .zip(bits.par_chunks(len / relu::BITS))
        .for_each(|(d, bits)| relu::relu_backward(d, bits));
}

/// `d *= activation'`, from the activation's output for ReLU and ReLU6, else from its input.
pub(super) fn activate_backward(activation: Activation, saved: &[f32], d: &mut [f32]) {
    debug_assert_eq!(saved.len(), d.len(), "derivative from output: {}", derivative_from_output(activation));
    let len = task_len(d.len());
    d.par_chunks_mut(len).zip(saved.par_chunks(len)).for_each(|(d, saved)| match activation {
        Activation::Relu => vectorize(|| {
            for (d, y) in d.iter_mut().zip(saved) {
                *d = if *y > 0.0 { *d } else { 0.0 };
            }
        }),
        Activation::Relu6 => vectorize(|| {
            for (d, y) in d.iter_mut().zip(saved) {
                *d = if *y > 0.0 && *y < 6.0 { *d } else { 0.0 };
            }
        }),
        _ => {
            for (d, x) in d.iter_mut().zip(saved) {
                *d *= activation.derivative(*x);
            }
        }
    });
}

/// Inverted dropout: drops each value with probability `rate` and scales the others by
/// `1 / (1 - rate)`. Forward and backward call it alike: the mask follows from seed, node and index,
/// which is `first` for the first value.
pub(in crate::train) fn drop_out(rate: f32, seed: u64, node: NodeId, first: usize, values: &mut [f32]) {
    let keep = 1.0 - rate;
    let threshold = (f64::from(keep) * 2f64.powi(32)) as u64;
    let base = mix(seed ^ mix(node as u64));
    let len = task_len(values.len());
    values.par_chunks_mut(len).enumerate().for_each(|(task, values)| {
        for (index, value) in values.iter_mut().enumerate() {
            let kept = mix(base.wrapping_add((first + task * len + index) as u64)) >> 32 < threshold;
            *value = if kept { *value / keep } else { 0.0 };
        }
    });
}
