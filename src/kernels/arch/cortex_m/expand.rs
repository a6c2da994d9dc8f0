//! int8 to i16, in the order of the inner loop: within four values, 0 and 2, then 1 and 3 (`sxtb16`
//! makes that without shuffling), or in their natural order where lines are no multiple of four.
#![allow(unsafe_code)]

use super::ops::{high_halves, low_halves, ssub16, sxtb16, sxtb16_odd};
use core::arch::asm;

/// A pair of equal halves.
#[inline(always)]
fn twice(x: i16) -> u32 {
    low_halves(u32::from(x as u16), u32::from(x as u16))
}

#[inline(always)]
fn put(to: &mut [i16; 4], [a, b]: [u32; 2]) {
    *to = [a as i16, (a >> 16) as i16, b as i16, (b >> 16) as i16];
}

#[inline(always)]
fn four<const NATURAL: bool>(x: &[i8; 4]) -> [u32; 2] {
    let x = u32::from_ne_bytes(x.map(|x| x as u8));
    let (even, odd) = (sxtb16(x), sxtb16_odd(x));
    if NATURAL { [low_halves(even, odd), high_halves(even, odd)] } else { [even, odd] }
}

/// Writes `x - zero_point`; lengths agree, and are multiples of four unless `NATURAL`.
pub(super) fn inputs<const NATURAL: bool>(to: &mut [i16], from: &[i8], zero_point: i16) {
    let zero = twice(zero_point);
    let ((to4, to), (from4, from)) = (to.as_chunks_mut::<4>(), from.as_chunks::<4>());
    for (to, x) in to4.iter_mut().zip(from4) {
        put(to, four::<NATURAL>(x).map(|x| ssub16(x, zero)));
    }
    if NATURAL {
        to.iter_mut().zip(from).for_each(|(to, &x)| *to = i16::from(x) - zero_point);
    }
}

/// Interleaves two rows of weights in their natural order: `[units, 2, 4]`, zeros behind a row that is no
/// multiple of four.
pub(super) fn weights_natural(to: &mut [i16], a: &[i8], b: &[i8]) {
    let ((a4, a), (b4, b)) = (a.as_chunks::<4>(), b.as_chunks::<4>());
    let mut fours = to.as_chunks_mut::<4>().0.iter_mut();
    for (a, b) in a4.iter().zip(b4) {
        let (Some(first), Some(second)) = (fours.next(), fours.next()) else { return };
        put(first, four::<true>(a));
        put(second, four::<true>(b));
    }
    if !a.is_empty() {
        for (to, rest) in fours.zip([a, b]) {
            *to = [0; 4];
            to.iter_mut().zip(rest).for_each(|(to, &w)| *to = w.into());
        }
    }
}

/// Interleaves two rows of weights in the order of `sxtb16`: `[units, 2, 4]`; rows are multiples of four.
pub(super) fn weights(to: &mut [i16], a: &[i8], b: &[i8]) {
    let units = (to.len() / 8).min(a.len() / 4).min(b.len() / 4);
    if units > 0 {
        // SAFETY: `units` are in each of the slices, just computed. The scratch that weights are expanded
        // to starts at a multiple of 4 bytes.
        unsafe { interleave(to.as_mut_ptr(), a.as_ptr(), b.as_ptr(), units) };
    }
}

/// # Safety
/// `units` is at least 1; 8 values a unit may be written at `to`, a multiple of 4 bytes, and 4 read at `a`
/// and `b`.
#[inline(never)]
unsafe extern "C" fn interleave(to: *mut i16, a: *const i8, b: *const i8, units: usize) {
    // SAFETY: by this function's contract; the stack is as before at the end.
    unsafe {
        asm!(
            "push    {{r4-r8, lr}}",
            "2:",
            "ldr     r8, [r1], #4",
            "ldr     r12, [r2], #4",
            "sxtb16  r4, r8",
            "sxtb16  r5, r8, ror #8",
            "sxtb16  r6, r12",
            "sxtb16  r7, r12, ror #8",
            "stm     r0!, {{r4-r7}}",
            "subs    r3, #1",
            "bne     2b",
            "pop     {{r4-r8, lr}}",
            inout("r0") to => _, inout("r1") a => _, inout("r2") b => _, inout("r3") units => _, out("r12") _,
        )
    }
}

