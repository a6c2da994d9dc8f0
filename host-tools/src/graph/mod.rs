//! The one float graph: architectures are built as it, ONNX is imported into it, the trainer runs
//! it forward and backward, the quantizer lowers it, and ONNX is exported from it.
//!
//! Nodes stand in topological order. Activations are NHWC; a feature vector is `1 x 1 x features`.

pub mod activation;
pub mod architectures;
mod builder;
mod check;
pub mod dropout;
pub mod fold;
mod initialise;
pub mod params;

pub use activation::Activation;
pub use builder::{BATCH_NORM_EPS, BATCH_NORM_MOMENTUM, GraphBuilder};
pub use check::check;
pub use params::{NodeParams, Params};

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Index of a node in [`Graph::nodes`].
pub type NodeId = usize;

/// Height, width and channels of one example's activation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Shape {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Channels.
    pub channels: usize,
}

impl Shape {
    /// Height, width, channels.
    #[must_use]
    pub const fn new(height: usize, width: usize, channels: usize) -> Self {
        Self { height, width, channels }
    }

    /// A vector of `features` values.
    #[must_use]
    pub const fn vector(features: usize) -> Self {
        Self::new(1, 1, features)
    }

    /// Number of values of one example.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// Whether there is no value at all.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}x{}", self.height, self.width, self.channels)
    }
}

/// How a window moves over an activation. Pairs are (rows, columns).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Size of the window.
    pub kernel: [usize; 2],
    /// Step; at least 1.
    pub stride: [usize; 2],
    /// Distance of neighbouring window elements; at least 1.
    pub dilation: [usize; 2],
    /// Padding before the first row and column.
    pub pad_begin: [usize; 2],
    /// Padding after the last row and column.
    pub pad_end: [usize; 2],
}

impl Window {
    /// A square window without padding.
    #[must_use]
    pub const fn valid(size: usize, stride: usize) -> Self {
        Self { kernel: [size; 2], stride: [stride; 2], dilation: [1; 2], pad_begin: [0; 2], pad_end: [0; 2] }
    }

    /// TensorFlow's `SAME` padding for this input: output size = ceil(input / stride), the odd
    /// padding element at the end.
    #[must_use]
    pub fn same(kernel: [usize; 2], stride: [usize; 2], input: Shape) -> Self {
        let mut window = Self { kernel, stride, dilation: [1; 2], pad_begin: [0; 2], pad_end: [0; 2] };
        for (axis, size) in [input.height, input.width].into_iter().enumerate() {
            let out = size.div_ceil(stride[axis]);
            let total = ((out - 1) * stride[axis] + kernel[axis]).saturating_sub(size);
            window.pad_begin[axis] = total / 2;
            window.pad_end[axis] = total - total / 2;
        }
        window
    }

    /// A square window with the same padding on all four sides (the PyTorch convention).
    #[must_use]
    pub const fn padded(size: usize, stride: usize, pad: usize) -> Self {
        Self {
            kernel: [size; 2],
            stride: [stride; 2],
            dilation: [1; 2],
            pad_begin: [pad; 2],
            pad_end: [pad; 2],
        }
    }

    /// Rows and columns of the output.
    ///
    /// # Errors
    /// If a size is zero, the stride or dilation is zero, or the window does not fit the padded input.
    pub fn output(&self, input: Shape) -> Result<[usize; 2]> {
        let mut out = [0; 2];
        for (axis, size) in [input.height, input.width].into_iter().enumerate() {
            if self.kernel[axis] == 0 || self.stride[axis] == 0 || self.dilation[axis] == 0 {
                return Err(Error::invalid("window", format!("{self:?}"), "sizes of at least 1"));
            }
            let reach = (self.kernel[axis] - 1) * self.dilation[axis] + 1;
            let padded = size + self.pad_begin[axis] + self.pad_end[axis];
            if padded < reach {
                return Err(Error::invalid(
                    "window",
                    format!("reach {reach} over {padded} padded elements"),
                    "a window that fits its input",
                ));
            }
            out[axis] = (padded - reach) / self.stride[axis] + 1;
        }
        Ok(out)
    }
}

