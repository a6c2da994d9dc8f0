//! What the training of a unit leaves on disk after each epoch: a comparison that was killed loses the epoch
//! under way, no other.
//!
//! ```text
//! checkpoint-N    of the unit's network N, from 0: its state, and what the unit took so far
//! ```

use super::Watch;
use super::usage::{Meter, Usage};
use crate::error::{Error, Result};
use crate::files::remove_partial;
use crate::graph::Graph;
use crate::run::Checkpoint;
use crate::train::{EpochSummary, MeanFieldState, Observer, Stage1State, Stage2State};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// Name of a file, before the network's number.
const PREFIX: &str = "checkpoint-";

/// Follows a unit's training and keeps it.
#[derive(Debug)]
pub struct Keeper {
    label: String,
    /// What decides the training's result, as JSON.
    facts: Value,
    /// None: nothing is kept.
    folder: Option<PathBuf>,
    watch: Watch,
    meter: Meter,
    /// By processes before this one, up to the checkpoint that was read last.
    earlier: Usage,
    /// Networks that were begun.
    networks: usize,
}

/// Follows one network of a unit.
#[derive(Debug)]
pub struct Network<'a> {
    keeper: &'a mut Keeper,
    graph: &'a Graph,
    file: Option<PathBuf>,
}

impl Keeper {
    /// A unit of this name, whose result `facts` decide; without a folder, nothing is kept.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub fn new(label: String, facts: Value, folder: Option<&Path>) -> Result<Self> {
        if let Some(folder) = folder {
            fs::create_dir_all(folder).map_err(Error::io(folder, "create"))?;
            remove_partial(folder);
        }
        Ok(Self {
            watch: Watch::new(label.clone()),
            label,
            facts,
            folder: folder.map(Path::to_path_buf),
            meter: Meter::start(),
            earlier: Usage::NOTHING,
            networks: 0,
        })
    }

    /// Begins the unit's next network: follows it, and gives what `load` makes of the checkpoint that an
    /// earlier process left.
    ///
    /// # Errors
    /// If the checkpoint is that of another unit, of other data or settings, or cannot be read.
    pub fn network<'a, S>(
        &'a mut self,
        graph: &'a Graph,
        load: impl FnOnce(&mut Checkpoint, &Path) -> Result<S>,
    ) -> Result<(Option<S>, Network<'a>)> {
        let file = self.folder.as_ref().map(|folder| folder.join(format!("{PREFIX}{}", self.networks)));
        if self.networks > 0 {
            self.watch = Watch::new(format!("{} network {}", self.label, self.networks + 1));
        }
        self.networks += 1;
        let state = match &file {
            Some(file) if file.is_file() => {
                let mut checkpoint = Checkpoint::load(file)?;
                let unit: String = checkpoint.field(file, "unit")?;
                if unit != self.label {
                    return Err(Error::malformed(file, "unit", unit, &self.label));
                }
                if checkpoint.meta["facts"] != self.facts {
                    let found = "those of another version of the tool, or of other data under the same name";
                    let expected = "those of this run; without this file the network is trained anew";
                    return Err(Error::malformed(file, "settings", found, expected));
                }
                self.earlier = checkpoint.field(file, "usage")?;
                self.meter = Meter::start();
                Some(load(&mut checkpoint, file)?)
            }
            _ => None,
        };
        Ok((state, Network { keeper: self, graph, file }))
    }

    /// What the unit took, in all processes.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.earlier.then(self.meter.read())
    }
}

/// Removes what is kept of a unit that is finished.
///
/// # Errors
/// If the disk refuses.
pub fn clear(folder: &Path) -> Result<()> {
    let entries = fs::read_dir(folder).map_err(Error::io(folder, "list"))?;
    let number = |entry: fs::DirEntry| entry.file_name().to_str()?.strip_prefix(PREFIX)?.parse().ok();
    let mut kept: Vec<usize> = entries.flatten().filter_map(number).collect();
    kept.sort_unstable();
    // The last one first: it has the cost of those before it.
    kept.iter().rev().try_for_each(|number| {
        let file = folder.join(format!("{PREFIX}{number}"));
        fs::remove_file(&file).map_err(Error::io(&file, "remove"))
    })
}

impl Network<'_> {
    /// Keeps a state, then says so: an epoch that was reported is never trained again.
    fn keep(&mut self, store: impl FnOnce(&mut Checkpoint), line: &str) -> Result<()> {
        if let Some(file) = &self.file {
            let Keeper { label, facts, .. } = &*self.keeper;
            let meta = json!({ "unit": label, "facts": facts, "usage": self.keeper.usage() });
            let mut checkpoint = Checkpoint { meta, ..Checkpoint::default() };
            store(&mut checkpoint);
            checkpoint.save(file)?;
        }
        self.keeper.watch.epoch_done(line);
        Ok(())
    }
}

impl Observer for Network<'_> {
    fn batch(&mut self, stage: u8, epoch: usize, done: usize, total: usize, loss: f64) {
        self.keeper.watch.batch(stage, epoch, done, total, loss);
    }

    fn stage1_epoch(&mut self, summary: &EpochSummary, state: &Stage1State) -> Result<()> {
        let graph = self.graph;
        self.keep(|checkpoint| state.store(graph, checkpoint), &summary.to_string())
    }

    fn stage2_epoch(&mut self, summary: &EpochSummary, state: &Stage2State) -> Result<()> {
        let graph = self.graph;
        self.keep(|checkpoint| state.store(graph, checkpoint), &summary.to_string())
    }

    fn mean_field_epoch(&mut self, epochs: usize, loss: f64, state: &MeanFieldState) -> Result<()> {
        let graph = self.graph;
        let line = format!("epoch {}/{epochs}: loss {loss:.4}", state.epoch);
        self.keep(|checkpoint| state.store(graph, checkpoint), &line)
    }

    fn interrupted(&self) -> bool {
        self.keeper.watch.interrupted()
    }
}
