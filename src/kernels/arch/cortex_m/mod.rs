//! Cortex-M cores with the DSP extension and an FPU (M4F, M7, M33): two multiplications an instruction.
//!
//! The feature `cortex-m-dsp` says that the core has both: no stable `cfg` does. Convolutions expand
//! their input to i16 band by band, see [`conv`]; [`tile`] and [`plane`] are the inner loops.

mod conv;
mod dense;
mod depthwise;
mod elementwise;
mod expand;
mod fallback;
mod finish;
#[cfg(feature = "cortex-m-mve")]
mod mve;
mod noisy;
mod ops;
mod plane;
mod pool;
mod tile;

use super::cortex_m_plan as plan;
use crate::artifact::{Clamp, Layer, Window};
use crate::kernels::{Add, Conv, Dense, Filter, Isa, Output, reference};
use conv::Out;
use fallback::Shape;
#[cfg(feature = "cortex-m-mve")]
pub(in crate::kernels) use mve::Mve;
pub(in crate::kernels) use ops::sqrt;

/// Proof that this core has the DSP extension and an FPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::kernels) struct Dsp(());

impl Dsp {
    /// Whoever enables the feature says that the core has both.
    pub(in crate::kernels) const fn new() -> Self {
        Self(())
    }
}

/// As [`reference::axis`], once in the program.
#[inline(never)]
fn axis(window: &Window, axis: usize, at: usize, size: usize) -> (isize, usize, usize) {
    reference::axis(window, axis, at, size)
}

/// Calls `each` for every image's values and its outputs. `None` if one of the calls is, or a slice is too short.
#[inline(always)]
fn images(
    conv: &Conv<'_>,
    outputs: &mut [i8],
    mut each: impl FnMut(&[i8], &mut [i8]) -> Option<()>,
) -> Option<()> {
    let [x, y] = [conv.x, conv.y].map(|tensor| (tensor.len() as usize).max(1));
    for image in 0..conv.input.len().checked_div(x)? {
        let input = conv.input.get(image * x..(image + 1) * x)?;
        each(input, outputs.get_mut(image * y..(image + 1) * y)?)?;
    }
    Some(())
}

/// As [`images`], once in the program.
#[inline(never)]
fn each_image(
    conv: &Conv<'_>,
    outputs: &mut [i8],
    each: &mut dyn FnMut(&[i8], &mut [i8]) -> Option<()>,
) -> Option<()> {
    images(conv, outputs, each)
}

/// A convolution by [`conv`]'s bands; `None` if they do not serve it.
#[inline(never)]
fn banded(conv: &Conv<'_>, filter: &Filter<'_>, scratch: &mut [i16], output: &mut Output<'_>) -> Option<()> {
    let &Filter { values, bias, multiplier, .. } = filter;
    match output {
        Output::Int8 { y, zero_point, clamp } => {
            let zero_point = *zero_point;
            // Inline: two frames less under the deepest ones.
            images(conv, y, |input, y| {
                conv::conv2d(conv, input, values, scratch, Out::Values { y, bias, multiplier, zero_point })
            })?;
            elementwise::clamp(y, *clamp);
            Some(())
        }
        // A first layer has one image, whatever the number of draws.
        Output::Sums(acc) if conv.input.len() == conv.x.len() as usize => {
            conv::conv2d(conv, conv.input, values, scratch, Out::Sums { acc, bias })
        }
        Output::Noisy(noisy) if conv.input.len() == conv.x.len() as usize => {
            noisy::conv2d(conv, filter, scratch, noisy)
        }
        _ => None,
    }
}

/// A depthwise convolution by [`depthwise`]'s planes; `None` if they do not serve it.
#[inline(never)]
fn planes(conv: &Conv<'_>, filter: &Filter<'_>, scratch: &mut [i16], output: &mut Output<'_>) -> Option<()> {
    let &Filter { values, bias, multiplier, .. } = filter;
    let Output::Int8 { y, zero_point, clamp } = output else { return None };
    let to = depthwise::Requantize { bias, multiplier, zero_point: *zero_point };
    each_image(conv, y, &mut |input, y| depthwise::depthwise(conv, input, values, scratch, &to, y))?;
    elementwise::clamp(y, *clamp);
    Some(())
}

impl Isa for Dsp {
    fn name(self) -> &'static str {
        "cortex-m-dsp"
    }

    fn scratch_values(self, layer: &Layer, _images: usize) -> usize {
        plan::scratch_values(layer).max(reference::scratch_values(layer))
    }

    fn conv2d(self, conv: &Conv<'_>, filter: &Filter<'_>, scratch: &mut [i16], mut output: Output<'_>) {
        if banded(conv, filter, scratch, &mut output).is_none() {
            Shape { conv: *conv, depthwise: false }.run(filter, &mut output);
        }
    }

    fn conv2d_served(
        self,
        conv: &Conv<'_>,
        filter: &Filter<'_>,
        scratch: &mut [i16],
        mut output: Output<'_>,
    ) -> Option<()> {
        banded(conv, filter, scratch, &mut output)
    }

    fn depthwise(self, conv: &Conv<'_>, filter: &Filter<'_>, scratch: &mut [i16], mut output: Output<'_>) {
        if planes(conv, filter, scratch, &mut output).is_none() {
            Shape { conv: *conv, depthwise: true }.run(filter, &mut output);
        }
    }

    fn depthwise_served(
        self,
        conv: &Conv<'_>,
        filter: &Filter<'_>,
        scratch: &mut [i16],
        mut output: Output<'_>,
    ) -> Option<()> {
        planes(conv, filter, scratch, &mut output)
    }

    fn dense(self, dense: &Dense<'_>, filter: &Filter<'_>, _scratch: &mut [i16], mut output: Output<'_>) {
        // `None` is a slice that is too short: the artifact's check excludes it.
        let _ = match &mut output {
            Output::Real(values) => dense::real(dense, filter, values),
            _ => dense::run(dense, filter, &mut output),
        };
    }

    fn max_pool(self, conv: &Conv<'_>, y: &mut [i8]) {
        pool::max(conv, y);
    }

    fn avg_pool(self, conv: &Conv<'_>, count_padding: bool, clamp: Clamp, y: &mut [i8]) {
        pool::average(conv, count_padding, clamp, y);
    }

    fn add(self, add: &Add, a: Option<&[i8]>, b: Option<&[i8]>, y: &mut [i8]) {
        elementwise::add(add, a, b, y);
    }
}
