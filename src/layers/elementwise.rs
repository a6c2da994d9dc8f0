//! Layers that treat each value by itself.

use super::{Frame, Place, Step};
use crate::artifact::Layer;
use crate::kernels::Add;

/// Element-wise sum or difference. The output may lie on either input, and both may be one tensor.
pub(super) fn add(step: &Step<'_>, layer: &Layer, frame: &mut Frame<'_>) -> Option<()> {
    let (tensors, multipliers, clamp) = match layer {
        Layer::Add { a, b, output, multiplier_a, multiplier_b, clamp } => {
            ([a, b, output], [*multiplier_a, *multiplier_b], *clamp)
        }
        Layer::Sub { a, b, output, multiplier_a, multiplier_b, clamp } => {
            ([a, b, output], [*multiplier_a, -*multiplier_b], *clamp)
        }
        _ => return None,
    };
    let [zero_a, zero_b, zero_point] = tensors.map(|tensor| tensor.zero_point);
    let sum = Add { zero_points: [zero_a, zero_b], multipliers, zero_point, clamp };
    let [a, b, y] = tensors.map(|tensor| frame.range(tensor));
    let place = Place::new(frame.arena, y)?;
    let (a, b) = (place.input(&a)?, place.input(&b)?);
    step.kernels.add(&sum, a, b, place.y);
    Some(())
}

/// Any unary function by its table of 256 values.
pub(super) fn lookup(step: &Step<'_>, layer: &Layer, frame: &mut Frame<'_>) -> Option<()> {
    let Layer::Lookup { input: x, output: y, table } = layer else { return None };
    let table: &[i8; 256] = step.model.i8s(*table).try_into().ok()?;
    let [x, y] = [x, y].map(|tensor| frame.range(tensor));
    let place = Place::new(frame.arena, y)?;
    let x = if step.first { Some(frame.input) } else { place.input(&x)? };
    step.kernels.lookup(table, x, place.y);
    Some(())
}

/// `f32(q - zero_point) * scale`.
pub(super) fn dequantize(step: &Step<'_>, layer: &Layer, frame: &mut Frame<'_>) -> Option<()> {
    let Layer::Dequantize { input: x } = layer else { return None };
    let (zero_point, scale) = (i32::from(x.zero_point), x.scale);
    let (values, outputs, _) = frame.real_ends(step.first, x)?;
    for (output, &q) in outputs.iter_mut().zip(values) {
        *output = (i32::from(q) - zero_point) as f32 * scale;
    }
    Some(())
}
