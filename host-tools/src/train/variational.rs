//! The variational posterior of the first kernel: its start, its divergence from the prior, and the
//! noise and gradients of the three estimators.

use super::config::{Estimator, PriorMean, Stage2Config};
use super::executor::{Gradients, Perturbation};
use super::random::{Purpose, Random, normals};
use ndarray::ArrayD;
use std::ops::Range;

/// Start of log_var: `sigma = max(delta * |w|, floor)`.
#[must_use]
pub fn initial_log_var(weight: &ArrayD<f32>, delta: f32, floor: f32) -> ArrayD<f32> {
    weight.mapv(|w| 2.0 * (delta * w.abs()).max(floor).ln())
}

/// The prior's mean: the stage-1 weights or zero.
#[must_use]
pub fn prior_mean(weight: &ArrayD<f32>, prior: PriorMean) -> ArrayD<f32> {
    match prior {
        PriorMean::Map => weight.clone(),
        PriorMean::Zero => ArrayD::zeros(weight.raw_dim()),
    }
}

/// KL(N(mu, exp(log_var)) || N(m, prior_sigma^2)) in nats, **summed** over weights:
/// `ln(prior_sigma / sigma) + (sigma^2 + (mu - m)^2) / (2 prior_sigma^2) - 1/2` each.
#[must_use]
pub fn kl(mu: &ArrayD<f32>, log_var: &ArrayD<f32>, prior_mean: &ArrayD<f32>, prior_sigma: f32) -> f64 {
    let prior_var = f64::from(prior_sigma).powi(2);
    let terms = mu.iter().zip(log_var).zip(prior_mean).map(|((mu, log_var), mean)| {
        let (log_var, distance) = (f64::from(*log_var), f64::from(mu - mean));
        0.5 * (prior_var.ln() - log_var + (log_var.exp() + distance * distance) / prior_var - 1.0)
    });
    terms.sum()
}

/// Adds `factor * d KL` to the gradients of mu and log_var.
pub fn add_kl_gradient(
    factor: f32,
    (mu, log_var): (&ArrayD<f32>, &ArrayD<f32>),
    prior_mean: &ArrayD<f32>,
    prior_sigma: f32,
    (d_mu, d_log_var): (&mut ArrayD<f32>, &mut ArrayD<f32>),
) {
    let precision = 1.0 / (prior_sigma * prior_sigma);
    for ((d, mu), mean) in d_mu.iter_mut().zip(mu).zip(prior_mean) {
        *d += factor * (mu - mean) * precision;
    }
    for (d, log_var) in d_log_var.iter_mut().zip(log_var) {
        *d += factor * 0.5 * (log_var.exp() * precision - 1.0);
    }
}

/// The random numbers of one training step.
#[derive(Debug, Clone, PartialEq)]
pub enum Noise {
    /// Flipout: standard normal per weight, and signs.
    Flipout {
        /// Per weight.
        eps: Vec<f32>,
        /// `sigma * eps`.
        delta: Vec<f32>,
        /// `[n, inputs]`.
        input_signs: Vec<f32>,
        /// `[n, outputs]`.
        output_signs: Vec<f32>,
    },
    /// Local reparameterization: variance per weight, standard normal per output.
    Local {
        /// `sigma^2`.
        variance: Vec<f32>,
        /// `[n, outputs]`.
        eps: Vec<f32>,
    },
    /// Plain: standard normal per weight, and the sampled kernel.
    Weight {
        /// Per weight.
        eps: Vec<f32>,
        /// `mu + sigma * eps`.
        sample: Vec<f32>,
    },
}

/// Sizes of one step's noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoiseShape {
    /// Examples.
    pub n: usize,
    /// Input channels of a convolution, inputs of a dense layer.
    pub inputs: usize,
    /// Output channels or outputs.
    pub outputs: usize,
}

impl Noise {
    /// Draws for one step; `parts` tell the step apart (stage, epoch, step).
    #[must_use]
    pub fn draw(
        config: &Stage2Config,
        mu: &ArrayD<f32>,
        log_var: &ArrayD<f32>,
        shape: NoiseShape,
        parts: &[u64],
    ) -> Self {
        let sigma = log_var.iter().map(|log_var| (0.5 * log_var).exp());
        let normals = |count| normals(config.seed, Purpose::Noise, parts, count);
        match config.estimator {
            Estimator::Flipout => {
                let eps = normals(mu.len());
                let delta = sigma.zip(&eps).map(|(sigma, eps)| sigma * eps).collect();
                let mut random = Random::new(config.seed, Purpose::Signs, parts);
                let input_signs = random.signs(shape.n * shape.inputs);
                let output_signs = random.signs(shape.n * shape.outputs);
                Self::Flipout { eps, delta, input_signs, output_signs }
            }
            Estimator::Local => Self::Local {
                variance: log_var.iter().map(|log_var| log_var.exp()).collect(),
                eps: normals(shape.n * shape.outputs),
            },
            Estimator::Weight => {
                let eps = normals(mu.len());
                let sample =
                    mu.iter().zip(sigma).zip(&eps).map(|((mu, sigma), eps)| mu + sigma * eps).collect();
                Self::Weight { eps, sample }
            }
        }
    }

    /// What the executor is told of the step's examples in `examples`; the noise was drawn for as many
    /// as `shape` says.
    #[must_use]
    pub fn perturbation(&self, examples: Range<usize>, shape: NoiseShape) -> Perturbation<'_> {
        let inputs = examples.start * shape.inputs..examples.end * shape.inputs;
        let outputs = examples.start * shape.outputs..examples.end * shape.outputs;
        match self {
            Self::Flipout { delta, input_signs, output_signs, .. } => Perturbation::Flipout {
                delta,
                input_signs: &input_signs[inputs],
                output_signs: &output_signs[outputs],
            },
            Self::Local { variance, eps } => Perturbation::Local { variance, eps: &eps[outputs] },
            Self::Weight { .. } => Perturbation::None,
        }
    }

    /// Gradients of mu and log_var from those of kernel and noise. With `sigma = exp(log_var / 2)`:
    /// `d sigma / d log_var = sigma / 2`.
    #[must_use]
    pub fn chain(
        &self,
        kernel: &ArrayD<f32>,
        gradients: &Gradients,
        log_var: &ArrayD<f32>,
    ) -> (ArrayD<f32>, ArrayD<f32>) {
        let mut d_log_var = ArrayD::zeros(log_var.raw_dim());
        let noise = gradients.noise.as_ref().unwrap_or(kernel);
        let terms = d_log_var.iter_mut().zip(log_var);
        match self {
            Self::Flipout { eps, .. } => {
                terms.zip(noise).zip(eps).for_each(|(((d, log_var), gradient), eps)| {
                    *d = gradient * eps * 0.5 * (0.5 * log_var).exp();
                })
            }
            Self::Local { .. } => {
                terms.zip(noise).for_each(|((d, log_var), gradient)| *d = gradient * log_var.exp());
            }
            Self::Weight { eps, .. } => {
                terms.zip(kernel).zip(eps).for_each(|(((d, log_var), gradient), eps)| {
                    *d = gradient * eps * 0.5 * (0.5 * log_var).exp();
                })
            }
        }
        (kernel.clone(), d_log_var)
    }
}

#[cfg(test)]
mod tests;
