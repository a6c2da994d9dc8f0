//! What an instruction set may do better than the specification.

use super::{Add, Conv, Dense, Filter, NoiseDraw, Output, OutputDraw, Quantize, Raw, reference};
use crate::artifact::{Clamp, Layer};

/// Kernels of one instruction set; the methods are those of [`Kernels`](super::Kernels), and each
/// default is the specification.
pub(crate) trait Isa: Copy {
    fn name(self) -> &'static str;

    fn packed_bytes(self, _layer: &Layer) -> usize {
        0
    }

    fn pack(self, _layer: &Layer, _filter: &Filter<'_>, _to: &mut [u8]) {}

    fn scratch_values(self, layer: &Layer, _images: usize) -> usize {
        reference::scratch_values(layer)
    }

    fn draw(self, draw: &NoiseDraw<'_>, noise: &mut [i8]) {
        reference::draw(draw, noise);
    }

    fn draw_outputs(self, draw: &OutputDraw<'_>, eps: &mut [i16]) {
        reference::draw_outputs(draw, eps);
    }

    fn quantize<T: Raw>(self, x: &[T], spec: &Quantize<'_>, out: &mut [i8]) {
        reference::quantize(x, spec, out);
    }

    fn conv2d(self, conv: &Conv<'_>, filter: &Filter<'_>, scratch: &mut [i16], output: Output<'_>) {
        reference::conv2d(conv, filter, scratch, output);
    }

    fn depthwise(self, conv: &Conv<'_>, filter: &Filter<'_>, _scratch: &mut [i16], output: Output<'_>) {
        reference::depthwise(conv, filter, output);
    }

    /// As [`Self::conv2d`], without code for what [`super::Kernels::serves`] not: `None`.
    fn conv2d_served(
        self,
        conv: &Conv<'_>,
        filter: &Filter<'_>,
        scratch: &mut [i16],
        output: Output<'_>,
    ) -> Option<()> {
        self.conv2d(conv, filter, scratch, output);
        Some(())
    }

    /// As [`Self::depthwise`], without code for what [`super::Kernels::serves`] not: `None`.
    fn depthwise_served(
        self,
        conv: &Conv<'_>,
        filter: &Filter<'_>,
        scratch: &mut [i16],
        output: Output<'_>,
    ) -> Option<()> {
        self.depthwise(conv, filter, scratch, output);
        Some(())
    }

    fn dense(self, dense: &Dense<'_>, filter: &Filter<'_>, _scratch: &mut [i16], output: Output<'_>) {
        reference::dense(dense, filter, output);
    }

    fn max_pool(self, conv: &Conv<'_>, y: &mut [i8]) {
        reference::max_pool(conv, y);
    }

    fn avg_pool(self, conv: &Conv<'_>, count_padding: bool, clamp: Clamp, y: &mut [i8]) {
        reference::avg_pool(conv, count_padding, clamp, y);
    }

    fn add(self, add: &Add, a: Option<&[i8]>, b: Option<&[i8]>, y: &mut [i8]) {
        reference::add(add, a, b, y);
    }

    fn lookup(self, table: &[i8; 256], x: Option<&[i8]>, y: &mut [i8]) {
        reference::lookup(table, x, y);
    }
}

/// The specification itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reference(());

impl Reference {
    #[cfg_attr(all(feature = "cortex-m-dsp", target_os = "none"), expect(dead_code))]
    pub(super) const fn new() -> Self {
        Self(())
    }
}

impl Isa for Reference {
    fn name(self) -> &'static str {
        "reference"
    }
}
