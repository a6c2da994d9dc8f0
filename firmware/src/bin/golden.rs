//! Predicts the inputs of all golden models and prints every bit of every draw through semihosting: what
//! `cargo xtask firmware-test` compares with `tests/golden/`.
#![no_std]
#![no_main]

use core::fmt::Write;
use cortex_m_rt::entry;
use cortex_m_semihosting::hio;
use stf_bnn::{Input, Model, Predictor};
use stf_device_protocol::{write_bits, write_draw};
use stf_firmware::{CONFIG, fail, succeed};

/// A model and raw inputs for it.
struct Golden {
    name: &'static str,
    model: &'static [u8],
    inputs: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/golden.rs"));

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    fail("panic")
}

#[entry]
fn main() -> ! {
    static mut WORKSPACE: [u8; GOLDEN_WORKSPACE] = [0; GOLDEN_WORKSPACE];
    let Ok(mut out) = hio::hstdout() else { fail("no semihosting") };
    for golden in GOLDEN {
        if predict(golden, WORKSPACE, &mut out).is_none() {
            fail(golden.name);
        }
    }
    succeed()
}

fn predict(golden: &Golden, workspace: &mut [u8], out: &mut impl Write) -> Option<()> {
    writeln!(out, "model {}", golden.name).ok()?;
    let model = Model::from_bytes(golden.model).ok()?;
    let mut predictor = Predictor::new(&model, CONFIG, workspace).ok()?;
    let size = usize::try_from(model.manifest().input.tensor.len()).ok()?;
    for (index, input) in golden.inputs.chunks_exact(size).enumerate() {
        let mut written = Ok(());
        let p = predictor
            .predict_with(Input::U8(input), |draw, outputs| {
                written = written
                    .and_then(|()| write_draw(out, index, draw, outputs))
                    .and_then(|()| out.write_char('\n'));
            })
            .ok()?;
        written.ok()?;
        write_bits(out, index, p.mean, p.spread, p.samples, p.classification.as_ref()).ok()?;
        out.write_char('\n').ok()?;
    }
    Some(())
}
