//! The wings for AVX2 and AVX-512.

use super::forward::Forward;
use super::vector::Vector;
use super::weight_gradient::WeightGradient;
use std::arch::x86_64::{
    __m256, __m512, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_set1_ps, _mm256_storeu_ps, _mm512_fmadd_ps,
    _mm512_loadu_ps, _mm512_set1_ps, _mm512_storeu_ps,
};

macro_rules! vector {
    ($type:ty, $lanes:literal, $splat:ident, $load:ident, $store:ident, $fmadd:ident) => {
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
            unsafe fn plus_product(self, a: Self, b: Self) -> Self {
                // SAFETY: the caller vouches for the CPU.
                unsafe { $fmadd(a, b, self) }
            }
        }
    };
}

vector!(__m512, 16, _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_fmadd_ps);
vector!(__m256, 8, _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_fmadd_ps);

/// # Safety
/// As [`Forward::run`].
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn forward_avx512(job: &Forward<'_>, y: &mut [f32]) {
    // SAFETY: handed on to the caller.
    unsafe { job.run::<__m512, 16, 8, 4>(y) }
}

/// # Safety
/// As [`Forward::run`].
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn forward_avx2(job: &Forward<'_>, y: &mut [f32]) {
    // SAFETY: handed on to the caller.
    unsafe { job.run::<__m256, 8, 4, 4>(y) }
}

/// # Safety
/// As [`WeightGradient::run`].
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn weight_gradient_avx512(job: &WeightGradient<'_>, dw: &mut [f32]) {
    // SAFETY: handed on to the caller.
    unsafe { job.run::<__m512, 16, 12, 3>(dw) }
}

/// # Safety
/// As [`WeightGradient::run`].
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn weight_gradient_avx2(job: &WeightGradient<'_>, dw: &mut [f32]) {
    // SAFETY: handed on to the caller.
    unsafe { job.run::<__m256, 8, 6, 3>(dw) }
}
