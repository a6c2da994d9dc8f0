//! The Bayesian first layer: draw noise in one place, combine it with the mean in another.
//!
//! ```text
//! y = clamp(round_half_even(f32(acc_mean) * m_mean + noise) + zero_point)
//! Weights:  noise = f32(±acc_noise) * m_noise         acc_noise from int8 noise weights
//! Outputs:  noise = f32(±eps) * (sqrt(f32(acc_variance)) * m_noise)     dense layers only
//! ```

use crate::artifact::{Clamp, Layer, Model, NoiseKind, Posterior, Tensor};
use crate::kernels::{Dense, Filter, Kernels, Mean, NoiseDraw, Noisy, Output};
use crate::layers::Step;
use crate::layers::output_noise::Outputs;
use crate::layers::weighted::filter;
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

/// Memory of [`FirstLayer::packed_noise_scale`].
#[derive(Debug)]
pub(crate) struct Squares<'a> {
    /// `[high and low bytes of variances, packed]`
    pub(crate) packed: &'a [u8],
    /// `[high and low bytes of squares, input values]`
    pub(crate) bytes: &'a mut [i8],
    /// `[high and low bytes of variances, high and low bytes of squares, outputs]`
    pub(crate) sums: &'a mut [i32],
    pub(crate) scratch: &'a mut [i16],
}

/// Layer 0 of a model with a posterior. What it names is looked up where it is needed: a device's stack is
/// short.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FirstLayer<'m> {
    model: &'m Model<'m>,
    posterior: &'m Posterior,
    pub(crate) layer: &'m Layer,
}

impl<'m> FirstLayer<'m> {
    /// From layer 0; `None` for a plain model.
    pub(crate) fn new(model: &'m Model<'m>, layer: &'m Layer) -> Option<Self> {
        let posterior = model.manifest().posterior.as_ref()?;
        Some(Self { model, posterior, layer })
    }

    pub(crate) fn kind(&self) -> NoiseKind {
        self.posterior.kind
    }

    /// The quantized input.
    fn x(&self) -> &Tensor {
        self.layer.tensors().0
    }

    /// The activations, which a layer that can be Bayesian has.
    pub(crate) fn y(&self) -> &Tensor {
        let (x, _, y) = self.layer.tensors();
        y.unwrap_or(x)
    }

    /// The bounds of the activations.
    fn clamp(&self) -> Clamp {
        self.layer.weighted_clamp().unwrap_or(Clamp { min: i8::MIN, max: i8::MAX })
    }

    /// The mean weights.
    fn mean_filter(&self, packed: &'m [u8]) -> Filter<'m> {
        let none = Filter { values: &[], bias: &[], multiplier: &[], packed };
        self.layer.weights().map_or(none, |weights| filter(self.model, &weights, packed))
    }

    fn log_var(&self) -> &'m [u8] {
        self.model.bytes(self.posterior.log_var)
    }

    /// The entry of a log-variance byte in the noise table.
    fn entry(table: &[u16], b: u8) -> u16 {
        table.get(usize::from(b)).copied().unwrap_or(0)
    }

