//! Random numbers of training: every use has a stream of its own, derived from the seed and from what
//! it is for, so that nothing depends on order, threads, or where a run was resumed.

use rand_core::Rng;
use rand_xoshiro::Xoshiro128PlusPlus;
use stf_bnn::random::{Gaussian, UNIT, stream};

/// What numbers are drawn for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Order of the examples.
    Order = 1,
    /// Changes of images.
    Augment = 2,
    /// Perturbation of the first kernel.
    Noise = 3,
    /// Signs of flipout.
    Signs = 4,
    /// Dropout masks.
    Dropout = 5,
    /// Monte-Carlo samples of figures.
    Evaluation = 6,
}

/// One number from the seed, the purpose and what else tells this use apart.
#[must_use]
pub fn derive(seed: u64, purpose: Purpose, parts: &[u64]) -> u64 {
    parts.iter().fold(mix(seed ^ mix(purpose as u64)), |hash, part| mix(hash ^ mix(*part)))
}

/// The finalizer of SplitMix64.
pub(crate) const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// A stream of uniform numbers.
#[derive(Debug, Clone)]
pub struct Random(Xoshiro128PlusPlus);

impl Random {
    /// The stream for this use.
    #[must_use]
    pub fn new(seed: u64, purpose: Purpose, parts: &[u64]) -> Self {
        Self(stream(derive(seed, purpose, parts), 0))
    }

    /// Uniform in `0..limit`; `limit` is at least 1 and below 2^32. The bias of the multiply-shift is
    /// below `limit / 2^32`.
    pub fn below(&mut self, limit: usize) -> usize {
        ((u64::from(self.0.next_u32()) * limit as u64) >> 32) as usize
    }

    /// `count` random signs, +1 or -1.
    pub fn signs(&mut self, count: usize) -> Vec<f32> {
        let mut signs = Vec::with_capacity(count.next_multiple_of(32));
        while signs.len() < count {
            let bits = self.0.next_u32();
            signs.extend((0..32).map(|bit| if bits >> bit & 1 == 1 { 1.0 } else { -1.0 }));
        }
        signs.truncate(count);
        signs
    }
}

/// `count` standard normal numbers for this use, from the device's own integer Gaussian.
#[must_use]
pub fn normals(seed: u64, purpose: Purpose, parts: &[u64], count: usize) -> Vec<f32> {
    let mut gaussian = Gaussian::new(derive(seed, purpose, parts), 0);
    (0..count).map(|_| gaussian.sample() as f32 / UNIT as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_differ_and_repeat() {
        let draw = |seed, purpose, part| normals(seed, purpose, &[part], 8);
        assert_eq!(draw(1, Purpose::Noise, 2), draw(1, Purpose::Noise, 2));
        assert_ne!(draw(1, Purpose::Noise, 2), draw(2, Purpose::Noise, 2));
        assert_ne!(draw(1, Purpose::Noise, 2), draw(1, Purpose::Evaluation, 2));
        assert_ne!(draw(1, Purpose::Noise, 2), draw(1, Purpose::Noise, 3));
    }

    #[test]
    fn signs_are_balanced_and_bounds_are_kept() {
        let mut random = Random::new(0, Purpose::Signs, &[]);
        let sum: f32 = random.signs(100_000).iter().sum();
        assert!(sum.abs() < 5.0 * 100_000f32.sqrt());
        let mut seen = [0; 7];
        for _ in 0..70_000 {
            seen[random.below(7)] += 1;
        }
        assert!(seen.iter().all(|&count: &i32| (count - 10_000).abs() < 500), "{seen:?}");
    }
}
