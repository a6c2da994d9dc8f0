//! What a training step costs: stage 1, stage 2, and all layers at once, by the training loops
//! themselves on made-up pictures.

use super::planned_bytes;
use super::usage::measure;
use crate::data::{Dataset, Inputs, Preprocessing};
use crate::error::Result;
use crate::graph::{Graph, Params, Shape, architectures};
use crate::train::methods::{MeanFieldConfig, Method, mean_field};
use crate::train::{
    Estimator, Observer, Purpose, Random, Silent, Stage1Config, Stage2Config, TrainData, Trainable,
    part_examples, stage1, stage2,
};
use serde::Serialize;

/// What was trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The whole network, plain.
    Stage1,
    /// The first kernel's posterior.
    Stage2,
    /// The posterior of all kernels, one sample a step.
    FullyBayesian,
}

impl Kind {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Stage1, Self::Stage2, Self::FullyBayesian];

    /// Its name in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stage1 => "stage 1",
            Self::Stage2 => "stage 2",
            Self::FullyBayesian => "fully Bayesian",
        }
    }
}

/// Cost of a step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cost {
    /// The architecture.
    pub architecture: String,
    /// What was trained.
    pub kind: Kind,
    /// Examples of a step.
    pub batch: usize,
    /// Steps that were timed.
    pub steps: usize,
    /// Wall clock of a step, milliseconds; the least of the repeats.
    pub milliseconds: f64,
    /// Processor time of a step, all threads, milliseconds; the least of the repeats.
    pub cpu_milliseconds: Option<f64>,
    /// Planned activations and gradients, and all that is kept of trained numbers: values, gradients,
    /// moments and noise, bytes.
    pub state_bytes: usize,
    /// Greatest resident memory on top of what was there, bytes.
    pub memory_bytes: Option<u64>,
}

/// Most values of the examples of all steps.
const MAX_VALUES: usize = 1 << 30;

/// Repeats; the least counts, as the machine may be shared.
const REPEATS: usize = 3;

/// Times `steps` steps of each kind.
///
/// # Errors
/// If the architecture does not fit the input, or cannot be trained.
pub fn cost(
    architecture: &str,
    input: Shape,
    classes: usize,
    batch: usize,
    steps: usize,
) -> Result<Vec<Cost>> {
    let graph = architectures::build(architecture, input, classes)?;
    if batch.saturating_mul(steps) < 2 {
        return Err(crate::Error::invalid("examples of all steps", batch * steps, "at least 2"));
    }
    // They are all in memory at once.
    if (batch * steps).saturating_mul(input.len()) > MAX_VALUES {
        let found = format!("{} examples of {input}", batch * steps);
        return Err(crate::Error::invalid("examples of all steps", found, "at most 2^30 values in all"));
    }
    let (train, one) = (pictures(input, classes, batch * steps), pictures(input, classes, 1));
    let preprocessing = Preprocessing {
        mean: vec![128.0; input.channels],
        std: vec![64.0; input.channels],
        ..Preprocessing::default()
    };
    let data = TrainData { train: &train, validation: &one, preprocessing: &preprocessing };
    let start = Params::initialise(&graph, 0);
    Kind::ALL
        .into_iter()
        .map(|kind| {
            let mut found: Option<Cost> = None;
            for _ in 0..REPEATS {
                let (result, usage) = measure(|| run(&graph, &start, data, kind, batch));
                result?;
                let each = |seconds: f64| 1e3 * seconds / steps as f64;
                let now = Cost {
                    architecture: architecture.to_string(),
                    kind,
                    batch,
                    steps,
                    milliseconds: each(usage.seconds),
                    cpu_milliseconds: usage.cpu_seconds.map(each),
                    state_bytes: state_bytes(&graph, &start, kind, batch)?,
                    memory_bytes: usage.memory_bytes,
                };
                found = Some(match found {
                    None => now,
                    Some(best) => Cost {
                        milliseconds: best.milliseconds.min(now.milliseconds),
                        cpu_milliseconds: best
                            .cpu_milliseconds
                            .zip(now.cpu_milliseconds)
                            .map(|(a, b)| a.min(b)),
                        memory_bytes: best.memory_bytes.zip(now.memory_bytes).map(|(a, b)| a.max(b)),
                        ..best
                    },
                });
            }
            found.ok_or_else(|| crate::Error::invalid("repeats", 0, "at least 1"))
        })
        .collect()
}

