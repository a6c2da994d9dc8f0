//! Max pooling forward and backward, together with a ReLU in front of it.

use super::pool::{Geometry, Tap};
use super::types::chunk;
use crate::kernels::simd::{Loops, vectorize_loops};
use rayon::prelude::*;

/// Number of a window element, as small as the window allows.
pub(super) trait Number: Copy + PartialEq + Default + Send + Sync {
    /// No element: ReLU made the output zero.
    const NONE: Self;

    fn new(number: usize) -> Self;
}

impl Number for u8 {
    const NONE: Self = Self::MAX;

    #[inline(always)]
    fn new(number: usize) -> Self {
        number as Self
    }
}

impl Number for u16 {
    const NONE: Self = Self::MAX;

    #[inline(always)]
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

/// Cut off to [`Number::NONE`] of every type.
const NONE: u32 = u32::MAX;

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
    // Where nothing is greater (all values are NaN, or ReLU made them zero), there is no winner.
    let start = (if relu { 0.0 } else { f32::NEG_INFINITY }, W::NONE);
    y.par_chunks_mut(size * outputs)
        .zip(winner.par_chunks_mut(size * outputs))
        .zip(x.par_chunks(size * inputs))
        .for_each(|((y, winner), x)| {
            let images = y.chunks_mut(outputs).zip(winner.chunks_mut(outputs)).zip(x.chunks(inputs));
            for ((y, winner), x) in images {
                if geometry.is_tiling() {
                    let taps = &geometry.taps_from(0, 0, |_, _| true);
                    vectorize_loops(MaxTiles { geometry, taps, start, x, y, winner });
                } else {
                    geometry.each(|to, window, taps| {
                        max_window(&x[window..], taps, start, channels, &mut y[to..], &mut winner[to..]);
                    });
                }
            }
        });
}

/// [`max_forward`] of one image whose windows do not overlap.
struct MaxTiles<'a, W> {
    geometry: &'a Geometry,
    taps: &'a [Tap],
    start: (f32, W),
    x: &'a [f32],
    y: &'a mut [f32],
    winner: &'a mut [W],
}

impl<W: Number> Loops for MaxTiles<'_, W> {
    #[inline(always)]
    fn run(self) {
        let Self { geometry, taps, start, x, y, winner } = self;
        let [kernel_h, kernel_w] = geometry.window.kernel;
        let (width, channels) = (geometry.input.width, geometry.output.channels);
        let mut to = 0;
        for row in 0..geometry.output.height {
            let mut window = row * kernel_h * width * channels;
            for _ in 0..geometry.output.width {
                max_window(&x[window..], taps, start, channels, &mut y[to..], &mut winner[to..]);
                window += kernel_w * channels;
                to += channels;
            }
        }
    }
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
            // Numbers as wide as values: one comparison serves both.
            let (mut best, mut number) = ([start.0; LANES], [NONE; LANES]);
            for tap in taps {
                let Some(values) = x[tap.at + first..].first_chunk::<LANES>() else { return };
                for lane in 0..LANES {
                    let better = values[lane] > best[lane];
                    best[lane] = if better { values[lane] } else { best[lane] };
                    number[lane] = if better { tap.number as u32 } else { number[lane] };
                }
            }
            y[first..][..LANES].copy_from_slice(&best);
            for lane in 0..LANES {
                winner[first + lane] = W::new(number[lane] as usize);
            }
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
                    vectorize_loops(SpreadTiles { geometry, dy, winner, dx });
                } else {
                    spread(geometry, dy, winner, dx);
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
struct SpreadTiles<'a, W> {
    geometry: &'a Geometry,
    dy: &'a [f32],
    winner: &'a [W],
    dx: &'a mut [f32],
}

impl<W: Number> Loops for SpreadTiles<'_, W> {
    #[inline(always)]
    fn run(self) {
        let Self { geometry, dy, winner, dx } = self;
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
}

#[inline(always)]
fn spread_one<W: Number>(number: W, channels: usize, dy: &[f32], winner: &[W], dx: &mut [f32]) {
    let padded = channels.next_multiple_of(LANES);
    if padded > dy.len() || padded > dx.len() {
        for channel in 0..channels {
            dx[channel] = if winner[channel] == number { dy[channel] } else { 0.0 };
        }
        return;
    }
    for first in (0..channels).step_by(LANES) {
        let from = (dy[first..].first_chunk::<LANES>(), winner[first..].first_chunk::<LANES>());
        let ((Some(dy), Some(winner)), Some(dx)) = (from, dx[first..].first_chunk_mut::<LANES>()) else {
            return;
        };
        for lane in 0..LANES {
            let wins = winner[lane] == number && first + lane < channels;
            dx[lane] = if wins { dy[lane] } else { 0.0 };
        }
    }
}
