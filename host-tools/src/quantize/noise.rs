//! The first layer's posterior in integers: one log-variance byte a weight, and the table that turns
//! the device's integer Gaussian into int8 noise weights of exactly the wanted variance.

use crate::error::{Error, Result};
use stf_bnn::random::{MAX_TABLE, UNIT};

/// Widest range of log-variance within a channel that the 256 bytes span, in nats: a weight whose
/// variance is a millionth of its channel's greatest no longer shows in the channel's output.
const MAX_LOG_VAR_RANGE: f32 = 13.8;

/// The log-variances of a kernel as bytes, per output channel below the channel's greatest.
#[derive(Debug, Clone, PartialEq)]
pub struct LogVarBytes {
    /// `log_var = max[c] - byte * step`, `[out_channels, fan_in]`.
    pub bytes: Vec<u8>,
    /// Greatest log-variance of each output channel.
    pub max: Vec<f32>,
    /// Distance of neighbouring bytes, in nats.
    pub step: f32,
}

/// Quantizes `[out_channels, fan_in]` log-variances.
///
/// # Errors
/// If a log-variance is not finite.
pub fn quantize_log_var(log_var: &[f32], out_channels: usize) -> Result<LogVarBytes> {
    if let Some((index, bad)) = log_var.iter().enumerate().find(|(_, value)| !value.is_finite()) {
        return Err(Error::invalid(format!("log_var of weight {index}"), bad, "a finite number"));
    }
    let rows = || log_var.chunks_exact(log_var.len() / out_channels);
    let max: Vec<f32> = rows().map(|row| row.iter().copied().fold(f32::NEG_INFINITY, f32::max)).collect();
    let below = |row: &[f32], max: f32| row.iter().fold(0.0f32, |most, value| most.max(max - value));
    let widest = rows().zip(&max).map(|(row, &max)| below(row, max)).fold(0.0, f32::max);
    let step = widest.min(MAX_LOG_VAR_RANGE) / 255.0;
    let byte = |distance: f32| if step > 0.0 { (distance / step).round().min(255.0) as u8 } else { 0 };
    let bytes =
        rows().zip(&max).flat_map(|(row, &max)| row.iter().map(move |value| byte(max - value))).collect();
    Ok(LogVarBytes { bytes, max, step })
}

/// The noise table of [`stf_bnn::artifact::NoiseKind::Weights`], and what its first entry amounts to.
#[derive(Debug, Clone, PartialEq)]
pub struct NoiseTable {
    /// Multiplier of the integer Gaussian for each byte.
    pub table: Vec<u16>,
    /// Standard deviation of the noise weights of byte 0, in int8 steps.
    pub sigma_steps: f64,
}

/// Chooses each entry so that the variance of the rounded noise weight is that of byte 0 times
/// `exp(-byte * step)`: rounding to int8 adds variance to wide noise and takes all of it from narrow
/// noise, so an entry in plain proportion would be off by more than the test allows.
#[must_use]
pub fn weight_noise_table(step: f32) -> NoiseTable {
    let eps = EpsDistribution::of_the_device();
    let greatest = eps.noise_variance(MAX_TABLE);
    let entry = |byte: i32| {
        let wanted = greatest * (-f64::from(byte) * f64::from(step)).exp();
        eps.matching_table_entry(wanted)
    };
    NoiseTable { table: (0..256).map(entry).collect(), sigma_steps: greatest.sqrt() }
}

/// The variance table of [`stf_bnn::artifact::NoiseKind::Outputs`]: relative variance in 1/65535.
#[must_use]
pub fn output_noise_table(step: f32) -> Vec<u16> {
    (0..256).map(|byte| (65535.0 * (-f64::from(byte) * f64::from(step)).exp()).round() as u16).collect()
}

/// Factor of `x_scale * sigma_max / y_scale` in the noise multiplier of `Outputs`.
#[must_use]
pub fn output_noise_factor() -> f64 {
    1.0 / (65535f64.sqrt() * f64::from(UNIT))
}

/// Distribution of the device's integer Gaussian: `upto[i]` is the probability of a value of at most
/// `i - offset`.
struct EpsDistribution {
    upto: Vec<f64>,
    offset: i64,
}

