//! The chain of a run: train both stages with checkpoints, resume, and read back what was trained.

use super::progress::{RunObserver, StageReports};
use super::{Checkpoint, RunFolder, RunSettings};
use crate::data::{Dataset, Preprocessing, Splits, TargetScaling};
use crate::error::{Error, Result};
use crate::graph::params::Posterior;
use crate::graph::{Graph, Params};
use crate::train::{OptimizerState, Stage1State, Stage2State, TrainData, load_params, stage1, stage2};
use serde_json::json;
use std::path::{Path, PathBuf};

/// A finished run: the stage-1 network, and what stage 2 made of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Trained {
    /// The network.
    pub graph: Graph,
    /// After stage 1.
    pub plain: Params,
    /// After stage 2: mu in the first kernel; and the posterior.
    pub bayesian: Option<(Params, Posterior)>,
}

impl Trained {
    /// The stage-1 network if `plain` or if there is no other, else that of stage 2 with its posterior.
    #[must_use]
    pub fn chosen(&self, plain: bool) -> (&Params, Option<&Posterior>) {
        match &self.bayesian {
            Some((params, posterior)) if !plain => (params, Some(posterior)),
            _ => (&self.plain, None),
        }
    }
}

/// File of the stage-1 network in a run folder.
const STAGE1_FILE: &str = "stage1.safetensors";
/// File of the finished stage 2 in a run folder.
const STAGE2_FILE: &str = "stage2.safetensors";

/// Trains what `settings` say in `folder`, going on from its checkpoint if there is one.
///
/// # Errors
/// If a stage fails, the checkpoint does not fit, or the disk refuses. What was finished stays.
pub fn train(folder: &RunFolder, settings: &RunSettings, splits: &Splits) -> Result<(Trained, StageReports)> {
    let graph = settings.graph()?;
    let scaled = |set: &Dataset| settings.targets.as_ref().map(|targets| targets.apply(set)).transpose();
    let (train, validation) = (scaled(&splits.train)?, scaled(&splits.validation)?);
    let data = TrainData {
        train: train.as_ref().unwrap_or(&splits.train),
        validation: validation.as_ref().unwrap_or(&splits.validation),
        preprocessing: &settings.preprocessing,
    };
    let mut observer = RunObserver::new(&graph, folder);
    let mut start = folder.load_checkpoint()?;
    let path = folder.checkpoint_path();
    let stage: Option<u8> = start.as_ref().map(|checkpoint| checkpoint.field(&path, "stage")).transpose()?;

    let plain_path = folder.path().join(STAGE1_FILE);
    let plain = if stage == Some(2) || settings.network.is_some() {
        read_params(&graph, &plain_path)?
    } else {
        let start = start.take().map(|mut c| Stage1State::load(&graph, &mut c, &path)).transpose()?;
        let state = stage1(&graph, data, &settings.stage1, start, &mut observer)?;
        let mut file = Checkpoint { meta: json!({}), ..Checkpoint::default() };
        state.store(&graph, &mut file);
        file.save(&plain_path)?;
        state.params
    };
    let mut bayesian = None;
    if let Some(config) = &settings.stage2 {
        let start = start.map(|mut c| Stage2State::load(&graph, &mut c, &path)).transpose()?;
        let state = stage2(&graph, &plain, data, config, start, &mut observer)?;
        let mut file = Checkpoint { meta: json!({}), ..Checkpoint::default() };
        state.store(&graph, &mut file);
        file.save(&folder.path().join(STAGE2_FILE))?;
        bayesian = Some((state.params, state.posterior));
    }
    let reports = observer.into_reports();
    Ok((Trained { graph, plain, bayesian }, reports))
}

/// Puts an imported network where stage 1 leaves a trained one.
///
/// # Errors
/// If the disk refuses.
pub fn place(folder: &RunFolder, graph: &Graph, params: &Params) -> Result<()> {
    let state = Stage1State { epoch: 0, params: params.clone(), optimizer: OptimizerState::default() };
    let mut file = Checkpoint { meta: json!({}), ..Checkpoint::default() };
    state.store(graph, &mut file);
    file.save(&folder.path().join(STAGE1_FILE))
}

