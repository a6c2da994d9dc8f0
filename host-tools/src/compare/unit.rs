//! One unit of a comparison: a method with a seed, trained, judged, and kept on disk.

use super::figures::Drawn;
use super::{Comparison, Figures, Seeded, Tempered, Trained, Training, Trials, keep, read_json, write_json};
use crate::calibrate::temperature;
use crate::data::{Dataset, Preprocessing};
use crate::error::{Error, Result};
use crate::evaluate::outcomes;
use crate::export::{Description, artifact};
use crate::graph::params::Posterior;
use crate::quantize::{QuantizeOptions, quantize};
use crate::train::PriorMean;
use crate::train::methods::{Logits, Method, Net, Weights, logits};
use serde::{Deserialize, Serialize};
use stf_bnn::artifact::Prior;
use stf_bnn::{AlignedBytes, Config, Model, Samples};

/// File of the trained network in a unit's folder.
pub(super) const NET: &str = "net.safetensors";
/// File of the figures in a unit's folder; it is there when the unit is finished.
pub(super) const RECORD: &str = "record.json";
/// File of the chosen temperature in a method's folder.
const CHOSEN: &str = "chosen.json";

/// Prior precisions that a Laplace approximation chooses from, on the calibration part.
const PRIOR_PRECISIONS: [f64; 7] = [0.1, 1.0, 10.0, 100.0, 1e3, 1e4, 1e5];

/// Figures of one method with one seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UnitRecord {
    /// The method.
    pub method: Method,
    /// The seed.
    pub seed: u64,
    /// Name of the training data.
    pub data: String,
    /// Temperature of the posterior, where it is inferred by gradient steps.
    pub posterior_temperature: Option<f32>,
    /// Prior precision of a Laplace approximation.
    pub prior_precision: Option<f64>,
    /// Numbers that have to be kept.
    pub parameters: usize,
    /// Passes of a prediction.
    pub passes: usize,
    /// What training took.
    pub training: TrainingCost,
    /// What the stage-1 network took that it starts from; the same network for all methods.
    pub stage1: Option<TrainingCost>,
    /// Negative log likelihood on the calibration part.
    pub calibration_nll: f64,
    /// Figures of the float network.
    pub float: Figures,
    /// The same with a temperature of the softmax.
    pub tempered: Tempered,
    /// Figures of the device's runtime on the quantized network, where it exports.
    pub int8: Option<Figures>,
}

/// What training took.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TrainingCost {
    /// On the wall clock.
    pub seconds: f64,
    /// Of all threads on a processor.
    pub cpu_seconds: Option<f64>,
    /// Greatest resident memory less that at the start, bytes.
    pub memory_bytes: Option<u64>,
    /// Planned activations and gradients, bytes.
    pub planned_bytes: usize,
}

impl From<&Trained> for TrainingCost {
    fn from(trained: &Trained) -> Self {
        Self {
            seconds: trained.usage.seconds,
            cpu_seconds: trained.usage.cpu_seconds,
            memory_bytes: trained.usage.memory_bytes,
            planned_bytes: trained.planned_bytes,
        }
    }
}

/// A chosen temperature of the posterior.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// The one with the least negative log likelihood.
    pub temperature: f32,
    /// Seed of the networks that were tried.
    pub seed: u64,
    /// Each temperature with its negative log likelihood on the calibration part.
    pub tried: Vec<(f32, f64)>,
}

/// A network that was trained to choose a temperature.
#[derive(Debug, Serialize, Deserialize)]
struct Candidate {
    nll: f64,
    cost: TrainingCost,
}

