//! 256-bit vectors, with VNNI and without.

use super::conv::{self, Job};
use super::simd::{FLIP, Rounding, Simd};
use core::arch::x86_64::*;

/// Proof of AVX2 and AVX-VNNI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ymm(());

/// Proof of AVX2; products by `vpmaddwd`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Maddwd(());

impl Ymm {
    /// # Safety
    /// The CPU has AVX2 and AVX-VNNI.
    pub(super) unsafe fn new() -> Self {
        Self(())
    }
}

impl Maddwd {
    /// # Safety
    /// The CPU has AVX2.
    pub(super) unsafe fn new() -> Self {
        Self(())
    }
}

/// The channels of four places, interleaved; see [`Simd::interleave`].
///
/// # Safety
/// The CPU has AVX2, and 32 bytes can be read at each of `from`.
#[inline(always)]
unsafe fn interleave(from: [*const u8; 4]) -> [__m256i; 4] {
    // SAFETY: the caller's promises.
    unsafe {
        let a = _mm256_loadu_si256(from[0].cast());
        let b = _mm256_loadu_si256(from[1].cast());
        let c = _mm256_loadu_si256(from[2].cast());
        let d = _mm256_loadu_si256(from[3].cast());
        let (ab_lo, ab_hi) = (_mm256_unpacklo_epi8(a, b), _mm256_unpackhi_epi8(a, b));
        let (cd_lo, cd_hi) = (_mm256_unpacklo_epi8(c, d), _mm256_unpackhi_epi8(c, d));
        [
            _mm256_unpacklo_epi16(ab_lo, cd_lo),
            _mm256_unpackhi_epi16(ab_lo, cd_lo),
            _mm256_unpacklo_epi16(ab_hi, cd_hi),
            _mm256_unpackhi_epi16(ab_hi, cd_hi),
        ]
    }
}

/// # Safety
/// The CPU has AVX2, and 4 bytes can be read at `from`.
#[inline(always)]
unsafe fn broadcast<const FLIP: bool>(from: *const u8, flip: __m256i) -> __m256i {
    // SAFETY: the caller's promises.
    unsafe {
        let four = _mm256_set1_epi32(from.cast::<i32>().read_unaligned());
        if FLIP { _mm256_xor_si256(four, flip) } else { four }
    }
}

/// -128 in every byte.
#[inline(always)]
fn flip() -> __m256i {
    // SAFETY: 32 bytes of a static; see `FLIP`.
    unsafe { FLIP.0.as_ptr().cast::<__m256i>().read_volatile() }
}

/// Two vectors as i16 with the zero point added, each 128-bit lane by itself. Of the bounds only the
/// upper one is applied: pack instructions saturate below.
///
/// # Safety
/// The CPU has AVX2, and 8 f32 can be read at each of `m`.
#[inline(always)]
unsafe fn pair(low: __m256i, high: __m256i, m: [*const f32; 2], max: __m256, zero_point: i8) -> __m256i {
    // SAFETY: the caller's promises.
    unsafe {
        let low = _mm256_mul_ps(_mm256_cvtepi32_ps(low), _mm256_loadu_ps(m[0]));
        let high = _mm256_mul_ps(_mm256_cvtepi32_ps(high), _mm256_loadu_ps(m[1]));
        let low = _mm256_cvtps_epi32(_mm256_min_ps(low, max));
        let high = _mm256_cvtps_epi32(_mm256_min_ps(high, max));
        _mm256_adds_epi16(_mm256_packs_epi32(low, high), _mm256_set1_epi16(zero_point.into()))
    }
}

