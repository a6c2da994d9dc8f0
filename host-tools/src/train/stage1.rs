//! Stage 1: the whole network, as usual.

use super::accumulate::{Accumulator, scale_to_step};
use super::batches::Batch;
use super::config::Stage1Config;
use super::engine::{Engine, engine};
use super::epochs::{At, Epochs, Stage};
use super::executor::{Pass, Trainable};
use super::loss::{gaussian_nll, half_squared_error, softmax_cross_entropy};
use super::observer::Observer;
use super::optimizer::OptimizerState;
use super::random::{Purpose, derive};
use super::state::{Stage1State, check_finite};
use super::{TrainData, check_data};
use crate::error::{Error, Result};
use crate::graph::params::Posterior;
use crate::graph::{Graph, NodeParams, Params, Task};

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
    let epochs = Epochs::of_stage1(graph, data, config);
    let mut trainer = Trainer {
        graph,
        config,
        executor: engine(graph, config.batch_size.min(data.train.len()), Trainable::All, config.device)?,
        gradients: Accumulator::new(graph, Trainable::All),
    };
    while state.epoch < config.epochs {
        let number = state.epoch;
        let mut running = Running { trainer: &mut trainer, state: &mut state };
        let summary = epochs.run(number, 1, &mut running, observer)?;
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

/// A trainer at work on a state.
struct Running<'t, 'a> {
    trainer: &'t mut Trainer<'a>,
    state: &'t mut Stage1State,
}

impl Stage for Running<'_, '_> {
    fn batch(&mut self, batch: &Batch, at: At) -> Result<f64> {
        self.trainer.batch(self.state, batch, at.step)
    }

    fn step(&mut self, nll: f64, at: At) -> Result<f64> {
        let config = self.trainer.config;
        let [steps, warm_up] = [config.epochs, config.warmup_epochs].map(|epochs| epochs * at.per_epoch);
        let factor = config.schedule.factor(at.step, steps, warm_up);
        self.trainer.apply(self.state, config.learning_rate * factor);
        Ok(nll)
    }

    fn end_epoch(&mut self) -> Result<()> {
        self.state.epoch += 1;
        let tensors = self.state.params.nodes.iter().flat_map(NodeParams::tensors).map(|(_, tensor)| tensor);
        check_finite(tensors, self.state.epoch, HINT)
    }

    fn network(&self) -> (&Params, Option<&Posterior>) {
        (&self.state.params, None)
    }

    fn kl(&self) -> Result<Option<f64>> {
        Ok(None)
    }
}

impl Trainer<'_> {
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
        Task::Gaussian => gaussian_nll(outputs, &batch.targets, graph.output_shape().len() / 2),
    }
}

#[cfg(test)]
mod tests;
