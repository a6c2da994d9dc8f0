//! The door: from bytes that anybody may have written to a model after which nothing can go wrong.

mod adaptive;
mod blobs;
mod facts;
mod flow;
mod regression;

use super::Model;
use super::error::{ArtifactError, Place};
use super::geometry::WindowError;
use super::manifest::{Layer, Tensor, Window};
use super::names::{Field, Rule};

/// Most layers of a model.
const MAX_LAYERS: u32 = 1024;

/// Greatest multiplier: with it a product of accumulators stays far from infinity.
const MAX_MULTIPLIER: f32 = 4_294_967_296.0;

/// Least temperature, 2^-64: logits are at most 2^31 times the greatest multiplier, and divided by it still finite.
const MIN_TEMPERATURE: f32 = 1.0 / 18_446_744_073_709_551_616.0;

/// Most elements under a pooling window, so that a sum of 9-bit values fits an i32.
const MAX_POOL: u32 = (i32::MAX / 255) as u32;

/// A check failed; what is wrong is in the [`At`]. It carries nothing, so that handing it on is one branch.
#[derive(Debug, Clone, Copy)]
struct Stop;

type Result<T = ()> = core::result::Result<T, Stop>;

/// Where the checks of a model stand, and what the first that failed found.
#[derive(Debug)]
struct At<'c, 'm> {
    model: &'c Model<'m>,
    layer: Option<u16>,
    error: Option<ArtifactError>,
}

impl At<'_, '_> {
    fn place(&self, field: Field) -> Place {
        Place { layer: self.layer, field }
    }

    #[cold]
    #[inline(never)]
    fn fail(&mut self, error: ArtifactError) -> Result {
        self.error = Some(error);
        Err(Stop)
    }

    #[inline(never)]
    fn equal(&mut self, field: Field, found: u32, expected: u32) -> Result {
        if found == expected {
            return Ok(());
        }
        let (found, expected) = (found.into(), expected.into());
        self.fail(ArtifactError::Mismatch { at: self.place(field), found, expected })
    }

    #[inline(never)]
    fn signed_range(&mut self, field: Field, found: i64, min: i64, max: i64) -> Result {
        if (min..=max).contains(&found) {
            return Ok(());
        }
        self.fail(ArtifactError::Range { at: self.place(field), found, min, max })
    }

    #[inline(never)]
    fn range(&mut self, field: Field, found: u32, min: u32, max: u32) -> Result {
        self.signed_range(field, found.into(), min.into(), max.into())
    }

    #[inline(never)]
    fn rule(&mut self, field: Field, holds: bool, expected: Rule) -> Result {
        if holds {
            return Ok(());
        }
        self.fail(ArtifactError::Rule { at: self.place(field), expected })
    }

    #[inline(never)]
    fn float(&mut self, field: Field, found: f32, holds: bool, expected: Rule) -> Result {
        if holds {
            return Ok(());
        }
        self.fail(ArtifactError::Float { at: self.place(field), found, expected })
    }

    /// Subnormals are refused because some targets flush them to zero.
    #[inline(never)]
    fn positive(&mut self, field: Field, x: f32) -> Result {
        let holds = x.is_normal() && x > 0.0 && x <= MAX_MULTIPLIER;
        self.float(field, x, holds, Rule::Positive)
    }

    #[inline(never)]
    fn finite(&mut self, field: Field, x: f32) -> Result {
        self.float(field, x, x.is_finite(), Rule::Finite)
    }
}

/// A check of facts that not every program reads.
pub(super) struct Facts(fn(&mut At<'_, '_>) -> Result);

/// That of what was fitted after quantization, but for the adaptive rule.
pub(super) const FACTS: Facts = Facts(facts::check);

/// Checks everything that the header's checks left open.
#[inline(never)]
pub(super) fn check(model: &Model<'_>, facts: Option<Facts>) -> core::result::Result<(), ArtifactError> {
    let mut at = At { model, layer: None, error: None };
    let done = check_all(&mut at).and_then(|()| facts.map_or(Ok(()), |Facts(check)| check(&mut at)));
    // There always is an error.
    done.map_err(|Stop| at.error.unwrap_or(ArtifactError::Unsigned))
}

