//! A trained network of any method, and the draws that its predictions are averaged over.

use super::LastLayer;
use crate::error::{Error, Result};
use crate::graph::params::Posterior;
use crate::graph::{Graph, Params};
use crate::run::Checkpoint;
use crate::train::Device;
use crate::train::executor::Pass;
use crate::train::random::{Purpose, derive, normals};
use crate::train::state::{load_params, store_params};
use serde_json::{Value, json};
use std::path::Path;

/// A network whose prediction is the mean over draws.
#[derive(Debug, Clone, PartialEq)]
pub struct Net {
    /// The network; of MC dropout, with its dropout nodes.
    pub graph: Graph,
    /// Its numbers, and what is random in them.
    pub weights: Weights,
    /// Where it runs.
    pub device: Device,
}

/// Numbers of a network, and what is random in them.
#[derive(Debug, Clone, PartialEq)]
pub enum Weights {
    /// Nothing is.
    Plain(Params),
    /// Some kernels; `params` holds their mu.
    MeanField {
        /// The network.
        params: Params,
        /// One entry a kernel.
        posteriors: Vec<Posterior>,
    },
    /// The graph's dropout stays on.
    Dropout(Params),
    /// One network a draw.
    Ensemble(Vec<Params>),
    /// The last layer's kernel and bias.
    Laplace {
        /// The network.
        params: Params,
        /// Their Gaussian.
        last: LastLayer,
    },
}

impl Net {
    /// Draws of a prediction where `wanted` are asked for.
    #[must_use]
    pub fn draws(&self, wanted: usize) -> usize {
        match &self.weights {
            Weights::Plain(_) => 1,
            Weights::Ensemble(members) => members.len(),
            _ => wanted.max(1),
        }
    }

    /// Trained numbers that have to be kept: a posterior has two for each of its weights.
    #[must_use]
    pub fn parameters(&self) -> usize {
        match &self.weights {
            Weights::Plain(params) | Weights::Dropout(params) => params.count(),
            Weights::MeanField { params, posteriors } => {
                params.count() + posteriors.iter().map(|posterior| posterior.log_var.len()).sum::<usize>()
            }
            Weights::Ensemble(members) => members.iter().map(Params::count).sum(),
            Weights::Laplace { params, last } => params.count() + last.parameters(),
        }
    }

    /// The draws that a seed decides.
    #[must_use]
    pub fn sampler(&self, seed: u64) -> Sampler<'_> {
        let mut sampler = Sampler { net: self, seed, draw: 0, params: self.center().clone() };
        sampler.turn_to(0);
        sampler
    }

    /// The network without noise; of an ensemble, its first member.
    #[must_use]
    pub fn center(&self) -> &Params {
        match &self.weights {
            Weights::Plain(params)
            | Weights::Dropout(params)
            | Weights::MeanField { params, .. }
            | Weights::Laplace { params, .. } => params,
            Weights::Ensemble(members) => &members[0],
        }
    }

    /// Writes the network into a file.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn save(&self, path: &Path) -> Result<()> {
        let graph = serde_json::to_value(&self.graph)
            .map_err(|error| Error::invalid("network", error, "one with a JSON form"))?;
        let mut file = Checkpoint { meta: json!({ "graph": graph }), ..Checkpoint::default() };
        let members = match &self.weights {
            Weights::Ensemble(members) => members.as_slice(),
            _ => std::slice::from_ref(self.center()),
        };
        for (index, member) in members.iter().enumerate() {
            let mut one = Checkpoint::default();
            store_params(&self.graph, member, &mut one);
            file.tensors.extend(one.tensors.into_iter().map(|(name, t)| (format!("{index}/{name}"), t)));
        }
        let kind = match &self.weights {
            Weights::Plain(_) => json!("plain"),
            Weights::Dropout(_) => json!("dropout"),
            Weights::Ensemble(members) => json!({ "ensemble": members.len() }),
            Weights::MeanField { posteriors, .. } => {
                for posterior in posteriors {
                    let name = format!("log_var/{}", posterior.node);
                    file.tensors.insert(name, posterior.log_var.clone());
                }
                json!({ "mean_field": posteriors.iter().map(|p| p.node).collect::<Vec<_>>() })
            }
            Weights::Laplace { last, .. } => {
                last.store(&mut file);
                json!("laplace")
            }
        };
        file.meta["weights"] = kind;
        file.save(path)
    }

    /// Reads what [`Self::save`] wrote; it runs on the CPU.
    ///
    /// # Errors
    /// If the file cannot be read, or a tensor is missing or of another shape.
    pub fn load(path: &Path) -> Result<Self> {
        let mut file = Checkpoint::load(path)?;
        let graph: Graph = file.field(path, "graph")?;
        crate::graph::check(&graph)?;
        let member = |file: &mut Checkpoint, index: usize| -> Result<Params> {
            let prefix = format!("{index}/");
            let (mine, others) = std::mem::take(&mut file.tensors)
                .into_iter()
                .partition(|(name, _)| name.starts_with(&prefix));
            file.tensors = others;
            let strip = |(name, tensor): (String, _)| (name[prefix.len()..].to_string(), tensor);
            let mine: std::collections::BTreeMap<String, _> = mine;
            let tensors = mine.into_iter().map(strip).collect();
            load_params(&graph, &mut Checkpoint { meta: Value::Null, tensors }, path)
        };
        let kind: Value = file.field(path, "weights")?;
        let params = member(&mut file, 0)?;
        let weights = match kind.as_str() {
            Some("plain") => Weights::Plain(params),
            Some("dropout") => Weights::Dropout(params),
            Some("laplace") => {
                let last = LastLayer::load(&graph, &mut file, path)?;
                Weights::Laplace { params, last }
            }
            _ if kind.get("ensemble").is_some() => {
                let count = kind["ensemble"].as_u64().unwrap_or(1) as usize;
                let rest = (1..count).map(|index| member(&mut file, index)).collect::<Result<Vec<_>>>()?;
                Weights::Ensemble([vec![params], rest].concat())
            }
            _ => {
                let nodes = kind.get("mean_field").cloned().unwrap_or_default();
                let nodes: Vec<usize> = serde_json::from_value(nodes)
                    .map_err(|error| Error::malformed(path, "field weights", &kind, error))?;
                let posterior = |node: usize| {
                    let weight = params.nodes.get(node).and_then(|params| params.weight.as_ref());
                    let shape = weight.map(|weight| weight.shape().to_vec()).unwrap_or_default();
                    Ok(Posterior { node, log_var: file.take(path, &format!("log_var/{node}"), &shape)? })
                };
                let posteriors = nodes.into_iter().map(posterior).collect::<Result<_>>()?;
                Weights::MeanField { params, posteriors }
            }
        };
        Ok(Self { graph, weights, device: Device::Cpu })
    }
}

