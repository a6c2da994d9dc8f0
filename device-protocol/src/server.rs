//! The device's side: bytes in, frames out.

use crate::frame::{FrameError, decode, encode};
use crate::message::{
    Answer, Command, Counters, Drift, Hello, Metrics, Predicted, Refusal, Reply, Request, VERSION,
};
use heapless::Vec;
use stf_bnn::artifact::{SamplingPolicy, Task};
use stf_bnn::uncertainty::{Calibration, DriftMonitor, DriftReport, energy};
use stf_bnn::{Input, Model, PredictError, Predictor};

/// Executes requests with a predictor. `N` is at least [`frame_bytes`](crate::frame_bytes).
#[derive(Debug)]
pub struct Server<'m, 'w, const N: usize> {
    device: Device<'m, 'w>,
    incoming: Vec<u8, N>,
    /// Bytes were dropped since the last zero byte.
    overrun: bool,
    /// Session and number of the last request executed.
    last: Option<(u32, u16)>,
    /// The reply to it.
    reply: Vec<u8, N>,
    /// A reply that is not to be repeated.
    refusal: Vec<u8, 32>,
    counters: Counters,
}

/// What commands work on.
#[derive(Debug)]
struct Device<'m, 'w> {
    model: &'m Model<'m>,
    predictor: Predictor<'m, 'w>,
    hello: Hello<'m>,
    calibration: Calibration,
    passes: u64,
    drift: Option<DriftMonitor<'m>>,
    /// After the last prediction.
    report: Option<DriftReport>,
}

enum Outgoing {
    Reply,
    Refusal,
}

impl<'m, 'w, const N: usize> Server<'m, 'w, N> {
    /// A device with the `artifact` that `model` was read from; `build` names firmware and board.
    #[must_use]
    pub fn new(artifact: &[u8], model: &'m Model<'m>, predictor: Predictor<'m, 'w>, build: &'m str) -> Self {
        let manifest = model.manifest();
        let hello = Hello {
            version: VERSION,
            model: cut(manifest.name),
            model_id: model_id(artifact),
            model_bytes: u32::try_from(artifact.len()).unwrap_or(u32::MAX),
            workspace_bytes: model
                .workspace_bytes(predictor.config())
                .map_or(u32::MAX, |bytes| u32::try_from(bytes).unwrap_or(u32::MAX)),
            inputs: u32::try_from(manifest.input.tensor.len()).unwrap_or(u32::MAX),
            outputs: manifest.outputs,
            classification: manifest.task == Task::Classification,
            samples: predictor.config().samples.most(model),
            seed: predictor.config().seed,
            policy: SamplingPolicy::of(model, predictor.config()),
            build: cut(build),
        };
        let (calibration, drift) = (Calibration::new(), DriftMonitor::new(model));
        let device = Device { model, predictor, hello, calibration, passes: 0, drift, report: None };
        Self {
            device,
            incoming: Vec::new(),
            overrun: false,
            last: None,
            reply: Vec::new(),
            refusal: Vec::new(),
            counters: Counters::default(),
        }
    }

    /// Takes one byte from the line; at the end of a frame, returns the frame to send.
    pub fn receive(&mut self, byte: u8) -> Option<&[u8]> {
        if byte != 0 {
            self.overrun |= self.incoming.push(byte).is_err();
            return None;
        }
        if self.incoming.is_empty() {
            return None;
        }
        let outgoing = self.frame();
        self.incoming.clear();
        self.overrun = false;
        Some(match outgoing {
            Outgoing::Reply => &self.reply,
            Outgoing::Refusal => &self.refusal,
        })
    }

    fn frame(&mut self) -> Outgoing {
        let decoded = if self.overrun { Err(FrameError::Damaged) } else { decode(&mut self.incoming) };
        let request: Request<'_> = match decoded {
            Ok(request) => request,
            Err(FrameError::Unknown) => {
                return refuse(&mut self.refusal, &mut self.counters, 0, 0, Refusal::Unknown);
            }
            Err(_) => {
                self.counters.damaged = self.counters.damaged.wrapping_add(1);
                return refuse(&mut self.refusal, &mut self.counters, 0, 0, Refusal::Damaged);
            }
        };
        let Request { session, sequence, command } = request;
        if self.last == Some((session, sequence)) {
            self.counters.repeated = self.counters.repeated.wrapping_add(1);
            return Outgoing::Reply;
        }
        let refusal = match self.last {
            _ if command == Command::Hello => None,
            Some((open, last)) if open == session => {
                (last.wrapping_add(1) != sequence).then_some(Refusal::Sequence)
            }
            _ => Some(Refusal::Session),
        };
        if let Some(refusal) = refusal {
            return refuse(&mut self.refusal, &mut self.counters, session, sequence, refusal);
        }
        self.counters.executed = self.counters.executed.wrapping_add(1);
        let answer = self.device.execute(command, &self.counters).unwrap_or_else(|refusal| {
            self.counters.refused = self.counters.refused.wrapping_add(1);
            Answer::Refused(refusal)
        });
        self.last = Some((session, sequence));
        if store(&Reply { session, sequence, answer }, &mut self.reply) {
            return Outgoing::Reply;
        }
        // Its buffer is too small for a reply: the number stays open.
        self.last = None;
        refuse(&mut self.refusal, &mut self.counters, session, sequence, Refusal::Internal)
    }
}

