//! Numbers that must come out the same on every target: rounding, the one requantization rule, exp,
//! ln, softmax, entropy.

mod requantize;
mod softmax;

pub use requantize::{quantize, requantize, requantize_real, requantize_sum, round_half_even};
pub use softmax::{entropy, softmax};

/// e to the power of `x`, by the same operations on every target.
#[must_use]
pub fn exp(x: f32) -> f32 {
    libm::expf(x)
}

/// Natural logarithm, by the same operations on every target.
#[must_use]
pub fn ln(x: f32) -> f32 {
    libm::logf(x)
}

/// Square root, correctly rounded.
#[must_use]
pub fn sqrt(x: f32) -> f32 {
    libm::sqrtf(x)
}