impl EpsDistribution {
    fn of_the_device() -> Self {
        let offset = i64::from(stf_bnn::random::MAX_EPS);
        let mut upto = vec![0.0; 2 * offset as usize + 1];
        stf_bnn::random::for_each_value(|eps, probability| {
            upto[(i64::from(eps) + offset) as usize] += probability
        });
        let mut sum = 0.0;
        for value in &mut upto {
            sum += *value;
            *value = sum;
        }
        Self { upto, offset }
    }

    fn at_most(&self, eps: i64) -> f64 {
        match usize::try_from(eps + self.offset) {
            Err(_) => 0.0,
            Ok(index) => self.upto[index.min(self.upto.len() - 1)],
        }
    }

    /// Variance of `(entry * eps + 2^22) >> 23`, whose mean is 0 but for ties.
    fn noise_variance(&self, entry: u16) -> f64 {
        if entry == 0 {
            return 0.0;
        }
        // n <= k exactly for eps <= ((k + 1) * 2^23 - 2^22 - 1) / entry, rounded down.
        let last_eps = |k: i64| ((k + 1) * (1 << 23) - (1 << 22) - 1).div_euclid(i64::from(entry));
        let probability = |k: i64| self.at_most(last_eps(k)) - self.at_most(last_eps(k - 1));
        let (mean, square) = (-128..=127i64).fold((0.0, 0.0), |(mean, square), k| {
            let p = probability(k);
            (mean + p * k as f64, square + p * (k * k) as f64)
        });
        square - mean * mean
    }

    fn matching_table_entry(&self, wanted: f64) -> u16 {
        // The variance grows with the entry, so the entry is found by bisection.
        let (mut low, mut high) = (0u16, MAX_TABLE);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.noise_variance(middle) < wanted { low = middle } else { high = middle }
        }
        let error = |entry| (self.noise_variance(entry) - wanted).abs();
        if error(low) < error(high) { low } else { high }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Brute force over every value of the integer Gaussian, by the device's own formula.
    fn variance_by_enumeration(entry: u16) -> f64 {
        let mut moments = (0.0, 0.0);
        stf_bnn::random::for_each_value(|eps, p| {
            let n = f64::from(stf_bnn::random::noise_weight(entry, eps));
            moments = (moments.0 + p * n, moments.1 + p * n * n);
        });
        moments.1 - moments.0 * moments.0
    }

    #[test]
    fn the_variance_from_the_cumulative_distribution_is_the_enumerated_one() {
        let eps = EpsDistribution::of_the_device();
        for entry in [1, 300, 517, 1024, 2048, 9999, MAX_TABLE] {
            let (fast, slow) = (eps.noise_variance(entry), variance_by_enumeration(entry));
            assert!((fast - slow).abs() <= 1e-9 * slow.max(1e-9), "{entry}: {fast} {slow}");
        }
    }

    #[test]
    fn every_entry_has_the_wanted_variance() {
        for step in [0.0, 0.01, MAX_LOG_VAR_RANGE / 255.0] {
            let NoiseTable { table, sigma_steps } = weight_noise_table(step);
            for (byte, &entry) in table.iter().enumerate() {
                let wanted = sigma_steps.powi(2) * (-(byte as f64) * f64::from(step)).exp();
                let got = variance_by_enumeration(entry);
                // The integer Gaussian is itself a grid: deep in its tail, where a weight's variance is
                // below a ten-thousandth of its channel's greatest, entries are coarser.
                let tolerance = if wanted > 1e-4 * sigma_steps.powi(2) { 2e-3 } else { 3e-2 };
                assert!(
                    (got / wanted - 1.0).abs() < tolerance,
                    "byte {byte} step {step}: {got} for {wanted}"
                );
            }
        }
    }

    #[test]
    fn log_variances_come_back_within_half_a_step() {
        let log_var: Vec<f32> = (0..60).map(|i| -3.0 - (i * 7 % 60) as f32 * 0.11).collect();
        let q = quantize_log_var(&log_var, 4).unwrap();
        for (i, &wanted) in log_var.iter().enumerate() {
            let got = q.max[i / 15] - f32::from(q.bytes[i]) * q.step;
            assert!((got - wanted).abs() <= q.step * 0.5001);
        }
    }

    #[test]
    fn negligible_variances_do_not_coarsen_the_others() {
        let q = quantize_log_var(&[-2.0, -3.0, -60.0], 1).unwrap();
        assert!(q.step <= MAX_LOG_VAR_RANGE / 255.0 + 1e-6);
        assert_eq!(q.bytes[2], 255);
        assert!(quantize_log_var(&[f32::NAN], 1).is_err());
    }
}
