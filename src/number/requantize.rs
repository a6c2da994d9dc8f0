//! From accumulators to int8: `clamp(round_half_even(f32(acc) * m) + zero_point)`.
//!
//! Each step is one IEEE single operation, rounded by itself: Rust never contracts them.

use crate::artifact::Clamp;

/// 1.5 * 2^23: in `[2^23, 2^24)` an f32 has steps of 1, so that adding it rounds to an integer, half
/// to even, and leaves that integer in the low mantissa bits.
const MAGIC: f32 = 12_582_912.0;

/// The nearest integer, half to even; exact for |x| <= 2^22.
#[must_use]
#[inline(always)]
pub fn round_half_even(x: f32) -> i32 {
    ((x + MAGIC).to_bits() as i32).wrapping_sub(MAGIC.to_bits() as i32)
}

/// `clamp(round_half_even(x) + zero_point)` for any `x`, infinities included.
///
/// The bounds are integers, so that clamping before rounding gives the same.
#[must_use]
#[inline(always)]
pub fn requantize_real(x: f32, zero_point: i8, clamp: Clamp) -> i8 {
    let zero_point = i32::from(zero_point);
    let min = (i32::from(clamp.min) - zero_point) as f32;
    let max = (i32::from(clamp.max) - zero_point) as f32;
    // Not `f32::max`, which has to mind NaN: one instruction each.
    let x = if x > min { x } else { min };
    let x = if x < max { x } else { max };
    (round_half_even(x) + zero_point) as i8
}

/// The one requantization rule, with `multiplier = (x_scale * weight_scale) / y_scale`.
#[must_use]
#[inline(always)]
pub fn requantize(acc: i32, multiplier: f32, zero_point: i8, clamp: Clamp) -> i8 {
    requantize_real(acc as f32 * multiplier, zero_point, clamp)
}

/// The rule for a sum of two accumulators with scales of their own: both products and the sum are
/// rounded one by one. With `acc_b = 0` it is [`requantize`].
#[must_use]
#[inline(always)]
pub fn requantize_sum(
    [acc_a, acc_b]: [i32; 2],
    [multiplier_a, multiplier_b]: [f32; 2],
    zero_point: i8,
    clamp: Clamp,
) -> i8 {
    requantize_real(acc_a as f32 * multiplier_a + acc_b as f32 * multiplier_b, zero_point, clamp)
}

/// A raw input value as int8: `clamp(round_half_even((x - mean) * multiplier) + zero_point)`.
#[must_use]
#[inline(always)]
pub fn quantize(x: f32, mean: f32, multiplier: f32, zero_point: i8) -> i8 {
    requantize_real((x - mean) * multiplier, zero_point, Clamp { min: i8::MIN, max: i8::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: Clamp = Clamp { min: -128, max: 127 };

    #[test]
    fn rounds_half_to_even() {
        for quarter in -40_000..40_000 {
            let x = quarter as f32 / 4.0;
            assert_eq!(round_half_even(x), x.round_ties_even() as i32, "{x}");
        }
        for x in [4_194_303.5_f32, -4_194_303.5, 4_194_304.0, -4_194_304.0, 0.499_999_97, -0.499_999_97] {
            assert_eq!(round_half_even(x), x.round_ties_even() as i32, "{x}");
        }
    }

    #[test]
    fn equals_the_formula_in_f64() {
        let mut state = 1_u64;
        for _ in 0..200_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let acc = (state >> 32) as i32 >> (state & 31);
            let m = f32::from_bits(0x3000_0000 + ((state >> 8) as u32 & 0x0fff_ffff));
            let zero_point = (state >> 40) as i8;
            let product = acc as f32 * m;
            let q = f64::from(product.round_ties_even()) + f64::from(zero_point);
            assert_eq!(f64::from(requantize(acc, m, zero_point, FULL)), q.clamp(-128.0, 127.0), "{acc} {m}");
            assert_eq!(
                requantize_sum([acc, 0], [m, 3.0], zero_point, FULL),
                requantize(acc, m, zero_point, FULL)
            );
        }
    }

    #[test]
    fn extremes_saturate() {
        let clamp = Clamp { min: -3, max: 90 };
        for zero_point in [-128, 0, 127] {
            assert_eq!(requantize_real(f32::INFINITY, zero_point, clamp), 90);
            assert_eq!(requantize_real(f32::NEG_INFINITY, zero_point, clamp), -3);
            assert_eq!(requantize(i32::MAX, 1.0, zero_point, clamp), 90);
            assert_eq!(requantize(i32::MIN, 1.0, zero_point, clamp), -3);
        }
        assert_eq!(requantize(0, 1.0, -100, clamp), -3);
    }
}
