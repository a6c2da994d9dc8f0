//! The manifest: everything a `.stf` file says about its network except the numbers in its blob.
//!
//! It is decoded with postcard, in place: strings borrow from the file, arrays are [`Blob`]s that
//! point into the blob section. The layers follow the [`Manifest`] in the same section, one after
//! another, and are decoded one at a time, so that a device holds no table of them.

pub use super::adaptive::Adaptive;
use super::facts::{Abstention, Anomaly, Conformal, Drift, Intervals};
use serde::{Deserialize, Serialize};

/// A range of bytes in the blob section. Every blob starts at a multiple of 16 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blob {
    /// First byte, counted from the start of the blob section.
    pub offset: u32,
    /// Length in bytes.
    pub len: u32,
}

/// An int8 activation tensor, NHWC with N = 1: where it lives and what its values mean.
///
/// A stored value `q` stands for `scale * (q - zero_point)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Tensor {
    /// First byte within the arena of one draw. The network's input lives in a buffer of its own,
    /// and its offset is 0.
    pub offset: u32,
    /// Rows.
    pub height: u16,
    /// Columns.
    pub width: u16,
    /// Channels.
    pub channels: u16,
    /// Real value of one step; finite, normal and positive.
    pub scale: f32,
    /// The int8 value that stands for 0.0.
    pub zero_point: i8,
}

impl Tensor {
    /// Number of values, which is also the size in bytes. Cannot overflow a `u64`.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.height as u64 * self.width as u64 * self.channels as u64
    }

    /// Whether any dimension is zero. `check` refuses such tensors.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What the outputs of the network are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Task {
    /// Logits of mutually exclusive classes.
    Classification,
    /// Real values.
    Regression,
    /// A Gaussian distribution of each of `outputs / 2` targets: all means, then the logarithms of all
    /// variances, in units in which the targets of training have mean 0 and standard deviation 1.
    Gaussian(GaussianHead),
    /// A reconstruction of the (preprocessed) input, by an autoencoder, with the reference of its anomaly
    /// score.
    Reconstruction(Option<Anomaly>),
}

/// What the outputs of a Gaussian regression mean in the units of its targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GaussianHead {
    /// f32 per target, finite: mean of the targets of training.
    pub target_mean: Blob,
    /// f32 per target, 2^-48 to 2^48: their standard deviation.
    pub target_std: Blob,
    /// Factors of prediction intervals.
    pub intervals: Option<Intervals>,
}

impl Task {
    /// Its name in figures.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Classification => "classification",
            Self::Regression => "regression",
            Self::Gaussian(_) => "gaussian",
            Self::Reconstruction(_) => "reconstruction",
        }
    }

    /// Number of targets of a Gaussian regression with so many outputs.
    #[must_use]
    pub const fn targets(&self, outputs: u16) -> Option<u16> {
        match self {
            Self::Gaussian(_) => Some(outputs / 2),
            _ => None,
        }
    }
}

/// Order of the raw values of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum InputLayout {
    /// Rows, columns, channels.
    Nhwc,
    /// Channels, rows, columns.
    Nchw,
}

/// Which raw channel is which channel of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChannelOrder {
    /// The same.
    Same,
    /// The last is the first: RGB for a network of BGR, or the reverse.
    Reversed,
}

/// The network's input and how raw values become int8.
///
/// Raw values are first brought from `layout` and `channel_order` into rows, columns and the network's
/// channels, to which `mean` and `multiplier` belong. Then
///
/// `q = clamp(round_half_even((x - mean[c]) * multiplier[c]) + zero_point)`, each operation rounded
/// to f32 by itself, where `multiplier[c] = 1 / (std[c] * tensor.scale)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct InputSpec {
    /// Shape, scale and zero point of the quantized input.
    pub tensor: Tensor,
    /// f32 per channel, in units of the raw values (pixels: 0 to 255).
    pub mean: Blob,
    /// f32 per channel.
    pub multiplier: Blob,
    /// Order of the raw values.
    pub layout: InputLayout,
    /// Order of the raw channels.
    pub channel_order: ChannelOrder,
}

