//! Depthwise convolution: a row is one line of bytes, each tap the same line further on.
//!
//! The input is staged with its padding, and split by column where windows step by more than one, so
//! that neighbouring outputs read neighbouring bytes at every tap. Four taps' bytes are interleaved,
//! and one instruction multiplies and adds all four.

use super::pack::Shape;
use super::plan::{Blocks, Staged, TAPS};
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
    let taps = window.area() as usize;
    let shape = Shape::of_depthwise::<S>(channels, taps);
    let staged = Staged::new(&x, &to, &window, window.stride[1].into());
    let images = input.len() / (x.len() as usize).max(1);
    let room = taps <= TAPS && size_of_val(scratch) >= staged.bytes();
    let packed = shape.split::<S>(filter.packed).filter(|_| room);
    let (y, zero_point, clamp, packed) = match (output, packed) {
        (Output::Int8 { y, zero_point, clamp }, Some(packed)) if y.len() >= images * to.len() as usize => {
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
    let step = usize::from(window.stride[0]) * staged.row_bytes();
    let rounding = Rounding { zero_point, clamp };
    for (index, image) in conv.each_image().enumerate() {
        stage(conv, image.input, &staged, 0x80, staging);
        for y_row in 0..usize::from(to.height) {
            for start in (0..lines).map(|at| at * line) {
                for (number, first) in (0..line).step_by(block).enumerate() {
                    let tile = number % blocks.period;
                    let at = start + first;
                    // SAFETY: the taps of value `at` lie in the staged input, and a block's other
                    // bytes in it or in the slack behind; `y` holds all images.
                    unsafe {
                        let x = staging.as_ptr().add(y_row * step + at);
                        let mut weights = packed.weights::<S>(tile);
                        let init = packed.init::<S>(tile);
                        let mut acc = [s.zero(); 4];
                        for (j, acc) in acc.iter_mut().enumerate() {
                            *acc = s.load(init.add(j * S::LANES));
                        }
                        for four in &offsets[..shape.groups] {
                            let xs = s.interleave([
                                x.add(four[0]),
                                x.add(four[1]),
                                x.add(four[2]),
                                x.add(four[3]),
                            ]);
                            for (j, acc) in acc.iter_mut().enumerate() {
                                *acc = s.dot(*acc, xs[j], s.weights(weights.add(j * S::WEIGHTS)));
                            }
                            weights = weights.add(4 * S::WEIGHTS);
                        }
                        let to = y.as_mut_ptr().add((index * usize::from(to.height) + y_row) * row + at);
                        s.requantize(
                            acc,
                            packed.multiplier::<S>(tile),
                            rounding,
                            to,
                            block.min(line - first),
                        );
                    }
                }
            }
        }
    }
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
