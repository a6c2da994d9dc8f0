//! Backward of one node: gradients of what it trains, and of what it read.

use super::forward::{running_affine, slice};
use super::plan::derivative_from_output;
use super::types::{Gradients, Pass, Perturbation, Trainable};
use super::{Executor, batch_norm, conv, dense, elementwise, pool};
use crate::error::Result;
use crate::graph::{NodeId, Op, Params};
use ndarray::ArrayD;
use std::ops::Range;

/// What every node of one backward pass is given.
#[derive(Clone, Copy)]
pub(super) struct BackwardPass<'a> {
    pub params: &'a Params,
    pub inputs: &'a [f32],
    pub output_gradient: &'a [f32],
    pub n: usize,
    pub pass: &'a Pass<'a>,
}

/// Where a node's gradient comes from.
pub(super) enum Incoming {
    Caller,
    Arena(Range<usize>),
}

/// Where the gradient of a node's input goes.
pub(super) struct Outgoing {
    pub range: Range<usize>,
    /// Another reader has written before: add.
    pub accumulate: bool,
}

impl Executor {
    pub(super) fn backward_node(
        &mut self,
        id: NodeId,
        pass: &BackwardPass<'_>,
        written: &mut [bool],
        gradients: &mut Gradients,
    ) -> Result<()> {
        let op = self.graph.nodes[id].op;
        if matches!(op, Op::Conv2d { .. } | Op::Dense { .. }) && self.trains(id) {
            self.timed(
                id,
                |times| &mut times.weight_gradient,
                |executor| executor.backward_parameters(id, pass, gradients),
            )?;
        }
        let passes_on =
            self.graph.nodes[id].inputs.iter().any(|&input| self.needs[self.layout.storage[input]]);
        if !passes_on && !matches!(op, Op::BatchNorm { .. }) {
            return Ok(());
        }
        self.timed(
            id,
            |times| &mut times.input_gradient,
            |executor| executor.backward_inputs(id, pass, written, gradients),
        )
    }

    /// Gradients of what the node read, and of batch norm's parameters.
    fn backward_inputs(
        &mut self,
        id: NodeId,
        pass: &BackwardPass<'_>,
        written: &mut [bool],
        gradients: &mut Gradients,
    ) -> Result<()> {
        let op = self.graph.nodes[id].op;
        match op {
            Op::Input | Op::Flatten => {}
            Op::Conv2d { .. } | Op::Dense { .. } => {
                if let Some(outgoing) = self.outgoing(id, 0, pass.n, written) {
                    self.backward_weighted_input(id, pass, &outgoing)?;
                }
            }
            Op::BatchNorm { eps, .. } => self.backward_batch_norm(id, eps, pass, written, gradients)?,
            Op::Activation(_) if self.layout.absorbed[id] => {}
            Op::Activation(_) if self.layout.bits[id] => {
                self.backward_elementwise(id, 0, pass, written, |executor, d| {
                    elementwise::relu_backward(d, &executor.relu_bits[id]);
                });
            }
            Op::Activation(activation) => {
                let saved =
                    if derivative_from_output(activation) { id } else { self.graph.nodes[id].inputs[0] };
                self.backward_elementwise(id, 0, pass, written, |executor, d| {
                    let saved = executor.read(saved, pass.inputs, pass.n);
                    elementwise::activate_backward(activation, saved, d);
                });
            }
            Op::Dropout { rate } => {
                let drops = self.trainable == Trainable::All || pass.pass.drops;
                self.backward_elementwise(id, 0, pass, written, |executor, d| {
                    if drops {
                        let first = pass.pass.first_example * executor.graph.nodes[id].shape.len();
                        elementwise::drop_out(rate, pass.pass.dropout_seed, id, first, d);
                    }
                });
            }
            Op::Add => {
                self.backward_elementwise(id, 0, pass, written, |_, _| ());
                self.backward_elementwise(id, 1, pass, written, |_, _| ());
            }
            Op::Sub | Op::Mul | Op::Concat { .. } | Op::Pad { .. } => self.backward_joint(id, pass, written),
            Op::MaxPool(_) | Op::AvgPool { .. } | Op::GlobalAvgPool => self.backward_pool(id, pass, written),
        }
        Ok(())
    }

    pub(super) fn incoming(&self, id: NodeId, n: usize) -> Incoming {
        match &self.layout.gradient[id] {
            Some(range) => Incoming::Arena(self.scaled(range, n)),
            None => Incoming::Caller,
        }
    }

