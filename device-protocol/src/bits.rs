//! Predictions as text that is equal only if every bit is.

use core::fmt::{self, Write};
use stf_bnn::Classification;

/// Writes one draw's line, without its end: number of the input, `draw`, number of the draw, then the IEEE
/// bits of its outputs, logits before the temperature.
///
/// # Errors
/// Only those of `out`.
pub fn write_draw(out: &mut impl Write, index: usize, draw: u16, outputs: &[f32]) -> fmt::Result {
    write!(out, "{index} draw {draw}")?;
    outputs.iter().try_for_each(|value| write!(out, " {:08x}", value.to_bits()))
}

/// Writes one line, without its end: number, class (`-` for a regression), passes, then the IEEE bits of
/// means, spreads, and for a classification confidence, predictive entropy, expected entropy and
/// mutual information.
///
/// # Errors
/// Only those of `out`.
pub fn write_bits(
    out: &mut impl Write,
    index: usize,
    mean: &[f32],
    spread: &[f32],
    samples: u16,
    classification: Option<&Classification>,
) -> fmt::Result {
    match classification {
        Some(c) => write!(out, "{index} {} {samples}", c.class)?,
        None => write!(out, "{index} - {samples}")?,
    }
    for value in mean.iter().chain(spread) {
        write!(out, " {:08x}", value.to_bits())?;
    }
    if let Some(c) = classification {
        for value in [c.confidence, c.predictive_entropy, c.expected_entropy, c.mutual_information] {
            write!(out, " {:08x}", value.to_bits())?;
        }
    }
    Ok(())
}
