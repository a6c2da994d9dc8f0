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
use stf_bnn::predict::MAX_LOG_VAR;
use stf_bnn::uncertainty::{Calibration, Gaussian, Regression};

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
    each_draw(engine, &Sampled { params, posterior, num_samples, seed }, inputs, n, samples, &mut take)?;
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
    if graph.task == Task::Gaussian {
        let on = Sampled { params, posterior, num_samples, seed };
        return validate_gaussian(executor.as_mut(), &on, data, preprocessing);
    }
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
        return Ok(Validation {
            accuracy: 0.0,
            nll: error / data.len().max(1) as f64,
            ece: 0.0,
            brier: 0.0,
            rmse: None,
        });
    }
    Ok(Validation {
        accuracy: calibration.accuracy(),
        nll: calibration.nll(),
        ece: calibration.ece(),
        brier: calibration.brier(),
        rmse: None,
    })
}

/// A network and how its first kernel is sampled.
#[derive(Debug, Clone, Copy)]
pub struct Sampled<'a> {
    /// The network; mu in the first kernel if there is a posterior.
    pub params: &'a Params,
    /// Of the first kernel.
    pub posterior: Option<&'a Posterior>,
    /// Sampled kernels; without a posterior it is one pass.
    pub num_samples: usize,
    /// Seed of the samples.
    pub seed: u64,
}

/// Figures of a Gaussian regression, whose targets are in standard units already.
fn validate_gaussian(
    engine: &mut dyn Engine,
    sampled: &Sampled<'_>,
    data: &Dataset,
    preprocessing: &Preprocessing,
) -> Result<Validation> {
    let count = engine.graph().output_shape().len() / 2;
    let (mut figures, mut inputs) = (Regression::new(), Vec::new());
    let indices: Vec<usize> = (0..data.len()).collect();
    for batch in indices.chunks(BATCH) {
        preprocessing.apply(data, batch, &mut inputs)?;
        let gaussians = predict_gaussian(engine, sampled, &inputs, batch.len())?;
        for (row, &index) in gaussians.chunks(count).zip(batch) {
            for (gaussian, &y) in row.iter().zip(data.targets.of(index)) {
                figures.push(gaussian, y);
            }
        }
    }
    let nll = figures.nll() * count as f64;
    Ok(Validation { accuracy: 0.0, nll, ece: 0.0, brier: 0.0, rmse: Some(figures.rmse()) })
}

/// Distributions of all targets of a batch, `[n, targets]` in standard units; all of its examples have the same
/// sampled kernels.
///
/// # Errors
/// If the network cannot run on the inputs.
pub fn predict_gaussian(
    engine: &mut dyn Engine,
    on: &Sampled<'_>,
    inputs: &[f32],
    n: usize,
) -> Result<Vec<Gaussian>> {
    let count = engine.graph().output_shape().len() / 2;
    let samples = if on.posterior.is_some() { on.num_samples.max(1) } else { 1 };
    // Sums of means, squared means and variances.
    let mut sums = vec![[0.0_f64; 3]; n * count];
    let mut take = |outputs: &[f32]| {
        for (row, sums) in outputs.chunks(2 * count).zip(sums.chunks_mut(count)) {
            let (means, log_vars) = row.split_at(count);
            for ((sums, &mean), log_var) in sums.iter_mut().zip(means).zip(log_vars) {
                let mean = f64::from(mean);
                let variance = f64::from(log_var.clamp(-MAX_LOG_VAR, MAX_LOG_VAR)).exp();
                sums.iter_mut().zip([mean, mean * mean, variance]).for_each(|(sum, x)| *sum += x);
            }
        }
    };
    each_draw(engine, on, inputs, n, samples, &mut take)?;
    let gaussian = |sums: [f64; 3]| {
        let [mean, square, variance] = sums.map(|sum| sum / samples as f64);
        let epistemic_variance = (square - mean * mean).max(0.0) as f32;
        Gaussian { mean: mean as f32, aleatoric_variance: variance as f32, epistemic_variance }
    };
    Ok(sums.into_iter().map(gaussian).collect())
}

/// Shows the outputs of each of `samples` sampled kernels; without a posterior, those of the kernel itself.
fn each_draw(
    engine: &mut dyn Engine,
    on: &Sampled<'_>,
    inputs: &[f32],
    n: usize,
    samples: usize,
    take: &mut dyn FnMut(&[f32]),
) -> Result<()> {
    match on.posterior.map(|posterior| (posterior, &on.params.nodes[posterior.node].weight)) {
        Some((posterior, Some(mu))) => {
            let mut fill =
                |sample, kernel: &mut ArrayD<f32>| draw_kernel(kernel, mu, posterior, on.seed, sample as u64);
            let draws = Draws { node: posterior.node, count: samples, fill: &mut fill };
            engine.infer_draws(on.params, draws, inputs, n, take)
        }
        _ => {
            take(engine.infer(on.params, inputs, n)?);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests;
