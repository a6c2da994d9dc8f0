//! Normalisation before the first layer, fitted on the training part alone.

use super::{Dataset, Preprocessing, RawExample, Scratch};
use crate::error::{Error, Result};

/// A channel whose standard deviation is below this share of its magnitude (or of 1) is constant; its
/// `std` is 1, so that unseen values there are not blown up.
const CONSTANT: f64 = 1e-6;

impl Preprocessing {
    /// Mean and standard deviation (of the population) of each channel over all examples and
    /// positions, in f64 and two passes.
    ///
    /// # Errors
    /// If there is no example, one cannot be read, or a value is too large for its statistics to be finite.
    pub fn fit(train: &Dataset) -> Result<Self> {
        if train.is_empty() {
            return Err(Error::invalid(format!("{}: training examples", train.name), 0, "at least 1"));
        }
        let (mean, std) = moments(train)?;
        let std = mean
            .iter()
            .zip(std)
            .map(|(mean, std)| if std > CONSTANT * mean.abs().max(1.0) { std } else { 1.0 });
        let fitted =
            Self { std: std.map(|std| std as f32).collect(), mean: to_f32(&mean), ..Self::default() };
        if fitted.mean.iter().chain(&fitted.std).any(|value| !value.is_finite()) {
            let what = format!("{}: mean and standard deviation", train.name);
            return Err(Error::invalid(what, "overflow", "inputs of moderate size"));
        }
        Ok(fitted)
    }

    /// Appends the normalised examples, `[indices.len(), height, width, channels]` in f32, to `out`
    /// after clearing it: `(x - mean[c]) / std[c]`, each operation rounded to f32.
    ///
    /// # Errors
    /// If an index is out of range, an example cannot be read, or the number of channels is not that of
    /// the fit.
    pub fn apply(&self, dataset: &Dataset, indices: &[usize], out: &mut Vec<f32>) -> Result<()> {
        if dataset.shape.channels != self.mean.len() || self.std.len() != self.mean.len() {
            let what = format!("{}: channels", dataset.name);
            return Err(Error::invalid(what, dataset.shape.channels, self.mean.len()));
        }
        out.clear();
        out.reserve(indices.len() * dataset.shape.len());
        let mut scratch = Scratch::default();
        for &index in indices {
            match dataset.raw(index, &mut scratch)? {
                RawExample::U8(values) => self.push(values.iter().map(|&value| f32::from(value)), out),
                RawExample::F32(values) => self.push(values.iter().copied(), out),
            }
        }
        Ok(())
    }

    fn push(&self, values: impl Iterator<Item = f32>, out: &mut Vec<f32>) {
        let channels = self.mean.iter().zip(&self.std).cycle();
        out.extend(values.zip(channels).map(|(value, (mean, std))| (value - mean) / std));
    }
}

fn to_f32(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&value| value as f32).collect()
}

/// Mean and population standard deviation of each channel.
///
/// # Errors
/// If an example cannot be read.
pub(super) fn moments(set: &Dataset) -> Result<(Vec<f64>, Vec<f64>)> {
    let channels = set.shape.channels;
    let per_channel = (set.len() * set.shape.height * set.shape.width) as f64;
    let mean = average(set, channels, per_channel, |value, _| value)?;
    let variance = average(set, channels, per_channel, |value, channel| (value - mean[channel]).powi(2))?;
    Ok((mean, variance.into_iter().map(f64::sqrt).collect()))
}

fn average(set: &Dataset, channels: usize, count: f64, term: impl Fn(f64, usize) -> f64) -> Result<Vec<f64>> {
    let (mut sums, mut scratch) = (vec![0.0; channels], Scratch::default());
    for example in 0..set.len() {
        set.raw(example, &mut scratch)?.each(|index, value| {
            let channel = index % channels;
            sums[channel] += term(f64::from(value), channel);
        });
    }
    Ok(sums.into_iter().map(|sum| sum / count).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Inputs;
    use crate::graph::Shape;

    fn set(inputs: Inputs, shape: Shape, examples: usize) -> Dataset {
        Dataset {
            name: "t".into(),
            shape,
            inputs,
            labels: vec![0; examples],
            class_names: vec!["a".into()],
            targets: Default::default(),
        }
    }

    #[test]
    fn channels_are_normalised_by_their_own_moments() {
        // Channel 0: 0, 2, 4, 6 (mean 3, variance 5); channel 1: constant 9.
        let data = set(Inputs::U8(vec![0, 9, 2, 9, 4, 9, 6, 9]), Shape::new(1, 2, 2), 2);
        let fitted = Preprocessing::fit(&data).unwrap();
        assert_eq!(
            (fitted.mean.as_slice(), fitted.std.as_slice()),
            (&[3.0, 9.0][..], &[5_f32.sqrt(), 1.0][..])
        );
        let mut out = vec![1.0; 99];
        fitted.apply(&data, &[1, 0], &mut out).unwrap();
        let s = 5_f32.sqrt();
        assert_eq!(out, [1.0 / s, 0.0, 3.0 / s, 0.0, -3.0 / s, 0.0, -1.0 / s, 0.0]);
    }

    #[test]
    fn bytes_and_floats_give_the_same_bits() {
        let bytes: Vec<u8> = (0..=255).collect();
        let floats = Inputs::F32(bytes.iter().map(|&value| f32::from(value)).collect());
        let sets = [Inputs::U8(bytes), floats].map(|inputs| set(inputs, Shape::new(4, 4, 4), 4));
        let results = sets.map(|data| {
            let fitted = Preprocessing::fit(&data).unwrap();
            let mut out = Vec::new();
            fitted.apply(&data, &[3, 1], &mut out).unwrap();
            (fitted, out)
        });
        assert_eq!(results[0], results[1]);
    }

    #[test]
    fn large_offsets_do_not_cancel() {
        let data = set(Inputs::F32(vec![1e6, 1e6 + 1.0]), Shape::vector(1), 2);
        // 0.5 is below the constant channel's bound at this magnitude, 2 is not.
        assert_eq!(Preprocessing::fit(&data).unwrap().std, [1.0]);
        let data = set(Inputs::F32(vec![1e6, 1e6 + 4.0]), Shape::vector(1), 2);
        assert_eq!(Preprocessing::fit(&data).unwrap().std, [2.0]);
    }

    #[test]
    fn misfits_are_errors() {
        let data = set(Inputs::U8(vec![1, 2]), Shape::vector(1), 2);
        let fitted = Preprocessing::fit(&data).unwrap();
        let mut out = Vec::new();
        assert!(fitted.apply(&data, &[2], &mut out).is_err());
        let wide = set(Inputs::U8(vec![1, 2]), Shape::vector(2), 1);
        let message = fitted.apply(&wide, &[0], &mut out).unwrap_err().to_string();
        assert!(message.contains("channels: found 2, expected 1"), "{message}");
        assert!(Preprocessing::fit(&set(Inputs::U8(vec![]), Shape::vector(1), 0)).is_err());
        let huge = set(Inputs::F32(vec![f32::MAX, f32::MIN]), Shape::vector(1), 2);
        assert!(Preprocessing::fit(&huge).is_ok_and(|fitted| fitted.std[0].is_finite()));
    }
}
