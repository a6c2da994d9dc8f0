//! Cores with the M-profile vector extension (Cortex-M55, M85): 16 multiplications an instruction.
//!
//! Windows of four pixels are gathered as they are, int8, with the zero point in place of padding; each row of
//! weights meets all four, and its own sum on the way:
//! `sum (x - zero_point) * w = sum x * w - zero_point * sum w`. Tails are predicated, so that no row has to be of
//! any length. What these loops do not serve is the DSP extension's, which such cores have too.

mod add;
mod depthwise;
mod dots;
mod finish;
mod windows;

use super::Dsp;
use super::finish::mean_filter;
use crate::artifact::{Clamp, Layer};
use crate::kernels::{Add, Conv, Dense, Filter, Isa, Output};
use dots::{Dots, WINDOWS};
use windows::Gather;

/// Proof that this core has the vector extension, and with it the DSP extension and an FPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::kernels) struct Mve(Dsp);

impl Mve {
    /// Whoever enables the feature says that the core has them.
    pub(in crate::kernels) const fn new() -> Self {
        Self(Dsp::new())
    }
}

/// The windows of neighbouring pixels in `scratch`, or where they are in the input. `None` if a slice is too
/// short.
#[inline(never)]
fn convolution(
    conv: &Conv<'_>,
    filter: &Filter<'_>,
    scratch: &mut [i8],
    output: &mut Output<'_>,
) -> Option<()> {
    let Conv { x, y, window, .. } = *conv;
    let patch = window.area() as usize * usize::from(x.channels);
    // Windows of one value that step by one lie side by side in the input.
    let in_place = window.kernel == [1, 1] && window.stride == [1, 1] && window.pad == [0, 0];
    let fits = in_place || scratch.len().checked_div(patch)? >= WINDOWS;
    let outputs = usize::from(y.channels);
    let pixels = usize::from(y.height) * usize::from(y.width);
    let [of_x, of_y] = [x, y].map(|tensor| tensor.len() as usize);
    let mean = mean_filter(output);
    let weights = [Some(filter.values), mean.map(|mean| mean.values)];
    let gather = Gather::new(conv, patch);
    let mut acc = dots::ZERO;
    for image in 0..conv.input.len().checked_div(of_x)? {
        let input = conv.input.get(image * of_x..(image + 1) * of_x)?;
        let (mut pixel, mut at) = (0, [0, 0]);
        while pixel < pixels {
            let count = if fits && pixels - pixel >= WINDOWS { WINDOWS } else { 1 };
            let windows = if in_place {
                input.get(pixel * patch..(pixel + count) * patch)?
            } else {
                at = gather.run(input, at, count, scratch)?;
                scratch.get(..count * patch)?
            };
            let first = image * of_y + pixel * outputs;
            let dots = Dots { windows, patch, zero_point: x.zero_point.into() };
            dots.run(weights, outputs, &mut acc, &mut |lane, channel, sums| {
                finish::put(filter, output, first + lane * outputs + channel, channel, sums)
            })?;
            pixel += count;
        }
    }
    Some(())
}

/// Every image is a window of its own. `None` if a slice is too short.
#[inline(never)]
fn dense(dense: &Dense<'_>, filter: &Filter<'_>, output: &mut Output<'_>) -> Option<()> {
    let Dense { input, inputs, outputs, zero_point } = *dense;
    let mean = mean_filter(output);
    let weights = [Some(filter.values), mean.map(|mean| mean.values)];
    let images = input.len().checked_div(inputs)?;
    let mut acc = dots::ZERO;
    let mut image = 0;
    while image < images {
        let count = if images - image >= WINDOWS { WINDOWS } else { 1 };
        let windows = input.get(image * inputs..(image + count) * inputs)?;
        let dots = Dots { windows, patch: inputs, zero_point: zero_point.into() };
        dots.run(weights, outputs, &mut acc, &mut |lane, channel, sums| {
            finish::put(filter, output, (image + lane) * outputs + channel, channel, sums)
        })?;
        image += count;
    }
    Some(())
}

/// Bayesian first layers, which need more than int8 outputs, are left to the DSP kernels.
fn serves_depthwise(conv: &Conv<'_>, output: &Output<'_>) -> bool {
    matches!(output, Output::Int8 { .. }) && depthwise::serves(conv.y.channels.into())
}

impl Isa for Mve {
    fn name(self) -> &'static str {
        "cortex-m-mve"
    }

    // No more than the DSP kernels: a host computes one workspace for both.
    fn scratch_values(self, layer: &Layer, images: usize) -> usize {
        self.0.scratch_values(layer, images)
    }

    fn conv2d(self, conv: &Conv<'_>, filter: &Filter<'_>, scratch: &mut [i16], output: Output<'_>) {
        // `None` is a slice that is too short: the artifact's check excludes it.
        let _ = self.conv2d_served(conv, filter, scratch, output);
    }

    fn conv2d_served(
        self,
        conv: &Conv<'_>,
        filter: &Filter<'_>,
        scratch: &mut [i16],
        mut output: Output<'_>,
    ) -> Option<()> {
        convolution(conv, filter, bytemuck::cast_slice_mut(scratch), &mut output)
    }

    fn depthwise(self, conv: &Conv<'_>, filter: &Filter<'_>, scratch: &mut [i16], mut output: Output<'_>) {
        if serves_depthwise(conv, &output) {
            // As in `conv2d`.
            let _ = depthwise::depthwise(conv, filter, &mut output);
        } else {
            self.0.depthwise(conv, filter, scratch, output);
        }
    }

    fn depthwise_served(
        self,
        conv: &Conv<'_>,
        filter: &Filter<'_>,
        scratch: &mut [i16],
        mut output: Output<'_>,
    ) -> Option<()> {
        if serves_depthwise(conv, &output) {
            depthwise::depthwise(conv, filter, &mut output)
        } else {
            self.0.depthwise_served(conv, filter, scratch, output)
        }
    }

    fn dense(self, layer: &Dense<'_>, filter: &Filter<'_>, _scratch: &mut [i16], mut output: Output<'_>) {
        // As in `conv2d`.
        let _ = dense(layer, filter, &mut output);
    }

    fn max_pool(self, conv: &Conv<'_>, y: &mut [i8]) {
        self.0.max_pool(conv, y);
    }

    fn avg_pool(self, conv: &Conv<'_>, count_padding: bool, clamp: Clamp, y: &mut [i8]) {
        self.0.avg_pool(conv, count_padding, clamp, y);
    }

    fn add(self, add: &Add, a: Option<&[i8]>, b: Option<&[i8]>, y: &mut [i8]) {
        add::add(add, a, b, y);
    }
}
