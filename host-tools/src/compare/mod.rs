//! STF-BNN beside other methods, by the same loop, data and figures: every method and seed is a unit of
//! its own folder, so that an interrupted comparison goes on where it stopped.
//!
//! ```text
//! compare.json                     settings, see [`Settings`]
//! METHOD/seed-S/net.safetensors    the trained network
//! METHOD/seed-S/record.json        its figures, see [`UnitRecord`]; there when the unit is finished
//! METHOD/seed-S/checkpoint-N       a network that is being trained, after its last epoch
//! METHOD/chosen.json               temperature of the posterior, chosen on held-out examples
//! results.json, results.md         all of it
//! ```

pub mod cost;
mod figures;
mod interval;
pub mod keep;
mod settings;
mod table;
mod train;
mod unit;
pub mod usage;
mod watch;

pub use figures::{Figures, OodFigures, Tempered, outcomes_of};
pub use interval::{Mean, t_quantile};
pub use settings::Settings;
pub use table::{Row, markdown, rows};
pub use train::{Trained, Training, planned_bytes};
pub use unit::{Choice, UnitRecord, calibration_nll, runtime_config};
pub use watch::Watch;

use crate::data::corrupt::Corruption;
use crate::data::{self, Dataset, Preprocessing, Splits};
use crate::error::{Error, Result};
use crate::files::write_atomic;
use crate::graph::{Graph, architectures};
use crate::run::RunFolder;
use crate::train::TrainData;
use crate::train::methods::{Method, Net};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

/// Data of one seed.
#[derive(Debug)]
pub struct Seeded {
    /// Of splits, weights, order and draws.
    pub seed: u64,
    /// The parts.
    pub splits: Splits,
    /// Fitted on the training part.
    pub preprocessing: Preprocessing,
    /// The network that stage 1 trains.
    pub graph: Graph,
}

impl Seeded {
    /// Loads the data that `settings` name.
    ///
    /// # Errors
    /// If the data cannot be found, or do not fit the architecture.
    pub fn load(settings: &Settings, data_dir: Option<&Path>, seed: u64) -> Result<Self> {
        let splits = data::splits(data::load(&settings.data, data_dir)?, seed)?;
        let splits = settings.limited(splits)?;
        let graph =
            architectures::build(&settings.architecture, splits.train.shape, splits.train.class_names.len())?;
        crate::evaluate::require_classifier(&graph.name, graph.task == crate::graph::Task::Classification)?;
        let preprocessing = Preprocessing::fit(&splits.train)?;
        Ok(Self { seed, splits, preprocessing, graph })
    }

    /// What training sees.
    #[must_use]
    pub fn train_data(&self) -> TrainData<'_> {
        TrainData {
            train: &self.splits.train,
            validation: &self.splits.validation,
            preprocessing: &self.preprocessing,
        }
    }
}

/// What every network is judged on besides the test part.
#[derive(Debug)]
pub struct Trials {
    /// Out-of-distribution data.
    pub ood: Vec<Dataset>,
    /// Shifted copies of some test examples.
    pub corrupted: Vec<Dataset>,
}

impl Trials {
    /// Loads and makes them.
    ///
    /// # Errors
    /// If data cannot be found, or are no pictures.
    pub fn load(settings: &Settings, data_dir: Option<&Path>, test: &Dataset) -> Result<Self> {
        let some = |set: &Dataset, most: usize| set.select(&set.sample(most));
        let load =
            |spec: &String| some(&data::load(spec, data_dir)?.into_evaluation(), settings.test_examples);
        let ood = settings.ood.iter().map(load).collect::<Result<Vec<_>>>()?;
        let clean = some(test, settings.corruption_examples)?;
        let corrupted = if clean.is_empty() {
            Vec::new()
        } else {
            // The seed is fixed: every network meets the same pictures.
            Corruption::all().map(|corruption| corruption.apply(&clean, 0)).collect::<Result<_>>()?
        };
        Ok(Self { ood, corrupted })
    }
}

/// A comparison's folder, locked while it is written to.
#[derive(Debug)]
pub struct Comparison {
    folder: RunFolder,
    /// What is compared.
    pub settings: Settings,
}

const SETTINGS: &str = "compare.json";

impl Comparison {
    /// Opens a folder for a comparison, new or begun with the same settings.
    ///
    /// # Errors
    /// If it holds another comparison, is in use, or the disk refuses.
    pub fn open(path: &Path, settings: Settings) -> Result<Self> {
        let folder = RunFolder::open(path)?;
        let file = path.join(SETTINGS);
        if file.exists() {
            let found: Settings = read_json(&file)?;
            if let Some(difference) = found.difference(&settings) {
                let expected = "the settings that the comparison was begun with, or another folder";
                return Err(Error::malformed(&file, "settings", difference, expected));
            }
        } else {
            write_json(&file, &settings)?;
        }
        Ok(Self { folder, settings })
    }

    /// Opens a folder that holds a comparison.
    ///
    /// # Errors
    /// If it holds none, or is in use.
    pub fn existing(path: &Path) -> Result<Self> {
        let file = path.join(SETTINGS);
        let settings = read_json(&file)?;
        Ok(Self { folder: RunFolder::open(path)?, settings })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    fn unit(&self, method: Method, seed: u64) -> PathBuf {
        self.path().join(method.name()).join(format!("seed-{seed}"))
    }

    /// The trained network of a finished unit.
    ///
    /// # Errors
    /// If the unit is not finished, or its file is not intact.
    pub fn net(&self, method: Method, seed: u64) -> Result<Net> {
        let folder = self.unit(method, seed);
        if !folder.join(unit::RECORD).is_file() {
            let expected = format!("a finished unit; `stf compare --methods {method}` makes it");
            return Err(Error::malformed(&folder, "network", "none", expected));
        }
        self.load(&folder.join(unit::NET))
    }

    /// A network from its file, to run on the comparison's device.
    fn load(&self, path: &Path) -> Result<Net> {
        Ok(Net { device: self.settings.device, ..Net::load(path)? })
    }
}

/// Reads a JSON file.
///
/// # Errors
/// If it cannot be read, or is another kind of file.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = std::fs::read_to_string(path).map_err(Error::io(path, "read"))?;
    serde_json::from_str(&text).map_err(|error| Error::malformed(path, "JSON", error, "a file of this tool"))
}

/// Writes a JSON file, whole or not at all; makes its folder.
///
/// # Errors
/// If the disk refuses.
pub fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(Error::io(folder, "create"))?;
    }
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Error::invalid("JSON", error, "a value with a JSON form"))?;
    write_atomic(path, |file| file.write_all(text.as_bytes()))
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::settings as test_settings;
