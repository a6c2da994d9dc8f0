//! The inner loop of convolutions: two pixels by two output channels in registers.
//!
//! Per unit of four values a pixel: 4 multiplications by each `smlad` pair, 16 in all, for 8 `smlad` and
//! 3 loads. Both sides are i16 in memory: expanding them costs little, because a value of the input meets
//! every output channel and a weight every pixel of the band.
//!
//! ```text
//! for each pair of pixels:
//!     acc[2][2] = bias
//!     for each segment:                  a line of the window
//!         for each unit:                 acc[p][c] += x[p][4] . w[c][4]
//!         x += skip
//!     out[p][c] = requantize(acc[p][c])  or acc[p][c]
//! ```
#![allow(unsafe_code)]

use core::arch::asm;

/// What the inner loop works on; a copy of it becomes the loop's stack frame.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct Job {
    /// First value of the first pixel's window; a multiple of 4 bytes.
    pub(super) x: *const i16,
    /// Bytes from one pixel's window to the next one's; a multiple of 4.
    pub(super) pixel_step: usize,
    /// Expanded weights of two channels, `[segments, units, 2, 4]`; a multiple of 4 bytes.
    pub(super) w: *const i16,
    /// Pairs of pixels, at least 1.
    pub(super) pairs: usize,
    /// Units of a segment in fours, rounded up.
    pub(super) fours: usize,
    /// Bytes of code to jump over, so that the first four is only what remains.
    pub(super) entry: usize,
    /// Bytes from the end of a segment's values to the next segment's.
    pub(super) skip: usize,
    /// End of the weights.
    pub(super) w_end: *const i16,
    /// Output of the first pixel and channel.
    pub(super) out: *mut u8,
    /// Bytes from a pixel's output to the next one's.
    pub(super) out_pixel: usize,
    /// Bytes from a channel's output to the next one's; with 0 the first channel's result stays.
    pub(super) out_channel: usize,
    /// To keep what follows in place.
    pub(super) unused: usize,
    /// Biases of the two channels.
    pub(super) bias: [i32; 2],
    /// Their multipliers.
    pub(super) multiplier: [f32; 2],
    /// Zero point of the output.
    pub(super) zero_point: i32,
}

/// Bytes of code of one unit.
pub(super) const UNIT_CODE: usize = 44;

/// One unit: 11 instructions of 4 bytes.
macro_rules! unit {
    () => {
        "
        ldm     r2!, {{r8-r11}}
        ldrd    r12, lr, [r0], #8
        smlad   r4, r12, r8, r4
        smlad   r5, r12, r10, r5
        smlad   r4, lr, r9, r4
        smlad   r5, lr, r11, r5
        ldrd    r12, lr, [r1], #8
        smlad   r6, r12, r8, r6
        smlad   r7, r12, r10, r7
        smlad   r6, lr, r9, r6
        smlad   r7, lr, r11, r7
        "
    };
}

/// A whole function around what becomes of the accumulators `r4-r7`: `[pixel][channel]`, the output in
/// `r8` and `r11` for the two pixels, the channel's step in `r10`.
macro_rules! tile {
    ($job:ident, $finish:literal) => {
        asm!(
            "push    {{r4-r11, lr}}",
            "vpush   {{s0-s12}}",
            "ldm     r0!, {{r1-r12}}",
            "vldm    r0, {{s8-s12}}",
            "push    {{r1-r12}}",
            "adr     r3, 4f",
            "adds    r3, #1", // Thumb
            "ldr     r4, [sp, #20]",
            "add     r4, r3",
            "str     r4, [sp, #20]",
            "ldrd    r0, r3, [sp]",
            "2:", // pair of pixels
            "add     r1, r0, r3",
            "ldr     r2, [sp, #8]",
            "vmov    r4, r5, s8, s9",
            "vmov    r6, r7, s8, s9",
            "3:", // segment
            "ldr     r3, [sp, #16]",
            "ldr     pc, [sp, #20]",
            ".balign 4",
            "4:",
            unit!(),
            unit!(),
            unit!(),
            unit!(),
            "subs    r3, #1",
            "bne     4b",
            "ldrd    r3, r8, [sp, #24]",
            "add     r0, r3",
            "add     r1, r3",
            "cmp     r2, r8",
            "bne     3b",
            "ldrd    r8, r9, [sp, #32]",
            "ldr     r10, [sp, #40]",
            "add     r11, r8, r9",
            $finish,
            "add     r11, r9",
            "str     r11, [sp, #32]",
            "ldrd    r0, r3, [sp]",
            "add     r0, r0, r3, lsl #1",
            "str     r0, [sp]",
            "ldr     r8, [sp, #12]",
            "subs    r8, #1",
            "str     r8, [sp, #12]",
            "bne     2b",
            "add     sp, #48",
            "vpop    {{s0-s12}}",
            "pop     {{r4-r11, lr}}",
            // Every other register is restored, the VFP's too: its class cannot be named here.
            inout("r0") $job => _, out("r1") _, out("r2") _, out("r3") _, out("r12") _,
        )
    };
}

/// Runs a job to int8 outputs: `clamp(round_half_even(f32(acc) * multiplier) + zero_point)` over the
/// whole range of i8.
///
/// # Safety
/// All pixels' windows and all outputs that the job describes lie in memory that the caller may read or
/// write; `pairs` and `fours` are at least 1.
#[inline(never)]
pub(super) unsafe extern "C" fn to_i8(job: *const Job) {
    // SAFETY: by this function's contract; the stack is as before at the end.
    unsafe {
        tile!(
            job,
            "
        vmov    s0, s1, r4, r5
        vmov    s2, s3, r6, r7
        vcvt.f32.s32 s0, s0
        vcvt.f32.s32 s1, s1
        vcvt.f32.s32 s2, s2
        vcvt.f32.s32 s3, s3
        vmul.f32 s0, s0, s10
        vmul.f32 s1, s1, s11
        vmul.f32 s2, s2, s10
        vmul.f32 s3, s3, s11
        vcvtr.s32.f32 s0, s0
        vcvtr.s32.f32 s1, s1
        vcvtr.s32.f32 s2, s2
        vcvtr.s32.f32 s3, s3
        vmov    r4, r5, s0, s1
        vmov    r6, r7, s2, s3
        vmov    r12, s12
        qadd    r4, r4, r12
        qadd    r5, r5, r12
        qadd    r6, r6, r12
        qadd    r7, r7, r12
        ssat    r4, #8, r4
        ssat    r5, #8, r5
        ssat    r6, #8, r6
        ssat    r7, #8, r7
        strb    r5, [r8, r10]
        strb    r4, [r8]
        strb    r7, [r11, r10]
        strb    r6, [r11]
        "
        )
    }
}

/// Runs a job to i32 outputs: the accumulators.
///
/// # Safety
/// As [`to_i8`]; `out` and its steps are multiples of 4.
#[inline(never)]
pub(super) unsafe extern "C" fn to_i32(job: *const Job) {
    // SAFETY: by this function's contract; the stack is as before at the end.
    unsafe {
        tile!(
            job,
            "
        str     r5, [r8, r10]
        str     r4, [r8]
        str     r7, [r11, r10]
        str     r6, [r11]
        "
        )
    }
}
