//! Depthwise convolutions: sixteen channels of a pixel at a time.
#![allow(unsafe_code)]

use super::finish;
use super::windows::whole;
use crate::kernels::arch::cortex_m::axis;
use crate::kernels::{Conv, Filter, Output};
use core::arch::asm;

/// Channels in vectors side by side.
const LANES: usize = 16;

/// Channels between two calls of what makes outputs of accumulators, at most.
const BLOCK: usize = 4 * LANES;

/// Whether layers of so many channels are served.
pub(super) fn serves(channels: usize) -> bool {
    channels >= LANES
}

/// Only layers that [`serves`] allows. `None` if a slice is too short, or the output is not int8.
#[inline(never)]
pub(super) fn depthwise(conv: &Conv<'_>, filter: &Filter<'_>, output: &mut Output<'_>) -> Option<()> {
    let Conv { x, y, window, .. } = conv;
    let channels = usize::from(y.channels);
    let of_x = x.len() as usize;
    let whole = [
        whole(window, 0, x.height.into(), y.height.into()),
        whole(window, 1, x.width.into(), y.width.into()),
    ];
    let kernel = window.kernel.map(usize::from);
    let inside = |dim: usize, at: usize, size: u16| {
        let start = at as isize * window.stride[dim] as isize - window.pad[dim] as isize;
        if whole[dim].contains(&at) { (start, 0, kernel[dim]) } else { axis(window, dim, at, size.into()) }
    };
    let (mut index, mut acc) = (0, [0; BLOCK]);
    for image in 0..conv.input.len().checked_div(of_x)? {
        let input = conv.input.get(image * of_x..(image + 1) * of_x)?;
        for row in 0..usize::from(y.height) {
            let rows = inside(0, row, x.height);
            for column in 0..usize::from(y.width) {
                let taps = Taps::new(conv, input, filter.values, rows, inside(1, column, x.width))?;
                for first in (0..channels).step_by(BLOCK) {
                    let run = BLOCK.min(channels - first);
                    taps.run(first, run, &mut acc)?;
                    finish::put(filter, output, index + first, first, [acc.get(..run)?, &[]])?;
                }
                index += channels;
            }
        }
    }
    Some(())
}

/// First input element on an axis, and the elements of the window that are no padding.
type Axis = (isize, usize, usize);

/// The taps of one pixel that are no padding.
struct Taps<'a> {
    /// From the first tap's channels on.
    x: &'a [i8],
    w: &'a [i8],
    channels: usize,
    /// Rows and columns.
    count: [usize; 2],
    /// Values from a tap to the next on both axes.
    x_step: [usize; 2],
    w_step: [usize; 2],
    zero_point: i32,
}

impl<'a> Taps<'a> {
    #[inline(always)]
    fn new(
        conv: &Conv<'_>,
        input: &'a [i8],
        weights: &'a [i8],
        (top, row_lo, row_hi): Axis,
        (left, lo, hi): Axis,
    ) -> Option<Self> {
        let Conv { x, window, .. } = conv;
        let [channels, width] = [x.channels, x.width].map(usize::from);
        let [dilation_h, dilation_w] = window.dilation.map(usize::from);
        let kernel_w = usize::from(window.kernel[1]);
        let count = [row_hi.saturating_sub(row_lo), hi.saturating_sub(lo)];
        let first = [top + (row_lo * dilation_h) as isize, left + (lo * dilation_w) as isize];
        // Without taps there is no first one.
        let from = if count.contains(&0) { 0 } else { first[0] as usize * width + first[1] as usize };
        let tap = if count.contains(&0) { 0 } else { row_lo * kernel_w + lo };
        Some(Self {
            x: input.get(from * channels..)?,
            w: weights.get(tap * channels..)?,
            channels,
            count,
            x_step: [dilation_h * width * channels, dilation_w * channels],
            w_step: [kernel_w * channels, channels],
            zero_point: x.zero_point.into(),
        })
    }

    /// Accumulators of channels `first..first + run`; what was in `acc` does not matter.
    #[inline(always)]
    fn run(&self, first: usize, run: usize, acc: &mut [i32; BLOCK]) -> Option<()> {
        let [rows, columns] = self.count;
        if rows == 0 || columns == 0 {
            acc.fill(0);
            return Some(());
        }
        // The last channels may be done twice: vectors end with the layer's last channel.
        let start = first.min(self.channels.checked_sub(LANES)?);
        let behind = |step: [usize; 2]| (rows - 1) * step[0] + (columns - 1) * step[1] + first + run;
        self.x.get(..behind(self.x_step))?;
        self.w.get(..behind(self.w_step))?;
        if start < first {
            // Fewer than a vector's in this block.
            let mut last = [0; BLOCK];
            self.vectors(start, 1, last.as_mut_ptr());
            let values = last.get(first - start..LANES)?;
            acc.iter_mut().zip(values).for_each(|(acc, &value)| *acc = value);
            return Some(());
        }
        self.vectors(first, run / LANES, acc.as_mut_ptr());
        if !run.is_multiple_of(LANES) {
            let at = run.checked_sub(LANES)?;
            self.vectors(first + at, 1, acc.get_mut(at..run)?.as_mut_ptr());
        }
        Some(())
    }

