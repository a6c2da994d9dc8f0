//! The vocabulary that the kernels of all x86-64 vector widths are written in.

use super::conv::Job;
use crate::artifact::Clamp;
use crate::kernels::{NoiseDraw, Noisy, OutputDraw, reference};

/// -128 in every byte, to be read as volatile: of a constant, the compiler flips four bytes and spreads the result,
/// two more instructions than flipping what was spread on the way from memory.
pub(super) static FLIP: Line = Line([0x80; 64]);

/// Bytes at the start of a cache line.
#[repr(align(64))]
pub(super) struct Line(pub(super) [u8; 64]);

/// Vectors of [`LANES`](Self::LANES) i32 each. A value proves that the CPU has the instructions.
///
/// Output channels lie in *tile order*: in `C` neighbouring vectors, lane `i` of vector `j` is channel
/// [`channel(C, j, i)`](channel), which is the order that the pack instructions restore.
pub(super) trait Simd: Copy {
    /// i32 in a vector.
    const LANES: usize;
    /// Bytes of the packed weights of one vector of channels and four inputs.
    const WEIGHTS: usize;
    /// Most vectors of channels in a tile: 1, 2 or 4.
    const MAX_VECTORS: usize;

    /// i32.
    type I: Copy;
    /// Four activations for each lane, as `x + 128`.
    type X: Copy;
    /// Four weights for each lane.
    type W: Copy;

    /// Puts four weights of one lane into [`WEIGHTS`](Self::WEIGHTS) bytes.
    fn put(to: &mut [u8], lane: usize, weights: [i8; 4]);

    /// # Safety
    /// `LANES` i32 can be read at `from`.
    unsafe fn load(self, from: *const i32) -> Self::I;

    /// # Safety
    /// `LANES` i32 can be written at `to`.
    unsafe fn store(self, value: Self::I, to: *mut i32);

    /// # Safety
    /// `WEIGHTS` bytes can be read at `from`.
    unsafe fn weights(self, from: *const u8) -> Self::W;

    /// What [`broadcast`](Self::broadcast) makes `x + 128` of int8 with.
    fn flip(self) -> Self::I;

    /// The same four activations for every lane; in memory they are int8 where `FLIP`, else `x + 128`.
    ///
    /// # Safety
    /// 4 bytes can be read at `from`.
    unsafe fn broadcast<const FLIP: bool>(self, from: *const u8, flip: Self::I) -> Self::X;

    /// `acc + sum of four places`, int8 in memory, `4 * LANES` channels in tile order of four vectors.
    ///
    /// # Safety
    /// `4 * LANES` bytes can be read at each of `from`.
    unsafe fn add_bytes(self, acc: [Self::I; 4], from: [*const u8; 4]) -> [Self::I; 4];

    /// `4 * LANES` channels' activations from four places, `x + 128` in memory, in tile order of four
    /// vectors.
    ///
    /// # Safety
    /// `4 * LANES` bytes can be read at each of `from`.
    unsafe fn interleave(self, from: [*const u8; 4]) -> [Self::X; 4];

    /// `acc + x * w`, four products a lane, modulo 2^32.
    fn dot(self, acc: Self::I, x: Self::X, w: Self::W) -> Self::I;

    fn add(self, a: Self::I, b: Self::I) -> Self::I;

    fn zero(self) -> Self::I;

    /// See [`Kernels::draw`](crate::kernels::Kernels).
    fn draw(self, draw: &NoiseDraw<'_>, noise: &mut [i8]) {
        reference::draw(draw, noise);
    }

    /// See [`Kernels::draw_outputs`](crate::kernels::Kernels).
    fn draw_outputs(self, draw: &OutputDraw<'_>, eps: &mut [i16]) {
        reference::draw_outputs(draw, eps);
    }

    /// Requantizes one run of channels, for both signs of the noise where both are wanted.
    #[inline(always)]
    fn combine(self, to: &mut Noisy<'_>, index: usize, sums: [&[i32]; 2], multipliers: [&[f32]; 2]) {
        reference::combine(to, index, sums, multipliers);
    }

    /// Runs all tiles of an image, compiled for these instructions.
    ///
    /// # Safety
    /// All windows' runs, padded to groups of four, can be read behind the job's `x`; its output holds
    /// the image.
    unsafe fn rows(self, job: &mut Job<'_, '_, '_>);

    /// `clamp(round_half_even(f32(acc) * multiplier) + zero_point)` of the first `n` channels of `C`
    /// vectors, `C` being 1, 2 or 4.
    ///
    /// # Safety
    /// `C * LANES` f32 can be read at `multiplier`, and `n <= C * LANES` values written at `to`.
    unsafe fn requantize<const C: usize>(
        self,
        acc: [Self::I; C],
        multiplier: *const f32,
        rounding: Rounding,
        to: *mut i8,
        n: usize,
    );
}

/// Zero point and bounds of int8 results.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rounding {
    pub(super) zero_point: i8,
    pub(super) clamp: Clamp,
}

impl Rounding {
    /// The bounds before the zero point is added.
    #[inline(always)]
    pub(super) fn bounds(self) -> [f32; 2] {
        let from_zero = |bound: i8| (i32::from(bound) - i32::from(self.zero_point)) as f32;
        [from_zero(self.clamp.min), from_zero(self.clamp.max)]
    }
}

/// The channel of lane `i` of vector `j` of `vectors`.
#[inline(always)]
pub(super) const fn channel(vectors: usize, j: usize, i: usize) -> usize {
    4 * vectors * (i / 4) + 4 * j + i % 4
}
