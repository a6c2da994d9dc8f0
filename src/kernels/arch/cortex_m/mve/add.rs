//! Sums of two tensors, four values at a time.
#![allow(unsafe_code)]

use crate::kernels::Add;
use core::arch::asm;

/// What the loop works on.
#[repr(C)]
struct Job {
    a: *const i8,
    b: *const i8,
    y: *mut i8,
    count: usize,
    /// Zero points of the addends, negated.
    minus_zero: [i32; 2],
    zero_point: i32,
    multipliers: [f32; 2],
    min: i32,
    max: i32,
}

/// See [`Kernels::add`](crate::kernels::Kernels).
#[inline(never)]
pub(super) fn add(add: &Add, a: Option<&[i8]>, b: Option<&[i8]>, y: &mut [i8]) {
    let length = |x: Option<&[i8]>| x.map_or(usize::MAX, <[i8]>::len);
    let count = y.len().min(length(a)).min(length(b));
    if count == 0 {
        return;
    }
    let y = y.as_mut_ptr();
    let place = |x: Option<&[i8]>| x.map_or(y.cast_const(), <[i8]>::as_ptr);
    let job = Job {
        a: place(a),
        b: place(b),
        y,
        count,
        minus_zero: add.zero_points.map(|zero_point| -i32::from(zero_point)),
        zero_point: add.zero_point.into(),
        multipliers: add.multipliers,
        min: add.clamp.min.into(),
        max: add.clamp.max.into(),
    };
    // SAFETY: tail predication keeps loads and stores within `count` values, which all slices have; an addend that
    // is `y` is read before it is written. The stack is as before at the end.
    unsafe {
        asm!(
            "push    {{r4-r9, lr}}",
            "vpush   {{d0-d7}}",
            "ldrd    r1, r2, [r0, #36]",
            "vdup.32 q2, r1",
            "vdup.32 q3, r2",
            "ldrd    r8, r9, [r0, #28]",
            "ldm     r0, {{r1-r7}}",
            "dlstp.32 lr, r4",
            "2:",
            "vldrb.s32 q0, [r1], #4",
            "vldrb.s32 q1, [r2], #4",
            "vadd.i32 q0, q0, r5",
            "vadd.i32 q1, q1, r6",
            "vcvt.f32.s32 q0, q0",
            "vcvt.f32.s32 q1, q1",
            "vmul.f32 q0, q0, r8",
            "vmul.f32 q1, q1, r9",
            "vadd.f32 q0, q0, q1",
            "vcvtn.s32.f32 q0, q0",
            "vqadd.s32 q0, q0, r7",
            "vmax.s32 q0, q0, q2",
            "vmin.s32 q0, q0, q3",
            "vstrb.32 q0, [r3], #4",
            "letp    lr, 2b",
            "vpop    {{d0-d7}}",
            "pop     {{r4-r9, lr}}",
            // Every other register is restored, the vectors too: their class cannot be named here.
            inout("r0") &raw const job => _, out("r1") _, out("r2") _, out("r3") _, out("r12") _,
        );
    }
}
