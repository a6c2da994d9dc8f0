//! `stf import` and every export format, as a user meets them.
#![cfg(feature = "onnx-import")]

mod command;

use command::{fails, json, ok};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

fn model(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx_models").join(name);
    path.to_str().unwrap().to_string()
}

fn path(dir: &TempDir, name: &str) -> String {
    dir.path().join(name).to_str().unwrap().to_string()
}

#[test]
fn an_imported_network_goes_through_stage_2_and_out_in_every_format() {
    let dir = TempDir::new().unwrap();
    let run_folder = path(&dir, "run");
    let toml = path(&dir, "preprocess.toml");
    fs::write(&toml, "scale = 0.00392156862745098\nmean = [0.3]\nstd = [0.4]\n").unwrap();
    let file = model("digits.onnx");
    let import = ["import", &file, "--data", "digits", "--out", &run_folder, "--preprocess", &toml];
    let record = json(&[&import[..], &["--bayes-epochs", "1", "--eval-samples", "4", "--json"]].concat());
    assert_eq!(record["first_layer"]["operator"], "Conv2d");
    assert_eq!(record["first_layer"]["weights"], 36);
    assert!(record["first_layer"]["feeds"][0].as_str().unwrap().contains("(Activation)"), "{record}");
    assert!(record["stage2"]["nll"].is_number() && record["imported"]["accuracy"].is_number());
    let again = fails(&import);
    assert!(again.contains("--force"), "{again}");
    let elsewhere = path(&dir, "elsewhere");
    let gpu = ["import", &file, "--data", "digits", "--out", &elsewhere, "--device", "metal"];
    if cfg!(not(feature = "gpu")) {
        assert!(fails(&gpu).contains("expected cpu, or a build with"), "{}", fails(&gpu));
        assert!(!Path::new(&elsewhere).exists());
    }

    let starts: [(&str, &[&str], &[u8]); 8] = [
        ("stf", &[], b"STFB"),
        ("onnx", &[], &[0x08]),
        ("onnx", &["--uint8-input"], &[0x08]),
        ("onnx-qdq", &[], &[0x08]),
        ("onnx-qdq", &["--symmetric", "--uint8-input"], &[0x08]),
        ("onnx-mc", &["--num-samples", "3"], &[0x08]),
        ("c-header", &[], b"/* STF-BNN artifact of digits"),
        ("safetensors", &[], &[]),
    ];
    for (number, (format, extra, start)) in starts.into_iter().enumerate() {
        let out = path(&dir, &format!("out{number}"));
        let export = ["export", &run_folder, "--format", format, "--out", &out];
        ok(&[&export[..], extra].concat());
        let bytes = fs::read(&out).unwrap();
        assert!(bytes.len() > 500 && bytes.starts_with(start), "{format} {extra:?}: {} bytes", bytes.len());
    }
    let artifact = path(&dir, "out0");
    let inspection = json(&["inspect", &artifact, "--json"]);
    assert_eq!(inspection["input_layout"], "nhwc");
    let close = |value: &serde_json::Value, expected: f64| (value.as_f64().unwrap() - expected).abs() < 1e-3;
    assert!(
        close(&inspection["input_mean"][0], 0.3 * 255.0) && close(&inspection["input_std"][0], 0.4 * 255.0)
    );
    assert!(inspection["posterior"].is_object());
    assert_eq!(json(&["eval", &artifact, "--data", "digits", "--json"])["mean_passes"], 8.0);

    // Our own float file comes back as the network that it was: raw inputs, its own normalisation.
    let (float, back) = (path(&dir, "back.onnx"), path(&dir, "back"));
    ok(&["export", &run_folder, "--plain", "--format", "onnx", "--out", &float]);
    let returned = json(&["import", &float, "--data", "digits", "--out", &back, "--plain", "--json"]);
    let nll = |record: &serde_json::Value| record["imported"]["nll"].as_f64().unwrap();
    assert!((nll(&returned) - nll(&record)).abs() < 1e-4, "{returned} {record}");
}

#[test]
fn bad_files_are_one_line_and_exit_status_1() {
    let dir = TempDir::new().unwrap();
    let (file, out) = (path(&dir, "bad.onnx"), path(&dir, "run"));
    let import = ["import", &file, "--data", "digits", "--out", &out];
    let whole = fs::read(model("digits.onnx")).unwrap();
    for (bytes, expected) in [
        (&whole[..whole.len() / 2], "bad.onnx: byte "),
        (&b"not a network"[..], "bad.onnx: byte "),
        (&b""[..], "an ONNX file with a graph"),
    ] {
        fs::write(&file, bytes).unwrap();
        let message = fails(&import);
        assert!(message.contains(expected), "{message}");
        assert!(!message.contains("panicked"), "{message}");
    }
    let message = fails(&["import", &model("geometry.onnx"), "--data", "digits", "--out", &out]);
    assert!(message.contains("the examples' 8x8x1"), "{message}");
    let message = fails(&["import", &model("digits.onnx"), "--data", "digits", "--out", &out, "--std", "0"]);
    assert!(message.contains("positive deviations"), "{message}");
    assert!(!Path::new(&out).exists(), "nothing is written for a network that cannot be imported");
}
