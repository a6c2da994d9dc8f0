//! A data set: raw inputs as they were read, in memory or on disk, labels, class names, and its splits.

use super::memory;
use super::shards::Sharded;
use super::split::shuffled;
use super::targets::Targets;
use crate::error::{Error, Result};
use crate::graph::Shape;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;

/// Raw inputs, NHWC, one example after another; pixels are 0 to 255 in either form.
#[derive(Debug, Clone, PartialEq)]
pub enum Inputs {
    /// Bytes, as in image files.
    U8(Vec<u8>),
    /// Any finite numbers.
    F32(Vec<f32>),
    /// Either, on disk: read when they are asked for.
    Sharded(Sharded),
}

/// Type of raw values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Element {
    /// Bytes.
    U8,
    /// Single-precision numbers.
    F32,
}

impl Element {
    /// Bytes of one value.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::F32 => 4,
        }
    }

    /// The type with so many bytes.
    pub(super) fn of_bytes(bytes: u32) -> Option<Self> {
        [Self::U8, Self::F32].into_iter().find(|element| element.bytes() == bytes as usize)
    }

    /// `u8` or `f32`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::U8 => "u8",
            Self::F32 => "f32",
        }
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Raw values of one example, NHWC.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RawExample<'a> {
    /// Bytes.
    U8(&'a [u8]),
    /// Finite numbers.
    F32(&'a [f32]),
}

impl RawExample<'_> {
    /// Type of the values.
    #[must_use]
    pub const fn element(&self) -> Element {
        match self {
            Self::U8(_) => Element::U8,
            Self::F32(_) => Element::F32,
        }
    }

    /// Number of values.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::U8(values) => values.len(),
            Self::F32(values) => values.len(),
        }
    }

    /// Whether there is no value.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Calls `visit` with each value and its place.
    pub fn each(&self, mut visit: impl FnMut(usize, f32)) {
        match self {
            Self::U8(values) => {
                values.iter().enumerate().for_each(|(index, &value)| visit(index, f32::from(value)))
            }
            Self::F32(values) => values.iter().enumerate().for_each(|(index, &value)| visit(index, value)),
        }
    }
}

impl<'a> From<RawExample<'a>> for stf_bnn::Input<'a> {
    fn from(example: RawExample<'a>) -> Self {
        match example {
            RawExample::U8(values) => Self::U8(values),
            RawExample::F32(values) => Self::F32(values),
        }
    }
}

/// Memory for an example that is read from disk; one for each thread that reads.
#[derive(Debug, Clone, Default)]
pub struct Scratch {
    pub(super) bytes: Vec<u8>,
    pub(super) values: Vec<f32>,
}

/// Examples with their labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// Short name: `mnist`, or the path it was read from.
    pub name: String,
    /// Shape of one example.
    pub shape: Shape,
    /// Raw values, `len() * shape.len()` of them.
    pub inputs: Inputs,
    /// Class of each example, below `class_names.len()`.
    pub labels: Vec<u32>,
    /// Names of the classes.
    pub class_names: Vec<String>,
    /// What a regression predicts; none of other data.
    pub targets: Targets,
}

/// The parts of a data set; no example is in two of them.
#[derive(Debug, Clone)]
pub struct Splits {
    /// Fits weights and posterior.
    pub train: Dataset,
    /// Progress figures and the choice of hyper-parameters.
    pub validation: Dataset,
    /// Fits quantization ranges, and later temperature and thresholds.
    pub calibration: Dataset,
    /// Reported, never fitted.
    pub test: Dataset,
}

/// Order of the raw values of an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// Rows, columns, channels: the channels of a pixel side by side, as in image files.
    #[default]
    Nhwc,
    /// Channels, rows, columns: one plane a channel.
    Nchw,
}

/// Which raw channel is which channel of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChannelOrder {
    /// The same.
    #[default]
    Same,
    /// The last is the first: RGB data for a network that was trained on BGR, or the reverse.
    Reversed,
}