/// See [`Simd::requantize`].
///
/// # Safety
/// The CPU has AVX2; the memory as there.
#[inline(always)]
unsafe fn requantize<const C: usize>(
    acc: [__m256i; C],
    multiplier: *const f32,
    rounding: Rounding,
    to: *mut i8,
    n: usize,
) {
    let [_, max] = rounding.bounds();
    // SAFETY: the caller's promises; a short run goes through a buffer.
    unsafe {
        let max = _mm256_set1_ps(max);
        let zero_point = rounding.zero_point;
        let low = pair(acc[0], acc[1 % C], [multiplier, multiplier.add(8 * (1 % C))], max, zero_point);
        let high = if C == 4 {
            pair(acc[2 % C], acc[3 % C], [multiplier.add(16), multiplier.add(24)], max, zero_point)
        } else {
            low
        };
        let bytes = _mm256_packs_epi16(low, high);
        let bytes = _mm256_max_epi8(bytes, _mm256_set1_epi8(rounding.clamp.min));
        // Where a half holds less than 16 values, bring both halves' together.
        let bytes = match C {
            4 => bytes,
            2 => _mm256_permute4x64_epi64(bytes, 0b00_00_10_00),
            _ => _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 0, 0, 0, 0, 0, 0)),
        };
        if n == 32 {
            _mm256_storeu_si256(to.cast(), bytes);
        } else if n == 16 {
            _mm_storeu_si128(to.cast(), _mm256_castsi256_si128(bytes));
        } else if n == 8 {
            _mm_storeu_si64(to.cast(), _mm256_castsi256_si128(bytes));
        } else {
            let mut buffer = [0_i8; 32];
            _mm256_storeu_si256(buffer.as_mut_ptr().cast(), bytes);
            to.copy_from_nonoverlapping(buffer.as_ptr(), n.min(32));
        }
    }
}

/// `acc` plus the sum of each lane's four int8.
///
/// # Safety
/// The CPU has AVX2.
#[inline(always)]
unsafe fn add_four(acc: __m256i, x: __m256i) -> __m256i {
    // SAFETY: the caller's promise. Two int8 never saturate an i16.
    unsafe {
        let pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), x);
        _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
    }
}

/// What both have in common.
macro_rules! common {
    () => {
        const LANES: usize = 8;
        const MAX_VECTORS: usize = 2;

        type I = __m256i;

        #[inline(always)]
        unsafe fn load(self, from: *const i32) -> __m256i {
            // SAFETY: `self` proves AVX2; the memory is the caller's promise.
            unsafe { _mm256_loadu_si256(from.cast()) }
        }

        #[inline(always)]
        unsafe fn store(self, value: __m256i, to: *mut i32) {
            // SAFETY: `self` proves AVX2; the memory is the caller's promise.
            unsafe { _mm256_storeu_si256(to.cast(), value) }
        }

        #[inline(always)]
        unsafe fn add_bytes(self, acc: [__m256i; 4], from: [*const u8; 4]) -> [__m256i; 4] {
            // SAFETY: `self` proves AVX2; the memory is the caller's promise.
            unsafe {
                let [a, b, c, d] = interleave(from);
                [add_four(acc[0], a), add_four(acc[1], b), add_four(acc[2], c), add_four(acc[3], d)]
            }
        }

        #[inline(always)]
        fn add(self, a: __m256i, b: __m256i) -> __m256i {
            // SAFETY: `self` proves AVX2.
            unsafe { _mm256_add_epi32(a, b) }
        }

        #[inline(always)]
        fn zero(self) -> __m256i {
            // SAFETY: `self` proves AVX2.
            unsafe { _mm256_setzero_si256() }
        }

        #[inline(always)]
        unsafe fn requantize<const C: usize>(
            self,
            acc: [__m256i; C],
            multiplier: *const f32,
            rounding: Rounding,
            to: *mut i8,
            n: usize,
        ) {
            // SAFETY: `self` proves AVX2; the memory is the caller's promise.
            unsafe { requantize(acc, multiplier, rounding, to, n) }
        }
    };
}

impl Simd for Ymm {
    common!();
    const WEIGHTS: usize = 32;
    type X = __m256i;
    type W = __m256i;

    unsafe fn rows(self, job: &mut Job<'_, '_, '_>) {
        #[target_feature(enable = "avx2,avxvnni")]
        unsafe fn compiled(s: Ymm, job: &mut Job<'_, '_, '_>) {
            // SAFETY: the caller's promises.
            unsafe { conv::dispatch(s, job) }
        }
        // SAFETY: `self` proves the features; the rest is the caller's promise.
        unsafe { compiled(self, job) }
    }

    #[inline(always)]
    fn put(to: &mut [u8], lane: usize, weights: [i8; 4]) {
        to[4 * lane..4 * lane + 4].copy_from_slice(&weights.map(|w| w as u8));
    }

