//! Symmetric per-channel int8 weights and the proof that their accumulators fit an i32.

use crate::error::{Error, Result};

/// Largest bias in accumulator steps: leaves room for the products beside it.
const MAX_BIAS: f32 = (1u32 << 29) as f32;

/// Quantized weights of one layer, rows by output channel.
#[derive(Debug, Clone, PartialEq)]
pub struct QuantizedWeights {
    /// int8, `[out_channels, fan_in]`.
    pub values: Vec<i8>,
    /// Real value of one step, per output channel.
    pub scale: Vec<f32>,
    /// In units of `x_scale * scale[c]`.
    pub bias: Vec<i32>,
}

/// Quantizes `[out_channels, fan_in]` weights and their bias, for inputs of scale `x_scale` and
/// zero point `x_zero_point`.
///
/// # Errors
/// If a weight or bias is not finite, or an accumulator could overflow.
pub fn quantize_weights(
    name: &str,
    weights: &[f32],
    bias: Option<&[f32]>,
    out_channels: usize,
    x_scale: f32,
    x_zero_point: i8,
) -> Result<QuantizedWeights> {
    let fan_in = weights.len() / out_channels;
    let mut result = QuantizedWeights {
        values: Vec::with_capacity(weights.len()),
        scale: Vec::with_capacity(out_channels),
        bias: Vec::with_capacity(out_channels),
    };
    for (channel, row) in weights.chunks_exact(fan_in).enumerate() {
        let bias = bias.map_or(0.0, |bias| bias[channel]);
        require_finite(name, channel, row, bias)?;
        let scale = row_scale(row, bias, x_scale);
        result.scale.push(scale);
        result.values.extend(row.iter().map(|w| (w / scale).round_ties_even().clamp(-127.0, 127.0) as i8));
        result.bias.push((bias / (x_scale * scale)).round_ties_even() as i32);
    }
    prove_no_overflow(name, &result, fan_in, x_zero_point)?;
    Ok(result)
}

fn require_finite(name: &str, channel: usize, row: &[f32], bias: f32) -> Result<()> {
    match row.iter().chain([&bias]).find(|value| !value.is_finite()) {
        Some(bad) => {
            Err(Error::invalid(format!("{name}: weights of channel {channel}"), bad, "finite numbers"))
        }
        None => Ok(()),
    }
}

/// The greatest weight takes 127 steps. A channel whose weights are all but zero beside its bias
/// gets a coarser step, so that the bias still fits.
fn row_scale(row: &[f32], bias: f32, x_scale: f32) -> f32 {
    let greatest = row.iter().fold(0.0f32, |max, w| max.max(w.abs()));
    let for_bias = bias.abs() / (x_scale * MAX_BIAS);
    let scale = (greatest / 127.0).max(for_bias).max(f32::MIN_POSITIVE / x_scale.min(1.0));
    if greatest == 0.0 && bias == 0.0 { 1.0 } else { scale }
}

fn prove_no_overflow(name: &str, weights: &QuantizedWeights, fan_in: usize, x_zero_point: i8) -> Result<()> {
    let zero_point = i64::from(x_zero_point);
    let greatest_input = (127 - zero_point).max(zero_point + 128);
    for (channel, (row, bias)) in weights.values.chunks_exact(fan_in).zip(&weights.bias).enumerate() {
        let sum: i64 = row.iter().map(|&w| i64::from(w).abs()).sum();
        let bound = sum * greatest_input + i64::from(*bias).abs();
        if bound > i64::from(i32::MAX) {
            return Err(Error::invalid(
                format!("{name}: accumulator of channel {channel}"),
                format!("up to {bound}"),
                format!("at most {}", i32::MAX),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_channel_has_its_own_scale_and_half_a_step_of_error_at_most() {
        let weights = [0.1, -0.25, 0.02, 100.0, 3.0, -50.0];
        let q = quantize_weights("w", &weights, Some(&[0.5, -7.0]), 2, 0.04, -3).unwrap();
        for (i, &w) in weights.iter().enumerate() {
            let scale = q.scale[i / 3];
            assert!((f32::from(q.values[i]) * scale - w).abs() <= scale * 0.5001);
        }
        assert!((q.bias[0] as f32 * 0.04 * q.scale[0] - 0.5).abs() <= 0.04 * q.scale[0]);
        assert_eq!(q.values[1], -127);
        assert_eq!(q.values[3], 127);
    }

    #[test]
    fn a_dead_channel_with_a_large_bias_fits() {
        let q = quantize_weights("w", &[1e-20, 0.0], Some(&[3.0]), 1, 0.01, 0).unwrap();
        assert!((q.bias[0] as f32 * (0.01 * q.scale[0]) - 3.0).abs() < 1e-3);
        assert!(q.scale[0].is_normal());
    }

    #[test]
    fn all_zero_weights_have_a_usable_scale() {
        let q = quantize_weights("w", &[0.0; 4], None, 2, 0.01, 0).unwrap();
        assert_eq!(q.values, [0; 4]);
        assert!(q.scale.iter().all(|s| s.is_normal()));
    }

    #[test]
    fn overflow_and_nan_are_errors_that_name_layer_and_channel() {
        let long = vec![1.0; 70_000];
        let error = quantize_weights("fc", &long, None, 1, 1.0, -128).unwrap_err().to_string();
        assert!(error.contains("fc") && error.contains("channel 0"), "{error}");
        let error = quantize_weights("fc", &[0.0, f32::NAN], None, 2, 1.0, 0).unwrap_err().to_string();
        assert!(error.contains("channel 1"), "{error}");
    }
}
