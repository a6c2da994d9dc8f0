//! Mean-field variational inference of any set of kernels, the baselines of stage 2: the last layer, the
//! first block, or all layers, from a trained network or from fresh weights.
//!
//! The objective and its gradients are those of stage 2. The estimator is one sample of the kernels for
//! each part of a step (Blundell et al. 2015); more parts, less variance, at next to no cost.

use crate::error::{Error, Result};
use crate::graph::params::Posterior;
use crate::graph::{Graph, NodeId, NodeParams, Params};
use crate::train::accumulate::{Accumulator, scale_to_step};
use crate::train::batches::{Batch, Epoch};
use crate::train::config::{Optimizer, Stage1Config, Stage2Config};
use crate::train::executor::{Pass, Trainable};
use crate::train::observer::Observer;
use crate::train::optimizer::OptimizerState;
use crate::train::random::{Purpose, derive, normals};
use crate::train::stage1::batch_loss;
use crate::train::stage2::warm_up;
use crate::train::state::{MeanFieldState, check_finite};
use crate::train::variational::{add_kl_gradient, initial_log_var, kl, prior_mean};
use crate::train::{Engine, engine};
use crate::train::{TrainData, check_data};
use ndarray::ArrayD;

/// Tells the random numbers of this loop from those of the two stages.
const STAGE: u64 = 3;

/// What helps when training diverges.
const HINT: &str = "try smaller learning rates, or a smaller delta";

/// Settings of the inference.
#[derive(Debug, Clone, PartialEq)]
pub struct MeanFieldConfig {
    /// Epochs, batches, prior, temperature, start and step sizes. Its estimator plays no part.
    pub stage2: Stage2Config,
    /// The weighted nodes whose kernels are inferred.
    pub kernels: Vec<NodeId>,
    /// Trains mu and everything that has no posterior as stage 1 does, without weight decay; without it,
    /// all but the kernels stays as it is, batch norm included.
    pub points: Option<Stage1Config>,
    /// Samples of one step: each has its share of the step's examples.
    pub samples: usize,
}

impl MeanFieldConfig {
    /// Examples of one part of a step.
    #[must_use]
    pub fn part_size(&self, examples: usize) -> usize {
        self.stage2.batch_size.min(examples).div_ceil(self.samples.max(1))
    }

    /// What gets gradients. Frozen nodes between two inferred ones get some that nobody uses; the sets of
    /// [`super::Method::kernels`] have none.
    #[must_use]
    pub fn trainable(&self) -> Trainable {
        let first = self.kernels.iter().copied().min().unwrap_or_default();
        let last = self.kernels.iter().copied().max().unwrap_or_default();
        match self.points {
            Some(_) => Trainable::All,
            None => Trainable::Kernels { first, last },
        }
    }
}

/// Infers the posteriors of the kernels of the network `start`, from `resumed` or from the start, until the
/// epochs of [`MeanFieldConfig::stage2`] are done.
///
/// # Errors
/// If a setting cannot work, the data do not fit the network, a kernel is none, the loss diverges, or
/// the observer stops the run.
pub fn mean_field(
    graph: &Graph,
    start: &Params,
    data: TrainData<'_>,
    config: &MeanFieldConfig,
    resumed: Option<MeanFieldState>,
    observer: &mut dyn Observer,
) -> Result<MeanFieldState> {
    check(graph, config)?;
    check_data(graph, &data)?;
    let kernel = |&id: &NodeId| Kernel::new(graph, start, id, config);
    let mut trainer = Trainer {
        graph,
        config,
        engine: engine(graph, config.part_size(data.train.len()), config.trainable(), config.stage2.device)?,
        gradients: Accumulator::new(graph, config.trainable()),
        kernels: config.kernels.iter().map(kernel).collect::<Result<_>>()?,
        params: start.clone(),
        optimizer: OptimizerState::default(),
    };
    let mut state = resumed.unwrap_or_else(|| trainer.state(0));
    trainer.go_on(&state);
    while state.epoch < config.stage2.epochs {
        let loss = trainer.epoch(&data, state.epoch, observer)?;
        state = trainer.state(state.epoch + 1);
        observer.mean_field_epoch(config.stage2.epochs, loss, &state)?;
    }
    Ok(state)
}

fn check(graph: &Graph, config: &MeanFieldConfig) -> Result<()> {
    let estimator = crate::train::Estimator::Weight;
    Stage2Config { estimator, ..config.stage2.clone() }.check(graph)?;
    if let Some(points) = &config.points {
        points.check(graph)?;
    }
    if config.samples == 0 {
        return Err(Error::invalid("samples of a step", 0, "at least 1"));
    }
    if config.kernels.is_empty() {
        return Err(Error::invalid("inferred kernels", "none", "at least one"));
    }
    Ok(())
}

