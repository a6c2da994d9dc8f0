//! Arguments and small steps that several commands share.

use crate::data::{self, Content, Dataset, Loaded};
use crate::error::{Error, Result};
use crate::train::Device;
use clap::{Args, ValueEnum};
use serde::Serialize;
use std::io::Write;
use std::path::{Path, PathBuf};
use stf_bnn::artifact::Task;
use stf_bnn::{AlignedBytes, Config, Draws, Model, Samples};

/// A number of examples, of which there must be one.
///
/// # Errors
/// If it is no whole number of at least 1; in words for clap.
pub fn at_least_one(text: &str) -> std::result::Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("expected at least 1".to_string()),
        Ok(number) => Ok(number),
        Err(error) => Err(error.to_string()),
    }
}

/// Where data sets are found.
#[derive(Debug, Clone, Args)]
pub struct DataDirArg {
    /// Folder that holds data sets by name [default: $STF_DATA_DIR, then the user's cache folder]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// Where a float network is trained.
#[derive(Debug, Clone, Copy, Args)]
pub struct TrainDeviceArg {
    /// Where to train, or to run the trained float network [default: cpu]; GPUs need a build with the feature `gpu` or `cuda`
    #[arg(long, value_enum)]
    pub device: Option<DeviceArg>,
}

impl TrainDeviceArg {
    /// The trainer's device.
    #[must_use]
    pub fn device(self) -> Device {
        self.device.map_or(Device::Cpu, DeviceArg::device)
    }
}

/// Where the float network runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DeviceArg {
    /// The host's cores.
    Cpu,
    /// A GPU by Vulkan.
    Vulkan,
    /// An Apple GPU.
    Metal,
    /// An NVIDIA GPU.
    Cuda,
}

impl DeviceArg {
    /// The trainer's device.
    #[must_use]
    pub const fn device(self) -> Device {
        match self {
            Self::Cpu => Device::Cpu,
            Self::Vulkan => Device::Vulkan,
            Self::Metal => Device::Metal,
            Self::Cuda => Device::Cuda,
        }
    }
}

/// How predictions are sampled.
#[derive(Debug, Clone, Args)]
pub struct SampleArgs {
    /// Monte-Carlo samples of a prediction
    #[arg(long, short = 'k', value_name = "K", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub num_samples: u16,
    /// Seed of the draws
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// New draws for every input, or the same K draws for all
    #[arg(long, value_enum, default_value_t = DrawsArg::Fresh)]
    pub draws: DrawsArg,
    /// Draw every sample by itself instead of in antithetic pairs
    #[arg(long)]
    pub no_antithetic: bool,
    /// As many samples as the artifact's rule needs to settle the class, instead of K
    #[arg(long, conflicts_with_all = ["num_samples", "baseline"])]
    pub adaptive: bool,
    /// Evaluate a simpler predictor of the same artifact instead: `mean` is one pass without noise
    #[arg(long, value_enum, value_name = "NAME")]
    pub baseline: Option<Baseline>,
}

/// Command-line form of [`Draws`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DrawsArg {
    /// A new draw for every prediction.
    Fresh,
    /// The same draws for every input: an implicit ensemble.
    Fixed,
}

/// A simpler predictor of the same artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Baseline {
    /// Zero noise, one pass.
    Mean,
}

/// Most draws side by side: more gain nothing, and a host has the memory.
const SIDE_BY_SIDE: u16 = 16;

impl SampleArgs {
    /// The runtime's configuration.
    #[must_use]
    pub fn config(&self) -> Config {
        Config {
            samples: match self.baseline {
                Some(Baseline::Mean) => Samples::Mean,
                None if self.adaptive => Samples::Adaptive,
                None => Samples::MonteCarlo(self.num_samples),
            },
            seed: self.seed,
            draws: match self.draws {
                DrawsArg::Fresh => Draws::Fresh,
                DrawsArg::Fixed => Draws::Fixed,
            },
            antithetic: !self.no_antithetic,
            tile: self.num_samples.min(SIDE_BY_SIDE),
            ..Config::default()
        }
    }
}

