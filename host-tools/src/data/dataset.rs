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

/// Normalisation before the first layer: `(x - mean[c]) / std[c]` on raw values.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Preprocessing {
    /// Per channel, in raw units.
    pub mean: Vec<f32>,
    /// Per channel, in raw units; positive.
    pub std: Vec<f32>,
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