    /// `count` times 16 channels from `first` on; all taps hold them, and `acc` has as many values.
    #[inline(always)]
    fn vectors(&self, first: usize, count: usize, acc: *mut i32) {
        let [rows, columns] = self.count;
        if count == 0 {
            return;
        }
        let skip = |step: [usize; 2]| step[0].wrapping_sub(columns * step[1]);
        let job = Job {
            x: self.x.as_ptr().wrapping_add(first),
            w: self.w.as_ptr().wrapping_add(first),
            acc,
            vectors: count,
            x_step: self.x_step[1],
            w_step: self.w_step[1],
            zero_point: self.zero_point,
            x_skip: skip(self.x_step),
            w_skip: skip(self.w_step),
            rows,
            columns,
        };
        // SAFETY: `run` saw that the last tap has all these channels, and `acc` as many values; neither rows, columns
        // nor vectors are 0.
        unsafe { accumulate(&raw const job) };
    }
}

/// What [`accumulate`] works on.
#[repr(C)]
struct Job {
    x: *const i8,
    w: *const i8,
    acc: *mut i32,
    /// Vectors of 16 channels.
    vectors: usize,
    x_step: usize,
    w_step: usize,
    zero_point: i32,
    /// From behind a row's last tap to the next row's first, modulo 2^32.
    x_skip: usize,
    w_skip: usize,
    rows: usize,
    columns: usize,
}

/// `sum (x - zero_point) * w` over the taps. Even and odd channels have accumulators of their own, which the stores
/// bring together again.
///
/// # Safety
/// All taps' channels may be read, and all accumulators written; no count is 0.
#[inline(always)]
unsafe fn accumulate(job: *const Job) {
    // SAFETY: by this function's contract; the stack is as before at the end.
    unsafe {
        asm!(
            "push    {{r4-r11, lr}}",
            "vpush   {{d0-d13}}",
            "ldm     r0!, {{r1-r4, r8-r12}}", // x, w, acc, vectors; steps, zero point, skips
            "2:", // 16 channels
            "vmov.i32 q0, #0",
            "vmov.i32 q1, #0",
            "vmov.i32 q2, #0",
            "vmov.i32 q3, #0",
            "mov     r5, r1",
            "mov     r6, r2",
            "ldr     r7, [r0]",
            "3:", // a row of taps
            "ldr     lr, [r0, #4]",
            "dls     lr, lr",
            "4:", // a tap
            "vldrb.s16 q4, [r5]",
            "vldrb.s16 q5, [r6]",
            "vsub.i16 q4, q4, r10",
            "vmullb.s16 q6, q4, q5",
            "vmullt.s16 q4, q4, q5",
            "vadd.i32 q0, q0, q6",
            "vadd.i32 q1, q1, q4",
            "vldrb.s16 q4, [r5, #8]",
            "vldrb.s16 q5, [r6, #8]",
            "vsub.i16 q4, q4, r10",
            "vmullb.s16 q6, q4, q5",
            "vmullt.s16 q4, q4, q5",
            "vadd.i32 q2, q2, q6",
            "vadd.i32 q3, q3, q4",
            "add     r5, r8",
            "add     r6, r9",
            "le      lr, 4b",
            "add     r5, r11",
            "add     r6, r12",
            "subs    r7, #1",
            "bne     3b",
            "vst20.32 {{q0, q1}}, [r3]",
            "vst21.32 {{q0, q1}}, [r3]!",
            "vst20.32 {{q2, q3}}, [r3]",
            "vst21.32 {{q2, q3}}, [r3]!",
            "add     r1, #16",
            "add     r2, #16",
            "subs    r4, #1",
            "bne     2b",
            "vpop    {{d0-d13}}",
            "pop     {{r4-r11, lr}}",
            // Every other register is restored, the vectors too: their class cannot be named here.
            inout("r0") job => _, out("r1") _, out("r2") _, out("r3") _, out("r12") _,
        );
    }
}
