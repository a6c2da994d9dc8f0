//! States between epochs, and their named tensors in checkpoints.

use super::config::Optimizer;
use super::optimizer::OptimizerState;
use crate::error::{Error, Result};
use crate::graph::params::Posterior;
use crate::graph::{Graph, NodeId, Params};
use crate::run::Checkpoint;
use ndarray::ArrayD;
use std::collections::BTreeMap;
use std::path::Path;

/// Stage 1 after a number of whole epochs.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage1State {
    /// Epochs finished.
    pub epoch: usize,
    /// The network.
    pub params: Params,
    /// Momentum or moments.
    pub optimizer: OptimizerState,
}

/// Stage 2 after a number of whole epochs.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage2State {
    /// Epochs finished.
    pub epoch: usize,
    /// The network; the first kernel is mu, all else is as stage 1 left it.
    pub params: Params,
    /// The first kernel's posterior.
    pub posterior: Posterior,
    /// The prior's mean, in the kernel's shape.
    pub prior_mean: ArrayD<f32>,
    /// Moments of mu and log_var.
    pub optimizer: OptimizerState,
}

/// A mean-field inference after a number of whole epochs.
#[derive(Debug, Clone, PartialEq)]
pub struct MeanFieldState {
    /// Epochs finished.
    pub epoch: usize,
    /// The network; its inferred kernels are mu.
    pub params: Params,
    /// The posteriors, in the order in which the kernels were named.
    pub posteriors: Vec<Posterior>,
    /// Momentum or moments.
    pub optimizer: OptimizerState,
}

impl Stage1State {
    /// Writes the state's tensors and counters into a checkpoint.
    pub fn store(&self, graph: &Graph, checkpoint: &mut Checkpoint) {
        store_params(graph, &self.params, checkpoint);
        store_optimizer(&self.optimizer, checkpoint);
        checkpoint.meta["epoch"] = self.epoch.into();
    }

    /// Reads what [`Self::store`] wrote; `path` is named in errors.
    ///
    /// # Errors
    /// If a tensor or counter is missing or of another shape.
    pub fn load(graph: &Graph, checkpoint: &mut Checkpoint, path: &Path) -> Result<Self> {
        let params = load_params(graph, checkpoint, path)?;
        let optimizer = load_optimizer(checkpoint, path, &trained(graph, &params))?;
        Ok(Self { epoch: checkpoint.field(path, "epoch")?, params, optimizer })
    }
}

impl Stage2State {
    /// Writes the state's tensors and counters into a checkpoint.
    pub fn store(&self, graph: &Graph, checkpoint: &mut Checkpoint) {
        store_params(graph, &self.params, checkpoint);
        store_optimizer(&self.optimizer, checkpoint);
        checkpoint.tensors.insert("posterior/log_var".into(), self.posterior.log_var.clone());
        checkpoint.tensors.insert("prior/mean".into(), self.prior_mean.clone());
        checkpoint.meta["epoch"] = self.epoch.into();
    }

    /// Reads what [`Self::store`] wrote; `path` is named in errors.
    ///
    /// # Errors
    /// If a tensor or counter is missing or of another shape.
    pub fn load(graph: &Graph, checkpoint: &mut Checkpoint, path: &Path) -> Result<Self> {
        let node = graph.first_weighted()?;
        let params = load_params(graph, checkpoint, path)?;
        let shape = params.nodes[node].weight.as_ref().map(|w| w.shape().to_vec()).unwrap_or_default();
        Ok(Self {
            epoch: checkpoint.field(path, "epoch")?,
            params,
            posterior: Posterior { node, log_var: checkpoint.take(path, "posterior/log_var", &shape)? },
            prior_mean: checkpoint.take(path, "prior/mean", &shape)?,
            optimizer: load_optimizer(
                checkpoint,
                path,
                &["mu", "log_var"].map(|n| (n.into(), shape.clone())),
            )?,
        })
    }
}

impl MeanFieldState {
    /// Writes the state's tensors and counters into a checkpoint.
    pub fn store(&self, graph: &Graph, checkpoint: &mut Checkpoint) {
        store_params(graph, &self.params, checkpoint);
        store_optimizer(&self.optimizer, checkpoint);
        for posterior in &self.posteriors {
            let name = format!("posterior/{}/log_var", graph.nodes[posterior.node].name);
            checkpoint.tensors.insert(name, posterior.log_var.clone());
        }
        checkpoint.meta["epoch"] = self.epoch.into();
    }

