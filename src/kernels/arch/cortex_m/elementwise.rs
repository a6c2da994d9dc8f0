//! Sums and clamps, four values a word.
#![allow(unsafe_code)]

use super::ops::{max8, min8};
use crate::artifact::Clamp;
use crate::kernels::Add;
use crate::number::requantize_sum;
use core::arch::asm;

/// Restricts requantized values to a clamp narrower than i8.
pub(super) fn clamp(y: &mut [i8], clamp: Clamp) {
    if (clamp.min, clamp.max) == (i8::MIN, i8::MAX) {
        return;
    }
    let [min, max] = [clamp.min, clamp.max].map(|bound| u32::from_ne_bytes([bound as u8; 4]));
    let (words, rest) = y.as_chunks_mut::<4>();
    for word in words {
        let x = u32::from_ne_bytes(word.map(|x| x as u8));
        *word = min8(max8(x, min), max).to_ne_bytes().map(|x| x as i8);
    }
    rest.iter_mut().for_each(|x| *x = (*x).max(clamp.min).min(clamp.max));
}

/// What [`sum`] works on.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct Job {
    /// The addends and the sum; an addend may be where the sum goes.
    a: *const i8,
    b: *const i8,
    y: *mut i8,
    /// Words of four values, at least 1.
    words: usize,
    /// Zero points of the addends, negated.
    minus_zero: [i32; 2],
    zero_point: i32,
    multipliers: [f32; 2],
}

/// `clamp(round_half_even(f32(a - zero_a) * m_a + f32(b - zero_b) * m_b) + zero_point)` over the whole
/// range of i8.
///
/// # Safety
/// `4 * words` values may be read at `a` and `b` and written at `y`; `words` is at least 1.
#[inline(never)]
unsafe extern "C" fn sum(job: *const Job) {
    // SAFETY: by this function's contract; the stack is as before at the end.
    unsafe {
        asm!(
            "push    {{r4-r10, lr}}",
            "vpush   {{s0-s9}}",
            "add     r12, r0, #28",
            "vldm    r12, {{s8-s9}}",
            "ldm     r0, {{r0-r3, r8-r10}}",
            "2:",
            "ldr     r4, [r0], #4",
            "ldr     r5, [r1], #4",
            "sxtab   r6, r8, r4",
            "sxtab   r7, r9, r5",
            "vmov    s0, s1, r6, r7",
            "sxtab   r6, r8, r4, ror #8",
            "sxtab   r7, r9, r5, ror #8",
            "vmov    s2, s3, r6, r7",
            "sxtab   r6, r8, r4, ror #16",
            "sxtab   r7, r9, r5, ror #16",
            "vmov    s4, s5, r6, r7",
            "sxtab   r6, r8, r4, ror #24",
            "sxtab   r7, r9, r5, ror #24",
            "vmov    s6, s7, r6, r7",
            "vcvt.f32.s32 s0, s0",
            "vcvt.f32.s32 s1, s1",
            "vcvt.f32.s32 s2, s2",
            "vcvt.f32.s32 s3, s3",
            "vcvt.f32.s32 s4, s4",
            "vcvt.f32.s32 s5, s5",
            "vcvt.f32.s32 s6, s6",
            "vcvt.f32.s32 s7, s7",
            "vmul.f32 s0, s0, s8",
            "vmul.f32 s1, s1, s9",
            "vmul.f32 s2, s2, s8",
            "vmul.f32 s3, s3, s9",
            "vmul.f32 s4, s4, s8",
            "vmul.f32 s5, s5, s9",
            "vmul.f32 s6, s6, s8",
            "vmul.f32 s7, s7, s9",
            "vadd.f32 s0, s0, s1",
            "vadd.f32 s1, s2, s3",
            "vadd.f32 s2, s4, s5",
            "vadd.f32 s3, s6, s7",
            "vcvtr.s32.f32 s0, s0",
            "vcvtr.s32.f32 s1, s1",
            "vcvtr.s32.f32 s2, s2",
            "vcvtr.s32.f32 s3, s3",
            "vmov    r4, r5, s0, s1",
            "vmov    r6, r7, s2, s3",
            "qadd    r4, r4, r10",
            "qadd    r5, r5, r10",
            "qadd    r6, r6, r10",
            "qadd    r7, r7, r10",
            "ssat    r4, #8, r4",
            "ssat    r5, #8, r5",
            "ssat    r6, #8, r6",
            "ssat    r7, #8, r7",
            "bfi     r4, r5, #8, #8",
            "bfi     r4, r6, #16, #8",
            "bfi     r4, r7, #24, #8",
            "str     r4, [r2], #4",
            "subs    r3, #1",
            "bne     2b",
            "vpop    {{s0-s9}}",
            "pop     {{r4-r10, lr}}",
            // Every other register is restored, the VFP's too: its class cannot be named here.
            inout("r0") job => _, out("r1") _, out("r2") _, out("r3") _, out("r12") _,
        )
    }
}

/// See [`Kernels::add`](crate::kernels::Kernels).
pub(super) fn add(add: &Add, a: Option<&[i8]>, b: Option<&[i8]>, y: &mut [i8]) {
    let count = [a, b].into_iter().flatten().fold(y.len(), |count, x| count.min(x.len()));
    let mut job = Job {
        a: core::ptr::null(),
        b: core::ptr::null(),
        y: core::ptr::null_mut(),
        words: count / 4,
        minus_zero: add.zero_points.map(|zero| -i32::from(zero)),
        zero_point: add.zero_point.into(),
        multipliers: add.multipliers,
    };
    if job.words > 0 {
        job.y = y.as_mut_ptr();
        job.a = a.map_or(job.y.cast_const(), <[i8]>::as_ptr);
        job.b = b.map_or(job.y.cast_const(), <[i8]>::as_ptr);
        // SAFETY: `words * 4` is at most the length of each of the slices, just computed; each word is
        // read before it is written.
        unsafe { sum(&raw const job) };
    }
    for index in job.words * 4..count {
        let Some(to) = y.get_mut(index) else { break };
        let value = |x: Option<&[i8]>| x.map_or(Some(*to), |x| x.get(index).copied()).unwrap_or_default();
        let (a, b) = (i32::from(value(a)) + job.minus_zero[0], i32::from(value(b)) + job.minus_zero[1]);
        let all = Clamp { min: i8::MIN, max: i8::MAX };
        *to = requantize_sum([a, b], add.multipliers, add.zero_point, all);
    }
    clamp(y, add.clamp);
}
