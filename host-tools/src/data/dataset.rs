//! A data set in memory: raw inputs as they were read, labels, class names, and its splits.

use crate::error::{Error, Result};
use crate::graph::Shape;

/// Raw inputs, NHWC, one example after another; pixels are 0 to 255 in either form.
#[derive(Debug, Clone, PartialEq)]
pub enum Inputs {
    /// Bytes, as in image files.
    U8(Vec<u8>),
    /// Any finite numbers.
    F32(Vec<f32>),
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// Rows, columns, channels: the channels of a pixel side by side, as in image files.
    #[default]
    Nhwc,
    /// Channels, rows, columns: one plane a channel.
    Nchw,
}

/// Which raw channel is which channel of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
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

    /// The examples with these indices, in this order.
    ///
    /// # Errors
    /// If an index is out of range.
    pub fn select(&self, indices: &[usize]) -> Result<Self> {
        if let Some(bad) = indices.iter().find(|&&i| i >= self.len()) {
            return Err(Error::invalid(
                format!("{}: example index", self.name),
                bad,
                format!("below {}", self.len()),
            ));
        }
        let size = self.shape.len();
        let inputs = match &self.inputs {
            Inputs::U8(values) => Inputs::U8(gather(values, indices, size)),
            Inputs::F32(values) => Inputs::F32(gather(values, indices, size)),
        };
        Ok(Self {
            name: self.name.clone(),
            shape: self.shape,
            inputs,
            labels: indices.iter().map(|&i| self.labels[i]).collect(),
            class_names: self.class_names.clone(),
        })
    }
}

fn gather<T: Copy>(values: &[T], indices: &[usize], size: usize) -> Vec<T> {
    indices.iter().flat_map(|&i| values[i * size..(i + 1) * size].iter().copied()).collect()
}
