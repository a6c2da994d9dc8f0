//! Forward of one node.

use super::types::{Pass, Perturbation, Place, read_write};
use super::{Executor, batch_norm, conv, dense, elementwise, max_pool, pool};
use crate::error::Result;
use crate::graph::{NodeId, Op, Params};
use ndarray::ArrayD;
use std::ops::Range;

/// A parameter tensor as a slice, in standard order.
pub(super) fn slice(tensor: Option<&ArrayD<f32>>) -> Option<&[f32]> {
    tensor.and_then(|tensor| tensor.as_slice())
}

impl Executor {
    /// Computes a node's output. `batch_statistics`: as in stage 1, with dropout.
    pub(super) fn forward_node(
        &mut self,
        id: NodeId,
        params: &Params,
        inputs: &[f32],
        n: usize,
        pass: &Pass<'_>,
        batch_statistics: bool,
    ) -> Result<()> {
        let Place::Arena(target) = self.place(id, n) else { return Ok(()) };
        let op = self.graph.nodes[id].op;
        match op {
            Op::Input | Op::Flatten => {}
            Op::Conv2d { .. } | Op::Dense { .. } => {
                let first = self.first_weighted == Some(id);
                let perturbation = if first { pass.perturbation } else { Perturbation::None };
                self.forward_weighted(id, params, inputs, n, perturbation, &target)?;
            }
            Op::BatchNorm { eps, .. } => {
                self.forward_batch_norm(id, params, inputs, n, eps, batch_statistics, &target)?;
            }
            Op::Activation(_) if self.layout.absorbed[id] => {}
            Op::Activation(activation) => {
                self.copy_input(id, inputs, n, &target);
                let (y, bits) = (&mut self.activations[target], &mut self.relu_bits[id]);
                match elementwise::relu_cap(activation) {
                    Some(cap) if !bits.is_empty() => elementwise::relu(cap, y, bits),
                    _ => elementwise::activate(activation, y),
                }
            }
            Op::Dropout { rate } => {
                self.copy_input(id, inputs, n, &target);
                if batch_statistics || pass.drops {
                    let first = pass.first_example * self.graph.nodes[id].shape.len();
                    elementwise::drop_out(rate, pass.dropout_seed, id, first, &mut self.activations[target]);
                }
            }
            Op::Add => self.forward_add(id, inputs, n, &target),
            Op::Sub | Op::Mul | Op::Concat { .. } | Op::Pad { .. } => {
                self.forward_joint(id, inputs, n, &target);
            }
            Op::MaxPool(_) => {
                let (geometry, source) = (self.pool_geometry(id), self.source(id, 0, n));
                let relu = self.layout.pools_relu(&self.graph, id);
                let (x, y) = read_write(&mut self.activations, inputs, &source, &target);
                match &mut self.winners[id] {
                    Some(winners) => winners.forward(&geometry, relu, x, y, n),
                    None => max_pool::Winners::new(&geometry, n).forward(&geometry, relu, x, y, n),
                }
            }
            Op::AvgPool { .. } | Op::GlobalAvgPool => {
                let (geometry, source) = (self.pool_geometry(id), self.source(id, 0, n));
                let (x, y) = read_write(&mut self.activations, inputs, &source, &target);
                pool::average_forward(&geometry, x, y, n);
            }
        }
        Ok(())
    }

    pub(super) fn source(&self, id: NodeId, index: usize, n: usize) -> Place {
        self.place(self.graph.nodes[id].inputs[index], n)
    }

    fn forward_weighted(
        &mut self,
        id: NodeId,
        params: &Params,
        inputs: &[f32],
        n: usize,
        perturbation: Perturbation<'_>,
        target: &Range<usize>,
    ) -> Result<()> {
        let weight = slice(params.nodes[id].weight.as_ref()).ok_or_else(|| self.missing(id, "weight"))?;
        let bias = slice(params.nodes[id].bias.as_ref());
        let source = self.source(id, 0, n);
        if let Op::Conv2d { window, groups, .. } = self.graph.nodes[id].op {
            let geometry = self.conv_geometry(id, window, groups);
            let (x, y) = read_write(&mut self.activations, inputs, &source, target);
            conv::forward(&geometry, x, weight, bias, perturbation, y, n);
        } else {
            let geometry = self.dense_geometry(id);
            let (x, y) = read_write(&mut self.activations, inputs, &source, target);
            let deviation = dense::forward(geometry, x, weight, bias, perturbation, y);
            if perturbation != Perturbation::None {
                self.deviation = deviation;
            }
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "the pass's settings, used by this operator alone")]
    fn forward_batch_norm(
        &mut self,
        id: NodeId,
        params: &Params,
        inputs: &[f32],
        n: usize,
        eps: f32,
        batch_statistics: bool,
        target: &Range<usize>,
    ) -> Result<()> {
        let node = &params.nodes[id];
        let gamma = slice(node.gamma.as_ref()).ok_or_else(|| self.missing(id, "gamma"))?;
        let beta = slice(node.beta.as_ref()).ok_or_else(|| self.missing(id, "beta"))?;
        let (factor, offset) = if batch_statistics {
            let x = self.read(self.graph.nodes[id].inputs[0], inputs, n);
            let statistics = batch_norm::statistics(x, gamma.len(), eps);
            let map = batch_norm::affine(&statistics.mean, &statistics.inverse_std, gamma, beta);
            self.statistics[id] = statistics;
            map
        } else {
            running_affine(node, gamma, beta, eps).ok_or_else(|| self.missing(id, "running statistics"))?
        };
        let source = self.source(id, 0, n);
        if source == Place::Arena(target.clone()) {
            batch_norm::apply_in_place(&mut self.activations[target.clone()], &factor, &offset);
        } else {
            let (x, y) = read_write(&mut self.activations, inputs, &source, target);
            batch_norm::apply(x, &factor, &offset, y);
        }
        Ok(())
    }

    fn forward_add(&mut self, id: NodeId, inputs: &[f32], n: usize, target: &Range<usize>) {
        let (a, b) = (self.source(id, 0, n), self.source(id, 1, n));
        if a == b {
            self.copy_input(id, inputs, n, target);
            self.activations[target.clone()].iter_mut().for_each(|y| *y *= 2.0);
            return;
        }
        self.copy_input(id, inputs, n, target);
        let (b, y) = read_write(&mut self.activations, inputs, &b, target);
        elementwise::add(b, y);
    }

    /// Brings an element-wise node's first input to where its output is, if it is not there yet.
    pub(super) fn copy_input(&mut self, id: NodeId, inputs: &[f32], n: usize, target: &Range<usize>) {
        let source = self.source(id, 0, n);
        if source != Place::Arena(target.clone()) {
            let (x, y) = read_write(&mut self.activations, inputs, &source, target);
            elementwise::copy(x, y);
        }
    }
}

/// Factor and offset of batch norm by its running statistics.
pub(super) fn running_affine(
    node: &crate::graph::NodeParams,
    gamma: &[f32],
    beta: &[f32],
    eps: f32,
) -> Option<(Vec<f32>, Vec<f32>)> {
    let (mean, variance) = (slice(node.running_mean.as_ref())?, slice(node.running_var.as_ref())?);
    let inverse_std: Vec<f32> = variance.iter().map(|variance| 1.0 / (variance + eps).sqrt()).collect();
    Some(batch_norm::affine(mean, &inverse_std, gamma, beta))
}
