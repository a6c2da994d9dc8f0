//! Follows a training run: progress on standard error, a log line and a checkpoint after each epoch.

use super::{Checkpoint, RunFolder};
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::progress::{Progress, interrupt};
use crate::train::{EpochSummary, Observer, Stage1State, Stage2State};
use serde_json::{Value, json};

/// The observer of `stf train` and `stf demo`.
#[derive(Debug)]
pub struct RunObserver<'a> {
    graph: &'a Graph,
    folder: &'a RunFolder,
    bar: Option<Progress>,
    /// Figures and seconds of each stage, for the final line.
    report: StageReports,
}

/// What each stage came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StageReports {
    /// The last epoch of stage 1, if it ran in this process.
    pub stage1: Option<StageReport>,
    /// The last epoch of stage 2, if it ran in this process.
    pub stage2: Option<StageReport>,
}

/// One stage's last figures and its time in this process.
#[derive(Debug, Clone, PartialEq)]
pub struct StageReport {
    /// Figures of the last epoch.
    pub last: EpochSummary,
    /// Seconds of all epochs.
    pub seconds: f64,
}

impl<'a> RunObserver<'a> {
    /// Follows a run of `graph` that is kept in `folder`.
    #[must_use]
    pub fn new(graph: &'a Graph, folder: &'a RunFolder) -> Self {
        Self { graph, folder, bar: None, report: StageReports::default() }
    }

    /// What each stage came to.
    #[must_use]
    pub fn into_reports(self) -> StageReports {
        self.report
    }

    fn epoch(&mut self, summary: &EpochSummary, store: impl FnOnce(&mut Checkpoint)) -> Result<()> {
        let mut checkpoint = Checkpoint { meta: json!({ "stage": summary.stage }), ..Checkpoint::default() };
        store(&mut checkpoint);
        // A kill in between leaves a line that `trim_log` removes, never an epoch without one.
        self.folder.log(&to_value(summary)?)?;
        self.folder.save_checkpoint(&checkpoint)?;
        if let Some(bar) = self.bar.take() {
            bar.finish(&summary.to_string());
        }
        let slot = if summary.stage == 1 { &mut self.report.stage1 } else { &mut self.report.stage2 };
        let seconds = slot.as_ref().map_or(0.0, |report| report.seconds) + summary.seconds;
        *slot = Some(StageReport { last: summary.clone(), seconds });
        Ok(())
    }
}

impl Observer for RunObserver<'_> {
    fn batch(&mut self, stage: u8, epoch: usize, done: usize, total: usize, loss: f64) {
        let bar = self
            .bar
            .get_or_insert_with(|| Progress::new(&format!("stage {stage} epoch {epoch}"), total as u64));
        bar.set(done as u64, &format!("loss {loss:.4}"));
    }

    fn stage1_epoch(&mut self, summary: &EpochSummary, state: &Stage1State) -> Result<()> {
        let graph = self.graph;
        self.epoch(summary, |checkpoint| state.store(graph, checkpoint))
    }

    fn stage2_epoch(&mut self, summary: &EpochSummary, state: &Stage2State) -> Result<()> {
        let graph = self.graph;
        self.epoch(summary, |checkpoint| state.store(graph, checkpoint))
    }

    fn interrupted(&self) -> bool {
        interrupt::requested()
    }
}

fn to_value(summary: &EpochSummary) -> Result<Value> {
    serde_json::to_value(summary)
        .map_err(|error| Error::invalid("log entry", error, "figures with a JSON form"))
}
