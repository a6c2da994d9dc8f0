//! `stf device` against a device at a pseudo-terminal with a bad line and at a socket: the JSON of
//! `stf eval` and `stf predict`, byte for byte.
#![cfg(unix)]

#[path = "../../device-protocol/tests/bad_line/mod.rs"]
mod bad_line;
mod command;

use bad_line::{Faults, connect, pseudo_terminal, socket};
use command::{fails, ok};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread;
use stf_bnn::{AlignedBytes, Config, Model, Predictor, Samples};
use stf_device_protocol::{Server, serve};
use tempfile::TempDir;

/// A network that has seen the digits for an epoch.
fn artifact(dir: &TempDir) -> String {
    let [run, model] = ["run", "model.stf"].map(|name| dir.path().join(name).display().to_string());
    ok(&[
        "train",
        "--arch",
        "lenet5",
        "--data",
        "digits",
        "--epochs",
        "1",
        "--bayes-epochs",
        "1",
        "--eval-samples",
        "2",
        "--out",
        &run,
    ]);
    ok(&["export", &run, "--out", &model]);
    model
}

/// Answers at a stream until the host closes it.
fn answer(model: &Path, config: Config, stream: &UnixStream) {
    let bytes = AlignedBytes::new(&std::fs::read(model).unwrap());
    let model = Model::from_bytes(&bytes).unwrap();
    let mut workspace = vec![0; model.workspace_bytes(&config).unwrap()];
    let predictor = Predictor::new(&model, config, &mut workspace).unwrap();
    let mut server: Server<'_, '_, 4096> = Server::new(&bytes, &model, predictor, "thread");
    let _ = serve(&mut server, stream, stream);
}

/// A device for every host that connects, at the path that is returned.
fn at_socket(dir: &TempDir, model: &str, config: Config) -> String {
    let path = dir.path().join("device");
    let listener = UnixListener::bind(&path).unwrap();
    let model = model.to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            answer(Path::new(&model), config, &stream.unwrap());
        }
    });
    format!("unix:{}", path.display())
}

#[test]
fn a_device_gives_the_json_of_the_host() {
    let dir = TempDir::new().unwrap();
    let model = artifact(&dir);
    let config = Config { samples: Samples::MonteCarlo(6), seed: 11, ..Config::default() };
    let host = ["-k", "6", "--seed", "11", "--json"];
    let data = ["--data", "digits", "--limit", "50", "--ood", "digits"];
    let expected = ok(&[&["eval", &model], &data[..], &host].concat());

    let port = at_socket(&dir, &model, config);
    let device = [&["device", "eval", "--port", &port, "--model", &model, "--json"], &data[..]].concat();
    assert_eq!(ok(&device), expected);
    // Again: a second session counts from nothing.
    assert_eq!(ok(&device), expected);
    let text = ok(&[&["device", "eval", "--port", &port, "--model", &model], &data[..]].concat());
    assert_eq!(text, ok(&[&["eval", &model], &data[..], &host[..4]].concat()));

    let (path, end, held) = pseudo_terminal().unwrap();
    let (theirs, ours) = UnixStream::pair().unwrap();
    let stf = Path::new(&model).to_path_buf();
    thread::spawn(move || answer(&stf, config, &theirs));
    let disturbed = connect(end, socket(ours).unwrap(), Faults { odds: 1500, seed: 5 });
    let patience = ["--timeout", "200", "--attempts", "100", "--json"];
    let bad = [&["device", "eval", "--port", &path, "--model", &model], &data[..], &patience].concat();
    assert_eq!(ok(&bad), expected);
    assert!(disturbed.load(std::sync::atomic::Ordering::Relaxed) > 3);
    drop(held);

    let image = dir.path().join("digit.npy");
    std::fs::write(&image, npy()).unwrap();
    let image = image.to_str().unwrap();
    let found = ok(&["device", "predict", image, "--port", &port, "--model", &model, "--json"]);
    assert_eq!(found, ok(&[&["predict", &model, image], &host[..]].concat()));
    let counters = ok(&["device", "counters", "--port", &port, "--json"]);
    assert!(counters.starts_with(r#"{"executed":2,"repeated":0,"damaged":0,"refused":0,"#), "{counters}");
    let hello = ok(&["device", "hello", "--port", &port]);
    assert!(hello.contains("64 inputs, 10 classes, 6 samples, seed 11"), "{hello}");
}

#[test]
fn what_does_not_fit_is_an_error() {
    let dir = TempDir::new().unwrap();
    let model = artifact(&dir);
    let port = at_socket(&dir, &model, Config::default());
    let missing = fails(&["device", "hello"]);
    assert!(missing.contains("--port: found nothing"), "{missing}");
    let nowhere = fails(&["device", "hello", "--port", "unix:/nonexistent/line"]);
    assert!(nowhere.contains("/nonexistent/line: cannot open"), "{nowhere}");
    let bytes = std::fs::read(&model).unwrap();
    let file = fails(&["device", "hello", "--port", &model]);
    assert!(file.contains("model.stf: cannot open: found a file, expected a serial port"), "{file}");
    assert_eq!(std::fs::read(&model).unwrap(), bytes);
    let other = dir.path().join("other.stf");
    ok(&["export", dir.path().join("run").to_str().unwrap(), "--plain", "--out", other.to_str().unwrap()]);
    let wrong =
        fails(&["device", "eval", "--port", &port, "--data", "digits", "--model", other.to_str().unwrap()]);
    assert!(wrong.contains("model: found") && wrong.contains("the device's model"), "{wrong}");
    let image = dir.path().join("small.npy");
    std::fs::write(&image, &npy()[..npy().len() - 64]).unwrap();
    assert!(!fails(&["device", "predict", image.to_str().unwrap(), "--port", &port]).is_empty());
}

/// Two examples of 8 x 8 bytes.
fn npy() -> Vec<u8> {
    let header = format!("{:<117}\n", "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 8, 8, 1), }");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend((0..128_u8).map(|index| index.wrapping_mul(37) % 17));
    bytes
}
