//! AVX-512 and AVX2: 16 or 8 channels of a window at a time; what a vector has too many is masked off.

use super::{Number, Windows};
use std::arch::is_x86_feature_detected;
use std::arch::x86_64::{
    __m128i, __m256, __m256i, __mmask16, _CMP_GT_OQ, _mm_castps_pd, _mm_cvtsi64_si128, _mm_cvtsi128_si32,
    _mm_mask_storeu_epi8, _mm_maskz_loadu_epi8, _mm_movehl_ps, _mm_store_sd, _mm_store_ss, _mm_storeu_ps,
    _mm256_add_ps, _mm256_and_ps, _mm256_blendv_epi8, _mm256_blendv_ps, _mm256_castps_si256,
    _mm256_castps256_ps128, _mm256_castsi256_ps, _mm256_castsi256_si128, _mm256_cmp_ps, _mm256_cmpeq_epi32,
    _mm256_cvtepu8_epi32, _mm256_extractf128_ps, _mm256_extracti128_si256, _mm256_loadu_ps,
    _mm256_loadu_si256, _mm256_maskload_ps, _mm256_set1_epi32, _mm256_set1_ps, _mm256_shuffle_epi8,
    _mm256_storeu_ps, _mm512_add_ps, _mm512_cmp_ps_mask, _mm512_cmpeq_epi32_mask, _mm512_cvtepi32_epi8,
    _mm512_cvtepu8_epi32, _mm512_mask_mov_epi32, _mm512_mask_mov_ps, _mm512_mask_storeu_ps,
    _mm512_maskz_loadu_ps, _mm512_maskz_mov_ps, _mm512_set1_epi32, _mm512_set1_ps,
};

/// Whether this machine runs [`forward_avx512`] and [`backward_avx512`].
pub(super) fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
}

/// Whether this machine runs [`forward_avx2`] and [`backward_avx2`].
pub(super) fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2")
}

/// Channels from `first`: how many of a vector of 16 there are, as a mask.
const fn lanes16(channels: usize, first: usize) -> __mmask16 {
    let left = channels - first;
    if left >= 16 { !0 } else { (1 << left) - 1 }
}

/// # Safety
/// The CPU must be one that [`has_avx512`] accepts, `x` must hold the windows' reach, `y` and `winner` their
/// outputs.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(super) unsafe fn forward_avx512(
    windows: &Windows<'_>,
    start: f32,
    x: &[f32],
    y: &mut [f32],
    winner: &mut [u8],
) {
    let Windows { taps, count, step, channels } = *windows;
    for first in (0..channels).step_by(16) {
        let mask = lanes16(channels, first);
        for window in 0..count {
            let (from, to) = (window * step + first, window * channels + first);
            let mut best = _mm512_set1_ps(start);
            let mut number = _mm512_set1_epi32(i32::from(u8::NONE));
            for tap in taps {
                // SAFETY: the lanes of the mask are channels of a tap, which lie within the reach.
                let value = unsafe { _mm512_maskz_loadu_ps(mask, x.as_ptr().add(from + tap.at)) };
                let better = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(value, best);
                best = _mm512_mask_mov_ps(best, better, value);
                number = _mm512_mask_mov_epi32(number, better, _mm512_set1_epi32(tap.number as i32));
            }
            let number = _mm512_cvtepi32_epi8(number);
            // SAFETY: the lanes of the mask are channels of one of the outputs.
            unsafe {
                _mm512_mask_storeu_ps(y.as_mut_ptr().add(to), mask, best);
                _mm_mask_storeu_epi8(winner.as_mut_ptr().add(to).cast(), mask, number);
            }
        }
    }
}

/// # Safety
/// As [`forward_avx512`], with `dx` for `x` and `dy` for `y`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(super) unsafe fn backward_avx512(
    windows: &Windows<'_>,
    dy: &[f32],
    winner: &[u8],
    dx: &mut [f32],
    accumulate: bool,
) {
    let Windows { taps, count, step, channels } = *windows;
    for first in (0..channels).step_by(16) {
        let mask = lanes16(channels, first);
        for window in 0..count {
            let (to, from) = (window * step + first, window * channels + first);
            // SAFETY: the lanes of the mask are channels of one of the outputs.
            let (slope, number) = unsafe {
                let number = _mm_maskz_loadu_epi8(mask, winner.as_ptr().add(from).cast());
                (_mm512_maskz_loadu_ps(mask, dy.as_ptr().add(from)), _mm512_cvtepu8_epi32(number))
            };
            for tap in taps {
                let wins = _mm512_cmpeq_epi32_mask(number, _mm512_set1_epi32(tap.number as i32));
                let mut share = _mm512_maskz_mov_ps(wins, slope);
                // SAFETY: the lanes of the mask are channels of a tap, which lie within the reach.
                unsafe {
                    let to = dx.as_mut_ptr().add(to + tap.at);
                    if accumulate {
                        share = _mm512_add_ps(_mm512_maskz_loadu_ps(mask, to), share);
                    }
                    _mm512_mask_storeu_ps(to, mask, share);
                }
            }
        }
    }
}

