//! Predicts the embedded inputs and prints every bit through semihosting, then the memory used: what
//! `cargo xtask firmware-test` compares with the host.
#![no_std]
#![no_main]

use core::fmt::Write;
use cortex_m_rt::entry;
use cortex_m_semihosting::hio;
use stf_bnn::{Input, Predictor};
use stf_device_protocol::write_bits;
use stf_firmware::{
    CONFIG, EMPTY, INPUT_VALUES, INPUTS, OPERATORS, WORKSPACE_BYTES, count_from_here, count_to_here, fail,
    model, stack_bytes, succeed,
};

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    fail("panic")
}

#[entry]
fn main() -> ! {
    static mut WORKSPACE: [u8; WORKSPACE_BYTES] = [0; WORKSPACE_BYTES];
    let Ok(mut out) = hio::hstdout() else { fail("no semihosting") };
    let mut place = EMPTY;
    let Some(model) = model(&mut place) else { fail("the embedded model is damaged") };
    let check_stack = stack_bytes();
    let mut made = Predictor::with_operators(model, CONFIG, WORKSPACE, &OPERATORS);
    let Ok(predictor) = &mut made else { fail("no predictor") };
    let mut stack = 0;
    for (index, input) in INPUTS.chunks_exact(INPUT_VALUES).enumerate() {
        count_from_here();
        let result = predictor.predict(Input::U8(input));
        count_to_here();
        let Ok(p) = result else { fail("no prediction") };
        // Before the first line is printed: formatting has a stack of its own.
        if index == 0 {
            stack = stack_bytes();
        }
        let written = write_bits(&mut out, index, p.mean, p.spread, p.samples, p.classification.as_ref());
        if written.and_then(|()| out.write_char('\n')).is_err() {
            fail("semihosting closed");
        }
    }
    let _ = writeln!(out, "memory: workspace {WORKSPACE_BYTES}, stack {stack} (loading alone {check_stack})");
    succeed()
}
