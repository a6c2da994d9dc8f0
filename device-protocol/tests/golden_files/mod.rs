//! Models as text and bytes that outlive the artifact's format, and the vectors that every machine must
//! reproduce: what lies in `tests/golden/` and `tests/models/`.
//!
//! A folder holds `model.json` (manifest and layers by the names of their fields), `model.bin` (the blob
//! section as it is), `inputs.bin` (raw bytes, one input after another) and, of a golden model,
//! `vectors.txt`. A fact that the format gained after a folder was made is absent from it: `None`.
#![allow(dead_code)]

use serde::Deserialize;
use serde_json::{Value, json};
use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use stf_bnn::artifact::{ArtifactWriter, Layer, Manifest};
use stf_bnn::{AlignedBytes, Config, Input, Model, Predictor, Samples};
use stf_device_protocol::{write_bits, write_draw};

pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Settings of the vectors.
pub const CONFIG: Config = Config {
    samples: Samples::MonteCarlo(8),
    seed: 3,
    draws: stf_bnn::Draws::Fresh,
    antithetic: true,
    tile: 1,
    cache_mean: true,
    kernels: None,
};

/// The folders with vectors of the repository, in order of name.
pub fn folders() -> Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for of in ["../tests/golden", "../tests/models"] {
        let of = Path::new(env!("CARGO_MANIFEST_DIR")).join(of);
        let entries = fs::read_dir(&of).map_err(|error| format!("{}: {error}", of.display()))?;
        folders.extend(entries.flatten().map(|entry| entry.path()));
    }
    folders.retain(|folder| folder.join("vectors.txt").is_file());
    folders.sort();
    Ok(folders)
}

/// Takes an artifact apart into `model.json` and `model.bin`.
pub fn split(artifact: &[u8], folder: &Path) -> Result<()> {
    let aligned = AlignedBytes::new(artifact);
    let model = Model::from_bytes(&aligned)?;
    let layers: Vec<Layer> = model.layers().collect();
    let text = serde_json::to_string_pretty(&json!({ "manifest": model.manifest(), "layers": layers }))?;
    let word = |at: usize| -> Result<usize> {
        let bytes = artifact.get(at..).and_then(|rest| rest.first_chunk()).ok_or("no header")?;
        Ok(u32::from_le_bytes(*bytes) as usize)
    };
    let (offset, length) = (word(16)?, word(20)?);
    let blob = artifact.get(offset..offset + length).ok_or("no blob section")?;
    fs::create_dir_all(folder)?;
    fs::write(folder.join("model.json"), text + "\n")?;
    fs::write(folder.join("model.bin"), blob)?;
    if join(folder)? != artifact {
        return Err("taken apart and put together, the artifact differs".into());
    }
    Ok(())
}

/// Puts an artifact of today's format together.
pub fn join(folder: &Path) -> Result<Vec<u8>> {
    let text = fs::read_to_string(folder.join("model.json"))?;
    let value: Value = serde_json::from_str(&text)?;
    let manifest = Manifest::deserialize(&value["manifest"])?;
    let mut writer = ArtifactWriter::new();
    writer.blob(&fs::read(folder.join("model.bin"))?);
    for layer in value["layers"].as_array().ok_or("model.json: no layers")? {
        writer.push_layer(Layer::deserialize(layer)?);
    }
    Ok(writer.finish(manifest)?)
}

/// Every draw's logits and every result for the first inputs of a folder, as IEEE bits.
pub fn vectors(artifact: &[u8], inputs: &[u8], count: usize, config: Config) -> Result<String> {
    let aligned = AlignedBytes::new(artifact);
    let model = Model::from_bytes(&aligned)?;
    let mut workspace = vec![0x5A; model.workspace_bytes(&config)?];
    let mut predictor = Predictor::new(&model, config, &mut workspace)?;
    let size = usize::try_from(model.manifest().input.tensor.len())?;
    let mut text = String::new();
    for (index, input) in inputs.chunks_exact(size).take(count).enumerate() {
        let mut draws = Ok(());
        let p = predictor.predict_with(Input::U8(input), |draw, outputs| {
            draws = draws.and_then(|()| write_draw(&mut text, index, draw, outputs));
            text.push('\n');
        })?;
        draws?;
        write_bits(&mut text, index, p.mean, p.spread, p.samples, p.classification.as_ref())?;
        writeln!(text)?;
    }
    Ok(text)
}
