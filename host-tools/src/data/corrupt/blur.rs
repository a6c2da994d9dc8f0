//! Gaussian blur.

use crate::graph::Shape;

/// Convolves rows and columns with a Gaussian of standard deviation `sigma` pixels, cut at three of
/// them; what lies outside the picture repeats its edge.
pub fn gaussian(shape: Shape, values: &[f64], sigma: f64) -> Vec<f64> {
    let reach = (3.0 * sigma).ceil() as i64;
    let weights: Vec<f64> =
        (-reach..=reach).map(|d| (-(d * d) as f64 / (2.0 * sigma * sigma)).exp()).collect();
    let total: f64 = weights.iter().sum();
    let Shape { height, width, channels } = shape;
    let at = |values: &[f64], y: i64, x: i64, c: usize| {
        let y = y.clamp(0, height as i64 - 1) as usize;
        let x = x.clamp(0, width as i64 - 1) as usize;
        values[(y * width + x) * channels + c]
    };
    let pass = |values: &[f64], dy: i64, dx: i64| -> Vec<f64> {
        let value = |i: usize| {
            let (y, x, c) = ((i / channels / width) as i64, (i / channels % width) as i64, i % channels);
            let taps = (-reach..=reach).zip(&weights);
            taps.map(|(d, weight)| weight * at(values, y + d * dy, x + d * dx, c)).sum::<f64>() / total
        };
        (0..values.len()).map(value).collect()
    };
    pass(&pass(values, 0, 1), 1, 0)
}
