//! 512-bit vectors with VNNI.

use super::conv::{self, Job};
use super::draw;
use super::simd::{FLIP, Rounding, Simd};
use crate::kernels::{NoiseDraw, Noisy, OutputDraw};
use core::arch::x86_64::*;

/// Proof of AVX-512 F, BW, VL, CD and VNNI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Zmm(());

impl Zmm {
    /// # Safety
    /// The CPU has AVX-512 F, BW, VL, CD and VNNI.
    pub(super) unsafe fn new() -> Self {
        Self(())
    }
}

/// `round_half_even(f32(acc) * m)`, with the upper bound only: pack instructions saturate below.
///
/// # Safety
/// The CPU has AVX-512 F, and 16 f32 can be read at `m`.
#[inline(always)]
unsafe fn rounded(acc: __m512i, m: *const f32, max: __m512) -> __m512i {
    // SAFETY: the caller's promises.
    unsafe {
        let real = _mm512_mul_ps(_mm512_cvtepi32_ps(acc), _mm512_loadu_ps(m));
        _mm512_cvtps_epi32(_mm512_min_ps(real, max))
    }
}

/// `clamp(round_half_even(real) + zero_point)`.
///
/// # Safety
/// The CPU has AVX-512 F.
#[inline(always)]
unsafe fn bytes(real: __m512, rounding: Rounding) -> __m128i {
    let [min, max] = rounding.bounds();
    // SAFETY: the caller's promise.
    unsafe {
        let real = _mm512_min_ps(_mm512_max_ps(real, _mm512_set1_ps(min)), _mm512_set1_ps(max));
        let zero_point = _mm512_set1_epi32(rounding.zero_point.into());
        _mm512_cvtepi32_epi8(_mm512_add_epi32(_mm512_cvtps_epi32(real), zero_point))
    }
}

/// `f32(sums) * m` of some lanes, 0 in the others.
///
/// # Safety
/// The CPU has AVX-512 F, and these lanes can be read at `sums` and `m`.
#[inline(always)]
unsafe fn products(sums: *const i32, m: *const f32, lanes: __mmask16) -> __m512 {
    // SAFETY: the caller's promises.
    unsafe {
        let real = _mm512_cvtepi32_ps(_mm512_maskz_loadu_epi32(lanes, sums));
        _mm512_mul_ps(real, _mm512_maskz_loadu_ps(lanes, m))
    }
}

/// The first `n` of 16 lanes, or all.
#[inline(always)]
const fn first16(n: usize) -> __mmask16 {
    if n >= 16 { !0 } else { (1 << n) - 1 }
}

/// Two vectors as i16 with the zero point added, each 128-bit lane by itself.
///
/// # Safety
/// The CPU has AVX-512 BW, and 32 f32 can be read at `m`.
#[inline(always)]
unsafe fn pair(low: __m512i, high: __m512i, m: *const f32, max: __m512, zero_point: i8) -> __m512i {
    // SAFETY: the caller's promises.
    unsafe {
        let packed = _mm512_packs_epi32(rounded(low, m, max), rounded(high, m.add(16), max));
        _mm512_adds_epi16(packed, _mm512_set1_epi16(zero_point.into()))
    }
}

impl Simd for Zmm {
    const LANES: usize = 16;
    const WEIGHTS: usize = 64;
    const MAX_VECTORS: usize = 4;

    type I = __m512i;
    type X = __m512i;
    type W = __m512i;

    #[inline(always)]
    fn put(to: &mut [u8], lane: usize, weights: [i8; 4]) {
        to[4 * lane..4 * lane + 4].copy_from_slice(&weights.map(|w| w as u8));
    }

    #[inline(always)]
    unsafe fn load(self, from: *const i32) -> __m512i {
        // SAFETY: `self` proves the features; the memory is the caller's promise.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store(self, value: __m512i, to: *mut i32) {
        // SAFETY: `self` proves the features; the memory is the caller's promise.
        unsafe { _mm512_storeu_si512(to.cast(), value) }
    }

    #[inline(always)]
    unsafe fn weights(self, from: *const u8) -> __m512i {
        // SAFETY: `self` proves the features; the memory is the caller's promise.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    fn flip(self) -> __m512i {
        // SAFETY: 64 bytes of a static; see `FLIP`.
        unsafe { FLIP.0.as_ptr().cast::<__m512i>().read_volatile() }
    }

    #[inline(always)]
    unsafe fn broadcast<const FLIP: bool>(self, from: *const u8, flip: __m512i) -> __m512i {
        // SAFETY: `self` proves the features; the memory is the caller's promise.
        unsafe {
            let four = _mm512_set1_epi32(from.cast::<i32>().read_unaligned());
            if FLIP { _mm512_xor_si512(four, flip) } else { four }
        }
    }

    #[inline(always)]
    unsafe fn interleave(self, from: [*const u8; 4]) -> [__m512i; 4] {
        // SAFETY: `self` proves the features; the memory is the caller's promise.
        unsafe {
            let a = _mm512_loadu_si512(from[0].cast());
            let b = _mm512_loadu_si512(from[1].cast());
            let c = _mm512_loadu_si512(from[2].cast());
            let d = _mm512_loadu_si512(from[3].cast());
            let (ab_lo, ab_hi) = (_mm512_unpacklo_epi8(a, b), _mm512_unpackhi_epi8(a, b));
            let (cd_lo, cd_hi) = (_mm512_unpacklo_epi8(c, d), _mm512_unpackhi_epi8(c, d));
            [
                _mm512_unpacklo_epi16(ab_lo, cd_lo),
                _mm512_unpackhi_epi16(ab_lo, cd_lo),
                _mm512_unpacklo_epi16(ab_hi, cd_hi),
                _mm512_unpackhi_epi16(ab_hi, cd_hi),
            ]
        }
    }

