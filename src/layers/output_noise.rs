//! Noise of a dense first layer drawn per output: what the variances of its weights give for this input.

use crate::artifact::Clamp;
use crate::{kernels, number};

/// Standard deviation of each output's noise for this input, in output steps per `eps`.
///
/// `log_var[outputs, inputs]` are indices of `table`.
pub(crate) fn scale(
    input: &[i8],
    zero_point: i8,
    log_var: &[u8],
    table: &[u16],
    multiplier: &[f32],
    scale: &mut [f32],
) {
    let zero_point = i32::from(zero_point);
    let rows = log_var.chunks_exact(input.len().max(1));
    for ((scale, row), &m) in scale.iter_mut().zip(rows).zip(multiplier) {
        let variance = input.iter().zip(row).fold(0_u64, |sum, (&x, &b)| {
            let x = i32::from(x) - zero_point;
            // At most 255^2 * 65535: below 2^32.
            sum + u64::from((x * x) as u32 * u32::from(table.get(usize::from(b)).copied().unwrap_or(0)))
        });
        *scale = kernels::sqrt(variance as f32) * m;
    }
}

/// The means of the outputs, and the unit of their noise.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outputs<'a> {
    /// Accumulators with bias.
    pub(crate) sums: &'a [i32],
    /// Output steps of one unit of the accumulators.
    pub(crate) multiplier: &'a [f32],
    /// From [`scale`].
    pub(crate) scale: &'a [f32],
    pub(crate) zero_point: i8,
    pub(crate) clamp: Clamp,
}

/// Activations with noise of this sign.
pub(crate) fn apply(from: &Outputs<'_>, eps: &[i16], sign: f32, to: &mut [i8]) {
    let terms = from.sums.iter().zip(from.multiplier).zip(from.scale).zip(eps);
    for (to, (((&mean, &m), &scale), &eps)) in to.iter_mut().zip(terms) {
        let noise = sign * f32::from(eps) * scale;
        *to = number::requantize_real(mean as f32 * m + noise, from.zero_point, from.clamp);
    }
}
