//! Golden models on devices, and `cargo xtask golden`, which makes them.

use crate::cross::{cargo, copy, output, root, run as run_command, target_dir};
use crate::models::same;
use std::path::{Path, PathBuf};

/// Folder under `tests/golden`, kind and seed of `examples/small_model.rs`.
const SMALL: [(&str, &str, &str); 5] = [
    ("conv-residual", "conv", "8"),
    ("conv-pooling", "conv", "5"),
    ("depthwise", "depthwise", "8"),
    ("dense-weights", "dense", "2"),
    ("dense-outputs", "dense-outputs", "3"),
];
const TRAINED: &str = "lenet5-digits";
const INPUTS: &str = "4";

/// Settings of the vectors.
pub const SETTINGS: [&str; 4] = ["--num-samples", "8", "--seed", "3"];

/// One golden model as files of today's format.
#[derive(Debug, Clone)]
pub struct Golden {
    /// Its folder's name.
    pub name: String,
    /// The artifact.
    pub model: PathBuf,
    /// Raw inputs.
    pub inputs: PathBuf,
    /// What every machine gives for them.
    pub expected: Vec<u8>,
}

/// The golden models; also under `target/device-test/golden/NAME/{model.stf,inputs.bin}`.
pub fn prepare() -> Result<Vec<Golden>, String> {
    let folder = folder();
    let names = SMALL.iter().map(|(name, ..)| *name).chain([TRAINED]);
    names
        .map(|name| {
            let from = root().join("tests/golden").join(name);
            let [model, inputs] = ["model.stf", "inputs.bin"].map(|file| folder.join(name).join(file));
            copy(&from.join("inputs.bin"), &inputs)?;
            join(&from, &model)?;
            let path = from.join("vectors.txt");
            let text =
                std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            let expected = lines.flat_map(|line| [line, "\n"]).collect::<String>().into_bytes();
            Ok(Golden { name: name.into(), model, inputs, expected })
        })
        .collect()
}

/// Where the models of [`prepare`] are.
pub fn folder() -> PathBuf {
    target_dir().join("device-test/golden")
}

/// Puts an artifact together from a folder of `tests/`.
pub fn join(from: &Path, to: &Path) -> Result<(), String> {
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    example(&[Path::new("join"), from, to])
}

/// Compares `program`, `stf-run` under an emulator, with every golden model.
pub fn check(what: &str, program: &[&Path], goldens: &[Golden]) -> Result<(), String> {
    for golden in goldens {
        let mut command = crate::models::start(program);
        command.arg("predict").arg(&golden.model).arg("--images").arg(&golden.inputs);
        let found = output(command.args(SETTINGS).args(["--bits", "--logits"]))?;
        same(&format!("{what}: golden {}", golden.name), &found, &golden.expected)?;
    }
    Ok(())
}

/// `cargo xtask golden [vectors]`
pub fn run(arguments: &[String]) -> Result<(), String> {
    match arguments {
        [] => make_models()?,
        [word] if word == "vectors" => {}
        _ => return Err("expected nothing, or vectors".into()),
    }
    for (name, ..) in SMALL {
        vectors(&root().join("tests/golden").join(name), None)?;
    }
    vectors(&root().join("tests/golden").join(TRAINED), None)?;
    for name in ["lenet5-mnist", "resnet8-cifar10"] {
        vectors(&root().join("tests/models").join(name), Some("2"))?;
    }
    Ok(())
}

fn vectors(folder: &Path, count: Option<&str>) -> Result<(), String> {
    let mut arguments = vec![Path::new("vectors"), folder];
    arguments.extend(count.map(Path::new));
    example(&arguments)
}

fn make_models() -> Result<(), String> {
    let work = target_dir().join("device-test/golden-make");
    std::fs::create_dir_all(&work).map_err(|error| format!("{}: {error}", work.display()))?;
    let model = work.join("model.stf");
    for (name, kind, seed) in SMALL {
        let folder = root().join("tests/golden").join(name);
        std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let mut make = cargo(None)?;
        make.args(["run", "--quiet", "--package", "stf-bnn", "--example", "small_model", "--", kind, seed]);
        run_command(make.arg(&model).arg(folder.join("inputs.bin")).arg(INPUTS))?;
        example(&[Path::new("split"), &model, &folder])?;
    }
    let (folder, trained) = (root().join("tests/golden").join(TRAINED), work.join("run"));
    let mut train = stf()?;
    train.args(["train", "--arch", "lenet5", "--data", "digits", "--epochs", "20", "--bayes-epochs", "5"]);
    run_command(train.arg("--force").arg("--out").arg(&trained))?;
    run_command(stf()?.arg("export").arg(&trained).args(["--no-adaptive", "--out"]).arg(&model))?;
    example(&[Path::new("split"), &model, &folder])?;
    let mut images = cargo(None)?;
    images.args([
        "run",
        "--quiet",
        "--package",
        "stf-host",
        "--example",
        "test_images",
        "--",
        "digits",
        INPUTS,
    ]);
    run_command(images.arg(&folder))?;
    let labels = folder.join("labels.bin");
    std::fs::remove_file(&labels).map_err(|error| format!("{}: {error}", labels.display()))
}

fn stf() -> Result<std::process::Command, String> {
    let mut stf = cargo(None)?;
    stf.args(["run", "--quiet", "--package", "stf-host", "--bin", "stf", "--"]);
    Ok(stf)
}

fn example(arguments: &[&Path]) -> Result<(), String> {
    let mut golden = cargo(None)?;
    golden.args(["run", "--quiet", "--package", "stf-device-protocol", "--example", "golden", "--"]);
    run_command(golden.args(arguments))
}
