//! Cortex-M cores with the DSP extension and an FPU (M4F, M7, M33): two multiplications an instruction.
//!
//! The feature `cortex-m-dsp` says that the core has both: no stable `cfg` does. Convolutions expand
//! their input to i16 band by band, see [`conv`]; [`tile`] and [`plane`] are the inner loops.

mod conv;
mod dense;
mod depthwise;
mod elementwise;
mod expand;
mod noisy;
mod ops;
mod plane;
mod pool;
mod tile;

use super::cortex_m_plan as plan;
use crate::artifact::{Clamp, Layer};
use crate::kernels::{Add, Conv, Dense, Filter, Isa, Output, reference};
use conv::Out;

/// Proof that this core has the DSP extension and an FPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::kernels) struct Dsp(());

impl Dsp {
    /// Whoever enables the feature says that the core has both.
    pub(in crate::kernels) fn new() -> Self {
        Self(())
    }
}

impl Isa for Dsp {
    fn name(self) -> &'static str {
        "cortex-m-dsp"
    }

    fn scratch_values(self, layer: &Layer, _images: usize) -> usize {
        plan::scratch_values(layer).max(reference::scratch_values(layer))
    }

    fn conv2d(self, conv: &Conv<'_>, filter: &Filter<'_>, scratch: &mut [i16], output: Output<'_>) {
        if plan::Plan::new(&conv.x, &conv.y, &conv.window).is_none() {
            return reference::conv2d(conv, filter, scratch, output);
        }
        let &Filter { values, bias, multiplier, .. } = filter;
        let len = (conv.y.len() as usize).max(1);
        // `None` is a slice that is too short: the artifact's check excludes it.
        let _ = match output {
            Output::Int8 { y, zero_point, clamp } => {
                let done = conv.each_image().zip(y.chunks_exact_mut(len)).try_for_each(|(conv, y)| {
                    conv::conv2d(&conv, values, scratch, Out::Values { y, bias, multiplier, zero_point })
                });
                elementwise::clamp(y, clamp);
                done
            }
            Output::Sums(sums) => conv
                .each_image()
                .zip(sums.chunks_exact_mut(len))
                .try_for_each(|(conv, acc)| conv::conv2d(&conv, values, scratch, Out::Sums { acc, bias })),
            Output::Noisy(noisy) => noisy::conv2d(conv, filter, scratch, noisy),
            output @ Output::Real(_) => return reference::conv2d(conv, filter, scratch, output),
        };
    }

    fn depthwise(self, conv: &Conv<'_>, filter: &Filter<'_>, scratch: &mut [i16], output: Output<'_>) {
        match output {
            Output::Int8 { y, zero_point, clamp }
                if plan::depthwise(&conv.x, &conv.y, &conv.window).is_some() =>
            {
                let &Filter { values, bias, multiplier, .. } = filter;
                let to = depthwise::Requantize { bias, multiplier, zero_point };
                let len = (conv.y.len() as usize).max(1);
                let _ = conv
                    .each_image()
                    .zip(y.chunks_exact_mut(len))
                    .try_for_each(|(conv, y)| depthwise::depthwise(&conv, values, scratch, &to, y));
                elementwise::clamp(y, clamp);
            }
            output => reference::depthwise(conv, filter, output),
        }
    }

    fn dense(self, dense: &Dense<'_>, filter: &Filter<'_>, output: Output<'_>) {
        reference::finish(dense::Sweep(dense), filter, output);
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
