//! The door: from bytes that anybody may have written to a model after which nothing can go wrong.

mod adaptive;
mod blobs;
mod facts;
mod flow;
mod regression;

use super::Model;
use super::error::{ArtifactError, Place};
use super::manifest::{Clamp, Layer, Manifest, Tensor, Window};

/// Most layers of a model.
const MAX_LAYERS: u16 = 1024;

/// Greatest multiplier: with it a product of accumulators stays far from infinity.
const MAX_MULTIPLIER: f32 = 4_294_967_296.0;

/// Most elements under a pooling window, so that a sum of 9-bit values fits an i32.
const MAX_POOL: i64 = (i32::MAX / 255) as i64;

type Result<T = ()> = core::result::Result<T, ArtifactError>;

/// Where the checks stand: makes errors that name layer and field.
#[derive(Debug, Clone, Copy)]
struct At(Option<u16>);

impl At {
    fn place(self, field: &'static str) -> Place {
        Place { layer: self.0, field }
    }

    fn equal(self, field: &'static str, found: u64, expected: u64) -> Result {
        if found == expected {
            return Ok(());
        }
        let [found, expected] = [found, expected].map(|n| i64::try_from(n).unwrap_or(i64::MAX));
        Err(ArtifactError::Mismatch { at: self.place(field), found, expected })
    }

    fn range(self, field: &'static str, found: i64, min: i64, max: i64) -> Result {
        if (min..=max).contains(&found) {
            return Ok(());
        }
        Err(ArtifactError::Range { at: self.place(field), found, min, max })
    }

    fn rule(self, field: &'static str, holds: bool, expected: &'static str) -> Result {
        if holds { Ok(()) } else { Err(ArtifactError::Rule { at: self.place(field), expected }) }
    }

    fn float(self, field: &'static str, found: f32, holds: bool, expected: &'static str) -> Result {
        if holds { Ok(()) } else { Err(ArtifactError::Float { at: self.place(field), found, expected }) }
    }

    /// Subnormals are refused because some targets flush them to zero.
    fn positive(self, field: &'static str, x: f32) -> Result {
        let holds = x.is_normal() && x > 0.0 && x <= MAX_MULTIPLIER;
        self.float(field, x, holds, "a normal positive number up to 2^32")
    }

    fn finite(self, field: &'static str, x: f32) -> Result {
        self.float(field, x, x.is_finite(), "a finite number")
    }
}

/// Decodes the head of the manifest; returns it with the bytes of the layers.
pub(super) fn decode_manifest(bytes: &[u8]) -> Result<(Manifest<'_>, &[u8])> {
    postcard::take_from_bytes(bytes)
        .map_err(|_| ArtifactError::Undecodable { at: At(None).place("manifest") })
}

/// Checks everything that the header's checks left open.
pub(super) fn check(model: &Model<'_>) -> Result {
    check_head(model)?;
    blobs::check_input(model)?;
    let count = decode_all(model)?;
    for (index, layer) in model.layers().enumerate() {
        let at = At(Some(index as u16));
        check_layer(model, at, &layer, index + 1 == usize::from(count))?;
        flow::check(model, at, index, &layer)?;
        blobs::check_layer(model, at, &layer)?;
    }
    blobs::check_posterior(model)?;
    adaptive::check(model)?;
    regression::check(model)?;
    facts::check(model)
}

fn check_head(model: &Model<'_>) -> Result {
    let at = At(None);
    let manifest = model.manifest();
    at.range("layer_count", manifest.layer_count.into(), 1, MAX_LAYERS.into())?;
    at.range("outputs", manifest.outputs.into(), 1, u16::MAX.into())?;
    at.positive("temperature", manifest.temperature)?;
    at.equal("input.tensor.offset", manifest.input.tensor.offset.into(), 0)?;
    check_tensor(at, "input.tensor", &manifest.input.tensor, u32::MAX)?;
    if !manifest.class_names.is_empty() {
        let names = manifest.class_names.bytes().filter(|&byte| byte == b'\n').count() as u64 + 1;
        let named = manifest.task.targets(manifest.outputs).unwrap_or(manifest.outputs);
        at.equal("class_names", names, named.into())?;
    }
    Ok(())
}

/// Every layer decodes, and no byte is left over.
fn decode_all(model: &Model<'_>) -> Result<u16> {
    let count = model.manifest().layer_count;
    let mut layers = model.layers();
    for index in 0..count {
        if layers.next().is_none() {
            return Err(ArtifactError::Undecodable { at: At(Some(index)).place("layer") });
        }
    }
    At(None).equal("bytes behind the last layer", layers.rest().len() as u64, 0)?;
    Ok(count)
}

fn check_tensor(at: At, field: &'static str, tensor: &Tensor, arena: u32) -> Result {
    at.rule(field, !tensor.is_empty(), "no dimension of 0")?;
    at.positive(field, tensor.scale)?;
    let end = tensor.len().saturating_add(tensor.offset.into());
    at.range(field, i64::try_from(end).unwrap_or(i64::MAX), 1, arena.into())
}

fn same_quantization(at: At, field: &'static str, a: &Tensor, b: &Tensor) -> Result {
    let same = a.scale.to_bits() == b.scale.to_bits() && a.zero_point == b.zero_point;
    at.rule(field, same, "scale and zero_point of the input")
}

