//! Marks the reading of a public key, the check of the embedded model, and the check with its signature, for the
//! instruction counter of `cargo xtask signature-cost`.
//!
//! `STF_PUBLIC_KEY`: file of the key's 32 bytes.
#![no_std]
#![no_main]

use core::hint::black_box;
use cortex_m_rt::entry;
use cortex_m_semihosting::hprintln;
use stf_bnn::Model;
use stf_bnn::artifact::PublicKey;
use stf_firmware::{MODEL, count_from_here, count_to_here, fail, stack_bytes, succeed};

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    fail("panic")
}

#[entry]
fn main() -> ! {
    let key: &[u8; 32] = include_bytes!(env!("STF_PUBLIC_KEY"));
    count_from_here();
    let key = PublicKey::from_bytes(black_box(key));
    count_to_here();
    let Ok(key) = key else { fail("the public key is none") };
    count_from_here();
    let unsigned = Model::from_bytes(black_box(MODEL)).is_ok();
    count_to_here();
    count_from_here();
    let signed = Model::from_signed(black_box(MODEL), &key, 1).is_ok();
    count_to_here();
    if !(unsigned && signed) {
        fail("the model does not load");
    }
    hprintln!("{} {}", MODEL.len(), stack_bytes());
    succeed()
}
