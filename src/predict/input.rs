//! The network's input: raw values, and how they become int8.

use crate::artifact::{ChannelOrder, InputLayout, InputSpec, Model};
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
    pub(super) fn quantize(self, model: &Model<'_>, out: &mut [i8]) -> Result<(), PredictError> {
        if self.len() != out.len() {
            return Err(PredictError::Length { found: self.len(), expected: out.len() });
        }
        let spec = model.manifest().input;
        let (mean, multiplier) = (model.f32s(spec.mean), model.f32s(spec.multiplier));
        let zero_point = spec.tensor.zero_point;
        match self {
            Self::Quantized(x) => out.copy_from_slice(x),
            Self::U8(x) => each(&spec, x, out, |x, channel| {
                number::quantize(f32::from(x), mean[channel], multiplier[channel], zero_point)
            }),
            Self::F32(x) => {
                if let Some(index) = x.iter().position(|x| !x.is_finite()) {
                    return Err(PredictError::NotFinite { index });
                }
                each(&spec, x, out, |x, channel| {
                    number::quantize(x, mean[channel], multiplier[channel], zero_point)
                });
            }
        }
        Ok(())
    }
}

/// Writes `quantize(raw value, channel)` for every value of the network's input.
#[inline]
fn each<T: Copy>(spec: &InputSpec, raw: &[T], out: &mut [i8], quantize: impl Fn(T, usize) -> i8) {
    let channels = usize::from(spec.tensor.channels).max(1);
    let source = |channel: usize| match spec.channel_order {
        ChannelOrder::Same => channel,
        ChannelOrder::Reversed => channels - 1 - channel,
    };
    match (spec.layout, spec.channel_order) {
        (InputLayout::Nhwc, ChannelOrder::Same) => {
            for (raw, out) in raw.chunks_exact(channels).zip(out.chunks_exact_mut(channels)) {
                raw.iter().zip(out).enumerate().for_each(|(c, (&x, out))| *out = quantize(x, c));
            }
        }
        (InputLayout::Nhwc, ChannelOrder::Reversed) => {
            for (raw, out) in raw.chunks_exact(channels).zip(out.chunks_exact_mut(channels)) {
                raw.iter().rev().zip(out).enumerate().for_each(|(c, (&x, out))| *out = quantize(x, c));
            }
        }
        (InputLayout::Nchw, _) => {
            let plane = raw.len() / channels;
            for (position, out) in out.chunks_exact_mut(channels).enumerate() {
                for (c, out) in out.iter_mut().enumerate() {
                    *out = quantize(raw[source(c) * plane + position], c);
                }
            }
        }
    }
}
