//! Mistakes that would give wrong figures, or lose something, and that commands name instead.

use super::{Cli, predict::Verdict};
use crate::data::testing::{i64_bytes, npy_bytes, write};
use crate::data::{self, Content, Dataset};
use crate::error::Result;
use crate::evaluate::{outcomes, require_classes, require_targets, with_classes_of};
use clap::Parser;
use std::path::Path;
use stf_bnn::artifact::SamplingPolicy;
use stf_bnn::{AlignedBytes, Config, Model, Samples};

fn stf(args: &[&str]) -> Result<()> {
    Cli::try_parse_from([&["stf"], args].concat()).unwrap().run()
}

fn fails(args: &[&str], expected: &str) {
    let message = stf(args).unwrap_err().to_string();
    assert!(message.contains(expected) && message.lines().count() == 1, "{args:?}: {message}");
}

/// Trains for an epoch and exports.
fn trained(train: &[&str], run: &str, model: &str, export: &[&str]) -> AlignedBytes {
    stf(&[&["train", "--epochs", "1", "--bayes-epochs", "1", "--out", run], train].concat()).unwrap();
    stf(&[&["export", run, "--out", model], export].concat()).unwrap();
    read(model)
}

fn read(model: &str) -> AlignedBytes {
    AlignedBytes::new(&std::fs::read(model).unwrap())
}

/// Class folders with pictures of 4x4 pixels.
fn pictures(folder: &Path, classes: &[&str], count: u8) -> String {
    for class in classes {
        std::fs::create_dir_all(folder.join(class)).unwrap();
        for number in 0..count {
            let level = number.wrapping_mul(37).wrapping_add(class.len() as u8);
            let picture = image::GrayImage::from_fn(4, 4, |x, y| image::Luma([level ^ (x * 40 + y) as u8]));
            picture.save(folder.join(class).join(format!("{number}.png"))).unwrap();
        }
    }
    folder.to_str().unwrap().to_string()
}

fn load(spec: &str) -> Dataset {
    data::load(spec, None).unwrap().into_evaluation()
}

#[test]
fn classes_mean_what_their_names_say() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_string();
    let pets = pictures(&dir.path().join("pets"), &["bird", "cat", "dog"], 60);
    let arch = ["--arch", "mlp-small", "--plain", "--data", &pets];
    let bytes = trained(&arch, &at("run"), &at("m.stf"), &["--no-calibrate"]);
    let model = Model::from_bytes(&bytes).unwrap();

    let some = load(&pictures(&dir.path().join("some"), &["cat", "dog"], 2));
    let message = require_classes(&model, &some).unwrap_err().to_string();
    assert!(message.contains("found cat, expected bird, the model's"), "{message}");
    let mapped = with_classes_of(&model, some).unwrap();
    assert_eq!((&mapped.labels[..], mapped.class_names[2].as_str()), (&[1, 1, 2, 2][..], "dog"));
    require_classes(&model, &mapped).unwrap();

    let fish = pictures(&dir.path().join("fish"), &["cat", "fish"], 60);
    for command in ["eval", "calibrate"] {
        let args = [command, &at("m.stf"), "--data", &fish];
        fails(&args, "found fish, expected one of the model's classes bird, cat, dog");
    }
    // A class without examples may be any; numbers say nothing.
    assert_eq!(with_classes_of(&model, load(&format!("{fish}#cat"))).unwrap().labels, [1; 60]);
    let numbered = Dataset { class_names: vec!["0".into(), "1".into()], ..load(&fish) };
    assert_eq!(with_classes_of(&model, numbered.clone()).unwrap(), numbered);
}

#[test]
fn targets_are_the_model_s_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_string();
    let table = |name: &str, header: &str| {
        let rows: String = (0..200).map(|i| format!("{},{},{}\n", i % 7, i % 11, i % 13)).collect();
        write(dir.path(), name, format!("{header}\n{rows}").as_bytes()).to_str().unwrap().to_string()
    };
    let (flow, heat) = (table("flow.csv", "a,b,flow"), table("heat.csv", "a,b,heat"));
    let arch = ["--task", "regression", "--arch", "mlp-small", "--plain", "--data", &flow];
    let model = at("m.stf");
    let bytes = trained(&arch, &at("run"), &model, &["--no-calibrate"]);
    let opened = Model::from_bytes(&bytes).unwrap();
    let set = |spec: &str| data::load_with(spec, None, Content::Targets).unwrap().into_evaluation();
    fails(&["eval", &model, "--data", &heat], "found heat, expected flow, the model's");
    fails(&["calibrate", &model, "--data", &heat], "found heat, expected flow, the model's");
    let empty = set(&flow).select(&[]).unwrap();
    assert!(require_targets(&opened, &empty).unwrap_err().to_string().contains("no example"));
    let mut unnamed = set(&heat);
    unnamed.targets.names[0] = "target 0".into();
    require_targets(&opened, &unnamed).unwrap();
    stf(&["bench", &model, "--data", &flow, "--seconds", "0", "-k", "1", "--tiles", "1"]).unwrap();
}