/// What a node computes. Weights are in [`Params`] under the node's index.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Op {
    /// The network's input; always node 0 and only there.
    Input,
    /// Convolution; `groups` equal to the input channels is depthwise.
    /// Weight `[out_channels, kernel_h, kernel_w, in_channels / groups]`.
    Conv2d {
        /// Number of output channels.
        out_channels: usize,
        /// Window geometry.
        window: Window,
        /// Channel groups; divides both channel counts.
        groups: usize,
        /// Whether there is a bias per output channel.
        bias: bool,
    },
    /// Fully connected layer over all values of its input, in NHWC order. Weight `[out, in]`.
    Dense {
        /// Number of outputs.
        out_features: usize,
        /// Whether there is a bias per output.
        bias: bool,
    },
    /// Batch normalization over batch and positions.
    BatchNorm {
        /// Added to the variance.
        eps: f32,
        /// Share of the new batch in the running statistics.
        momentum: f32,
    },
    /// An element-wise function.
    Activation(Activation),
    /// Maximum over a window; padding never wins.
    MaxPool(Window),
    /// Mean over a window.
    AvgPool {
        /// Window geometry.
        window: Window,
        /// Whether padded elements count (as zeros).
        count_padding: bool,
    },
    /// Mean over all positions.
    GlobalAvgPool,
    /// Sum of two inputs of the same shape.
    Add,
    /// First input minus the second, of the same shape.
    Sub,
    /// Product of two inputs of the same shape, or of the first with a second of one value a channel.
    Mul,
    /// The second input behind the first along one axis: 0 rows, 1 columns, 2 channels.
    Concat {
        /// The axis.
        axis: usize,
    },
    /// Zeros around rows and columns.
    Pad {
        /// Rows above, columns left.
        begin: [usize; 2],
        /// Rows below, columns right.
        end: [usize; 2],
    },
    /// All values as one vector, in NHWC order.
    Flatten,
    /// Inverted dropout; does nothing outside training.
    Dropout {
        /// Probability that a value is dropped.
        rate: f32,
    },
}

impl Op {
    /// Whether the node has a kernel that can be Bayesian.
    #[must_use]
    pub const fn is_weighted(&self) -> bool {
        matches!(self, Self::Conv2d { .. } | Self::Dense { .. })
    }

    /// The field's name of the operator.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Input => "Input",
            Self::Conv2d { .. } => "Conv2d",
            Self::Dense { .. } => "Dense",
            Self::BatchNorm { .. } => "BatchNorm",
            Self::Activation(_) => "Activation",
            Self::MaxPool(_) => "MaxPool",
            Self::AvgPool { .. } => "AvgPool",
            Self::GlobalAvgPool => "GlobalAvgPool",
            Self::Add => "Add",
            Self::Sub => "Sub",
            Self::Mul => "Mul",
            Self::Concat { .. } => "Concat",
            Self::Pad { .. } => "Pad",
            Self::Flatten => "Flatten",
            Self::Dropout { .. } => "Dropout",
        }
    }
}

/// One operation with its inputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Unique name, for people and for checkpoints.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// Nodes whose outputs it reads; all of smaller index.
    pub inputs: Vec<NodeId>,
    /// Shape of its output.
    pub shape: Shape,
}

/// What the outputs of a network mean, and hence its loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Task {
    /// Logits; cross-entropy.
    Classification,
    /// Reconstruction of the (preprocessed) input; half the mean squared error.
    Reconstruction,
    /// Means of real targets, then logarithms of their variances; negative log likelihood.
    Gaussian,
}

/// A network: nodes in topological order, the last one is the output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Graph {
    /// Name of the architecture.
    pub name: String,
    /// What the outputs mean.
    pub task: Task,
    /// All nodes; node 0 is the input.
    pub nodes: Vec<Node>,
}

impl Graph {
    /// Shape of the input.
    #[must_use]
    pub fn input_shape(&self) -> Shape {
        self.nodes[0].shape
    }

    /// Shape of the output.
    #[must_use]
    pub fn output_shape(&self) -> Shape {
        self.nodes[self.output()].shape
    }

    /// The output node.
    #[must_use]
    pub fn output(&self) -> NodeId {
        self.nodes.len() - 1
    }

    /// The first weighted node: the one that stage 2 makes Bayesian.
    ///
    /// # Errors
    /// If no node has a kernel.
    pub fn first_weighted(&self) -> Result<NodeId> {
        self.nodes.iter().position(|node| node.op.is_weighted()).ok_or_else(|| {
            Error::invalid(format!("network {}", self.name), "no convolution or dense layer", "at least one")
        })
    }

    /// Shape of a node's first input.
    #[must_use]
    pub fn input_of(&self, id: NodeId) -> Shape {
        self.nodes[self.nodes[id].inputs[0]].shape
    }

    /// Number of inputs of each output value of a weighted node (its fan-in); 0 for other nodes.
    #[must_use]
    pub fn fan_in(&self, id: NodeId) -> usize {
        match self.nodes[id].op {
            Op::Conv2d { window, groups, .. } => {
                window.kernel[0] * window.kernel[1] * (self.input_of(id).channels / groups)
            }
            Op::Dense { .. } => self.input_of(id).len(),
            _ => 0,
        }
    }

    /// Multiply-accumulates of one node for one example; only convolutions and dense layers count,
    /// as in the published figures.
    #[must_use]
    pub fn node_macs(&self, id: NodeId) -> u64 {
        (self.nodes[id].shape.len() * self.fan_in(id)) as u64
    }

    /// Multiply-accumulates of one example.
    #[must_use]
    pub fn macs(&self) -> u64 {
        (0..self.nodes.len()).map(|id| self.node_macs(id)).sum()
    }
}
