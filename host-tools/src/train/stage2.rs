//! Stage 2: the first kernel alone becomes Bayesian; everything else stays as stage 1 left it, to the
//! last bit.
//!
//! Minimises `E_q[mean over the batch of -log p(y | x, w)] + T * KL(q || p) / N` (Lei et al. 2021), with
//! one sample a step.

use super::accumulate::{Accumulator, scale_to_step};
use super::batches::Batch;
use super::config::{Optimizer, Stage2Config};
use super::engine::{Device, Engine, engine};
use super::epochs::{At, Epochs, Stage};
use super::executor::{Pass, Trainable, part_examples};
use super::observer::Observer;
use super::optimizer::OptimizerState;
use super::stage1::batch_loss;
use super::state::{Stage2State, check_finite};
use super::variational::{Noise, NoiseShape, add_kl_gradient, initial_log_var, kl, prior_mean};
use super::{TrainData, check_data};
use crate::error::{Error, Result};
use crate::graph::params::Posterior;
use crate::graph::{Graph, NodeId, Op, Params};
use ndarray::ArrayD;

const STAGE: u64 = 2;

/// What helps when training diverges.
const HINT: &str = "try smaller learning rates for mu and log_var, or a smaller delta";

/// Samples of the validation figures between epochs; the last epoch's use `eval_samples`.
const PROGRESS_SAMPLES: usize = 8;

/// Infers the first kernel's posterior, from `start` or from the stage-1 network `params`, until
/// `config.epochs` are done.
///
/// # Errors
/// If a setting cannot work, the data do not fit the network, the loss diverges, or the observer
/// stops the run.
pub fn stage2(
    graph: &Graph,
    params: &Params,
    data: TrainData<'_>,
    config: &Stage2Config,
    start: Option<Stage2State>,
    observer: &mut dyn Observer,
) -> Result<Stage2State> {
    config.check(graph)?;
    check_data(graph, &data)?;
    let node = graph.first_weighted()?;
    let mut state = match start {
        Some(state) => state,
        None => fresh_state(graph, params, node, config)?,
    };
    state.optimizer.check(Optimizer::ADAM)?;
    // Examples do not depend on each other: batch norm has its running statistics.
    let batch = config.batch_size.min(data.train.len());
    let part_size = if config.device == Device::Cpu { part_examples(graph, batch) } else { batch };
    let epochs = Epochs::of_stage2(graph, data, config, part_size);
    let mut trainer = Trainer {
        graph,
        config,
        node,
        executor: engine(graph, part_size, Trainable::FirstLayer, config.device)?,
        gradients: Accumulator::new(graph, Trainable::FirstLayer),
        noise: None,
        sampled: state.params.clone(),
    };
    while state.epoch < config.epochs {
        let (number, is_last) = (state.epoch, state.epoch + 1 == config.epochs);
        let samples = if is_last { config.eval_samples } else { PROGRESS_SAMPLES.min(config.eval_samples) };
        let mut running = Running { trainer: &mut trainer, state: &mut state, examples: data.train.len() };
        let summary = epochs.run(number, samples, &mut running, observer)?;
        observer.stage2_epoch(&summary, &state)?;
    }
    Ok(state)
}

fn fresh_state(graph: &Graph, params: &Params, node: NodeId, config: &Stage2Config) -> Result<Stage2State> {
    let weight = kernel(graph, params, node)?;
    Ok(Stage2State {
        epoch: 0,
        posterior: Posterior { node, log_var: initial_log_var(weight, config.delta, config.sigma_floor) },
        prior_mean: prior_mean(weight, config.prior),
        params: params.clone(),
        optimizer: OptimizerState::default(),
    })
}

fn kernel<'a>(graph: &Graph, params: &'a Params, node: NodeId) -> Result<&'a ArrayD<f32>> {
    let missing = || Error::invalid(format!("weight of node {}", graph.nodes[node].name), "none", "a tensor");
    params.nodes[node].weight.as_ref().ok_or_else(missing)
}

struct Trainer<'a> {
    graph: &'a Graph,
    config: &'a Stage2Config,
    node: NodeId,
    executor: Box<dyn Engine>,
    gradients: Accumulator,
    /// Of the step under way.
    noise: Option<Noise>,
    /// The network with a sampled first kernel: the plain weight estimator runs it.
    sampled: Params,
}

/// A trainer at work on a state.
struct Running<'t, 'a> {
    trainer: &'t mut Trainer<'a>,
    state: &'t mut Stage2State,
    /// Of the training split.
    examples: usize,
}

impl Stage for Running<'_, '_> {
    fn batch(&mut self, batch: &Batch, at: At) -> Result<f64> {
        self.trainer.likelihood(self.state, batch, at.step)
    }

    fn step(&mut self, nll: f64, at: At) -> Result<f64> {
        let config = self.trainer.config;
        let warm = warm_up(at.step, config.kl_warmup_epochs * at.per_epoch);
        let rate = config.schedule.factor(at.step, config.epochs * at.per_epoch, 0);
        let kl_weight = warm * config.temperature / self.examples as f32;
        self.trainer.step(self.state, nll, kl_weight, rate)
    }

