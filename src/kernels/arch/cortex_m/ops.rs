//! Single instructions of the DSP extension that the compiler does not offer by name.
#![allow(unsafe_code)]

use core::arch::asm;

/// Bytes 0 and 2 of `x`, sign-extended into the halves.
#[inline(always)]
pub(super) fn sxtb16(x: u32) -> u32 {
    let y;
    // SAFETY: one instruction on registers; `super` is compiled for cores with the DSP extension only.
    unsafe { asm!("sxtb16 {}, {}", out(reg) y, in(reg) x, options(pure, nomem, nostack, preserves_flags)) };
    y
}

/// Bytes 1 and 3 of `x`, sign-extended into the halves.
#[inline(always)]
pub(super) fn sxtb16_odd(x: u32) -> u32 {
    let y;
    // SAFETY: as in `sxtb16`.
    unsafe {
        asm!("sxtb16 {}, {}, ror #8", out(reg) y, in(reg) x, options(pure, nomem, nostack, preserves_flags))
    };
    y
}

/// `sum + sxtb16(x)`, half by half.
#[inline(always)]
pub(super) fn sxtab16(sum: u32, x: u32) -> u32 {
    let y;
    // SAFETY: as in `sxtb16`.
    unsafe {
        asm!("sxtab16 {}, {}, {}", out(reg) y, in(reg) sum, in(reg) x,
            options(pure, nomem, nostack, preserves_flags));
    }
    y
}

/// `sum + sxtb16_odd(x)`, half by half.
#[inline(always)]
pub(super) fn sxtab16_odd(sum: u32, x: u32) -> u32 {
    let y;
    // SAFETY: as in `sxtb16`.
    unsafe {
        asm!("sxtab16 {}, {}, {}, ror #8", out(reg) y, in(reg) sum, in(reg) x,
            options(pure, nomem, nostack, preserves_flags));
    }
    y
}

/// `a - b`, half by half.
#[inline(always)]
pub(super) fn ssub16(a: u32, b: u32) -> u32 {
    let y;
    // SAFETY: as in `sxtb16`; the GE flags are declared lost.
    unsafe { asm!("ssub16 {}, {}, {}", out(reg) y, in(reg) a, in(reg) b, options(pure, nomem, nostack)) };
    y
}

/// Low half of `a`, low half of `b` above it.
#[inline(always)]
pub(super) fn low_halves(a: u32, b: u32) -> u32 {
    let y;
    // SAFETY: as in `sxtb16`.
    unsafe {
        asm!("pkhbt {}, {}, {}, lsl #16", out(reg) y, in(reg) a, in(reg) b,
            options(pure, nomem, nostack, preserves_flags));
    }
    y
}

/// High half of `a`, high half of `b` above it.
#[inline(always)]
pub(super) fn high_halves(a: u32, b: u32) -> u32 {
    let y;
    // SAFETY: as in `sxtb16`.
    unsafe {
        asm!("pkhtb {}, {}, {}, asr #16", out(reg) y, in(reg) b, in(reg) a,
            options(pure, nomem, nostack, preserves_flags));
    }
    y
}

/// `sum + a.low * b.low + a.high * b.high`, halves being i16.
#[inline(always)]
pub(super) fn smlad(a: u32, b: u32, sum: i32) -> i32 {
    let y;
    // SAFETY: as in `sxtb16`; the Q flag is declared lost.
    unsafe {
        asm!("smlad {}, {}, {}, {}", out(reg) y, in(reg) a, in(reg) b, in(reg) sum,
            options(pure, nomem, nostack));
    }
    y
}

/// The greater of `a` and `b`, i8 by i8.
#[inline(always)]
pub(super) fn max8(a: u32, b: u32) -> u32 {
    let y;
    // SAFETY: as in `sxtb16`; the GE flags are declared lost. `y` is written before `a` and `b` are last
    // read, hence no `lateout`.
    unsafe {
        asm!("ssub8 {y}, {a}, {b}", "sel {y}, {a}, {b}", y = out(reg) y, a = in(reg) a, b = in(reg) b,
            options(pure, nomem, nostack));
    }
    y
}

/// The lesser of `a` and `b`, i8 by i8.
#[inline(always)]
pub(super) fn min8(a: u32, b: u32) -> u32 {
    let y;
    // SAFETY: as in `max8`.
    unsafe {
        asm!("ssub8 {y}, {a}, {b}", "sel {y}, {b}, {a}", y = out(reg) y, a = in(reg) a, b = in(reg) b,
            options(pure, nomem, nostack));
    }
    y
}

/// Square root, rounded to nearest even as IEEE 754 asks.
#[inline(never)]
pub(in crate::kernels) fn sqrt(x: f32) -> f32 {
    let y: u32;
    // SAFETY: registers alone, but for one that is saved on the stack: its class cannot be named here. Whoever
    // enables the feature says that the core has an FPU.
    unsafe {
        asm!("vpush {{s0}}", "vmov s0, {y}", "vsqrt.f32 s0, s0", "vmov {y}, s0", "vpop {{s0}}",
            y = inout(reg) x.to_bits() => y, options(pure, nomem, preserves_flags));
    }
    f32::from_bits(y)
}
