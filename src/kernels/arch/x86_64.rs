//! The reference code compiled for AVX2: same operations, wider registers.
#![allow(unsafe_code)]

use crate::kernels::{Conv, Dense, Filter, Isa, Output, reference};

/// Proof that this CPU has AVX2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::kernels) struct Avx2(());

impl Avx2 {
    /// `None` on a CPU without AVX2.
    pub(in crate::kernels) fn new() -> Option<Self> {
        std::arch::is_x86_feature_detected!("avx2").then_some(Self(()))
    }
}

impl Isa for Avx2 {
    fn name(self) -> &'static str {
        "avx2"
    }

    fn conv2d(self, conv: &Conv<'_>, filter: &Filter<'_>, scratch: &mut [i16], output: Output<'_>) {
        // SAFETY: `Self` is only made by `new`, which saw that the CPU has AVX2.
        unsafe { conv2d(conv, filter, scratch, output) }
    }

    fn depthwise(self, conv: &Conv<'_>, filter: &Filter<'_>, _scratch: &mut [i16], output: Output<'_>) {
        // SAFETY: `Self` is only made by `new`, which saw that the CPU has AVX2.
        unsafe { depthwise(conv, filter, output) }
    }

    fn dense(self, inputs: &Dense<'_>, filter: &Filter<'_>, output: Output<'_>) {
        // SAFETY: `Self` is only made by `new`, which saw that the CPU has AVX2.
        unsafe { dense(inputs, filter, output) }
    }
}

#[target_feature(enable = "avx2")]
fn conv2d(conv: &Conv<'_>, filter: &Filter<'_>, scratch: &mut [i16], output: Output<'_>) {
    reference::conv2d(conv, filter, scratch, output);
}

#[target_feature(enable = "avx2")]
fn depthwise(conv: &Conv<'_>, filter: &Filter<'_>, output: Output<'_>) {
    reference::depthwise(conv, filter, output);
}

#[target_feature(enable = "avx2")]
fn dense(inputs: &Dense<'_>, filter: &Filter<'_>, output: Output<'_>) {
    reference::dense(inputs, filter, output);
}
