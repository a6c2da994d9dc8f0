//! Sets larger than memory, through the `stf` command: the same training, in bounded memory.

mod command;

use command::json;
use std::path::Path;
use std::process::Command;
use stf_host::data::shards::Writer;
use stf_host::data::{Element, RawExample};
use stf_host::graph::Shape;
use tempfile::TempDir;

fn path(dir: &Path, name: &str) -> String {
    dir.join(name).display().to_string()
}

/// Digits from shards train and evaluate as digits do: the same bytes in the same files.
#[test]
fn training_from_shards_gives_the_same_bits() {
    let dir = TempDir::new().unwrap();
    let [shards, plain, sharded] = ["shards", "plain", "sharded"].map(|name| path(dir.path(), name));
    json(&["data", "shard", "digits", "--out", &shards, "--json"]);
    for (data, out) in [("digits", &plain), (shards.as_str(), &sharded)] {
        let epochs = ["--epochs", "2", "--bayes-epochs", "2", "--eval-samples", "2"];
        let args =
            [&["train", "--arch", "mlp", "--data", data, "--out", out, "--json"][..], &epochs].concat();
        json(&args);
        ok_text(&["export", out, "--out", &format!("{out}.stf")]);
    }
    for file in ["stage1.safetensors", "stage2.safetensors"] {
        let read = |folder: &str| std::fs::read(Path::new(folder).join(file)).unwrap();
        assert_eq!(read(&plain), read(&sharded), "{file}");
    }
    let eval = |data: &str| json(&["eval", &format!("{sharded}.stf"), "--data", data, "--json"]);
    assert_eq!(eval("digits")["nll"], eval(&shards)["nll"]);
}

fn ok_text(args: &[&str]) {
    let status = Command::new(env!("CARGO_BIN_EXE_stf")).args(args).output().unwrap().status;
    assert!(status.success(), "{args:?}");
}

/// 90 MB of examples: the whole command stays below half of that.
#[test]
fn memory_does_not_grow_with_the_data() {
    let dir = TempDir::new().unwrap();
    let shards = dir.path().join("shards");
    let (shape, examples) = (Shape::new(28, 28, 1), 28_672u32);
    let bytes = u64::from(examples) * 4 * shape.len() as u64;
    let mut writer = Writer::create(&shards, "noise", shape, Element::F32, 16 << 20).unwrap();
    let mut state = 1u64;
    for index in 0..examples {
        let mut values = vec![0.0; shape.len()];
        for value in &mut values {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            *value = (state >> 40) as f32;
        }
        writer.push("whole", RawExample::F32(&values), index % 2).unwrap();
    }
    writer.finish(vec!["a".into(), "b".into()]).unwrap();
    let shards = shards.display().to_string();
    let out = path(dir.path(), "run");
    let small = ["--plain", "--epochs", "1", "--batch-size", "64", "--eval-samples", "1", "--json"];
    let report = json(&[&["train", "--arch", "mlp", "--data", &shards, "--out", &out][..], &small].concat());
    if let Some(peak) = report["peak_memory_bytes"].as_u64() {
        assert!(peak < bytes / 2, "peak memory {} MB for {} MB of data", peak >> 20, bytes >> 20);
    }
}
