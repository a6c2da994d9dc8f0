//! C API of the runtime. `include/stf_bnn.h` is made from this crate.
//!
//! Four opaque objects live in the caller's memory: a model (a checked artifact), a predictor (model,
//! settings and workspace), a calibration (running figures) and a drift monitor. Every function returns a status;
//! none keeps a global, and a panic cannot cross: with `std` it is caught, without it the handler traps. None
//! allocates, but that with `std` the environment variable `STF_KERNELS`, if it is set, is read as a `String`.
#![cfg_attr(not(feature = "std"), no_std)]
#![allow(unsafe_code)]

mod calibration;
mod guard;
mod model;
mod predict;
mod regression;
mod status;
mod storage;
mod uncertainty;

pub use calibration::*;
pub use model::*;
pub use predict::*;
pub use regression::*;
pub use status::*;
pub use storage::{StfCalibration, StfDrift, StfModel, StfPredictor};
pub use uncertainty::*;

#[cfg(not(feature = "std"))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    #[cfg(target_arch = "arm")]
    // SAFETY: the undefined instruction reads and writes nothing; it raises a fault.
    unsafe {
        core::arch::asm!("udf #0", options(noreturn, nomem, nostack));
    }
    #[cfg(not(target_arch = "arm"))]
    loop {
        core::hint::spin_loop();
    }
}
