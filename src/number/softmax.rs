//! Class probabilities and their entropy.

use super::{exp, ln};

/// Replaces logits by `softmax(logits / temperature)`.
///
/// The greatest is subtracted first: no logits overflow that stay finite when they are divided, as those of a
/// checked model do (at most 2^63, at a temperature of at least 2^-64).
#[cfg_attr(not(feature = "std"), inline(never))]
pub fn softmax(logits: &mut [f32], temperature: f32) {
    logits.iter_mut().for_each(|z| *z /= temperature);
    let greatest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for z in logits.iter_mut() {
        *z = exp(*z - greatest);
        sum += *z;
    }
    logits.iter_mut().for_each(|z| *z /= sum);
}

/// Shannon entropy `-sum(p ln p)` in nats, with `0 ln 0 = 0`.
#[must_use]
#[cfg_attr(not(feature = "std"), inline(never))]
pub fn entropy(probabilities: &[f32]) -> f32 {
    // Subtracting from 0 keeps certain outcomes at +0.
    0.0 - probabilities.iter().filter(|&&p| p > 0.0).map(|&p| p * ln(p)).sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softmax_of_known_logits() {
        let mut p = [0.0, core::f32::consts::LN_2 * 2.0, 1000.0 * f32::MIN_POSITIVE];
        softmax(&mut p, 2.0);
        for (found, expected) in p.iter().zip([0.25, 0.5, 0.25]) {
            assert!((found - expected).abs() < 1e-6, "{p:?}");
        }
        let mut far = [1e30_f32, -1e30, 0.0];
        softmax(&mut far, 0.5);
        assert_eq!(far, [1.0, 0.0, 0.0]);
        let mut least = [2_f32.powi(63), -2_f32.powi(63), 0.0];
        softmax(&mut least, 2_f32.powi(-64));
        assert_eq!(least, [1.0, 0.0, 0.0]);
    }

    #[test]
    fn entropy_in_nats() {
        assert!((entropy(&[0.25; 4]) - 4.0_f32.ln()).abs() < 1e-6);
        assert_eq!(entropy(&[1.0, 0.0]).to_bits(), 0.0_f32.to_bits());
    }

    #[test]
    fn exp_and_ln_are_accurate() {
        for i in -8000..8000 {
            let x = i as f32 / 100.0;
            let exact = f64::from(x).exp();
            assert!((f64::from(exp(x)) / exact - 1.0).abs() < 1e-6, "{x}");
            assert!((f64::from(ln(exact as f32)) - f64::from(exact as f32).ln()).abs() < 1e-5, "{x}");
        }
    }
}
