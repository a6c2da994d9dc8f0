//! Marks each layer of a mean pass, then a whole prediction, for the instruction counter of
//! `cargo xtask instructions`; prints what was counted, in that order, and the stack that it took.
#![no_std]
#![no_main]

use core::fmt::Write;
use cortex_m_rt::entry;
use cortex_m_semihosting::hio;
use stf_bnn::{Input, Pass, Predictor};
use stf_firmware::{
    CONFIG, EMPTY, INPUT_VALUES, OPERATORS, WORKSPACE_BYTES, count_from_here, count_to_here, fail, model,
    stack_bytes, succeed,
};

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    fail("panic")
}

#[entry]
fn main() -> ! {
    static mut WORKSPACE: [u8; WORKSPACE_BYTES] = [0; WORKSPACE_BYTES];
    static INPUT: [u8; INPUT_VALUES] = [99; INPUT_VALUES];
    let mut place = EMPTY;
    let Some(model) = model(&mut place) else { fail("the embedded model is damaged") };
    let mut made = Predictor::with_operators(model, CONFIG, WORKSPACE, &OPERATORS);
    let Ok(predictor) = &mut made else { fail("no predictor") };
    count_from_here();
    let traced = predictor.trace(Input::U8(&INPUT), Pass::Mean, |_, _, _| {
        count_to_here();
        count_from_here();
    });
    count_to_here();
    let traced = traced.is_ok();
    count_from_here();
    let predicted = predictor.predict(Input::U8(&INPUT));
    count_to_here();
    let (Ok(prediction), true) = (predicted, traced) else { fail("no prediction") };
    let stack = stack_bytes();
    let samples = prediction.samples;
    let Ok(mut out) = hio::hstdout() else { fail("no semihosting") };
    for layer in model.layers() {
        let _ = writeln!(out, "{} {}", layer.name(), layer.macs());
    }
    let _ = writeln!(out, "prediction of {samples} passes; workspace {WORKSPACE_BYTES}, stack {stack}");
    succeed()
}
