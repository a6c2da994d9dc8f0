//! Depthwise convolution: a row is one line of bytes, each tap the same line further on.
//!
//! The input is staged with its padding, and split by column where windows step by more than one, so
//! that neighbouring outputs read neighbouring bytes at every tap. Four taps' bytes are interleaved,
//! and one instruction multiplies and adds all four.

use super::pack::Shape;
use super::plan::{Blocks, Staged, TAPS, Taps};
use super::simd::{Rounding, Simd};
use super::stage::stage;
use crate::kernels::{Conv, Filter, Output, reference};

/// See [`reference::depthwise`].
#[inline(always)]
pub(super) fn depthwise<S: Simd>(
    s: S,
    conv: &Conv<'_>,
    filter: &Filter<'_>,
    scratch: &mut [i16],
    output: Output<'_>,
) {
    let Conv { input, x, y: to, window } = *conv;
    let channels = usize::from(to.channels);
    let staged = Staged::new(&x, &to, &window, window.stride[1].into());
    let images = input.len() / (x.len() as usize).max(1);
    let room = size_of_val(scratch) >= staged.bytes();
    let taps = Taps::new(&window).filter(|_| room && x.channels == to.channels);
    let packed = taps.and_then(|taps| {
        let packed = Shape::of_depthwise::<S>(channels, taps).split::<S>(filter.packed)?;
        Some((taps, packed))
    });
    let (y, zero_point, clamp, (taps, packed)) = match (output, packed) {
        (Output::Int8 { y, zero_point, clamp }, Some(packed))
            if y.len() >= images.saturating_mul(to.len() as usize) =>
        {
            (y, zero_point, clamp, packed)
        }
        (output, _) => return reference::depthwise(conv, filter, output),
    };
    let staging: &mut [u8] = bytemuck::cast_slice_mut(scratch);
    let offsets = offsets(conv, &staged);
    let blocks = Blocks::new::<S>(channels);
    let block = 4 * S::LANES;
    // A line: a whole row where blocks may cross pixels, else one pixel.
    let row = usize::from(to.width) * channels;
    let (line, lines) = if blocks.flat { (row, 1) } else { (channels, usize::from(to.width)) };
    let row_bytes = staged.row_bytes();
    let step = usize::from(window.stride[0]) * row_bytes;
    let rounding = Rounding { zero_point, clamp };
    for (index, image) in conv.each_image().enumerate() {
        stage(conv, image.input, &staged, 0x80, staging);
        let mut y_row = 0;
        while y_row < usize::from(to.height) {
            let pair = matches!(taps, Taps::Pairs { .. }) && y_row + 1 < usize::from(to.height);
            for start in (0..lines).map(|at| at * line) {
                let tiles = (0..blocks.period).cycle();
                for (tile, first) in tiles.zip((0..line).step_by(block)) {
                    let at = start + first;
                    let n = block.min(line - first);
                    // SAFETY: the taps of value `at` lie in the staged input, and a block's other
                    // bytes in it or in the slack behind; `y` holds all images.
                    unsafe {
                        let x = staging.as_ptr().add(y_row * step + at);
                        let weights = packed.weights(tile);
                        let multiplier = packed.multiplier::<S>(tile);
                        let init = packed.init::<S>(tile);
                        let mut acc = [s.zero(); 4];
                        for (j, acc) in acc.iter_mut().enumerate() {
                            *acc = s.load(init.add(j * S::LANES));
                        }
                        let to = y.as_mut_ptr().add((index * usize::from(to.height) + y_row) * row + at);
                        match taps {
                            Taps::Any { .. } => {
                                let acc = any(s, acc, x, &offsets[..packed.shape.groups], weights);
                                s.requantize(acc, multiplier, rounding, to, n);
                            }
                            Taps::Pairs { columns } => {
                                let columns = &offsets.as_flattened()[..columns];
                                // A row without a partner reads no fourth one.
                                let fourth = if pair { 3 } else { 2 } * row_bytes;
                                let below = [row_bytes, 2 * row_bytes, fourth];
                                let [upper, lower] = pairs(s, acc, x, columns, below, weights);
                                s.requantize(upper, multiplier, rounding, to, n);
                                if pair {
                                    s.requantize(lower, multiplier, rounding, to.add(row), n);
                                }
                            }
                        }
                    }
                }
            }
            y_row += if pair { 2 } else { 1 };
        }
    }
}

/// One block of outputs.
///
/// # Safety
/// A block can be read at each offset behind `x`; `weights` has as many groups as `offsets`.
#[inline(always)]
unsafe fn any<S: Simd>(
    s: S,
    mut acc: [S::I; 4],
    x: *const u8,
    offsets: &[[usize; 4]],
    mut weights: *const u8,
) -> [S::I; 4] {
    // SAFETY: the caller's promises.
    unsafe {
        for four in offsets {
            let xs = s.interleave([x.add(four[0]), x.add(four[1]), x.add(four[2]), x.add(four[3])]);
            for (j, acc) in acc.iter_mut().enumerate() {
                *acc = s.dot(*acc, xs[j], s.weights(weights.add(j * S::WEIGHTS)));
            }
            weights = weights.add(4 * S::WEIGHTS);
        }
    }
    acc
}

/// One block of outputs and the one below it.
///
/// # Safety
/// A block can be read at each column behind `x`, and at each place below these; `weights` has two
/// groups for each column.
#[inline(always)]
unsafe fn pairs<S: Simd>(
    s: S,
    acc: [S::I; 4],
    x: *const u8,
    columns: &[usize],
    below: [usize; 3],
    mut weights: *const u8,
) -> [[S::I; 4]; 2] {
    let (mut upper, mut lower) = (acc, acc);
    // SAFETY: the caller's promises.
    unsafe {
        for &column in columns {
            let x = x.add(column);
            let xs = s.interleave([x, x.add(below[0]), x.add(below[1]), x.add(below[2])]);
            for j in 0..4 {
                upper[j] = s.dot(upper[j], xs[j], s.weights(weights.add(j * S::WEIGHTS)));
                lower[j] = s.dot(lower[j], xs[j], s.weights(weights.add((4 + j) * S::WEIGHTS)));
            }
            weights = weights.add(8 * S::WEIGHTS);
        }
    }
    [upper, lower]
}

/// Bytes from an output's place in the staged input to each tap, four by four; the last group is filled
/// up with a tap whose weight is zero.
#[inline(always)]
fn offsets(conv: &Conv<'_>, staged: &Staged) -> [[usize; 4]; TAPS / 4] {
    let [height, width] = conv.window.kernel.map(usize::from);
    let [dilation_h, dilation_w] = conv.window.dilation.map(usize::from);
    let mut offsets = [[0; 4]; TAPS / 4];
    for (tap, offset) in offsets.as_flattened_mut().iter_mut().enumerate().take(height * width) {
        let column = tap % width * dilation_w;
        *offset = column % staged.phases * staged.plane_bytes()
            + tap / width * dilation_h * staged.row_bytes()
            + column / staged.phases * staged.channels;
    }
    offsets
}
