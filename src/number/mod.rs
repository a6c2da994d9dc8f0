//! Numbers that must come out the same on every target: rounding, the one requantization rule, exp,
//! ln, softmax, entropy.

mod requantize;
mod softmax;

pub use requantize::{quantize, requantize, requantize_real, requantize_sum, round_half_even};
pub use softmax::{entropy, softmax};

/// e to the power of `x`, by the same operations on every target.
#[must_use]
#[cfg_attr(not(feature = "std"), inline(never))]
pub fn exp(x: f32) -> f32 {
    libm::expf(x)
}

/// Natural logarithm, by the same operations on every target.
#[must_use]
#[cfg_attr(not(feature = "std"), inline(never))]
pub fn ln(x: f32) -> f32 {
    libm::logf(x)
}

/// Square root, correctly rounded.
#[must_use]
#[inline]
pub fn sqrt(x: f32) -> f32 {
    // The same bits: both round correctly. An instruction that vectorizes where there is one.
    #[cfg(feature = "std")]
    return x.sqrt();
    #[cfg(not(feature = "std"))]
    libm::sqrtf(x)
}
