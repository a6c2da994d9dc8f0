//! Settings of a comparison: the same for every method.

use crate::data::Splits;
use crate::error::Result;
use crate::graph::Graph;
use crate::train::methods::{MeanFieldConfig, Method};
use crate::train::{Device, Estimator, PriorMean, Stage1Config, Stage2Config};
use serde::{Deserialize, Serialize};

/// What is trained, for how long, and what it is judged on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The data as named on the command line.
    pub data: String,
    /// Name of the architecture.
    pub architecture: String,
    /// Epochs of stage 1, MC dropout, every member of the ensemble, and the fully Bayesian network from
    /// scratch.
    pub epochs: usize,
    /// Epochs of stage 2 and of every posterior that starts from stage 1.
    pub bayes_epochs: usize,
    /// Draws of a prediction.
    pub num_samples: usize,
    /// Networks of the ensemble.
    pub members: usize,
    /// Dropout rate of MC dropout.
    pub dropout_rate: f32,
    /// Samples of a step of the mean-field baselines.
    pub step_samples: usize,
    /// Temperatures of the posterior to choose from, for posteriors that start from stage 1.
    pub temperatures: Vec<f32>,
    /// The same for the fully Bayesian network from scratch.
    pub full_temperatures: Vec<f32>,
    /// Prior standard deviation of the fully Bayesian network from scratch; its mean is zero.
    pub full_prior_sigma: f32,
    /// Out-of-distribution data.
    pub ood: Vec<String>,
    /// Test examples that are corrupted; 0: none.
    pub corruption_examples: usize,
    /// At most so many training examples.
    pub train_examples: usize,
    /// At most so many test examples of each set.
    pub test_examples: usize,
    /// Where networks are trained and their float form runs; another one may go on with a comparison.
    #[serde(skip)]
    pub device: Device,
}

impl Settings {
    /// Settings of one network alone, judged on nothing but the test part.
    #[must_use]
    pub fn plain(architecture: &str, data: &str, epochs: usize) -> Self {
        Self {
            data: data.to_string(),
            architecture: architecture.to_string(),
            epochs,
            bayes_epochs: 0,
            num_samples: 16,
            members: 1,
            dropout_rate: 0.0,
            step_samples: 1,
            temperatures: vec![1.0],
            full_temperatures: vec![1.0],
            full_prior_sigma: 1.0,
            ood: Vec::new(),
            corruption_examples: 0,
            train_examples: usize::MAX,
            test_examples: usize::MAX,
            device: Device::Cpu,
        }
    }

    /// The first field in which another comparison differs.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Option<String> {
        let (mine, theirs) = (serde_json::to_value(self).ok()?, serde_json::to_value(other).ok()?);
        let fields = mine.as_object()?;
        let (name, value) = fields.iter().find(|(name, value)| theirs.get(name) != Some(value))?;
        Some(format!("{name} {value} (now {})", theirs.get(name).unwrap_or(&serde_json::Value::Null)))
    }

    /// The splits, cut to the numbers of examples.
    pub(super) fn limited(&self, splits: Splits) -> Result<Splits> {
        let some = |set: &crate::data::Dataset, most: usize| set.select(&set.sample(most));
        Ok(Splits {
            train: some(&splits.train, self.train_examples)?,
            test: some(&splits.test, self.test_examples)?,
            validation: splits.validation,
            calibration: splits.calibration,
        })
    }

    /// Stage 1 of a seed.
    #[must_use]
    pub fn stage1(&self, data: &str, seed: u64) -> Stage1Config {
        let device = self.device;
        Stage1Config { epochs: self.epochs, seed, device, ..Stage1Config::recipe(&self.architecture, data) }
    }

    /// Stage 2 of a seed, at a temperature of the posterior.
    #[must_use]
    pub fn stage2(&self, graph: &Graph, data: &str, seed: u64, temperature: f32) -> Stage2Config {
        let stage1 = self.stage1(data, seed);
        Stage2Config {
            epochs: self.bayes_epochs,
            batch_size: stage1.batch_size,
            accumulate: stage1.accumulate,
            augment: stage1.augment,
            seed,
            temperature,
            eval_samples: 8,
            device: self.device,
            ..Stage2Config::recipe(graph, data)
        }
    }

    /// The mean-field baseline of a method; `None` for a method that is none.
    ///
    /// # Errors
    /// If the network has no weighted layer.
    pub fn mean_field(
        &self,
        method: Method,
        graph: &Graph,
        data: &str,
        seed: u64,
        temperature: f32,
    ) -> Result<Option<MeanFieldConfig>> {
        let mut stage2 = self.stage2(graph, data, seed, temperature);
        stage2.estimator = Estimator::Weight;
        let mut points = None;
        match method {
            Method::Block | Method::LastLayer | Method::FullMap => {}
            Method::Full => {
                let stage1 = self.stage1(data, seed);
                stage2 = Stage2Config {
                    epochs: stage1.epochs,
                    prior: PriorMean::Zero,
                    prior_sigma: self.full_prior_sigma,
                    delta: 0.1,
                    lr_log_var: 1e-2,
                    kl_warmup_epochs: stage1.epochs.div_ceil(4),
                    ..stage2
                };
                points = Some(stage1);
            }
            _ => return Ok(None),
        }
        Ok(Some(MeanFieldConfig {
            stage2,
            kernels: method.kernels(graph)?,
            points,
            samples: self.step_samples,
        }))
    }

    /// Temperatures to choose from.
    #[must_use]
    pub fn temperatures(&self, method: Method) -> &[f32] {
        if method == Method::Full { &self.full_temperatures } else { &self.temperatures }
    }
}