    #[inline(always)]
    unsafe fn weights(self, from: *const u8) -> __m256i {
        // SAFETY: `self` proves AVX2; the memory is the caller's promise.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    #[inline(always)]
    fn flip(self) -> __m256i {
        flip()
    }

    #[inline(always)]
    unsafe fn broadcast<const FLIP: bool>(self, from: *const u8, flip: __m256i) -> __m256i {
        // SAFETY: `self` proves AVX2; the memory is the caller's promise.
        unsafe { broadcast::<FLIP>(from, flip) }
    }

    #[inline(always)]
    unsafe fn interleave(self, from: [*const u8; 4]) -> [__m256i; 4] {
        // SAFETY: `self` proves AVX2; the memory is the caller's promise.
        unsafe { interleave(from) }
    }

    #[inline(always)]
    fn dot(self, acc: __m256i, x: __m256i, w: __m256i) -> __m256i {
        // SAFETY: `self` proves AVX-VNNI.
        unsafe { _mm256_dpbusd_avx_epi32(acc, x, w) }
    }
}

/// Activations 0 and 2 of each four as u16, and 1 and 3.
#[inline(always)]
fn halves(x: __m256i) -> [__m256i; 2] {
    // SAFETY: called with a `Maddwd` at hand only, which proves AVX2.
    unsafe { [_mm256_and_si256(x, _mm256_set1_epi16(0xff)), _mm256_srli_epi16(x, 8)] }
}

impl Simd for Maddwd {
    common!();
    const WEIGHTS: usize = 64;
    type X = [__m256i; 2];
    type W = [__m256i; 2];

    unsafe fn rows(self, job: &mut Job<'_, '_, '_>) {
        #[target_feature(enable = "avx2")]
        unsafe fn compiled(s: Maddwd, job: &mut Job<'_, '_, '_>) {
            // SAFETY: the caller's promises.
            unsafe { conv::dispatch(s, job) }
        }
        // SAFETY: `self` proves the features; the rest is the caller's promise.
        unsafe { compiled(self, job) }
    }

    /// As i16: weights 0 and 2 of every lane, then 1 and 3.
    #[inline(always)]
    fn put(to: &mut [u8], lane: usize, weights: [i8; 4]) {
        for (half, pair) in [[weights[0], weights[2]], [weights[1], weights[3]]].into_iter().enumerate() {
            for (i, w) in pair.into_iter().enumerate() {
                let at = 32 * half + 4 * lane + 2 * i;
                to[at..at + 2].copy_from_slice(&i16::from(w).to_le_bytes());
            }
        }
    }

    #[inline(always)]
    unsafe fn weights(self, from: *const u8) -> [__m256i; 2] {
        // SAFETY: `self` proves AVX2; the memory is the caller's promise.
        unsafe { [_mm256_loadu_si256(from.cast()), _mm256_loadu_si256(from.add(32).cast())] }
    }

    #[inline(always)]
    fn flip(self) -> __m256i {
        flip()
    }

    #[inline(always)]
    unsafe fn broadcast<const FLIP: bool>(self, from: *const u8, flip: __m256i) -> [__m256i; 2] {
        // SAFETY: `self` proves AVX2; the memory is the caller's promise.
        halves(unsafe { broadcast::<FLIP>(from, flip) })
    }

    #[inline(always)]
    unsafe fn interleave(self, from: [*const u8; 4]) -> [[__m256i; 2]; 4] {
        // SAFETY: `self` proves AVX2; the memory is the caller's promise.
        unsafe {
            let [a, b, c, d] = interleave(from);
            [halves(a), halves(b), halves(c), halves(d)]
        }
    }

    #[inline(always)]
    fn dot(self, acc: __m256i, x: [__m256i; 2], w: [__m256i; 2]) -> __m256i {
        // SAFETY: `self` proves AVX2.
        unsafe {
            let sum = _mm256_add_epi32(acc, _mm256_madd_epi16(x[0], w[0]));
            _mm256_add_epi32(sum, _mm256_madd_epi16(x[1], w[1]))
        }
    }
}