    fn end_epoch(&mut self) -> Result<()> {
        self.state.epoch += 1;
        let mu = kernel(self.trainer.graph, &self.state.params, self.trainer.node)?;
        check_finite([mu, &self.state.posterior.log_var], self.state.epoch, HINT)
    }

    fn network(&self) -> (&Params, Option<&Posterior>) {
        (&self.state.params, Some(&self.state.posterior))
    }

    fn kl(&self) -> Result<Option<f64>> {
        let Self { trainer, state, .. } = self;
        let mu = kernel(trainer.graph, &state.params, trainer.node)?;
        let sigma = trainer.config.prior_sigma;
        Ok(Some(kl(mu, &state.posterior.log_var, &state.prior_mean, sigma)))
    }
}

impl Trainer<'_> {
    /// Ends a step whose examples have the mean negative log likelihood `nll`; returns the objective.
    /// `kl_weight` is `T / N`, warmed up.
    fn step(&mut self, state: &mut Stage2State, nll: f64, kl_weight: f32, rate: f32) -> Result<f64> {
        let (mut d_mu, mut d_log_var) = self.likelihood_gradient(state)?;
        let config = self.config;
        let mu = kernel(self.graph, &state.params, self.node)?;
        let log_var = &state.posterior.log_var;
        let loss = nll + f64::from(kl_weight) * kl(mu, log_var, &state.prior_mean, config.prior_sigma);
        if !loss.is_finite() {
            return Err(Error::NotFinite {
                what: "stage-2 loss",
                value: loss as f32,
                epoch: state.epoch + 1,
                hint: HINT,
            });
        }
        add_kl_gradient(
            kl_weight,
            (mu, log_var),
            &state.prior_mean,
            config.prior_sigma,
            (&mut d_mu, &mut d_log_var),
        );
        state.optimizer.advance();
        if let Some(mu) = &mut state.params.nodes[self.node].weight {
            state.optimizer.apply(Optimizer::ADAM, "mu", mu, &d_mu, config.lr_mu * rate, 0.0);
        }
        let log_var = &mut state.posterior.log_var;
        state.optimizer.apply(Optimizer::ADAM, "log_var", log_var, &d_log_var, config.lr_log_var * rate, 0.0);
        Ok(loss)
    }

    /// Negative log likelihood of a batch under the sample of step `at`; adds the batch's share of the
    /// step's gradient.
    fn likelihood(&mut self, state: &Stage2State, batch: &Batch, at: usize) -> Result<f64> {
        let (n, shape) = (batch.labels.len(), self.noise_shape(batch.step_examples));
        if batch.first == 0 {
            self.draw(state, shape, at)?;
        }
        let examples = batch.first..batch.first + n;
        let perturbation = self.noise.as_ref().map(|noise| noise.perturbation(examples, shape));
        let pass = Pass { perturbation: perturbation.unwrap_or_default(), ..Pass::default() };
        let outputs = self.executor.forward(&self.sampled, &batch.inputs, n, &pass)?;
        let (nll, mut gradient) = batch_loss(self.graph, outputs, batch, 0.0);
        scale_to_step(&mut gradient, batch);
        let gradients = self.gradients.batch_mut();
        self.executor.backward(&self.sampled, &batch.inputs, &gradient, n, &pass, gradients)?;
        self.gradients.add(batch);
        Ok(nll)
    }

    /// Draws the noise of a step: one sample for all of its batches.
    fn draw(&mut self, state: &Stage2State, shape: NoiseShape, at: usize) -> Result<()> {
        let mu = kernel(self.graph, &state.params, self.node)?;
        let noise = Noise::draw(self.config, mu, &state.posterior.log_var, shape, &[STAGE, at as u64]);
        if let (Some(target), source) = (&mut self.sampled.nodes[self.node].weight, mu) {
            match &noise {
                Noise::Weight { sample, .. } => target.iter_mut().zip(sample).for_each(|(w, s)| *w = *s),
                _ => target.assign(source),
            }
        }
        self.noise = Some(noise);
        Ok(())
    }

    /// Gradients of the step's mean negative log likelihood with respect to mu and log_var.
    fn likelihood_gradient(&self, state: &Stage2State) -> Result<(ArrayD<f32>, ArrayD<f32>)> {
        let missing = || Error::invalid("gradient of the first kernel", "none", "a tensor");
        let gradients = self.gradients.total();
        let kernel_gradient = gradients.nodes[self.node].weight.as_ref().ok_or_else(missing)?;
        let noise = self.noise.as_ref().ok_or_else(missing)?;
        Ok(noise.chain(kernel_gradient, gradients, &state.posterior.log_var))
    }

    fn noise_shape(&self, n: usize) -> NoiseShape {
        let input = self.graph.input_of(self.node);
        let is_dense = matches!(self.graph.nodes[self.node].op, Op::Dense { .. });
        let inputs = if is_dense { input.len() } else { input.channels };
        NoiseShape { n, inputs, outputs: self.graph.nodes[self.node].shape.channels }
    }
}

/// Share of the KL term at this step: linear growth to 1.
pub(super) fn warm_up(step: usize, warmup: usize) -> f32 {
    if step >= warmup { 1.0 } else { (step + 1) as f32 / warmup as f32 }
}

#[cfg(test)]
mod tests;
