//! Layers that treat each value by itself.

use super::{Frame, to_outputs};
use crate::artifact::{Clamp, Tensor};
use crate::kernels::{Add, Kernels};

/// Element-wise sum. The output may lie on either addend, and the addends may be one tensor.
pub(super) fn add(
    kernels: Kernels,
    tensors: [&Tensor; 3],
    multipliers: [f32; 2],
    clamp: Clamp,
    frame: &mut Frame<'_>,
) -> Option<()> {
    let [zero_a, zero_b, zero_point] = tensors.map(|tensor| tensor.zero_point);
    let sum = Add { zero_points: [zero_a, zero_b], multipliers, zero_point, clamp };
    let [a, b, y] = tensors.map(|tensor| frame.range(tensor));
    let arena = &mut *frame.arena;
    if a == y && b == y {
        kernels.add(&sum, None, None, arena.get_mut(y)?);
    } else if a == y {
        let [b, y] = arena.get_disjoint_mut([b, y]).ok()?;
        kernels.add(&sum, None, Some(b), y);
    } else if b == y {
        let [a, y] = arena.get_disjoint_mut([a, y]).ok()?;
        kernels.add(&sum, Some(a), None, y);
    } else if a == b {
        let [a, y] = arena.get_disjoint_mut([a, y]).ok()?;
        kernels.add(&sum, Some(a), Some(a), y);
    } else {
        let [a, b, y] = arena.get_disjoint_mut([a, b, y]).ok()?;
        kernels.add(&sum, Some(a), Some(b), y);
    }
    Some(())
}

/// Any unary function by its table of 256 values.
pub(super) fn lookup(
    kernels: Kernels,
    first: bool,
    x: &Tensor,
    y: &Tensor,
    table: &[i8],
    frame: &mut Frame<'_>,
) -> Option<()> {
    let table: &[i8; 256] = table.try_into().ok()?;
    let place = frame.range(y);
    if !first && frame.range(x) == place {
        kernels.lookup(table, None, frame.arena.get_mut(place)?);
    } else {
        let (x, y, _) = frame.ends(first, x, y)?;
        kernels.lookup(table, Some(x), y);
    }
    Some(())
}

/// `f32(q - zero_point) * scale`.
pub(super) fn dequantize(first: bool, x: &Tensor, frame: &mut Frame<'_>) -> Option<()> {
    let (zero_point, scale) = (i32::from(x.zero_point), x.scale);
    let (values, outputs, _) = to_outputs(first, x, frame)?;
    for (output, &q) in outputs.iter_mut().zip(values) {
        *output = (i32::from(q) - zero_point) as f32 * scale;
    }
    Some(())
}
