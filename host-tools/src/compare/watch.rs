//! Follows a training: progress on standard error, and whether the user asked to stop.

use crate::error::Result;
use crate::progress::{Progress, interrupt};
use crate::train::{EpochSummary, Observer, Stage1State, Stage2State};

/// Shows a training's epochs.
#[derive(Debug)]
pub struct Watch {
    label: String,
    epoch: (u8, usize),
    bar: Progress,
}

impl Watch {
    /// A training of this name.
    #[must_use]
    pub fn new(label: String) -> Self {
        Self { label, epoch: (0, 0), bar: Progress::hidden() }
    }

    /// Ends an epoch with a line that stays.
    pub(super) fn epoch_done(&mut self, line: &str) {
        self.epoch = (0, 0);
        std::mem::replace(&mut self.bar, Progress::hidden()).finish(&format!("{} {line}", self.label));
    }
}

impl Observer for Watch {
    fn batch(&mut self, stage: u8, epoch: usize, done: usize, total: usize, loss: f64) {
        if self.epoch != (stage, epoch) {
            self.epoch = (stage, epoch);
            self.bar = Progress::new(&format!("{} epoch {epoch}", self.label), total as u64);
        }
        self.bar.set(done as u64, &format!("loss {loss:.4}"));
    }

    fn stage1_epoch(&mut self, summary: &EpochSummary, _: &Stage1State) -> Result<()> {
        self.epoch_done(&summary.to_string());
        Ok(())
    }

    fn stage2_epoch(&mut self, summary: &EpochSummary, _: &Stage2State) -> Result<()> {
        self.epoch_done(&summary.to_string());
        Ok(())
    }

    fn interrupted(&self) -> bool {
        interrupt::requested()
    }
}
