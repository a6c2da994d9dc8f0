//! Convolutions and dense layers.

use super::importer::{Importer, Padding, Value, finite};
use super::layout::{Axis, View};
use super::node::OnnxNode;
use super::tensor::Constant;
use super::window::Spatial;
use crate::error::Result;
use crate::graph::{NodeParams, Op, Window};
use ndarray::{Array1, ArrayD};

impl<'a> Importer<'a> {
    /// Conv with 1 or 2 positional axes; 1-D runs as 2-D over one row.
    pub(super) fn conv(&mut self, node: &OnnxNode<'a>) -> Result<View> {
        let (view, padding) = match self.input(node, 0)? {
            Value::Padded(view, padding) => (view, padding),
            _ => (self.view(node, 0)?, Padding::default()),
        };
        let axes = view.spatial(node)?;
        let weight = self.constant(node, 1)?.ok_or_else(|| node.unusable("no weight", "a constant"))?;
        if weight.dims.len() != 2 + axes.len() {
            let found = format!("weight of dimensions {:?}", weight.dims);
            return Err(node.unusable(found, format!("{} axes", 2 + axes.len())));
        }
        let values = weight.to_f32();
        finite(node, &values)?;
        let [out, inputs] = [weight.dims[0], weight.dims[1]];
        let spatial = Spatial::of_kernel(&axes, &weight.dims[2..]);
        let window = spatial.window(node, view.shape, padding)?;
        let (view, window) = self.narrow_padding(node, view, window)?;
        let groups = usize::try_from(node.int("group", 1)).unwrap_or(0);
        if groups == 0 || inputs.checked_mul(groups) != Some(view.shape.channels) {
            return Err(node.unusable(
                format!("{groups} groups of {inputs} input channels"),
                format!("{} input channels", view.shape.channels),
            ));
        }
        let bias = match node.input(2) {
            Some(_) => Some(Array1::from(self.numbers(node, 2, out)?).into_dyn()),
            None => None,
        };
        let taps = window.kernel[0] * window.kernel[1];
        let weight = channels_last(&values, [out, inputs, taps]);
        let shape = vec![out, window.kernel[0], window.kernel[1], inputs];
        let op = Op::Conv2d { out_channels: out, window, groups, bias: bias.is_some() };
        let params = NodeParams { weight: Some(array(node, shape, weight)?), bias, ..NodeParams::default() };
        let (id, shape) = self.push(node, op, &[view.node], params)?;
        Ok(View::image(id, shape, &axes))
    }

    pub(super) fn gemm(&mut self, node: &OnnxNode<'a>) -> Result<View> {
        let view = self.view(node, 0)?;
        if node.int("transA", 0) != 0 || view.rank() != 2 {
            return Err(node.unusable("a transposed or not two-dimensional first input", "[N, features]"));
        }
        let (alpha, beta) = (node.float("alpha", 1.0), node.float("beta", 1.0));
        let weight = self.constant(node, 1)?.ok_or_else(|| node.unusable("no weight", "a constant"))?;
        let transposed = node.int("transB", 0) != 0;
        let (weight, out) = matrix(node, &weight, transposed, alpha)?;
        let bias = match self.constant(node, 2)? {
            Some(bias) => Some(row(node, &bias, out, beta)?),
            None => None,
        };
        self.dense(node, &view, weight, out, bias)
    }

    /// MatMul with a constant matrix: a dense layer, or a 1x1 convolution where positions remain.
    pub(super) fn mat_mul(&mut self, node: &OnnxNode<'a>) -> Result<View> {
        let view = self.view(node, 0)?;
        let weight = self.constant(node, 1)?.ok_or_else(|| node.unusable("no weight", "a constant"))?;
        let (weight, out) = matrix(node, &weight, false, 1.0)?;
        self.dense(node, &view, weight, out, None)
    }