/// Lines of windows to be copied; steps and sizes in bytes.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct Lines {
    /// Where the first window goes.
    pub(super) to: *mut i16,
    /// The first window's first line.
    pub(super) from: *const i16,
    /// Windows, at least 1.
    pub(super) pixels: usize,
    /// From a window to the next one.
    pub(super) pixel_step: usize,
    /// Lines of a window, at least 1.
    pub(super) lines: usize,
    /// From a line to the next one.
    pub(super) line_step: usize,
    /// Words of a line in eights, rounded up.
    pub(super) eights: usize,
    /// Bytes of code to jump over, so that the first eight is only what remains: 8 a word.
    pub(super) entry: usize,
    /// To the end of the line's copy, from the end of its last word: 0 or -2.
    pub(super) back: isize,
    /// From the end of a window's copy to the next one's.
    pub(super) skip: usize,
}

/// Copies the windows of one row of pixels.
///
/// # Safety
/// All words of all lines, rounded up, may be read, and written where they go.
#[inline(never)]
pub(super) unsafe extern "C" fn gather(lines: *const Lines) {
    // SAFETY: by this function's contract; the stack is as before at the end.
    unsafe {
        asm!(
            "push    {{r4-r11, lr}}",
            "ldm     r0, {{r0-r9}}",
            "adr     r10, 4f",
            "add     r7, r10",
            "sub     sp, #4",
            "2:", // window
            "mov     r10, r1",
            "mov     r11, r4",
            "3:", // line
            "mov     r12, r10",
            "mov     lr, r6",
            "str     r9, [sp]",
            "mov     pc, r7",
            ".balign 4",
            "4:",
            ".rept   8",
            "ldr     r9, [r12], #4",
            "str     r9, [r0], #4",
            ".endr",
            "subs    lr, #1",
            "bne     4b",
            "ldr     r9, [sp]",
            "add     r0, r8",
            "add     r10, r5",
            "subs    r11, #1",
            "bne     3b",
            "add     r0, r9",
            "add     r1, r3",
            "subs    r2, #1",
            "bne     2b",
            "add     sp, #4",
            "pop     {{r4-r11, lr}}",
            inout("r0") lines => _, out("r1") _, out("r2") _, out("r3") _, out("r12") _,
        )
    }
}

/// Columns of four channels to be laid out as planes.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct Columns {
    /// The first plane's first column to write.
    pub(super) to: *mut i16,
    /// The first column's four channels.
    pub(super) from: *const i8,
    /// From a column to the next one, in bytes.
    pub(super) step: usize,
    /// Pairs of columns.
    pub(super) pairs: usize,
    /// One more column if 1.
    pub(super) odd: usize,
    /// The zero point in both halves.
    pub(super) zero: u32,
}

/// Writes `x - zero_point` of four channels to planes that are 64 bytes apart.
///
/// # Safety
/// Four values of every column may be read, and one of each written in each plane.
#[inline(never)]
pub(super) unsafe extern "C" fn planes(columns: *const Columns) {
    // SAFETY: by this function's contract; the stack is as before at the end.
    unsafe {
        asm!(
            "push    {{r4-r11, lr}}",
            "ldm     r0, {{r0-r5}}",
            "cbz     r3, 3f",
            "2:", // pair of columns
            "ldr     r6, [r1]",
            "ldr     r7, [r1, r2]",
            "add     r1, r1, r2, lsl #1",
            "sxtb16  r8, r6",
            "sxtb16  r9, r6, ror #8",
            "sxtb16  r10, r7",
            "sxtb16  r11, r7, ror #8",
            "pkhbt   r6, r8, r10, lsl #16",
            "pkhtb   r7, r10, r8, asr #16",
            "pkhbt   r8, r9, r11, lsl #16",
            "pkhtb   r9, r11, r9, asr #16",
            "ssub16  r6, r6, r5",
            "ssub16  r7, r7, r5",
            "ssub16  r8, r8, r5",
            "ssub16  r9, r9, r5",
            "str     r8, [r0, #64]",
            "str     r7, [r0, #128]",
            "str     r9, [r0, #192]",
            "str     r6, [r0], #4",
            "subs    r3, #1",
            "bne     2b",
            "3:",
            "cbz     r4, 4f",
            "ldr     r6, [r1]",
            "sxtb16  r8, r6",
            "sxtb16  r9, r6, ror #8",
            "ssub16  r8, r8, r5",
            "ssub16  r9, r9, r5",
            "strh    r8, [r0]",
            "strh    r9, [r0, #64]",
            "lsr     r8, #16",
            "lsr     r9, #16",
            "strh    r8, [r0, #128]",
            "strh    r9, [r0, #192]",
            "4:",
            "pop     {{r4-r11, lr}}",
            inout("r0") columns => _, out("r1") _, out("r2") _, out("r3") _, out("r12") _,
        )
    }
}
