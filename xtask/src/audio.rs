//! `cargo xtask audio`: the audio front end and the predictions from its features on Cortex-M cores in QEMU
//! equal the host's bits; and what a second of sound costs in instructions.

use crate::cross::{cargo, output, run, target_dir};
use crate::firmware::{DEFAULT, M4, OTHERS, Processor, build_program, qemu};
use crate::instructions::{count, plugin};
use crate::models::{Case, same, stf_run};
use std::path::{Path, PathBuf};

/// Bytes of the features of a second.
const INPUT: usize = 490;

/// A model, samples, and what the host makes of them.
struct Sound {
    model: PathBuf,
    samples: PathBuf,
    expected: Vec<u8>,
}

/// The command line of the task.
pub fn run_task(arguments: &[String]) -> Result<(), String> {
    let host = stf_run(None, &[])?;
    let sound = match arguments {
        [] => made(&host)?,
        [model, samples] => {
            let absolute =
                |path: &String| std::path::absolute(path).map_err(|error| format!("{path}: {error}"));
            listen(&host, absolute(model)?, absolute(samples)?, &[])?
        }
        _ => return Err("expected nothing, or MODEL SAMPLES".into()),
    };
    everywhere(&sound)?;
    let program = program(&M4, &sound)?;
    let (regions, _) = count(&plugin()?, "mps2-an386", &program)?;
    let seconds = regions.len() / 2;
    let (heard, predicted) = regions.split_at(seconds);
    println!("Cortex-M4F, instructions of each second: features {heard:?}, predictions {predicted:?}");
    Ok(())
}

/// A random DS-CNN hears made sounds.
pub fn compare(host: &Path) -> Result<(), String> {
    everywhere(&made(host)?)
}

fn everywhere(sound: &Sound) -> Result<(), String> {
    for processor in std::iter::once(&M4).chain(&OTHERS) {
        let program = program(processor, sound)?;
        for machine in processor.machines {
            let printed = output(qemu(machine, &program).args(["-serial", "none"]))?;
            same(&format!("{} on {machine}: sound", processor.name), &printed, &sound.expected)?;
        }
    }
    Ok(())
}

fn program(processor: &Processor, sound: &Sound) -> Result<PathBuf, String> {
    build_program(processor, [&sound.model, &sound.samples], "audio", &DEFAULT, &[])
}

fn made(host: &Path) -> Result<Sound, String> {
    let folder = target_dir().join("device-test/audio");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let [model, inputs, samples] = ["model.stf", "inputs.bin", "samples.bin"].map(|name| folder.join(name));
    let mut make = cargo(None)?;
    make.args(["run", "--quiet", "--package", "stf-bnn", "--example", "small_model", "--", "kws_dscnn", "5"]);
    run(make.arg(&model).arg(&inputs).arg("1"))?;
    listen(host, model, samples, &["make"])
}

/// The host's features and predictions.
fn listen(host: &Path, model: PathBuf, samples: PathBuf, make: &[&str]) -> Result<Sound, String> {
    let features = target_dir().join("device-test/audio-features.bin");
    let mut hear = cargo(None)?;
    hear.args(["run", "--quiet", "--package", "stf-bnn", "--example", "audio_features", "--"]);
    let mut expected = output(hear.arg(&samples).arg(&features).args(make))?;
    let bytes =
        std::fs::metadata(&features).map_err(|error| format!("{}: {error}", features.display()))?.len();
    let limit = bytes as usize / INPUT;
    let case = Case { model: model.clone(), images: features.clone(), labels: features, limit };
    expected.extend(case.bits(&[host])?);
    Ok(Sound { model, samples, expected })
}
