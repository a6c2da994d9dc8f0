//! Geometry of a convolution, and the copies between an image and the matrix of its patches.

use crate::graph::{Shape, Window};
use std::cell::RefCell;
use std::ops::Range;

/// Floats of the patch matrix that are made at a time: a quarter of a megabyte stays in cache.
const BLOCK_FLOATS: usize = 64 * 1024;

/// Sizes of one convolution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Geometry {
    pub input: Shape,
    pub output: Shape,
    pub window: Window,
    pub groups: usize,
}

impl Geometry {
    /// Input channels of one group.
    pub(super) const fn group_channels(&self) -> usize {
        self.input.channels / self.groups
    }

    /// Length of one patch of one group.
    pub(super) const fn patch(&self) -> usize {
        self.window.kernel[0] * self.window.kernel[1] * self.group_channels()
    }

    /// Output positions of one example.
    pub(super) const fn positions(&self) -> usize {
        self.output.height * self.output.width
    }

    /// Whether each channel is convolved by itself.
    pub(super) const fn is_depthwise(&self) -> bool {
        self.groups > 1 && self.groups == self.input.channels && self.groups == self.output.channels
    }

    /// Rows of the patch matrix that are made at a time.
    pub(super) fn block_rows(&self) -> usize {
        (BLOCK_FLOATS / self.patch().max(1)).max(64)
    }

    /// The input columns that window column `kx` can touch start here for output column `ox`, without
    /// padding taken off.
    fn start(&self, out: usize, axis: usize) -> isize {
        (out * self.window.stride[axis]) as isize - self.window.pad_begin[axis] as isize
    }

    /// Visits the pieces of one patch that lie inside the image: `visit(offset in patch, offset in
    /// image, length)`.
    #[inline(always)]
    fn pieces(&self, group: usize, position: usize, mut visit: impl FnMut(usize, usize, usize)) {
        let [kernel_h, kernel_w] = self.window.kernel;
        let [dilation_h, dilation_w] = self.window.dilation;
        let (channels, all) = (self.group_channels(), self.input.channels);
        let (y0, x0) =
            (self.start(position / self.output.width, 0), self.start(position % self.output.width, 1));
        for ky in 0..kernel_h {
            let y = y0 + (ky * dilation_h) as isize;
            if y < 0 || y >= self.input.height as isize {
                continue;
            }
            let row = y as usize * self.input.width;
            let taps = inside(x0, dilation_w, kernel_w, self.input.width);
            if taps.is_empty() {
                continue;
            }
            let first = (x0 + (taps.start * dilation_w) as isize) as usize;
            let patch = (ky * kernel_w + taps.start) * channels;
            if self.groups == 1 && dilation_w == 1 {
                visit(patch, (row + first) * all, taps.len() * channels);
            } else {
                for tap in 0..taps.len() {
                    let image = (row + first + tap * dilation_w) * all + group * channels;
                    visit(patch + tap * channels, image, channels);
                }
            }
        }
    }

    /// Writes the patches of `positions` of one image, one row each; padding is zero.
    pub(super) fn gather(&self, image: &[f32], group: usize, positions: Range<usize>, patches: &mut [f32]) {
        let patch = self.patch();
        for (position, row) in positions.zip(patches.chunks_exact_mut(patch)) {
            let mut filled = 0;
            self.pieces(group, position, |to, from, len| {
                row[filled..to].fill(0.0);
                row[to..to + len].copy_from_slice(&image[from..from + len]);
                filled = to + len;
            });
            row[filled..].fill(0.0);
        }
    }

    /// Adds rows of patch gradients back onto the image they were gathered from.
    pub(super) fn scatter_add(
        &self,
        patches: &[f32],
        group: usize,
        positions: Range<usize>,
        image: &mut [f32],
    ) {
        let patch = self.patch();
        for (position, row) in positions.zip(patches.chunks_exact(patch)) {
            self.pieces(group, position, |from, to, len| {
                for (sum, value) in image[to..to + len].iter_mut().zip(&row[from..from + len]) {
                    *sum += value;
                }
            });
        }
    }
}

/// Window columns that lie inside `0..size` when the first lies at `start`.
fn inside(start: isize, dilation: usize, kernel: usize, size: usize) -> Range<usize> {
    let first = if start < 0 { start.unsigned_abs().div_ceil(dilation) } else { 0 };
    let room = size as isize - start;
    let end = if room <= 0 { 0 } else { (room as usize).div_ceil(dilation).min(kernel) };
    first.min(end)..end
}

thread_local! {
    static SCRATCH: RefCell<[Vec<f32>; 2]> = const { RefCell::new([Vec::new(), Vec::new()]) };
}

/// Lends two scratch buffers of the calling thread; their contents are whatever they were left with.
pub(super) fn with_scratch<R>(sizes: [usize; 2], work: impl FnOnce(&mut [f32], &mut [f32]) -> R) -> R {
    // Taken out for the call, so that work which is itself split over threads may lend its own.
    let mut buffers = SCRATCH.with(|scratch| std::mem::take(&mut *scratch.borrow_mut()));
    for (buffer, size) in buffers.iter_mut().zip(sizes) {
        if buffer.len() < size {
            buffer.resize(size, 0.0);
        }
    }
    let [a, b] = &mut buffers;
    let result = work(&mut a[..sizes[0]], &mut b[..sizes[1]]);
    SCRATCH.with(|scratch| *scratch.borrow_mut() = buffers);
    result
}
