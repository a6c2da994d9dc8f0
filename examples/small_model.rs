//! Writes a small random artifact, and raw inputs for it: what device tests run where no trained model
//! is at hand. `cargo run --example small_model -- KIND SEED MODEL.stf INPUTS.bin COUNT`

#[path = "../tests/common/mod.rs"]
mod common;

use common::{Dice, First, RULE, model, ruled};
use std::error::Error;
use stf_bnn::Model;
use stf_bnn::artifact::Adaptive;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kind, seed, model_path, inputs_path, count] = arguments.as_slice() else {
        return Err("expected KIND SEED MODEL.stf INPUTS.bin COUNT".into());
    };
    let kind = match kind.as_str() {
        "conv" => First::Conv,
        "depthwise" => First::Depthwise,
        "dense" => First::Dense,
        "dense-outputs" => First::DenseOutputs,
        "plain" => First::Plain,
        other => return Err(format!("kind: found {other}").into()),
    };
    let bytes = model(kind, seed.parse()?);
    // With a rule, so that adaptive samples can be compared between machines too.
    let bytes =
        if kind == First::Plain { bytes } else { ruled(&bytes, Adaptive { threshold: 0.9999, ..RULE }) };
    let values = Model::from_bytes(&bytes)?.manifest().input.tensor.len() * count.parse::<u64>()?;
    let mut dice = Dice(seed.parse()?);
    let inputs: Vec<u8> = (0..values).map(|_| dice.int(0, 255) as u8).collect();
    std::fs::write(model_path, &bytes[..])?;
    std::fs::write(inputs_path, inputs)?;
    Ok(())
}