#[inline(never)]
fn check_all(at: &mut At<'_, '_>) -> Result {
    check_head(at)?;
    blobs::check_input(at)?;
    let count = decode_all(at)?;
    for (index, layer) in at.model.layers().enumerate() {
        at.layer = Some(index as u16);
        check_layer(at, &layer, index + 1 == usize::from(count))?;
        flow::check(at, index, &layer)?;
        blobs::check_layer(at, &layer)?;
    }
    at.layer = None;
    blobs::check_posterior(at)?;
    adaptive::check(at)?;
    regression::check(at)
}

#[inline(never)]
fn check_head(at: &mut At<'_, '_>) -> Result {
    let manifest = at.model.manifest();
    at.range(Field::LayerCount, manifest.layer_count.into(), 1, MAX_LAYERS)?;
    at.range(Field::Outputs, manifest.outputs.into(), 1, u16::MAX.into())?;
    let temperature = manifest.temperature;
    at.float(
        Field::Temperature,
        temperature,
        (MIN_TEMPERATURE..=MAX_MULTIPLIER).contains(&temperature),
        Rule::Temperature,
    )?;
    at.equal(Field::InputTensorOffset, manifest.input.tensor.offset, 0)?;
    check_tensor(at, Field::InputTensor, &manifest.input.tensor, u32::MAX)?;
    if !manifest.class_names.is_empty() {
        let names = manifest.class_names.bytes().filter(|&byte| byte == b'\n').count() as u32 + 1;
        let named = manifest.task.targets(manifest.outputs).unwrap_or(manifest.outputs);
        at.equal(Field::ClassNames, names, named.into())?;
    }
    Ok(())
}

/// Every layer decodes, and no byte is left over.
#[inline(never)]
fn decode_all(at: &mut At<'_, '_>) -> Result<u16> {
    let count = at.model.manifest().layer_count;
    let mut layers = at.model.layers();
    for index in 0..count {
        if layers.next().is_none() {
            at.layer = Some(index);
            at.fail(ArtifactError::Undecodable { at: at.place(Field::Layer) })?;
        }
    }
    at.equal(Field::BytesBehindTheLastLayer, layers.rest().len() as u32, 0)?;
    Ok(count)
}

#[inline(never)]
fn check_tensor(at: &mut At<'_, '_>, field: Field, tensor: &Tensor, arena: u32) -> Result {
    at.rule(field, !tensor.is_empty(), Rule::NotEmpty)?;
    at.positive(field, tensor.scale)?;
    // Below 2^49.
    let end = tensor.len() + u64::from(tensor.offset);
    at.signed_range(field, end as i64, 1, arena.into())
}

#[inline(never)]
fn same_quantization(at: &mut At<'_, '_>, field: Field, a: &Tensor, b: &Tensor) -> Result {
    let same = a.scale.to_bits() == b.scale.to_bits() && a.zero_point == b.zero_point;
    at.rule(field, same, Rule::SameQuantization)
}

#[inline(never)]
fn check_window(at: &mut At<'_, '_>, window: Window, input: &Tensor, output: &Tensor) -> Result {
    match window.check(input, output) {
        Ok(()) => Ok(()),
        Err(WindowError { field, found, min, max }) => {
            at.fail(ArtifactError::Range { at: at.place(field), found, min, max })
        }
    }
}

#[inline(never)]
fn check_layer(at: &mut At<'_, '_>, layer: &Layer, last: bool) -> Result {
    let arena = at.model.manifest().arena_bytes;
    let outputs = u32::from(at.model.manifest().outputs);
    let (input, second, output) = layer.tensors();
    at.rule(Field::Layer, output.is_none() == last, Rule::OneOutputLayer)?;
    // Layer 0 reads the network's input, which is in no arena: `flow` holds it against the manifest.
    check_tensor(at, Field::Input, input, if at.layer == Some(0) { u32::MAX } else { arena })?;
    if let Some(b) = second {
        check_tensor(at, Field::SecondInput, b, arena)?;
    }
    let Some(output) = output else {
        return match layer {
            Layer::DenseOutput { weights, .. } => {
                at.equal(Field::WeightsBiasLen, weights.bias.len, outputs * 4)
            }
            // The arena's bound, just checked.
            _ => at.equal(Field::Input, input.len() as u32, outputs),
        };
    };
    check_tensor(at, Field::Output, output, arena)?;
    if let Some(window) = layer.window() {
        check_window(at, window, input, output)?;
    }
    if let Some(clamp) = layer.clamp() {
        at.signed_range(Field::ClampMin, clamp.min.into(), i8::MIN.into(), clamp.max.into())?;
    }
    check_kind(at, layer, [input, second.unwrap_or(input), output])
}

