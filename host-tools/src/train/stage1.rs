//! Stage 1: the whole network, as usual.

use super::accumulate::{Accumulator, scale_to_step};
use super::batches::{Batch, Epoch};
use super::config::Stage1Config;
use super::engine::{Engine, engine};
use super::executor::{Pass, Trainable};
use super::loss::{half_squared_error, softmax_cross_entropy};
use super::monte_carlo::validate_on;
use super::observer::{EpochSummary, Observer};
use super::optimizer::OptimizerState;
use super::random::{Purpose, derive};
use super::state::{Stage1State, check_finite};
use super::{TrainData, check_data};
use crate::error::{Error, Result};
use crate::graph::{Graph, NodeParams, Params, Task};
use std::time::Instant;

const STAGE: u64 = 1;

/// What helps when training diverges.
const HINT: &str = "try a smaller learning rate or a warm-up";

/// Trains the whole network, from `start` or from fresh weights, until `config.epochs` are done.
///
/// The same seed gives the same bits, whatever the number of threads and wherever it was resumed.
///
/// # Errors
/// If a setting cannot work, the data do not fit the network, the loss diverges, or the observer
/// stops the run.
pub fn stage1(
    graph: &Graph,
    data: TrainData<'_>,
    config: &Stage1Config,
    start: Option<Stage1State>,
    observer: &mut dyn Observer,
) -> Result<Stage1State> {
    config.check(graph)?;
    check_data(graph, &data)?;
    let mut state = start.unwrap_or_else(|| Stage1State {
        epoch: 0,
        params: Params::initialise(graph, config.seed),
        optimizer: OptimizerState::default(),
    });
    state.optimizer.check(config.optimizer)?;
    let mut trainer = Trainer {
        graph,
        config,
        executor: engine(graph, config.batch_size.min(data.train.len()), Trainable::All, config.device)?,
        gradients: Accumulator::new(graph, Trainable::All),
    };
    while state.epoch < config.epochs {
        let summary = trainer.epoch(&data, &mut state, observer)?;
        observer.stage1_epoch(&summary, &state)?;
    }
    Ok(state)
}

struct Trainer<'a> {
    graph: &'a Graph,
    config: &'a Stage1Config,
    executor: Box<dyn Engine>,
    gradients: Accumulator,
}

impl Trainer<'_> {
    fn epoch(
        &mut self,
        data: &TrainData<'_>,
        state: &mut Stage1State,
        observer: &mut dyn Observer,
    ) -> Result<EpochSummary> {
        let started = Instant::now();
        let config = self.config;
        let batches = Epoch {
            data: data.train,
            preprocessing: data.preprocessing,
            augment: config.augment,
            batch_size: config.batch_size,
            part_size: config.batch_size,
            accumulate: config.accumulate,
            seed: (config.seed, STAGE, state.epoch as u64),
        };
        let (total, epoch) = (batches.len(), state.epoch);
        let (mut loss_sum, mut seen, mut step_loss) = (0.0, 0, 0.0);
        batches.each(|step, batch| {
            let at = epoch * total + step;
            let factor = config.schedule.factor(at, config.epochs * total, config.warmup_epochs * total);
            let loss = self.batch(state, &batch, at)? * batch.labels.len() as f64;
            loss_sum += loss;
            seen += batch.labels.len();
            step_loss = if batch.first == 0 { loss } else { step_loss + loss };
            if batch.ends_step() {
                self.apply(state, config.learning_rate * factor);
                observer.batch(1, epoch + 1, step + 1, total, step_loss / batch.step_examples as f64);
            }
            if observer.interrupted() { Err(Error::Interrupted) } else { Ok(()) }
        })?;
        let training = started.elapsed().as_secs_f64();
        state.epoch += 1;
        let tensors = state.params.nodes.iter().flat_map(NodeParams::tensors).map(|(_, tensor)| tensor);
        check_finite(tensors, state.epoch, HINT)?;
        let validation = validate_on(
            config.device,
            self.graph,
            &state.params,
            None,
            data.validation,
            data.preprocessing,
            1,
            config.seed,
        )?;
        Ok(EpochSummary {
            stage: 1,
            epoch: state.epoch,
            epochs: config.epochs,
            loss: loss_sum / seen.max(1) as f64,
            nll: None,
            kl: None,
            validation,
            seconds: started.elapsed().as_secs_f64(),
            images_per_second: seen as f64 / training,
        })
    }

    /// Adds one batch's share of the gradient of step `at`; returns the batch's loss.
    fn batch(&mut self, state: &mut Stage1State, batch: &Batch, at: usize) -> Result<f64> {
        let n = batch.labels.len();
        let pass = Pass {
            dropout_seed: derive(self.config.seed, Purpose::Dropout, &[at as u64]),
            first_example: batch.first,
            ..Pass::default()
        };
        let outputs = self.executor.forward(&state.params, &batch.inputs, n, &pass)?;
        let (loss, mut gradient) = batch_loss(self.graph, outputs, batch, self.config.label_smoothing);
        if !loss.is_finite() {
            return Err(Error::NotFinite {
                what: "training loss",
                value: loss as f32,
                epoch: state.epoch + 1,
                hint: HINT,
            });
        }
        scale_to_step(&mut gradient, batch);
        let gradients = self.gradients.batch_mut();
        self.executor.backward(&state.params, &batch.inputs, &gradient, n, &pass, gradients)?;
        self.executor.update_running_statistics(&mut state.params)?;
        self.gradients.add(batch);
        Ok(loss)
    }

    fn apply(&mut self, state: &mut Stage1State, learning_rate: f32) {
        state.optimizer.advance();
        for (id, gradients) in self.gradients.total().nodes.iter().enumerate() {
            for (name, value) in state.params.nodes[id].tensors_mut() {
                let Some((_, gradient)) = gradients.tensors().find(|(other, _)| *other == name) else {
                    continue;
                };
                let decay = if name == "weight" { self.config.weight_decay } else { 0.0 };
                let key = format!("{}/{name}", self.graph.nodes[id].name);
                state.optimizer.apply(self.config.optimizer, &key, value, gradient, learning_rate, decay);
            }
        }
    }
}

/// Loss of a batch and its gradient with respect to the outputs.
pub(super) fn batch_loss(graph: &Graph, outputs: &[f32], batch: &Batch, smoothing: f32) -> (f64, Vec<f32>) {
    match graph.task {
        Task::Classification => {
            softmax_cross_entropy(outputs, &batch.labels, graph.output_shape().len(), smoothing)
        }
        Task::Reconstruction => half_squared_error(outputs, &batch.inputs),
    }
}

#[cfg(test)]
mod tests;
