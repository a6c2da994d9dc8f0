//! From accumulators to outputs, four at a time.
#![allow(unsafe_code)]

use crate::artifact::Clamp;
use crate::kernels::reference::RUN;
use crate::kernels::{Filter, Mean, Noisy, Output};
use core::arch::asm;

/// Writes a run of outputs; `sums` have no bias, nor have `mean_sums`, the mean filter's of a noisy output. `None`
/// if a slice is too short.
#[inline(never)]
pub(super) fn put(
    filter: &Filter<'_>,
    output: &mut Output<'_>,
    index: usize,
    channel: usize,
    [sums, mean_sums]: [&[i32]; 2],
) -> Option<()> {
    let channels = channel..channel + sums.len();
    let outputs = index..index + sums.len();
    let multiplier = filter.multiplier.get(channels.clone())?;
    match output {
        Output::Int8 { y, zero_point, clamp } => {
            let bias = filter.bias.get(channels)?;
            requantize([sums, bias], multiplier, *zero_point, *clamp, y.get_mut(outputs)?);
        }
        Output::Sums(to) => add_bias(sums, filter.bias.get(channels)?, to.get_mut(outputs)?),
        Output::Real(to) => {
            let mut biased = [0; RUN];
            add_bias(sums, filter.bias.get(channels)?, &mut biased);
            let values = to.get_mut(outputs)?.iter_mut().zip(&biased).zip(multiplier);
            values.for_each(|((to, &sum), &m)| *to = sum as f32 * m);
        }
        Output::Noisy(Noisy { mean, zero_point, clamp, this, twin, negate }) => {
            let mut biased = [0; RUN];
            let (mean, m_mean) = match mean {
                Mean::Sums { sums, multiplier } => (sums.get(outputs.clone())?, *multiplier),
                Mean::Filter(mean) => {
                    add_bias(mean_sums, mean.bias.get(channels.clone())?, &mut biased);
                    (biased.get(..sums.len())?, mean.multiplier)
                }
            };
            let multipliers = [m_mean.get(channels)?, multiplier];
            let sum = |subtract, to: &mut [i8]| {
                combine([mean, sums], multipliers, subtract, *zero_point, *clamp, to);
            };
            sum(*negate, this.get_mut(outputs.clone())?);
            if let Some(twin) = twin.get_mut(outputs) {
                sum(!*negate, twin);
            }
        }
    }
    Some(())
}

fn add_bias(sums: &[i32], bias: &[i32], to: &mut [i32]) {
    to.iter_mut().zip(sums).zip(bias).for_each(|((to, &sum), &bias)| *to = sum.wrapping_add(bias));
}

/// What [`requantize`] and [`combine`] work on.
#[repr(C)]
struct Job {
    a: *const i32,
    m_a: *const f32,
    b: *const i32,
    m_b: *const f32,
    to: *mut i8,
    count: usize,
    zero_point: i32,
    min: i32,
    max: i32,
    /// The sign of `b`, as the bit to flip.
    flip: u32,
}

impl Job {
    /// As many values as all slices have; `None` if that is none.
    #[inline(always)]
    fn new(
        [a, b]: [&[i32]; 2],
        [m_a, m_b]: [&[f32]; 2],
        subtract: bool,
        zero_point: i8,
        clamp: Clamp,
        to: &mut [i8],
    ) -> Option<Self> {
        let count = to.len().min(a.len()).min(b.len()).min(m_a.len()).min(m_b.len());
        (count > 0).then_some(Self {
            a: a.as_ptr(),
            m_a: m_a.as_ptr(),
            b: b.as_ptr(),
            m_b: m_b.as_ptr(),
            to: to.as_mut_ptr(),
            count,
            zero_point: zero_point.into(),
            min: clamp.min.into(),
            max: clamp.max.into(),
            flip: u32::from(subtract) << 31,
        })
    }
}

