//! Which operator is imported how; shape changes are views and cost nothing.

use super::fold::{axes_of, permutation, reshaped, squeeze_axes};
use super::importer::{Importer, Value};
use super::layout::View;
use super::node::{OnnxNode, axis};
use super::tensor::Constant;
use crate::error::Result;

/// ONNX operators that are imported where they work on activations.
pub const SUPPORTED: &[&str] = &[
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Cast",
    "Clip",
    "Concat",
    "Conv",
    "Div",
    "Dropout",
    "Elu",
    "Erf",
    "Flatten",
    "Gelu",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "LeakyRelu",
    "LogSoftmax",
    "MatMul",
    "MaxPool",
    "Mul",
    "PRelu",
    "Pad",
    "ReduceMean",
    "Relu",
    "Reshape",
    "Shape",
    "Sigmoid",
    "Softmax",
    "Squeeze",
    "Sub",
    "Tanh",
    "Transpose",
    "Unsqueeze",
];

impl<'a> Importer<'a> {
    /// What a node with an activation among its inputs computes.
    pub(super) fn operator(&mut self, node: &OnnxNode<'a>) -> Result<Value> {
        let view = match node.op() {
            "Conv" => self.conv(node)?,
            "Gemm" => self.gemm(node)?,
            "MatMul" => self.mat_mul(node)?,
            "BatchNormalization" => self.batch_norm(node)?,
            "Add" | "Sub" | "Mul" | "Div" => self.arithmetic(node)?,
            "PRelu" => self.prelu(node)?,
            "Relu" | "LeakyRelu" | "Clip" | "HardSigmoid" | "HardSwish" | "Sigmoid" | "Tanh" | "Elu"
            | "Gelu" | "Erf" => self.activation(node)?,
            "MaxPool" | "GlobalMaxPool" => self.max_pool(node)?,
            "AveragePool" => self.average_pool(node)?,
            "GlobalAveragePool" | "ReduceMean" => self.mean(node)?,
            "Concat" => self.concat(node)?,
            "Pad" => return self.padding(node),
            "Identity" => return self.input(node, 0),
            "Cast" => return self.cast(node),
            "Dropout" => self.dropout(node)?,
            "Softmax" | "LogSoftmax" => return self.softmax(node),
            _ => self.shape_change(node)?,
        };
        Ok(Value::View(view))
    }

    /// The graph has no types: what changes only the precision is nothing, what rounds or compares is refused.
    fn cast(&self, node: &OnnxNode<'a>) -> Result<Value> {
        match node.int("to", 0) {
            // FLOAT, FLOAT16, DOUBLE, BFLOAT16.
            1 | 10 | 11 | 16 => self.input(node, 0),
            to => Err(node.unusable(format!("a cast to type {to}"), "to a float type (1, 10, 11 or 16)")),
        }
    }

    fn dropout(&mut self, node: &OnnxNode<'a>) -> Result<View> {
        if self.constant(node, 2)?.is_some_and(|training| training.scalar() != Some(0.0)) {
            return Err(node.unusable("training mode", "a file exported for inference"));
        }
        self.view(node, 0)
    }

    fn shape_change(&mut self, node: &OnnxNode<'a>) -> Result<View> {
        let view = self.view(node, 0)?;
        let constant = self.constant(node, 1)?;
        let constant: Option<&Constant> = constant.as_deref();
        match node.op() {
            "Reshape" => view.reshape(node, &reshaped(node, &view.dims(), constant)?),
            "Flatten" => {
                let at = axis(node, node.int("axis", 1), view.rank())?;
                let dims = view.dims();
                view.reshape(node, &[dims[..at].iter().product(), dims[at..].iter().product()])
            }
            "Transpose" => view.transpose(node, &permutation(node, view.rank())?),
            "Squeeze" | "Unsqueeze" => {
                let axes = axes_of(node, constant)?;
                let mut result = view;
                // The batch axis stays: it is never of size 1 for good.
                let batch = result.axes.remove(0);
                let inner = inner_axes(node, axes.as_deref(), result.axes.len() + 1)?;
                squeeze_axes(node, inner.as_deref(), &mut result.axes, Vec::new, Vec::is_empty)?;
                result.axes.insert(0, batch);
                Ok(result)
            }
            _ => Err(node.unusable("this operator", "an operator of the list in `stf import --help`")),
        }
    }

    /// Softmax and LogSoftmax belong to the loss and the prediction: what they read is the output.
    fn softmax(&mut self, node: &OnnxNode<'a>) -> Result<Value> {
        let view = self.view(node, 0)?;
        let default = if node.opset >= 13 { -1 } else { 1 };
        let along = axis(node, node.int("axis", default), view.rank())?;
        let others = (0..view.rank()).filter(|&i| i != along).any(|i| !view.axes[i].is_empty());
        if others || along == 0 {
            return Err(node.unusable(
                format!("axis {along} of {}", view.describe()),
                "the classes, at the end of the network",
            ));
        }
        Ok(Value::Probabilities(view))
    }
}

/// Squeezed or inserted axes of a tensor with a batch axis, as axes of the rest.
fn inner_axes(node: &OnnxNode<'_>, axes: Option<&[i64]>, rank: usize) -> Result<Option<Vec<i64>>> {
    let Some(axes) = axes else { return Ok(None) };
    let whole = if node.op() == "Squeeze" { rank } else { rank + axes.len() };
    let inner = axes.iter().map(|&a| match axis(node, a, whole)? {
        0 => Err(node.unusable("axis 0", "a batch axis that stays first")),
        a => Ok(a as i64 - 1),
    });
    inner.collect::<Result<Vec<_>>>().map(Some)
}
