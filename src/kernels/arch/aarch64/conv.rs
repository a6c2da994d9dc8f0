//! Convolutions and dense layers: windows of a tile's pixels are gathered as they are, then met by each
//! block of channels.

use super::micro::{MAX_PIXELS, Micro, Step, Sums};
use super::pack::{BLOCK, block_bytes, padded};
use crate::artifact::Layer;
use crate::kernels::reference::{self, axis};
use crate::kernels::{Conv, Dense};

/// Number of `i16` of scratch.
pub(super) fn scratch_values<M: Micro>(layer: &Layer) -> usize {
    match layer {
        Layer::Conv2d { input, window, .. } => {
            let row = (window.area() as usize).saturating_mul(usize::from(input.channels));
            row.checked_next_multiple_of(BLOCK).map_or(usize::MAX, |row| (row / 2).saturating_mul(M::PIXELS))
        }
        _ => 0,
    }
}

/// Weights and sums of a block of channels.
#[inline(always)]
fn block(packed: &[u8], row: usize, index: usize) -> Option<(&[Step], &[[u8; 4]])> {
    let block = packed.get(index * block_bytes(row)..(index + 1) * block_bytes(row))?;
    let (steps, sums) = block.split_at_checked(padded(row) * BLOCK)?;
    Some((steps.as_chunks().0, sums.as_chunks().0))
}

/// Runs a tile of gathered rows with every block of channels: `sink(channel, [sums of each set])`.
#[inline(always)]
fn blocks<M: Micro, const N: usize>(
    micro: M,
    x: &[[i8; BLOCK]],
    row: usize,
    channels: usize,
    zero_point: i8,
    packed: [&[u8]; 2],
    mut sink: impl FnMut(usize, &[Sums; N]),
) {
    let mut sums = [[[0; BLOCK]; MAX_PIXELS]; N];
    for index in 0..channels.div_ceil(BLOCK) {
        for (sums, packed) in sums.iter_mut().zip(packed) {
            let Some((w, totals)) = block(packed, row, index) else { return };
            micro.tile(x, w, sums);
            for sums in sums.iter_mut().take(M::PIXELS) {
                for (sum, &total) in sums.iter_mut().zip(totals) {
                    let total = i32::from_ne_bytes(total);
                    *sum = sum.wrapping_sub(total.wrapping_mul(zero_point.into()));
                }
            }
        }
        sink(index * BLOCK, &sums);
    }
}

/// Copies one pixel's window, padding as the zero point.
#[inline(always)]
fn gather(conv: &Conv<'_>, pixel: usize, to: &mut [i8]) {
    let Conv { input, x, y, window } = conv;
    let (width, channels) = (usize::from(x.width), usize::from(x.channels));
    let (row, column) = (pixel / usize::from(y.width), pixel % usize::from(y.width));
    let (top, row_lo, row_hi) = axis(window, 0, row, x.height.into());
    let (left, lo, hi) = axis(window, 1, column, width);
    let [dilation_h, dilation_w] = window.dilation.map(usize::from);
    let line = usize::from(window.kernel[1]) * channels;
    for ky in 0..usize::from(window.kernel[0]) {
        let to = &mut to[ky * line..(ky + 1) * line];
        if ky < row_lo || ky >= row_hi || lo >= hi {
            to.fill(x.zero_point);
            continue;
        }
        let from = top.wrapping_add_unsigned(ky * dilation_h) as usize * width;
        let at = |kx: usize| (from + left.wrapping_add_unsigned(kx * dilation_w) as usize) * channels;
        to[..lo * channels].fill(x.zero_point);
        to[hi * channels..].fill(x.zero_point);
        let inside = &mut to[lo * channels..hi * channels];
        if dilation_w == 1 {
            inside.copy_from_slice(&input[at(lo)..at(lo) + inside.len()]);
        } else {
            for (kx, to) in (lo..hi).zip(inside.chunks_exact_mut(channels)) {
                to.copy_from_slice(&input[at(kx)..at(kx) + channels]);
            }
        }
    }
}

/// A way over the outputs of a convolution; `packed` has the weights of each set.
pub(super) struct Sweep<'a, M> {
    pub(super) micro: M,
    pub(super) conv: &'a Conv<'a>,
    pub(super) scratch: &'a mut [i16],
    pub(super) packed: [&'a [u8]; 2],
}

