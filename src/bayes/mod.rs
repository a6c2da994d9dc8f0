//! The Bayesian first layer: draw noise in one place, combine it with the mean in another.
//!
//! ```text
//! y = clamp(round_half_even(f32(acc_mean) * m_mean + noise) + zero_point)
//! Weights:  noise = f32(±acc_noise) * m_noise         acc_noise from int8 noise weights
//! Outputs:  noise = f32(±eps) * (sqrt(f32(acc_variance)) * m_noise)     dense layers only
//! ```

mod draw;

pub(crate) use draw::{draw_outputs, draw_weights};

use crate::artifact::{Layer, Model, NoiseKind, Posterior};
use crate::kernels::{Filter, Kernels, Mean, Noisy, Output};
use crate::layers::weighted::{Weighted, filter};
use crate::number;

/// Where the results of one noise convolution go.
#[derive(Debug)]
pub(crate) struct Halves<'a> {
    /// Activations with the noise as it is, or its opposite where `negate`.
    pub(crate) this: &'a mut [i8],
    /// Activations with the opposite noise; empty if nobody wants them.
    pub(crate) twin: &'a mut [i8],
    /// Whether `this` is the second draw of its pair.
    pub(crate) negate: bool,
}

/// Layer 0 of a model with a posterior.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FirstLayer<'m> {
    pub(crate) posterior: Posterior,
    pub(crate) weighted: Weighted,
    mean: Filter<'m>,
    log_var: &'m [u8],
    table: &'m [u16],
    noise_multiplier: &'m [f32],
}

impl<'m> FirstLayer<'m> {
    /// `None` for a plain model.
    pub(crate) fn new(model: &Model<'m>) -> Option<Self> {
        let posterior = model.manifest().posterior?;
        let layer: Layer = model.layers().next()?;
        let weighted = Weighted::new(&layer)?;
        Some(Self {
            posterior,
            weighted,
            mean: filter(model, &weighted.weights, &[]),
            log_var: model.bytes(posterior.log_var),
            table: model.u16s(posterior.table),
            noise_multiplier: model.f32s(posterior.noise_multiplier),
        })
    }

    pub(crate) fn kind(&self) -> NoiseKind {
        self.posterior.kind
    }

    /// Number of weights.
    pub(crate) fn weight_count(&self) -> usize {
        self.mean.values.len()
    }

    /// Number of output values.
    pub(crate) fn output_count(&self) -> usize {
        self.weighted.y.len() as usize
    }

    /// Noise weights of one stream.
    pub(crate) fn draw_weights(&self, seed: u64, stream: u64, noise: &mut [i8]) {
        draw_weights(seed, stream, self.table, self.log_var, noise);
    }

    /// A noise kernel as the weights of this layer.
    pub(crate) fn noise_filter<'a>(&'a self, noise: &'a [i8], packed: &'a [u8]) -> Filter<'a> {
        Filter { values: noise, bias: &[], multiplier: self.noise_multiplier, packed }
    }

    /// Accumulators of the mean weights, bias included: `acc_mean[y.len()]`.
    pub(crate) fn mean(
        &self,
        kernels: Kernels,
        input: &[i8],
        packed: &[u8],
        scratch: &mut [i16],
        acc_mean: &mut [i32],
    ) {
        let filter = Filter { packed, ..self.mean };
        self.weighted.run(kernels, input, &filter, scratch, Output::Sums(acc_mean));
    }

    /// Activations with per-weight noise. `acc_mean` may be empty: the mean is computed on the way.
    pub(crate) fn with_weight_noise(
        &self,
        kernels: Kernels,
        input: &[i8],
        noise: &Filter<'_>,
        acc_mean: &[i32],
        scratch: &mut [i16],
        to: Halves<'_>,
    ) {
        let mean = if acc_mean.is_empty() {
            Mean::Filter(self.mean)
        } else {
            Mean::Sums { sums: acc_mean, multiplier: self.mean.multiplier }
        };
        let (zero_point, clamp) = (self.weighted.y.zero_point, self.weighted.clamp);
        let Halves { this, twin, negate } = to;
        let output = Output::Noisy(Noisy { mean, zero_point, clamp, this, twin, negate });
        self.weighted.run(kernels, input, noise, scratch, output);
    }

    /// Standard deviation of each output's noise for this input, in output steps per `eps`.
    pub(crate) fn output_noise_scale(&self, input: &[i8], scale: &mut [f32]) {
        let zero_point = i32::from(self.weighted.x.zero_point);
        let rows = self.log_var.chunks_exact(input.len().max(1));
        for ((scale, row), &m) in scale.iter_mut().zip(rows).zip(self.noise_multiplier) {
            let variance = input.iter().zip(row).fold(0_u64, |sum, (&x, &b)| {
                let x = i32::from(x) - zero_point;
                // At most 255^2 * 65535: below 2^32.
                sum + u64::from((x * x) as u32 * u32::from(self.table[usize::from(b)]))
            });
            *scale = number::sqrt(variance as f32) * m;
        }
    }

    /// Activations with noise per output.
    pub(crate) fn with_output_noise(&self, acc_mean: &[i32], scale: &[f32], eps: &[i16], to: Halves<'_>) {
        let (zero_point, clamp) = (self.weighted.y.zero_point, self.weighted.clamp);
        let sign = if to.negate { -1.0 } else { 1.0 };
        let terms = acc_mean.iter().zip(self.mean.multiplier).zip(scale).zip(eps);
        let apply = |out: &mut [i8], sign: f32| {
            for (out, (((&mean, &m), &scale), &eps)) in out.iter_mut().zip(terms.clone()) {
                let noise = sign * f32::from(eps) * scale;
                *out = number::requantize_real(mean as f32 * m + noise, zero_point, clamp);
            }
        };
        apply(to.this, sign);
        apply(to.twin, -sign);
    }
}
