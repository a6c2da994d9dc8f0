//! Golden models and vectors, see `tests/golden/README.md`.
//!
//! ```text
//! golden split MODEL.stf FOLDER    take an artifact apart
//! golden join FOLDER MODEL.stf     put one of today's format together
//! golden vectors FOLDER [COUNT]    write vectors.txt from the folder's model and (first COUNT) inputs
//! ```

#[path = "../tests/golden_files/mod.rs"]
mod golden_files;

use golden_files::{CONFIG, Result, join, split, vectors};
use std::fs;
use std::path::Path;
use stf_bnn::kernels::Kernels;

const HEAD: &str = "# Made by `cargo xtask golden`; see tests/golden/README.md.\n";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["split", model, folder] => split(&fs::read(model)?, Path::new(folder)),
        ["join", folder, model] => Ok(fs::write(model, join(Path::new(folder))?)?),
        ["vectors", folder] => write_vectors(Path::new(folder), usize::MAX),
        ["vectors", folder, count] => write_vectors(Path::new(folder), count.parse()?),
        _ => Err("expected split MODEL FOLDER, join FOLDER MODEL or vectors FOLDER [COUNT]".into()),
    }
}

fn write_vectors(folder: &Path, count: usize) -> Result<()> {
    let config = stf_bnn::Config { kernels: Some(Kernels::REFERENCE), ..CONFIG };
    let text = vectors(&join(folder)?, &fs::read(folder.join("inputs.bin"))?, count, config)?;
    Ok(fs::write(folder.join("vectors.txt"), format!("{HEAD}{text}"))?)
}