/// How a kernel window moves over a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Rows and columns of the window.
    pub kernel: [u16; 2],
    /// Step in rows and columns; at least 1.
    pub stride: [u16; 2],
    /// Distance between neighbouring window elements; at least 1.
    pub dilation: [u16; 2],
    /// Padding rows above, padding columns left. What is needed below and right follows from the
    /// output's shape. A padded element has the value `zero_point` (0.0).
    pub pad: [u16; 2],
}

/// Weights of a convolution or dense layer, one row an output channel.
///
/// The accumulator of channel `c` is `bias[c] + sum((x - x_zero_point) * w)`; the exporter and the
/// loader both prove that it fits an i32 for every input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weights {
    /// int8, symmetric, `[out_channels, kernel_h, kernel_w, in_channels]`; depthwise
    /// `[kernel_h, kernel_w, channels]`; dense `[outputs, inputs]` with inputs in NHWC order.
    pub values: Blob,
    /// i32 per output channel, in units of `x_scale * weight_scale[c]`.
    pub bias: Blob,
    /// f32 per output channel: `(x_scale * weight_scale[c]) / y_scale`, or
    /// `x_scale * weight_scale[c]` where the accumulators become f32 outputs.
    pub multiplier: Blob,
}

/// Bounds of the int8 results: a fused ReLU or ReLU6, or the whole range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clamp {
    /// Least value.
    pub min: i8,
    /// Greatest value.
    pub max: i8,
}

