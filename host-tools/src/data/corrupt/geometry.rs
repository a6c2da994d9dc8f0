//! Rotation and translation, by bilinear interpolation; what comes in from outside repeats the edge.

use super::pixels::uniform;
use crate::graph::Shape;
use rand_core::Rng;

/// Turns around the centre by `degrees`, in a random direction.
pub fn rotate(shape: Shape, values: &[f64], degrees: f64, rng: &mut impl Rng) -> Vec<f64> {
    let sign = if uniform(rng) < 0.5 { -1.0 } else { 1.0 };
    let (sin, cos) = (sign * degrees).to_radians().sin_cos();
    let (cy, cx) = ((shape.height as f64 - 1.0) / 2.0, (shape.width as f64 - 1.0) / 2.0);
    resample(shape, values, |y, x| {
        let (dy, dx) = (y - cy, x - cx);
        (cy + cos * dy - sin * dx, cx + sin * dy + cos * dx)
    })
}

/// Moves by `share` of the shorter side, in a random direction.
pub fn translate(shape: Shape, values: &[f64], share: f64, rng: &mut impl Rng) -> Vec<f64> {
    let distance = share * shape.height.min(shape.width) as f64;
    let (sin, cos) = (std::f64::consts::TAU * uniform(rng)).sin_cos();
    resample(shape, values, |y, x| (y - distance * sin, x - distance * cos))
}

/// The picture whose value at `(y, x)` is the original's at `source(y, x)`.
fn resample(shape: Shape, values: &[f64], source: impl Fn(f64, f64) -> (f64, f64)) -> Vec<f64> {
    let Shape { height, width, channels } = shape;
    let mut out = Vec::with_capacity(values.len());
    for y in 0..height {
        for x in 0..width {
            let (sy, sx) = source(y as f64, x as f64);
            let (sy, sx) = (sy.clamp(0.0, (height - 1) as f64), sx.clamp(0.0, (width - 1) as f64));
            let (top, left) = (sy as usize, sx as usize);
            let (bottom, right) = ((top + 1).min(height - 1), (left + 1).min(width - 1));
            let (fy, fx) = (sy - top as f64, sx - left as f64);
            for c in 0..channels {
                let at = |y: usize, x: usize| values[(y * width + x) * channels + c];
                let upper = at(top, left) * (1.0 - fx) + at(top, right) * fx;
                let lower = at(bottom, left) * (1.0 - fx) + at(bottom, right) * fx;
                out.push(upper * (1.0 - fy) + lower * fy);
            }
        }
    }
    out
}
