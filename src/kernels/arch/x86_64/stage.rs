//! The input of a convolution with its padding written out.

use super::plan::Staged;
use crate::kernels::Conv;

/// Writes one image into `to`, which holds at least `staged.bytes()` bytes; each byte is xored with
/// `flip`. Input that no window reaches is left out.
#[inline(always)]
pub(super) fn stage(conv: &Conv<'_>, image: &[i8], staged: &Staged, flip: u8, to: &mut [u8]) {
    let Staged { rows, columns, phases, channels } = *staged;
    let (height, width) = (usize::from(conv.x.height), usize::from(conv.x.width));
    let [top, left] = conv.window.pad.map(usize::from);
    let padding = conv.x.zero_point as u8 ^ flip;
    let row_bytes = columns * channels;
    if row_bytes == 0 {
        return;
    }
    for (phase, plane) in to.chunks_exact_mut(rows * row_bytes).take(phases).enumerate() {
        for (row, line) in plane.chunks_exact_mut(row_bytes).enumerate() {
            if row < top || row >= top + height {
                line.fill(padding);
                continue;
            }
            let from = &image[(row - top) * width * channels..(row - top + 1) * width * channels];
            // Columns of this plane before the image, and those up to its end.
            let lo = left.saturating_sub(phase).div_ceil(phases).min(columns);
            let hi = (left + width).saturating_sub(phase).div_ceil(phases).min(columns).max(lo);
            line[..lo * channels].fill(padding);
            line[hi * channels..].fill(padding);
            let inside = &mut line[lo * channels..hi * channels];
            if inside.is_empty() {
                continue;
            }
            let first = (lo * phases + phase).saturating_sub(left) * channels;
            if phases == 1 {
                copy(inside, &from[first..], flip);
            } else {
                let pixels = from[first..].chunks(phases * channels);
                for (to, from) in inside.chunks_exact_mut(channels).zip(pixels) {
                    copy(to, from, flip);
                }
            }
        }
    }
}

#[inline(always)]
fn copy(to: &mut [u8], from: &[i8], flip: u8) {
    to.iter_mut().zip(from).for_each(|(to, &x)| *to = x as u8 ^ flip);
}
