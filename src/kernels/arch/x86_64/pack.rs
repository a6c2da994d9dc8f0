//! Weights in the order of the kernels.
//!
//! ```text
//! convolution, dense   init i32 [tiles, C, LANES]    multiplier f32 [tiles, C, LANES]
//!                      weights [tiles, runs, groups, C, WEIGHTS]
//! depthwise            init i32 [blocks, 4, LANES]   multiplier f32 [blocks, 4, LANES]
//!                      weights [blocks, groups of four taps, 4, WEIGHTS]
//! ```
//! `init = bias - (zero_point + 128) * sum of the channel's weights`, modulo 2^32 as all sums.

use super::plan::{Blocks, Runs, Taps, vectors};
use super::simd::{Simd, channel};
use crate::artifact::Layer;
use crate::kernels::Filter;

/// What a packed layer holds, by its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// Tiles of output channels, or blocks.
    pub(super) tiles: usize,
    /// Vectors in a tile.
    pub(super) vectors: usize,
    /// Groups of four weights of every channel.
    pub(super) groups: usize,
}

impl Shape {
    pub(super) fn of_dot<S: Simd>(channels: usize, groups: usize) -> Self {
        let vectors = vectors::<S>(channels);
        Self { tiles: channels.div_ceil(vectors * S::LANES), vectors, groups }
    }

    pub(super) fn of_depthwise<S: Simd>(channels: usize, taps: Taps) -> Self {
        Self { tiles: Blocks::new::<S>(channels).period, vectors: 4, groups: taps.groups() }
    }

    /// Channels of all tiles.
    fn channels<S: Simd>(&self) -> usize {
        self.tiles * self.vectors * S::LANES
    }

    /// Bytes of the weights of one tile.
    pub(super) fn tile_bytes<S: Simd>(&self) -> usize {
        self.groups.saturating_mul(self.vectors * S::WEIGHTS)
    }

    pub(super) fn bytes<S: Simd>(&self) -> usize {
        let weights = self.tiles.saturating_mul(self.tile_bytes::<S>());
        weights.saturating_add(self.channels::<S>() * 8)
    }

    /// Cuts packed memory into init, multipliers and weights; `None` if it is not of this shape.
    pub(super) fn split<'p, S: Simd>(&self, packed: &'p [u8]) -> Option<Packed<'p>> {
        if packed.len() < self.bytes::<S>() {
            return None;
        }
        let (init, rest) = packed.split_at(self.channels::<S>() * 4);
        let (multiplier, weights) = rest.split_at(self.channels::<S>() * 4);
        Some(Packed { shape: *self, init, multiplier, weights, tile_bytes: self.tile_bytes::<S>() })
    }
}

/// Packed memory of a shape.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packed<'p> {
    pub(super) shape: Shape,
    init: &'p [u8],
    multiplier: &'p [u8],
    weights: &'p [u8],
    /// Bytes of the weights of one tile.
    tile_bytes: usize,
}

impl Packed<'_> {
    /// Init of a tile: `vectors * LANES` i32.
    ///
    /// # Safety
    /// `tile < shape.tiles`.
    #[inline(always)]
    pub(super) unsafe fn init<S: Simd>(&self, tile: usize) -> *const i32 {
        // SAFETY: `split` cut as many bytes as all tiles have.
        unsafe { self.init.as_ptr().cast::<i32>().add(tile * self.shape.vectors * S::LANES) }
    }

    /// Multipliers of a tile: `vectors * LANES` f32.
    ///
    /// # Safety
    /// `tile < shape.tiles`.
    #[inline(always)]
    pub(super) unsafe fn multiplier<S: Simd>(&self, tile: usize) -> *const f32 {
        // SAFETY: `split` cut as many bytes as all tiles have.
        unsafe { self.multiplier.as_ptr().cast::<f32>().add(tile * self.shape.vectors * S::LANES) }
    }

    /// Weights of a tile: `tile_bytes` bytes.
    ///
    /// # Safety
    /// `tile < shape.tiles`.
    #[inline(always)]
    pub(super) unsafe fn weights(&self, tile: usize) -> *const u8 {
        // SAFETY: `split` checked that all tiles' bytes are there.
        unsafe { self.weights.as_ptr().add(tile * self.tile_bytes) }
    }
}

