//! Max pooling forward and backward over a batch, together with a ReLU in front of it.

use super::pool::Geometry;
use super::types::chunk;
use crate::error::{Error, Result};
use crate::kernels::max_pool::{self, Number};
use rayon::prelude::*;

/// Which element of each window was the maximum; two bytes each only where one would not do.
#[derive(Debug, Clone)]
pub(super) enum Winners {
    Small(Vec<u8>),
    Large(Vec<u16>),
}

impl Winners {
    pub(super) fn new(geometry: &Geometry, examples: usize) -> Self {
        let len = geometry.output.len() * examples;
        if geometry.taps() < usize::from(u8::NONE) {
            Self::Small(vec![0; len])
        } else {
            Self::Large(vec![0; len])
        }
    }

    /// Checks that the elements of a window of the node `name` can be numbered.
    ///
    /// # Errors
    /// If there are too many.
    pub(super) fn check(name: &str, geometry: &Geometry) -> Result<()> {
        if geometry.taps() < usize::from(u16::NONE) {
            return Ok(());
        }
        let most = u16::NONE - 1;
        let what = format!("elements of a window of {name}, which gradients pass through");
        Err(Error::invalid(what, geometry.taps(), format!("at most {most}")))
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
    let (inputs, outputs) = (geometry.input.len(), geometry.output.len());
    let size = chunk(n);
    y.par_chunks_mut(size * outputs)
        .zip(winner.par_chunks_mut(size * outputs))
        .zip(x.par_chunks(size * inputs))
        .for_each(|((y, winner), x)| {
            let images = y.chunks_mut(outputs).zip(winner.chunks_mut(outputs)).zip(x.chunks(inputs));
            for ((y, winner), x) in images {
                geometry.each_run(|to, from, windows| {
                    let to = to..to + windows.count * windows.channels;
                    max_pool::forward(windows, relu, &x[from..], &mut y[to.clone()], &mut winner[to]);
                });
            }
        });
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
    let (inputs, outputs) = (geometry.input.len(), geometry.output.len());
    // Where each input is in one window, all of them are written, and nothing has to be read.
    let add = accumulate || !geometry.is_partition();
    let size = chunk(n);
    dx.par_chunks_mut(size * inputs)
        .zip(winner.par_chunks(size * outputs))
        .zip(dy.par_chunks(size * outputs))
        .for_each(|((dx, winner), dy)| {
            if add && !accumulate {
                dx.fill(0.0);
            }
            let images = dx.chunks_mut(inputs).zip(winner.chunks(outputs)).zip(dy.chunks(outputs));
            for ((dx, winner), dy) in images {
                geometry.each_run(|from, to, windows| {
                    let from = from..from + windows.count * windows.channels;
                    max_pool::backward(windows, &dy[from.clone()], &winner[from], &mut dx[to..], add);
                });
            }
        });
}
