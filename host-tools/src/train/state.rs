//! States between epochs, and their named tensors in checkpoints.

use super::optimizer::OptimizerState;
use crate::error::Result;
use crate::graph::params::Posterior;
use crate::graph::{Graph, Params};
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
        Ok(Self {
            epoch: checkpoint.field(path, "epoch")?,
            params: load_params(graph, checkpoint, path)?,
            optimizer: load_optimizer(checkpoint, path)?,
        })
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
            optimizer: load_optimizer(checkpoint, path)?,
        })
    }
}

fn store_params(graph: &Graph, params: &Params, checkpoint: &mut Checkpoint) {
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

fn load_optimizer(checkpoint: &mut Checkpoint, path: &Path) -> Result<OptimizerState> {
    let step = checkpoint.field(path, "optimizer_step")?;
    let mut take = |part: &str| {
        let prefix = format!("optimizer/{part}/");
        let names: Vec<String> =
            checkpoint.tensors.keys().filter(|name| name.starts_with(&prefix)).cloned().collect();
        let mut tensors = BTreeMap::new();
        for name in names {
            if let Some(tensor) = checkpoint.tensors.remove(&name) {
                tensors.insert(name[prefix.len()..].to_string(), tensor);
            }
        }
        tensors
    };
    Ok(OptimizerState { step, first: take("first"), second: take("second") })
}