/// One step of the network. `Tensor` fields repeat shape and quantization on both sides, so that
/// each layer can be run and checked by itself.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Layer {
    /// Convolution, all input channels to every output channel.
    Conv2d {
        /// Input activations.
        input: Tensor,
        /// Output activations.
        output: Tensor,
        /// Window geometry.
        window: Window,
        /// Weights, bias and multipliers.
        weights: Weights,
        /// Bounds of the results.
        clamp: Clamp,
    },
    /// Convolution of each channel by itself (channel multiplier 1).
    DepthwiseConv2d {
        /// Input activations.
        input: Tensor,
        /// Output activations.
        output: Tensor,
        /// Window geometry.
        window: Window,
        /// Weights, bias and multipliers.
        weights: Weights,
        /// Bounds of the results.
        clamp: Clamp,
    },
    /// Fully connected layer over the whole input tensor; the output is `1 x 1 x outputs`.
    Dense {
        /// Input activations.
        input: Tensor,
        /// Output activations.
        output: Tensor,
        /// Weights, bias and multipliers.
        weights: Weights,
        /// Bounds of the results.
        clamp: Clamp,
    },
    /// Maximum over a window; padding never wins. Same scale and zero point on both sides.
    MaxPool {
        /// Input activations.
        input: Tensor,
        /// Output activations.
        output: Tensor,
        /// Window geometry.
        window: Window,
    },
    /// Mean over a window: `clamp(round_half_even(f32(sum of (x - x_zero_point)) * m) + zero_point)`
    /// with `m = x_scale / (n * y_scale)` computed in f32 as `x_scale / (f32(n) * y_scale)`.
    AvgPool {
        /// Input activations.
        input: Tensor,
        /// Output activations.
        output: Tensor,
        /// Window geometry; a global pool has the window of the whole input.
        window: Window,
        /// Whether `n` counts padded elements (as zeros) or only those inside the input.
        count_padding: bool,
        /// Bounds of the results.
        clamp: Clamp,
    },
    /// Element-wise sum: `clamp(round_half_even(f32(a - a_zp) * m_a + f32(b - b_zp) * m_b) + zero_point)`,
    /// both products and the sum rounded one by one.
    Add {
        /// First addend.
        a: Tensor,
        /// Second addend, of the same shape.
        b: Tensor,
        /// Output activations; may lie exactly on `a` or `b`.
        output: Tensor,
        /// `a.scale / output.scale`.
        multiplier_a: f32,
        /// `b.scale / output.scale`.
        multiplier_b: f32,
        /// Bounds of the results.
        clamp: Clamp,
    },
    /// Any unary function as a table of 256 int8 values indexed by `q + 128`.
    Lookup {
        /// Input activations.
        input: Tensor,
        /// Output activations; may lie exactly on the input.
        output: Tensor,
        /// 256 int8 values.
        table: Blob,
    },
    /// Last layer, fully connected: accumulators become f32 outputs, `f32(acc) * multiplier[c]`.
    DenseOutput {
        /// Input activations.
        input: Tensor,
        /// Weights, bias and multipliers.
        weights: Weights,
    },
    /// Last layer, for networks that do not end in a dense one: `f32(q - zero_point) * scale`.
    Dequantize {
        /// Input activations.
        input: Tensor,
    },
    /// Element-wise difference: as [`Layer::Add`], the second product subtracted.
    Sub {
        /// Minuend.
        a: Tensor,
        /// Subtrahend, of the same shape.
        b: Tensor,
        /// Output activations; may lie exactly on `a` or `b`.
        output: Tensor,
        /// `a.scale / output.scale`.
        multiplier_a: f32,
        /// `b.scale / output.scale`.
        multiplier_b: f32,
        /// Bounds of the results.
        clamp: Clamp,
    },
    /// Element-wise product: `clamp(round_half_even(f32((a - a_zp) * (b - b_zp)) * m) + zero_point)`, the
    /// product of integers exact.
    Mul {
        /// First factor.
        a: Tensor,
        /// Second factor: of the same shape, or `1 x 1 x channels` for all positions.
        b: Tensor,
        /// Output activations; may lie exactly on `a`.
        output: Tensor,
        /// `(a.scale * b.scale) / output.scale`.
        multiplier: f32,
        /// Bounds of the results.
        clamp: Clamp,
    },
    /// `b` behind `a` along one axis, each value `clamp(round_half_even(f32(q - zp) * m) + zero_point)`
    /// with its own tensor's `zp` and `m`.
    Concat {
        /// What comes first.
        a: Tensor,
        /// What comes behind it.
        b: Tensor,
        /// Output activations.
        output: Tensor,
        /// 0 rows, 1 columns, 2 channels.
        axis: u8,
        /// `a.scale / output.scale`.
        multiplier_a: f32,
        /// `b.scale / output.scale`.
        multiplier_b: f32,
        /// Bounds of the results.
        clamp: Clamp,
    },
    /// Zeros (the value `zero_point`) around rows and columns. Same scale and zero point on both sides.
    Pad {
        /// Input activations.
        input: Tensor,
        /// Output activations; what is padded below and right follows from its shape.
        output: Tensor,
        /// Rows above, columns left.
        begin: [u16; 2],
    },
}

/// How the first layer's noise is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoiseKind {
    /// One int8 noise weight per weight and draw, shared by all positions: a draw is a network.
    Weights,
    /// Dense first layers only: Gaussian noise per output with the variance that the weights'
    /// posterior gives for this input (local reparameterization, exact for a dense layer).
    Outputs,
}

/// The prior that stage 2 used, for the record.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// Whether the prior mean is the stage-1 weights (`map`) or zero (`zero`).
    pub mean_is_map: bool,
    /// Standard deviation of the prior.
    pub prior_sigma: f32,
    /// Temperature of the posterior: the factor on the KL term.
    pub temperature: f32,
}

