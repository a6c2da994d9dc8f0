//! What device tests run: a model, inputs and labels; and the host's own results.

use crate::cross::{cargo, output, run, target_dir, write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A model with its data, as files.
#[derive(Debug, Clone)]
pub struct Case {
    /// The artifact.
    pub model: PathBuf,
    /// Raw inputs.
    pub images: PathBuf,
    /// One byte each.
    pub labels: PathBuf,
    /// First inputs only.
    pub limit: usize,
}

/// Inputs of a small model.
const INPUTS: usize = 24;

/// Settings of every device test: what the firmware's `build.rs` takes by default.
const SETTINGS: [&str; 4] = ["--num-samples", "8", "--seed", "0"];

/// The model of the command line (`MODEL IMAGES LABELS LIMIT`), or small random ones of these kinds.
pub fn cases(arguments: &[String], kinds: &[&str]) -> Result<Vec<Case>, String> {
    match arguments {
        [] => kinds.iter().map(|kind| small(kind)).collect(),
        [model, images, labels, limit] => {
            let absolute =
                |path: &String| std::path::absolute(path).map_err(|error| format!("{path}: {error}"));
            let limit = limit.parse().map_err(|_| format!("LIMIT: found {limit}, expected a number"))?;
            Ok(vec![Case {
                model: absolute(model)?,
                images: absolute(images)?,
                labels: absolute(labels)?,
                limit,
            }])
        }
        _ => Err("expected nothing, or MODEL IMAGES LABELS LIMIT".into()),
    }
}

fn small(kind: &str) -> Result<Case, String> {
    let folder = target_dir().join("device-test").join(kind);
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let [model, images, labels] = ["model.stf", "images.bin", "labels.bin"].map(|name| folder.join(name));
    let mut make = cargo(None)?;
    make.args(["run", "--quiet", "--package", "stf-bnn", "--example", "small_model", "--", kind, "5"]);
    run(make.arg(&model).arg(&images).arg(INPUTS.to_string()))?;
    let classes: Vec<u8> = (0..INPUTS).map(|index| (index % 3) as u8).collect();
    write(&labels, &classes)?;
    Ok(Case { model, images, labels, limit: INPUTS })
}

/// Builds `stf-run` with these environment variables and returns its path.
pub fn stf_run(target: Option<&str>, variables: &[(String, &str)]) -> Result<PathBuf, String> {
    let mut build = cargo(target)?;
    build.args(["build", "--quiet", "--release", "--package", "stf-run"]);
    build.envs(variables.iter().map(|(name, value)| (name, value)));
    let mut folder = target_dir();
    if let Some(target) = target {
        build.args(["--target", target]);
        folder.push(target);
    }
    run(&mut build)?;
    Ok(folder.join("release/stf-run"))
}

impl Case {
    /// Predictions of `program`, `stf-run` here or under an emulator, as bits.
    pub fn bits(&self, program: &[&Path]) -> Result<Vec<u8>, String> {
        let mut command = start(program);
        command.arg("predict").arg(&self.model).arg("--images").arg(&self.images).args(SETTINGS);
        output(command.args(["--bits", "--limit", &self.limit.to_string()]))
    }

    /// Figures of `program`, as JSON.
    pub fn figures(&self, program: &[&Path]) -> Result<Vec<u8>, String> {
        let mut command = start(program);
        command.arg("eval").arg(&self.model).arg("--images").arg(&self.images).args(SETTINGS);
        command.arg("--labels").arg(&self.labels);
        output(command.args(["--json", "--limit", &self.limit.to_string()]))
    }
}

/// A command of `stf-run`, here or under an emulator.
pub fn start(program: &[&Path]) -> Command {
    let mut words = program.iter();
    let mut command = Command::new(words.next().unwrap_or(&Path::new("stf-run")));
    command.args(words);
    command
}

/// Fails with the first line that differs.
pub fn same(what: &str, found: &[u8], expected: &[u8]) -> Result<(), String> {
    let (found, expected) = (String::from_utf8_lossy(found), String::from_utf8_lossy(expected));
    if expected.trim().is_empty() {
        return Err(format!("{what}: the host has no result"));
    }
    let mut pairs = found.lines().zip(expected.lines());
    if let Some((found, expected)) = pairs.find(|(found, expected)| found != expected) {
        return Err(format!("{what}: differs\n found    {found}\n expected {expected}"));
    }
    let (found, expected) = (found.lines().count(), expected.lines().count());
    if found == expected {
        eprintln!("xtask: {what}: {expected} lines equal the host's");
        return Ok(());
    }
    Err(format!("{what}: found {found} lines, expected {expected}"))
}
