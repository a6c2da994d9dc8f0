//! Writes a table of small random models, one kind of layer each, for kernels that cannot run here, and
//! prints what the specification makes of them: see `firmware/src/bin/table.rs`.
//! `cargo run --example kernel_table -- TABLE.bin FIRST_SEED END`

#[path = "../tests/common/mod.rs"]
mod common;

use common::layer_model;
use std::error::Error;
use stf_bnn::kernels::Kernels;
use stf_bnn::{Config, Input, Model, Predictor, Samples};

fn pad(table: &mut Vec<u8>) {
    table.resize(table.len().next_multiple_of(16), 0);
}

/// FNV-1a over the bits of all means and spreads.
fn hash<'a>(values: impl Iterator<Item = &'a f32>) -> u64 {
    let bytes = values.flat_map(|x| x.to_bits().to_le_bytes());
    bytes.fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3))
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, first, end] = arguments.as_slice() else {
        return Err("expected TABLE.bin FIRST_SEED END".into());
    };
    let mut table = Vec::new();
    for seed in first.parse()?..end.parse()? {
        for layer in common::LAYERS {
            let file = layer_model(layer, seed);
            let model = Model::from_bytes(&file)?;
            let mut dice = common::Dice(seed);
            let count = model.manifest().input.tensor.len();
            let input: Vec<u8> = (0..count).map(|_| dice.int(0, 255) as u8).collect();
            table.extend((file.len() as u32).to_le_bytes());
            table.extend((input.len() as u32).to_le_bytes());
            pad(&mut table);
            table.extend_from_slice(&file);
            pad(&mut table);
            table.extend_from_slice(&input);
            pad(&mut table);
            let mut line = String::new();
            for samples in [Samples::Mean, Samples::MonteCarlo(5)] {
                for cache_mean in [true, false] {
                    let kernels = Some(Kernels::REFERENCE);
                    let config = Config { samples, cache_mean, kernels, ..Config::default() };
                    let mut workspace = vec![0; model.workspace_bytes(&config)?];
                    let mut predictor = Predictor::new(&model, config, &mut workspace)?;
                    let p = predictor.predict(Input::U8(&input))?;
                    line += &format!("{:016x} ", hash(p.mean.iter().chain(p.spread)));
                }
            }
            println!("{line}");
        }
    }
    std::fs::write(path, table)?;
    Ok(())
}
