//! A device as the host's programs use it: what it is, its predictions, a whole test set.

use crate::client::{Client, ClientError, Link, Patience};
use crate::figures::Figures;
use crate::message::{Counters, Drift, Hello, Metrics, Predicted};
use serde::Serialize;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};
use stf_bnn::Classification;
use stf_bnn::artifact::SamplingPolicy;
use stf_bnn::uncertainty::Calibration;

/// What a device said of itself; the field names are what scripts read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Description {
    /// Version of the protocol.
    pub version: u16,
    /// Name of the model, at most 64 bytes of it.
    pub model: String,
    /// CRC-32 of the artifact as its header has it.
    pub model_id: u32,
    /// Bytes of the artifact.
    pub model_bytes: u32,
    /// Bytes of the workspace.
    pub workspace_bytes: u32,
    /// Values of an input.
    pub inputs: u32,
    /// Values of an output.
    pub outputs: u16,
    /// Whether the outputs are class probabilities.
    pub classification: bool,
    /// Samples asked for, at most where they are adaptive; 1 for the mean.
    pub samples: u16,
    /// Seed of the noise.
    pub seed: u64,
    /// How predictions are sampled, in the terms of the artifact's promises.
    pub policy: SamplingPolicy,
    /// Firmware and board, at most 64 bytes of it.
    pub build: String,
}

impl From<Hello<'_>> for Description {
    fn from(hello: Hello<'_>) -> Self {
        Self {
            version: hello.version,
            model: hello.model.into(),
            model_id: hello.model_id,
            model_bytes: hello.model_bytes,
            workspace_bytes: hello.workspace_bytes,
            inputs: hello.inputs,
            outputs: hello.outputs,
            classification: hello.classification,
            samples: hello.samples,
            seed: hello.seed,
            policy: hello.policy,
            build: hello.build.into(),
        }
    }
}

/// One prediction, in memory of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Owned {
    /// Counter of the prediction.
    pub counter: u64,
    /// Draws that were averaged.
    pub samples: u16,
    /// Passes that it took.
    pub passes: u16,
    /// Mean over the draws of the free energy of the logits, at temperature 1; 0 for a regression.
    pub energy: f32,
    /// Means over the draws.
    pub mean: Vec<f32>,
    /// Standard deviations over the draws.
    pub spread: Vec<f32>,
    /// Class and uncertainties; `None` for a regression.
    pub classification: Option<Classification>,
}

impl From<Predicted<'_>> for Owned {
    fn from(predicted: Predicted<'_>) -> Self {
        let classification = predicted.classification.map(
            |(class, confidence, predictive_entropy, expected_entropy, mutual_information)| Classification {
                class,
                confidence,
                predictive_entropy,
                expected_entropy,
                mutual_information,
            },
        );
        let [mean, spread] = [predicted.mean, predicted.spread].map(floats);
        let Predicted { counter, samples, passes, energy, .. } = predicted;
        Self { counter, samples, passes, energy, mean, spread, classification }
    }
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

/// Why a device gives no result.
#[derive(Debug)]
#[non_exhaustive]
pub enum DeviceError {
    /// A request has no result.
    Client(ClientError),
    /// So has one of an example.
    Example {
        /// Number of the example.
        index: usize,
        /// The reason.
        error: ClientError,
    },
    /// The device's network is a regression: it has no such figures.
    Regression,
    /// The device counted other predictions than it was sent.
    Count {
        /// Predictions that it counted.
        found: u64,
        /// Examples sent.
        expected: u64,
    },
    /// The device's figures are not those of the predictions that it sent.
    Figures {
        /// The device's.
        found: Metrics,
        /// Those of its predictions.
        expected: Metrics,
    },
}

impl fmt::Display for DeviceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(error) => error.fmt(f),
            Self::Example { index, error } => write!(f, "example {index}: {error}"),
            Self::Regression => write!(f, "device: found a regression, expected a classifier"),
            Self::Count { found, expected } => {
                write!(f, "device: found {found} predictions counted, expected {expected}")
            }
            Self::Figures { found, expected } => {
                write!(f, "device: found figures {found:?}, expected those of its predictions, {expected:?}")
            }
        }
    }
}

impl std::error::Error for DeviceError {}

impl From<ClientError> for DeviceError {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

/// An open session, with what the device is.
#[derive(Debug)]
pub struct Device<L> {
    client: Client<L>,
    about: Description,
}

impl<L: Link> Device<L> {
    /// Opens a session at the end of `link`.
    ///
    /// # Errors
    /// If the device cannot be reached or speaks another version.
    pub fn open(link: L, patience: Patience) -> Result<Self, DeviceError> {
        // Another number than the last session's: the clock's low bits.
        let session = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| time.subsec_nanos() | 1);
        let mut client = Client::new(link, session, patience);
        let about = client.hello()?.into();
        Ok(Self { client, about })
    }

    /// What the device is.
    #[must_use]
    pub fn about(&self) -> &Description {
        &self.about
    }

    /// Requests that were sent again so far.
    #[must_use]
    pub fn resent(&self) -> u64 {
        self.client.resent()
    }

    /// What the device's end of the line went through since it started.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn counters(&mut self) -> Result<Counters, DeviceError> {
        Ok(self.client.counters()?)
    }

    /// The drift monitor after the last prediction; `None` if the artifact carries no reference.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn drift(&mut self) -> Result<Option<Drift>, DeviceError> {
        Ok(self.client.drift()?)
    }

    /// Figures of the predictions counted since the last evaluation began.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn metrics(&mut self) -> Result<Metrics, DeviceError> {
        Ok(self.client.metrics()?)
    }

    /// Predicts inputs of raw bytes, the first with prediction counter 0, and hands each result on.
    ///
    /// # Errors
    /// If a request has no result; the example is named.
    pub fn predict<'i>(
        &mut self,
        inputs: impl IntoIterator<Item = &'i [u8]>,
        mut each: impl FnMut(usize, Owned),
    ) -> Result<(), DeviceError> {
        self.client.reset(0)?;
        for (index, input) in inputs.into_iter().enumerate() {
            let found = self.client.predict(None, input);
            each(index, found.map_err(|error| DeviceError::Example { index, error })?.into());
        }
        Ok(())
    }

    /// Streams labelled inputs of raw bytes and reads the figures that the device computed, which must be
    /// those of the predictions that it sent, bit for bit.
    ///
    /// # Errors
    /// If a request has no result, the device counted anything twice or not at all, or its figures are not
    /// those of its predictions.
    pub fn evaluate<'i>(
        &mut self,
        data: &str,
        examples: impl IntoIterator<Item = (&'i [u8], u16)>,
        mut each: impl FnMut(usize, Owned),
    ) -> Result<Figures, DeviceError> {
        if !self.about.classification {
            return Err(DeviceError::Regression);
        }
        self.client.reset(0)?;
        let (mut ours, mut passes) = (Calibration::new(), 0);
        for (index, (input, label)) in examples.into_iter().enumerate() {
            let found = self.client.predict(Some(label), input);
            let found: Owned = found.map_err(|error| DeviceError::Example { index, error })?.into();
            ours.push(&found.mean, label.into());
            passes += u64::from(found.passes);
            each(index, found);
        }
        let (found, expected) = (self.client.metrics()?, Metrics::of(&ours, passes));
        if found.count != expected.count {
            return Err(DeviceError::Count { found: found.count, expected: expected.count });
        }
        if found != expected {
            return Err(DeviceError::Figures { found, expected });
        }
        let about = &self.about;
        Ok(Figures::new(&about.model, data, about.samples, about.seed, &found))
    }
}
