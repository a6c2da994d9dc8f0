//! How much of the stack was ever used: `cortex-m-rt` paints it before `main`.

/// What the start-up code writes into every word of the stack.
const PAINT: u32 = 0xCCCC_CCCC;

unsafe extern "C" {
    static _stack_start: u32;
    static _stack_end: u32;
}

/// Bytes of the stack that were used so far, at most: the distance from its top to the lowest word that
/// is not painted.
#[must_use]
pub fn stack_bytes() -> usize {
    let (low, top) = (&raw const _stack_end, &raw const _stack_start);
    let mut word = low;
    // SAFETY: words between the two symbols are RAM that the linker script gave to the stack; a
    // volatile read of one that is in use gives some value.
    while word < top && unsafe { word.read_volatile() } == PAINT {
        word = word.wrapping_add(1);
    }
    top.addr() - word.addr()
}