/// Draws of one network. The same seed gives the same draws, in any order.
#[derive(Debug, Clone)]
pub struct Sampler<'a> {
    net: &'a Net,
    seed: u64,
    draw: usize,
    params: Params,
}

impl Sampler<'_> {
    /// Turns to a draw, from 0.
    pub fn turn_to(&mut self, draw: usize) {
        self.draw = draw;
        match &self.net.weights {
            Weights::Plain(_) | Weights::Dropout(_) | Weights::Ensemble(_) => {}
            Weights::MeanField { params, posteriors } => {
                for (index, posterior) in posteriors.iter().enumerate() {
                    sample(&mut self.params, params, posterior, index, self.seed, draw as u64);
                }
            }
            Weights::Laplace { params, last } => {
                last.sample(params, &mut self.params, self.seed, draw as u64)
            }
        }
    }

    /// The numbers of the draw.
    #[must_use]
    pub fn params(&self) -> &Params {
        match &self.net.weights {
            Weights::Ensemble(members) => &members[self.draw % members.len()],
            _ => &self.params,
        }
    }

    /// Settings of the draw's pass over examples of which the first is `first_example`: every example
    /// has a dropout mask of its own.
    #[must_use]
    pub fn pass(&self, first_example: usize) -> Pass<'static> {
        let drops = matches!(self.net.weights, Weights::Dropout(_));
        let dropout_seed = derive(self.seed, Purpose::Evaluation, &[self.draw as u64]);
        Pass { dropout_seed, drops, first_example, ..Pass::default() }
    }
}

/// Writes `mu + sigma * eps` into one kernel. The first one has the stream of
/// [`crate::train::sample_kernel`].
fn sample(target: &mut Params, params: &Params, posterior: &Posterior, index: usize, seed: u64, draw: u64) {
    if index == 0 {
        return crate::train::sample_kernel(target, params, posterior, seed, draw);
    }
    let (Some(target), Some(mu)) =
        (&mut target.nodes[posterior.node].weight, &params.nodes[posterior.node].weight)
    else {
        return; // a posterior always belongs to a weighted node
    };
    let eps = normals(seed, Purpose::Evaluation, &[draw, posterior.node as u64], mu.len());
    for (((target, mu), log_var), eps) in target.iter_mut().zip(mu).zip(&posterior.log_var).zip(eps) {
        *target = mu + (0.5 * log_var).exp() * eps;
    }
}

#[cfg(test)]
mod tests;