fn stage2_config(graph: &Graph, batch: usize) -> Stage2Config {
    Stage2Config { epochs: 1, batch_size: batch, eval_samples: 1, ..Stage2Config::recipe(graph, "") }
}

fn run(graph: &Graph, start: &Params, data: TrainData<'_>, kind: Kind, batch: usize) -> Result<()> {
    let stage1_config = Stage1Config {
        epochs: 1,
        batch_size: batch,
        learning_rate: 1e-4,
        ..Stage1Config::recipe(&graph.name, "")
    };
    let mut silent = Silent;
    let observer: &mut dyn Observer = &mut silent;
    match kind {
        Kind::Stage1 => stage1(graph, data, &stage1_config, None, observer).map(drop),
        Kind::Stage2 => stage2(graph, start, data, &stage2_config(graph, batch), None, observer).map(drop),
        Kind::FullyBayesian => {
            let stage2 = Stage2Config { estimator: Estimator::Weight, ..stage2_config(graph, batch) };
            let kernels = Method::Full.kernels(graph)?;
            let config = MeanFieldConfig { stage2, kernels, points: Some(stage1_config), samples: 1 };
            mean_field(graph, start, data, &config, None, observer).map(drop)
        }
    }
}

/// Planned bytes, and four bytes of each trained number for its value, gradient and two moments; of a
/// posterior's for mu, log_var, their gradients, two moments each, the prior's mean, sigma and noise.
fn state_bytes(graph: &Graph, params: &Params, kind: Kind, batch: usize) -> Result<usize> {
    let kernel = |id: usize| params.nodes[id].weight.as_ref().map_or(0, |weight| weight.len());
    let kernels: usize = Method::Full.kernels(graph)?.into_iter().map(kernel).sum();
    let (all, first) = (params.count(), kernel(graph.first_weighted()?));
    const POINT: usize = 4 * 4;
    const POSTERIOR: usize = 4 * 11;
    Ok(match kind {
        Kind::Stage1 => planned_bytes(graph, batch, Trainable::All)? + POINT * all,
        Kind::Stage2 => {
            let planned = planned_bytes(graph, part_examples(graph, batch), Trainable::FirstLayer)?;
            planned + POSTERIOR * first + 4 * (all - first)
        }
        Kind::FullyBayesian => {
            planned_bytes(graph, batch, Trainable::All)? + POSTERIOR * kernels + POINT * (all - kernels)
        }
    })
}

/// Noise, as bytes.
fn pictures(shape: Shape, classes: usize, n: usize) -> Dataset {
    let mut random = Random::new(0, Purpose::Augment, &[n as u64]);
    let values = (0..n * shape.len()).map(|_| random.below(256) as u8).collect();
    Dataset {
        name: "noise".into(),
        shape,
        inputs: Inputs::U8(values),
        labels: (0..n).map(|i| (i % classes) as u32).collect(),
        class_names: (0..classes).map(|class| class.to_string()).collect(),
        targets: Default::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stage 2 keeps less than half of what either other way keeps, at every batch of several examples.
    #[test]
    fn stage_2_needs_less_memory_than_all_layers() {
        for (name, input) in [("lenet5", Shape::new(28, 28, 1)), ("resnet8", Shape::new(32, 32, 3))] {
            let graph = architectures::build(name, input, 10).unwrap();
            let params = Params::zeros(&graph);
            for batch in [1, 16, 64, 256] {
                let bytes = |kind| state_bytes(&graph, &params, kind, batch).unwrap();
                assert!(2 * bytes(Kind::Stage2) < bytes(Kind::FullyBayesian), "{name} {batch}");
                assert!(bytes(Kind::Stage1) < bytes(Kind::FullyBayesian), "{name} {batch}");
            }
        }
    }

    #[test]
    fn every_kind_is_timed() {
        let found = cost("mlp", Shape::new(8, 8, 1), 3, 4, 2).unwrap();
        assert_eq!(found.iter().map(|cost| cost.kind).collect::<Vec<_>>(), Kind::ALL);
        assert!(found.iter().all(|cost| cost.milliseconds > 0.0 && cost.state_bytes > 0));
        assert!(cost("none", Shape::new(8, 8, 1), 3, 4, 2).is_err());
    }
}