    #[inline(always)]
    unsafe fn add_bytes(self, acc: [__m512i; 4], from: [*const u8; 4]) -> [__m512i; 4] {
        // SAFETY: `self` proves the features; the memory is the caller's promise.
        unsafe {
            let [a, b, c, d] = self.interleave(from);
            let ones = _mm512_set1_epi8(1);
            [
                _mm512_dpbusd_epi32(acc[0], ones, a),
                _mm512_dpbusd_epi32(acc[1], ones, b),
                _mm512_dpbusd_epi32(acc[2], ones, c),
                _mm512_dpbusd_epi32(acc[3], ones, d),
            ]
        }
    }

    #[inline(always)]
    fn dot(self, acc: __m512i, x: __m512i, w: __m512i) -> __m512i {
        // SAFETY: `self` proves the features.
        unsafe { _mm512_dpbusd_epi32(acc, x, w) }
    }

    #[inline(always)]
    fn add(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: `self` proves the features.
        unsafe { _mm512_add_epi32(a, b) }
    }

    #[inline(always)]
    fn zero(self) -> __m512i {
        // SAFETY: `self` proves the features.
        unsafe { _mm512_setzero_si512() }
    }

    fn draw(self, draw: &NoiseDraw<'_>, noise: &mut [i8]) {
        draw::draw(self, draw, noise);
    }

    fn draw_outputs(self, draw: &OutputDraw<'_>, eps: &mut [i16]) {
        draw::draw_outputs(self, draw, eps);
    }

    unsafe fn rows(self, job: &mut Job<'_, '_, '_>) {
        #[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
        unsafe fn compiled(s: Zmm, job: &mut Job<'_, '_, '_>) {
            // SAFETY: the caller's promises.
            unsafe { conv::dispatch(s, job) }
        }
        // SAFETY: `self` proves the features; the rest is the caller's promise.
        unsafe { compiled(self, job) }
    }

    #[inline(always)]
    fn combine(
        self,
        to: &mut Noisy<'_>,
        index: usize,
        [mean, noise]: [&[i32]; 2],
        [m, m_noise]: [&[f32]; 2],
    ) {
        let run = noise.len();
        let (mean, m, m_noise) = (&mean[..run], &m[..run], &m_noise[..run]);
        let rounding = Rounding { zero_point: to.zero_point, clamp: to.clamp };
        let (this, twin) = (&mut to.this[index..index + run], to.twin.get_mut(index..index + run));
        let twin = twin.unwrap_or_default();
        for at in (0..run).step_by(16) {
            let lanes = first16(run - at);
            // SAFETY: `self` proves the features; the mask keeps loads and stores within `run` values from
            // `at`, which all four slices have, and `this`, and `twin` if it has any.
            unsafe {
                let mean = products(mean.as_ptr().add(at), m.as_ptr().add(at), lanes);
                let noise = products(noise.as_ptr().add(at), m_noise.as_ptr().add(at), lanes);
                let with = bytes(_mm512_add_ps(mean, noise), rounding);
                let without = bytes(_mm512_sub_ps(mean, noise), rounding);
                let [first, second] = if to.negate { [without, with] } else { [with, without] };
                _mm_mask_storeu_epi8(this.as_mut_ptr().add(at), lanes, first);
                if !twin.is_empty() {
                    _mm_mask_storeu_epi8(twin.as_mut_ptr().add(at), lanes, second);
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn requantize<const C: usize>(
        self,
        acc: [__m512i; C],
        multiplier: *const f32,
        rounding: Rounding,
        to: *mut i8,
        n: usize,
    ) {
        let [_, max] = rounding.bounds();
        // SAFETY: `self` proves the features; the memory is the caller's promise, and the masks keep
        // stores within `n` values.
        unsafe {
            let max = _mm512_set1_ps(max);
            let zero_point = rounding.zero_point;
            if C == 4 {
                let bytes = _mm512_packs_epi16(
                    pair(acc[0], acc[1], multiplier, max, zero_point),
                    pair(acc[2], acc[3], multiplier.add(32), max, zero_point),
                );
                let bytes = _mm512_max_epi8(bytes, _mm512_set1_epi8(rounding.clamp.min));
                if n >= 64 {
                    _mm512_storeu_si512(to.cast(), bytes);
                } else {
                    _mm512_mask_storeu_epi8(to, (1 << n) - 1, bytes);
                }
            } else if C == 2 {
                let bytes = _mm512_cvtsepi16_epi8(pair(acc[0], acc[1], multiplier, max, zero_point));
                let bytes = _mm256_max_epi8(bytes, _mm256_set1_epi8(rounding.clamp.min));
                if n >= 32 {
                    _mm256_storeu_si256(to.cast(), bytes);
                } else {
                    _mm256_mask_storeu_epi8(to, (1 << n) - 1, bytes);
                }
            } else {
                let real = _mm512_mul_ps(_mm512_cvtepi32_ps(acc[0]), _mm512_loadu_ps(multiplier));
                let bytes = bytes(real, rounding);
                if n >= 16 {
                    _mm_storeu_si128(to.cast(), bytes);
                } else {
                    _mm_mask_storeu_epi8(to, first16(n), bytes);
                }
            }
        }
    }
}
