//! AVX-512 and AVX2: 16 or 8 channels of a window at a time; what a vector has too many is masked off.

use super::{Number, Windows};
use std::arch::is_x86_feature_detected;
use std::arch::x86_64::{
    __m256i, __mmask16, _CMP_GT_OQ, _mm_loadl_epi64, _mm_mask_storeu_epi8, _mm_maskz_loadu_epi8,
    _mm256_add_ps, _mm256_and_ps, _mm256_blendv_epi8, _mm256_blendv_ps, _mm256_castps_si256,
    _mm256_castsi256_ps, _mm256_cmp_ps, _mm256_cmpeq_epi32, _mm256_cvtepu8_epi32, _mm256_loadu_ps,
    _mm256_set1_epi32, _mm256_set1_ps, _mm256_storeu_ps, _mm256_storeu_si256, _mm512_add_ps,
    _mm512_cmp_ps_mask, _mm512_cmpeq_epi32_mask, _mm512_cvtepi32_epi8, _mm512_cvtepu8_epi32,
    _mm512_mask_mov_epi32, _mm512_mask_mov_ps, _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps,
    _mm512_maskz_mov_ps, _mm512_set1_epi32, _mm512_set1_ps,
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
fn load8(values: &[f32]) -> std::arch::x86_64::__m256 {
    let mut lanes = [0.0; 8];
    match values.first_chunk::<8>() {
        Some(whole) => lanes = *whole,
        None => lanes[..values.len()].copy_from_slice(values),
    }
    // SAFETY: an array of 8 floats is read.
    unsafe { _mm256_loadu_ps(lanes.as_ptr()) }
}

/// As many lanes as `to` has, at most 8.
#[inline]
#[target_feature(enable = "avx2")]
fn store8(lanes: std::arch::x86_64::__m256, to: &mut [f32]) {
    let mut values = [0.0; 8];
    // SAFETY: an array of 8 floats is written.
    unsafe { _mm256_storeu_ps(values.as_mut_ptr(), lanes) };
    let len = to.len().min(8);
    to[..len].copy_from_slice(&values[..len]);
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
            let mut numbers = [0i32; 8];
            // SAFETY: an array of 8 numbers is written.
            unsafe { _mm256_storeu_si256(numbers.as_mut_ptr().cast::<__m256i>(), number) };
            for (winner, number) in winner[to..][..lanes].iter_mut().zip(numbers) {
                *winner = number as u8;
            }
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
            let mut numbers = [u8::NONE; 8];
            numbers[..lanes].copy_from_slice(&winner[from..][..lanes]);
            // SAFETY: an array of 8 bytes is read.
            let number = _mm256_cvtepu8_epi32(unsafe { _mm_loadl_epi64(numbers.as_ptr().cast()) });
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
