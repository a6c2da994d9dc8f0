//! A line that loses, damages and repeats frames gives the figures of a perfect one.

#[path = "../../tests/common/mod.rs"]
mod common;

use common::{Dice, First, RULE, calibrated, model, ruled};
use std::io;
use std::time::Duration;
use stf_bnn::artifact::Adaptive;
use stf_bnn::uncertainty::{Calibration, DriftMonitor, energy};
use stf_bnn::{Config, Input, Model, Predictor, Samples};
use stf_device_protocol::{
    Answer, Client, ClientError, Command, Link, Patience, Refusal, Reply, Server, encode,
};

const FRAME: usize = 2048;

/// A device at the end of a bad line: one in `odds` transmissions goes wrong.
struct BadLine<'a> {
    server: Server<'a, 'a, FRAME>,
    dice: Dice,
    odds: i64,
    arriving: Vec<u8>,
}

impl BadLine<'_> {
    fn disturb(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        if self.odds == 0 || self.dice.int(1, self.odds) > 1 || bytes.len() < 2 {
            return bytes;
        }
        let at = self.dice.int(0, bytes.len() as i64 - 1) as usize;
        match self.dice.int(0, 4) {
            0 => bytes.clear(),
            1 => bytes[at] ^= 1 << self.dice.int(0, 7),
            2 => drop(bytes.remove(at)),
            3 => bytes.truncate(at),
            _ => bytes.extend_from_within(..),
        }
        bytes
    }
}

impl Link for BadLine<'_> {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        for byte in self.disturb(bytes) {
            if let Some(frame) = self.server.receive(byte).map(<[u8]>::to_vec) {
                let frame = self.disturb(&frame);
                self.arriving.extend(frame);
            }
        }
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8], timeout: Duration) -> io::Result<usize> {
        if self.arriving.is_empty() {
            std::thread::sleep(timeout);
        }
        let count = buffer.len().min(self.arriving.len()).min(self.dice.int(1, 40) as usize);
        buffer[..count].copy_from_slice(&self.arriving[..count]);
        self.arriving.drain(..count);
        Ok(count)
    }
}

/// Evaluates through a line with these odds and compares with the runtime itself, bit for bit.
fn evaluate(odds: i64, samples: Samples) -> u64 {
    let bytes = calibrated(&ruled(&model(First::Conv, 5), Adaptive { threshold: 0.9999, ..RULE }));
    let model = Model::from_bytes(&bytes).unwrap();
    let config = Config { seed: 3, samples, ..Config::default() };
    let [mut ours, mut theirs] = [0; 2].map(|_| vec![0; model.workspace_bytes(&config).unwrap()]);
    let mut direct = Predictor::new(&model, config, &mut ours).unwrap();
    let (mut expected, mut monitor) = (Calibration::new(), DriftMonitor::new(&model).unwrap());
    let predictor = Predictor::new(&model, config, &mut theirs).unwrap();
    let server = Server::new(&bytes, &model, predictor, "test");
    let line = BadLine { server, dice: Dice(odds as u64), odds, arriving: Vec::new() };
    let patience = Patience { timeout: Duration::from_millis(2), attempts: 1000 };
    let mut client = Client::new(line, 77, patience);
    let size = model.manifest().input.tensor.len() as usize;
    let hello = client.hello().unwrap();
    assert_eq!((hello.inputs as usize, hello.outputs, hello.samples), (size, 3, 8));
    assert_eq!(hello.model_id.to_le_bytes(), bytes[24..28]);
    client.reset(0).unwrap();
    let (mut dice, mut passes) = (Dice(9), 0);
    for _ in 0..60 {
        let input: Vec<u8> = (0..size).map(|_| dice.int(0, 255) as u8).collect();
        let label = dice.int(0, 2) as u16;
        let mut energies = Vec::new();
        let add_energy = |draw, logits: &[f32]| {
            if draw == 0 {
                energies.clear();
            }
            energies.push(energy(logits, 1.0));
        };
        let mine = direct.predict_with(Input::U8(&input), add_energy).unwrap();
        passes += u64::from(mine.passes);
        assert!(expected.push(mine.mean, label.into()));
        let found = client.predict(Some(label), &input).unwrap();
        let floats = |values: &[f32]| -> Vec<u8> { values.iter().flat_map(|v| v.to_le_bytes()).collect() };
        assert_eq!((found.samples, found.passes), (mine.samples, mine.passes));
        assert_eq!(energies.len(), usize::from(found.samples));
        assert_eq!(found.energy, energies.iter().sum::<f32>() / f32::from(found.samples));
        assert_eq!(found.mean, floats(mine.mean));
        assert_eq!(found.spread, floats(mine.spread));
        let c = mine.classification.unwrap();
        let scores = (c.class, c.confidence, c.predictive_entropy, c.expected_entropy, c.mutual_information);
        assert_eq!(found.classification, Some(scores));
        let (report, seen) = (monitor.push(&c), client.drift().unwrap().unwrap());
        assert_eq!((seen.count, seen.alarm, seen.level), (report.count, report.alarm, monitor.level()));
        assert_eq!([seen.p_value, seen.evidence, seen.peak], [report.p_value, report.evidence, report.peak]);
    }
    let metrics = client.metrics().unwrap();
    assert_eq!((metrics.count, metrics.correct), (60, expected.correct()));
    assert_eq!(metrics.passes, passes);
    match samples {
        // Some inputs were settled early, and some were not.
        Samples::Adaptive => assert!((61..540).contains(&passes), "{passes}"),
        _ => assert_eq!(passes, 480),
    }
    let found = [metrics.accuracy, metrics.nll, metrics.brier, metrics.ece].map(f64::to_bits);
    let expected = [expected.accuracy(), expected.nll(), expected.brier(), expected.ece()].map(f64::to_bits);
    assert_eq!(found, expected);
    client.resent()
}