impl<M: Micro> reference::Sweep for Sweep<'_, M> {
    #[inline(always)]
    fn accumulate<const N: usize>(
        &mut self,
        _weights: [&[i8]; N],
        mut sink: impl FnMut(usize, usize, [&[i32]; N]),
    ) {
        let Conv { x, y, window, .. } = *self.conv;
        let row = window.area() as usize * usize::from(x.channels);
        let (channels, pixels) = (usize::from(y.channels), usize::from(y.height) * usize::from(y.width));
        let steps = padded(row) / BLOCK;
        let patches: &mut [i8] = bytemuck::cast_slice_mut(self.scratch);
        let Some(patches) = patches.get_mut(..steps * BLOCK * M::PIXELS) else { return };
        // Behind a window's end the weights are zeros: what is there does not matter.
        for (image, conv) in self.conv.each_image().enumerate() {
            for first in (0..pixels).step_by(M::PIXELS) {
                let count = M::PIXELS.min(pixels - first);
                for (pixel, to) in (first..first + count).zip(patches.chunks_exact_mut(steps * BLOCK)) {
                    gather(&conv, pixel, to);
                }
                let x_rows = patches.as_chunks().0;
                blocks::<M, N>(
                    self.micro,
                    x_rows,
                    row,
                    channels,
                    x.zero_point,
                    self.packed,
                    |channel, sums| {
                        let run = BLOCK.min(channels - channel);
                        for lane in 0..count {
                            let index = (image * pixels + first + lane) * channels + channel;
                            sink(index, channel, sums.each_ref().map(|sums| &sums[lane][..run]));
                        }
                    },
                );
            }
        }
    }
}

/// A way over the outputs of a dense layer.
pub(super) struct DenseSweep<'a, M> {
    pub(super) micro: M,
    pub(super) dense: &'a Dense<'a>,
    pub(super) packed: [&'a [u8]; 2],
}

/// Values of a dense input at a time: a copy of them lies on the stack.
const PIECE: usize = 512;

impl<M: Micro> reference::Sweep for DenseSweep<'_, M> {
    #[inline(always)]
    fn accumulate<const N: usize>(
        &mut self,
        _weights: [&[i8]; N],
        mut sink: impl FnMut(usize, usize, [&[i32]; N]),
    ) {
        let Dense { input, inputs, outputs, zero_point } = *self.dense;
        let images = input.len() / inputs.max(1);
        for first in (0..images).step_by(M::PIXELS) {
            let count = M::PIXELS.min(images - first);
            for index in 0..outputs.div_ceil(BLOCK) {
                let mut sums = [[[0_i32; BLOCK]; MAX_PIXELS]; N];
                for (sums, packed) in sums.iter_mut().zip(self.packed) {
                    let Some((w, totals)) = block(packed, inputs, index) else { return };
                    for sums in sums.iter_mut() {
                        for (sum, &total) in sums.iter_mut().zip(totals) {
                            *sum = i32::from_ne_bytes(total).wrapping_mul(-i32::from(zero_point));
                        }
                    }
                    for (piece, w) in w.chunks(PIECE / BLOCK).enumerate() {
                        let mut x = [[0_i8; BLOCK]; MAX_PIXELS * PIECE / BLOCK];
                        for (lane, to) in x.chunks_exact_mut(w.len()).take(count).enumerate() {
                            let row = &input[(first + lane) * inputs..(first + lane + 1) * inputs];
                            let row = &row[piece * PIECE..row.len().min(piece * PIECE + PIECE)];
                            to.as_flattened_mut().iter_mut().zip(row).for_each(|(to, &x)| *to = x);
                        }
                        let mut part = [[0; BLOCK]; MAX_PIXELS];
                        self.micro.tile(&x, w, &mut part);
                        for (sums, part) in sums.iter_mut().zip(&part).take(count) {
                            sums.iter_mut().zip(part).for_each(|(sum, part)| *sum = sum.wrapping_add(*part));
                        }
                    }
                }
                let channel = index * BLOCK;
                let run = BLOCK.min(outputs - channel);
                for lane in 0..count {
                    let at = (first + lane) * outputs + channel;
                    sink(at, channel, sums.each_ref().map(|sums| &sums[lane][..run]));
                }
            }
        }
    }
}
