//! A recording to the features of one second, by the runtime's own front end.

use super::wav::Recording;
use crate::error::{Error, Result};
use crate::graph::Shape;
use std::path::Path;
use stf_bnn::audio::{FrontEnd, Settings, Tables};

/// Frames of an input: one second.
pub const FRAMES: usize = 49;

/// Shape of the features: frames x coefficients x 1.
#[must_use]
pub const fn shape(settings: &Settings) -> Shape {
    Shape::new(FRAMES, settings.values(), 1)
}

/// The samples of one input: of a longer recording the middle; a shorter one stands in the middle, between zeros.
/// Where the two sides cannot be equal, the end gives or gets one sample more.
#[must_use]
pub fn fit(samples: &[i16], count: usize) -> Vec<i16> {
    let skipped = samples.len().saturating_sub(count) / 2;
    let kept = samples.iter().copied().skip(skipped).take(count);
    let mut fitted = vec![0; count.saturating_sub(samples.len()) / 2];
    fitted.extend(kept);
    fitted.resize(count, 0);
    fitted
}

/// Computes features of recordings of one sample rate.
#[derive(Debug, Clone, Copy)]
pub struct Clips {
    settings: Settings,
}

impl Clips {
    /// `path` names a file of this rate, for messages.
    ///
    /// # Errors
    /// If there are no settings for the rate.
    pub fn new(path: &Path, sample_rate: u32) -> Result<Self> {
        let settings = Settings::speech(sample_rate);
        let expected = |error| Error::malformed(path, "sample rate", sample_rate, error);
        settings.check().map_err(expected)?;
        Ok(Self { settings })
    }

    /// What is computed.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Features of the recording's second, frame after frame: bytes, `shape` of them.
    ///
    /// # Errors
    /// If the recording has another rate.
    pub fn features(&self, path: &Path, recording: &Recording) -> Result<Vec<u8>> {
        let settings = self.settings;
        if recording.sample_rate != settings.sample_rate {
            let expected = format!("{}, as the first file's", settings.sample_rate);
            return Err(Error::malformed(path, "sample rate", recording.sample_rate, expected));
        }
        let samples = fit(&recording.samples, settings.samples(FRAMES));
        let mut words = vec![0; settings.table_words()];
        let mut workspace = vec![0; settings.workspace_words()];
        let mut features = vec![0; shape(&settings).len()];
        let wrong = |error: &dyn std::fmt::Display| Error::malformed(path, "samples", error, "features");
        let tables = Tables::write(settings, &mut words).map_err(|error| wrong(&error))?;
        let mut front_end = FrontEnd::new(tables, &mut workspace).map_err(|error| wrong(&error))?;
        for (index, bytes) in features.chunks_exact_mut(settings.values()).enumerate() {
            let start = index * usize::from(settings.hop);
            let frame = &samples[start..start + usize::from(settings.frame)];
            front_end.bytes(frame, bytes).map_err(|error| wrong(&error))?;
        }
        Ok(features)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_is_cut_or_filled_to_its_middle() {
        assert_eq!(fit(&[1, 2, 3, 4, 5], 5), [1, 2, 3, 4, 5]);
        assert_eq!(fit(&[1, 2, 3, 4, 5], 3), [2, 3, 4]);
        assert_eq!(fit(&[1, 2, 3, 4, 5], 2), [2, 3]);
        assert_eq!(fit(&[1, 2], 6), [0, 0, 1, 2, 0, 0]);
        assert_eq!(fit(&[1, 2], 5), [0, 1, 2, 0, 0]);
        assert_eq!(fit(&[], 2), [0, 0]);
    }

    #[test]
    fn features_have_the_documented_shape() {
        for rate in [8_000, 16_000, 44_100] {
            let clips = Clips::new(Path::new("a.wav"), rate).unwrap();
            let recording = Recording { sample_rate: rate, samples: vec![500; 3_000] };
            assert_eq!(clips.features(Path::new("a.wav"), &recording).unwrap().len(), 490);
        }
        let clips = Clips::new(Path::new("a.wav"), 8_000).unwrap();
        let other = Recording { sample_rate: 16_000, samples: vec![0; 10] };
        let message = clips.features(Path::new("b.wav"), &other).unwrap_err().to_string();
        assert!(message.contains("b.wav: sample rate: found 16000, expected 8000"), "{message}");
    }
}
