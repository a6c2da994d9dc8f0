//! What happens to raw values before the file's input: flags, or a small TOML file with the same names.
//!
//! ```toml
//! scale = 0.00392156862745098   # first: x * scale
//! mean = [0.485, 0.456, 0.406]  # then (x - mean) / std
//! std = [0.229, 0.224, 0.225]
//! layout = "nhwc"               # of the raw values: nhwc or nchw
//! channel-order = "same"        # same or reversed (RGB data, BGR network)
//! ```

use super::Normalisation;
use crate::data::{ChannelOrder, Layout, Preprocessing};
use crate::error::{Error, Result};
use clap::Args;
use serde::Deserialize;
use std::path::PathBuf;

/// Flags of the preprocessing.
#[derive(Debug, Args)]
#[command(next_help_heading = "Preprocessing, as the network was trained: (x * scale - mean) / std")]
pub struct PreprocessArgs {
    /// TOML file with the names below
    #[arg(long, value_name = "FILE")]
    preprocess: Option<PathBuf>,
    /// Factor on raw values (pixels: 0 to 255), before mean and std [default: 1]
    #[arg(long)]
    scale: Option<f32>,
    /// Subtracted, one value or one a channel [default: 0]
    #[arg(long, value_delimiter = ',', value_name = "M,...")]
    mean: Option<Vec<f32>>,
    /// Divided by, one value or one a channel [default: 1]
    #[arg(long, value_delimiter = ',', value_name = "S,...")]
    std: Option<Vec<f32>>,
    /// Order of the raw values, on the host and on the device: nhwc or nchw [default: nhwc]
    #[arg(long, value_parser = parse::<Layout>)]
    layout: Option<Layout>,
    /// Channels of the data against those of the network: same or reversed (RGB and BGR)
    #[arg(long, value_parser = parse::<ChannelOrder>)]
    channel_order: Option<ChannelOrder>,
}

/// What flags and file come to.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PreprocessOptions {
    scale: Option<f32>,
    mean: Option<Vec<f32>>,
    std: Option<Vec<f32>>,
    layout: Option<Layout>,
    channel_order: Option<ChannelOrder>,
}

fn parse<T: for<'de> Deserialize<'de>>(text: &str) -> std::result::Result<T, String> {
    serde_json::from_value(text.into()).map_err(|error| error.to_string())
}

impl PreprocessArgs {
    /// Reads the file, if one is named; flags go before it.
    ///
    /// # Errors
    /// If the file cannot be read or has other names.
    pub fn read(&self) -> Result<PreprocessOptions> {
        let file = match &self.preprocess {
            None => PreprocessOptions::default(),
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(Error::io(path, "read"))?;
                toml::from_str(&text).map_err(|error| {
                    let reason = error.message().to_string();
                    Error::malformed(path, "preprocessing", reason, "scale, mean, std, layout, channel-order")
                })?
            }
        };
        Ok(PreprocessOptions {
            scale: self.scale.or(file.scale),
            mean: self.mean.clone().or(file.mean),
            std: self.std.clone().or(file.std),
            layout: self.layout.or(file.layout),
            channel_order: self.channel_order.or(file.channel_order),
        })
    }
}

impl PreprocessOptions {
    /// Only the order of the raw values.
    #[must_use]
    pub fn arrangement(&self) -> Preprocessing {
        Preprocessing {
            layout: self.layout.unwrap_or_default(),
            channel_order: self.channel_order.unwrap_or_default(),
            ..Preprocessing::default()
        }
    }

    /// From raw values to the file's input, for data that are arranged already.
    ///
    /// # Errors
    /// If there are not one or `channels` values, or a number cannot work.
    pub fn file_input(&self, channels: usize) -> Result<Preprocessing> {
        let list = |name: &str, values: &Option<Vec<f32>>, default: f32| -> Result<Vec<f32>> {
            let values = values.clone().unwrap_or_else(|| vec![default]);
            match values.len() {
                1 => Ok(vec![values[0]; channels]),
                len if len == channels => Ok(values),
                len => Err(Error::invalid(
                    format!("preprocessing: {name}"),
                    len,
                    format!("1 or {channels} values"),
                )),
            }
        };
        let scale = self.scale.unwrap_or(1.0);
        let (mean, std) = (list("mean", &self.mean, 0.0)?, list("std", &self.std, 1.0)?);
        let result = Preprocessing {
            mean: mean.iter().map(|mean| mean / scale).collect(),
            std: std.iter().map(|std| std / scale).collect(),
            ..Preprocessing::default()
        };
        checked(result, "preprocessing: scale, mean and std")
    }

    /// From raw values to the first layer: the above, then the file's own normalisation.
    ///
    /// # Errors
    /// As [`Self::file_input`].
    pub fn preprocessing(&self, channels: usize, file: Option<&Normalisation>) -> Result<Preprocessing> {
        let mut result = self.file_input(channels)?;
        if let Some(Normalisation { scale, shift }) = file {
            // scale * (x - mean) / std + shift = (x - (mean - shift * std / scale)) / (std / scale)
            for channel in 0..channels {
                result.mean[channel] -= shift[channel] * result.std[channel] / scale[channel];
                result.std[channel] /= scale[channel];
            }
        }
        let arrangement = self.arrangement();
        result.layout = arrangement.layout;
        result.channel_order = arrangement.channel_order;
        checked(result, "normalisation of the file")
    }
}

fn checked(preprocessing: Preprocessing, what: &str) -> Result<Preprocessing> {
    let finite = preprocessing.mean.iter().all(|mean| mean.is_finite());
    let positive = preprocessing.std.iter().all(|std| std.is_normal() && *std > 0.0);
    if finite && positive {
        return Ok(preprocessing);
    }
    let found = format!("mean {:?}, std {:?}", preprocessing.mean, preprocessing.std);
    Err(Error::invalid(what, found, "finite means and positive deviations"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_and_the_files_own_normalisation_compose() {
        let options = PreprocessOptions {
            scale: Some(1.0 / 255.0),
            mean: Some(vec![0.5, 0.25]),
            std: Some(vec![0.5]),
            ..PreprocessOptions::default()
        };
        let file = Normalisation { scale: vec![2.0, 0.5], shift: vec![1.0, -3.0] };
        let result = options.preprocessing(2, Some(&file)).unwrap();
        for raw in [0.0f32, 17.0, 255.0] {
            for c in 0..2 {
                let expected = file.scale[c] * ((raw / 255.0 - [0.5, 0.25][c]) / 0.5) + file.shift[c];
                let found = (raw - result.mean[c]) / result.std[c];
                assert!((expected - found).abs() < 1e-5, "{raw}: {found}, not {expected}");
            }
        }
    }

    #[test]
    fn the_file_has_the_names_of_the_flags_and_no_others() {
        let read = |text: &str| toml::from_str::<PreprocessOptions>(text);
        let options =
            read("mean = [1.0, 2.0, 3.0]\nlayout = \"nchw\"\nchannel-order = \"reversed\"").unwrap();
        assert_eq!(options.layout, Some(Layout::Nchw));
        assert_eq!(options.channel_order, Some(ChannelOrder::Reversed));
        assert!(read("means = [1.0]").is_err());
        assert!(options.file_input(2).unwrap_err().to_string().contains("1 or 2 values"));
        let zero = PreprocessOptions { std: Some(vec![0.0]), ..PreprocessOptions::default() };
        assert!(zero.file_input(1).is_err());
    }
}
