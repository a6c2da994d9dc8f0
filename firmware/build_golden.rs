//! Embeds the golden models: every `NAME/model.stf` and `NAME/inputs.bin` of the folder `STF_GOLDEN`.

use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use stf_bnn::{AlignedBytes, Config, Model};

/// Writes `golden.rs` to `out`: the table, and the workspace that serves each of its models. Without a
/// folder the table is empty.
pub fn write(out: &Path, folder: &str, config: &Config) -> Result<(), Box<dyn Error>> {
    let mut rows = String::new();
    let mut workspace = 0;
    for (index, folder) in folders(folder)?.iter().enumerate() {
        let [model, inputs] = ["model.stf", "inputs.bin"].map(|name| folder.join(name));
        for path in [&model, &inputs] {
            println!("cargo::rerun-if-changed={}", path.display());
        }
        let bytes = AlignedBytes::new(&fs::read(&model)?);
        let checked = Model::from_bytes(&bytes).map_err(|error| format!("{}: {error}", model.display()))?;
        workspace = workspace.max(checked.workspace_bytes(config)?);
        fs::copy(&model, out.join(format!("golden{index}.stf")))?;
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        write!(
            rows,
            "Golden {{ name: {name:?}, \
             model: stf_bnn::include_model!(concat!(env!(\"OUT_DIR\"), \"/golden{index}.stf\")), \
             inputs: include_bytes!({inputs:?}) }},",
        )?;
    }
    let text = format!(
        "/// The golden models.\npub static GOLDEN: &[Golden] = &[{rows}];\n\
         /// Bytes of workspace that serve each of them.\npub const GOLDEN_WORKSPACE: usize = {workspace};\n"
    );
    Ok(fs::write(out.join("golden.rs"), text)?)
}

fn folders(folder: &str) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    if folder.is_empty() {
        return Ok(Vec::new());
    }
    println!("cargo::rerun-if-changed={folder}");
    let entries = fs::read_dir(folder).map_err(|error| format!("STF_GOLDEN: {folder}: {error}"))?;
    let mut folders: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    folders.retain(|folder| folder.join("model.stf").is_file());
    folders.sort();
    Ok(folders)
}