impl Comparison {
    /// The figures of a unit: read if it is finished, else trained and judged.
    ///
    /// # Errors
    /// If training fails or is interrupted, or the disk refuses.
    pub fn unit_record(&self, seeded: &Seeded, trials: &Trials, method: Method) -> Result<UnitRecord> {
        let folder = self.unit(method, seeded.seed);
        let file = folder.join(RECORD);
        if file.is_file() {
            keep::clear(&folder)?;
            return read_json(&file);
        }
        let (stage1, cost) = match method.needs_stage1() {
            true => {
                let plain = self.unit_record(seeded, trials, Method::Plain)?;
                (Some(self.net(Method::Plain, seeded.seed)?), Some(plain.training))
            }
            false => (None, None),
        };
        let training =
            Training { settings: &self.settings, seeded, stage1: stage1.as_ref().map(|net| net.center()) };
        let choice = self.choose(seeded, &training, method)?;
        let temperature = choice.as_ref().map(|choice| choice.temperature);
        let (mut net, training) =
            match choice.filter(|choice| choice.seed == seeded.seed && choice.tried.len() > 1) {
                Some(choice) => {
                    let folder = self.candidate(method, choice.temperature);
                    let candidate: Candidate = read_json(&folder.join(RECORD))?;
                    (self.load(&folder.join(NET))?, candidate.cost)
                }
                None => {
                    let trained = training.run(method, temperature.unwrap_or(1.0), Some(&folder))?;
                    let cost = TrainingCost::from(&trained);
                    (trained.net, cost)
                }
            };
        let prior_precision = self.choose_precision(seeded, &mut net)?;
        std::fs::create_dir_all(&folder).map_err(Error::io(&folder, "create"))?;
        net.save(&folder.join(NET))?;
        let judged = self.judge(seeded, trials, &net, method, temperature)?;
        let record = UnitRecord {
            posterior_temperature: temperature,
            prior_precision,
            training,
            stage1: cost,
            ..judged
        };
        write_json(&file, &record)?;
        keep::clear(&folder)?;
        Ok(record)
    }

    fn candidate(&self, method: Method, temperature: f32) -> std::path::PathBuf {
        self.path().join(method.name()).join(format!("candidate-{temperature}"))
    }

    /// The temperature of a method's posterior: chosen once, on the calibration part of the first seed.
    fn choose(&self, seeded: &Seeded, training: &Training<'_>, method: Method) -> Result<Option<Choice>> {
        if !method.is_variational() {
            return Ok(None);
        }
        let file = self.path().join(method.name()).join(CHOSEN);
        if file.is_file() {
            return read_json(&file).map(Some);
        }
        let grid = self.settings.temperatures(method);
        let mut tried = Vec::new();
        for &temperature in grid.iter().filter(|_| grid.len() > 1) {
            let folder = self.candidate(method, temperature);
            let record = folder.join(RECORD);
            if !record.is_file() {
                let trained = training.run(method, temperature, Some(&folder))?;
                let nll = self.held_out_nll(seeded, &trained.net)?;
                trained.net.save(&folder.join(NET))?;
                write_json(&record, &Candidate { nll, cost: TrainingCost::from(&trained) })?;
            }
            keep::clear(&folder)?;
            tried.push((temperature, read_json::<Candidate>(&record)?.nll));
        }
        let best = tried.iter().min_by(|a, b| a.1.total_cmp(&b.1)).map(|(temperature, _)| *temperature);
        let temperature = best.or(grid.first().copied()).unwrap_or(1.0);
        let choice = Choice { temperature, seed: seeded.seed, tried };
        write_json(&file, &choice)?;
        Ok(Some(choice))
    }

    /// The temperature that was chosen for a method's posterior; before there is a choice, the first of
    /// the list.
    ///
    /// # Errors
    /// If the choice cannot be read.
    pub fn posterior_temperature(&self, method: Method) -> Result<f32> {
        let file = self.path().join(method.name()).join(CHOSEN);
        if file.is_file() {
            return Ok(read_json::<Choice>(&file)?.temperature);
        }
        Ok(self.settings.temperatures(method).first().copied().unwrap_or(1.0))
    }

    fn held_out_nll(&self, seeded: &Seeded, net: &Net) -> Result<f64> {
        calibration_nll(
            net,
            &seeded.splits.calibration,
            &seeded.preprocessing,
            self.settings.num_samples,
            seeded.seed,
        )
    }

    fn choose_precision(&self, seeded: &Seeded, net: &mut Net) -> Result<Option<f64>> {
        if !matches!(net.weights, Weights::Laplace { .. }) {
            return Ok(None);
        }
        let (mut best, mut least) = (PRIOR_PRECISIONS[0], f64::INFINITY);
        for precision in PRIOR_PRECISIONS {
            set_precision(net, precision);
            let nll = self.held_out_nll(seeded, net)?;
            if nll < least {
                (best, least) = (precision, nll);
            }
        }
        set_precision(net, best);
        Ok(Some(best))
    }

