//! Pooling forward and backward.

use super::types::chunk;
use crate::graph::{Shape, Window};
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

/// A window element: its number, and where its first channel lies.
#[derive(Debug, Clone, Copy)]
struct Tap {
    number: usize,
    at: usize,
}

impl Geometry {
    /// Elements of a window.
    pub(super) const fn taps(&self) -> usize {
        self.window.kernel[0] * self.window.kernel[1]
    }

    /// Visits output positions in order: `visit(offset of the output's channels, offset of the window,
    /// its taps relative to that)`.
    #[inline(always)]
    fn each(&self, mut visit: impl FnMut(usize, usize, &[Tap])) {
        let whole = self.taps_from(0, 0, |_, _| true);
        for row in 0..self.output.height {
            let y = self.start(row, 0);
            for column in 0..self.output.width {
                let x = self.start(column, 1);
                let to = (row * self.output.width + column) * self.output.channels;
                if self.is_inside(y, 0) && self.is_inside(x, 1) {
                    visit(to, self.offset(y, x), &whole);
                } else {
                    let (height, width) = (self.input.height as isize, self.input.width as isize);
                    let inside = |y, x| (0..height).contains(&y) && (0..width).contains(&x);
                    visit(to, 0, &self.taps_from(y, x, inside));
                }
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

    /// Whether the windows share no element and none reaches over the border.
    fn is_tiling(&self) -> bool {
        let Window { kernel, stride, dilation, pad_begin, .. } = self.window;
        let (input, output) = (self.input, self.output);
        kernel == stride
            && dilation == [1; 2]
            && pad_begin == [0; 2]
            && output.height * kernel[0] <= input.height
            && output.width * kernel[1] <= input.width
    }

    fn divisor(&self, taps: usize) -> f32 {
        (if self.count_padding { self.taps() } else { taps.max(1) }) as f32
    }
}

/// Number of a window element, as small as the window allows.
pub(super) trait Number: Copy + PartialEq + Default + Send + Sync {
    /// No element: ReLU made the output zero.
    const NONE: Self;

    fn new(number: usize) -> Self;
}

impl Number for u8 {
    const NONE: Self = Self::MAX;

    fn new(number: usize) -> Self {
        number as Self
    }
}

impl Number for u16 {
    const NONE: Self = Self::MAX;

    fn new(number: usize) -> Self {
        number as Self
    }
}

/// Which element of each window was the maximum; two bytes each only where one would not do.
#[derive(Debug, Clone)]
pub(super) enum Winners {
    Small(Vec<u8>),
    Large(Vec<u16>),
}

impl Winners {
    pub(super) fn new(geometry: &Geometry, examples: usize) -> Self {
        let len = geometry.output.len() * examples;
        if geometry.taps() < usize::from(u8::MAX) {
            Self::Small(vec![0; len])
        } else {
            Self::Large(vec![0; len])
        }
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Small(numbers) => numbers.len(),
            Self::Large(numbers) => 2 * numbers.len(),
        }
    }

    /// See [`max_forward`].
    pub(super) fn forward(&mut self, geometry: &Geometry, relu: bool, x: &[f32], y: &mut [f32], n: usize) {
        match self {
            Self::Small(numbers) => max_forward(geometry, relu, x, y, &mut numbers[..y.len()], n),
            Self::Large(numbers) => max_forward(geometry, relu, x, y, &mut numbers[..y.len()], n),
        }
    }

    /// See [`max_backward`].
    pub(super) fn backward(
        &self,
        geometry: &Geometry,
        dy: &[f32],
        dx: &mut [f32],
        n: usize,
        accumulate: bool,
    ) {
        match self {
            Self::Small(numbers) => max_backward(geometry, dy, &numbers[..dy.len()], dx, n, accumulate),
            Self::Large(numbers) => max_backward(geometry, dy, &numbers[..dy.len()], dx, n, accumulate),
        }
    }
}

/// Channels that are looked at together.
const LANES: usize = 8;

/// Maximum of each window (and of zero, if `relu`); `winner` remembers which tap had it, the first of
/// equal ones.
fn max_forward<W: Number>(
    geometry: &Geometry,
    relu: bool,
    x: &[f32],
    y: &mut [f32],
    winner: &mut [W],
    n: usize,
) {
    let (size, channels) = (chunk(n), geometry.output.channels);
    let (inputs, outputs) = (geometry.input.len(), geometry.output.len());
    let start = if relu { (0.0, W::NONE) } else { (f32::NEG_INFINITY, W::new(0)) };
    y.par_chunks_mut(size * outputs)
        .zip(winner.par_chunks_mut(size * outputs))
        .zip(x.par_chunks(size * inputs))
        .for_each(|((y, winner), x)| {
            let images = y.chunks_mut(outputs).zip(winner.chunks_mut(outputs)).zip(x.chunks(inputs));
            for ((y, winner), x) in images {
                vectorize(|| {
                    geometry.each(|to, window, taps| {
                        max_window(&x[window..], taps, start, channels, &mut y[to..], &mut winner[to..]);
                    });
                });
            }
        });
}

/// One window, of which `x` starts with the first element. What lies behind the channels in `y` and
/// `winner` may be overwritten: windows come in order.
#[inline(always)]
fn max_window<W: Number>(
    x: &[f32],
    taps: &[Tap],
    start: (f32, W),
    channels: usize,
    y: &mut [f32],
    winner: &mut [W],
) {
    let reach = taps.last().map_or(0, |tap| tap.at) + channels.next_multiple_of(LANES);
    let mut first = 0;
    if reach <= x.len() && channels.next_multiple_of(LANES) <= y.len() {
        while first < channels {
            let (mut best, mut number) = ([start.0; LANES], [start.1; LANES]);
            for tap in taps {
                let values = &x[tap.at + first..][..LANES];
                for lane in 0..LANES {
                    let better = values[lane] > best[lane];
                    best[lane] = if better { values[lane] } else { best[lane] };
                    number[lane] = if better { W::new(tap.number) } else { number[lane] };
                }
            }
            y[first..][..LANES].copy_from_slice(&best);
            winner[first..][..LANES].copy_from_slice(&number);
            first += LANES;
        }
        return;
    }
    for channel in 0..channels {
        (y[channel], winner[channel]) = start;
        for tap in taps {
            let value = x[tap.at + channel];
            if value > y[channel] {
                (y[channel], winner[channel]) = (value, W::new(tap.number));
            }
        }
    }
}

/// The gradient goes to the winner of each window.
fn max_backward<W: Number>(
    geometry: &Geometry,
    dy: &[f32],
    winner: &[W],
    dx: &mut [f32],
    n: usize,
    accumulate: bool,
) {
    let size = chunk(n);
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
                if geometry.is_tiling() && !accumulate {
                    vectorize(|| spread_tiles(geometry, dy, winner, dx));
                } else {
                    vectorize(|| spread(geometry, dy, winner, dx));
                }
            }
        });
}

