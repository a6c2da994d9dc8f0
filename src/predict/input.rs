//! The network's input: raw values, and how they become int8.

use crate::artifact::{ChannelOrder, InputLayout, InputSpec, Model};
use crate::kernels::{Kernels, Quantize};
use crate::number;
use core::fmt;

/// One input of `height * width * channels` values; raw ones in the order that the artifact names (rows,
/// columns, channels if it was not told otherwise).
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// Raw values as bytes (pixels: 0 to 255); preprocessed and quantized by the artifact's rule.
    U8(&'a [u8]),
    /// Raw values as f32, in the same units as bytes; preprocessed and quantized likewise.
    F32(&'a [f32]),
    /// Values that are quantized already: rows, columns, channels of the network.
    Quantized(&'a [i8]),
}

/// Why an input cannot be predicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum PredictError {
    /// The input has another number of values than the network's.
    Length {
        /// Number of values.
        found: usize,
        /// `height * width * channels`.
        expected: usize,
    },
    /// A value is NaN or infinite.
    NotFinite {
        /// Its index.
        index: usize,
    },
    /// There is no such draw: the predictor has fewer.
    Draw {
        /// The draw asked for.
        found: u16,
        /// Number of draws.
        samples: u16,
    },
    /// The artifact changed since it was loaded; see
    /// [`Predictor::recheck_every`](super::Predictor::recheck_every).
    Damaged,
    /// The model and the workspace disagree. A checked model does not let this happen.
    Inconsistent,
}

impl fmt::Display for PredictError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { found, expected } => {
                write!(f, "input: found {found} values, expected {expected}")
            }
            Self::NotFinite { index } => {
                write!(f, "input value {index}: found NaN or infinity, expected a finite number")
            }
            Self::Draw { found, samples } => {
                write!(f, "draw: found {found}, expected less than {samples}")
            }
            Self::Damaged => write!(f, "artifact: found other bytes than were loaded, expected the same"),
            Self::Inconsistent => write!(f, "model and workspace disagree"),
        }
    }
}

impl core::error::Error for PredictError {}

impl Input<'_> {
    /// Number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::U8(x) => x.len(),
            Self::F32(x) => x.len(),
            Self::Quantized(x) => x.len(),
        }
    }

    /// Whether there is no value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes the quantized input, `out.len()` values.
    pub(super) fn quantize(
        self,
        model: &Model<'_>,
        kernels: Kernels,
        out: &mut [i8],
    ) -> Result<(), PredictError> {
        if self.len() != out.len() {
            return Err(PredictError::Length { found: self.len(), expected: out.len() });
        }
        let spec = &model.manifest().input;
        let (mean, multiplier) = (model.f32s(spec.mean), model.f32s(spec.multiplier));
        let rule = Quantize { mean, multiplier, zero_point: spec.tensor.zero_point };
        // A device has code for any order alone.
        let in_order = cfg!(feature = "std")
            && (spec.layout, spec.channel_order) == (InputLayout::Nhwc, ChannelOrder::Same);
        match self {
            // Not `copy_from_slice`, which keeps a panic for lengths that differ.
            Self::Quantized(x) => out.iter_mut().zip(x).for_each(|(out, &x)| *out = x),
            Self::U8(x) if in_order => kernels.quantize(x, &rule, out),
            Self::U8(x) => arrange(spec, &rule, x, out),
            Self::F32(x) => {
                if !all_finite(x) {
                    let index = x.iter().position(|x| !x.is_finite()).unwrap_or_default();
                    return Err(PredictError::NotFinite { index });
                }
                if in_order {
                    kernels.quantize(x, &rule, out);
                } else {
                    arrange(spec, &rule, x, out);
                }
            }
        }
        Ok(())
    }
}

impl Input<'_> {
    /// Mean squared difference of the preprocessed input from `values`, one for each of its own, in the
    /// order rows, columns, channels of the network.
    pub(super) fn squared_error(self, model: &Model<'_>, values: &[f32]) -> f32 {
        match self {
            Self::U8(raw) => squared_error(model, raw, values),
            Self::F32(raw) => squared_error(model, raw, values),
            Self::Quantized(x) => {
                let tensor = model.manifest().input.tensor;
                let zero_point = i16::from(tensor.zero_point);
                let x = x.iter().map(|&q| tensor.scale * f32::from(i16::from(q) - zero_point));
                mean_square(x.zip(values).map(|(x, value)| x - value), values.len())
            }
        }
    }
}

fn squared_error<T: Copy + Into<f32>>(model: &Model<'_>, raw: &[T], values: &[f32]) -> f32 {
    let spec = model.manifest().input;
    let (mean, multiplier) = (model.f32s(spec.mean), model.f32s(spec.multiplier));
    let channels = usize::from(spec.tensor.channels).max(1);
    let places = places(&spec, values.len());
    let parameters = (0..values.len()).map(|i| i % channels).map(|c| (mean.get(c), multiplier.get(c)));
    let distances = places.zip(parameters).zip(values).filter_map(|((at, (mean, multiplier)), value)| {
        let x: f32 = (*raw.get(at)?).into();
        Some((x - mean?) * multiplier? * spec.tensor.scale - value)
    });
    mean_square(distances, values.len())
}

fn mean_square(values: impl Iterator<Item = f32>, count: usize) -> f32 {
    values.map(|x| x * x).sum::<f32>() / count.max(1) as f32
}

/// For each value of the network, in the order rows, columns, channels, the index of its raw value.
fn places(spec: &InputSpec, len: usize) -> impl Iterator<Item = usize> {
    let channels = usize::from(spec.tensor.channels).max(1);
    let positions = len / channels;
    let (layout, order) = (spec.layout, spec.channel_order);
    (0..positions).flat_map(move |position| {
        (0..channels).map(move |channel| {
            let source = match order {
                ChannelOrder::Same => channel,
                ChannelOrder::Reversed => channels - 1 - channel,
            };
            match layout {
                InputLayout::Nhwc => position * channels + source,
                InputLayout::Nchw => source * positions + position,
            }
        })
    })
}

/// Without a branch for each value, so that it takes a vector at a time.
fn all_finite(x: &[f32]) -> bool {
    x.chunks(64).all(|x| x.iter().fold(true, |all, x| all & x.is_finite()))
}

/// Quantizes raw values that come in any order.
fn arrange<T: Copy + Into<f32>>(spec: &InputSpec, rule: &Quantize<'_>, raw: &[T], out: &mut [i8]) {
    let channels = usize::from(spec.tensor.channels).max(1);
    // From a position, and from a channel, to the next one.
    let [next_position, next_channel] = match spec.layout {
        InputLayout::Nhwc => [channels, 1],
        InputLayout::Nchw => [1, out.len() / channels],
    };
    let (first, step) = match spec.channel_order {
        ChannelOrder::Same => (0, next_channel),
        ChannelOrder::Reversed => ((channels - 1) * next_channel, next_channel.wrapping_neg()),
    };
    for (position, out) in out.chunks_exact_mut(channels).enumerate() {
        let mut at = position * next_position + first;
        let parameters = rule.mean.iter().zip(rule.multiplier);
        for (out, (&mean, &multiplier)) in out.iter_mut().zip(parameters) {
            // There is one: the lengths were compared.
            if let Some(&x) = raw.get(at) {
                *out = number::quantize(x.into(), mean, multiplier, rule.zero_point);
            }
            at = at.wrapping_add(step);
        }
    }
}
