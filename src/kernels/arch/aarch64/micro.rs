//! The inner loops: a few pixels by a block of 8 channels in registers, 8 values of each at a step.
//!
//! ```text
//! neon     for each pixel and channel: smull (8 products of i16), sadalp (into 4 sums of i32)
//! dotprod  for each pixel and pair of channels: sdot (16 products into 4 sums)
//! i8mm     for each pair of pixels and of channels: smmla (32 products into 4 sums)
//! ```
#![allow(unsafe_code)]

use super::pack::BLOCK;
use core::arch::aarch64::{
    int8x16_t, int16x8_t, int32x4_t, vaddvq_s32, vdupq_n_s32, vget_low_s8, vgetq_lane_s32, vld1q_s8,
    vmull_high_s8, vmull_s8, vpadalq_s16,
};
use core::arch::asm;

/// Most pixels of a tile.
pub(super) const MAX_PIXELS: usize = 8;

/// Sums of a tile, `[pixel][channel]`.
pub(in crate::kernels) type Sums = [[i32; BLOCK]; MAX_PIXELS];

/// One step of weights, `[channel, 8]`.
pub(in crate::kernels) type Step = [u8; BLOCK * BLOCK];

/// An inner loop.
pub(in crate::kernels) trait Micro: Copy {
    /// Name of the kernels.
    const NAME: &'static str;
    /// Pixels of a tile.
    const PIXELS: usize;

    /// The proof, on a CPU that can run it.
    fn new() -> Option<Self>;

    /// `sum x * w` for `PIXELS` rows of `x`, one after another, and the 8 channels of `w`; a row has as
    /// many steps of 8 values as `w`.
    fn tile(self, x: &[[i8; BLOCK]], w: &[Step], sums: &mut Sums);
}

/// 16 bytes of a step: two channels.
#[inline(always)]
fn pair(step: &Step, index: usize) -> int8x16_t {
    let two: &[u8; 16] = &step.as_chunks::<16>().0[index];
    // SAFETY: reads the 16 bytes of the array; NEON is part of every aarch64 target with an FPU.
    unsafe { vld1q_s8(two.as_ptr().cast()) }
}

/// Two rows of 8 values.
#[inline(always)]
fn join(low: &[i8; BLOCK], high: &[i8; BLOCK]) -> int8x16_t {
    let mut both = [0_i8; 16];
    both[..BLOCK].copy_from_slice(low);
    both[BLOCK..].copy_from_slice(high);
    // SAFETY: reads the 16 bytes of the array.
    unsafe { vld1q_s8(both.as_ptr()) }
}

/// Rows of a tile.
#[inline(always)]
fn rows<const P: usize>(x: &[[i8; BLOCK]], steps: usize) -> [&[[i8; BLOCK]]; P] {
    core::array::from_fn(|pixel| &x[pixel * steps..(pixel + 1) * steps])
}

/// Products of i16: what every 64-bit ARM has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::kernels) struct Neon(());

impl Micro for Neon {
    const NAME: &'static str = "neon";
    const PIXELS: usize = 2;

    fn new() -> Option<Self> {
        std::arch::is_aarch64_feature_detected!("neon").then_some(Self(()))
    }

    #[inline]
    fn tile(self, x: &[[i8; BLOCK]], w: &[Step], sums: &mut Sums) {
        let rows = rows::<2>(x, w.len());
        // SAFETY: these intrinsics need NEON, which `Self` is made with.
        unsafe {
            let mut acc: [[int32x4_t; BLOCK]; 2] = [[vdupq_n_s32(0); BLOCK]; 2];
            for (step, w) in w.iter().enumerate() {
                let x = [join(&rows[0][step], &rows[0][step]), join(&rows[1][step], &rows[1][step])];
                for two in 0..BLOCK / 2 {
                    let w = pair(w, two);
                    for (acc, &x) in acc.iter_mut().zip(&x) {
                        // One product of two i8 fits an i16; two might not.
                        let low: int16x8_t = vmull_s8(vget_low_s8(w), vget_low_s8(x));
                        let high: int16x8_t = vmull_high_s8(w, x);
                        acc[two * 2] = vpadalq_s16(acc[two * 2], low);
                        acc[two * 2 + 1] = vpadalq_s16(acc[two * 2 + 1], high);
                    }
                }
            }
            for (sums, acc) in sums.iter_mut().zip(&acc) {
                for (sum, &acc) in sums.iter_mut().zip(acc) {
                    *sum = vaddvq_s32(acc);
                }
            }
        }
    }
}

