//! The reference code compiled for AVX2: same operations, wider registers.
#![allow(unsafe_code)]

use crate::kernels::{Conv, reference};

/// Proof that this CPU has AVX2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::kernels) struct Avx2(());

impl Avx2 {
    /// `None` on a CPU without AVX2.
    pub(in crate::kernels) fn new() -> Option<Self> {
        std::arch::is_x86_feature_detected!("avx2").then_some(Self(()))
    }

    /// See [`reference::conv2d`].
    pub(in crate::kernels) fn conv2d<const N: usize>(
        self,
        conv: &Conv<'_>,
        weights: [&[i8]; N],
        scratch: &mut [i16],
        sink: impl FnMut(usize, usize, [&[i32]; N]),
    ) {
        // SAFETY: `Self` is only made by `new`, which saw that the CPU has AVX2.
        unsafe { conv2d(conv, weights, scratch, sink) }
    }

    /// See [`reference::depthwise`].
    pub(in crate::kernels) fn depthwise<const N: usize>(
        self,
        conv: &Conv<'_>,
        weights: [&[i8]; N],
        sink: impl FnMut(usize, usize, [&[i32]; N]),
    ) {
        // SAFETY: `Self` is only made by `new`, which saw that the CPU has AVX2.
        unsafe { depthwise(conv, weights, sink) }
    }

    /// See [`reference::dense`].
    pub(in crate::kernels) fn dense<const N: usize>(
        self,
        input: &[i8],
        zero_point: i8,
        outputs: usize,
        weights: [&[i8]; N],
        sink: impl FnMut(usize, usize, [&[i32]; N]),
    ) {
        // SAFETY: `Self` is only made by `new`, which saw that the CPU has AVX2.
        unsafe { dense(input, zero_point, outputs, weights, sink) }
    }
}

#[target_feature(enable = "avx2")]
fn conv2d<const N: usize>(
    conv: &Conv<'_>,
    weights: [&[i8]; N],
    scratch: &mut [i16],
    sink: impl FnMut(usize, usize, [&[i32]; N]),
) {
    reference::conv2d(conv, weights, scratch, sink);
}

#[target_feature(enable = "avx2")]
fn depthwise<const N: usize>(
    conv: &Conv<'_>,
    weights: [&[i8]; N],
    sink: impl FnMut(usize, usize, [&[i32]; N]),
) {
    reference::depthwise(conv, weights, sink);
}

#[target_feature(enable = "avx2")]
fn dense<const N: usize>(
    input: &[i8],
    zero_point: i8,
    outputs: usize,
    weights: [&[i8]; N],
    sink: impl FnMut(usize, usize, [&[i32]; N]),
) {
    reference::dense(input, zero_point, outputs, weights, sink);
}
