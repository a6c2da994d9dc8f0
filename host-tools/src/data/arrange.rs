//! Brings raw values into the order that the network reads: rows, columns, channels of the network.

use super::{ChannelOrder, Dataset, Inputs, Layout, Preprocessing, Splits};
use crate::error::{Error, Result};
use crate::graph::Shape;

impl Preprocessing {
    /// The network's shape of an example whose raw values are read as `raw`: an array's axes in their own
    /// order, whatever they stand for.
    #[must_use]
    pub const fn network_shape(&self, raw: Shape) -> Shape {
        match self.layout {
            Layout::Nhwc => raw,
            Layout::Nchw => Shape::new(raw.width, raw.channels, raw.height),
        }
    }

    /// For each value of the network's input, rows x columns x channels, the index of its raw value.
    fn sources(&self, shape: Shape) -> Vec<usize> {
        let Shape { height, width, channels } = shape;
        let mut sources = Vec::with_capacity(shape.len());
        for position in 0..height * width {
            for channel in 0..channels {
                let raw = match self.channel_order {
                    ChannelOrder::Same => channel,
                    ChannelOrder::Reversed => channels - 1 - channel,
                };
                sources.push(match self.layout {
                    Layout::Nhwc => position * channels + raw,
                    Layout::Nchw => raw * height * width + position,
                });
            }
        }
        sources
    }
}

impl Dataset {
    /// The same examples in the order that the network reads.
    ///
    /// # Errors
    /// If they would have to be arranged and are on disk: shards are written in their final order.
    pub fn arranged(self, preprocessing: &Preprocessing) -> Result<Self> {
        if (preprocessing.layout, preprocessing.channel_order) == (Layout::Nhwc, ChannelOrder::Same) {
            return Ok(self);
        }
        let shape = preprocessing.network_shape(self.shape);
        let sources = preprocessing.sources(shape);
        let inputs = match &self.inputs {
            Inputs::U8(values) => Inputs::U8(arrange(values, &sources)),
            Inputs::F32(values) => Inputs::F32(arrange(values, &sources)),
            Inputs::Sharded(_) => {
                return Err(Error::invalid(
                    format!("{}: layout and channel order", self.name),
                    format!("{:?}, {:?} for data on disk", preprocessing.layout, preprocessing.channel_order),
                    "shards in the order rows, columns, channels of the network",
                ));
            }
        };
        Ok(Self { shape, inputs, ..self })
    }
}

impl Splits {
    /// All parts in the order that the network reads.
    ///
    /// # Errors
    /// As [`Dataset::arranged`].
    pub fn arranged(self, preprocessing: &Preprocessing) -> Result<Self> {
        Ok(Self {
            train: self.train.arranged(preprocessing)?,
            validation: self.validation.arranged(preprocessing)?,
            calibration: self.calibration.arranged(preprocessing)?,
            test: self.test.arranged(preprocessing)?,
        })
    }
}

fn arrange<T: Copy>(values: &[T], sources: &[usize]) -> Vec<T> {
    values.chunks_exact(sources.len()).flat_map(|example| sources.iter().map(|&at| example[at])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_and_reversed_channels_become_rows_columns_channels() {
        // Two planes of 2 x 3: values 0..6 and 6..12.
        let raw = Dataset {
            name: "t".into(),
            shape: Shape::new(2, 2, 3),
            inputs: Inputs::U8((0..12).collect()),
            labels: vec![0],
            class_names: vec!["a".into()],
            targets: Default::default(),
        };
        let planar = Preprocessing { layout: Layout::Nchw, ..Preprocessing::default() };
        let arranged = raw.clone().arranged(&planar).unwrap();
        assert_eq!(arranged.shape, Shape::new(2, 3, 2));
        assert_eq!(arranged.inputs, Inputs::U8(vec![0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 5, 11]));
        let swapped = Preprocessing { channel_order: ChannelOrder::Reversed, ..planar };
        assert_eq!(
            raw.clone().arranged(&swapped).unwrap().inputs,
            Inputs::U8(vec![6, 0, 7, 1, 8, 2, 9, 3, 10, 4, 11, 5])
        );
        assert_eq!(raw.clone().arranged(&Preprocessing::default()).unwrap(), raw);
    }
}