/// Shape and runs of a layer; `None` for layers that are not packed.
fn shape<S: Simd>(layer: &Layer) -> Option<(Shape, Runs)> {
    let channels = layer.out_channels() as usize;
    let runs = match layer {
        Layer::Conv2d { input, window, .. } => Runs::of_conv(input.channels.into(), window),
        Layer::Dense { input, .. } | Layer::DenseOutput { input, .. } => {
            Runs { count: [1, 1], bytes: input.len() as usize }
        }
        Layer::DepthwiseConv2d { window, .. } => {
            let taps = Taps::new(window)?;
            let runs = Runs { count: [1, 1], bytes: window.area() as usize };
            return Some((Shape::of_depthwise::<S>(channels, taps), runs));
        }
        _ => return None,
    };
    Some((Shape::of_dot::<S>(channels, runs.all_groups()), runs))
}

/// Bytes of a layer's packed weights; 0 for layers that are not packed.
pub(super) fn bytes<S: Simd>(layer: &Layer) -> usize {
    shape::<S>(layer).map_or(0, |(shape, _)| shape.bytes::<S>())
}

/// Packs a layer's weights into at least [`bytes`] bytes.
pub(super) fn pack<S: Simd>(layer: &Layer, filter: &Filter<'_>, to: &mut [u8]) {
    let Some((shape, runs)) = shape::<S>(layer) else { return };
    if to.len() < shape.bytes::<S>() {
        return;
    }
    to.fill(0);
    let (init, rest) = to.split_at_mut(shape.channels::<S>() * 4);
    let (multiplier, weights) = rest.split_at_mut(shape.channels::<S>() * 4);
    let offset = i32::from(layer.input().zero_point) + 128;
    let mut constants = |place: usize, channel: usize, sum: i32| {
        let bias = filter.bias.get(channel).copied().unwrap_or(0);
        let value = bias.wrapping_sub(offset.wrapping_mul(sum));
        init[4 * place..4 * place + 4].copy_from_slice(&value.to_le_bytes());
        multiplier[4 * place..4 * place + 4].copy_from_slice(&filter.multiplier[channel].to_le_bytes());
    };
    if let Layer::DepthwiseConv2d { output, window, .. } = layer {
        let Some(taps) = Taps::new(window) else { return };
        let channels = usize::from(output.channels);
        let block = 4 * S::LANES;
        let blocks = Blocks::new::<S>(channels);
        for place in 0..shape.channels::<S>() {
            let (tile, vector, lane) = place_of::<S>(4, place);
            let flat = tile * block + channel(4, vector, lane);
            if flat >= channels && !blocks.flat {
                continue;
            }
            let c = flat % channels;
            let weight = |tap: usize| filter.values[tap * channels + c];
            constants(place, c, (0..runs.bytes).map(|tap| i32::from(weight(tap))).sum());
            for group in 0..shape.groups {
                let at = ((tile * shape.groups + group) * 4 + vector) * S::WEIGHTS;
                let four = [0, 1, 2, 3].map(|k| taps.tap(group, k).map_or(0, weight));
                S::put(&mut weights[at..at + S::WEIGHTS], lane, four);
            }
        }
        return;
    }
    let rows = filter.values.chunks_exact(runs.bytes * runs.count[0] * runs.count[1]);
    for (c, row) in rows.enumerate() {
        // The inverse of `channel`.
        let of_tile = shape.vectors * S::LANES;
        let (tile, within) = (c / of_tile, c % of_tile);
        let vector = within % (4 * shape.vectors) / 4;
        let lane = within / (4 * shape.vectors) * 4 + within % 4;
        let sum = row.iter().fold(0_i32, |sum, &w| sum.wrapping_add(w.into()));
        constants((tile * shape.vectors + vector) * S::LANES + lane, c, sum);
        let mut at = (tile * shape.groups * shape.vectors + vector) * S::WEIGHTS;
        for run in row.chunks_exact(runs.bytes) {
            let (fours, tail) = run.as_chunks::<4>();
            let mut put = |four| {
                S::put(&mut weights[at..at + S::WEIGHTS], lane, four);
                at += shape.vectors * S::WEIGHTS;
            };
            fours.iter().for_each(|&four| put(four));
            if !tail.is_empty() {
                let mut four = [0; 4];
                four[..tail.len()].copy_from_slice(tail);
                put(four);
            }
        }
    }
}

/// Tile, vector and lane of a place in init or multipliers.
fn place_of<S: Simd>(vectors: usize, place: usize) -> (usize, usize, usize) {
    (place / (vectors * S::LANES), place / S::LANES % vectors, place % S::LANES)
}
