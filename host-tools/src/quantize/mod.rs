//! From a trained float network to the runtime's int8 layers: fold batch norm, watch activations
//! through sampled first layers, choose ranges, quantize weights and the posterior, plan memory.

pub mod lower;
pub mod noise;
pub mod observe;

pub mod range;
pub mod weights;

use crate::data::{Dataset, Element, Preprocessing};
use crate::error::{Error, Result};
use crate::graph::fold::fold_batch_norm;
use crate::graph::params::Posterior;
use crate::graph::{Graph, Params};
use crate::plan::{Lifetime, Plan, plan};
use lower::{Lowered, StepKind, lower};
use noise::{LogVarBytes, output_noise_factor, output_noise_table, quantize_log_var, weight_noise_table};
use observe::Observation;
use range::{Extent, Histogram, Quantization, RangeRule, Ranges};
use serde::{Deserialize, Serialize};
use stf_bnn::artifact::NoiseKind;

/// How a network is quantized.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QuantizeOptions {
    /// How activation ranges are chosen.
    pub range: RangeRule,
    /// At most so many calibration examples are watched.
    pub max_examples: usize,
    /// Whether every zero point is 0: TensorRT's rule. Half of the range is lost behind a ReLU.
    #[serde(default)]
    pub symmetric: bool,
    /// Whether a dense first layer draws noise per output instead of per weight.
    pub noise_per_output: bool,
    /// Seed of the sampled first layers.
    pub seed: u64,
}

impl Default for QuantizeOptions {
    fn default() -> Self {
        Self { range: RangeRule::Mse, max_examples: 1024, symmetric: false, noise_per_output: false, seed: 0 }
    }
}

/// The first layer's posterior as the device reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct QuantizedPosterior {
    /// How noise is drawn.
    pub kind: NoiseKind,
    /// Log-variances, `[out_channels, fan_in]`.
    pub log_var: LogVarBytes,
    /// The device's table of 256 entries.
    pub table: Vec<u16>,
    /// Noise accumulator to output steps, per output channel.
    pub multiplier: Vec<f32>,
}

/// A quantized network, ready to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantized {
    /// Values and layers.
    pub lowered: Lowered,
    /// The Bayesian first layer, if there is one.
    pub posterior: Option<QuantizedPosterior>,
    /// A place for every value but the input.
    pub plan: Plan,
    /// Normalisation of raw inputs.
    pub preprocessing: Preprocessing,
}

/// Quantizes a trained network. `calibration` must not contain training or test examples.
///
/// # Errors
/// If a node has no counterpart in the runtime, an activation, weight or log-variance is not finite,
/// an accumulator could overflow, or the calibration split is empty or of another shape.
pub fn quantize(
    graph: &Graph,
    params: &Params,
    posterior: Option<&Posterior>,
    calibration: &Dataset,
    preprocessing: &Preprocessing,
    options: &QuantizeOptions,
) -> Result<Quantized> {
    if calibration.is_empty() || calibration.shape != graph.input_shape() {
        return Err(Error::invalid(
            format!("calibration split of {}", calibration.name),
            format!("{} examples of {}", calibration.len(), calibration.shape),
            format!("examples of {}", graph.input_shape()),
        ));
    }
    let (graph, params, posterior) = fold_batch_norm(graph, params, posterior)?;
    let observation = Observation {
        graph: &graph,
        params: &params,
        posterior: posterior.as_ref(),
        data: calibration,
        preprocessing,
        max_examples: options.max_examples,
        seed: options.seed,
    };
    let histograms = observation.histograms()?;
    let ranges = Ranges { rule: options.range, symmetric: options.symmetric };
    let input = ranges.adjust(input_quantization(calibration, preprocessing, &histograms[0], options.range));
    let lowered = lower(&graph, &params, &histograms, ranges, input)?;
    let posterior = posterior.map(|p| quantize_posterior(&p, &lowered, options)).transpose()?;
    let plan = plan_memory(&lowered);
    Ok(Quantized { lowered, posterior, plan, preprocessing: preprocessing.clone() })
}