#[test]
fn a_signature_is_not_lost_silently_and_the_test_part_calibrates_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_string();
    let (run, model, key) = (at("run"), at("m.stf"), at("my.key"));
    stf(&["keygen", &key]).unwrap();
    let sign = ["--sign", &key, "--release", "3"];
    let digits = ["--arch", "mlp-small", "--data", "digits"];
    trained(&digits, &run, &model, &sign);
    fails(&[&["export", &run, "--out", &at("m.onnx"), "--format", "onnx"][..], &sign].concat(), "--sign");
    assert!(!Path::new(&at("m.onnx")).exists());

    let calibrate = ["calibrate", &model, "--data", "digits"];
    fails(&calibrate, "--sign KEY --release N");
    assert!(Model::from_bytes(&read(&model)).unwrap().is_signed());
    stf(&[&calibrate[..], &["--out", &at("bare.stf")]].concat()).unwrap();
    assert!(!Model::from_bytes(&read(&at("bare.stf"))).unwrap().is_signed());
    stf(&[&calibrate[..], &sign[..3], &["4"]].concat()).unwrap();
    let again = read(&model);
    let again = Model::from_bytes(&again).unwrap();
    assert_eq!((again.is_signed(), again.release()), (true, 4));

    for spec in ["digits", "digits#3"] {
        let all = ["calibrate", &at("bare.stf"), "--data", spec, "--split", "all"];
        fails(&all, "which is what the network was trained and is judged on");
    }
    let divided = at("divided");
    for part in ["train", "test"] {
        pictures(&Path::new(&divided).join(part), &["0", "1"], 60);
    }
    fails(&["calibrate", &at("bare.stf"), "--data", &divided, "--split", "all"], "which is its test part");

    let arch = ["--arch", "mlp-small", "--plain", "--data", &divided];
    trained(&arch, &at("run2"), &at("m2.stf"), &["--no-calibrate"]);
    let some = format!("{divided}#1");
    fails(&["calibrate", &at("m2.stf"), "--data", &some], "partly what the network was trained on");

    // One sample, where eight were promised.
    let digits = load("digits").select(&[0]).unwrap();
    for (samples, as_calibrated) in [(1, false), (8, true)] {
        let config = Config { samples: Samples::MonteCarlo(samples), ..Config::default() };
        let outcome = &outcomes(&again, &digits, &config).unwrap()[0];
        let verdict = Verdict::new(&again, outcome, &SamplingPolicy::of(&again, &config), 0);
        let verdict = serde_json::to_value(&verdict).unwrap();
        assert_eq!(verdict["sampled_as_calibrated"], as_calibrated, "{verdict}");
    }
}

#[test]
fn runs_are_of_the_data_they_began_with_and_of_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_string();
    let pets = pictures(&dir.path().join("pets"), &["cat", "dog"], 60);
    let run = at("run");
    trained(&["--arch", "mlp-small", "--plain", "--data", &pets], &run, &at("m.stf"), &["--no-calibrate"]);
    // `stf demo` has its run in a folder `run`, too.
    fails(&["demo", "--out", dir.path().to_str().unwrap()], "a run that is not the demo's (config.json)");
    assert!(dir.path().join("run/stage1.safetensors").exists());

    pictures(&dir.path().join("pets"), &["eel"], 60);
    for args in [&["export", &run, "--out", &at("n.stf")][..], &["train", "--resume", "--out", &run]] {
        fails(args, "found other data under the name");
    }
    assert!(!Path::new(&at("n.stf")).exists());

    let auto = at("auto");
    stf(&["train", "--arch", "autoencoder", "--data", "digits", "--plain", "--epochs", "1", "--out", &auto])
        .unwrap();
    let image = dir.path().join("pets/cat/0.png");
    fails(&["predict", &auto, image.to_str().unwrap()], "the run folder of an autoencoder");
}

#[cfg(unix)]
#[test]
fn a_name_of_two_lines_is_refused_before_training() {
    let dir = tempfile::tempdir().unwrap();
    let data = pictures(&dir.path().join("data"), &["cat", "dog\nand fox"], 60);
    let run = dir.path().join("run");
    fails(
        &["train", "--arch", "mlp-small", "--data", &data, "--out", run.to_str().unwrap()],
        "name of a class: found \"dog\\nand fox\"",
    );
    assert!(!run.exists());
}

#[cfg(feature = "onnx-import")]
#[test]
fn channels_first_are_read_where_the_network_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_string();
    let digits = load("digits");
    let count = digits.len();
    let labels: Vec<i64> = digits.labels.iter().map(|&label| i64::from(label)).collect();
    let data::Inputs::U8(pixels) = digits.into_memory().unwrap() else { panic!("bytes expected") };
    let planes =
        |count: usize, pixels: &[u8]| npy_bytes("|u1", false, &format!("({count}, 1, 8, 8)"), pixels);
    write(dir.path(), "x.npy", &planes(count, &pixels));
    write(dir.path(), "y.npy", &npy_bytes("<i8", false, &format!("({count},)"), &i64_bytes(&labels)));
    let few = write(dir.path(), "few.npy", &planes(2, &pixels[..128]));
    let (data, run, model) = (format!("{},{}", at("x.npy"), at("y.npy")), at("run"), at("m.stf"));
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx_models/digits.onnx");
    let import = ["import", file.to_str().unwrap(), "--data", &data, "--out", &run, "--bayes-epochs", "1"];
    fails(&import, "which looks like channels first");
    stf(&[&import[..], &["--layout", "nchw", "--eval-samples", "2"]].concat()).unwrap();
    stf(&["export", &run, "--out", &model]).unwrap();
    for args in [
        &["eval", &model, "--data", &data, "--limit", "20"][..],
        &["calibrate", &model, "--data", &data],
        &["predict", &model, few.to_str().unwrap()],
        &["predict", &run, few.to_str().unwrap()],
    ] {
        stf(args).unwrap();
    }
}