#[test]
fn a_perfect_line_sends_nothing_twice() {
    assert_eq!(evaluate(0, Samples::MonteCarlo(8)), 0);
    assert_eq!(evaluate(0, Samples::Adaptive), 0);
}

#[test]
fn a_bad_line_costs_only_time() {
    assert!(evaluate(3, Samples::MonteCarlo(8)) > 10);
    assert!(evaluate(8, Samples::Adaptive) > 3);
}

/// A device of another version: whatever it gets is intact, and no request of its own.
struct OtherVersion {
    sent: u32,
    arriving: Vec<u8>,
}

impl Link for OtherVersion {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes != [0] {
            self.sent += 1;
            let answer = Answer::Refused(Refusal::Unknown);
            let mut buffer = [0; 64];
            self.arriving.extend(encode(&Reply { session: 0, sequence: 0, answer }, &mut buffer).unwrap());
        }
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8], timeout: Duration) -> io::Result<usize> {
        if self.arriving.is_empty() {
            std::thread::sleep(timeout);
        }
        let count = buffer.len().min(self.arriving.len());
        buffer[..count].copy_from_slice(&self.arriving[..count]);
        self.arriving.drain(..count);
        Ok(count)
    }
}

#[test]
fn a_device_of_another_version_is_not_asked_again() {
    let patience = Patience { timeout: Duration::from_millis(2), attempts: 50 };
    let mut client = Client::new(OtherVersion { sent: 0, arriving: Vec::new() }, 7, patience);
    for _ in 0..3 {
        let found = client.hello().unwrap_err();
        assert!(matches!(found, ClientError::Refused(Refusal::Unknown)), "{found:?}");
    }
    assert_eq!(client.resent(), 0);
}

#[test]
fn refusals_say_why_and_change_nothing() {
    let bytes = model(First::Conv, 5);
    let model = Model::from_bytes(&bytes).unwrap();
    let mut memory = vec![0; model.workspace_bytes(&Config::default()).unwrap()];
    let predictor = Predictor::new(&model, Config::default(), &mut memory).unwrap();
    let server = Server::new(&bytes, &model, predictor, "test");
    let line = BadLine { server, dice: Dice(1), odds: 0, arriving: Vec::new() };
    let patience = Patience { timeout: Duration::from_millis(2), attempts: 3 };
    let mut client = Client::new(line, 1, patience);
    let refusal = |result: Result<Answer<'_>, ClientError>| match result {
        Err(ClientError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    };
    assert_eq!(refusal(client.call(Command::Metrics)), Refusal::Session);
    client.hello().unwrap();
    let size = model.manifest().input.tensor.len() as usize;
    assert_eq!(refusal(client.call(Command::Predict { label: None, input: &[1] })), Refusal::Length);
    let input = vec![1; size];
    assert_eq!(refusal(client.call(Command::Predict { label: Some(3), input: &input })), Refusal::Label);
    let long = vec![1; 3 * FRAME];
    let silent = client.call(Command::Predict { label: None, input: &long });
    assert!(matches!(silent, Err(ClientError::Silent { attempts: 3 })), "{silent:?}");
    assert_eq!(refusal(client.call(Command::Metrics)), Refusal::Sequence);
    client.hello().unwrap();
    assert_eq!(client.predict(None, &input).unwrap().counter, 0);
    assert_eq!(client.metrics().unwrap().count, 0);
}
