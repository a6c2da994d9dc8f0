//! What training tells while it runs.

use super::state::{MeanFieldState, Stage1State, Stage2State};
use crate::error::Result;
use serde::Serialize;
use std::fmt;

/// Figures of the validation split.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Validation {
    /// Share of correct classes; 0 for a reconstruction or regression.
    pub accuracy: f64,
    /// Negative log likelihood, nats; the loss for a reconstruction; for a regression of the targets in
    /// their standard deviations, summed over them.
    pub nll: f64,
    /// Expected calibration error, 15 bins; 0 for a reconstruction.
    pub ece: f64,
    /// Brier score, summed over classes; 0 for a reconstruction.
    pub brier: f64,
    /// Root mean squared error over all targets of a regression, in their standard deviations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rmse: Option<f64>,
}

impl fmt::Display for Validation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rmse {
            Some(rmse) => write!(f, "NLL {:.4} RMSE {rmse:.4} standard deviations", self.nll),
            None => {
                let percent = 100.0 * self.accuracy;
                write!(f, "accuracy {percent:.2} % NLL {:.4} ECE {:.4}", self.nll, self.ece)
            }
        }
    }
}

/// Figures of one epoch.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EpochSummary {
    /// 1 or 2.
    pub stage: u8,
    /// Epochs finished, this one included.
    pub epoch: usize,
    /// Epochs of the stage.
    pub epochs: usize,
    /// Mean training objective.
    pub loss: f64,
    /// Stage 2: mean negative log likelihood part of the loss.
    pub nll: Option<f64>,
    /// Stage 2: KL(q || p) at the end of the epoch, summed over weights, nats.
    pub kl: Option<f64>,
    /// Validation figures; stage 2's are Monte-Carlo means.
    pub validation: Validation,
    /// Seconds, validation included.
    pub seconds: f64,
    /// Training examples a second, validation not included.
    pub images_per_second: f64,
}

impl fmt::Display for EpochSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stage, epoch, epochs, loss, validation, seconds, images_per_second, .. } = self;
        let kl = self.kl.map_or(String::new(), |kl| format!(" kl {kl:.1}"));
        write!(
            f,
            "stage {stage} epoch {epoch}/{epochs}: loss {loss:.4}{kl}, validation {validation}, \
             {seconds:.1} s, {images_per_second:.0} images/s"
        )
    }
}

/// Follows a training run.
pub trait Observer {
    /// After each step: `done` of `total` steps of this epoch (from 1), with the step's loss.
    fn batch(&mut self, stage: u8, epoch: usize, done: usize, total: usize, loss: f64);

    /// After each epoch of stage 1; the place for a checkpoint.
    ///
    /// # Errors
    /// Whatever keeps the state from being stored; training stops.
    fn stage1_epoch(&mut self, _summary: &EpochSummary, _state: &Stage1State) -> Result<()> {
        Ok(())
    }

    /// After each epoch of stage 2; the place for a checkpoint.
    ///
    /// # Errors
    /// Whatever keeps the state from being stored; training stops.
    fn stage2_epoch(&mut self, _summary: &EpochSummary, _state: &Stage2State) -> Result<()> {
        Ok(())
    }

    /// After each of the `epochs` epochs of a mean-field inference, with the mean of its steps' objectives;
    /// the place for a checkpoint.
    ///
    /// # Errors
    /// Whatever keeps the state from being stored; the inference stops.
    fn mean_field_epoch(&mut self, _epochs: usize, _loss: f64, _state: &MeanFieldState) -> Result<()> {
        Ok(())
    }

    /// Asked after each step; `true` ends training with [`crate::Error::Interrupted`].
    fn interrupted(&self) -> bool {
        false
    }
}

/// An observer that looks away.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn batch(&mut self, _: u8, _: usize, _: usize, _: usize, _: f64) {}
}