/// Bytes span a known range, all of which can come; other inputs are judged by what was seen.
fn input_quantization(
    data: &Dataset,
    preprocessing: &Preprocessing,
    seen: &Histogram,
    rule: RangeRule,
) -> Quantization {
    if data.element() == Element::F32 {
        return seen.quantization(rule);
    }
    let mut extent = Extent::default();
    for (mean, std) in preprocessing.mean.iter().zip(&preprocessing.std) {
        extent.add(&[-mean / std, (255.0 - mean) / std]);
    }
    Quantization::covering(extent.min.into(), extent.max.into())
}

fn quantize_posterior(
    posterior: &Posterior,
    lowered: &Lowered,
    options: &QuantizeOptions,
) -> Result<QuantizedPosterior> {
    let first = &lowered.steps[0];
    let out_channels = posterior.log_var.shape()[0];
    let values = posterior.log_var.as_slice().ok_or_else(|| {
        Error::invalid(format!("log_var of {}", first.name), "a strided tensor", "a tensor in standard order")
    })?;
    let Some(output) = first.output else {
        return Err(Error::invalid(
            format!("first layer {}", first.name),
            "the network's only weighted layer",
            "at least one layer after the Bayesian one",
        ));
    };
    let log_var = quantize_log_var(values, out_channels)?;
    let kind = match (&first.kind, options.noise_per_output) {
        (StepKind::Dense { .. }, true) => NoiseKind::Outputs,
        (_, false) => NoiseKind::Weights,
        (_, true) => {
            return Err(Error::invalid(
                "noise per output",
                format!("first layer {} is no dense layer", first.name),
                "a dense first layer (positions of a convolution share their weights' noise)",
            ));
        }
    };
    let x_scale = lowered.values[first.inputs[0]].quantization.scale;
    let y_scale = lowered.values[output].quantization.scale;
    let sigma_max = log_var.max.iter().map(|log_var| (0.5 * f64::from(*log_var)).exp());
    let (table, multiplier) = match kind {
        NoiseKind::Weights => {
            let table = weight_noise_table(log_var.step);
            let scale = sigma_max.map(|sigma| (sigma / table.sigma_steps) as f32);
            (table.table, scale.map(|scale| (x_scale * scale) / y_scale).collect())
        }
        NoiseKind::Outputs => {
            let factor = output_noise_factor() * f64::from(x_scale) / f64::from(y_scale);
            (output_noise_table(log_var.step), sigma_max.map(|sigma| (sigma * factor) as f32).collect())
        }
    };
    Ok(QuantizedPosterior { kind, log_var, table, multiplier })
}

fn plan_memory(lowered: &Lowered) -> Plan {
    let mut lifetimes = Vec::with_capacity(lowered.values.len() - 1);
    for (id, value) in lowered.values.iter().enumerate().skip(1) {
        let writer = lowered.steps.iter().position(|step| step.output == Some(id)).unwrap_or(0);
        let reads = lowered.steps.iter().rposition(|step| step.inputs.contains(&id));
        let in_place_of = match &lowered.steps[writer].kind {
            StepKind::Add { .. } | StepKind::Sub { .. } | StepKind::Lookup { .. } => lowered.steps[writer]
                .inputs
                .iter()
                .copied()
                .find(|&input| input > 0 && dies_at(lowered, input, writer))
                .map(|input| input - 1),
            // On the first factor only: the second may be smaller.
            StepKind::Mul { .. } => Some(lowered.steps[writer].inputs[0])
                .filter(|&input| input > 0 && dies_at(lowered, input, writer))
                .map(|input| input - 1),
            _ => None,
        };
        lifetimes.push(Lifetime {
            size: value.shape.len(),
            first: writer,
            last: reads.unwrap_or(writer),
            in_place_of,
        });
    }
    plan(&lifetimes)
}

fn dies_at(lowered: &Lowered, value: usize, step: usize) -> bool {
    lowered.steps.iter().rposition(|s| s.inputs.contains(&value)) == Some(step)
}
