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
    let input_bytes = width * channels;
    for (phase, plane) in to.chunks_exact_mut(rows * row_bytes).take(phases).enumerate() {
        // Columns of this plane before the image, and those up to its end.
        let lo = left.saturating_sub(phase).div_ceil(phases).min(columns);
        let hi = (left + width).saturating_sub(phase).div_ceil(phases).min(columns).max(lo);
        let first = (lo * phases + phase).saturating_sub(left) * channels;
        let (lo, hi) = (lo * channels, hi * channels);
        for (row, line) in plane.chunks_exact_mut(row_bytes).enumerate() {
            let from = row.checked_sub(top).filter(|&row| row < height && lo < hi);
            let Some(from) = from.and_then(|row| image[row * input_bytes..][..input_bytes].get(first..))
            else {
                line.fill(padding);
                continue;
            };
            line[..lo].fill(padding);
            line[hi..].fill(padding);
            let inside = &mut line[lo..hi];
            if phases == 1 {
                copy(inside, from, flip);
            } else if channels.is_multiple_of(RUN) {
                // Whole vectors: `copy` of a short pixel would be mostly its ends.
                let runs = channels / RUN;
                let (to, from) = (inside.as_chunks_mut::<RUN>().0, from.as_chunks::<RUN>().0);
                for (to, from) in to.chunks_exact_mut(runs).zip(from.chunks(phases * runs)) {
                    for (to, from) in to.iter_mut().zip(from) {
                        *to = from.map(|x| x as u8 ^ flip);
                    }
                }
            } else {
                let pixels = from.chunks(phases * channels);
                for (to, from) in inside.chunks_exact_mut(channels).zip(pixels) {
                    copy(to, from, flip);
                }
            }
        }
    }
}

/// Values of a pixel that are copied at a time.
const RUN: usize = 16;

/// Values of a row that are copied at a time.
const VECTOR: usize = 64;

#[inline(always)]
fn copy(to: &mut [u8], from: &[i8], flip: u8) {
    let (vectors, to) = to.as_chunks_mut::<VECTOR>();
    let (from_vectors, rest) = from.as_chunks::<VECTOR>();
    // What is copied may end before `from` does.
    let from = from_vectors.get(vectors.len()).map_or(rest, <[i8; VECTOR]>::as_slice);
    for (to, from) in vectors.iter_mut().zip(from_vectors) {
        *to = from.map(|x| x as u8 ^ flip);
    }
    to.iter_mut().zip(from).for_each(|(to, &x)| *to = x as u8 ^ flip);
}
