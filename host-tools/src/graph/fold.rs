//! Folds batch norm into the convolution or dense layer before it, posterior included.

use super::check::check;
use super::params::Posterior;
use super::{Graph, Node, NodeId, NodeParams, Op, Params};
use crate::error::{Error, Result};
use ndarray::{ArrayD, Axis};

/// Lowest log-variance that folding produces: its variance, 1.6e-38, is the smallest that is still
/// a normal f32. A channel whose scale is zero has this instead of minus infinity.
pub const LOG_VAR_FLOOR: f32 = -87.0;

/// The same network in eval mode without the batch norms that directly follow a convolution or dense
/// layer which nothing else reads. Their scale and shift go into that layer's weight and bias; if the
/// layer is the Bayesian one, `log_var` grows by `2 ln|scale|` of its output channel, since
/// `scale * w` has the standard deviation `|scale| * sigma`. A scale of zero makes a weight that is
/// certainly zero: its `log_var` becomes [`LOG_VAR_FLOOR`].
///
/// Other batch norms stay. Nodes keep their names; indices close up, also [`Posterior::node`].
///
/// # Errors
/// If the graph is not consistent, a tensor is missing or has another shape than the graph says, the
/// posterior is not that of a weighted node, or a batch norm's variance is not a positive number.
pub fn fold_batch_norm(
    graph: &Graph,
    params: &Params,
    posterior: Option<&Posterior>,
) -> Result<(Graph, Params, Option<Posterior>)> {
    check(graph)?;
    check_params(graph, params)?;
    if let Some(posterior) = posterior {
        check_posterior(graph, params, posterior)?;
    }
    let readers = count_readers(graph);
    let mut folded = Folded::new(graph, posterior);
    for (id, node) in graph.nodes.iter().enumerate() {
        match node.op {
            Op::BatchNorm { eps, .. } if readers[node.inputs[0]] == 1 => {
                folded.batch_norm(node, eps, &params.nodes[id])?;
            }
            _ => folded.keep(node, &params.nodes[id]),
        }
    }
    Ok((folded.graph, folded.params, folded.posterior))
}

/// The new network while it grows.
struct Folded<'a> {
    graph: Graph,
    params: Params,
    posterior: Option<Posterior>,
    /// The new node that computes what each old node did.
    new_id: Vec<NodeId>,
    old_posterior: Option<&'a Posterior>,
}

impl<'a> Folded<'a> {
    fn new(graph: &Graph, posterior: Option<&'a Posterior>) -> Self {
        Self {
            graph: Graph { name: graph.name.clone(), task: graph.task, nodes: Vec::new() },
            params: Params { nodes: Vec::new() },
            posterior: None,
            new_id: Vec::with_capacity(graph.nodes.len()),
            old_posterior: posterior,
        }
    }

    fn keep(&mut self, node: &Node, params: &NodeParams) {
        let id = self.graph.nodes.len();
        if let Some(old) = self.old_posterior.filter(|old| old.node == self.new_id.len()) {
            self.posterior = Some(Posterior { node: id, log_var: old.log_var.clone() });
        }
        let inputs = node.inputs.iter().map(|&input| self.new_id[input]).collect();
        self.graph.nodes.push(Node { inputs, ..node.clone() });
        self.params.nodes.push(params.clone());
        self.new_id.push(id);
    }

    /// Folds a batch norm if its producer (itself perhaps already folded into) has a kernel.
    fn batch_norm(&mut self, node: &Node, eps: f32, params: &NodeParams) -> Result<()> {
        let target = self.new_id[node.inputs[0]];
        if !self.graph.nodes[target].op.is_weighted() {
            self.keep(node, params);
            return Ok(());
        }
        let affine = Affine::of(node, eps, params)?;
        affine.fold_into(&mut self.params.nodes[target]);
        if let Some(posterior) = self.posterior.as_mut().filter(|posterior| posterior.node == target) {
            affine.widen(&mut posterior.log_var);
        }
        if let Op::Conv2d { bias, .. } | Op::Dense { bias, .. } = &mut self.graph.nodes[target].op {
            *bias = true;
        }
        self.new_id.push(target);
        Ok(())
    }
}

/// `y = scale * x + shift` of each channel: batch norm with fixed statistics.
struct Affine {
    scale: Vec<f64>,
    shift: Vec<f64>,
}

