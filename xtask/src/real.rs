//! Trained networks and real test images on an emulated device: `stf device eval` gives the JSON of
//! `stf eval`, byte for byte.

use crate::cross::{cargo, output, root, run as run_command, target_dir, write};
use crate::firmware::{DEFAULT, M4, Settings, build, with_device};
use crate::golden;
use crate::models::{Case, same};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// One evaluation.
struct Real {
    /// Folder under `tests/models`.
    name: &'static str,
    /// Height, width, channels.
    shape: [usize; 3],
    /// Samples; 0 is the mean.
    samples: &'static str,
    /// Images.
    limit: &'static str,
}

/// ResNet-8 takes 14 million instructions a pass: all its images with 8 samples, some of them by the mean.
const REAL: [Real; 3] = [
    Real { name: "lenet5-mnist", shape: [28, 28, 1], samples: "8", limit: "100" },
    Real { name: "resnet8-cifar10", shape: [32, 32, 3], samples: "0", limit: "10" },
    Real { name: "resnet8-cifar10", shape: [32, 32, 3], samples: "8", limit: "100" },
];

const SEED: &str = "7";

/// Evaluates all of them.
pub fn run(host: &Path) -> Result<(), String> {
    let mut make = cargo(None)?;
    run_command(make.args(["build", "--quiet", "--package", "stf-host", "--bin", "stf"]))?;
    let stf = target_dir().join("debug/stf");
    REAL.iter().try_for_each(|real| evaluate(real, &stf, host))
}

fn evaluate(real: &Real, stf: &Path, host: &Path) -> Result<(), String> {
    let from = root().join("tests/models").join(real.name);
    let folder = target_dir().join("device-test/real").join(real.name);
    let model = folder.join("model.stf");
    golden::join(&from, &model)?;
    let data = arrays(&from, &folder, real.shape)?;
    let limit = real.limit.parse().map_err(|_| format!("limit {}", real.limit))?;
    let [images, labels] = ["inputs.bin", "labels.bin"].map(|name| from.join(name));
    let case = Case { model, images, labels, limit };
    let program = build(&M4, &case, "device", &Settings { samples: real.samples, seed: SEED, ..DEFAULT })?;
    let data = ["--data", &data, "--split", "all", "--limit", real.limit, "--json"];
    let expected =
        output(Command::new(stf).arg("eval").arg(&case.model).args(data).args(host_settings(real)))?;
    let start = Instant::now();
    with_device(&program, |socket| {
        let port = format!("unix:{}", socket.display());
        let mut ask = Command::new(stf);
        ask.args(["device", "eval", "--timeout", "60000", "--port", &port, "--model"]).arg(&case.model);
        let what = format!("stf device eval, {}, {} images, {} samples", real.name, real.limit, real.samples);
        same(&what, &output(ask.args(data))?, &expected)?;
        println!(
            "{what}: {:.1} s: {}",
            start.elapsed().as_secs_f64(),
            String::from_utf8_lossy(&expected).trim()
        );
        Ok(())
    })?;
    figures_of_stf_run(real, &case, host, &expected)
}

/// `stf-run eval` has the same figures under the same names.
fn figures_of_stf_run(real: &Real, case: &Case, host: &Path, expected: &[u8]) -> Result<(), String> {
    let mut eval = Command::new(host);
    eval.arg("eval").arg(&case.model).arg("--images").arg(&case.images).arg("--labels").arg(&case.labels);
    let found = output(eval.args(["--json", "--limit", real.limit]).args(host_settings(real)))?;
    let figures = |text: &[u8]| -> String {
        let text = String::from_utf8_lossy(text).into_owned();
        let part = |from: &str, to: &str| -> Option<String> {
            let rest = &text[text.find(from)?..];
            Some(rest[..rest.find(to)?].to_string())
        };
        part("\"n\"", ",\"ood\"").unwrap_or(text.clone())
    };
    same(&format!("stf-run eval, {}", real.name), figures(&found).as_bytes(), figures(expected).as_bytes())
}

fn host_settings(real: &Real) -> Vec<&'static str> {
    match real.samples {
        "0" => vec!["--baseline", "mean", "--seed", SEED],
        samples => vec!["--num-samples", samples, "--seed", SEED],
    }
}

/// The images and labels as `.npy` files, which `stf` reads.
fn arrays(from: &Path, to: &Path, [height, width, channels]: [usize; 3]) -> Result<String, String> {
    let read = |name: &str| {
        let path = from.join(name);
        std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))
    };
    let (images, labels) = (read("inputs.bin")?, read("labels.bin")?);
    let count = labels.len();
    let [x, y]: [PathBuf; 2] = ["x.npy", "y.npy"].map(|name| to.join(name));
    write(&x, &npy(&format!("({count}, {height}, {width}, {channels})"), &images))?;
    write(&y, &npy(&format!("({count},)"), &labels))?;
    Ok(format!("{},{}", x.display(), y.display()))
}

/// NumPy's format, version 1.0, of bytes.
fn npy(shape: &str, values: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}");
    // The values begin at a multiple of 64.
    let length = (10 + header.len() + 1).next_multiple_of(64) - 10;
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((length as u16).to_le_bytes());
    bytes.extend(format!("{header:<width$}\n", width = length - 1).into_bytes());
    bytes.extend(values);
    bytes
}
