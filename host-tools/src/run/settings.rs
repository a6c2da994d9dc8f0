//! What a run was asked for: everything that decides its result.

use crate::data::{Content, Preprocessing, TargetScaling};
use crate::error::{Error, Result};
use crate::graph::{Graph, Shape, architectures, check};
use crate::train::{Device, Stage1Config, Stage2Config};
use serde::{Deserialize, Serialize};

/// Settings of a run, stored as `config.json` in its folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSettings {
    /// Version of the tool that started the run.
    pub tool: String,
    /// Name of the architecture.
    pub architecture: String,
    /// The data as named on the command line.
    pub data: String,
    /// Short name of the data.
    pub data_name: String,
    /// Shape of one example.
    pub input: Shape,
    /// Classes, in the order of the outputs.
    pub class_names: Vec<String>,
    /// Normalisation, fitted on the training split.
    pub preprocessing: Preprocessing,
    /// Seed of splits, weights, order, augmentation and noise.
    pub seed: u64,
    /// Stage 1.
    pub stage1: Stage1Config,
    /// Stage 2; none for a plain network.
    pub stage2: Option<Stage2Config>,
    /// Units of the targets; none unless the run is a regression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<TargetScaling>,
    /// The network itself, if it was imported and has no architecture of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Graph>,
}

impl RunSettings {
    /// The network that these settings name.
    ///
    /// # Errors
    /// If there is no such architecture, or it does not fit the input.
    pub fn graph(&self) -> Result<Graph> {
        if let Some(network) = &self.network {
            check(network)?;
            return Ok(network.clone());
        }
        match &self.targets {
            Some(targets) => {
                architectures::build_regression(&self.architecture, self.input, targets.names.len())
            }
            None => architectures::build(&self.architecture, self.input, self.class_names.len()),
        }
    }

    /// Proves that an artifact can hold the names of classes and targets: it has them line by line.
    ///
    /// # Errors
    /// If one has several lines; names it.
    pub fn check_names(&self) -> Result<()> {
        let targets = self.targets.iter().flat_map(|targets| &targets.names).map(|name| ("target", name));
        let mut names = self.class_names.iter().map(|name| ("class", name)).chain(targets);
        match names.find(|(_, name)| name.contains('\n')) {
            Some((what, name)) => {
                let what = format!("{}: name of a {what}", self.data_name);
                Err(Error::invalid(what, format!("{name:?}"), "a name of one line"))
            }
            None => Ok(()),
        }
    }

    /// What the run learns of each example.
    #[must_use]
    pub const fn content(&self) -> Content {
        if self.targets.is_some() { Content::Targets } else { Content::Classes }
    }

    /// What is left to train runs on this device.
    pub fn set_device(&mut self, device: Device) {
        self.stage1.device = device;
        if let Some(stage2) = &mut self.stage2 {
            stage2.device = device;
        }
    }
}
