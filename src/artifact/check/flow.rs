//! Each layer reads what an earlier one wrote there last, and writes over nothing it still reads.

use super::{At, Result};
use crate::artifact::manifest::{Layer, Tensor};
use crate::artifact::names::{Field, Rule};

/// Checks the inputs and the output place of layer `index`.
#[inline(never)]
pub(super) fn check(at: &mut At<'_, '_>, index: usize, layer: &Layer) -> Result {
    let (input, second, output) = layer.tensors();
    if index == 0 {
        let same = *input == at.model.manifest().input.tensor;
        at.rule(Field::Input, same, Rule::NetworkInput)?;
        return at.rule(Field::Layer, second.is_none(), Rule::OneInput);
    }
    // A layer without a second input reads the first as its only one.
    let [on_first, on_second] = match layer {
        Layer::Add { .. } | Layer::Sub { .. } | Layer::Lookup { .. } => [true, true],
        Layer::Mul { .. } => [true, second == Some(input)],
        _ => [false, false],
    };
    let inputs = [(Field::Input, on_first, Some(input)), (Field::SecondInput, on_second, second)];
    for (field, _, input) in inputs {
        if let Some(input) = input {
            produced(at, field, index, input)?;
        }
    }
    for (_, in_place, input) in inputs {
        if let (Some(input), Some(output)) = (input, output) {
            let exact = in_place && input.offset == output.offset && input.len() == output.len();
            at.rule(Field::OutputOffset, exact || !overlap(input, output), Rule::NoOverlap)?;
        }
    }
    Ok(())
}

/// The last layer that wrote anywhere into `tensor` wrote exactly `tensor`.
#[inline(never)]
fn produced(at: &mut At<'_, '_>, field: Field, index: usize, tensor: &Tensor) -> Result {
    let mut last = false;
    for layer in at.model.layers().take(index) {
        if let (_, _, Some(output)) = layer.tensors()
            && overlap(output, tensor)
        {
            last = output == tensor;
        }
    }
    at.rule(field, last, Rule::Written)
}

#[inline(never)]
fn overlap(a: &Tensor, b: &Tensor) -> bool {
    let end = |t: &Tensor| u64::from(t.offset) + t.len();
    u64::from(a.offset) < end(b) && u64::from(b.offset) < end(a)
}
