//! Float predictions by Monte Carlo over the first kernel: validation figures, and the reference that
//! the int8 runtime is compared with.

use super::engine::{Device, Draws, Engine, engine};
use super::executor::Trainable;
use super::observer::Validation;
use super::random::{Purpose, normals};
use crate::data::{Dataset, Preprocessing};
use crate::error::Result;
use crate::graph::params::Posterior;
use crate::graph::{Params, Task};
use ndarray::ArrayD;
use stf_bnn::uncertainty::Calibration;

/// Softmax of one row of logits.
#[must_use]
pub fn softmax(logits: &[f32]) -> Vec<f32> {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exponentials: Vec<f32> = logits.iter().map(|logit| (logit - max).exp()).collect();
    let sum: f32 = exponentials.iter().sum();
    exponentials.into_iter().map(|e| e / sum).collect()
}

/// Entropy of one row of probabilities, nats.
fn entropy(probabilities: &[f32]) -> f32 {
    probabilities.iter().map(|&p| if p > 0.0 { -p * p.ln() } else { 0.0 }).sum()
}

/// Mean over the samples for each example of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct McPrediction {
    /// `[n, classes]`.
    pub probabilities: Vec<f32>,
    /// Entropy of the mean, nats, `[n]`.
    pub predictive_entropy: Vec<f32>,
    /// Entropy of the mean minus mean entropy, nats, `[n]`.
    pub mutual_information: Vec<f32>,
}

/// Predicts a batch with `num_samples` sampled kernels, the same ones for all of its examples; without
/// a posterior, with the kernel itself.
///
/// # Errors
/// If the network cannot run on the inputs.
pub fn predict_mc(
    engine: &mut dyn Engine,
    params: &Params,
    posterior: Option<&Posterior>,
    inputs: &[f32],
    n: usize,
    num_samples: usize,
    seed: u64,
) -> Result<McPrediction> {
    let classes = engine.graph().output_shape().len();
    let samples = if posterior.is_some() { num_samples.max(1) } else { 1 };
    let mut sum = vec![0.0f32; n * classes];
    let mut expected = vec![0.0f32; n];
    let mut take = |logits: &[f32]| {
        for ((logits, sum), expected) in
            logits.chunks(classes).zip(sum.chunks_mut(classes)).zip(&mut expected)
        {
            let probabilities = softmax(logits);
            *expected += entropy(&probabilities) / samples as f32;
            sum.iter_mut().zip(&probabilities).for_each(|(sum, p)| *sum += p / samples as f32);
        }
    };
    match posterior.map(|posterior| (posterior, &params.nodes[posterior.node].weight)) {
        Some((posterior, Some(mu))) => {
            let mut fill =
                |sample, kernel: &mut ArrayD<f32>| draw_kernel(kernel, mu, posterior, seed, sample as u64);
            let draws = Draws { node: posterior.node, count: samples, fill: &mut fill };
            engine.infer_draws(params, draws, inputs, n, &mut take)?;
        }
        _ => take(engine.infer(params, inputs, n)?),
    }
    let predictive_entropy: Vec<f32> = sum.chunks(classes).map(entropy).collect();
    let mutual_information =
        predictive_entropy.iter().zip(&expected).map(|(t, e)| (t - e).max(0.0)).collect();
    Ok(McPrediction { probabilities: sum, predictive_entropy, mutual_information })
}

/// Writes `mu + sigma * eps` into the first kernel of `sampled`.
pub fn sample_kernel(sampled: &mut Params, params: &Params, posterior: &Posterior, seed: u64, sample: u64) {
    let (Some(target), Some(mu)) =
        (&mut sampled.nodes[posterior.node].weight, &params.nodes[posterior.node].weight)
    else {
        return; // a posterior always belongs to a weighted node
    };
    draw_kernel(target, mu, posterior, seed, sample);
}

fn draw_kernel(target: &mut ArrayD<f32>, mu: &ArrayD<f32>, posterior: &Posterior, seed: u64, sample: u64) {
    let eps = normals(seed, Purpose::Evaluation, &[sample], mu.len());
    for (((target, mu), log_var), eps) in target.iter_mut().zip(mu).zip(&posterior.log_var).zip(eps) {
        *target = mu + (0.5 * log_var).exp() * eps;
    }
}

/// Examples that run together.
const BATCH: usize = 128;

/// Figures of a float network on data; Monte Carlo if there is a posterior.
///
/// # Errors
/// If the network cannot run on the data.
pub fn validate(
    graph: &crate::graph::Graph,
    params: &Params,
    posterior: Option<&Posterior>,
    data: &Dataset,
    preprocessing: &Preprocessing,
    num_samples: usize,
    seed: u64,
) -> Result<Validation> {
    validate_on(Device::Cpu, graph, params, posterior, data, preprocessing, num_samples, seed)
}

/// As [`validate`], on a device.
///
/// # Errors
/// As [`validate`], and if the device is not there.
#[expect(clippy::too_many_arguments, reason = "those of `validate`, and the device")]
pub fn validate_on(
    device: Device,
    graph: &crate::graph::Graph,
    params: &Params,
    posterior: Option<&Posterior>,
    data: &Dataset,
    preprocessing: &Preprocessing,
    num_samples: usize,
    seed: u64,
) -> Result<Validation> {
    let mut executor = engine(graph, BATCH, Trainable::None, device)?;
    let classes = graph.output_shape().len();
    let (mut calibration, mut inputs) = (Calibration::new(), Vec::new());
    let mut error = 0.0;
    let indices: Vec<usize> = (0..data.len()).collect();
    for batch in indices.chunks(BATCH) {
        preprocessing.apply(data, batch, &mut inputs)?;
        if graph.task == Task::Reconstruction {
            let outputs = executor.infer(params, &inputs, batch.len())?;
            error += super::loss::half_squared_error(outputs, &inputs).0 * batch.len() as f64;
            continue;
        }
        let prediction =
            predict_mc(executor.as_mut(), params, posterior, &inputs, batch.len(), num_samples, seed)?;
        for (probabilities, &index) in prediction.probabilities.chunks(classes).zip(batch) {
            calibration.push(probabilities, data.labels[index] as usize);
        }
    }
    if graph.task == Task::Reconstruction {
        return Ok(Validation { accuracy: 0.0, nll: error / data.len().max(1) as f64, ece: 0.0, brier: 0.0 });
    }
    Ok(Validation {
        accuracy: calibration.accuracy(),
        nll: calibration.nll(),
        ece: calibration.ece(),
        brier: calibration.brier(),
    })
}

#[cfg(test)]
mod tests;
