//! Two solutions of a layer and the straight line between them.

use ndarray::ArrayD;
use serde::Serialize;

/// Two solutions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pair {
    /// Their numbers.
    pub of: (usize, usize),
    /// Distance over the mean of the norms.
    pub distance: f64,
    /// Cosine of the angle between them.
    pub cosine: f64,
    /// Share of examples on which they name different classes.
    pub disagreement: f64,
    /// See [`barrier`].
    pub barrier: f64,
    /// Losses on the line, ends included, nats.
    pub losses: Vec<f64>,
}

impl Pair {
    pub(super) fn new(
        of: (usize, usize),
        a: &ArrayD<f32>,
        b: &ArrayD<f32>,
        disagreement: f64,
        losses: Vec<f64>,
    ) -> Self {
        let dot = |x: &ArrayD<f32>, y: &ArrayD<f32>| -> f64 {
            x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
        };
        let (aa, bb, ab) = (dot(a, a), dot(b, b), dot(a, b));
        let norm = 0.5 * (aa.sqrt() + bb.sqrt());
        Self {
            of,
            distance: (aa + bb - 2.0 * ab).max(0.0).sqrt() / norm.max(f64::MIN_POSITIVE),
            cosine: ab / (aa * bb).sqrt().max(f64::MIN_POSITIVE),
            disagreement,
            barrier: barrier(&losses),
            losses,
        }
    }
}

/// Greatest loss on the line above the line between its ends (Frankle et al. 2020); never below 0.
#[must_use]
pub fn barrier(losses: &[f64]) -> f64 {
    let (Some(first), Some(last)) = (losses.first(), losses.last()) else { return 0.0 };
    let steps = (losses.len() - 1).max(1) as f64;
    let above = |(at, loss): (usize, &f64)| loss - (first + (last - first) * at as f64 / steps);
    losses.iter().enumerate().map(above).fold(0.0, f64::max)
}
