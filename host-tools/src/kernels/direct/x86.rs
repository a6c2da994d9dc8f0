//! The wings for AVX2 and AVX-512.

use super::forward::Forward;
use super::input_gradient::InputGradient;
use super::vector::{Vector, peak};
use super::weight_gradient::WeightGradient;
use std::arch::x86_64::{
    __m256, __m256i, __m512, __mmask16, _mm256_cmpgt_epi32, _mm256_fmadd_ps, _mm256_loadu_ps,
    _mm256_maskload_ps, _mm256_maskstore_ps, _mm256_set1_epi32, _mm256_set1_ps, _mm256_setr_epi32,
    _mm256_storeu_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps,
    _mm512_set1_ps, _mm512_storeu_ps,
};

/// The first `count` of 16 lanes.
///
/// # Safety
/// None is needed: `unsafe` as its counterpart of 8 lanes is.
#[inline(always)]
const unsafe fn mask16(count: usize) -> __mmask16 {
    ((1u32 << count) - 1) as __mmask16
}

/// The first `count` of 8 lanes.
///
/// # Safety
/// The CPU must have AVX2.
#[inline(always)]
unsafe fn mask8(count: usize) -> __m256i {
    // SAFETY: the caller vouches for the CPU.
    unsafe { _mm256_cmpgt_epi32(_mm256_set1_epi32(count as i32), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)) }
}

/// `_mm256_maskload_ps` with its arguments in AVX-512's order.
///
/// # Safety
/// The CPU must have AVX2; `from` must be valid for reads of the lanes in `mask`.
#[inline(always)]
unsafe fn masked_load(mask: __m256i, from: *const f32) -> __m256 {
    // SAFETY: handed on to the caller.
    unsafe { _mm256_maskload_ps(from, mask) }
}

macro_rules! vector {
    ($type:ty, $lanes:literal, $splat:ident, $load:ident, $store:ident, $fmadd:ident, $mask:ident, $load_part:ident, $store_part:ident) => {
        // SAFETY: the methods are the CPU's own instructions on as many floats as `LANES` says.
        unsafe impl Vector for $type {
            const LANES: usize = $lanes;

            #[inline(always)]
            unsafe fn splat(value: f32) -> Self {
                // SAFETY: the caller vouches for the CPU.
                unsafe { $splat(value) }
            }

            #[inline(always)]
            unsafe fn load(from: *const f32) -> Self {
                // SAFETY: the caller vouches for the CPU and for readable floats.
                unsafe { $load(from) }
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut f32) {
                // SAFETY: the caller vouches for the CPU and for writable floats.
                unsafe { $store(to, self) }
            }

            #[inline(always)]
            unsafe fn load_part(from: *const f32, count: usize) -> Self {
                // SAFETY: the caller vouches for the CPU and for `count` readable floats; lanes that are
                // masked out are not touched.
                unsafe { $load_part($mask(count), from) }
            }

            #[inline(always)]
            unsafe fn store_part(self, to: *mut f32, count: usize) {
                // SAFETY: as in `load_part`, for writable floats.
                unsafe { $store_part(to, $mask(count), self) }
            }

            #[inline(always)]
            unsafe fn plus_product(self, a: Self, b: Self) -> Self {
                // SAFETY: the caller vouches for the CPU.
                unsafe { $fmadd(a, b, self) }
            }
        }
    };
}

vector!(
    __m512,
    16,
    _mm512_set1_ps,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_fmadd_ps,
    mask16,
    _mm512_maskz_loadu_ps,
    _mm512_mask_storeu_ps
);
vector!(
    __m256,
    8,
    _mm256_set1_ps,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_fmadd_ps,
    mask8,
    masked_load,
    _mm256_maskstore_ps
);

/// # Safety
/// As [`Forward::run`].
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn forward_avx512(job: &Forward<'_>, y: &mut [f32]) {
    // SAFETY: handed on to the caller.
    unsafe { job.run::<__m512, 16, 12>(y) }
}

/// # Safety
/// As [`Forward::run`].
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn forward_avx2(job: &Forward<'_>, y: &mut [f32]) {
    // SAFETY: handed on to the caller.
    unsafe { job.run::<__m256, 12, 5>(y) }
}

/// # Safety
/// As [`WeightGradient::run`].
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn weight_gradient_avx512(job: &WeightGradient<'_>, dw: &mut [f32]) {
    // SAFETY: handed on to the caller.
    unsafe { job.run::<__m512, 16, 12>(dw) }
}

/// # Safety
/// As [`WeightGradient::run`].
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn weight_gradient_avx2(job: &WeightGradient<'_>, dw: &mut [f32]) {
    // SAFETY: handed on to the caller.
    unsafe { job.run::<__m256, 12, 5>(dw) }
}

/// # Safety
/// As [`InputGradient::run`].
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn input_gradient_avx512(job: &InputGradient<'_>, images: &mut [f32]) {
    // SAFETY: handed on to the caller.
    unsafe { job.run::<__m512, 16, 12>(images) }
}

/// # Safety
/// As [`InputGradient::run`].
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn input_gradient_avx2(job: &InputGradient<'_>, images: &mut [f32]) {
    // SAFETY: handed on to the caller.
    unsafe { job.run::<__m256, 12, 5>(images) }
}

/// # Safety
/// As [`peak`].
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn peak_avx512(rounds: u64) -> f32 {
    // SAFETY: handed on to the caller.
    unsafe { peak::<__m512>(rounds) }
}

/// # Safety
/// As [`peak`].
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn peak_avx2(rounds: u64) -> f32 {
    // SAFETY: handed on to the caller.
    unsafe { peak::<__m256>(rounds) }
}
