//! Changes of each value by itself.

use rand_core::Rng;
use std::f64::consts::TAU;

/// Uniform from 0 to below 1.
pub fn uniform(rng: &mut impl Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// Gaussian noise with a standard deviation of `strength * 255` (Box and Muller).
pub fn noise(values: &[f64], strength: f64, rng: &mut impl Rng) -> Vec<f64> {
    let mut gaussian = || (-2.0 * (1.0 - uniform(rng)).ln()).sqrt() * (TAU * uniform(rng)).cos();
    values.iter().map(|value| value + 255.0 * strength * gaussian()).collect()
}

/// Adds `strength * 255`.
pub fn brighten(values: &[f64], strength: f64) -> Vec<f64> {
    values.iter().map(|value| value + 255.0 * strength).collect()
}

/// Multiplies distances from the picture's mean.
pub fn contrast(values: &[f64], factor: f64) -> Vec<f64> {
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    values.iter().map(|value| mean + factor * (value - mean)).collect()
}