    /// `weight`: `[inputs][out]` in ONNX's order of the last axis.
    fn dense(
        &mut self,
        node: &OnnxNode<'a>,
        view: &View,
        weight: Vec<f32>,
        out: usize,
        bias: Option<Vec<f32>>,
    ) -> Result<View> {
        finite(node, &weight)?;
        let last = view.rank() - 1;
        let inputs = view.dims()[last];
        if inputs * out != weight.len() || last == 0 {
            let found = format!("{inputs} inputs ({})", view.describe());
            return Err(node.unusable(found, format!("{} rows of the matrix", weight.len() / out)));
        }
        let graph_index = view.graph_indices(last);
        let mut rows = vec![0.0; weight.len()];
        for (i, values) in weight.chunks_exact(out).enumerate() {
            for (o, &value) in values.iter().enumerate() {
                rows[o * inputs + graph_index[i]] = value;
            }
        }
        let has_bias = bias.is_some();
        let bias = bias.map(|bias| Array1::from(bias).into_dyn());
        let positions = view.axes[..last].iter().any(|axes| !axes.is_empty());
        if positions {
            if !matches!(view.axes[last][..], [] | [Axis::C]) {
                return Err(
                    node.unusable(format!("a matrix product over {}", view.describe()), "channels last")
                );
            }
            let op = Op::Conv2d { out_channels: out, window: Window::valid(1, 1), groups: 1, bias: has_bias };
            let weight = Some(array(node, vec![out, 1, 1, inputs], rows)?);
            let params = NodeParams { weight, bias, ..NodeParams::default() };
            let (id, shape) = self.push(node, op, &[view.node], params)?;
            let mut axes: Vec<&[Axis]> = view.axes.iter().map(Vec::as_slice).collect();
            axes[last] = &[Axis::C];
            return Ok(View::new(id, shape, &axes));
        }
        let weight = Some(array(node, vec![out, inputs], rows)?);
        let params = NodeParams { weight, bias, ..NodeParams::default() };
        let (id, shape) =
            self.push(node, Op::Dense { out_features: out, bias: has_bias }, &[view.node], params)?;
        let mut axes: Vec<&[Axis]> = vec![&[]; view.rank()];
        axes[last] = &[Axis::C];
        Ok(View::new(id, shape, &axes))
    }
}

/// A matrix as `[inputs][out]` times `factor`, and its number of outputs.
fn matrix(
    node: &OnnxNode<'_>,
    weight: &Constant,
    transposed: bool,
    factor: f32,
) -> Result<(Vec<f32>, usize)> {
    // Leading axes of size 1 broadcast.
    let (lead, dims) = weight.dims.split_at(weight.dims.len().saturating_sub(2));
    let &[rows, columns] = dims else {
        return Err(node.unusable(format!("weight of dimensions {:?}", weight.dims), "a matrix"));
    };
    if lead.iter().any(|&dim| dim != 1) || rows == 0 || columns == 0 {
        return Err(
            node.unusable(format!("weight of dimensions {:?}", weight.dims), "one matrix with values")
        );
    }
    let values: Vec<f32> = weight.to_f32().into_iter().map(|value| value * factor).collect();
    if !transposed {
        return Ok((values, columns));
    }
    let by_input = (0..columns).flat_map(|i| (0..rows).map(move |o| o * columns + i));
    Ok((by_input.map(|at| values[at]).collect(), rows))
}

/// A bias of one value an output, or one for all.
fn row(node: &OnnxNode<'_>, bias: &Constant, out: usize, factor: f32) -> Result<Vec<f32>> {
    let values: Vec<f32> = bias.to_f32().into_iter().map(|value| value * factor).collect();
    finite(node, &values)?;
    match values.len() {
        len if len == out && bias.dims.last() == Some(&out) => Ok(values),
        1 => Ok(vec![values[0]; out]),
        len => Err(node.unusable(format!("a bias of {len} values ({:?})", bias.dims), out)),
    }
}

/// `[out, in, taps]` to `[out, taps, in]`.
fn channels_last(values: &[f32], [out, inputs, taps]: [usize; 3]) -> Vec<f32> {
    let mut result = Vec::with_capacity(values.len());
    for o in 0..out {
        for tap in 0..taps {
            result.extend((0..inputs).map(|c| values[(o * inputs + c) * taps + tap]));
        }
    }
    result
}

pub(super) fn array(node: &OnnxNode<'_>, shape: Vec<usize>, values: Vec<f32>) -> Result<ArrayD<f32>> {
    let len = values.len();
    let expected = format!("{shape:?}");
    ArrayD::from_shape_vec(shape, values).map_err(|_| node.unusable(format!("{len} values"), expected))
}