/// Up to 8 floats; zeros behind them.
#[inline]
#[target_feature(enable = "avx2")]
fn load8(values: &[f32]) -> __m256 {
    /// Eight lanes from index `8 - n` on: the first `n` are there.
    const MASKS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
    if let Some(values) = values.first_chunk::<8>() {
        // SAFETY: an array of 8 floats is read.
        return unsafe { _mm256_loadu_ps(values.as_ptr()) };
    }
    let mask = &MASKS[8 - values.len()..][..8];
    // SAFETY: 8 numbers of the table are read, and of `values` the lanes of the mask: all that it has.
    unsafe { _mm256_maskload_ps(values.as_ptr(), _mm256_loadu_si256(mask.as_ptr().cast())) }
}

/// As many lanes as `to` has, at most 8: four, two and one, since masked stores are slow on some CPUs.
#[inline]
#[target_feature(enable = "avx2")]
fn store8(lanes: __m256, to: &mut [f32]) {
    if let Some(to) = to.first_chunk_mut::<8>() {
        // SAFETY: an array of 8 floats is written.
        return unsafe { _mm256_storeu_ps(to.as_mut_ptr(), lanes) };
    }
    let mut rest = _mm256_castps256_ps128(lanes);
    let (fours, to) = to.as_chunks_mut::<4>();
    if let [four] = fours {
        // SAFETY: an array of 4 floats is written.
        unsafe { _mm_storeu_ps(four.as_mut_ptr(), rest) };
        rest = _mm256_extractf128_ps::<1>(lanes);
    }
    let (twos, to) = to.as_chunks_mut::<2>();
    if let [two] = twos {
        // SAFETY: an array of 2 floats is written, which `movlps` does not want aligned.
        unsafe { _mm_store_sd(two.as_mut_ptr().cast(), _mm_castps_pd(rest)) };
        rest = _mm_movehl_ps(rest, rest);
    }
    if let [one] = to {
        // SAFETY: one float is written.
        unsafe { _mm_store_ss(one, rest) };
    }
}

/// The low bytes of 8 numbers, the first one lowest.
#[inline]
#[target_feature(enable = "avx2")]
fn low_bytes(numbers: __m256i) -> u64 {
    let lowest = _mm256_set1_epi32(0x0c08_0400);
    let bytes = _mm256_shuffle_epi8(numbers, lowest);
    let half = |half: __m128i| u64::from(_mm_cvtsi128_si32(half) as u32);
    half(_mm256_castsi256_si128(bytes)) | half(_mm256_extracti128_si256::<1>(bytes)) << 32
}

/// Up to 8 bytes as one number, the first one lowest; [`Number::NONE`] behind them.
#[inline(always)]
fn read_bytes(bytes: &[u8]) -> u64 {
    match bytes.first_chunk::<8>() {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => bytes.iter().rev().fold(u64::MAX, |number, byte| number << 8 | u64::from(*byte)),
    }
}

/// The inverse of [`read_bytes`].
#[inline(always)]
fn write_bytes(number: u64, bytes: &mut [u8]) {
    match bytes.first_chunk_mut::<8>() {
        Some(bytes) => *bytes = number.to_le_bytes(),
        None => bytes.iter_mut().zip(number.to_le_bytes()).for_each(|(byte, value)| *byte = value),
    }
}

/// # Safety
/// The CPU must have AVX2.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn forward_avx2(
    windows: &Windows<'_>,
    start: f32,
    x: &[f32],
    y: &mut [f32],
    winner: &mut [u8],
) {
    let Windows { taps, count, step, channels } = *windows;
    for first in (0..channels).step_by(8) {
        let lanes = (channels - first).min(8);
        for window in 0..count {
            let (from, to) = (window * step + first, window * channels + first);
            let mut best = _mm256_set1_ps(start);
            let mut number = _mm256_set1_epi32(i32::from(u8::NONE));
            for tap in taps {
                let value = load8(&x[from + tap.at..][..lanes]);
                let better = _mm256_cmp_ps::<_CMP_GT_OQ>(value, best);
                best = _mm256_blendv_ps(best, value, better);
                let tap = _mm256_set1_epi32(tap.number as i32);
                number = _mm256_blendv_epi8(number, tap, _mm256_castps_si256(better));
            }
            store8(best, &mut y[to..][..lanes]);
            write_bytes(low_bytes(number), &mut winner[to..][..lanes]);
        }
    }
}

/// # Safety
/// The CPU must have AVX2.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn backward_avx2(
    windows: &Windows<'_>,
    dy: &[f32],
    winner: &[u8],
    dx: &mut [f32],
    accumulate: bool,
) {
    let Windows { taps, count, step, channels } = *windows;
    for first in (0..channels).step_by(8) {
        let lanes = (channels - first).min(8);
        for window in 0..count {
            let (to, from) = (window * step + first, window * channels + first);
            let slope = load8(&dy[from..][..lanes]);
            let numbers = _mm_cvtsi64_si128(read_bytes(&winner[from..][..lanes]) as i64);
            let number = _mm256_cvtepu8_epi32(numbers);
            for tap in taps {
                let wins = _mm256_cmpeq_epi32(number, _mm256_set1_epi32(tap.number as i32));
                let mut share = _mm256_and_ps(slope, _mm256_castsi256_ps(wins));
                let to = &mut dx[to + tap.at..][..lanes];
                if accumulate {
                    share = _mm256_add_ps(load8(to), share);
                }
                store8(share, to);
            }
        }
    }
}
