//! What every kind of layer has: inputs, an output, weights, a cost.

use super::manifest::{Clamp, Layer, Tensor, Weights};
use crate::names::names;

impl Layer {
    /// The first tensor it reads.
    #[must_use]
    pub fn input(&self) -> Tensor {
        *self.tensors().0
    }

    /// The second tensor it reads, if it reads two.
    #[must_use]
    pub fn second_input(&self) -> Option<Tensor> {
        self.tensors().1.copied()
    }

    /// The int8 tensor it writes; `None` for the layers that write the network's f32 outputs.
    #[must_use]
    pub fn output(&self) -> Option<Tensor> {
        self.tensors().2.copied()
    }

    /// What [`Self::input`], [`Self::second_input`] and [`Self::output`] are.
    #[cfg_attr(not(feature = "std"), inline(never))]
    pub(crate) const fn tensors(&self) -> (&Tensor, Option<&Tensor>, Option<&Tensor>) {
        match self {
            Self::Conv2d { input, output, .. }
            | Self::DepthwiseConv2d { input, output, .. }
            | Self::Dense { input, output, .. }
            | Self::MaxPool { input, output, .. }
            | Self::AvgPool { input, output, .. }
            | Self::Lookup { input, output, .. }
            | Self::Pad { input, output, .. } => (input, None, Some(output)),
            Self::DenseOutput { input, .. } | Self::Dequantize { input } => (input, None, None),
            Self::Add { a, b, output, .. }
            | Self::Sub { a, b, output, .. }
            | Self::Mul { a, b, output, .. }
            | Self::Concat { a, b, output, .. } => (a, Some(b), Some(output)),
        }
    }

    /// Its weights, if it has any.
    #[must_use]
    #[cfg_attr(not(feature = "std"), inline(never))]
    pub const fn weights(&self) -> Option<Weights> {
        match *self {
            Self::Conv2d { weights, .. }
            | Self::DepthwiseConv2d { weights, .. }
            | Self::Dense { weights, .. }
            | Self::DenseOutput { weights, .. } => Some(weights),
            _ => None,
        }
    }

    /// Bounds of its int8 results, if it has any.
    #[must_use]
    pub fn clamp(&self) -> Option<Clamp> {
        match *self {
            Self::Conv2d { clamp, .. }
            | Self::DepthwiseConv2d { clamp, .. }
            | Self::Dense { clamp, .. }
            | Self::AvgPool { clamp, .. }
            | Self::Add { clamp, .. }
            | Self::Sub { clamp, .. }
            | Self::Mul { clamp, .. }
            | Self::Concat { clamp, .. } => Some(clamp),
            _ => None,
        }
    }

    /// As [`Self::clamp`], of a convolution or dense layer: no table of all kinds of layers on a device.
    pub(crate) fn weighted_clamp(&self) -> Option<Clamp> {
        match *self {
            Self::Conv2d { clamp, .. } | Self::DepthwiseConv2d { clamp, .. } | Self::Dense { clamp, .. } => {
                Some(clamp)
            }
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
    pub const fn macs(&self) -> u64 {
        let Some(weights) = self.weights() else { return 0 };
        let values = weights.values.len as u64;
        match self {
            Self::Conv2d { output, .. } | Self::DepthwiseConv2d { output, .. } => {
                values * output.height as u64 * output.width as u64
            }
            _ => values,
        }
    }

    /// Its kind.
    #[must_use]
    pub const fn operator(&self) -> Operator {
        match self {
            Self::Conv2d { .. } => Operator::Conv2d,
            Self::DepthwiseConv2d { .. } => Operator::DepthwiseConv2d,
            Self::Dense { .. } => Operator::Dense,
            Self::MaxPool { .. } => Operator::MaxPool,
            Self::AvgPool { .. } => Operator::AvgPool,
            Self::Add { .. } => Operator::Add,
            Self::Lookup { .. } => Operator::Lookup,
            Self::DenseOutput { .. } => Operator::DenseOutput,
            Self::Dequantize { .. } => Operator::Dequantize,
            Self::Sub { .. } => Operator::Sub,
            Self::Mul { .. } => Operator::Mul,
            Self::Concat { .. } => Operator::Concat,
            Self::Pad { .. } => Operator::Pad,
        }
    }

    /// The field's name of the layer.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.operator().name()
    }
}

names! {
    /// A kind of layer, in the order of [`Layer`]'s variants.
    Operator {
        Conv2d = "Conv2d",
        DepthwiseConv2d = "DepthwiseConv2d",
        Dense = "Dense",
        MaxPool = "MaxPool",
        AvgPool = "AvgPool",
        Add = "Add",
        Lookup = "Lookup",
        DenseOutput = "DenseOutput",
        Dequantize = "Dequantize",
        Sub = "Sub",
        Mul = "Mul",
        Concat = "Concat",
        Pad = "Pad",
    }
}

impl Operator {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Conv2d,
        Self::DepthwiseConv2d,
        Self::Dense,
        Self::MaxPool,
        Self::AvgPool,
        Self::Add,
        Self::Lookup,
        Self::DenseOutput,
        Self::Dequantize,
        Self::Sub,
        Self::Mul,
        Self::Concat,
        Self::Pad,
    ];
}