    fn table(&self) -> &'m [u16] {
        self.model.u16s(self.posterior.table)
    }

    fn noise_multiplier(&self) -> &'m [f32] {
        self.model.f32s(self.posterior.noise_multiplier)
    }

    /// Number of weights.
    pub(crate) fn weight_count(&self) -> usize {
        self.layer.weights().map_or(0, |weights| weights.values.len as usize)
    }

    /// Number of output values.
    pub(crate) fn output_count(&self) -> usize {
        self.y().len() as usize
    }

    /// Noise weights of at most [`STREAMS`](crate::kernels::STREAMS) streams, `[streams, weights]`.
    pub(crate) fn draw_weights(&self, kernels: Kernels, seed: u64, streams: &[u64], noise: &mut [i8]) {
        let Ok(table): Result<&[u16; 256], _> = self.table().try_into() else { return };
        kernels.draw(&NoiseDraw { seed, streams, table, log_var: self.log_var() }, noise);
    }

    /// A noise kernel as the weights of this layer.
    pub(crate) fn noise_filter<'a>(&self, noise: &'a [i8], packed: &'a [u8]) -> Filter<'a>
    where
        'm: 'a,
    {
        Filter { values: noise, bias: &[], multiplier: self.noise_multiplier(), packed }
    }

    /// Accumulators of the mean weights, bias included: `acc_mean[y.len()]`.
    pub(crate) fn mean(
        &self,
        step: &Step<'_>,
        input: &[i8],
        packed: &[u8],
        scratch: &mut [i16],
        acc_mean: &mut [i32],
    ) -> Option<()> {
        let filter = Filter { packed, ..self.mean_filter(&[]) };
        step.run_weighted(self.layer, input, &filter, scratch, Output::Sums(acc_mean))
    }

    /// Activations with per-weight noise. `acc_mean` may be empty: the mean is computed on the way.
    pub(crate) fn with_weight_noise(
        &self,
        step: &Step<'_>,
        input: &[i8],
        noise: &Filter<'_>,
        acc_mean: &[i32],
        scratch: &mut [i16],
        to: Halves<'_>,
    ) -> Option<()> {
        let filter = self.mean_filter(&[]);
        let mean = if acc_mean.is_empty() {
            Mean::Filter(filter)
        } else {
            Mean::Sums { sums: acc_mean, multiplier: filter.multiplier }
        };
        let Halves { this, twin, negate } = to;
        let (zero_point, clamp) = (self.y().zero_point, self.clamp());
        let output = Output::Noisy(Noisy { mean, zero_point, clamp, this, twin, negate });
        step.run_weighted(self.layer, input, noise, scratch, output)
    }

    /// Standard deviation of each output's noise for this input, in output steps per `eps`; none for a layer
    /// whose noise is its weights'.
    pub(crate) fn output_noise_scale(&self, step: &Step<'_>, input: &[i8], scale: &mut [f32]) {
        if let (NoiseKind::Outputs, Some(noise)) = (self.kind(), step.operators.output_noise()) {
            let (log_var, table, multiplier) = (self.log_var(), self.table(), self.noise_multiplier());
            (noise.scale)(input, self.x().zero_point, log_var, table, multiplier, scale);
        }
    }

    /// Whether sums of products of bytes over all inputs fit an i32.
    pub(crate) fn squares_fit(&self) -> bool {
        self.x().len() <= 1 << 16
    }

    /// This layer for inputs that are bytes from -128 on.
    fn of_bytes(&self) -> Layer {
        let input = Tensor { zero_point: i8::MIN, ..*self.x() };
        match *self.layer {
            Layer::Dense { output, weights, clamp, .. } => Layer::Dense { input, output, weights, clamp },
            other => other,
        }
    }

    /// Packs each weight's variance as two int8 weights: `(table >> 8) - 128`, `(table & 255) - 128`.
    pub(crate) fn pack_variances(&self, kernels: Kernels, values: &mut [i8], packed: &mut [u8]) {
        let layer = self.of_bytes();
        let packed = packed.chunks_exact_mut((packed.len() / 2).max(1));
        for (packed, shift) in packed.zip([8, 0]) {
            for (to, &b) in values.iter_mut().zip(self.log_var()) {
                *to = ((Self::entry(self.table(), b) >> shift) as u8 ^ 0x80) as i8;
            }
            kernels.pack(&layer, &self.noise_filter(values, &[]), packed);
        }
    }

    /// [`Self::output_noise_scale`] by dot products of bytes, all sums exact:
    /// `sum x^2 v = sum (256 xh + xl)(256 vh + vl + 128 * 257)`, `vh` and `vl` from [`Self::pack_variances`].
    pub(crate) fn packed_noise_scale(
        &self,
        kernels: Kernels,
        input: &[i8],
        squares: Squares<'_>,
        scale: &mut [f32],
    ) {
        let zero_point = i16::from(self.x().zero_point);
        let (inputs, outputs) = (input.len(), scale.len());
        let Squares { packed, bytes, sums, scratch } = squares;
        let (high, low) = bytes.split_at_mut(inputs.min(bytes.len()));
        let mut total = 0_u64;
        for ((&x, high), low) in input.iter().zip(high).zip(low) {
            let x = (i16::from(x) - zero_point).unsigned_abs();
            let square = x.wrapping_mul(x);
            total += u64::from(square);
            *high = ((square >> 8) as u8 ^ 0x80) as i8;
            *low = (square as u8 ^ 0x80) as i8;
        }
        let dense = Dense { input: bytes, inputs: inputs.max(1), outputs, zero_point: i8::MIN };
        let half = packed.len() / 2;
        let (sums_high, sums_low) = sums.split_at_mut(sums.len() / 2);
        for (packed, sums) in [(&packed[..half], &mut *sums_high), (&packed[half..], &mut *sums_low)] {
            kernels.dense(&dense, &self.noise_filter(&[], packed), scratch, Output::Sums(sums));
        }
        for (c, (scale, &m)) in scale.iter_mut().zip(self.noise_multiplier()).enumerate() {
            let at = |sums: &[i32], i: usize| sums.get(i).copied().map_or(0, i64::from);
            let [hh, lh] = [at(sums_high, c), at(sums_high, outputs + c)];
            let [hl, ll] = [at(sums_low, c), at(sums_low, outputs + c)];
            let variance = (hh << 16) + ((lh + hl) << 8) + ll + (128 * 257) * total as i64;
            *scale = number::sqrt(variance as u64 as f32) * m;
        }
    }

    /// Activations with noise per output.
    pub(crate) fn with_output_noise(
        &self,
        step: &Step<'_>,
        acc_mean: &[i32],
        scale: &[f32],
        eps: &[i16],
        to: Halves<'_>,
    ) -> Option<()> {
        let noise = step.operators.output_noise()?;
        let multiplier = self.mean_filter(&[]).multiplier;
        let (zero_point, clamp) = (self.y().zero_point, self.clamp());
        let from = Outputs { sums: acc_mean, multiplier, scale, zero_point, clamp };
        let sign = if to.negate { -1.0 } else { 1.0 };
        (noise.apply)(&from, eps, sign, to.this);
        (noise.apply)(&from, eps, -sign, to.twin);
        Some(())
    }
}
