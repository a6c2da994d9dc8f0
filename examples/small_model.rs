//! Writes a small random artifact, and raw inputs for it: what device tests run where no trained model
//! is at hand. `cargo run --example small_model -- KIND SEED MODEL.stf INPUTS.bin COUNT`

#[path = "../tests/common/mod.rs"]
mod common;
#[allow(dead_code)]
#[path = "../benches/networks.rs"]
mod networks;

use common::{Dice, First, RULE, model, ruled};
use std::error::Error;
use stf_bnn::Model;
use stf_bnn::artifact::Adaptive;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kind, seed, model_path, inputs_path, count] = arguments.as_slice() else {
        return Err("expected KIND SEED MODEL.stf INPUTS.bin COUNT".into());
    };
    let random = |kind| seed.parse().map(|seed| model(kind, seed));
    let bytes = match kind.as_str() {
        "conv" => random(First::Conv)?,
        "depthwise" => random(First::Depthwise)?,
        "dense" => random(First::Dense)?,
        "dense-outputs" => random(First::DenseOutputs)?,
        "plain" => random(First::Plain)?,
        // Or a network whose shape, not its weights, is of interest: these have one seed.
        network if networks::NAMES.contains(&network) || network == "lenet5" => networks::network(network),
        other => return Err(format!("kind: found {other}").into()),
    };
    // With a rule, so that adaptive samples can be compared between machines too.
    let bayesian = Model::from_bytes(&bytes)?.manifest().posterior.is_some();
    let bytes = if bayesian { ruled(&bytes, Adaptive { threshold: 0.9999, ..RULE }) } else { bytes };
    let values = Model::from_bytes(&bytes)?.manifest().input.tensor.len() * count.parse::<u64>()?;
    let mut dice = Dice(seed.parse()?);
    let inputs: Vec<u8> = (0..values).map(|_| dice.int(0, 255) as u8).collect();
    std::fs::write(model_path, &bytes[..])?;
    std::fs::write(inputs_path, inputs)?;
    Ok(())
}
