//! Each layer reads what an earlier one wrote there last, and writes over nothing it still reads.

use super::{At, Model, Result};
use crate::artifact::manifest::{Layer, Tensor};

/// Checks the inputs and the output place of layer `index`.
pub(super) fn check(model: &Model<'_>, at: At, index: usize, layer: &Layer) -> Result {
    if index == 0 {
        let same = layer.input() == model.manifest().input.tensor;
        at.rule("input", same, "the network's input, as the manifest's head has it")?;
        return at.rule("layer", layer.second_input().is_none(), "one input, the network's");
    }
    produced(model, at, "input", index, &layer.input())?;
    if let Some(b) = layer.second_input() {
        produced(model, at, "b", index, &b)?;
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
        at.rule("output.offset", exact || !overlap(&input, &output), "a place that overlaps no input")?;
    }
    Ok(())
}

/// The last layer that wrote anywhere into `tensor` wrote exactly `tensor`.
fn produced(model: &Model<'_>, at: At, field: &'static str, index: usize, tensor: &Tensor) -> Result {
    let writes = model.layers().take(index).filter_map(|layer| layer.output());
    let last = writes.filter(|output| overlap(output, tensor)).last();
    at.rule(field, last.as_ref() == Some(tensor), "a tensor that an earlier layer wrote and none overwrote")
}

fn overlap(a: &Tensor, b: &Tensor) -> bool {
    let end = |t: &Tensor| u64::from(t.offset) + t.len();
    u64::from(a.offset) < end(b) && u64::from(b.offset) < end(a)
}
