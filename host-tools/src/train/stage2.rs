//! Stage 2: the first kernel alone becomes Bayesian; everything else stays as stage 1 left it, to the
//! last bit.
//!
//! Minimises `E_q[mean over the batch of -log p(y | x, w)] + T * KL(q || p) / N` (Lei et al. 2021), with
//! one sample a step.

use super::accumulate::{Accumulator, scale_to_step};
use super::batches::{Batch, Epoch};
use super::config::{Optimizer, Stage2Config};
use super::engine::{Device, Engine, engine};
use super::executor::{Pass, Trainable, part_examples};
use super::monte_carlo::validate_on;
use super::observer::{EpochSummary, Observer};
use super::optimizer::OptimizerState;
use super::stage1::batch_loss;
use super::state::{Stage2State, check_finite};
use super::variational::{Noise, NoiseShape, add_kl_gradient, initial_log_var, kl, prior_mean};
use super::{TrainData, check_data};
use crate::error::{Error, Result};
use crate::graph::params::Posterior;
use crate::graph::{Graph, NodeId, Op, Params};
use ndarray::ArrayD;
use std::time::Instant;

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
    let mut trainer = Trainer {
        graph,
        config,
        node,
        executor: engine(graph, part_size, Trainable::FirstLayer, config.device)?,
        part_size,
        gradients: Accumulator::new(graph, Trainable::FirstLayer),
        noise: None,
        sampled: state.params.clone(),
    };
    while state.epoch < config.epochs {
        let summary = trainer.epoch(&data, &mut state, observer)?;
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
    /// Most examples of one pass.
    part_size: usize,
    gradients: Accumulator,
    /// Of the step under way.
    noise: Option<Noise>,
    /// The network with a sampled first kernel: the plain weight estimator runs it.
    sampled: Params,
}

/// Sums over the examples of an epoch.
#[derive(Default)]
struct Totals {
    loss: f64,
    nll: f64,
    examples: usize,
}

impl Trainer<'_> {
    fn epoch(
        &mut self,
        data: &TrainData<'_>,
        state: &mut Stage2State,
        observer: &mut dyn Observer,
    ) -> Result<EpochSummary> {
        let started = Instant::now();
        let config = self.config;
        let batches = Epoch {
            data: data.train,
            preprocessing: data.preprocessing,
            augment: config.augment,
            batch_size: config.batch_size,
            part_size: self.part_size,
            accumulate: config.accumulate,
            seed: (config.seed, STAGE, state.epoch as u64),
        };
        let (steps, epoch, n) = (batches.len(), state.epoch, data.train.len());
        let (mut totals, mut nll) = (Totals::default(), 0.0);
        batches.each(|step, batch| {
            let at = epoch * steps + step;
            let warm = warm_up(at, config.kl_warmup_epochs * steps);
            let rate = config.schedule.factor(at, config.epochs * steps, 0);
            let part = self.likelihood(state, &batch, at)? * batch.labels.len() as f64;
            nll = if batch.first == 0 { part } else { nll + part };
            if batch.ends_step() {
                let mean = nll / batch.step_examples as f64;
                let kl_weight = warm * config.temperature / n as f32;
                let loss = self.step(state, mean, kl_weight, rate)?;
                totals.loss += loss * batch.step_examples as f64;
                totals.nll += nll;
                totals.examples += batch.step_examples;
                observer.batch(2, epoch + 1, step + 1, steps, loss);
            }
            if observer.interrupted() { Err(Error::Interrupted) } else { Ok(()) }
        })?;
        let training = started.elapsed().as_secs_f64();
        state.epoch += 1;
        let mu = kernel(self.graph, &state.params, self.node)?;
        check_finite([mu, &state.posterior.log_var], state.epoch, HINT)?;
        self.summary(data, state, &totals, training, started)
    }

    fn summary(
        &self,
        data: &TrainData<'_>,
        state: &Stage2State,
        totals: &Totals,
        training: f64,
        started: Instant,
    ) -> Result<EpochSummary> {
        let config = self.config;
        let last = state.epoch == config.epochs;
        let samples = if last { config.eval_samples } else { PROGRESS_SAMPLES.min(config.eval_samples) };
        let validation = validate_on(
            config.device,
            self.graph,
            &state.params,
            Some(&state.posterior),
            data.validation,
            data.preprocessing,
            samples,
            config.seed,
        )?;
        let mu = kernel(self.graph, &state.params, self.node)?;
        let examples = totals.examples.max(1) as f64;
        Ok(EpochSummary {
            stage: 2,
            epoch: state.epoch,
            epochs: config.epochs,
            loss: totals.loss / examples,
            nll: Some(totals.nll / examples),
            kl: Some(kl(mu, &state.posterior.log_var, &state.prior_mean, config.prior_sigma)),
            validation,
            seconds: started.elapsed().as_secs_f64(),
            images_per_second: examples / training,
        })
    }

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
fn warm_up(step: usize, warmup: usize) -> f32 {
    if step >= warmup { 1.0 } else { (step + 1) as f32 / warmup as f32 }
}

#[cfg(test)]
mod tests;
