//! What host and device say to each other.

use serde::{Deserialize, Serialize};
use stf_bnn::artifact::SamplingPolicy;
use stf_bnn::uncertainty::Calibration;

/// Version of the messages; `Hello` carries it.
pub const VERSION: u16 = 2;

/// Host to device.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Request<'a> {
    /// Any number that the host chose at `Hello`.
    pub session: u32,
    /// One more than that of the request before; `Hello` starts anywhere.
    pub sequence: u16,
    /// What to do.
    #[serde(borrow)]
    pub command: Command<'a>,
}

/// What the device shall do.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Command<'a> {
    /// Opens a session and describes the device.
    Hello,
    /// Forgets all figures; the next prediction has this counter.
    Reset {
        /// Counter of the next prediction.
        counter: u64,
    },
    /// Predicts one input, and counts it if it has a label.
    Predict {
        /// The right class, for the metrics.
        label: Option<u16>,
        /// Raw bytes in the order that the artifact names: row, column, channel, or channel by channel.
        input: &'a [u8],
    },
    /// Reads the metrics of the predictions counted since the last reset.
    Metrics,
    /// Reads the counters of the link, since the device started.
    Counters,
    /// Reads the drift monitor, which sees every prediction since the last reset.
    Drift,
}

/// Device to host.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Reply<'a> {
    /// Of the request; 0 if that could not be read.
    pub session: u32,
    /// Of the request; 0 if that could not be read.
    pub sequence: u16,
    /// The result.
    #[serde(borrow)]
    pub answer: Answer<'a>,
}

/// Results of the commands.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Answer<'a> {
    /// Of `Hello`.
    #[serde(borrow)]
    Hello(Hello<'a>),
    /// Of `Reset`.
    Reset,
    /// Of `Predict`.
    Predicted(Predicted<'a>),
    /// Of `Metrics`.
    Metrics(Metrics),
    /// Of `Counters`.
    Counters(Counters),
    /// The command was not executed.
    Refused(Refusal),
    /// Of `Drift`; `None` if the artifact carries no reference.
    Drift(Option<Drift>),
}

/// What the device is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Hello<'a> {
    /// [`VERSION`] of the device.
    pub version: u16,
    /// Name of the model, at most 64 bytes of it.
    pub model: &'a str,
    /// CRC-32 of the artifact as its header has it: which model this is.
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
    pub build: &'a str,
}

/// One prediction. f32 arrays travel as little-endian bytes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Predicted<'a> {
    /// Counter of the prediction.
    pub counter: u64,
    /// Passes that were averaged.
    pub samples: u16,
    /// Passes that it took.
    pub passes: u16,
    /// Mean over the draws of the free energy of the logits, at temperature 1; 0 for a regression.
    pub energy: f32,
    /// Means over the draws, f32 each.
    pub mean: &'a [u8],
    /// Standard deviations over the draws, f32 each.
    pub spread: &'a [u8],
    /// Class, confidence, predictive entropy, expected entropy, mutual information.
    pub classification: Option<(u16, f32, f32, f32, f32)>,
}

/// Figures of [`stf_bnn::uncertainty::Calibration`], computed on the device.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Predictions counted.
    pub count: u64,
    /// Right ones.
    pub correct: u64,
    /// Passes of all predictions counted.
    pub passes: u64,
    /// Share of right ones.
    pub accuracy: f64,
    /// Mean negative log-likelihood, nats.
    pub nll: f64,
    /// Mean Brier score.
    pub brier: f64,
    /// Expected calibration error.
    pub ece: f64,
}

impl Metrics {
    /// Reads an accumulator; `passes` is the sum over its predictions.
    #[must_use]
    pub fn of(calibration: &Calibration, passes: u64) -> Self {
        Self {
            count: calibration.count(),
            correct: calibration.correct(),
            passes,
            accuracy: calibration.accuracy(),
            nll: calibration.nll(),
            brier: calibration.brier(),
            ece: calibration.ece(),
        }
    }
}

/// State of [`stf_bnn::uncertainty::DriftMonitor`] on the device.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// Predictions seen.
    pub count: u32,
    /// Upper bound of the probability of the last score or a greater one while nothing changed; 1 before
    /// the first prediction.
    pub p_value: f32,
    /// Evidence of a change now.
    pub evidence: f32,
    /// Greatest evidence so far.
    pub peak: f32,
    /// Evidence that raises the alarm.
    pub level: f32,
    /// Whether it was raised.
    pub alarm: bool,
}

/// What the link went through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counters {
    /// Requests executed.
    pub executed: u32,
    /// Requests that came again, and were answered from memory.
    pub repeated: u32,
    /// Frames that came damaged.
    pub damaged: u32,
    /// Requests that were refused.
    pub refused: u32,
}

/// Why a command was not executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// The frame was damaged: send it again.
    Damaged,
    /// The frame is intact, but no request of this version.
    Unknown,
    /// No such session: the device was restarted, or another host has opened one.
    Session,
    /// The number is neither the last one nor the next.
    Sequence,
    /// The input has another number of values than the network's.
    Length,
    /// The label is no class of the network.
    Label,
    /// A fault of the device.
    Internal,
}