fn check_clamp(at: At, clamp: Clamp) -> Result {
    at.range("clamp.min", clamp.min.into(), i8::MIN.into(), clamp.max.into())
}

fn check_window(at: At, window: Window, input: &Tensor, output: &Tensor) -> Result {
    window.check(input, output).map_err(|e| ArtifactError::Range {
        at: at.place(e.field),
        found: e.found,
        min: e.min,
        max: e.max,
    })
}

fn check_layer(model: &Model<'_>, at: At, layer: &Layer, last: bool) -> Result {
    let arena = model.manifest().arena_bytes;
    let outputs = u64::from(model.manifest().outputs);
    at.rule("layer", layer.output().is_none() == last, "one output layer, at the end")?;
    let input = layer.input();
    // Layer 0 reads the network's input, which is in no arena: `flow` holds it against the manifest.
    check_tensor(at, "input", &input, if at.0 == Some(0) { u32::MAX } else { arena })?;
    if let Some(output) = layer.output() {
        check_tensor(at, "output", &output, arena)?;
        if let Some(window) = layer.window() {
            check_window(at, window, &input, &output)?;
        }
    }
    match layer {
        Layer::Conv2d { clamp, .. } => check_clamp(at, *clamp),
        Layer::DepthwiseConv2d { output, clamp, .. } => {
            at.equal("output.channels", output.channels.into(), input.channels.into())?;
            check_clamp(at, *clamp)
        }
        Layer::Dense { output, clamp, .. } => {
            at.equal("output.height", output.height.into(), 1)?;
            at.equal("output.width", output.width.into(), 1)?;
            check_clamp(at, *clamp)
        }
        Layer::MaxPool { output, .. } => {
            at.equal("output.channels", output.channels.into(), input.channels.into())?;
            same_quantization(at, "output", output, &input)
        }
        Layer::AvgPool { output, window, clamp, .. } => {
            at.equal("output.channels", output.channels.into(), input.channels.into())?;
            at.range("window.kernel", window.area().into(), 1, MAX_POOL)?;
            at.positive("output.scale", window.area() as f32 * output.scale)?;
            at.positive("input.scale / output.scale", input.scale / output.scale)?;
            check_clamp(at, *clamp)
        }
        Layer::Add { b, output, multiplier_a, multiplier_b, clamp, .. }
        | Layer::Sub { b, output, multiplier_a, multiplier_b, clamp, .. } => {
            check_tensor(at, "b", b, arena)?;
            same_shape(at, "b", b, &input)?;
            same_shape(at, "output", output, &input)?;
            at.positive("multiplier_a", *multiplier_a)?;
            at.positive("multiplier_b", *multiplier_b)?;
            check_clamp(at, *clamp)
        }
        Layer::Lookup { output, .. } => same_shape(at, "output", output, &input),
        Layer::DenseOutput { weights, .. } => {
            at.equal("weights.bias.len", weights.bias.len.into(), outputs * 4)
        }
        Layer::Mul { b, output, multiplier, clamp, .. } => {
            check_tensor(at, "b", b, arena)?;
            let per_channel = (b.height, b.width, b.channels) == (1, 1, input.channels);
            if !per_channel {
                same_shape(at, "b", b, &input)?;
            }
            same_shape(at, "output", output, &input)?;
            at.positive("multiplier", *multiplier)?;
            check_clamp(at, *clamp)
        }
        Layer::Concat { b, output, axis, multiplier_a, multiplier_b, clamp, .. } => {
            check_tensor(at, "b", b, arena)?;
            check_joined(at, *axis, [&input, b, output])?;
            at.positive("multiplier_a", *multiplier_a)?;
            at.positive("multiplier_b", *multiplier_b)?;
            check_clamp(at, *clamp)
        }
        Layer::Pad { output, begin, .. } => {
            at.equal("output.channels", output.channels.into(), input.channels.into())?;
            let room = [(output.height, input.height), (output.width, input.width)];
            for ((output, input), begin) in room.into_iter().zip(*begin) {
                let least = i64::from(input) + i64::from(begin);
                at.range("output height and width", output.into(), least, u16::MAX.into())?;
            }
            same_quantization(at, "output", output, &input)
        }
        Layer::Dequantize { .. } => at.equal("input", input.len(), outputs),
    }
}

/// Two tensors joined along an axis: the sizes add up there and agree elsewhere.
fn check_joined(at: At, axis: u8, tensors: [&Tensor; 3]) -> Result {
    at.range("axis", axis.into(), 0, 2)?;
    let [a, b, y] = tensors.map(|t| [t.height, t.width, t.channels].map(u32::from));
    for (i, ((a, b), y)) in a.into_iter().zip(b).zip(y).enumerate() {
        let joined = i == usize::from(axis);
        if !joined {
            at.equal("b", b.into(), a.into())?;
        }
        at.equal("output", y.into(), if joined { (a + b).into() } else { a.into() })?;
    }
    Ok(())
}

fn same_shape(at: At, field: &'static str, a: &Tensor, b: &Tensor) -> Result {
    let same = (a.height, a.width, a.channels) == (b.height, b.width, b.channels);
    at.rule(field, same, "the shape of the first input")
}
