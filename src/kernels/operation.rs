//! Operands of the kernels. Shapes are checked by `artifact::check`; kernels rely on slices' lengths
//! alone for memory safety.

use crate::artifact::{Clamp, Tensor, Window};

/// Input and geometry of a convolution (depthwise or not) or of a pool.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Conv<'a> {
    /// Input values, `[images, x.height, x.width, x.channels]`.
    pub(crate) input: &'a [i8],
    /// Shape and zero point of one input image.
    pub(crate) x: Tensor,
    /// Shape and zero point of one output image.
    pub(crate) y: Tensor,
    /// How the window moves.
    pub(crate) window: Window,
}

impl<'a> Conv<'a> {
    /// The same on each image alone.
    #[inline(always)]
    pub(crate) fn each_image(&self) -> impl Iterator<Item = Self> + use<'a> {
        let conv = *self;
        self.input.chunks_exact((self.x.len() as usize).max(1)).map(move |input| Self { input, ..conv })
    }
}

/// Input of a dense layer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dense<'a> {
    /// Input values, `[images, inputs]`.
    pub(crate) input: &'a [i8],
    /// Input values of one image; at least 1.
    pub(crate) inputs: usize,
    /// Output values of one image.
    pub(crate) outputs: usize,
    /// The int8 value that stands for 0.0.
    pub(crate) zero_point: i8,
}

/// Streams that are drawn at a time, at most.
pub(crate) const STREAMS: usize = 4;

/// The noise weights of some streams: `noise_weight(table[log_var[i]], eps[i])`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NoiseDraw<'a> {
    pub(crate) seed: u64,
    /// At most [`STREAMS`].
    pub(crate) streams: &'a [u64],
    pub(crate) table: &'a [u16; 256],
    /// A byte for each weight.
    pub(crate) log_var: &'a [u8],
}

/// The Gaussians of some streams, one for each output.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OutputDraw<'a> {
    pub(crate) seed: u64,
    /// At most [`STREAMS`].
    pub(crate) streams: &'a [u64],
    /// Values of each stream.
    pub(crate) count: usize,
}

/// How raw inputs become int8: `clamp(round_half_even((x - mean[c]) * multiplier[c]) + zero_point)`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quantize<'a> {
    /// Per channel; not empty.
    pub(crate) mean: &'a [f32],
    /// Per channel.
    pub(crate) multiplier: &'a [f32],
    pub(crate) zero_point: i8,
}

/// A raw input value.
pub(crate) trait Raw: Copy + Into<f32> {}

impl Raw for u8 {}
impl Raw for f32 {}

/// Weights of a layer and what belongs to its output channels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Filter<'a> {
    /// Weights, one row an output channel (depthwise: one row a tap).
    pub(crate) values: &'a [i8],
    /// In units of the accumulators, per output channel; noise has none: empty.
    pub(crate) bias: &'a [i32],
    /// Output steps (or real units) of one unit of the accumulators, per output channel.
    pub(crate) multiplier: &'a [f32],
    /// What [`Isa::pack`](super::Isa::pack) made of the above; empty where it makes nothing.
    #[allow(dead_code, reason = "not every target has kernels that pack")]
    pub(crate) packed: &'a [u8],
}

/// What becomes of the accumulators; output values are `[images, pixels, channels]`.
#[derive(Debug)]
pub(crate) enum Output<'a> {
    /// `requantize(acc + bias)`
    Int8 { y: &'a mut [i8], zero_point: i8, clamp: Clamp },
    /// `acc + bias`
    Sums(&'a mut [i32]),
    /// `f32(acc + bias) * multiplier`
    Real(&'a mut [f32]),
    /// A Bayesian first layer whose noise weights are the filter.
    Noisy(Noisy<'a>),
}

/// `y = clamp(round_half_even(f32(acc_mean) * m_mean + f32(±acc_noise) * m_noise) + zero_point)`
#[derive(Debug)]
pub(crate) struct Noisy<'a> {
    pub(crate) mean: Mean<'a>,
    pub(crate) zero_point: i8,
    pub(crate) clamp: Clamp,
    /// Activations with the noise as it is, or its opposite where `negate`.
    pub(crate) this: &'a mut [i8],
    /// Activations with the opposite noise; empty if nobody wants them.
    pub(crate) twin: &'a mut [i8],
    /// Whether `this` is the second draw of its pair.
    pub(crate) negate: bool,
}

/// The mean weights' part of a noisy layer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mean<'a> {
    /// Accumulators with bias, `[pixels, channels]`, and their multipliers.
    Sums { sums: &'a [i32], multiplier: &'a [f32] },
    /// Nothing is kept: the mean weights run beside the noise weights.
    Filter(Filter<'a>),
}

/// Element-wise sum: `clamp(round_half_even(f32(a - zp_a) * m_a + f32(b - zp_b) * m_b) + zero_point)`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Add {
    /// Zero points of both addends.
    pub(crate) zero_points: [i8; 2],
    /// Multipliers of both addends.
    pub(crate) multipliers: [f32; 2],
    /// Zero point of the sum.
    pub(crate) zero_point: i8,
    pub(crate) clamp: Clamp,
}