/// One inferred kernel.
struct Kernel {
    node: NodeId,
    mu: ArrayD<f32>,
    log_var: ArrayD<f32>,
    prior_mean: ArrayD<f32>,
    /// Standard deviations of the step under way.
    sigma: Vec<f32>,
    /// Standard normal numbers of the part under way.
    eps: Vec<f32>,
    /// Of the step's likelihood.
    d_log_var: ArrayD<f32>,
}

impl Kernel {
    fn new(graph: &Graph, start: &Params, node: NodeId, config: &MeanFieldConfig) -> Result<Self> {
        let weight = start.nodes.get(node).and_then(|params| params.weight.as_ref());
        let mu = weight.ok_or_else(|| {
            let name = graph.nodes.get(node).map_or("none", |node| node.name.as_str());
            Error::invalid(format!("inferred kernel of node {node}"), name, "a convolution or dense layer")
        })?;
        let Stage2Config { delta, sigma_floor, prior, .. } = config.stage2;
        Ok(Self {
            node,
            log_var: initial_log_var(mu, delta, sigma_floor),
            prior_mean: prior_mean(mu, prior),
            sigma: Vec::new(),
            eps: Vec::new(),
            d_log_var: ArrayD::zeros(mu.raw_dim()),
            mu: mu.clone(),
        })
    }

    /// Begins a step.
    fn start(&mut self) {
        self.sigma.clear();
        self.sigma.extend(self.log_var.iter().map(|v| (0.5 * v).exp()));
        self.d_log_var.fill(0.0);
    }

    /// Writes a sample into the network.
    fn sample(&mut self, params: &mut Params, seed: u64, parts: &[u64]) {
        self.eps = normals(seed, Purpose::Noise, parts, self.mu.len());
        if let Some(weight) = &mut params.nodes[self.node].weight {
            let numbers = self.mu.iter().zip(&self.sigma).zip(&self.eps);
            weight.iter_mut().zip(numbers).for_each(|(w, ((mu, sigma), eps))| *w = mu + sigma * eps);
        }
    }

    /// `d L / d log_var = d L / d w * eps * sigma / 2`, added to the step's.
    fn add_gradient(&mut self, d_weight: &ArrayD<f32>) {
        let numbers = d_weight.iter().zip(&self.eps).zip(&self.sigma);
        self.d_log_var.iter_mut().zip(numbers).for_each(|(d, ((w, eps), sigma))| *d += 0.5 * w * eps * sigma);
    }
}

struct Trainer<'a> {
    graph: &'a Graph,
    config: &'a MeanFieldConfig,
    engine: Box<dyn Engine>,
    gradients: Accumulator,
    kernels: Vec<Kernel>,
    /// The network; its inferred kernels are the sample of the part under way.
    params: Params,
    optimizer: OptimizerState,
}

