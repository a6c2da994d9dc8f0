//! Runs a table of small models, one after another, and prints a hash of every result's bits: what
//! `cargo xtask firmware-test` holds against the specification on the host. `STF_INPUTS` is the table:
//! for each model its length, its input's length, model and input, all at multiples of 16 bytes.
#![no_std]
#![no_main]

use core::fmt::Write;
use cortex_m_rt::entry;
use cortex_m_semihosting::hio;
use stf_bnn::kernels::Kernels;
use stf_bnn::{Config, Input, Model, Predictor, Samples};
use stf_firmware::{INPUTS, fail, succeed};

/// As much as a model of the table needs.
const WORKSPACE_BYTES: usize = 1 << 20;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    fail("panic")
}

/// FNV-1a over the bits of all means and spreads.
fn hash<'a>(values: impl Iterator<Item = &'a f32>) -> u64 {
    let bytes = values.flat_map(|x| x.to_bits().to_le_bytes());
    bytes.fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3))
}

#[entry]
fn main() -> ! {
    static mut WORKSPACE: [u8; WORKSPACE_BYTES] = [0; WORKSPACE_BYTES];
    let Ok(mut out) = hio::hstdout() else { fail("no semihosting") };
    let _ = writeln!(out, "{}", Kernels::detect().name());
    let mut rest = INPUTS;
    while let Some((head, behind)) = rest.split_first_chunk::<16>() {
        let length =
            |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]) as usize;
        let (model, input) = (length(0), length(4));
        let (Some(bytes), Some(x)) = (behind.get(..model), behind.get(model.next_multiple_of(16)..)) else {
            fail("a table that ends early")
        };
        let Some(x) = x.get(..input) else { fail("a table that ends early") };
        let Ok(model) = Model::from_bytes(bytes) else { fail("a damaged model") };
        for samples in [Samples::Mean, Samples::MonteCarlo(5)] {
            for cache_mean in [true, false] {
                let config = Config { samples, cache_mean, ..Config::default() };
                let Ok(mut predictor) = Predictor::new(&model, config, WORKSPACE) else {
                    fail("no predictor")
                };
                let Ok(p) = predictor.predict(Input::U8(x)) else { fail("no prediction") };
                let _ = write!(out, "{:016x} ", hash(p.mean.iter().chain(p.spread)));
            }
        }
        let _ = out.write_char('\n');
        rest =
            behind.get(bytes.len().next_multiple_of(16) + input.next_multiple_of(16)..).unwrap_or_default();
    }
    succeed()
}