    /// All figures of a trained network.
    fn judge(
        &self,
        seeded: &Seeded,
        trials: &Trials,
        net: &Net,
        method: Method,
        posterior_temperature: Option<f32>,
    ) -> Result<UnitRecord> {
        let Seeded { seed, splits, preprocessing, .. } = seeded;
        let num_samples = self.settings.num_samples;
        let held_out = logits(net, &splits.calibration, preprocessing, num_samples, *seed)?;
        let examples = labelled(&held_out, &splits.calibration);
        let temperature = temperature::fit(&examples);
        let drawn = Drawn::of(net, &splits.test, trials, preprocessing, num_samples, *seed)?;
        let exports = matches!(method, Method::Plain | Method::Stf);
        let int8 = exports.then(|| self.int8(seeded, trials, net, posterior_temperature)).transpose()?;
        let none = TrainingCost { seconds: 0.0, cpu_seconds: None, memory_bytes: None, planned_bytes: 0 };
        Ok(UnitRecord {
            method,
            seed: *seed,
            data: splits.train.name.clone(),
            posterior_temperature,
            prior_precision: None,
            parameters: net.parameters(),
            passes: net.draws(num_samples),
            training: none,
            stage1: None,
            calibration_nll: temperature::nll(&examples, 1.0),
            float: drawn.figures(1.0)?,
            tempered: Tempered { temperature, figures: drawn.figures(temperature)? },
            int8,
        })
    }

    fn int8(
        &self,
        seeded: &Seeded,
        trials: &Trials,
        net: &Net,
        posterior_temperature: Option<f32>,
    ) -> Result<Figures> {
        let bytes = self.quantized(seeded, net, posterior_temperature)?;
        let model = Model::from_bytes(&bytes)
            .map_err(|error| Error::invalid("artifact", error, "an artifact that the runtime accepts"))?;
        let config = runtime_config(net, self.settings.num_samples, seeded.seed);
        let run = |set: &Dataset| outcomes(&model, set, &config);
        let each = |sets: &[Dataset]| sets.iter().map(run).collect::<Result<Vec<_>>>();
        let test = run(&seeded.splits.test)?;
        Figures::new((&seeded.splits.test, &test), trials, &each(&trials.ood)?, &each(&trials.corrupted)?)
    }

    /// The artifact of a plain network, or of one whose first kernel has a posterior.
    ///
    /// # Errors
    /// If the network does not export.
    pub fn quantized(
        &self,
        seeded: &Seeded,
        net: &Net,
        posterior_temperature: Option<f32>,
    ) -> Result<AlignedBytes> {
        let Seeded { seed, splits, preprocessing, graph } = seeded;
        let posterior: Option<&Posterior> = match &net.weights {
            Weights::MeanField { posteriors, .. } => posteriors.first(),
            _ => None,
        };
        let options = QuantizeOptions { seed: *seed, ..QuantizeOptions::default() };
        let quantized =
            quantize(graph, net.center(), posterior, &splits.calibration, preprocessing, &options)?;
        let name = &splits.train.name;
        let stage2 = self.settings.stage2(graph, name, *seed, posterior_temperature.unwrap_or(1.0));
        let prior = Prior {
            mean_is_map: stage2.prior == PriorMean::Map,
            prior_sigma: stage2.prior_sigma,
            temperature: stage2.temperature,
        };
        let description = Description {
            name: &graph.name,
            task: graph.task,
            class_names: &splits.train.class_names,
            targets: None,
            prior: posterior.map(|_| prior),
            data: name,
            seed: *seed,
            training: "{}",
        };
        Ok(AlignedBytes::new(&artifact(&quantized, &description)?))
    }
}

/// How the device samples a network of so many draws.
#[must_use]
pub fn runtime_config(net: &Net, num_samples: usize, seed: u64) -> Config {
    let samples = match net.draws(num_samples) {
        1 => Samples::Mean,
        draws => Samples::MonteCarlo(u16::try_from(draws).unwrap_or(u16::MAX)),
    };
    Config { samples, seed, ..Config::default() }
}

fn set_precision(net: &mut Net, precision: f64) {
    if let Weights::Laplace { last, .. } = &mut net.weights {
        last.prior_precision = precision;
    }
}

/// Negative log likelihood of a network on data.
///
/// # Errors
/// If the network cannot run on the data.
pub fn calibration_nll(
    net: &Net,
    data: &Dataset,
    preprocessing: &Preprocessing,
    num_samples: usize,
    seed: u64,
) -> Result<f64> {
    let drawn = logits(net, data, preprocessing, num_samples, seed)?;
    Ok(temperature::nll(&labelled(&drawn, data), 1.0))
}

fn labelled(drawn: &Logits, data: &Dataset) -> Vec<temperature::Drawn> {
    let example = |(logits, &label): (&[f32], &u32)| temperature::Drawn {
        logits: logits.to_vec(),
        classes: drawn.classes,
        label: label as usize,
    };
    drawn.examples().zip(&data.labels).map(example).collect()
}
