//! What every kind of layer has: inputs, an output, weights, a cost.

use super::manifest::{Layer, Tensor, Weights};

impl Layer {
    /// The first tensor it reads.
    #[must_use]
    pub fn input(&self) -> Tensor {
        match *self {
            Self::Conv2d { input, .. }
            | Self::DepthwiseConv2d { input, .. }
            | Self::Dense { input, .. }
            | Self::MaxPool { input, .. }
            | Self::AvgPool { input, .. }
            | Self::Lookup { input, .. }
            | Self::DenseOutput { input, .. }
            | Self::Pad { input, .. }
            | Self::Dequantize { input } => input,
            Self::Add { a, .. } | Self::Sub { a, .. } | Self::Mul { a, .. } | Self::Concat { a, .. } => a,
        }
    }

    /// The second tensor it reads, if it reads two.
    #[must_use]
    pub fn second_input(&self) -> Option<Tensor> {
        match *self {
            Self::Add { b, .. } | Self::Sub { b, .. } | Self::Mul { b, .. } | Self::Concat { b, .. } => {
                Some(b)
            }
            _ => None,
        }
    }

    /// The int8 tensor it writes; `None` for the layers that write the network's f32 outputs.
    #[must_use]
    pub fn output(&self) -> Option<Tensor> {
        match *self {
            Self::Conv2d { output, .. }
            | Self::DepthwiseConv2d { output, .. }
            | Self::Dense { output, .. }
            | Self::MaxPool { output, .. }
            | Self::AvgPool { output, .. }
            | Self::Add { output, .. }
            | Self::Sub { output, .. }
            | Self::Mul { output, .. }
            | Self::Concat { output, .. }
            | Self::Pad { output, .. }
            | Self::Lookup { output, .. } => Some(output),
            Self::DenseOutput { .. } | Self::Dequantize { .. } => None,
        }
    }

    /// Its weights, if it has any.
    #[must_use]
    pub fn weights(&self) -> Option<Weights> {
        match *self {
            Self::Conv2d { weights, .. }
            | Self::DepthwiseConv2d { weights, .. }
            | Self::Dense { weights, .. }
            | Self::DenseOutput { weights, .. } => Some(weights),
            _ => None,
        }
    }

    /// Number of channels with a bias of their own; 0 without weights.
    #[must_use]
    pub fn out_channels(&self) -> u32 {
        self.weights().map_or(0, |weights| weights.bias.len / 4)
    }

    /// Multiply-accumulates of one pass; only convolutions and dense layers count, and padding counts
    /// as in the published figures.
    #[must_use]
    pub fn macs(&self) -> u64 {
        let Some(weights) = self.weights() else { return 0 };
        let values = u64::from(weights.values.len);
        match self {
            Self::Conv2d { output, .. } | Self::DepthwiseConv2d { output, .. } => {
                values * u64::from(output.height) * u64::from(output.width)
            }
            _ => values,
        }
    }

    /// The field's name of the layer.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Conv2d { .. } => "Conv2d",
            Self::DepthwiseConv2d { .. } => "DepthwiseConv2d",
            Self::Dense { .. } => "Dense",
            Self::MaxPool { .. } => "MaxPool",
            Self::AvgPool { .. } => "AvgPool",
            Self::Add { .. } => "Add",
            Self::Lookup { .. } => "Lookup",
            Self::DenseOutput { .. } => "DenseOutput",
            Self::Dequantize { .. } => "Dequantize",
            Self::Sub { .. } => "Sub",
            Self::Mul { .. } => "Mul",
            Self::Concat { .. } => "Concat",
            Self::Pad { .. } => "Pad",
        }
    }
}