impl Trainer<'_> {
    /// Goes on from a state.
    fn go_on(&mut self, state: &MeanFieldState) {
        self.params = state.params.clone();
        self.optimizer = state.optimizer.clone();
        for (kernel, posterior) in self.kernels.iter_mut().zip(&state.posteriors) {
            kernel.log_var = posterior.log_var.clone();
            if let Some(mu) = &state.params.nodes[kernel.node].weight {
                kernel.mu = mu.clone();
            }
        }
    }

    /// What has been inferred in so many epochs.
    fn state(&self, epoch: usize) -> MeanFieldState {
        let mut params = self.params.clone();
        for kernel in &self.kernels {
            params.nodes[kernel.node].weight = Some(kernel.mu.clone());
        }
        let posterior = |kernel: &Kernel| Posterior { node: kernel.node, log_var: kernel.log_var.clone() };
        let posteriors = self.kernels.iter().map(posterior).collect();
        MeanFieldState { epoch, params, posteriors, optimizer: self.optimizer.clone() }
    }

    /// Runs an epoch, from 0; returns the mean of its steps' objectives.
    fn epoch(&mut self, data: &TrainData<'_>, epoch: usize, observer: &mut dyn Observer) -> Result<f64> {
        let config = &self.config.stage2;
        let batches = Epoch {
            data: data.train,
            preprocessing: data.preprocessing,
            augment: config.augment,
            batch_size: config.batch_size,
            part_size: self.config.part_size(data.train.len()),
            accumulate: config.accumulate,
            seed: (config.seed, STAGE, epoch as u64),
        };
        let (steps, n) = (batches.len(), data.train.len());
        let warmup = self.config.points.as_ref().map_or(0, |points| points.warmup_epochs * steps);
        let (mut nll, mut sum) = (0.0, 0.0);
        batches.each(|step, batch| {
            let at = epoch * steps + step;
            nll =
                self.part(&batch, at)? * batch.labels.len() as f64 + if batch.first == 0 { 0.0 } else { nll };
            if batch.ends_step() {
                let kl_weight = warm_up(at, config.kl_warmup_epochs * steps) * config.temperature / n as f32;
                let loss = nll / batch.step_examples as f64 + f64::from(kl_weight) * self.kl();
                if !loss.is_finite() {
                    let what = "loss of the variational inference";
                    return Err(Error::NotFinite { what, value: loss as f32, epoch: epoch + 1, hint: HINT });
                }
                self.step(kl_weight, config.schedule.factor(at, config.epochs * steps, warmup));
                observer.batch(2, epoch + 1, step + 1, steps, loss);
                sum += loss;
            }
            if observer.interrupted() { Err(Error::Interrupted) } else { Ok(()) }
        })?;
        let inferred = self.kernels.iter().flat_map(|kernel| [&kernel.mu, &kernel.log_var]);
        let points = self.params.nodes.iter().flat_map(NodeParams::tensors).map(|(_, tensor)| tensor);
        check_finite(inferred.chain(points), epoch + 1, HINT)?;
        Ok(sum / steps as f64)
    }

    fn kl(&self) -> f64 {
        let sigma = self.config.stage2.prior_sigma;
        self.kernels.iter().map(|k| kl(&k.mu, &k.log_var, &k.prior_mean, sigma)).sum()
    }

    /// Negative log likelihood of one part of step `at` under a sample of its own; adds its share of the
    /// step's gradient.
    fn part(&mut self, batch: &Batch, at: usize) -> Result<f64> {
        let (n, seed) = (batch.labels.len(), self.config.stage2.seed);
        for kernel in &mut self.kernels {
            if batch.first == 0 {
                kernel.start();
            }
            let parts = [STAGE, at as u64, batch.first as u64, kernel.node as u64];
            kernel.sample(&mut self.params, seed, &parts);
        }
        let pass = Pass {
            dropout_seed: derive(seed, Purpose::Dropout, &[STAGE, at as u64]),
            first_example: batch.first,
            ..Pass::default()
        };
        let outputs = self.engine.forward(&self.params, &batch.inputs, n, &pass)?;
        let (nll, mut gradient) = batch_loss(self.graph, outputs, batch, 0.0);
        scale_to_step(&mut gradient, batch);
        let gradients = self.gradients.batch_mut();
        self.engine.backward(&self.params, &batch.inputs, &gradient, n, &pass, gradients)?;
        if self.config.points.is_some() {
            self.engine.update_running_statistics(&mut self.params)?;
        }
        for kernel in &mut self.kernels {
            if let Some(d_weight) = &gradients.nodes[kernel.node].weight {
                kernel.add_gradient(d_weight);
            }
        }
        self.gradients.add(batch);
        Ok(nll)
    }

    fn step(&mut self, kl_weight: f32, factor: f32) {
        let (config, gradients) = (self.config, self.gradients.total());
        let Stage2Config { prior_sigma, lr_mu, lr_log_var, .. } = config.stage2;
        let (optimizer, rate) = match &config.points {
            Some(points) => (points.optimizer, points.learning_rate * factor),
            None => (Optimizer::ADAM, lr_mu * factor),
        };
        self.optimizer.advance();
        for kernel in &mut self.kernels {
            let Some(mut d_mu) = gradients.nodes[kernel.node].weight.clone() else { continue };
            let Kernel { mu, log_var, prior_mean, d_log_var, node, .. } = kernel;
            add_kl_gradient(kl_weight, (mu, log_var), prior_mean, prior_sigma, (&mut d_mu, d_log_var));
            let name = &self.graph.nodes[*node].name;
            self.optimizer.apply(optimizer, &format!("{name}/mu"), mu, &d_mu, rate, 0.0);
            let key = format!("{name}/log_var");
            self.optimizer.apply(Optimizer::ADAM, &key, log_var, d_log_var, lr_log_var * factor, 0.0);
        }
        if config.points.is_none() {
            return;
        }
        for (id, node) in self.params.nodes.iter_mut().enumerate() {
            let inferred = config.kernels.contains(&id);
            for (name, value) in node.tensors_mut().filter(|(name, _)| !(inferred && *name == "weight")) {
                if let Some((_, gradient)) = gradients.nodes[id].tensors().find(|(other, _)| *other == name) {
                    let key = format!("{}/{name}", self.graph.nodes[id].name);
                    self.optimizer.apply(optimizer, &key, value, gradient, rate, 0.0);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
