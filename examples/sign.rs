//! Signs an artifact with a key that everybody knows, for tests on devices, and writes the public half:
//! `cargo run --features signature --example sign -- MODEL.stf SIGNED.stf PUBLIC.key`

use std::error::Error;
use stf_bnn::artifact::{public_key, sign};

/// The secret half.
const SECRET: [u8; 32] = [7; 32];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, signed, public] = arguments.as_slice() else {
        return Err("expected MODEL.stf SIGNED.stf PUBLIC.key".into());
    };
    std::fs::write(signed, sign(&std::fs::read(model)?, &SECRET, 1)?)?;
    std::fs::write(public, public_key(&SECRET).to_bytes())?;
    Ok(())
}