/// Adds each window's gradient to its winner.
#[inline(always)]
fn spread<W: Number>(geometry: &Geometry, dy: &[f32], winner: &[W], dx: &mut [f32]) {
    let channels = geometry.output.channels;
    geometry.each(|from, window, taps| {
        let (winner, dy) = (&winner[from..from + channels], &dy[from..from + channels]);
        for tap in taps {
            let number = W::new(tap.number);
            for ((dx, winner), dy) in dx[window + tap.at..].iter_mut().zip(winner).zip(dy) {
                *dx += if *winner == number { *dy } else { 0.0 };
            }
        }
    });
}

/// As [`spread`] for windows without overlap, on zeros: every element is written once, in the order of
/// memory, so that a vector may write zeros over what follows it and nothing has to be read.
#[inline(always)]
fn spread_tiles<W: Number>(geometry: &Geometry, dy: &[f32], winner: &[W], dx: &mut [f32]) {
    let (output, channels) = (geometry.output, geometry.output.channels);
    let [kernel_h, kernel_w] = geometry.window.kernel;
    for row in 0..output.height {
        for ky in 0..kernel_h {
            let mut to = (row * kernel_h + ky) * geometry.input.width * channels;
            for column in 0..output.width {
                let from = (row * output.width + column) * channels;
                for kx in 0..kernel_w {
                    let number = W::new(ky * kernel_w + kx);
                    spread_one(number, channels, &dy[from..], &winner[from..], &mut dx[to..]);
                    to += channels;
                }
            }
        }
    }
}

#[inline(always)]
fn spread_one<W: Number>(number: W, channels: usize, dy: &[f32], winner: &[W], dx: &mut [f32]) {
    let padded = channels.next_multiple_of(LANES);
    if padded <= dy.len() && padded <= dx.len() {
        for first in (0..channels).step_by(LANES) {
            let (dy, winner) = (&dy[first..][..LANES], &winner[first..][..LANES]);
            let dx = &mut dx[first..][..LANES];
            for lane in 0..LANES {
                let wins = winner[lane] == number && first + lane < channels;
                dx[lane] = if wins { dy[lane] } else { 0.0 };
            }
        }
        return;
    }
    for ((dx, winner), dy) in dx[..channels].iter_mut().zip(winner).zip(dy) {
        *dx = if *winner == number { *dy } else { 0.0 };
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
