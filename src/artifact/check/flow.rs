//! Each layer reads what an earlier one wrote there last, and writes over nothing it still reads.

use super::{At, Result};
use crate::artifact::manifest::{Layer, Tensor};
use crate::artifact::names::{Field, Rule};

/// Checks the inputs and the output place of layer `index`.
#[inline(never)]
pub(super) fn check(at: &mut At<'_, '_>, index: usize, layer: &Layer) -> Result {
    if index == 0 {
        let same = layer.input() == at.model.manifest().input.tensor;
        at.rule(Field::Input, same, Rule::NetworkInput)?;
        return at.rule(Field::Layer, layer.second_input().is_none(), Rule::OneInput);
    }
    produced(at, Field::Input, index, &layer.input())?;
    if let Some(b) = layer.second_input() {
        produced(at, Field::SecondInput, index, &b)?;
    }
    let Some(output) = layer.output() else { return Ok(()) };
    // A layer without a second input reads the first as its only one.
    let [on_first, on_second] = match layer {
        Layer::Add { .. } | Layer::Sub { .. } | Layer::Lookup { .. } => [true, true],
        Layer::Mul { .. } => [true, layer.second_input() == Some(layer.input())],
        _ => [false, false],
    };
    let inputs = [(on_first, Some(layer.input())), (on_second, layer.second_input())];
    for (in_place, input) in inputs.into_iter().filter_map(|(may, input)| Some((may, input?))) {
        let exact = in_place && input.offset == output.offset && input.len() == output.len();
        at.rule(Field::OutputOffset, exact || !overlap(&input, &output), Rule::NoOverlap)?;
    }
    Ok(())
}

/// The last layer that wrote anywhere into `tensor` wrote exactly `tensor`.
#[inline(never)]
fn produced(at: &mut At<'_, '_>, field: Field, index: usize, tensor: &Tensor) -> Result {
    let mut last = false;
    for layer in at.model.layers().take(index) {
        if let Some(output) = layer.output()
            && overlap(&output, tensor)
        {
            last = output == *tensor;
        }
    }
    at.rule(field, last, Rule::Written)
}

#[inline(never)]
fn overlap(a: &Tensor, b: &Tensor) -> bool {
    let end = |t: &Tensor| u64::from(t.offset) + t.len();
    u64::from(a.offset) < end(b) && u64::from(b.offset) < end(a)
}
