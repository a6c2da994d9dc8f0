//! A device behind a real pseudo-terminal and behind sockets, with a bad line in between: the runtime's
//! own bits, and nothing counted twice.
#![cfg(unix)]

mod bad_line;
#[path = "../../tests/common/mod.rs"]
mod common;

use bad_line::{Disturbed, Faults, connect, pseudo_terminal, socket};
use common::{Dice, First, model};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use stf_bnn::uncertainty::Calibration;
use stf_bnn::{AlignedBytes, Config, Input, Model, Predictor};
use stf_device_protocol::{DEFAULT_BAUD, Device, DeviceError, Line, Metrics, Patience, Server, serve};

const PATIENCE: Patience = Patience { timeout: Duration::from_millis(60), attempts: 200 };

/// A device in a thread of its own, at one end of a socket; the other end.
fn device(bytes: AlignedBytes, config: Config) -> UnixStream {
    let (theirs, ours) = UnixStream::pair().unwrap();
    thread::spawn(move || run(&bytes, config, &theirs, &theirs));
    ours
}

fn run(bytes: &AlignedBytes, config: Config, input: impl std::io::Read, output: impl std::io::Write) {
    let model = Model::from_bytes(bytes).unwrap();
    let mut workspace = vec![0; model.workspace_bytes(&config).unwrap()];
    let predictor = Predictor::new(&model, config, &mut workspace).unwrap();
    let mut server: Server<'_, '_, 4096> = Server::new(bytes, &model, predictor, "thread");
    // The host closes when it is done.
    let _ = serve(&mut server, input, output);
}

/// A pseudo-terminal that leads to a device over a line with these faults. The file keeps it open.
fn port(config: Config, faults: Faults) -> (String, Disturbed, std::fs::File) {
    let (path, end, held) = pseudo_terminal().unwrap();
    let far = socket(device(model(First::Conv, 5), config)).unwrap();
    (path, connect(end, far, faults), held)
}

struct Set {
    inputs: Vec<Vec<u8>>,
    labels: Vec<u16>,
}

impl Set {
    fn new(count: usize) -> Self {
        let bytes = model(First::Conv, 5);
        let size = Model::from_bytes(&bytes).unwrap().manifest().input.tensor.len() as usize;
        let mut dice = Dice(9);
        // Zero bytes end frames and 0x11, 0x13, 0x03, 0x0D, 0x0A mean something to a terminal: all are in.
        let inputs = (0..count).map(|_| (0..size).map(|_| dice.int(0, 255) as u8).collect()).collect();
        Self { inputs, labels: (0..count).map(|index| (index % 3) as u16).collect() }
    }

    fn examples(&self) -> impl Iterator<Item = (&[u8], u16)> {
        self.inputs.iter().map(Vec::as_slice).zip(self.labels.iter().copied())
    }
}

/// What the runtime says without any line.
fn expected(set: &Set, config: Config) -> (Vec<Vec<u32>>, Metrics) {
    let bytes = model(First::Conv, 5);
    let model = Model::from_bytes(&bytes).unwrap();
    let mut workspace = vec![0; model.workspace_bytes(&config).unwrap()];
    let mut predictor = Predictor::new(&model, config, &mut workspace).unwrap();
    let (mut rows, mut metrics, mut passes) = (Vec::new(), Calibration::new(), 0);
    for (input, label) in set.examples() {
        let p = predictor.predict(Input::U8(input)).unwrap();
        metrics.push(p.mean, label.into());
        passes += u64::from(p.passes);
        rows.push(p.mean.iter().chain(p.spread).map(|value| value.to_bits()).collect());
    }
    (rows, Metrics::of(&metrics, passes))
}