/// What becomes of raw values before the first layer: they are arranged as rows, columns, channels of the
/// network, then `(x - mean[c]) / std[c]`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Preprocessing {
    /// Per channel of the network, in raw units.
    pub mean: Vec<f32>,
    /// Per channel of the network, in raw units; positive.
    pub std: Vec<f32>,
    /// Order of the raw values.
    #[serde(default)]
    pub layout: Layout,
    /// Order of the raw channels.
    #[serde(default)]
    pub channel_order: ChannelOrder,
}

impl Dataset {
    /// Number of examples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no example.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Type of the raw values.
    #[must_use]
    pub fn element(&self) -> Element {
        match &self.inputs {
            Inputs::U8(_) => Element::U8,
            Inputs::F32(_) => Element::F32,
            Inputs::Sharded(sharded) => sharded.element(),
        }
    }

    /// Raw values of one example, read into `scratch` if they are on disk.
    ///
    /// # Errors
    /// If the index is out of range, or the example cannot be read.
    pub fn raw<'a>(&'a self, index: usize, scratch: &'a mut Scratch) -> Result<RawExample<'a>> {
        let size = self.shape.len();
        let range = index.saturating_mul(size)..index.saturating_add(1).saturating_mul(size);
        let example = match &self.inputs {
            Inputs::U8(values) => values.get(range).map(RawExample::U8),
            Inputs::F32(values) => values.get(range).map(RawExample::F32),
            Inputs::Sharded(sharded) => return sharded.read(index, scratch),
        };
        example.ok_or_else(|| self.out_of_range(index))
    }

    /// All raw values, read into memory if they are on disk.
    ///
    /// # Errors
    /// If an example cannot be read.
    pub fn into_memory(self) -> Result<Inputs> {
        let Inputs::Sharded(sharded) = &self.inputs else { return Ok(self.inputs) };
        let (mut bytes, mut floats, mut scratch) = (Vec::new(), Vec::new(), Scratch::default());
        for index in 0..sharded.len() {
            let path = Path::new(&self.name);
            match sharded.read(index, &mut scratch)? {
                RawExample::U8(values) => {
                    memory::reserve(path, &mut bytes, values.len())?;
                    bytes.extend_from_slice(values);
                }
                RawExample::F32(values) => {
                    memory::reserve(path, &mut floats, values.len())?;
                    floats.extend_from_slice(values);
                }
            }
        }
        Ok(match sharded.element() {
            Element::U8 => Inputs::U8(bytes),
            Element::F32 => Inputs::F32(floats),
        })
    }

    fn out_of_range(&self, index: usize) -> Error {
        Error::invalid(format!("{}: example index", self.name), index, format!("below {}", self.len()))
    }

    /// Indices of at most `most` examples, in order: all, or a choice that is the same each time. The first ones
    /// would be of one class where the data were read class by class.
    #[must_use]
    pub fn sample(&self, most: usize) -> Vec<usize> {
        let mut indices = shuffled(self.len(), 0);
        indices.truncate(most);
        indices.sort_unstable();
        indices
    }

    /// The examples with these indices, in this order; those on disk stay there.
    ///
    /// # Errors
    /// If an index is out of range, or the copy does not fit in memory.
    pub fn select(&self, indices: &[usize]) -> Result<Self> {
        if let Some(&bad) = indices.iter().find(|&&i| i >= self.len()) {
            return Err(self.out_of_range(bad));
        }
        let size = self.shape.len();
        let inputs = match &self.inputs {
            Inputs::U8(values) => Inputs::U8(self.gather(values, indices, size)?),
            Inputs::F32(values) => Inputs::F32(self.gather(values, indices, size)?),
            Inputs::Sharded(sharded) => Inputs::Sharded(sharded.select(indices)),
        };
        Ok(Self {
            name: self.name.clone(),
            shape: self.shape,
            inputs,
            labels: indices.iter().map(|&i| self.labels[i]).collect(),
            class_names: self.class_names.clone(),
            targets: self.targets.select(indices),
        })
    }

    fn gather<T: Copy>(&self, values: &[T], indices: &[usize], size: usize) -> Result<Vec<T>> {
        let chosen = indices.iter().flat_map(|&i| values[i * size..(i + 1) * size].iter().copied());
        memory::collect(Path::new(&self.name), indices.len() * size, chosen)
    }
}
