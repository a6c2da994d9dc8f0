//! Embeds the model and its test inputs, computes the workspace from them, and chooses the memory map.
//!
//! `STF_MODEL`: the artifact. `STF_INPUTS`: raw bytes of test inputs, one after another (may be unset:
//! none). `STF_BOARD`: a file of `boards/`. `STF_SAMPLES` (0: the mean; `adaptive`: by the artifact's rule) and `STF_SEED`.
//! `STF_OPERATORS`: those of the `model` alone, or `all`. `STF_LOAD`: `embedded`, or `checked` on the device too.
//! `STF_GOLDEN`: folder of the models of the program `golden` (may be unset: none).

#[path = "build_golden.rs"]
mod golden;

use std::env;
use std::error::Error;
use std::fs;
use std::path::PathBuf;
use stf_bnn::kernels::Kernels;
use stf_bnn::{AlignedBytes, Config, Model, Samples};

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let board = setting("STF_BOARD", "mps2-an386");
    let map = format!("boards/{board}.x");
    println!("cargo::rerun-if-changed={map}");
    fs::copy(&map, out.join("memory.x")).map_err(|error| format!("STF_BOARD: {map}: {error}"))?;
    println!("cargo::rustc-link-search={}", out.display());
    println!("cargo::rustc-env=STF_BOARD={board}");
    if env::var_os("CARGO_FEATURE_LOG").is_some() {
        println!("cargo::rustc-link-arg-bins=-Tdefmt.x");
    }

    let path = setting("STF_MODEL", "");
    if path.is_empty() {
        return Err("STF_MODEL: found nothing, expected the path of an .stf artifact".into());
    }
    let bytes = AlignedBytes::new(&read("STF_MODEL", &path)?);
    let model = Model::from_bytes(&bytes).map_err(|error| format!("STF_MODEL: {path}: {error}"))?;
    fs::write(out.join("model.stf"), &bytes[..])?;
    let inputs = match setting("STF_INPUTS", "") {
        path if path.is_empty() => Vec::new(),
        path => read("STF_INPUTS", &path)?,
    };
    let input_bytes = inputs.len();
    fs::write(out.join("inputs.bin"), inputs)?;
    let config = config()?;
    let mut constants = constants(&model, &config)?;
    let all_operators = choice("STF_OPERATORS", ["model", "all"])?;
    let checked = choice("STF_LOAD", ["embedded", "checked"])?;
    constants += &format!(
        "/// Bytes of all inputs.\npub const INPUT_BYTES: usize = {input_bytes};\n\
         /// Whether every operator is linked.\nconst ALL_OPERATORS: bool = {all_operators};\n\
         /// Whether the device checks the model.\nconst CHECKED: bool = {checked};\n"
    );
    fs::write(out.join("constants.rs"), constants)?;
    golden::write(&out, &setting("STF_GOLDEN", ""), &config)?;
    Ok(())
}

/// How the device predicts.
fn config() -> Result<Config, Box<dyn Error>> {
    let samples = match setting("STF_SAMPLES", "8").as_str() {
        "adaptive" => Samples::Adaptive,
        "0" => Samples::Mean,
        number => Samples::MonteCarlo(number.parse()?),
    };
    Ok(Config {
        samples,
        seed: setting("STF_SEED", "0").parse()?,
        kernels: Kernels::by_name(if cfg!(feature = "dsp") { "cortex-m-dsp" } else { "reference" }),
        ..Config::default()
    })
}

fn constants(model: &Model<'_>, config: &Config) -> Result<String, Box<dyn Error>> {
    let seed = config.seed;
    let workspace = model.workspace_bytes(config)?;
    let inputs = usize::try_from(model.manifest().input.tensor.len())?;
    let frame = stf_device_protocol::frame_bytes(inputs, model.manifest().outputs.into());
    let samples = match config.samples {
        Samples::Mean => "Mean".to_string(),
        Samples::Adaptive => "Adaptive".to_string(),
        Samples::MonteCarlo(samples) => format!("MonteCarlo({samples})"),
    };
    Ok(format!(
        "/// Settings of the prediction.\n\
         pub const CONFIG: stf_bnn::Config = stf_bnn::Config {{\n\
             samples: stf_bnn::Samples::{samples},\n\
             seed: {seed},\n\
             draws: stf_bnn::Draws::Fresh,\n\
             antithetic: {},\n\
             tile: {},\n\
             cache_mean: {},\n\
             kernels: None,\n\
         }};\n\
         /// Bytes of workspace of the embedded model.\n\
         pub const WORKSPACE_BYTES: usize = {workspace};\n\
         /// Values of an input.\n\
         pub const INPUT_VALUES: usize = {inputs};\n\
         /// Bytes of the longest frame.\n\
         pub const FRAME_BYTES: usize = {frame};\n",
        config.antithetic, config.tile, config.cache_mean
    ))
}

/// Whether a setting is the second of two words; the first is the default.
fn choice(name: &str, [no, yes]: [&str; 2]) -> Result<bool, Box<dyn Error>> {
    match setting(name, no) {
        word if word == no => Ok(false),
        word if word == yes => Ok(true),
        word => Err(format!("{name}: found {word}, expected {no} or {yes}").into()),
    }
}

fn setting(name: &str, default: &str) -> String {
    println!("cargo::rerun-if-env-changed={name}");
    env::var(name).unwrap_or_else(|_| default.into())
}

fn read(name: &str, path: &str) -> Result<Vec<u8>, String> {
    println!("cargo::rerun-if-changed={path}");
    fs::read(path).map_err(|error| format!("{name}: {path}: {error}"))
}