/// Evaluates at `port` and compares with the runtime; returns how many requests were sent again.
fn evaluate(port: &str, count: usize) -> u64 {
    let (set, config) = (Set::new(count), Config { seed: 3, ..Config::default() });
    let (expected, metrics) = expected(&set, config);
    let mut device = Device::open(Line::open(port, DEFAULT_BAUD).unwrap(), PATIENCE).unwrap();
    assert_eq!(device.about().build, "thread");
    let mut rows: Vec<Vec<u32>> = Vec::new();
    let figures = device
        .evaluate("set", set.examples(), |index, found| {
            assert_eq!(index, rows.len());
            assert_eq!(found.counter, index as u64);
            rows.push(found.mean.iter().chain(&found.spread).map(|value| value.to_bits()).collect());
        })
        .unwrap();
    assert_eq!(rows, expected);
    assert_eq!((figures.n, figures.num_samples, figures.seed), (count, 8, 3));
    let found = [figures.accuracy, figures.nll, figures.brier, figures.ece, figures.mean_passes];
    let wanted = [metrics.accuracy, metrics.nll, metrics.brier, metrics.ece, 8.0];
    assert_eq!(found.map(f64::to_bits), wanted.map(f64::to_bits));
    assert_eq!(device.metrics().unwrap().count, count as u64);
    device.resent()
}

#[test]
fn a_serial_port_carries_every_byte() {
    let config = Config { seed: 3, ..Config::default() };
    let (path, disturbed, held) = port(config, Faults { odds: 0, seed: 0 });
    assert_eq!(evaluate(&path, 30), 0);
    // A second host finds the device as the first left it, and starts its own figures.
    assert_eq!(evaluate(&path, 7), 0);
    assert_eq!(disturbed.load(Ordering::Relaxed), 0);
    drop(held);
}

#[test]
fn a_bad_serial_port_costs_only_time() {
    for seed in [1, 2] {
        let config = Config { seed: 3, ..Config::default() };
        let (path, disturbed, held) = port(config, Faults { odds: 600, seed });
        let resent = evaluate(&path, 30);
        let (disturbed, mut device) = (
            disturbed.load(Ordering::Relaxed),
            Device::open(Line::open(&path, 9600).unwrap(), PATIENCE).unwrap(),
        );
        assert!(disturbed > 3 && resent > 1, "seed {seed}: {disturbed} disturbed, {resent} sent again");
        assert!(device.counters().unwrap().executed >= 33);
        drop(held);
    }
}

#[test]
fn a_bad_socket_costs_only_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("line");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let config = Config { seed: 3, ..Config::default() };
    let far = socket(device(model(First::Conv, 5), config)).unwrap();
    let near = thread::spawn(move || socket(listener.accept().unwrap().0).unwrap());
    let carried = thread::spawn(move || connect(near.join().unwrap(), far, Faults { odds: 500, seed: 7 }));
    let resent = evaluate(&format!("unix:{}", path.display()), 40);
    let disturbed = carried.join().unwrap().load(Ordering::Relaxed);
    assert!(disturbed > 3 && resent > 1, "{disturbed} disturbed, {resent} sent again");
}

#[test]
fn a_device_across_the_network() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let config = Config { seed: 3, ..Config::default() };
        run(&model(First::Conv, 5), config, &stream, &stream);
    });
    assert_eq!(evaluate(&format!("tcp:{address}"), 10), 0);
}

#[test]
fn ports_that_lead_nowhere_say_so() {
    assert!(Line::open("/nonexistent/port", DEFAULT_BAUD).is_err());
    assert!(Line::open("unix:/nonexistent/port", DEFAULT_BAUD).is_err());
    let (path, _ours, _held) = pseudo_terminal().unwrap();
    let patience = Patience { timeout: Duration::from_millis(5), attempts: 3 };
    let silent = Device::open(Line::open(&path, DEFAULT_BAUD).unwrap(), patience).unwrap_err();
    assert!(matches!(&silent, DeviceError::Client(_)), "{silent}");
    assert_eq!(silent.to_string(), "device: found no reply to 3 attempts");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = format!("tcp:{}", listener.local_addr().unwrap());
    let line = Line::open(&port, DEFAULT_BAUD).unwrap();
    drop(listener.accept().unwrap());
    let closed = Device::open(line, patience).unwrap_err().to_string();
    assert!(closed.starts_with("line: "), "{closed}");
}
