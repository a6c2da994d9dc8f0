//! The specification of every kernel, in safe Rust written so that the compiler vectorizes it.
//!
//! ```text
//! acc[pixel, channel] = sum over the window and input channels of (x - zero_point) * w
//! ```
//! where a padded element counts as `x = zero_point`; what becomes of `acc` is an
//! `Output`.
//!
//! A `Sweep` gives accumulators **without bias**, a run of neighbouring output channels of one pixel
//! at a time, to a closure: `sink(index, channel, accumulators)`, `index` being that of the first value
//! in the NHWC output. `N` sets of weights share the input. `finish` knows the closures.

mod axis;
mod conv;
mod dense;
mod depthwise;
mod draw;
mod elementwise;
mod finish;
mod pool;

pub(crate) use axis::axis;
pub(crate) use conv::scratch_values;
pub(crate) use draw::{draw, draw_outputs};
pub(crate) use elementwise::{add, lookup, quantize};
#[cfg(all(target_arch = "x86_64", feature = "std"))]
pub(crate) use finish::combine;
pub(crate) use finish::finish;
pub(crate) use pool::{avg_pool, max_pool};

use super::{Conv, Dense, Filter, Output};

/// Output channels given to the sink at a time, at most.
pub const RUN: usize = 16;

/// A way over all output values of a layer.
pub(crate) trait Sweep {
    /// Calls `sink(index, channel, accumulators of each set of weights)` until every output value
    /// was given once.
    fn accumulate<const N: usize>(
        &mut self,
        weights: [&[i8]; N],
        sink: impl FnMut(usize, usize, [&[i32]; N]),
    );
}

/// Convolution; see [`super::Kernels::conv2d`].
#[inline(always)]
pub(crate) fn conv2d(conv: &Conv<'_>, filter: &Filter<'_>, scratch: &mut [i16], output: Output<'_>) {
    finish(conv::Sweep { conv, scratch }, filter, output);
}

/// Depthwise convolution; see [`super::Kernels::depthwise`].
#[inline(always)]
pub(crate) fn depthwise(conv: &Conv<'_>, filter: &Filter<'_>, output: Output<'_>) {
    finish(depthwise::Sweep(conv), filter, output);
}

/// Dense layer; see [`super::Kernels::dense`].
#[inline(always)]
pub(crate) fn dense(dense: &Dense<'_>, filter: &Filter<'_>, output: Output<'_>) {
    finish(dense::Sweep(dense), filter, output);
}