impl Affine {
    fn of(node: &Node, eps: f32, params: &NodeParams) -> Result<Self> {
        let values = |tensor: &Option<ArrayD<f32>>| -> Vec<f64> {
            tensor.iter().flatten().map(|&value| f64::from(value)).collect()
        };
        let (gamma, beta) = (values(&params.gamma), values(&params.beta));
        let (mean, variance) = (values(&params.running_mean), values(&params.running_var));
        let mut affine = Self { scale: Vec::new(), shift: Vec::new() };
        for channel in 0..node.shape.channels {
            let sum = variance[channel] + f64::from(eps);
            if !(sum.is_finite() && sum > 0.0) {
                return Err(Error::invalid(
                    format!("node {}: running_var + eps of channel {channel}", node.name),
                    sum,
                    "a positive number",
                ));
            }
            let scale = gamma[channel] / sum.sqrt();
            affine.scale.push(scale);
            affine.shift.push(beta[channel] - scale * mean[channel]);
        }
        Ok(affine)
    }

    fn fold_into(&self, layer: &mut NodeParams) {
        if let Some(weight) = &mut layer.weight {
            for (mut kernel, &scale) in weight.axis_iter_mut(Axis(0)).zip(&self.scale) {
                kernel.mapv_inplace(|w| (f64::from(w) * scale) as f32);
            }
        }
        let old = layer.bias.take().unwrap_or_else(|| ArrayD::zeros(vec![self.scale.len()]));
        let bias = old.iter().zip(&self.scale).zip(&self.shift);
        let bias: ndarray::Array1<f32> =
            bias.map(|((&bias, scale), shift)| (f64::from(bias) * scale + shift) as f32).collect();
        layer.bias = Some(bias.into_dyn());
    }

    fn widen(&self, log_var: &mut ArrayD<f32>) {
        for (mut kernel, scale) in log_var.axis_iter_mut(Axis(0)).zip(&self.scale) {
            // Minus infinity for a scale of zero; the floor makes it finite.
            let growth = 2.0 * scale.abs().ln();
            kernel.mapv_inplace(|value| ((f64::from(value) + growth) as f32).max(LOG_VAR_FLOOR));
        }
    }
}

/// How many inputs each node feeds.
fn count_readers(graph: &Graph) -> Vec<usize> {
    let mut readers = vec![0; graph.nodes.len()];
    for &input in graph.nodes.iter().flat_map(|node| &node.inputs) {
        readers[input] += 1;
    }
    readers
}

/// Every tensor that the graph asks for is there, in its shape.
fn check_params(graph: &Graph, params: &Params) -> Result<()> {
    if params.nodes.len() != graph.nodes.len() {
        return Err(Error::invalid(
            format!("parameters of {}", graph.name),
            format!("{} nodes", params.nodes.len()),
            format!("{} nodes", graph.nodes.len()),
        ));
    }
    for ((node, found), expected) in graph.nodes.iter().zip(&params.nodes).zip(&Params::zeros(graph).nodes) {
        for (name, expected) in expected.tensors() {
            let found = found.tensors().find(|(other, _)| *other == name).map(|(_, tensor)| tensor.shape());
            if found != Some(expected.shape()) {
                let found = found.map_or_else(|| "none".to_owned(), |shape| format!("{shape:?}"));
                return Err(Error::invalid(
                    format!("node {}: shape of {name}", node.name),
                    found,
                    format!("{:?}", expected.shape()),
                ));
            }
        }
    }
    Ok(())
}

fn check_posterior(graph: &Graph, params: &Params, posterior: &Posterior) -> Result<()> {
    let weight = params.nodes.get(posterior.node).and_then(|node| node.weight.as_ref());
    let Some(weight) = weight.filter(|_| graph.nodes[posterior.node].op.is_weighted()) else {
        return Err(Error::invalid(
            "posterior: node",
            posterior.node,
            format!("a convolution or dense layer of {}", graph.name),
        ));
    };
    if weight.shape() != posterior.log_var.shape() {
        return Err(Error::invalid(
            format!("posterior of node {}: shape of log_var", graph.nodes[posterior.node].name),
            format!("{:?}", posterior.log_var.shape()),
            format!("{:?}", weight.shape()),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