impl Device<'_, '_> {
    fn execute(&mut self, command: Command<'_>, counters: &Counters) -> Result<Answer<'_>, Refusal> {
        match command {
            Command::Hello => Ok(Answer::Hello(self.hello)),
            Command::Reset { counter } => {
                self.calibration = Calibration::new();
                self.passes = 0;
                self.drift = DriftMonitor::new(self.model);
                self.report = None;
                self.predictor.set_counter(counter);
                Ok(Answer::Reset)
            }
            Command::Predict { label, input } => self.predict(label, input),
            Command::Metrics => Ok(Answer::Metrics(Metrics::of(&self.calibration, self.passes))),
            Command::Counters => Ok(Answer::Counters(*counters)),
            Command::Drift => Ok(Answer::Drift(self.drift())),
        }
    }

    fn drift(&self) -> Option<Drift> {
        let level = self.drift.as_ref()?.level();
        let (p_value, evidence, peak) =
            self.report.map_or((1.0, 0.0, 0.0), |r| (r.p_value, r.evidence, r.peak));
        let (count, alarm) = self.report.map_or((0, false), |r| (r.count, r.alarm));
        Some(Drift { count, p_value, evidence, peak, level, alarm })
    }

    fn predict(&mut self, label: Option<u16>, input: &[u8]) -> Result<Answer<'_>, Refusal> {
        let manifest = self.model.manifest();
        if label.is_some_and(|label| manifest.task != Task::Classification || label >= manifest.outputs) {
            return Err(Refusal::Label);
        }
        let counter = self.predictor.counter();
        let mut energies = 0.0;
        let add_energy = |draw: u16, logits: &[f32]| {
            // A pass of the mean that settled nothing is left out of the result.
            energies = if draw == 0 { 0.0 } else { energies } + energy(logits, 1.0);
        };
        let predicted = self.predictor.predict_with(Input::U8(input), add_energy);
        let prediction = predicted.map_err(|error| match error {
            PredictError::Length { .. } => Refusal::Length,
            _ => Refusal::Internal,
        })?;
        if let Some(label) = label {
            self.calibration.push(prediction.mean, label.into());
            self.passes += u64::from(prediction.passes);
        }
        if let Some((monitor, c)) = self.drift.as_mut().zip(prediction.classification.as_ref()) {
            self.report = Some(monitor.push(c));
        }
        let classification = prediction
            .classification
            .map(|c| (c.class, c.confidence, c.predictive_entropy, c.expected_entropy, c.mutual_information));
        // Devices are little-endian: the runtime refuses to build for others.
        Ok(Answer::Predicted(Predicted {
            counter,
            samples: prediction.samples,
            passes: prediction.passes,
            energy: if classification.is_some() {
                energies / f32::from(prediction.samples.max(1))
            } else {
                0.0
            },
            mean: bytemuck::cast_slice(prediction.mean),
            spread: bytemuck::cast_slice(prediction.spread),
            classification,
        }))
    }
}

/// CRC-32 of an artifact as its header has it: which model this is.
#[must_use]
pub fn model_id(artifact: &[u8]) -> u32 {
    let bytes = artifact.get(24..28).and_then(|bytes| bytes.try_into().ok()).unwrap_or_default();
    u32::from_le_bytes(bytes)
}

fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(64)).unwrap_or_default()
}

fn store<const N: usize>(reply: &Reply<'_>, frame: &mut Vec<u8, N>) -> bool {
    // Within the capacity by definition.
    let _ = frame.resize(N, 0);
    let length = encode(reply, frame).map_or(0, <[u8]>::len);
    frame.truncate(length);
    length > 0
}

fn refuse(
    frame: &mut Vec<u8, 32>,
    counters: &mut Counters,
    session: u32,
    sequence: u16,
    refusal: Refusal,
) -> Outgoing {
    counters.refused = counters.refused.wrapping_add(1);
    // At most 5 + 3 + 2 bytes of message, 4 of checksum, 3 of COBS.
    store(&Reply { session, sequence, answer: Answer::Refused(refusal) }, frame);
    Outgoing::Refusal
}
