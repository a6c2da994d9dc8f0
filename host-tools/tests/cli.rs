//! The `stf` command as a user meets it: results, resumed runs, and what it says of bad input.

mod command;

use command::{fails, ok, run, stf};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

fn mentions(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word:?} is missing from: {text}");
    }
}

/// A short run on the embedded digits; `extra` changes it.
fn train(folder: &Path, extra: &[&str]) -> Command {
    let mut command = stf(&["train", "--arch", "lenet5", "--data", "digits", "--out"]);
    command.arg(folder).args(["--eval-samples", "4", "--seed", "5"]).args(extra);
    if !extra.contains(&"--epochs") {
        command.args(["--epochs", "3", "--bayes-epochs", "3"]);
    }
    command
}

fn trained(dir: &TempDir) -> PathBuf {
    let folder = dir.path().join("run");
    assert!(train(&folder, &[]).output().unwrap().status.success());
    folder
}

fn export(folder: &Path, out: &Path) -> Vec<u8> {
    ok(&["export", folder.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    fs::read(out).unwrap()
}

#[test]
fn the_chain_gives_figures_and_predictions() {
    let dir = TempDir::new().unwrap();
    let (folder, model) = (trained(&dir), dir.path().join("model.stf"));
    let bytes = export(&folder, &model);
    assert_eq!(bytes, export(&folder, &dir.path().join("again.stf")), "the same run gives the same artifact");
    let model = model.to_str().unwrap();

    let eval = ok(&["eval", model, "--data", "digits", "--json", "--ood", "digits"]);
    let eval: serde_json::Value = serde_json::from_str(&eval).unwrap();
    for field in
        ["model", "data", "n", "num_samples", "mean_passes", "accuracy", "nll", "brier", "ece", "seed", "ood"]
    {
        assert!(eval.get(field).is_some(), "{field} is missing from {eval}");
    }
    assert!(eval["accuracy"].as_f64().unwrap() > 0.5 && eval["mean_passes"] == 8.0);
    assert!(eval["ood"][0]["auroc"]["mutual_information"].is_number());
    let mean = ok(&["eval", model, "--data", "digits", "--baseline", "mean", "--json"]);
    let mean: serde_json::Value = serde_json::from_str(&mean).unwrap();
    assert!(mean["mean_passes"] == 1.0 && mean["num_samples"] == 1);

    let image = dir.path().join("digit.png");
    image::GrayImage::from_pixel(8, 8, image::Luma([90])).save(&image).unwrap();
    let predict = || ok(&["predict", model, image.to_str().unwrap(), "--json", "--seed", "3"]);
    let prediction: serde_json::Value = serde_json::from_str(&predict()).unwrap();
    for field in
        ["class", "probabilities", "predictive_entropy", "expected_entropy", "mutual_information", "samples"]
    {
        assert!(prediction.get(field).is_some(), "{field} is missing from {prediction}");
    }
    assert_eq!(prediction, serde_json::from_str::<serde_json::Value>(&predict()).unwrap());

    // The float network of the run folder, by the same command; an artifact runs on no GPU.
    let run = folder.to_str().unwrap();
    let float = ok(&["predict", run, image.to_str().unwrap(), "--json", "--seed", "3"]);
    let float: serde_json::Value = serde_json::from_str(&float).unwrap();
    assert!(float["samples"] == 8 && float["device"] == "cpu", "{float}");
    let sum: f64 = float["probabilities"].as_array().unwrap().iter().filter_map(|p| p.as_f64()).sum();
    assert!((sum - 1.0).abs() < 1e-5 && float["mutual_information"].as_f64().unwrap() >= 0.0, "{float}");
    let gpu = fails(&["predict", model, image.to_str().unwrap(), "--device", "vulkan"]);
    mentions(&gpu, &["vulkan for a .stf file", "run folder"]);
    mentions(&fails(&["predict", run, image.to_str().unwrap(), "--adaptive"]), &["--adaptive", ".stf"]);

    let inspect = ok(&["inspect", model]);
    mentions(
        &inspect,
        &["Bayesian", "MACs", "arena", "tile 8", "log-variance 150 bytes", "mean 150 bytes", "digits"],
    );
    bench(model);
}

/// What is counted is right, and every time that should be there is there; no time is asserted.
fn bench(model: &str) {
    let args = ["bench", model, "--seconds", "0", "-k", "1,4", "--tiles", "1,2,8", "--kernels", "reference"];
    mentions(&ok(&args), &["reference", "GHz", "Conv2d", "DenseOutput", "drawing noise", "peak"]);
    let found: serde_json::Value = serde_json::from_str(&ok(&[&args[..], &["--json"]].concat())).unwrap();
    let by_samples: Vec<&String> = found["microseconds"].as_object().unwrap().keys().collect();
    assert_eq!(by_samples, ["1", "4"]);
    let rows: Vec<_> = found["rows"].as_array().unwrap().iter().collect();
    let settings: Vec<_> = rows.iter().map(|row| (&row["num_samples"], &row["tile"])).collect();
    assert_eq!(settings, [(&1.into(), &1.into()), (&4.into(), &1.into()), (&4.into(), &2.into())]);
    assert!(rows[1]["workspace_bytes"].as_u64() < rows[2]["workspace_bytes"].as_u64());
    assert!(rows.iter().all(|row| row["mean_passes"] == row["num_samples"].as_f64().unwrap()));
    let layers = found["layers"].as_array().unwrap();
    assert_eq!(layers.iter().map(|row| row["macs"].as_u64().unwrap()).sum::<u64>(), found["macs"]);
    for row in rows.into_iter().chain(layers).chain([&found["mean_pass"]]) {
        assert!(row["count"].as_u64() > Some(0) && row["least_us"].as_f64() > Some(0.0), "{row}");
        assert!(row["least_us"].as_f64() <= row["median_us"].as_f64(), "{row}");
    }
    mentions(&fails(&["bench", model, "--kernels", "abacus"]), &["abacus", "reference"]);
    assert_eq!(run(&["bench", model, "--seconds", "-1"]).status.code(), Some(2));
}

/// A rule needs enough examples: without them there is none, and predictions take all samples.
#[test]
fn adaptive_samples_need_a_rule_that_was_proved() {
    let dir = TempDir::new().unwrap();
    let folder = trained(&dir);
    let model = |name: &str| dir.path().join(name).to_str().unwrap().to_string();
    let (bare, ruled) = (model("bare.stf"), model("ruled.stf"));
    let export = |out: &str, extra: &[&str]| {
        ok(&[&["export", folder.to_str().unwrap(), "--out", out][..], extra].concat())
    };
    mentions(
        &export(&bare, &[]),
        &["adaptive: no rule", "calibration examples that quantization did not watch", "299"],
    );
    mentions(&fails(&["eval", &bare, "--data", "digits", "--adaptive"]), &["adaptive", "rule"]);

    let loose = ["--calibration-examples", "40", "--adaptive-delta", "0.2", "--json"];
    let exported: serde_json::Value = serde_json::from_str(&export(&ruled, &loose)).unwrap();
    let rule = &exported["adaptive"];
    assert!(exported["adaptive_refused"].is_null() && rule["n"].as_u64() > Some(60), "{exported}");
    assert!(rule["mean_passes"].as_f64() >= Some(1.0) && rule["mean_passes"].as_f64() < Some(9.0), "{rule}");
    mentions(&ok(&["inspect", &ruled]), &["adaptive: 0 to 8 samples", "at most 20 %", "confidence 95 %"]);

    let json = |args: &[&str]| -> serde_json::Value { serde_json::from_str(&ok(args)).unwrap() };
    let adaptive = json(&["eval", &ruled, "--data", "digits", "--adaptive", "--json"]);
    let full = json(&["eval", &ruled, "--data", "digits", "--json"]);
    let passes = adaptive["mean_passes"].as_f64().unwrap();
    assert!((1.0..9.0).contains(&passes) && full["mean_passes"] == 8.0, "{adaptive} {full}");
    assert_eq!(adaptive["num_samples"], 8);
    assert!(json(&["bench", &ruled, "--seconds", "0", "--json"])["adaptive"]["mean_passes"].is_number());
    let both = ["eval", &ruled, "--data", "digits", "--adaptive", "-k", "4"];
    assert_eq!(run(&both).status.code(), Some(2), "a number of samples and an adaptive one");

    let plain = model("plain.stf");
    assert!(!export(&plain, &["--plain"]).contains("adaptive"));
    assert_eq!(json(&["eval", &plain, "--data", "digits", "--adaptive", "--json"])["mean_passes"], 1.0);
}

/// Killed without warning in either stage, a resumed run ends with the bytes of an unbroken one.
#[test]
fn a_killed_run_resumes_to_the_same_artifact() {
    let dir = TempDir::new().unwrap();
    let whole = dir.path().join("whole");
    let longer = ["--epochs", "6", "--bayes-epochs", "6"];
    assert!(train(&whole, &longer).output().unwrap().status.success());
    let expected = export(&whole, &dir.path().join("whole.stf"));

    for (name, lines) in [("first", 2), ("second", 8)] {
        let folder = dir.path().join(name);
        let mut child = train(&folder, &longer).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let (log, deadline) = (folder.join("log.jsonl"), Instant::now() + Duration::from_secs(120));
        while fs::read_to_string(&log).map_or(0, |log| log.lines().count()) < lines {
            assert!(Instant::now() < deadline, "no epoch came");
            assert!(child.try_wait().unwrap().is_none(), "the run ended before it could be killed");
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        ok(&["train", "--resume", "--out", folder.to_str().unwrap()]);
        let resumed = export(&folder, &dir.path().join("resumed.stf"));
        assert!(resumed == expected, "killed in stage {name}: the artifact differs");
        let epochs = fs::read_to_string(&log).unwrap().lines().count();
        assert_eq!(epochs, 12, "each epoch is logged once");
    }
}

#[test]
fn threads_do_not_change_the_artifact() {
    let dir = TempDir::new().unwrap();
    let bytes = |threads: &str| {
        let folder = dir.path().join(threads);
        assert!(train(&folder, &["--threads", threads]).output().unwrap().status.success());
        export(&folder, &dir.path().join("model.stf"))
    };
    assert!(bytes("1") == bytes("3"));
}

#[test]
fn wrong_usage_has_status_two() {
    for args in
        [&["train"][..], &["eval"], &["no-such-command"], &["eval", "x.stf", "--data", "digits", "-k", "0"]]
    {
        assert_eq!(run(args).status.code(), Some(2), "{args:?}");
    }
}

#[test]
fn bad_settings_are_named() {
    let dir = TempDir::new().unwrap();
    let out = dir.path().join("run");
    let out = out.to_str().unwrap();
    let train = |args: &[&str]| {
        let mut all = vec!["train", "--out", out];
        all.extend(args);
        fails(&all)
    };
    mentions(&train(&["--arch", "lenet6", "--data", "digits"]), &["lenet6", "lenet5", "resnet8"]);
    mentions(&train(&["--arch", "mlp", "--data", "no-such-data"]), &["no-such-data"]);
    mentions(&train(&["--arch", "mlp", "--data", "mnist"]), &["mnist", "stf data fetch mnist"]);
    mentions(&train(&["--arch", "mlp", "--data", "digits", "--lr", "-1"]), &["learning rate", "-1"]);
    mentions(&train(&["--arch", "mlp", "--data", "digits", "--prior-sigma", "0"]), &["prior sigma", "0"]);
    mentions(
        &train(&["--arch", "lenet5", "--data", "digits", "--estimator", "local"]),
        &["local", "convolution"],
    );
    if cfg!(not(feature = "gpu")) {
        let gpu = train(&["--arch", "mlp", "--data", "digits", "--device", "vulkan"]);
        mentions(&gpu, &["device", "vulkan", "expected cpu", "--features stf-host/gpu"]);
    }
    assert!(!Path::new(out).join("config.json").exists(), "nothing was started");
}

/// A run goes on with its own settings, which no argument may contradict unheard; it may move to another
/// device, and is then noted to be there.
#[test]
fn a_resumed_run_takes_no_settings_but_the_device() {
    let dir = TempDir::new().unwrap();
    let folder = trained(&dir);
    let resume = |extra: &[&str]| {
        run(&[&["train", "--resume", "--out", folder.to_str().unwrap()][..], extra].concat())
    };
    for setting in [["--epochs", "9"], ["--lr", "0.1"], ["--prior-sigma", "1"], ["--seed", "3"]] {
        let output = resume(&setting);
        assert_eq!(output.status.code(), Some(2), "{setting:?}");
        mentions(&String::from_utf8_lossy(&output.stderr), &["--resume", setting[0]]);
    }
    let device = || -> serde_json::Value {
        let text = fs::read_to_string(folder.join("config.json")).unwrap();
        let config: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(config["stage1"]["device"], config["stage2"]["device"]);
        config["stage1"]["device"].clone()
    };
    if cfg!(not(feature = "gpu")) {
        let output = resume(&["--device", "vulkan"]);
        assert_eq!(output.status.code(), Some(1));
        mentions(&String::from_utf8_lossy(&output.stderr), &["device", "vulkan", "stf-host/gpu"]);
        assert_eq!(device(), "cpu");
    }
    // As if the run had been started where there was a GPU.
    let config = folder.join("config.json");
    let text = fs::read_to_string(&config).unwrap().replace(r#""device": "cpu""#, r#""device": "metal""#);
    fs::write(&config, text).unwrap();
    assert_eq!(device(), "metal");
    assert!(resume(&["--device", "cpu"]).status.success());
    assert_eq!(device(), "cpu");
}

#[test]
fn a_folder_is_not_trained_into_twice() {
    let dir = TempDir::new().unwrap();
    let folder = trained(&dir);
    let output = train(&folder, &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    mentions(&String::from_utf8_lossy(&output.stderr), &["run", "--resume", "--force"]);
    let empty = dir.path().join("empty");
    mentions(&fails(&["train", "--resume", "--out", empty.to_str().unwrap()]), &["config.json"]);
    mentions(&fails(&["export", empty.to_str().unwrap(), "--out", "x.stf"]), &["config.json"]);
    assert!(!Path::new("x.stf").exists());
}

#[test]
fn a_diverging_run_stops_with_a_hint() {
    let dir = TempDir::new().unwrap();
    let folder = dir.path().join("run");
    let output =
        train(&folder, &["--optimizer", "sgd", "--lr", "1e30", "--warmup-epochs", "0"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    mentions(&String::from_utf8_lossy(&output.stderr), &["loss", "epoch 1", "learning rate"]);
}

/// An artifact cut anywhere, or of other data, is refused in one line that names the file.
#[test]
fn damaged_artifacts_are_refused() {
    let dir = TempDir::new().unwrap();
    let model = dir.path().join("model.stf");
    let bytes = export(&trained(&dir), &model);
    let cut = dir.path().join("cut.stf");
    for length in [0, 1, 16, 31, 32, 100, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&cut, &bytes[..length]).unwrap();
        mentions(&fails(&["inspect", cut.to_str().unwrap()]), &["cut.stf"]);
        mentions(&fails(&["eval", cut.to_str().unwrap(), "--data", "digits"]), &["cut.stf"]);
    }
    mentions(&fails(&["inspect", dir.path().join("none.stf").to_str().unwrap()]), &["none.stf", "read"]);

    let image = dir.path().join("wide.png");
    image::GrayImage::from_pixel(9, 8, image::Luma([90])).save(&image).unwrap();
    mentions(
        &fails(&["predict", model.to_str().unwrap(), image.to_str().unwrap()]),
        &["wide.png", "8x9x1", "8x8x1"],
    );
    fs::write(&image, b"no image").unwrap();
    mentions(&fails(&["predict", model.to_str().unwrap(), image.to_str().unwrap()]), &["wide.png"]);
}

/// A full disk: `/dev/full` refuses every byte, and a folder that cannot be written leaves nothing.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_one_line() {
    let dir = TempDir::new().unwrap();
    let folder = trained(&dir);
    mentions(&fails(&["export", folder.to_str().unwrap(), "--out", "/dev/full"]), &["/dev/full", "space"]);
    let nowhere = dir.path().join("no/such/folder/model.stf");
    mentions(
        &fails(&["export", folder.to_str().unwrap(), "--out", nowhere.to_str().unwrap()]),
        &["model.stf"],
    );
}

#[test]
fn the_demo_writes_model_and_report() {
    let dir = TempDir::new().unwrap();
    let out = dir.path().join("demo");
    let text = ok(&["demo", "--out", out.to_str().unwrap()]);
    mentions(&text, &["plain", "STF-BNN", "float", "int8", "NLL", "ECE", "Brier"]);
    let report: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(out.join("report.json")).unwrap()).unwrap();
    let rows = report["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 4);
    for row in rows {
        assert!(row["accuracy"].as_f64().unwrap() > 0.9, "{row}");
    }
    for pair in rows.chunks(2) {
        let figure = |row: usize, name: &str| pair[row][name].as_f64().unwrap();
        assert_eq!(
            (pair[0]["arithmetic"].as_str(), pair[1]["arithmetic"].as_str()),
            (Some("float"), Some("int8"))
        );
        // Three of the 359 images, and a tenth of the NLL: eight draws differ by about as much.
        assert!((figure(0, "accuracy") - figure(1, "accuracy")).abs() < 3.5 / 359.0, "{pair:?}");
        assert!((figure(1, "nll") / figure(0, "nll") - 1.0).abs() < 0.1, "{pair:?}");
    }
    ok(&["inspect", out.join("model.stf").to_str().unwrap(), "--json"]);
}

#[test]
fn calibration_is_part_of_export_and_can_be_repeated() {
    let dir = TempDir::new().unwrap();
    let (folder, model) = (trained(&dir), dir.path().join("model.stf"));
    let exported = export(&folder, &model);
    let (path, other) = (model.to_str().unwrap(), dir.path().join("other.stf"));
    let json = |args: &[&str]| -> serde_json::Value { serde_json::from_str(&ok(args)).unwrap() };
    let facts = &json(&["inspect", path, "--json"])["facts"];
    assert_eq!(facts["sets"].as_array().unwrap().len(), 6, "three methods, alpha .05 and .1: {facts}");
    assert!(facts["drift"]["bins"].as_u64().unwrap() > 2, "{facts}");

    let calibrate = ["calibrate", path, "--data", "digits", "--json", "-o", other.to_str().unwrap()];
    let summary = json(&calibrate);
    assert_eq!(fs::read(&other).unwrap(), exported, "the same parts, the same settings, the same bytes");
    assert!(summary["after"]["nll"].is_number() && summary["temperature"].as_f64().unwrap() > 0.05);
    let asked = [&calibrate[..], &["--alpha", "0.2", "--risk", "0.5", "--class-conditional"]].concat();
    let summary = json(&asked);
    assert_eq!(summary["sets"].as_array().unwrap().len(), 3);
    let refused = fails(&[&calibrate[..], &["--alpha", "0.001"]].concat());
    mentions(&refused, &["alpha 0.001", "expected at least 999"]);
    mentions(
        &fails(&[&calibrate[..], &["--risk", "0.000001"]].concat()),
        &["abstention", "risk of 0.000001"],
    );
    mentions(&fails(&[&calibrate[..], &["--split", "test"]].concat()), &["--split"]);

    let eval = ["eval", other.to_str().unwrap(), "--data", "digits", "--json", "--corrupt", "blur:5"];
    let figures = json(&eval);
    let promises = &figures["promises"];
    assert_eq!(promises["sampled_as_calibrated"], true);
    let last = &promises["sets"][0];
    // 359 test images after calibration on 7 examples a class or so: far from exact, but not arbitrary.
    assert!(last["coverage"].as_f64().unwrap() > 0.6, "{promises}");
    assert!(figures["shifts"][0]["accuracy"].as_f64().unwrap() < figures["accuracy"].as_f64().unwrap());
    assert!(figures["intervals"]["accuracy"][0].as_f64().unwrap() < figures["accuracy"].as_f64().unwrap());
    let four = json(&[&eval[..5], &["-k", "4"]].concat());
    assert_eq!(four["promises"]["sampled_as_calibrated"], false);
}