    /// The place of the gradient of a node's input, and a note that it is written now.
    pub(super) fn outgoing(
        &self,
        id: NodeId,
        index: usize,
        n: usize,
        written: &mut [bool],
    ) -> Option<Outgoing> {
        let input = self.layout.storage[self.graph.nodes[id].inputs[index]];
        if !self.needs[input] {
            return None;
        }
        let range = self.scaled(self.layout.gradient[input].as_ref()?, n);
        let accumulate = std::mem::replace(&mut written[input], true);
        Some(Outgoing { range, accumulate })
    }

    pub(super) fn read_gradient<'a>(&'a self, incoming: &Incoming, pass: &BackwardPass<'a>) -> &'a [f32] {
        match incoming {
            Incoming::Caller => pass.output_gradient,
            Incoming::Arena(range) => &self.gradients[range.clone()],
        }
    }

    fn trains(&self, id: NodeId) -> bool {
        self.trainable.trains_kernel(self.first_weighted, id)
    }

    fn backward_parameters(
        &mut self,
        id: NodeId,
        pass: &BackwardPass<'_>,
        gradients: &mut Gradients,
    ) -> Result<()> {
        let x = self.read(self.graph.nodes[id].inputs[0], pass.inputs, pass.n);
        let dy = self.read_gradient(&self.incoming(id, pass.n), pass);
        let noisy = self.first_weighted == Some(id) && pass.pass.perturbation != Perturbation::None;
        let perturbation = if noisy { pass.pass.perturbation } else { Perturbation::None };
        let node = &mut gradients.nodes[id];
        let dw = mut_slice(node.weight.as_mut()).ok_or_else(|| self.missing(id, "weight gradient"))?;
        let db = mut_slice(node.bias.as_mut());
        let dnoise = mut_slice(gradients.noise.as_mut());
        match (self.graph.nodes[id].op, dnoise) {
            (Op::Conv2d { window, groups, .. }, Some(dnoise)) if noisy => {
                let geometry = self.conv_geometry(id, window, groups);
                conv::flipout_backward_weight(&geometry, x, dy, perturbation, dw, dnoise, pass.n);
            }
            (Op::Conv2d { window, groups, .. }, _) => {
                conv::backward_weight(&self.conv_geometry(id, window, groups), x, dy, dw, db, pass.n);
            }
            (_, dnoise) => {
                let geometry = self.dense_geometry(id);
                dense::backward_weight(geometry, x, dy, dw, db);
                if let (true, Some(dnoise)) = (noisy, dnoise) {
                    dense::backward_noise(geometry, x, dy, perturbation, &self.deviation, dnoise);
                }
            }
        }
        Ok(())
    }

    fn backward_weighted_input(
        &mut self,
        id: NodeId,
        pass: &BackwardPass<'_>,
        outgoing: &Outgoing,
    ) -> Result<()> {
        let weight =
            slice(pass.params.nodes[id].weight.as_ref()).ok_or_else(|| self.missing(id, "weight"))?;
        let incoming = self.incoming(id, pass.n);
        let op = self.graph.nodes[id].op;
        let dense = self.dense_geometry(id);
        let conv = match op {
            Op::Conv2d { window, groups, .. } => Some(self.conv_geometry(id, window, groups)),
            _ => None,
        };
        let (dy, dx) = self.gradient_pair(&incoming, outgoing, pass);
        match conv {
            Some(geometry) => conv::backward_input(&geometry, dy, weight, dx, pass.n, outgoing.accumulate),
            None => dense::backward_input(dense, dy, weight, dx, outgoing.accumulate),
        }
        Ok(())
    }

