//! The inner loops: windows by rows of weights.
#![allow(unsafe_code)]

use crate::kernels::reference::RUN;
use core::arch::asm;

/// Windows that meet a row of weights at a time.
pub(super) const WINDOWS: usize = 4;

/// Accumulators of a run of channels, for each window.
type Accumulators = [[i32; RUN]; WINDOWS];

/// Room for those of two sets of weights.
pub(super) const ZERO: [Accumulators; 2] = [[[0; RUN]; WINDOWS]; 2];

/// One window or [`WINDOWS`] of them, one after another.
#[derive(Debug)]
pub(super) struct Dots<'a> {
    pub(super) windows: &'a [i8],
    /// Values of a window.
    pub(super) patch: usize,
    pub(super) zero_point: i32,
}

/// Takes window, channel and the accumulators of a run of channels for each set of weights.
pub(super) type Sink<'s> = dyn FnMut(usize, usize, [&[i32]; 2]) -> Option<()> + 's;

impl Dots<'_> {
    /// Gives a run of channels of a window at a time; what was in `acc` does not matter. `None` if the sink does, or
    /// a slice is too short.
    #[inline(never)]
    pub(super) fn run(
        &self,
        weights: [Option<&[i8]>; 2],
        outputs: usize,
        acc: &mut [Accumulators; 2],
        sink: &mut Sink<'_>,
    ) -> Option<()> {
        let count = self.windows.len().checked_div(self.patch)?;
        for channel in (0..outputs).step_by(RUN) {
            let run = RUN.min(outputs - channel);
            for (acc, weights) in acc.iter_mut().zip(weights) {
                let Some(weights) = weights else { break };
                self.channels(weights.get(channel * self.patch..(channel + run) * self.patch)?, acc);
            }
            let [first, second] = &*acc;
            for (lane, (first, second)) in first.iter().zip(second).enumerate().take(count) {
                sink(lane, channel, [first.get(..run)?, second.get(..run)?])?;
            }
        }
        Some(())
    }

    /// Accumulators of as many channels as `rows` has, at most a run.
    #[inline(always)]
    fn channels(&self, rows: &[i8], acc: &mut Accumulators) {
        let job = Job {
            x: self.windows.as_ptr(),
            patch: self.patch,
            w: rows.as_ptr(),
            w_end: rows.as_ptr_range().end,
            acc: acc.as_mut_ptr().cast(),
            zero_point: self.zero_point,
        };
        if rows.is_empty() {
            return;
        }
        // SAFETY: `run` cut whole rows of `patch` values, at most `RUN` of them, one at least; `windows` are as many
        // windows of `patch` values as the loop reads; `acc` has `RUN` values for each.
        unsafe {
            if self.windows.len() >= WINDOWS * self.patch {
                dot4(&raw const job);
            } else if self.windows.len() >= self.patch {
                dot1(&raw const job);
            }
        }
    }
}

/// What the inner loops work on.
#[repr(C)]
struct Job {
    /// The first window.
    x: *const i8,
    /// Values of a window, and of a row of weights; at least 1.
    patch: usize,
    /// Rows of weights.
    w: *const i8,
    w_end: *const i8,
    /// `[windows, RUN]`
    acc: *mut i32,
    zero_point: i32,
}

/// Four windows by every row.
///
/// # Safety
/// The job's windows, rows and accumulators are there, one row at least.
#[inline(never)]
unsafe fn dot4(job: *const Job) {
    // SAFETY: by this function's contract; the stack is as before at the end. Tail predication keeps loads within
    // `patch` values.
    unsafe {
        asm!(
            "push    {{r4-r11, lr}}",
            "vpush   {{d0-d5}}",
            "mov     r11, r0",
            "ldr     r12, [r11, #8]",  // the row
            "ldr     r9, [r11, #16]",  // where it goes
            "2:",
            "ldrd    r1, r10, [r11]",
            "add     r3, r1, r10",
            "add     r5, r3, r10",
            "add     r7, r5, r10",
            "dlstp.8 lr, r10",
            "mov     r10, r12",
            "mov     r0, #0",
            "mov     r2, #0",
            "mov     r4, #0",
            "mov     r6, #0",
            "mov     r8, #0",
            "3:",
            "vldrb.u8 q0, [r10], #16",
            "vldrb.u8 q1, [r1], #16",
            "vmladava.s8 r0, q0, q1",
            "vldrb.u8 q2, [r3], #16",
            "vmladava.s8 r2, q0, q2",
            "vldrb.u8 q1, [r5], #16",
            "vmladava.s8 r4, q0, q1",
            "vldrb.u8 q2, [r7], #16",
            "vmladava.s8 r6, q0, q2",
            "vaddva.s8 r8, q0",
            "letp    lr, 3b",
            "ldr     r1, [r11, #20]",
            "ldr     r3, [r11, #4]",
            "ldr     r5, [r11, #12]",
            "mls     r0, r8, r1, r0",
            "mls     r2, r8, r1, r2",
            "mls     r4, r8, r1, r4",
            "mls     r6, r8, r1, r6",
            "str     r2, [r9, #{run}]",
            "str     r4, [r9, #2*{run}]",
            "str     r6, [r9, #3*{run}]",
            "str     r0, [r9], #4",
            "add     r12, r3",
            "cmp     r12, r5",
            "bne     2b",
            "vpop    {{d0-d5}}",
            "pop     {{r4-r11, lr}}",
            run = const 4 * RUN,
            // Every other register is restored, the vectors too: their class cannot be named here.
            inout("r0") job => _, out("r1") _, out("r2") _, out("r3") _, out("r12") _,
        );
    }
}

/// One window by every row.
///
/// # Safety
/// As [`dot4`].
#[inline(never)]
unsafe fn dot1(job: *const Job) {
    // SAFETY: as in `dot4`.
    unsafe {
        asm!(
            "push    {{r4-r8, lr}}",
            "vpush   {{d0-d3}}",
            "ldm     r0, {{r1, r3, r4, r5, r7, r12}}",
            "2:",
            "mov     r0, #0",
            "mov     r2, #0",
            "dlstp.8 lr, r3",
            "mov     r6, r4",
            "mov     r8, r1",
            "3:",
            "vldrb.u8 q0, [r6], #16",
            "vldrb.u8 q1, [r8], #16",
            "vmladava.s8 r0, q0, q1",
            "vaddva.s8 r2, q0",
            "letp    lr, 3b",
            "mls     r0, r2, r12, r0",
            "str     r0, [r7], #4",
            "add     r4, r3",
            "cmp     r4, r5",
            "bne     2b",
            "vpop    {{d0-d3}}",
            "pop     {{r4-r8, lr}}",
            inout("r0") job => _, out("r1") _, out("r2") _, out("r3") _, out("r12") _,
        );
    }
}
