//! The inner loop of 3x3 depthwise convolutions: two neighbouring pixels of one channel.
//!
//! A channel's rows lie as i16 planes, so that one `smlad` meets two neighbouring columns. The nine
//! weights stay in registers, as pairs (w0, w1) and (w1, w2) of each row:
//! ```text
//! stride 1:  acc0 += (x0,x1).(w0,w1) + x2 w2    acc1 += x1 w0 + (x2,x3).(w1,w2)
//! stride 2:  acc0 += (x0,x1).(w0,w1) + x2 w2    acc1 += (x2,x3).(w0,w1) + x4 w2
//! ```
#![allow(unsafe_code)]

use core::arch::asm;

/// What the inner loop works on.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct Job {
    /// Bytes from the end of a row's pairs to the next row's first value.
    pub(super) x_skip: usize,
    /// Bytes from the end of a row's outputs to the next row's first.
    pub(super) out_skip: usize,
    /// Pairs of pixels in a row, at least 1.
    pub(super) pairs: usize,
    /// Rows, at least 1.
    pub(super) rows: usize,
    /// The bias, twice.
    pub(super) bias: [i32; 2],
    /// The multiplier.
    pub(super) multiplier: f32,
    /// Zero point of the output.
    pub(super) zero_point: i32,
    /// The first window's first value; a multiple of 4 bytes.
    pub(super) x: *const i16,
    /// The weights of each row: (w0, w1) and (w1, w2).
    pub(super) w: [[u32; 2]; 3],
    /// The first output.
    pub(super) out: *mut u8,
    /// Bytes from a pixel's output to the next one's; with 0 the first pixel's result stays.
    pub(super) out_pixel: usize,
}

macro_rules! plane {
    ($job:ident, $rows:literal) => {
        asm!(
            "push    {{r4-r11, lr}}",
            "vpush   {{s0-s11}}",
            "ldm     r0!, {{r1-r4}}",
            "push    {{r1-r4}}",
            "vldm    r0!, {{s8-s11}}",
            "ldm     r0, {{r0-r6, r11, r12}}",
            "2:", // row
            "ldr     lr, [sp, #8]",
            "3:", // pair
            "vmov    r7, r8, s8, s9",
            $rows,
            "vmov    s0, s1, r7, r8",
            "vcvt.f32.s32 s0, s0",
            "vcvt.f32.s32 s1, s1",
            "vmul.f32 s0, s0, s10",
            "vmul.f32 s1, s1, s10",
            "vcvtr.s32.f32 s0, s0",
            "vcvtr.s32.f32 s1, s1",
            "vmov    r7, r8, s0, s1",
            "vmov    r9, s11",
            "qadd    r7, r7, r9",
            "qadd    r8, r8, r9",
            "ssat    r7, #8, r7",
            "ssat    r8, #8, r8",
            "strb    r8, [r11, r12]",
            "strb    r7, [r11]",
            "add     r11, r11, r12, lsl #1",
            "subs    lr, #1",
            "bne     3b",
            "ldrd    r9, r10, [sp]",
            "add     r0, r9",
            "add     r11, r10",
            "ldr     r9, [sp, #12]",
            "subs    r9, #1",
            "str     r9, [sp, #12]",
            "bne     2b",
            "add     sp, #16",
            "vpop    {{s0-s11}}",
            "pop     {{r4-r11, lr}}",
            // Every other register is restored, the VFP's too: its class cannot be named here.
            inout("r0") $job => _, out("r1") _, out("r2") _, out("r3") _, out("r12") _,
        )
    };
}

/// Runs a job of stride 1.
///
/// # Safety
/// All windows and outputs that the job describes lie in memory that the caller may read or write;
/// `pairs` and `rows` are at least 1. A row of a plane is followed by the same channel's next row after
/// `COLUMNS * PLANES` values.
#[inline(never)]
pub(super) unsafe extern "C" fn stride_1(job: *const Job) {
    // SAFETY: by this function's contract; the stack is as before at the end.
    unsafe {
        plane!(
            job,
            "
        ldrd    r9, r10, [r0, #512]
        smlad   r7, r9, r5, r7
        smlatb  r8, r9, r5, r8
        smlabt  r7, r10, r6, r7
        smlad   r8, r10, r6, r8
        ldrd    r9, r10, [r0, #256]
        smlad   r7, r9, r3, r7
        smlatb  r8, r9, r3, r8
        smlabt  r7, r10, r4, r7
        smlad   r8, r10, r4, r8
        ldrd    r9, r10, [r0], #4
        smlad   r7, r9, r1, r7
        smlatb  r8, r9, r1, r8
        smlabt  r7, r10, r2, r7
        smlad   r8, r10, r2, r8
        "
        )
    }
}

/// Runs a job of stride 2.
///
/// # Safety
/// As [`stride_1`].
#[inline(never)]
pub(super) unsafe extern "C" fn stride_2(job: *const Job) {
    // SAFETY: by this function's contract; the stack is as before at the end.
    unsafe {
        plane!(
            job,
            "
        ldrd    r9, r10, [r0, #512]
        smlad   r7, r9, r5, r7
        smlabt  r7, r10, r6, r7
        ldr     r9, [r0, #520]
        smlad   r8, r10, r5, r8
        smlabt  r8, r9, r6, r8
        ldrd    r9, r10, [r0, #256]
        smlad   r7, r9, r3, r7
        smlabt  r7, r10, r4, r7
        ldr     r9, [r0, #264]
        smlad   r8, r10, r3, r8
        smlabt  r8, r9, r4, r8
        ldrd    r9, r10, [r0], #8
        smlad   r7, r9, r1, r7
        smlabt  r7, r10, r2, r7
        ldr     r9, [r0]
        smlad   r8, r10, r1, r8
        smlabt  r8, r9, r2, r8
        "
        )
    }
}
