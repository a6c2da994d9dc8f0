//! 64-bit ARM: NEON everywhere, `sdot` (dotprod) and `smmla` (i8mm) where the CPU has them.
//!
//! All three share one order of packed weights, `[blocks of 8 channels, K / 8, 8 channels, 8]`, and differ
//! in the inner loop alone, see [`micro`]. Inputs stay int8: with `x` not centred,
//! `sum (x - zero_point) * w = sum x * w - zero_point * sum w`, where padding counts as `zero_point`. Every
//! sum is exact.

mod conv;
mod depthwise;
mod micro;
mod pack;

use crate::artifact::Layer;
use crate::kernels::{Conv, Dense, Filter, Isa, Mean, Noisy, Output, reference};
use micro::{Dotprod, I8mm, Micro, Neon};

/// Kernels around one inner loop; holding the value proves that the CPU can run it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::kernels) struct Simd<M>(M);

/// NEON, which every 64-bit ARM has.
pub(in crate::kernels) type WithNeon = Simd<Neon>;
/// `sdot`.
pub(in crate::kernels) type WithDotprod = Simd<Dotprod>;
/// `smmla`.
pub(in crate::kernels) type WithI8mm = Simd<I8mm>;

impl<M: Micro> Simd<M> {
    /// `None` on a CPU that cannot run them.
    pub(in crate::kernels) fn new() -> Option<Self> {
        M::new().map(Self)
    }
}

/// Packed weights of each set that a sweep runs, in the order in which [`reference::finish`] runs them;
/// `None` if one of them is not packed, as the mean's where nothing is kept.
fn packed<'a>(filter: &Filter<'a>, output: &Output<'a>) -> Option<[&'a [u8]; 2]> {
    let packed = match output {
        Output::Noisy(Noisy { mean: Mean::Filter(mean), .. }) => [mean.packed, filter.packed],
        _ => [filter.packed; 2],
    };
    packed.iter().all(|packed| !packed.is_empty()).then_some(packed)
}

impl<M: Micro> Isa for Simd<M> {
    fn name(self) -> &'static str {
        M::NAME
    }

    fn packed_bytes(self, layer: &Layer) -> usize {
        pack::bytes(layer)
    }

    fn pack(self, layer: &Layer, filter: &Filter<'_>, to: &mut [u8]) {
        pack::pack(layer, filter.values, to);
    }

    fn scratch_values(self, layer: &Layer, _images: usize) -> usize {
        conv::scratch_values::<M>(layer).max(reference::scratch_values(layer))
    }

    fn conv2d(self, conv: &Conv<'_>, filter: &Filter<'_>, scratch: &mut [i16], output: Output<'_>) {
        let Some(packed) = packed(filter, &output) else {
            return reference::conv2d(conv, filter, scratch, output);
        };
        reference::finish(conv::Sweep { micro: self.0, conv, scratch, packed }, filter, output);
    }

    fn depthwise(self, conv: &Conv<'_>, filter: &Filter<'_>, _scratch: &mut [i16], output: Output<'_>) {
        reference::finish(depthwise::Sweep(conv), filter, output);
    }

    fn dense(self, dense: &Dense<'_>, filter: &Filter<'_>, _scratch: &mut [i16], output: Output<'_>) {
        let Some(packed) = packed(filter, &output) else {
            return reference::dense(dense, filter, output);
        };
        reference::finish(conv::DenseSweep { micro: self.0, dense, packed }, filter, output);
    }
}
