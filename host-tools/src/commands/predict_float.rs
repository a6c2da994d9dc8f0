//! `stf predict RUN`: the float network of a run folder by Monte Carlo, on the CPU or a GPU.

use super::common::{DeviceArg, SampleArgs, print_result};
use crate::data;
use crate::error::{Error, Result};
use crate::graph::Task;
use crate::run::chain;
use crate::train::{Trainable, engine, predict_mc};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Examples that run together.
const BATCH: usize = 128;

/// One prediction; the fields are those of the artifact's predictions, as far as the float network has them.
#[derive(Debug, Clone, Serialize)]
struct FloatRecord {
    input: String,
    class: usize,
    class_name: Option<String>,
    confidence: f32,
    probabilities: Vec<f32>,
    predictive_entropy: f32,
    expected_entropy: f32,
    mutual_information: f32,
    samples: u16,
    device: &'static str,
}

/// Predicts the examples of each input.
///
/// # Errors
/// If a rule of an artifact is asked for, the run is not finished, an input does not fit, or the device is not there.
pub fn run(
    folder: &Path,
    inputs: &[PathBuf],
    samples: &SampleArgs,
    device: DeviceArg,
    json: bool,
) -> Result<()> {
    if samples.adaptive {
        return Err(Error::invalid("--adaptive", "a run folder", "a .stf file, which holds the rule"));
    }
    let (settings, trained) = chain::read(folder)?;
    let other = match trained.graph.task {
        Task::Classification => None,
        Task::Gaussian => Some("the run folder of a regression"),
        Task::Reconstruction => Some("the run folder of an autoencoder"),
    };
    if let Some(found) = other {
        return Err(Error::invalid("stf predict", found, "its .stf file"));
    }
    let is_mean = samples.baseline.is_some();
    let (params, posterior) = trained.chosen(false);
    let posterior = posterior.filter(|_| !is_mean);
    let device = device.device();
    let mut engine = engine(&trained.graph, BATCH, Trainable::None, device)?;
    let (classes, mut values) = (trained.graph.output_shape().len(), Vec::new());
    for path in inputs {
        let examples = data::read_inputs(path)?.arranged(&settings.preprocessing)?;
        examples.check_fits(settings.input)?;
        let indices: Vec<usize> = (0..examples.len()).collect();
        for batch in indices.chunks(BATCH) {
            settings.preprocessing.apply(&examples, batch, &mut values)?;
            let (n, count) = (batch.len(), usize::from(samples.num_samples));
            let found = predict_mc(engine.as_mut(), params, posterior, &values, n, count, samples.seed)?;
            for (row, &index) in batch.iter().enumerate() {
                let probabilities = found.probabilities[row * classes..][..classes].to_vec();
                let class = (0..classes).max_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b]));
                let class = class.unwrap_or_default();
                let (total, information) = (found.predictive_entropy[row], found.mutual_information[row]);
                let several = examples.len() > 1;
                let name = path.display();
                let record = FloatRecord {
                    input: if several { format!("{name}[{index}]") } else { name.to_string() },
                    class,
                    class_name: settings.class_names.get(class).cloned(),
                    confidence: probabilities[class],
                    probabilities,
                    predictive_entropy: total,
                    expected_entropy: total - information,
                    mutual_information: information,
                    samples: if posterior.is_some() { samples.num_samples } else { 1 },
                    device: device.name(),
                };
                print_result(json, &record, text)?;
            }
        }
    }
    Ok(())
}

fn text(record: &FloatRecord) -> String {
    let name = record.class_name.clone().unwrap_or_else(|| record.class.to_string());
    format!(
        "{}: {name} ({:.1} %), {} samples, float on {}\n  uncertainty in nats: total {:.4} = aleatoric {:.4} + \
         epistemic {:.4}",
        record.input,
        100.0 * record.confidence,
        record.samples,
        record.device,
        record.predictive_entropy,
        record.expected_entropy,
        record.mutual_information
    )
}