    pub(super) fn gradient_pair<'a>(
        &'a mut self,
        incoming: &Incoming,
        outgoing: &Outgoing,
        pass: &BackwardPass<'a>,
    ) -> (&'a [f32], &'a mut [f32]) {
        match incoming {
            Incoming::Caller => (pass.output_gradient, &mut self.gradients[outgoing.range.clone()]),
            Incoming::Arena(range) => {
                let [dy, dx] = self
                    .gradients
                    .get_disjoint_mut([range.clone(), outgoing.range.clone()])
                    .expect("the memory plan keeps a node's two gradients apart");
                (dy, dx)
            }
        }
    }

    fn backward_pool(&mut self, id: NodeId, pass: &BackwardPass<'_>, written: &mut [bool]) {
        let Some(outgoing) = self.outgoing(id, 0, pass.n, written) else { return };
        let (geometry, incoming) = (self.pool_geometry(id), self.incoming(id, pass.n));
        let winners = self.winners[id].take();
        let (dy, dx) = self.gradient_pair(&incoming, &outgoing, pass);
        match &winners {
            Some(winners) => winners.backward(&geometry, dy, dx, pass.n, outgoing.accumulate),
            None => pool::average_backward(&geometry, dy, dx, pass.n, outgoing.accumulate),
        }
        self.winners[id] = winners;
    }

    /// Passes the gradient of an element-wise node on to one of its inputs, changed by `change`.
    pub(super) fn backward_elementwise(
        &mut self,
        id: NodeId,
        index: usize,
        pass: &BackwardPass<'_>,
        written: &mut [bool],
        change: impl FnOnce(&Self, &mut [f32]),
    ) {
        let Some(outgoing) = self.outgoing(id, index, pass.n, written) else { return };
        let incoming = self.incoming(id, pass.n);
        // The gradients leave the executor for the call, so that `change` can read activations.
        let mut gradients = std::mem::take(&mut self.gradients);
        let in_place = matches!(&incoming, Incoming::Arena(range) if *range == outgoing.range);
        if in_place {
            change(self, &mut gradients[outgoing.range]);
        } else if outgoing.accumulate {
            let mut changed = match &incoming {
                Incoming::Caller => pass.output_gradient.to_vec(),
                Incoming::Arena(range) => gradients[range.clone()].to_vec(),
            };
            change(self, &mut changed);
            elementwise::add(&changed, &mut gradients[outgoing.range]);
        } else {
            match incoming {
                Incoming::Caller => {
                    elementwise::copy(pass.output_gradient, &mut gradients[outgoing.range.clone()])
                }
                Incoming::Arena(range) => {
                    let [dy, dx] = gradients
                        .get_disjoint_mut([range, outgoing.range.clone()])
                        .expect("the memory plan keeps a node's two gradients apart");
                    elementwise::copy(dy, dx);
                }
            }
            change(self, &mut gradients[outgoing.range]);
        }
        self.gradients = gradients;
    }

    fn backward_batch_norm(
        &mut self,
        id: NodeId,
        eps: f32,
        pass: &BackwardPass<'_>,
        written: &mut [bool],
        gradients: &mut Gradients,
    ) -> Result<()> {
        let node = &pass.params.nodes[id];
        let gamma = slice(node.gamma.as_ref()).ok_or_else(|| self.missing(id, "gamma"))?;
        let beta = slice(node.beta.as_ref()).ok_or_else(|| self.missing(id, "beta"))?;
        if self.trainable != Trainable::All {
            let (factor, _) = running_affine(node, gamma, beta, eps)
                .ok_or_else(|| self.missing(id, "running statistics"))?;
            let zeros = vec![0.0; factor.len()];
            self.backward_elementwise(id, 0, pass, written, |_, d| {
                batch_norm::apply_in_place(d, &factor, &zeros);
            });
            return Ok(());
        }
        let input = self.graph.nodes[id].inputs[0];
        let mut sums = None;
        self.backward_elementwise(id, 0, pass, written, |executor, d| {
            let x = executor.read(input, pass.inputs, pass.n);
            sums = Some(batch_norm::backward(&executor.statistics[id], x, gamma, d));
        });
        let (dgamma, dbeta) = match sums {
            Some(sums) => sums,
            None => {
                // Batch norm before the first weighted layer: only its own parameters learn.
                let mut d = self.read_gradient(&self.incoming(id, pass.n), pass).to_vec();
                let x = self.read(input, pass.inputs, pass.n);
                batch_norm::backward(&self.statistics[id], x, gamma, &mut d)
            }
        };
        let target = &mut gradients.nodes[id];
        store(target.gamma.as_mut(), &dgamma).ok_or_else(|| self.missing(id, "gamma gradient"))?;
        store(target.beta.as_mut(), &dbeta).ok_or_else(|| self.missing(id, "beta gradient"))
    }
}

fn mut_slice(tensor: Option<&mut ArrayD<f32>>) -> Option<&mut [f32]> {
    tensor.and_then(|tensor| tensor.as_slice_mut())
}

fn store(tensor: Option<&mut ArrayD<f32>>, values: &[f32]) -> Option<()> {
    mut_slice(tensor)?.copy_from_slice(values);
    Some(())
}
