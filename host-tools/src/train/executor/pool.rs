//! Pooling forward and backward.

use super::types::chunk;
use crate::graph::{Shape, Window};
use rayon::prelude::*;
use std::ops::Range;

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
    /// The window elements of output row or column `out` that lie inside the input, as input indices.
    fn inside(&self, out: usize, axis: usize) -> impl Iterator<Item = (usize, usize)> + Clone {
        let size = [self.input.height, self.input.width][axis] as isize;
        let start = (out * self.window.stride[axis]) as isize - self.window.pad_begin[axis] as isize;
        let dilation = self.window.dilation[axis];
        let taps: Range<usize> = 0..self.window.kernel[axis];
        taps.map(move |tap| (tap, start + (tap * dilation) as isize))
            .filter(move |&(_, at)| at >= 0 && at < size)
            .map(|(tap, at)| (tap, at as usize))
    }

    /// Visits output positions: `visit(offset of the output's channels, [(tap, offset of the input's)])`.
    fn each(&self, mut visit: impl FnMut(usize, &[(usize, usize)])) {
        let mut taps = Vec::with_capacity(self.window.kernel[0] * self.window.kernel[1]);
        for row in 0..self.output.height {
            for column in 0..self.output.width {
                taps.clear();
                for (ky, y) in self.inside(row, 0) {
                    for (kx, x) in self.inside(column, 1) {
                        let at = (y * self.input.width + x) * self.input.channels;
                        taps.push((ky * self.window.kernel[1] + kx, at));
                    }
                }
                visit((row * self.output.width + column) * self.output.channels, &taps);
            }
        }
    }

    fn divisor(&self, taps: usize) -> f32 {
        let all = self.window.kernel[0] * self.window.kernel[1];
        (if self.count_padding { all } else { taps.max(1) }) as f32
    }
}

/// Maximum of each window; `winner` remembers which tap had it, the first of equal ones.
pub(super) fn max_forward(geometry: &Geometry, x: &[f32], y: &mut [f32], winner: &mut [u16], n: usize) {
    let (size, channels) = (chunk(n), geometry.output.channels);
    let (inputs, outputs) = (geometry.input.len(), geometry.output.len());
    y.par_chunks_mut(size * outputs)
        .zip(winner.par_chunks_mut(size * outputs))
        .zip(x.par_chunks(size * inputs))
        .for_each(|((y, winner), x)| {
            let images = y.chunks_mut(outputs).zip(winner.chunks_mut(outputs)).zip(x.chunks(inputs));
            for ((y, winner), x) in images {
                geometry.each(|to, taps| {
                    let (y, winner) = (&mut y[to..to + channels], &mut winner[to..to + channels]);
                    y.fill(f32::NEG_INFINITY);
                    for &(tap, from) in taps {
                        for ((y, winner), x) in y.iter_mut().zip(winner.iter_mut()).zip(&x[from..]) {
                            let better = *x > *y;
                            *y = if better { *x } else { *y };
                            *winner = if better { tap as u16 } else { *winner };
                        }
                    }
                });
            }
        });
}

/// The gradient goes to the winner of each window.
pub(super) fn max_backward(
    geometry: &Geometry,
    dy: &[f32],
    winner: &[u16],
    dx: &mut [f32],
    n: usize,
    accumulate: bool,
) {
    let (size, channels) = (chunk(n), geometry.output.channels);
    let (inputs, outputs) = (geometry.input.len(), geometry.output.len());
    dx.par_chunks_mut(size * inputs)
        .zip(winner.par_chunks(size * outputs))
        .zip(dy.par_chunks(size * outputs))
        .for_each(|((dx, winner), dy)| {
            if !accumulate {
                dx.fill(0.0);
            }
            let images = dx.chunks_mut(inputs).zip(winner.chunks(outputs)).zip(dy.chunks(outputs));
            for ((dx, winner), dy) in images {
                geometry.each(|from, taps| {
                    let (winner, dy) = (&winner[from..from + channels], &dy[from..from + channels]);
                    for &(tap, to) in taps {
                        for ((dx, winner), dy) in dx[to..].iter_mut().zip(winner).zip(dy) {
                            *dx += if usize::from(*winner) == tap { *dy } else { 0.0 };
                        }
                    }
                });
            }
        });
}

/// Mean of each window.
pub(super) fn average_forward(geometry: &Geometry, x: &[f32], y: &mut [f32], n: usize) {
    let (size, channels) = (chunk(n), geometry.output.channels);
    let (inputs, outputs) = (geometry.input.len(), geometry.output.len());
    y.par_chunks_mut(size * outputs).zip(x.par_chunks(size * inputs)).for_each(|(y, x)| {
        for (y, x) in y.chunks_mut(outputs).zip(x.chunks(inputs)) {
            geometry.each(|to, taps| {
                let y = &mut y[to..to + channels];
                y.fill(0.0);
                for &(_, from) in taps {
                    for (y, x) in y.iter_mut().zip(&x[from..]) {
                        *y += x;
                    }
                }
                let divisor = geometry.divisor(taps.len());
                for y in y {
                    *y /= divisor;
                }
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
            geometry.each(|from, taps| {
                let divisor = geometry.divisor(taps.len());
                for &(_, to) in taps {
                    for (dx, dy) in dx[to..].iter_mut().zip(&dy[from..from + channels]) {
                        *dx += dy / divisor;
                    }
                }
            });
        }
    });
}
