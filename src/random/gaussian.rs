//! A Gaussian in integers: the inverse of its distribution function, by table and interpolation.
//!
//! One u32 makes one value: 1 bit for the sign; the leading zeros of the other 31 bits choose one of
//! 17 octaves of the tail probability, 5 bits one of its 32 pieces, 8 bits the place within it. So
//! the far tail is as finely drawn as the middle.

use super::table::NODES;
use rand_core::Rng;
use rand_xoshiro::Xoshiro128PlusPlus;

/// One standard deviation.
pub const UNIT: i32 = 4096;

/// No value is larger than this; 4.62 standard deviations. It stands for the whole tail that one
/// value in 2^17 falls in, whose median it is.
pub const MAX_EPS: i32 = 18_929;

/// The largest entry of a noise table for which `noise_weight` stays within ±127.
pub const MAX_TABLE: u16 = ((128 * (1_i64 << 23) - (1 << 22) - 1) / MAX_EPS as i64) as u16;

/// Octaves of the tail probability, from 1/2..1 down to 2^-17..2^-16.
pub(crate) const OCTAVES: usize = 17;

/// Pieces of each octave.
pub(crate) const PIECES: usize = 32;

/// A stream of integer Gaussians.
#[derive(Debug, Clone)]
pub struct Gaussian {
    bits: Xoshiro128PlusPlus,
}

impl Gaussian {
    /// The stream of one draw; see [`stream`](super::stream).
    #[must_use]
    pub fn new(seed: u64, draw: u64) -> Self {
        Self { bits: super::stream(seed, draw) }
    }

    /// The next value, in 1/[`UNIT`] standard deviations; -[`MAX_EPS`] to [`MAX_EPS`].
    #[inline]
    pub fn sample(&mut self) -> i32 {
        from_bits(self.bits.next_u32())
    }
}

/// The Gaussian that 32 random bits stand for.
#[inline]
fn from_bits(bits: u32) -> i32 {
    let tail = bits >> 1;
    let octave = (tail | 1).leading_zeros() as usize - 1;
    let magnitude = if octave < OCTAVES {
        // Drop the leading one: the next five bits are the piece, eight more the place.
        let below = tail << (octave + 2);
        magnitude(octave, (below >> 27) as usize, (below >> 19 & 0xff) as i32)
    } else {
        MAX_EPS
    };
    if bits & 1 == 1 { -magnitude } else { magnitude }
}

/// The value at the centre of one of 256 equal parts of one piece of one octave.
#[inline]
fn magnitude(octave: usize, piece: usize, part: i32) -> i32 {
    let inner = octave * PIECES + PIECES - 1 - piece;
    let (near, far) = (i32::from(NODES[inner]), i32::from(NODES[inner + 1]));
    far - (((far - near) * (2 * part + 1) + 256) >> 9)
}

/// The int8 noise weight of a weight whose entry in the noise table is `table` (at most
/// [`MAX_TABLE`]): `(table * eps + 2^22) >> 23`.
#[must_use]
#[inline]
pub fn noise_weight(table: u16, eps: i32) -> i8 {
    ((i32::from(table) * eps + (1 << 22)) >> 23) as i8
}

/// Calls `visit(eps, probability)` such that the probabilities of all calls with one value of `eps`
/// add up to its exact probability (2 x 139,265 calls).
pub fn for_each_value(mut visit: impl FnMut(i32, f64)) {
    let mut both = |magnitude: i32, probability: f64| {
        visit(magnitude, probability);
        visit(-magnitude, probability);
    };
    // Of the values with a given sign, half are in octave 0, a quarter in octave 1, ...
    let mut probability = 0.5 * 0.5 / (PIECES as f64 * 256.0);
    let mut rest = 0.5;
    for octave in 0..OCTAVES {
        for piece in 0..PIECES {
            for part in 0..256 {
                both(magnitude(octave, piece, part), probability);
            }
        }
        probability *= 0.5;
        rest *= 0.5;
    }
    both(MAX_EPS, rest);
}

#[cfg(test)]
mod tests;
