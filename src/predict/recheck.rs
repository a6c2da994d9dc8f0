//! Reading the artifact again now and then: flash that wears out, or RAM that holds the file.

use super::input::PredictError;
use super::predictor::Predictor;
use crate::artifact::{ArtifactError, Model};

/// See [`Model::recheck`].
type Read = fn(&Model<'_>) -> Result<(), ArtifactError>;

/// When the artifact is read again.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Recheck {
    /// How; `None` for never, so that a program that does not ask for it does not hold the code.
    read: Option<Read>,
    /// Predictions from one time to the next.
    every: u32,
    /// Predictions until the next time.
    left: u32,
}

impl Recheck {
    /// Reads the artifact if its time has come. One that was found damaged is read before each prediction
    /// from then on.
    pub(super) fn before_prediction(&mut self, model: &Model<'_>) -> Result<(), PredictError> {
        let Some(read) = self.read else { return Ok(()) };
        if self.left == 0 {
            read(model).map_err(|_| PredictError::Damaged)?;
            self.left = self.every;
        }
        self.left -= 1;
        Ok(())
    }
}

impl Predictor<'_, '_> {
    /// Reads the whole artifact again before the next prediction and then before every `predictions`-th
    /// one; 0, as at the start, for never. A damaged artifact makes the prediction
    /// [`PredictError::Damaged`].
    ///
    /// It costs one pass over the file (see [`Model::recheck`]) each time. Damage between two such times
    /// can change results, and nothing else.
    pub fn recheck_every(&mut self, predictions: u32) {
        let read = (predictions > 0).then_some((|model| model.recheck()) as Read);
        self.recheck = Recheck { read, every: predictions, left: 0 };
    }
}
