//! x86-64 with AVX2, AVX-VNNI or AVX-512 VNNI.
//!
//! Activations enter as unsigned bytes, `u = x + 128`: `vpdpbusd` multiplies four of them with four
//! int8 weights and adds the exact sum to an i32, so that
//! `sum (x - zp) * w = sum u * w - (zp + 128) * sum w`, whose second part is a constant of the channel
//! and is packed with the bias. AVX2 alone does the same with two `vpmaddwd` on 16-bit halves
//! (`vpmaddubsw` would saturate). A register tile of several pixels times several vectors of output
//! channels is requantized where it lies; pixels of all draws share one tile.
//!
//! [`Simd`] is the vocabulary, `zmm` and `ymm` speak it, and the rest is written once.
#![allow(unsafe_code)]

mod conv;
mod depthwise;
mod draw;
mod finish;
mod input;
mod pack;
mod plan;
mod pool;
mod simd;
mod stage;
mod tile;
mod ymm;
mod zmm;

use crate::artifact::{Clamp, Layer};
use crate::kernels::{
    Add, Conv, Dense, Filter, Isa, NoiseDraw, Output, OutputDraw, Quantize, Raw, reference,
};

/// A type whose value proves that the CPU has the features, and kernels compiled for them.
macro_rules! isa {
    ($(#[$doc:meta])* $type:ident, $simd:ident, $name:literal, $module:ident, $features:literal, $($feature:tt),+) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(in crate::kernels) struct $type($simd);

        impl $type {
            /// `None` on a CPU without the features.
            pub(in crate::kernels) fn new() -> Option<Self> {
                let found = $(std::arch::is_x86_feature_detected!($feature))&&+;
                // SAFETY: the CPU has the features that the vocabulary is compiled for.
                found.then(|| Self(unsafe { $simd::new() }))
            }
        }

        impl Isa for $type {
            fn name(self) -> &'static str {
                $name
            }

            fn packed_bytes(self, layer: &Layer) -> usize {
                pack::bytes::<$simd>(layer)
            }

            fn pack(self, layer: &Layer, filter: &Filter<'_>, to: &mut [u8]) {
                pack::pack::<$simd>(layer, filter, to);
            }

            fn scratch_values(self, layer: &Layer, images: usize) -> usize {
                plan::scratch_values(layer, images).max(reference::scratch_values(layer))
            }

            fn draw(self, draw: &NoiseDraw<'_>, noise: &mut [i8]) {
                self.0.draw(draw, noise);
            }

            fn draw_outputs(self, draw: &OutputDraw<'_>, eps: &mut [i16]) {
                self.0.draw_outputs(draw, eps);
            }

            fn quantize<T: Raw>(self, x: &[T], spec: &Quantize<'_>, out: &mut [i8]) {
                // SAFETY: `Self` is only made by `new`, which saw that the CPU has the features.
                unsafe { $module::quantize(x, spec, out) }
            }

            fn conv2d(self, conv: &Conv<'_>, filter: &Filter<'_>, scratch: &mut [i16], output: Output<'_>) {
                // SAFETY: `Self` is only made by `new`, which saw that the CPU has the features.
                unsafe { $module::conv2d(self.0, conv, filter, scratch, output) }
            }

            fn depthwise(self, conv: &Conv<'_>, filter: &Filter<'_>, scratch: &mut [i16], output: Output<'_>) {
                // SAFETY: `Self` is only made by `new`, which saw that the CPU has the features.
                unsafe { $module::depthwise(self.0, conv, filter, scratch, output) }
            }

            fn dense(self, dense: &Dense<'_>, filter: &Filter<'_>, scratch: &mut [i16], output: Output<'_>) {
                // SAFETY: `Self` is only made by `new`, which saw that the CPU has the features.
                unsafe { $module::dense(self.0, dense, filter, scratch, output) }
            }

            fn max_pool(self, conv: &Conv<'_>, y: &mut [i8]) {
                // SAFETY: `Self` is only made by `new`, which saw that the CPU has the features.
                unsafe { $module::max_pool(conv, y) }
            }

            fn avg_pool(self, conv: &Conv<'_>, count_padding: bool, clamp: Clamp, y: &mut [i8]) {
                // SAFETY: `Self` is only made by `new`, which saw that the CPU has the features.
                unsafe { $module::avg_pool(self.0, conv, count_padding, clamp, y) }
            }

            fn add(self, add: &Add, a: Option<&[i8]>, b: Option<&[i8]>, y: &mut [i8]) {
                // SAFETY: `Self` is only made by `new`, which saw that the CPU has the features.
                unsafe { $module::add(add, a, b, y) }
            }
        }

        /// The generic kernels, compiled for these features.
        mod $module {
            use super::*;

            #[target_feature(enable = $features)]
            pub(super) fn quantize<T: Raw>(x: &[T], spec: &Quantize<'_>, out: &mut [i8]) {
                input::quantize(x, spec, out);
            }

            #[target_feature(enable = $features)]
            pub(super) fn conv2d(s: $simd, conv: &Conv<'_>, filter: &Filter<'_>, scratch: &mut [i16], output: Output<'_>) {
                conv::conv2d(s, conv, filter, scratch, output);
            }

            #[target_feature(enable = $features)]
            pub(super) fn depthwise(s: $simd, conv: &Conv<'_>, filter: &Filter<'_>, scratch: &mut [i16], output: Output<'_>) {
                depthwise::depthwise(s, conv, filter, scratch, output);
            }

            #[target_feature(enable = $features)]
            pub(super) fn dense(s: $simd, dense: &Dense<'_>, filter: &Filter<'_>, scratch: &mut [i16], output: Output<'_>) {
                conv::dense(s, dense, filter, scratch, output);
            }

            #[target_feature(enable = $features)]
            pub(super) fn max_pool(conv: &Conv<'_>, y: &mut [i8]) {
                pool::max_pool(conv, y);
            }

            #[target_feature(enable = $features)]
            pub(super) fn avg_pool(s: $simd, conv: &Conv<'_>, count_padding: bool, clamp: Clamp, y: &mut [i8]) {
                pool::avg_pool(s, conv, count_padding, clamp, y);
            }

            #[target_feature(enable = $features)]
            pub(super) fn add(add: &Add, a: Option<&[i8]>, b: Option<&[i8]>, y: &mut [i8]) {
                reference::add(add, a, b, y);
            }
        }
    };
}

use simd::Simd;
use ymm::{Maddwd, Ymm};
use zmm::Zmm;

isa!(
    /// AVX2: exact 16-bit products.
    Avx2, Maddwd, "avx2", avx2, "avx2", "avx2"
);
isa!(
    /// AVX-VNNI: `vpdpbusd` on 256 bits.
    AvxVnni, Ymm, "avx-vnni", avx_vnni, "avx2,avxvnni", "avx2", "avxvnni"
);
isa!(
    /// AVX-512 VNNI: `vpdpbusd` on 512 bits.
    Avx512Vnni, Zmm, "avx512-vnni", avx512_vnni, "avx2,avx512f,avx512bw,avx512vl,avx512vnni",
    "avx512f", "avx512bw", "avx512vl", "avx512cd", "avx512vnni"
);
