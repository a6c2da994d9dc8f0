//! What the programs share: the embedded model, its constants, the stack's high-water mark, and the
//! end of the program.
#![no_std]

mod stack;
pub mod uart;

use cortex_m_semihosting::{debug, hprintln};
use stf_bnn::layers::Operators;
use stf_bnn::{ArtifactError, Model};

include!(concat!(env!("OUT_DIR"), "/constants.rs"));

pub use stack::stack_bytes;

/// The artifact, in flash.
pub static MODEL: &[u8] = stf_bnn::include_model!(concat!(env!("OUT_DIR"), "/model.stf"));

/// What runs the artifact's layers: the linker drops the rest. `STF_OPERATORS=all` keeps every operator.
pub static OPERATORS: Operators = if ALL_OPERATORS { *Operators::ALL } else { Operators::of(MODEL) };

/// Test inputs, raw bytes one after another.
pub static INPUTS: &[u8] = &ALIGNED_INPUTS.0;

/// A table of models lies at a multiple of 16.
#[repr(align(16))]
struct Aligned<T>(T);

static ALIGNED_INPUTS: Aligned<[u8; INPUT_BYTES]> =
    Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/inputs.bin")));

/// What this is, for `Hello`.
pub const BUILD: &str = concat!("stf-firmware ", env!("CARGO_PKG_VERSION"), " ", env!("STF_BOARD"));

/// The artifact's model, which `build.rs` checked.
static EMBEDDED: Model<'static> = match Model::embedded(MODEL) {
    Some(model) => model,
    None => panic!("STF_MODEL is no artifact"),
};

/// Memory for a model that is checked on the device.
pub type Place = Result<Model<'static>, ArtifactError>;

/// Nothing in it yet.
pub const EMPTY: Place = Err(ArtifactError::Unsigned);

/// The embedded model. With `STF_LOAD=checked` the device checks the artifact itself, as it has to for one
/// that comes from elsewhere.
#[must_use]
#[inline(always)]
pub fn model(place: &mut Place) -> Option<&Model<'static>> {
    if !CHECKED {
        return Some(&EMBEDDED);
    }
    *place = Model::from_bytes(core::hint::black_box(MODEL));
    place.as_ref().ok()
}

/// Marks the start of what an instruction counter in the emulator should count: an instruction that does
/// nothing, and that no compiler emits.
#[inline(always)]
pub fn count_from_here() {
    // SAFETY: copies a register to itself.
    unsafe { core::arch::asm!("mov r10, r10", options(nostack, preserves_flags)) }
}

/// Marks the end of what is counted.
#[inline(always)]
pub fn count_to_here() {
    // SAFETY: copies a register to itself.
    unsafe { core::arch::asm!("mov r11, r11", options(nostack, preserves_flags)) }
}

/// Ends the program with a failure, in words, if a debugger or an emulator listens.
pub fn fail(message: &str) -> ! {
    hprintln!("failed: {}", message);
    loop {
        debug::exit(debug::EXIT_FAILURE);
    }
}

/// Ends the program with success.
pub fn succeed() -> ! {
    loop {
        debug::exit(debug::EXIT_SUCCESS);
    }
}