/// What holds for some kinds of layers; `b` is the input where there is no second one.
#[inline(never)]
fn check_kind(at: &mut At<'_, '_>, layer: &Layer, [input, b, output]: [&Tensor; 3]) -> Result {
    match layer {
        Layer::Conv2d { .. } | Layer::DenseOutput { .. } | Layer::Dequantize { .. } => Ok(()),
        Layer::DepthwiseConv2d { .. } => same_channels(at, output, input),
        Layer::Dense { .. } => {
            at.equal(Field::OutputHeight, output.height.into(), 1)?;
            at.equal(Field::OutputWidth, output.width.into(), 1)
        }
        Layer::MaxPool { .. } => {
            same_channels(at, output, input)?;
            same_quantization(at, Field::Output, output, input)
        }
        Layer::AvgPool { window, .. } => {
            same_channels(at, output, input)?;
            at.range(Field::WindowKernel, window.area(), 1, MAX_POOL)?;
            at.positive(Field::OutputScale, window.area() as f32 * output.scale)?;
            at.positive(Field::InputScaleByOutputScale, input.scale / output.scale)
        }
        Layer::Add { multiplier_a, multiplier_b, .. } | Layer::Sub { multiplier_a, multiplier_b, .. } => {
            same_shape(at, Field::SecondInput, b, input)?;
            same_shape(at, Field::Output, output, input)?;
            check_two(at, *multiplier_a, *multiplier_b)
        }
        Layer::Lookup { .. } => same_shape(at, Field::Output, output, input),
        Layer::Mul { multiplier, .. } => {
            let per_channel = (b.height, b.width, b.channels) == (1, 1, input.channels);
            if !per_channel {
                same_shape(at, Field::SecondInput, b, input)?;
            }
            same_shape(at, Field::Output, output, input)?;
            at.positive(Field::Multiplier, *multiplier)
        }
        Layer::Concat { axis, multiplier_a, multiplier_b, .. } => {
            check_joined(at, *axis, [input, b, output])?;
            check_two(at, *multiplier_a, *multiplier_b)
        }
        Layer::Pad { begin, .. } => {
            same_channels(at, output, input)?;
            let room = [(output.height, input.height), (output.width, input.width)];
            for ((output, input), begin) in room.into_iter().zip(*begin) {
                let least = u32::from(input) + u32::from(begin);
                at.range(Field::OutputHeightAndWidth, output.into(), least, u16::MAX.into())?;
            }
            same_quantization(at, Field::Output, output, input)
        }
    }
}

#[inline(never)]
fn check_two(at: &mut At<'_, '_>, multiplier_a: f32, multiplier_b: f32) -> Result {
    at.positive(Field::MultiplierA, multiplier_a)?;
    at.positive(Field::MultiplierB, multiplier_b)
}

#[inline(never)]
fn same_channels(at: &mut At<'_, '_>, output: &Tensor, input: &Tensor) -> Result {
    at.equal(Field::OutputChannels, output.channels.into(), input.channels.into())
}

/// Two tensors joined along an axis: the sizes add up there and agree elsewhere.
#[inline(never)]
fn check_joined(at: &mut At<'_, '_>, axis: u8, tensors: [&Tensor; 3]) -> Result {
    at.range(Field::Axis, axis.into(), 0, 2)?;
    let [a, b, y] = tensors.map(|t| [t.height, t.width, t.channels].map(u32::from));
    for (i, ((a, b), y)) in a.into_iter().zip(b).zip(y).enumerate() {
        let joined = i == usize::from(axis);
        if !joined {
            at.equal(Field::SecondInput, b, a)?;
        }
        at.equal(Field::Output, y, if joined { a + b } else { a })?;
    }
    Ok(())
}

#[inline(never)]
fn same_shape(at: &mut At<'_, '_>, field: Field, a: &Tensor, b: &Tensor) -> Result {
    let same = (a.height, a.width, a.channels) == (b.height, b.width, b.channels);
    at.rule(field, same, Rule::SameShape)
}
