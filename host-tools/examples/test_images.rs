//! Writes the first test examples of a data set as raw bytes, for tests on devices.
//! `cargo run --release --example test_images -- DATA COUNT FOLDER [DATA_DIR]` makes `inputs.bin` and
//! `labels.bin`.

use std::error::Error;
use std::path::Path;
use stf_host::data::{Inputs, load, splits};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (spec, count, folder, data_dir) = match arguments.as_slice() {
        [spec, count, folder] => (spec, count, folder, None),
        [spec, count, folder, data_dir] => (spec, count, folder, Some(Path::new(data_dir))),
        _ => return Err("expected DATA COUNT FOLDER [DATA_DIR]".into()),
    };
    // The seed decides what is held out of training, never what is in the test part.
    let test = splits(load(spec, data_dir)?, 0)?.test;
    let test = test.select(&(0..count.parse()?).collect::<Vec<_>>())?;
    let Inputs::U8(inputs) = &test.inputs else { return Err(format!("{spec}: found no bytes").into()) };
    let labels = test.labels.iter().map(|&label| u8::try_from(label)).collect::<Result<Vec<_>, _>>()?;
    std::fs::create_dir_all(folder)?;
    std::fs::write(Path::new(folder).join("inputs.bin"), inputs)?;
    std::fs::write(Path::new(folder).join("labels.bin"), labels)?;
    Ok(())
}
