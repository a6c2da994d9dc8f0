//! Geometry of pooling, and mean pooling forward and backward.

use super::types::chunk;
use crate::graph::{Shape, Window};
use crate::kernels::max_pool::{Tap, Windows};
use crate::kernels::simd::vectorize;
use rayon::prelude::*;

/// Sizes of one pooling layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Geometry {
    pub input: Shape,
    pub output: Shape,
    pub window: Window,
    /// Mean only: whether padded elements count.
    pub count_padding: bool,
}

impl Geometry {
    /// Elements of a window.
    pub(super) const fn taps(&self) -> usize {
        self.window.kernel[0] * self.window.kernel[1]
    }

    /// Visits output positions in order: `visit(offset of the output's channels, offset of the window,
    /// its taps relative to that)`.
    #[inline(always)]
    pub(super) fn each(&self, mut visit: impl FnMut(usize, usize, &[Tap])) {
        let whole = self.taps_from(0, 0, |_, _| true);
        for row in 0..self.output.height {
            let y = self.start(row, 0);
            for column in 0..self.output.width {
                let x = self.start(column, 1);
                let to = (row * self.output.width + column) * self.output.channels;
                let edge;
                let (window, taps) = if self.is_inside(y, 0) && self.is_inside(x, 1) {
                    (self.offset(y, x), &whole)
                } else {
                    let (height, width) = (self.input.height as isize, self.input.width as isize);
                    edge = self.taps_from(y, x, |y, x| (0..height).contains(&y) && (0..width).contains(&x));
                    (0, &edge)
                };
                // The only call: what is called from two places is not inlined, and then not vectorised.
                visit(to, window, taps);
            }
        }
    }

    /// As [`Self::each`], but neighbours that have all their elements together: `visit(offset of their
    /// outputs, offset of the first window, the windows)`.
    pub(super) fn each_run(&self, mut visit: impl FnMut(usize, usize, &Windows<'_>)) {
        let channels = self.output.channels;
        let step = self.window.stride[1] * channels;
        let whole = self.taps_from(0, 0, |_, _| true);
        let (height, width) = (self.input.height as isize, self.input.width as isize);
        for row in 0..self.output.height {
            let y = self.start(row, 0);
            let mut column = 0;
            while column < self.output.width {
                let x = self.start(column, 1);
                let to = (row * self.output.width + column) * channels;
                let columns = (column..self.output.width).map(|column| self.start(column, 1));
                let inside = columns.take_while(|&x| self.is_inside(y, 0) && self.is_inside(x, 1)).count();
                if inside > 0 {
                    visit(to, self.offset(y, x), &Windows { taps: &whole, count: inside, step, channels });
                } else {
                    let taps =
                        self.taps_from(y, x, |y, x| (0..height).contains(&y) && (0..width).contains(&x));
                    visit(to, 0, &Windows { taps: &taps, count: 1, step, channels });
                }
                column += inside.max(1);
            }
        }
    }

    fn start(&self, out: usize, axis: usize) -> isize {
        (out * self.window.stride[axis]) as isize - self.window.pad_begin[axis] as isize
    }

    /// Whether a window that starts here reaches over neither border.
    fn is_inside(&self, start: isize, axis: usize) -> bool {
        let reach = (self.window.kernel[axis] - 1) * self.window.dilation[axis];
        start >= 0 && start as usize + reach < [self.input.height, self.input.width][axis]
    }

    fn offset(&self, y: isize, x: isize) -> usize {
        (y as usize * self.input.width + x as usize) * self.input.channels
    }

    /// The taps of a window that starts here, as far as they are `inside`.
    fn taps_from(&self, y: isize, x: isize, inside: impl Fn(isize, isize) -> bool) -> Vec<Tap> {
        let [dilation_h, dilation_w] = self.window.dilation;
        let place = |number| {
            let (ky, kx) = (number / self.window.kernel[1], number % self.window.kernel[1]);
            (number, y + (ky * dilation_h) as isize, x + (kx * dilation_w) as isize)
        };
        let taps = (0..self.taps()).map(place).filter(|&(_, y, x)| inside(y, x));
        taps.map(|(number, y, x)| Tap { number, at: self.offset(y, x) }).collect()
    }

    /// Whether each input lies in exactly one window.
    pub(super) fn is_partition(&self) -> bool {
        let Window { kernel, stride, dilation, pad_begin, .. } = self.window;
        let (input, output) = (self.input, self.output);
        kernel == stride
            && dilation == [1; 2]
            && pad_begin == [0; 2]
            && output.height * kernel[0] == input.height
            && output.width * kernel[1] == input.width
    }

    fn divisor(&self, taps: usize) -> f32 {
        (if self.count_padding { self.taps() } else { taps.max(1) }) as f32
    }
}

/// Mean of each window.
pub(super) fn average_forward(geometry: &Geometry, x: &[f32], y: &mut [f32], n: usize) {
    let (size, channels) = (chunk(n), geometry.output.channels);
    let (inputs, outputs) = (geometry.input.len(), geometry.output.len());
    y.par_chunks_mut(size * outputs).zip(x.par_chunks(size * inputs)).for_each(|(y, x)| {
        for (y, x) in y.chunks_mut(outputs).zip(x.chunks(inputs)) {
            vectorize(|| {
                geometry.each(|to, window, taps| {
                    let y = &mut y[to..to + channels];
                    y.fill(0.0);
                    for tap in taps {
                        for (y, x) in y.iter_mut().zip(&x[window + tap.at..]) {
                            *y += x;
                        }
                    }
                    let divisor = geometry.divisor(taps.len());
                    for y in y {
                        *y /= divisor;
                    }
                });
            });
        }
    });
}

/// The gradient is shared out evenly.
pub(super) fn average_backward(geometry: &Geometry, dy: &[f32], dx: &mut [f32], n: usize, accumulate: bool) {
    let (size, channels) = (chunk(n), geometry.output.channels);
    let (inputs, outputs) = (geometry.input.len(), geometry.output.len());
    dx.par_chunks_mut(size * inputs).zip(dy.par_chunks(size * outputs)).for_each(|(dx, dy)| {
        if !accumulate {
            dx.fill(0.0);
        }
        for (dx, dy) in dx.chunks_mut(inputs).zip(dy.chunks(outputs)) {
            vectorize(|| {
                geometry.each(|from, window, taps| {
                    let divisor = geometry.divisor(taps.len());
                    for tap in taps {
                        for (dx, dy) in dx[window + tap.at..].iter_mut().zip(&dy[from..from + channels]) {
                            *dx += dy / divisor;
                        }
                    }
                });
            });
        }
    });
}