/// A part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SplitArg {
    /// What training fitted.
    Train,
    /// What progress figures were made on.
    Validation,
    /// What quantization ranges were fitted on.
    Calibration,
    /// What fitted nothing.
    Test,
    /// The source as it is: its test part where it says which that is, else everything in it.
    All,
}

/// Loads one split of a data set named on the command line; `seed` is the one the network was trained
/// with, which decides what was held out of training (never what is in the test split).
///
/// # Errors
/// If the data cannot be found or read.
pub fn load_split(
    spec: &str,
    split: SplitArg,
    seed: u64,
    data_dir: &DataDirArg,
    limit: Option<usize>,
) -> Result<Dataset> {
    load_split_of(Content::Classes, spec, split, seed, data_dir, limit)
}

/// As [`load_split`], with what the model's network has learned of each example.
///
/// # Errors
/// As [`load_split`].
pub fn load_split_of(
    content: Content,
    spec: &str,
    split: SplitArg,
    seed: u64,
    data_dir: &DataDirArg,
    limit: Option<usize>,
) -> Result<Dataset> {
    let loaded = data::load_raw(spec, data_dir.data_dir.as_deref(), content)?;
    first(part(loaded, split, seed)?, limit)
}

/// One split of what was loaded.
///
/// # Errors
/// As [`load_split`].
pub fn part(loaded: Loaded, split: SplitArg, seed: u64) -> Result<Dataset> {
    if split == SplitArg::All {
        return Ok(loaded.into_evaluation());
    }
    let splits = data::splits(loaded, seed)?;
    Ok(match split {
        SplitArg::Train => splits.train,
        SplitArg::Validation => splits.validation,
        SplitArg::Calibration => splits.calibration,
        SplitArg::Test | SplitArg::All => splits.test,
    })
}

/// Loads a data set to be told apart from the model's own: its test part, or all of it.
///
/// # Errors
/// If the data cannot be found or read.
pub fn load_ood(spec: &str, data_dir: &DataDirArg, limit: Option<usize>) -> Result<Dataset> {
    first(data::load_raw(spec, data_dir.data_dir.as_deref(), Content::Classes)?.into_evaluation(), limit)
}

fn first(set: Dataset, limit: Option<usize>) -> Result<Dataset> {
    match limit {
        Some(limit) if limit < set.len() => set.select(&(0..limit).collect::<Vec<_>>()),
        _ => Ok(set),
    }
}

/// Reads an artifact into aligned memory.
///
/// # Errors
/// If the file cannot be read.
pub fn read_artifact(path: &Path) -> Result<AlignedBytes> {
    let bytes = std::fs::read(path).map_err(Error::io(path, "read"))?;
    Ok(AlignedBytes::new(&bytes))
}

/// Checks an artifact; the error names the file.
///
/// # Errors
/// If the runtime refuses it.
pub fn check_artifact<'a>(path: &Path, bytes: &'a AlignedBytes) -> Result<Model<'a>> {
    Model::from_bytes(bytes).map_err(|error| Error::malformed(path, "artifact", error, "an intact .stf file"))
}

/// What a model's network has learned of each example.
#[must_use]
pub fn content_of(model: &Model<'_>) -> Content {
    match model.manifest().task {
        Task::Gaussian(_) => Content::Targets,
        _ => Content::Classes,
    }
}

/// Prints the result of a command: one JSON object, or the text.
///
/// # Errors
/// If standard output is closed.
pub fn print_result<T: Serialize>(json: bool, value: &T, text: impl FnOnce(&T) -> String) -> Result<()> {
    let line = if json { to_json(value)? } else { text(value) };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", line.trim_end()).map_err(Error::io("standard output", "write"))
}

/// One line of JSON.
///
/// # Errors
/// If a value has no JSON form.
pub fn to_json<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|error| Error::invalid("JSON output", error, "a value with a JSON form"))
}

/// The scores that an abstention rule accepts, in words: a rule that accepts everything has the greatest
/// number there is as its threshold.
#[must_use]
pub fn accepted_scores(score: &str, threshold: f32) -> String {
    if threshold == f32::MAX { format!("any {score}") } else { format!("{score} up to {threshold:.5}") }
}

/// Number with thousands separated by spaces.
#[must_use]
pub fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}
