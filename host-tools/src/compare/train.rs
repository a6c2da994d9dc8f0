//! Trains one method with one seed.

use super::usage::{Usage, measure};
use super::{Seeded, Settings, Watch};
use crate::error::Result;
use crate::graph::dropout::with_dropout;
use crate::graph::{Graph, Params};
use crate::train::methods::{MeanFieldConfig, Method, Net, Weights, fit_last_layer, mean_field};
use crate::train::{Executor, Observer, Trainable, part_examples, stage1, stage2};

/// A trained network and what it took.
#[derive(Debug)]
pub struct Trained {
    /// The network.
    pub net: Net,
    /// Of this unit alone: a stage-1 network that it starts from is not counted.
    pub usage: Usage,
    /// Bytes of planned activations and gradients.
    pub planned_bytes: usize,
}

/// What is to be trained.
#[derive(Debug, Clone, Copy)]
pub struct Training<'a> {
    /// The comparison.
    pub settings: &'a Settings,
    /// The data of the seed.
    pub seeded: &'a Seeded,
    /// The stage-1 network of the seed, for methods that start from it.
    pub stage1: Option<&'a Params>,
}

impl Training<'_> {
    /// Trains a method; `temperature` is that of the posterior, where there is one.
    ///
    /// # Errors
    /// If training fails or is interrupted.
    pub fn run(&self, method: Method, temperature: f32) -> Result<Trained> {
        let label = match method.is_variational() {
            true => format!("{method} seed {} temperature {temperature}", self.seeded.seed),
            false => format!("{method} seed {}", self.seeded.seed),
        };
        let mut watch = Watch::new(label);
        let (result, usage) = measure(|| self.weights(method, temperature, &mut watch));
        let (net, planned_bytes) = result?;
        Ok(Trained { net, usage, planned_bytes })
    }

    fn weights(&self, method: Method, temperature: f32, observer: &mut dyn Observer) -> Result<(Net, usize)> {
        let Seeded { seed, graph, .. } = self.seeded;
        let (data, name) = (self.seeded.train_data(), &self.seeded.splits.train.name);
        let config = self.settings.stage1(name, *seed);
        let batch = config.batch_size.min(data.train.len());
        let whole = planned_bytes(graph, batch, Trainable::All)?;
        let start = || match self.stage1 {
            Some(params) => Ok(params.clone()),
            None => stage1(graph, data, &config, None, &mut Watch::new(format!("stage 1 seed {seed}")))
                .map(|state| state.params),
        };
        let net = |weights| Net { graph: graph.clone(), weights, device: config.device };
        Ok(match method {
            Method::Plain => {
                (net(Weights::Plain(stage1(graph, data, &config, None, observer)?.params)), whole)
            }
            Method::Stf => {
                let config = self.settings.stage2(graph, name, *seed, temperature);
                let state = stage2(graph, &start()?, data, &config, None, observer)?;
                let part = planned_bytes(graph, part_examples(graph, batch), Trainable::FirstLayer)?;
                let (params, posteriors) = (state.params, vec![state.posterior]);
                (net(Weights::MeanField { params, posteriors }), part)
            }
            Method::Dropout => {
                let graph = with_dropout(graph, self.settings.dropout_rate)?;
                let params = stage1(&graph, data, &config, None, observer)?.params;
                (Net { graph, weights: Weights::Dropout(params), device: config.device }, whole)
            }
            Method::Ensemble => {
                let mut members = vec![start()?];
                for member in 1..self.settings.members.max(1) as u64 {
                    // Far from the seeds of other units.
                    let seed = seed.wrapping_add(member << 32);
                    let config = crate::train::Stage1Config { seed, ..config.clone() };
                    members.push(stage1(graph, data, &config, None, observer)?.params);
                }
                (net(Weights::Ensemble(members)), whole)
            }
            Method::Laplace => {
                let params = start()?;
                let last = fit_last_layer(graph, &params, data.train, data.preprocessing)?;
                (net(Weights::Laplace { params, last }), planned_bytes(graph, batch, Trainable::None)?)
            }
            Method::Block | Method::LastLayer | Method::FullMap | Method::Full => {
                let from_scratch = method == Method::Full;
                let start = if from_scratch { Params::initialise(graph, *seed) } else { start()? };
                let config = self.settings.mean_field(method, graph, name, *seed, temperature)?;
                let config: MeanFieldConfig = config.ok_or_else(|| {
                    crate::Error::invalid("method", method, "one with a mean-field posterior")
                })?;
                let found = mean_field(graph, &start, data, &config, observer)?;
                let planned = found.planned_bytes;
                (net(Weights::MeanField { params: found.params, posteriors: found.posteriors }), planned)
            }
        })
    }
}

/// Bytes of planned activations and gradients of a step of `batch` examples.
///
/// # Errors
/// If the graph has nothing to train.
pub fn planned_bytes(graph: &Graph, batch: usize, trainable: Trainable) -> Result<usize> {
    Ok(Executor::for_training(graph, batch, trainable)?.planned_bytes())
}