    /// Reads what [`Self::store`] wrote of the inference of these kernels, where `points` trains all that
    /// has no posterior; `path` is named in errors.
    ///
    /// # Errors
    /// If a tensor or counter is missing or of another shape.
    pub fn load(
        graph: &Graph,
        kernels: &[NodeId],
        points: Option<Optimizer>,
        checkpoint: &mut Checkpoint,
        path: &Path,
    ) -> Result<Self> {
        let params = load_params(graph, checkpoint, path)?;
        let (mut posteriors, mut log_vars, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for &node in kernels {
            let name = &graph.nodes[node].name;
            let shape = params.nodes[node].weight.as_ref().map(|w| w.shape().to_vec()).unwrap_or_default();
            let log_var = checkpoint.take(path, &format!("posterior/{name}/log_var"), &shape)?;
            posteriors.push(Posterior { node, log_var });
            log_vars.push((format!("{name}/log_var"), shape.clone()));
            others.push((format!("{name}/mu"), shape));
        }
        if points.is_some() {
            let weights: Vec<String> =
                kernels.iter().map(|&node| format!("{}/weight", graph.nodes[node].name)).collect();
            others.extend(trained(graph, &params).into_iter().filter(|(name, _)| !weights.contains(name)));
        }
        let step = checkpoint.field(path, "optimizer_step")?;
        let mut moments = |part: &str, names: &[&[Named]]| match step {
            0 => Ok(BTreeMap::new()),
            _ => take_moments(checkpoint, path, part, &names.concat()),
        };
        let first = moments("first", &[&log_vars, &others])?;
        // Momentum has no second moment; log_var's optimizer is always Adam.
        let second = match points {
            Some(Optimizer::Sgd { .. }) => moments("second", &[&log_vars])?,
            _ => moments("second", &[&log_vars, &others])?,
        };
        let optimizer = OptimizerState { step, first, second };
        Ok(Self { epoch: checkpoint.field(path, "epoch")?, params, posteriors, optimizer })
    }
}

/// Checks that the training steps of an epoch left only finite parameters. A loss shows what a step did
/// to the weights only in the next step, and the last one has none.
///
/// # Errors
/// If a value is not finite.
pub fn check_finite<'a>(
    tensors: impl IntoIterator<Item = &'a ArrayD<f32>>,
    epoch: usize,
    hint: &'static str,
) -> Result<()> {
    match tensors.into_iter().flatten().find(|value| !value.is_finite()) {
        None => Ok(()),
        Some(&value) => Err(Error::NotFinite { what: "a trained parameter", value, epoch, hint }),
    }
}

pub(super) fn store_params(graph: &Graph, params: &Params, checkpoint: &mut Checkpoint) {
    for (node, params) in graph.nodes.iter().zip(&params.nodes) {
        for (name, tensor) in params.tensors() {
            checkpoint.tensors.insert(format!("params/{}/{name}", node.name), tensor.clone());
        }
    }
}

/// Reads the network's parameters from a checkpoint.
///
/// # Errors
/// If a tensor is missing or of another shape.
pub fn load_params(graph: &Graph, checkpoint: &mut Checkpoint, path: &Path) -> Result<Params> {
    let mut params = Params::zeros(graph);
    for (node, params) in graph.nodes.iter().zip(&mut params.nodes) {
        for (name, tensor) in params.tensors_mut() {
            let shape = tensor.shape().to_vec();
            *tensor = checkpoint.take(path, &format!("params/{}/{name}", node.name), &shape)?;
        }
    }
    Ok(params)
}

fn store_optimizer(optimizer: &OptimizerState, checkpoint: &mut Checkpoint) {
    for (part, tensors) in [("first", &optimizer.first), ("second", &optimizer.second)] {
        for (name, tensor) in tensors {
            checkpoint.tensors.insert(format!("optimizer/{part}/{name}"), tensor.clone());
        }
    }
    checkpoint.meta["optimizer_step"] = optimizer.step.into();
}

/// Name and shape of a trained tensor.
type Named = (String, Vec<usize>);

/// Reads the optimizer's tensors: one for each of `trained`, in its shape.
fn load_optimizer(checkpoint: &mut Checkpoint, path: &Path, trained: &[Named]) -> Result<OptimizerState> {
    let step = checkpoint.field(path, "optimizer_step")?;
    let mut take = |part: &str, is_needed: bool| {
        let prefix = format!("optimizer/{part}/");
        // Before the first step there is none; SGD never has a second.
        if !is_needed && !checkpoint.tensors.keys().any(|name| name.starts_with(&prefix)) {
            return Ok(BTreeMap::new());
        }
        take_moments(checkpoint, path, part, trained)
    };
    Ok(OptimizerState { step, first: take("first", step > 0)?, second: take("second", false)? })
}

/// Takes the moments of these tensors out.
fn take_moments(
    checkpoint: &mut Checkpoint,
    path: &Path,
    part: &str,
    trained: &[Named],
) -> Result<BTreeMap<String, ArrayD<f32>>> {
    let take = |(name, shape): &Named| {
        Ok((name.clone(), checkpoint.take(path, &format!("optimizer/{part}/{name}"), shape)?))
    };
    trained.iter().map(take).collect()
}

/// Names and shapes of what stage 1 trains.
fn trained(graph: &Graph, params: &Params) -> Vec<Named> {
    let mut trained = Vec::new();
    for (node, params) in graph.nodes.iter().zip(&params.nodes) {
        for (name, tensor) in params.tensors().filter(|(name, _)| !name.starts_with("running")) {
            trained.push((format!("{}/{name}", node.name), tensor.shape().to_vec()));
        }
    }
    trained
}

#[cfg(test)]
mod tests;
