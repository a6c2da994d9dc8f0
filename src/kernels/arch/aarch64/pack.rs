//! Packed weights: `[blocks, K / 8, 8 channels, 8]`, zeros behind the last channel and value, then the sum
//! of each channel's weights as i32.

use crate::artifact::Layer;

/// Channels of a block, and values of a step.
pub(super) const BLOCK: usize = 8;

/// Output channels and weights of each; `None` for layers whose weights are read in place.
fn shape(layer: &Layer) -> Option<(usize, usize)> {
    let weights = layer.weights()?;
    let channels = layer.out_channels() as usize;
    match layer {
        Layer::DepthwiseConv2d { .. } => None,
        _ => Some((channels, (weights.values.len as usize).checked_div(channels)?)),
    }
}

/// Values of a row, rounded up to whole steps.
pub(super) const fn padded(row: usize) -> usize {
    row.next_multiple_of(BLOCK)
}

/// Bytes of a block: its weights, then their sums.
pub(super) const fn block_bytes(row: usize) -> usize {
    padded(row) * BLOCK + BLOCK * 4
}

/// Bytes of a layer's packed weights.
pub(super) fn bytes(layer: &Layer) -> usize {
    shape(layer).map_or(0, |(channels, row)| channels.div_ceil(BLOCK) * block_bytes(row))
}

/// Writes them.
pub(super) fn pack(layer: &Layer, values: &[i8], to: &mut [u8]) {
    let Some((channels, row)) = shape(layer) else { return };
    to.fill(0);
    for (channel, weights) in values.chunks_exact(row.max(1)).take(channels).enumerate() {
        let start = channel / BLOCK * block_bytes(row);
        let Some(block) = to.get_mut(start..start + block_bytes(row)) else { return };
        let lane = channel % BLOCK;
        let (steps, sums) = block.split_at_mut(padded(row) * BLOCK);
        let steps = steps.as_chunks_mut::<{ BLOCK * BLOCK }>().0;
        for (step, weights) in steps.iter_mut().zip(weights.chunks(BLOCK)) {
            for (to, &w) in step[lane * BLOCK..].iter_mut().zip(weights) {
                *to = w.to_ne_bytes()[0];
            }
        }
        let sum: i32 = weights.iter().map(|&w| i32::from(w)).sum();
        sums[lane * 4..lane * 4 + 4].copy_from_slice(&sum.to_ne_bytes());
    }
}
