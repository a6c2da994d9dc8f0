//! Windows of a convolution, each in one piece.
#![allow(unsafe_code)]

use crate::artifact::Window;
use crate::kernels::Conv;
use crate::kernels::arch::cortex_m::axis;
use core::arch::asm;
use core::ops::Range;

/// How windows are gathered.
#[derive(Debug)]
pub(super) struct Gather<'c> {
    conv: &'c Conv<'c>,
    /// Values of a window.
    patch: usize,
    /// Output rows and columns whose windows have no padding, and lines in one piece.
    whole: [Range<usize>; 2],
}

/// Output positions on an axis whose windows lie inside the input.
pub(super) fn whole(window: &Window, axis: usize, input: usize, output: usize) -> Range<usize> {
    let [kernel, stride, dilation, pad] =
        [window.kernel, window.stride, window.dilation, window.pad].map(|pair| usize::from(pair[axis]));
    let reach = kernel.saturating_sub(1) * dilation + 1;
    let room = (input + pad).checked_sub(reach).and_then(|room| room.checked_div(stride));
    let end = room.map_or(0, |last| last + 1).min(output);
    pad.div_ceil(stride.max(1))..end
}

impl<'c> Gather<'c> {
    pub(super) fn new(conv: &'c Conv<'c>, patch: usize) -> Self {
        let Conv { x, y, window, .. } = conv;
        let rows = whole(window, 0, x.height.into(), y.height.into());
        let columns = whole(window, 1, x.width.into(), y.width.into());
        let pieces = window.dilation[1] == 1;
        Self { conv, patch, whole: [rows, if pieces { columns } else { 0..0 }] }
    }

    /// Writes the windows of `count` pixels from `[row, column]` of an image on,
    /// `[count, kernel_h, kernel_w, x.channels]`, the zero point in place of padding. Returns the pixel behind
    /// them; `None` if a slice is too short.
    #[inline(never)]
    pub(super) fn run(
        &self,
        image: &[i8],
        [mut row, mut column]: [usize; 2],
        count: usize,
        to: &mut [i8],
    ) -> Option<[usize; 2]> {
        let width = usize::from(self.conv.y.width);
        let mut to = to.get_mut(..count * self.patch)?;
        while !to.is_empty() {
            let [rows, columns] = &self.whole;
            let inside = rows.contains(&row) && columns.contains(&column);
            let run = if inside { (columns.end - column).min(to.len().checked_div(self.patch)?) } else { 1 };
            let (now, rest) = to.split_at_mut_checked(run * self.patch)?;
            if inside {
                self.copy(image, [row, column], run, now)?;
            } else {
                self.pad(image, [row, column], now);
            }
            to = rest;
            column += run;
            if column >= width {
                (row, column) = (row + 1, 0);
            }
        }
        Some([row, column])
    }

    /// Neighbouring windows without padding.
    #[inline(always)]
    fn copy(&self, image: &[i8], at: [usize; 2], windows: usize, to: &mut [i8]) -> Option<()> {
        let Conv { x, window, .. } = self.conv;
        let (width, channels) = (usize::from(x.width), usize::from(x.channels));
        let [kernel_h, kernel_w] = window.kernel.map(usize::from);
        let start =
            |axis: usize| (at[axis] * usize::from(window.stride[axis])).checked_sub(window.pad[axis].into());
        let from = (start(0)? * width + start(1)?) * channels;
        let job = Job {
            to: to.as_mut_ptr(),
            windows,
            line: kernel_w * channels,
            lines: kernel_h,
            from: image.get(from..)?.as_ptr(),
            window_step: usize::from(window.stride[1]) * channels,
            line_step: usize::from(window.dilation[0]) * width * channels,
        };
        let last = (windows.checked_sub(1)?) * job.window_step + (kernel_h.checked_sub(1)?) * job.line_step;
        image.get(from + last..)?.get(..job.line)?;
        if job.line == 0 || to.len() != windows * job.lines * job.line {
            return None;
        }
        // SAFETY: the last line of the last window was just found in the image, the others lie before it; `to` has
        // as many values as all lines. None of the counts is 0.
        unsafe { copy(&raw const job) };
        Some(())
    }

    /// Any window.
    #[inline(never)]
    fn pad(&self, image: &[i8], [row, column]: [usize; 2], to: &mut [i8]) {
        let Conv { x, window, .. } = self.conv;
        let (width, channels) = (usize::from(x.width), usize::from(x.channels));
        let [dilation_h, dilation_w] = window.dilation.map(usize::from);
        let kernel_w = usize::from(window.kernel[1]);
        let (top, row_lo, row_hi) = axis(window, 0, row, x.height.into());
        let (left, lo, hi) = axis(window, 1, column, width);
        to.fill(x.zero_point);
        // Neighbouring columns are one copy unless the window is dilated.
        let inside = hi.saturating_sub(lo);
        let (taps, run) = if dilation_w == 1 { (1, inside) } else { (inside, 1) };
        for ky in row_lo..row_hi {
            let line = top.wrapping_add_unsigned(ky * dilation_h).cast_unsigned().wrapping_mul(width);
            for kx in (lo..hi).take(taps) {
                let at = line.wrapping_add_signed(left).wrapping_add(kx * dilation_w).wrapping_mul(channels);
                let start = (ky * kernel_w + kx) * channels;
                let from = image.get(at..at.wrapping_add(run * channels));
                if let (Some(from), Some(to)) = (from, to.get_mut(start..start + run * channels)) {
                    to.iter_mut().zip(from).for_each(|(to, &from)| *to = from);
                }
            }
        }
    }
}

/// What [`copy`] works on; bytes.
#[repr(C)]
struct Job {
    to: *mut i8,
    windows: usize,
    line: usize,
    lines: usize,
    from: *const i8,
    window_step: usize,
    line_step: usize,
}

/// Copies the lines of neighbouring windows one after another.
///
/// # Safety
/// All lines may be read, and as many values written; there is a window, a line, and a value in it.
#[inline(always)]
unsafe fn copy(job: *const Job) {
    // SAFETY: by this function's contract; tail predication keeps loads and stores within a line; the stack is as
    // before at the end.
    unsafe {
        asm!(
            "push    {{r4-r9, lr}}",
            "vpush   {{d0-d1}}",
            "ldm     r0, {{r1-r7}}", // to, windows, line, lines, from, window_step, line_step
            "2:", // a window
            "mov     r8, r5",
            "mov     r9, r4",
            "3:", // a line
            "mov     r12, r8",
            "mov     r0, r1",
            "dlstp.8 lr, r3",
            "4:",
            "vldrb.u8 q0, [r12], #16",
            "vstrb.8 q0, [r0], #16",
            "letp    lr, 4b",
            "add     r1, r3",
            "add     r8, r7",
            "subs    r9, #1",
            "bne     3b",
            "add     r5, r6",
            "subs    r2, #1",
            "bne     2b",
            "vpop    {{d0-d1}}",
            "pop     {{r4-r9, lr}}",
            // Every other register is restored, the vectors too: their class cannot be named here.
            inout("r0") job => _, out("r1") _, out("r2") _, out("r3") _, out("r12") _,
        );
    }
}
