//! ReLU that remembers in one bit a value where its derivative is 1: a sixteenth of a byte where a saved
//! output would take four.

/// Values of one word of bits.
pub const BITS: usize = 16;

/// `y = clamp(y, 0, cap)`; bit `i` of `bits` (16 a word, lowest first) says whether `0 < y[i] < cap`.
///
/// # Panics
/// If `bits` has not `y.len().div_ceil(16)` words: a mistake of the caller, never of its input data.
pub fn relu(y: &mut [f32], cap: f32, bits: &mut [u16]) {
    assert_eq!(bits.len(), y.len().div_ceil(BITS), "a bit for each of {} values", y.len());
    let (words, rest) = y.as_chunks_mut::<BITS>();
    let (full, last) = bits.split_at_mut(words.len());
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx512f") {
        // SAFETY: the feature was detected in the line above.
        unsafe { x86::relu(words, cap, full) };
        return relu_word(rest, cap, last);
    }
    for (word, bits) in words.iter_mut().zip(full) {
        relu_word(word, cap, std::slice::from_mut(bits));
    }
    relu_word(rest, cap, last);
}

/// `d = 0` wherever the bit that [`relu`] left is not set.
///
/// # Panics
/// As [`relu`].
pub fn relu_backward(d: &mut [f32], bits: &[u16]) {
    assert_eq!(bits.len(), d.len().div_ceil(BITS), "a bit for each of {} values", d.len());
    let (words, rest) = d.as_chunks_mut::<BITS>();
    let (full, last) = bits.split_at(words.len());
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx512f") {
        // SAFETY: the feature was detected in the line above.
        unsafe { x86::relu_backward(words, full) };
        return relu_backward_word(rest, last);
    }
    for (word, bits) in words.iter_mut().zip(full) {
        relu_backward_word(word, std::slice::from_ref(bits));
    }
    relu_backward_word(rest, last);
}

/// At most 16 values; no word of bits for none.
fn relu_word(y: &mut [f32], cap: f32, bits: &mut [u16]) {
    let Some(bits) = bits.first_mut() else { return };
    *bits = 0;
    for (lane, y) in y.iter_mut().enumerate() {
        *bits |= u16::from(*y > 0.0 && *y < cap) << lane;
        *y = if *y > 0.0 { y.min(cap) } else { 0.0 };
    }
}

fn relu_backward_word(d: &mut [f32], bits: &[u16]) {
    let Some(bits) = bits.first() else { return };
    for (lane, d) in d.iter_mut().enumerate() {
        *d = if bits >> lane & 1 == 1 { *d } else { 0.0 };
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::BITS;
    use std::arch::x86_64::{
        _CMP_GT_OQ, _CMP_LT_OQ, _mm512_cmp_ps_mask, _mm512_loadu_ps, _mm512_mask_cmp_ps_mask,
        _mm512_maskz_loadu_ps, _mm512_maskz_min_ps, _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_ps,
    };

    /// # Safety
    /// The CPU must have AVX-512F.
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn relu(y: &mut [[f32; BITS]], cap: f32, bits: &mut [u16]) {
        let (zero, cap) = (_mm512_setzero_ps(), _mm512_set1_ps(cap));
        for (y, bits) in y.iter_mut().zip(bits) {
            // SAFETY: an array of 16 floats is read and written.
            unsafe {
                let value = _mm512_loadu_ps(y.as_ptr());
                let above = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(value, zero);
                *bits = _mm512_mask_cmp_ps_mask::<_CMP_LT_OQ>(above, value, cap);
                _mm512_storeu_ps(y.as_mut_ptr(), _mm512_maskz_min_ps(above, value, cap));
            }
        }
    }

    /// # Safety
    /// The CPU must have AVX-512F.
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn relu_backward(d: &mut [[f32; BITS]], bits: &[u16]) {
        for (d, bits) in d.iter_mut().zip(bits) {
            // SAFETY: an array of 16 floats is read and written.
            unsafe { _mm512_storeu_ps(d.as_mut_ptr(), _mm512_maskz_loadu_ps(*bits, d.as_ptr())) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_bits_follow_the_definition_at_every_length() {
        for len in [0usize, 1, 15, 16, 17, 63, 100] {
            let x: Vec<f32> = (0..len).map(|i| (i * 37 % 23) as f32 - 11.0).collect();
            for cap in [6.0, f32::INFINITY] {
                let (mut y, mut bits) = (x.clone(), vec![0; len.div_ceil(BITS)]);
                relu(&mut y, cap, &mut bits);
                let mut d = vec![2.0; len];
                relu_backward(&mut d, &bits);
                for i in 0..len {
                    assert_eq!(y[i], x[i].clamp(0.0, cap), "value {i} of {len}");
                    assert_eq!(d[i], if x[i] > 0.0 && x[i] < cap { 2.0 } else { 0.0 }, "slope {i} of {len}");
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "a bit for each")]
    fn too_few_bits_are_caught() {
        relu(&mut [0.0; 17], 6.0, &mut [0; 1]);
    }
}