/// `clamp(round_half_even(f32(a + b) * m) + zero_point)`, as many as `to` has; all others have as many.
///
/// Vectors flush what is less than the least normal number to zero, which is what it is rounded to.
#[inline(always)]
fn requantize([a, b]: [&[i32]; 2], m: &[f32], zero_point: i8, clamp: Clamp, to: &mut [i8]) {
    let Some(job) = Job::new([a, b], [m, m], false, zero_point, clamp, to) else { return };
    // SAFETY: tail predication keeps loads and stores within `count` values, which all slices have; the stack is as
    // before at the end.
    unsafe {
        asm!(
            "push    {{r4-r7, lr}}",
            "vpush   {{d0-d7}}",
            "ldrd    r5, r6, [r0, #28]",
            "vdup.32 q2, r5",
            "vdup.32 q3, r6",
            "ldrd    r5, r6, [r0, #20]",
            "ldm     r0, {{r1, r2, r3, r4, r7}}",
            "dlstp.32 lr, r5",
            "2:",
            "vldrw.u32 q0, [r1], #16",
            "vldrw.u32 q1, [r3], #16",
            "vadd.i32 q0, q0, q1",
            "vldrw.u32 q1, [r2], #16",
            "vcvt.f32.s32 q0, q0",
            "vmul.f32 q0, q0, q1",
            "vcvtn.s32.f32 q0, q0",
            "vqadd.s32 q0, q0, r6",
            "vmax.s32 q0, q0, q2",
            "vmin.s32 q0, q0, q3",
            "vstrb.32 q0, [r7], #4",
            "letp    lr, 2b",
            "vpop    {{d0-d7}}",
            "pop     {{r4-r7, lr}}",
            // Every other register is restored, the vectors too: their class cannot be named here.
            inout("r0") &raw const job => _, out("r1") _, out("r2") _, out("r3") _, out("r12") _,
        );
    }
}

/// `clamp(round_half_even(f32(a) * m_a ± f32(b) * m_b) + zero_point)`, as [`requantize`].
#[inline(always)]
fn combine(
    sums: [&[i32]; 2],
    multipliers: [&[f32]; 2],
    subtract: bool,
    zero_point: i8,
    clamp: Clamp,
    to: &mut [i8],
) {
    let Some(job) = Job::new(sums, multipliers, subtract, zero_point, clamp, to) else { return };
    // SAFETY: as in `requantize`.
    unsafe {
        asm!(
            "push    {{r4-r7, lr}}",
            "vpush   {{d0-d11}}",
            "ldrd    r5, r6, [r0, #28]",
            "vdup.32 q2, r5",
            "vdup.32 q3, r6",
            "ldr     r5, [r0, #36]",
            "vdup.32 q4, r5",
            "ldrd    r5, r6, [r0, #20]",
            "ldm     r0, {{r1, r2, r3, r4, r7}}",
            "dlstp.32 lr, r5",
            "2:",
            "vldrw.u32 q0, [r1], #16",
            "vldrw.u32 q1, [r2], #16",
            "vcvt.f32.s32 q0, q0",
            "vldrw.u32 q5, [r3], #16",
            "vmul.f32 q0, q0, q1",
            "vldrw.u32 q1, [r4], #16",
            "vcvt.f32.s32 q5, q5",
            "vmul.f32 q1, q5, q1",
            "veor    q1, q1, q4",
            "vadd.f32 q0, q0, q1",
            "vcvtn.s32.f32 q0, q0",
            "vqadd.s32 q0, q0, r6",
            "vmax.s32 q0, q0, q2",
            "vmin.s32 q0, q0, q3",
            "vstrb.32 q0, [r7], #4",
            "letp    lr, 2b",
            "vpop    {{d0-d11}}",
            "pop     {{r4-r7, lr}}",
            // As in `requantize`.
            inout("r0") &raw const job => _, out("r1") _, out("r2") _, out("r3") _, out("r12") _,
        );
    }
}
