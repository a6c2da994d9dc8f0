//! Layers that join two activations, or put zeros around one.

use super::{Frame, Place, Step};
use crate::artifact::{Layer, Tensor};
use crate::number;

/// Product; see [`Layer::Mul`]. The output may lie on the first factor.
pub(super) fn multiply(_: &Step<'_>, layer: &Layer, frame: &mut Frame<'_>) -> Option<()> {
    let Layer::Mul { a, b, output, multiplier, clamp } = layer else { return None };
    let (tensors, multiplier, clamp) = ([a, b, output], *multiplier, *clamp);
    let [zero_a, zero_b, zero_point] = tensors.map(|tensor| tensor.zero_point);
    let product = |a: i8, b: i8| {
        let product = (i32::from(a) - i32::from(zero_a)) * (i32::from(b) - i32::from(zero_b));
        number::requantize(product, multiplier, zero_point, clamp)
    };
    // Values of one draw: the second factor is as large as the first, or one value a channel.
    let some = size(tensors[1]);
    let pixels = (size(tensors[0]) / some).max(1);
    let [a, b, y] = tensors.map(|tensor| frame.range(tensor));
    let place = Place::new(frame.arena, y)?;
    match (place.input(&a)?, place.input(&b)?) {
        (None, None) => place.y.iter_mut().for_each(|y| *y = product(*y, *y)),
        (None, Some(b)) => {
            for (pixel, y) in place.y.chunks_exact_mut(some).enumerate() {
                let b = part(b, some, pixel / pixels)?;
                y.iter_mut().zip(b).for_each(|(y, &b)| *y = product(*y, b));
            }
        }
        (Some(a), b) => {
            for (pixel, y) in place.y.chunks_exact_mut(some).enumerate() {
                let a = part(a, some, pixel)?;
                let b = part(b?, some, pixel / pixels)?;
                y.iter_mut().zip(a).zip(b).for_each(|((y, &a), &b)| *y = product(a, b));
            }
        }
    }
    Some(())
}

/// Concatenation; see [`Layer::Concat`].
pub(super) fn concat(_: &Step<'_>, layer: &Layer, frame: &mut Frame<'_>) -> Option<()> {
    let Layer::Concat { a, b, output, axis, multiplier_a, multiplier_b, clamp } = layer else { return None };
    let (tensors, axis, clamp) = ([a, b, output], *axis, *clamp);
    let multipliers = [*multiplier_a, *multiplier_b];
    let [a, b, y] = tensors.map(|tensor| frame.range(tensor));
    let whole = run(tensors[2], axis);
    let split = run(tensors[0], axis);
    for (index, source) in [a, b].into_iter().enumerate() {
        let (x, zero_point) = (tensors[index], tensors[2].zero_point);
        let place = Place::new(frame.arena, y.clone())?;
        let source = place.beside(&source)?;
        for (place, y) in place.y.chunks_exact_mut(whole).enumerate() {
            let x_run = part(source, run(x, axis), place)?;
            let y = if index == 0 { y.get_mut(..split)? } else { y.get_mut(split..)? };
            for (y, &q) in y.iter_mut().zip(x_run) {
                let centred = i32::from(q) - i32::from(x.zero_point);
                *y = number::requantize(centred, multipliers[index], zero_point, clamp);
            }
        }
    }
    Some(())
}

/// One of the equal parts of a slice. Walks of two slices by parts side by side would keep a panic for parts
/// of no size.
fn part(values: &[i8], size: usize, index: usize) -> Option<&[i8]> {
    let start = index.checked_mul(size)?;
    values.get(start..start.checked_add(size)?)
}

/// Values of one draw. No tensor of a checked model is empty; the least of 1 tells the compiler, which
/// then keeps no panic for parts of no size.
fn size(tensor: &Tensor) -> usize {
    (tensor.len() as usize).max(1)
}

/// Neighbouring values from one position of the axis' outer ones to the next.
#[inline(always)]
fn run(tensor: &Tensor, axis: u8) -> usize {
    let [height, width, channels] = [tensor.height, tensor.width, tensor.channels].map(usize::from);
    let run = match axis {
        0 => height * width * channels,
        1 => width * channels,
        _ => channels,
    };
    // As in `size`.
    run.max(1)
}

/// Zeros around rows and columns; see [`Layer::Pad`].
pub(super) fn pad(step: &Step<'_>, layer: &Layer, frame: &mut Frame<'_>) -> Option<()> {
    let Layer::Pad { input: x, output: y, begin: [top, left] } = layer else { return None };
    let (input, output, _) = frame.ends(step.first, x, y)?;
    output.fill(y.zero_point);
    let (from, to) = (run(x, 1), run(y, 1));
    let at = usize::from(*left) * usize::from(x.channels);
    for (image, output) in output.chunks_exact_mut(size(y)).enumerate() {
        let input = part(input, size(x), image)?;
        for (row, input) in input.chunks_exact(from.max(1)).enumerate() {
            let start = (row + usize::from(*top)) * to + at;
            let place = output.get_mut(start..start + from)?;
            place.iter_mut().zip(input).for_each(|(to, &x)| *to = x);
        }
    }
    Some(())
}
