//! Streams of random bits.

use rand_core::SeedableRng;
use rand_xoshiro::Xoshiro128PlusPlus;

/// 2^64 divided by the golden ratio: the increment of SplitMix64.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// The output function of SplitMix64: a bijection in which each input bit flips half of the output.
#[cfg_attr(not(feature = "std"), inline(never))]
const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The random stream of one draw.
///
/// The 128 bits of (seed, draw) map one to one to the 128 bits of the generator's state, hashed, so
/// that no two streams start in the same state, and neighbouring seeds or draws in unrelated ones.
#[must_use]
pub fn stream(seed: u64, draw: u64) -> Xoshiro128PlusPlus {
    Xoshiro128PlusPlus::from_seed(state(seed, draw))
}

/// The generator's first state, little-endian. All zeros stands for another state.
pub(crate) fn state(seed: u64, draw: u64) -> [u8; 16] {
    let key = mix(seed.wrapping_add(GOLDEN));
    let low = mix(key ^ mix(draw.wrapping_add(GOLDEN.wrapping_mul(2))));
    let high = mix(low.wrapping_add(GOLDEN) ^ key);
    let mut state = [0; 16];
    state[..8].copy_from_slice(&low.to_le_bytes());
    state[8..].copy_from_slice(&high.to_le_bytes());
    state
}