/// `sdot`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::kernels) struct Dotprod(());

impl Micro for Dotprod {
    const NAME: &'static str = "dotprod";
    const PIXELS: usize = 4;

    fn new() -> Option<Self> {
        std::arch::is_aarch64_feature_detected!("dotprod").then_some(Self(()))
    }

    #[inline]
    fn tile(self, x: &[[i8; BLOCK]], w: &[Step], sums: &mut Sums) {
        // SAFETY: `Self` is only made on a CPU with the feature.
        unsafe { dotprod(x, w, sums) }
    }
}

#[target_feature(enable = "neon,dotprod")]
fn dotprod(x: &[[i8; BLOCK]], w: &[Step], sums: &mut Sums) {
    const P: usize = Dotprod::PIXELS;
    let rows = rows::<P>(x, w.len());
    let mut acc: [[int32x4_t; BLOCK / 2]; P] = [[vdupq_n_s32(0); BLOCK / 2]; P];
    for (step, w) in w.iter().enumerate() {
        let w = [pair(w, 0), pair(w, 1), pair(w, 2), pair(w, 3)];
        for (acc, row) in acc.iter_mut().zip(rows) {
            let x = join(&row[step], &row[step]);
            for (acc, w) in acc.iter_mut().zip(w) {
                // SAFETY: one instruction on registers, of a feature that this function has.
                unsafe {
                    asm!("sdot {acc:v}.4s, {w:v}.16b, {x:v}.16b", acc = inout(vreg) *acc, w = in(vreg) w,
                        x = in(vreg) x, options(pure, nomem, nostack, preserves_flags));
                }
            }
        }
    }
    for (sums, acc) in sums.iter_mut().zip(&acc) {
        for (two, &acc) in acc.iter().enumerate() {
            sums[two * 2] = vgetq_lane_s32::<0>(acc).wrapping_add(vgetq_lane_s32::<1>(acc));
            sums[two * 2 + 1] = vgetq_lane_s32::<2>(acc).wrapping_add(vgetq_lane_s32::<3>(acc));
        }
    }
}

/// `smmla`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::kernels) struct I8mm(());

impl Micro for I8mm {
    const NAME: &'static str = "i8mm";
    const PIXELS: usize = 8;

    fn new() -> Option<Self> {
        std::arch::is_aarch64_feature_detected!("i8mm").then_some(Self(()))
    }

    #[inline]
    fn tile(self, x: &[[i8; BLOCK]], w: &[Step], sums: &mut Sums) {
        // SAFETY: `Self` is only made on a CPU with the feature.
        unsafe { i8mm(x, w, sums) }
    }
}

#[target_feature(enable = "neon,i8mm")]
fn i8mm(x: &[[i8; BLOCK]], w: &[Step], sums: &mut Sums) {
    const P: usize = I8mm::PIXELS;
    let rows = rows::<P>(x, w.len());
    let mut acc: [[int32x4_t; BLOCK / 2]; P / 2] = [[vdupq_n_s32(0); BLOCK / 2]; P / 2];
    for (step, w) in w.iter().enumerate() {
        let w = [pair(w, 0), pair(w, 1), pair(w, 2), pair(w, 3)];
        for (index, acc) in acc.iter_mut().enumerate() {
            let x = join(&rows[index * 2][step], &rows[index * 2 + 1][step]);
            for (acc, w) in acc.iter_mut().zip(w) {
                // SAFETY: one instruction on registers, of a feature that this function has.
                unsafe {
                    asm!("smmla {acc:v}.4s, {x:v}.16b, {w:v}.16b", acc = inout(vreg) *acc, w = in(vreg) w,
                        x = in(vreg) x, options(pure, nomem, nostack, preserves_flags));
                }
            }
        }
    }
    for (index, acc) in acc.iter().enumerate() {
        for (two, &acc) in acc.iter().enumerate() {
            sums[index * 2][two * 2] = vgetq_lane_s32::<0>(acc);
            sums[index * 2][two * 2 + 1] = vgetq_lane_s32::<1>(acc);
            sums[index * 2 + 1][two * 2] = vgetq_lane_s32::<2>(acc);
            sums[index * 2 + 1][two * 2 + 1] = vgetq_lane_s32::<3>(acc);
        }
    }
}