/// Reads a finished run back.
///
/// # Errors
/// If the folder holds no finished run, or its files are not intact.
pub fn read(folder: &Path) -> Result<(RunSettings, Trained)> {
    let settings = read_settings(folder)?;
    let graph = settings.graph()?;
    let plain = read_params(&graph, &existing(folder, STAGE1_FILE)?)?;
    let bayesian = match &settings.stage2 {
        None => None,
        Some(_) => {
            let path = existing(folder, STAGE2_FILE)?;
            let state = Stage2State::load(&graph, &mut Checkpoint::load(&path)?, &path)?;
            Some((state.params, state.posterior))
        }
    };
    Ok((settings, Trained { graph, plain, bayesian }))
}

/// Reads the settings of a run folder.
///
/// # Errors
/// If there are none, or they are not intact.
pub fn read_settings(folder: &Path) -> Result<RunSettings> {
    let path = folder.join("config.json");
    let text = std::fs::read_to_string(&path).map_err(Error::io(&path, "read"))?;
    serde_json::from_str(&text)
        .map_err(|error| Error::malformed(&path, "settings", error, "a run's settings"))
}

/// Proves that `train` is the training part that the run was started with, as far as its settings say.
///
/// # Errors
/// If it is not: other data have the same name by now.
pub fn require_same_data(folder: &Path, settings: &RunSettings, train: &Dataset) -> Result<()> {
    // An imported network brings its preprocessing along; a trained one's follows from the data.
    if settings.network.is_some() {
        return Ok(());
    }
    let targets = settings.targets.as_ref().map(|_| TargetScaling::fit(train)).transpose()?;
    let same = train.shape == settings.input
        && train.class_names == settings.class_names
        && targets == settings.targets
        && Preprocessing::fit(train)? == settings.preprocessing;
    if same {
        return Ok(());
    }
    Err(Error::malformed(
        folder,
        "run folder",
        format!("other data under the name {}", settings.data),
        "the data that the run was started with",
    ))
}

fn read_params(graph: &Graph, path: &Path) -> Result<Params> {
    load_params(graph, &mut Checkpoint::load(path)?, path)
}

fn existing(folder: &Path, file: &str) -> Result<PathBuf> {
    let path = folder.join(file);
    if path.is_file() {
        return Ok(path);
    }
    Err(Error::malformed(
        folder,
        "run folder",
        format!("no {file}"),
        "a finished run; `stf train --resume` finishes one that was interrupted",
    ))
}

/// What a run has left in this folder, which a new one there would remove; `None` if nothing.
#[must_use]
pub fn started(folder: &Path) -> Option<&'static str> {
    let files = ["config.json", "checkpoint", "log.jsonl", STAGE1_FILE, STAGE2_FILE];
    files.into_iter().find(|file| folder.join(file).symlink_metadata().is_ok())
}

/// Removes what a run left in its folder, for a new one.
///
/// # Errors
/// If a file is there and cannot be removed.
pub fn clear(folder: &RunFolder) -> Result<()> {
    folder.clear()?;
    for file in [STAGE1_FILE, STAGE2_FILE] {
        let path = folder.path().join(file);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io(path, "remove")(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Drops the log's epochs that the checkpoint does not have: a kill between log and checkpoint must not
/// leave one there twice.
///
/// # Errors
/// If log or checkpoint cannot be read.
pub fn trim_log(folder: &RunFolder) -> Result<()> {
    let path = folder.checkpoint_path();
    let last: (u64, u64) = match folder.load_checkpoint()? {
        Some(checkpoint) => (checkpoint.field(&path, "stage")?, checkpoint.field(&path, "epoch")?),
        None => (0, 0),
    };
    folder.retain_log(|entry| {
        let number = |name: &str| entry.get(name).and_then(serde_json::Value::as_u64).unwrap_or(0);
        (number("stage"), number("epoch")) <= last
    })
}