/// The posterior of layer 0's kernel beyond its mean, which is the layer's own int8 weights.
///
/// Byte `b` of `log_var` means `log_var = log_var_max[c] - b * log_var_step` for the weight's output
/// channel `c`; `sigma = exp(log_var / 2)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Posterior {
    /// How noise is drawn.
    pub kind: NoiseKind,
    /// u8 per weight, in the layout of the layer's weights.
    pub log_var: Blob,
    /// f32 per output channel: the log-variance that byte 0 stands for.
    pub log_var_max: Blob,
    /// Distance of two neighbouring bytes, in nats of log-variance; not negative.
    pub log_var_step: f32,
    /// u16 for each of the 256 log-variance bytes.
    ///
    /// `Weights`: `n = (i32(table[b]) * eps + 2^22) >> 23` is the int8 noise weight for the integer
    /// Gaussian `eps` ([`crate::random::UNIT`] is one standard deviation), matched by the exporter
    /// so that the variance of `n` is the posterior's. `|n| <= 127` for every `eps`.
    ///
    /// `Outputs`: the weight's variance relative to the greatest of its channel, in 1/65535.
    pub table: Blob,
    /// f32 per output channel.
    ///
    /// `Weights`: `(x_scale * noise_scale[c]) / y_scale`.
    ///
    /// `Outputs`: `(x_scale * sigma_max[c]) / (y_scale * sqrt(65535) * UNIT)`, so that the noise in
    /// steps of the output is `f32(eps) * (sqrt(f32(acc_variance)) * noise_multiplier[c])`.
    pub noise_multiplier: Blob,
    /// Prior and temperature of stage 2.
    pub prior: Prior,
}

/// Where the network came from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Provenance<'a> {
    /// Name and version of the writing tool.
    pub tool: &'a str,
    /// Name of the training data.
    pub data: &'a str,
    /// Seed of training.
    pub seed: u64,
    /// Training settings and final figures, as one JSON object.
    pub training: &'a str,
}

/// The head of the manifest section; `layer_count` [`Layer`]s follow it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Manifest<'a> {
    /// Name of the network, for people.
    #[serde(borrow)]
    pub name: &'a str,
    /// What the outputs mean.
    pub task: Task,
    /// The network's input.
    pub input: InputSpec,
    /// Number of classes or output values.
    pub outputs: u16,
    /// Names of the classes, or of the targets of a Gaussian regression, joined by `\n`; empty if they
    /// have none.
    pub class_names: &'a str,
    /// Bytes of one draw's activations, all tensors included.
    pub arena_bytes: u32,
    /// Number of layers that follow.
    pub layer_count: u16,
    /// The Bayesian first layer; `None` for a plain network. It is always layer 0, a `Conv2d`,
    /// `DepthwiseConv2d` or `Dense`.
    pub posterior: Option<Posterior>,
    /// Logits are divided by this before the softmax; 1 if none was fitted.
    pub temperature: f32,
    /// When draws may end; `None` if no rule was fitted.
    pub adaptive: Option<Adaptive<'a>>,
    /// Thresholds of prediction sets.
    pub conformal: Option<Conformal>,
    /// When to answer.
    pub abstention: Option<Abstention>,
    /// Reference of the drift monitor.
    pub drift: Option<Drift>,
    /// Where it came from.
    pub provenance: Provenance<'a>,
}

impl Manifest<'_> {
    /// What a manifest is decoded into: it is too large for a second copy on a device's stack.
    pub(super) const EMPTY: Self = {
        let none = Blob { offset: 0, len: 0 };
        let tensor = Tensor { offset: 0, height: 0, width: 0, channels: 0, scale: 0.0, zero_point: 0 };
        Self {
            name: "",
            task: Task::Classification,
            input: InputSpec {
                tensor,
                mean: none,
                multiplier: none,
                layout: InputLayout::Nhwc,
                channel_order: ChannelOrder::Same,
            },
            outputs: 0,
            class_names: "",
            arena_bytes: 0,
            layer_count: 0,
            posterior: None,
            temperature: 0.0,
            adaptive: None,
            conformal: None,
            abstention: None,
            drift: None,
            provenance: Provenance { tool: "", data: "", seed: 0, training: "" },
        }
    };
}
