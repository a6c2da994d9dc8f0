//! The loop over an epoch's batches that both stages run: gradients summed to steps, figures, validation.

use super::TrainData;
use super::batches::{Batch, Epoch};
use super::config::{Augment, Stage1Config, Stage2Config};
use super::engine::Device;
use super::monte_carlo::validate_on;
use super::observer::{EpochSummary, Observer};
use crate::error::{Error, Result};
use crate::graph::params::Posterior;
use crate::graph::{Graph, Params};
use std::time::Instant;

/// What the loop takes from a stage's settings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Epochs<'a> {
    pub graph: &'a Graph,
    pub data: TrainData<'a>,
    /// 1 or 2.
    pub stage: u8,
    /// Epochs of the stage.
    pub epochs: usize,
    pub device: Device,
    pub augment: Augment,
    pub batch_size: usize,
    /// Most examples of one pass.
    pub part_size: usize,
    pub accumulate: usize,
    pub seed: u64,
}

/// A step's place in its stage.
#[derive(Debug, Clone, Copy)]
pub(super) struct At {
    /// Number of the step, from the first of the stage.
    pub step: usize,
    /// Steps of an epoch.
    pub per_epoch: usize,
}

/// What a stage does with batches.
pub(super) trait Stage {
    /// Adds one batch's share of a step's gradient; returns the batch's mean negative log likelihood.
    fn batch(&mut self, batch: &Batch, at: At) -> Result<f64>;

    /// Ends a step whose examples have the mean negative log likelihood `nll`; returns the objective.
    fn step(&mut self, nll: f64, at: At) -> Result<f64>;

    /// After the epoch's last step, before its validation: refuses what has diverged.
    fn end_epoch(&mut self) -> Result<()>;

    /// What is validated.
    fn network(&self) -> (&Params, Option<&Posterior>);

    /// KL(q || p), nats; none for a stage without it.
    fn kl(&self) -> Result<Option<f64>>;
}

/// Sums over the examples of an epoch.
#[derive(Debug, Default)]
struct Sums {
    objective: f64,
    nll: f64,
    examples: usize,
}

impl<'a> Epochs<'a> {
    pub fn of_stage1(graph: &'a Graph, data: TrainData<'a>, config: &Stage1Config) -> Self {
        Self {
            graph,
            data,
            stage: 1,
            epochs: config.epochs,
            device: config.device,
            augment: config.augment,
            batch_size: config.batch_size,
            part_size: config.batch_size,
            accumulate: config.accumulate,
            seed: config.seed,
        }
    }

    pub fn of_stage2(graph: &'a Graph, data: TrainData<'a>, config: &Stage2Config, part_size: usize) -> Self {
        Self {
            graph,
            data,
            stage: 2,
            epochs: config.epochs,
            device: config.device,
            augment: config.augment,
            batch_size: config.batch_size,
            part_size,
            accumulate: config.accumulate,
            seed: config.seed,
        }
    }

    /// Runs epoch `number`, from 0, and validates with `samples` Monte-Carlo samples.
    ///
    /// # Errors
    /// The stage's, and if the observer stops the run.
    pub fn run(
        &self,
        number: usize,
        samples: usize,
        stage: &mut impl Stage,
        observer: &mut dyn Observer,
    ) -> Result<EpochSummary> {
        let started = Instant::now();
        let sums = self.steps(number, stage, observer)?;
        let training = started.elapsed().as_secs_f64();
        stage.end_epoch()?;
        let (params, posterior) = stage.network();
        let TrainData { validation, preprocessing, .. } = self.data;
        let validation = validate_on(
            self.device,
            self.graph,
            params,
            posterior,
            validation,
            preprocessing,
            samples,
            self.seed,
        )?;
        let (kl, examples) = (stage.kl()?, sums.examples.max(1) as f64);
        Ok(EpochSummary {
            stage: self.stage,
            epoch: number + 1,
            epochs: self.epochs,
            loss: sums.objective / examples,
            nll: kl.map(|_| sums.nll / examples),
            kl,
            validation,
            seconds: started.elapsed().as_secs_f64(),
            images_per_second: examples / training,
        })
    }

    fn steps(&self, number: usize, stage: &mut impl Stage, observer: &mut dyn Observer) -> Result<Sums> {
        let batches = Epoch {
            data: self.data.train,
            preprocessing: self.data.preprocessing,
            augment: self.augment,
            batch_size: self.batch_size,
            part_size: self.part_size,
            accumulate: self.accumulate,
            seed: (self.seed, u64::from(self.stage), number as u64),
        };
        let (per_epoch, mut sums, mut nll) = (batches.len(), Sums::default(), 0.0);
        batches.each(|step, batch| {
            let at = At { step: number * per_epoch + step, per_epoch };
            let part = stage.batch(&batch, at)? * batch.labels.len() as f64;
            nll = if batch.first == 0 { part } else { nll + part };
            if batch.ends_step() {
                let examples = batch.step_examples as f64;
                let objective = stage.step(nll / examples, at)?;
                sums.objective += objective * examples;
                sums.nll += nll;
                sums.examples += batch.step_examples;
                observer.batch(self.stage, number + 1, step + 1, per_epoch, objective);
            }
            if observer.interrupted() { Err(Error::Interrupted) } else { Ok(()) }
        })?;
        Ok(sums)
    }
}
