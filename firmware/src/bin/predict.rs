//! The least program that predicts: what the runtime's code takes in flash, and the proof that nothing in
//! it can panic. `cargo xtask firmware-test` links it with every example model.
//!
//! The panic handler calls a function that does not exist: if any code that can panic were reachable
//! from `main`, this would not link. Arithmetic wraps in release builds and is no such code.
#![no_std]
#![no_main]

use core::hint::black_box;
use cortex_m_rt::entry;
use stf_bnn::{Input, Predictor};
use stf_firmware::{CONFIG, EMPTY, INPUT_VALUES, OPERATORS, WORKSPACE_BYTES, model};

unsafe extern "C" {
    /// Defined nowhere.
    safe fn code_that_can_panic_is_reachable() -> !;
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    code_that_can_panic_is_reachable()
}

#[entry]
fn main() -> ! {
    static mut WORKSPACE: [u8; WORKSPACE_BYTES] = [0; WORKSPACE_BYTES];
    static mut INPUT: [u8; INPUT_VALUES] = [0; INPUT_VALUES];
    let mut place = EMPTY;
    if let Some(model) = model(&mut place) {
        // Used where it is made: neither is moved, so that the stack holds each once.
        let mut made = Predictor::with_operators(model, CONFIG, WORKSPACE, &OPERATORS);
        while let Ok(predictor) = &mut made {
            // An input and a result that the compiler may not foresee.
            black_box(predictor.predict(Input::U8(black_box(INPUT))).is_ok());
        }
    }
    loop {}
}
