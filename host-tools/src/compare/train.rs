//! Trains one method with one seed.

use super::keep::Keeper;
use super::usage::Usage;
use super::{Seeded, Settings};
use crate::error::Result;
use crate::graph::dropout::with_dropout;
use crate::graph::{Graph, Params};
use crate::train::methods::{MeanFieldConfig, Method, Net, Weights, fit_last_layer, mean_field};
use crate::train::{Device, Executor, MeanFieldState, Stage1Config, Stage1State, Stage2State};
use crate::train::{Trainable, part_examples, stage1, stage2};
use serde_json::{Value, json};
use std::path::Path;

/// A trained network and what it took.
#[derive(Debug)]
pub struct Trained {
    /// The network.
    pub net: Net,
    /// Of this unit alone, in all processes that had a part in it: a stage-1 network that it starts from is not counted.
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
    /// Trains a method; `temperature` is that of the posterior, where there is one. In `folder` the training
    /// is kept after each epoch, and goes on from there if it was broken off ([`super::keep`]).
    ///
    /// # Errors
    /// If training fails or is interrupted, or the folder holds another training or cannot be written.
    pub fn run(&self, method: Method, temperature: f32, folder: Option<&Path>) -> Result<Trained> {
        let label = match method.is_variational() {
            true => format!("{method} seed {} temperature {temperature}", self.seeded.seed),
            false => format!("{method} seed {}", self.seeded.seed),
        };
        let mut keeper = Keeper::new(label, self.facts(method, temperature)?, folder)?;
        let (net, planned_bytes) = self.weights(method, temperature, &mut keeper)?;
        Ok(Trained { net, usage: keeper.usage(), planned_bytes })
    }

    /// What decides the networks: all settings of their training, whether they were given or are the recipe's,
    /// and the data. The device decides nothing.
    fn facts(&self, method: Method, temperature: f32) -> Result<Value> {
        let Seeded { seed, graph, splits, preprocessing } = self.seeded;
        let settings = Settings { device: Device::Cpu, ..self.settings.clone() };
        let name = &splits.train.name;
        let stage1 = settings.stage1(name, *seed);
        let stage2 = settings.stage2(graph, name, *seed, temperature);
        let mean_field = settings.mean_field(method, graph, name, *seed, temperature)?;
        Ok(json!({
            "training": format!("{stage1:?} {stage2:?} {mean_field:?}"),
            "members": settings.members,
            "dropout_rate": settings.dropout_rate,
            "examples": [splits.train.len(), splits.validation.len()],
            "preprocessing": preprocessing,
        }))
    }

    fn weights(&self, method: Method, temperature: f32, keeper: &mut Keeper) -> Result<(Net, usize)> {
        let Seeded { seed, graph, .. } = self.seeded;
        let (data, name) = (self.seeded.train_data(), &self.seeded.splits.train.name);
        let config = self.settings.stage1(name, *seed);
        let batch = config.batch_size.min(data.train.len());
        let whole = planned_bytes(graph, batch, Trainable::All)?;
        let net = |weights| Net { graph: graph.clone(), weights, device: config.device };
        Ok(match method {
            Method::Plain => (net(Weights::Plain(self.whole(graph, &config, keeper)?)), whole),
            Method::Stf => {
                let start = self.start(&config, keeper)?;
                let config = self.settings.stage2(graph, name, *seed, temperature);
                let (state, mut network) =
                    keeper.network(graph, |file, path| Stage2State::load(graph, file, path))?;
                let state = stage2(graph, &start, data, &config, state, &mut network)?;
                let part = planned_bytes(graph, part_examples(graph, batch), Trainable::FirstLayer)?;
                let (params, posteriors) = (state.params, vec![state.posterior]);
                (net(Weights::MeanField { params, posteriors }), part)
            }
            Method::Dropout => {
                let graph = with_dropout(graph, self.settings.dropout_rate)?;
                let params = self.whole(&graph, &config, keeper)?;
                (Net { graph, weights: Weights::Dropout(params), device: config.device }, whole)
            }
            Method::Ensemble => {
                let mut members = vec![self.start(&config, keeper)?];
                for member in 1..self.settings.members.max(1) as u64 {
                    // Far from the seeds of other units.
                    let seed = seed.wrapping_add(member << 32);
                    members.push(self.whole(graph, &Stage1Config { seed, ..config.clone() }, keeper)?);
                }
                (net(Weights::Ensemble(members)), whole)
            }
            Method::Laplace => {
                let params = self.start(&config, keeper)?;
                let last = fit_last_layer(graph, &params, data.train, data.preprocessing)?;
                (net(Weights::Laplace { params, last }), planned_bytes(graph, batch, Trainable::None)?)
            }
            Method::Block | Method::LastLayer | Method::FullMap | Method::Full => {
                let start = match method {
                    Method::Full => Params::initialise(graph, *seed),
                    _ => self.start(&config, keeper)?,
                };
                let config = self.settings.mean_field(method, graph, name, *seed, temperature)?;
                let config: MeanFieldConfig = config.ok_or_else(|| {
                    crate::Error::invalid("method", method, "one with a mean-field posterior")
                })?;
                let points = config.points.as_ref().map(|points| points.optimizer);
                let (state, mut network) = keeper.network(graph, |file, path| {
                    MeanFieldState::load(graph, &config.kernels, points, file, path)
                })?;
                let found = mean_field(graph, &start, data, &config, state, &mut network)?;
                let planned = planned_bytes(graph, config.part_size(data.train.len()), config.trainable())?;
                let (params, posteriors) = (found.params, found.posteriors);
                (net(Weights::MeanField { params, posteriors }), planned)
            }
        })
    }

    /// Trains a whole network.
    fn whole(&self, graph: &Graph, config: &Stage1Config, keeper: &mut Keeper) -> Result<Params> {
        let (state, mut network) =
            keeper.network(graph, |file, path| Stage1State::load(graph, file, path))?;
        Ok(stage1(graph, self.seeded.train_data(), config, state, &mut network)?.params)
    }

    /// The stage-1 network of the seed, trained if it is not given.
    fn start(&self, config: &Stage1Config, keeper: &mut Keeper) -> Result<Params> {
        match self.stage1 {
            Some(params) => Ok(params.clone()),
            None => self.whole(&self.seeded.graph, config, keeper),
        }
    }
}

/// Bytes of planned activations and gradients of a step of `batch` examples.
///
/// # Errors
/// If the graph has nothing to train.
pub fn planned_bytes(graph: &Graph, batch: usize, trainable: Trainable) -> Result<usize> {
    Ok(Executor::for_training(graph, batch, trainable)?.planned_bytes())
}
