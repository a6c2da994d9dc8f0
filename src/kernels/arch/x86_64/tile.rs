//! The register tile: `P` pixels times `C` vectors of output channels.

use super::simd::Simd;

/// Where the dot product of a pixel reads its input.
#[derive(Debug, Clone, Copy)]
pub(super) struct Walk {
    /// Runs below each other, and beside each other.
    pub(super) count: [usize; 2],
    /// Bytes from one run to the next on both axes.
    pub(super) steps: [usize; 2],
    /// Groups of four in a run.
    pub(super) groups: usize,
}

/// Accumulators of `P` pixels whose windows start at `x`, `x + step`, ...; they are int8 where `FLIP`,
/// else `x + 128`.
///
/// # Safety
/// All runs of all pixels can be read, padded to groups of four; `weights` and `init` are those of a
/// tile of `C` vectors with as many groups.
#[inline(always)]
pub(super) unsafe fn tile<S: Simd, const P: usize, const C: usize, const FLIP: bool>(
    s: S,
    walk: &Walk,
    x: *const u8,
    step: usize,
    mut weights: *const u8,
    init: *const i32,
) -> [[S::I; C]; P] {
    // SAFETY: every address is one that the caller vouches for.
    unsafe {
        let mut acc = [[s.zero(); C]; P];
        for pixel in &mut acc {
            for (j, acc) in pixel.iter_mut().enumerate() {
                *acc = s.load(init.add(j * S::LANES));
            }
        }
        let flip = s.flip();
        // Few accumulators would wait for each other: odd groups get some of their own.
        let mut odd = [[s.zero(); C]; P];
        for row in 0..walk.count[0] {
            for column in 0..walk.count[1] {
                let mut x = x.add(row * walk.steps[0] + column * walk.steps[1]);
                let mut groups = walk.groups;
                if P * C <= 6 {
                    while groups >= 2 {
                        group::<S, P, C, FLIP>(s, &mut acc, x, step, weights, flip);
                        group::<S, P, C, FLIP>(
                            s,
                            &mut odd,
                            x.add(4),
                            step,
                            weights.add(C * S::WEIGHTS),
                            flip,
                        );
                        x = x.add(8);
                        weights = weights.add(2 * C * S::WEIGHTS);
                        groups -= 2;
                    }
                }
                for _ in 0..groups {
                    group::<S, P, C, FLIP>(s, &mut acc, x, step, weights, flip);
                    x = x.add(4);
                    weights = weights.add(C * S::WEIGHTS);
                }
            }
        }
        if P * C <= 6 {
            for (acc, odd) in acc.iter_mut().zip(&odd) {
                for (acc, &odd) in acc.iter_mut().zip(odd) {
                    *acc = s.add(*acc, odd);
                }
            }
        }
        acc
    }
}

/// Accumulators of one window, an unbroken run, for two tiles of channels: as [`tile`] of each, with one activation
/// for both.
///
/// # Safety
/// As [`tile`].
#[inline(always)]
pub(super) unsafe fn two_tiles<S: Simd, const C: usize, const FLIP: bool>(
    s: S,
    groups: usize,
    x: *const u8,
    weights: [*const u8; 2],
    init: [*const i32; 2],
) -> [[S::I; C]; 2] {
    // SAFETY: every address is one that the caller vouches for.
    unsafe {
        let flip = s.flip();
        let mut acc = [[s.zero(); C]; 2];
        for (acc, init) in acc.iter_mut().zip(init) {
            for (j, acc) in acc.iter_mut().enumerate() {
                *acc = s.load(init.add(j * S::LANES));
            }
        }
        for group in 0..groups {
            let x = s.broadcast::<FLIP>(x.add(4 * group), flip);
            for (acc, weights) in acc.iter_mut().zip(weights) {
                for (j, acc) in acc.iter_mut().enumerate() {
                    *acc = s.dot(*acc, x, s.weights(weights.add((group * C + j) * S::WEIGHTS)));
                }
            }
        }
        acc
    }
}

/// One group of four inputs of every pixel.
///
/// # Safety
/// As [`tile`].
#[inline(always)]
unsafe fn group<S: Simd, const P: usize, const C: usize, const FLIP: bool>(
    s: S,
    acc: &mut [[S::I; C]; P],
    x: *const u8,
    step: usize,
    weights: *const u8,
    flip: S::I,
) {
    // SAFETY: the caller's promises.
    unsafe {
        let mut w = [s.weights(weights); C];
        for (j, w) in w.iter_mut().enumerate().skip(1) {
            *w = s.weights(weights.add(j * S::WEIGHTS));
        }
        for (p, acc) in acc.iter_mut().enumerate() {
            let x = s.broadcast::<FLIP>(x.add(p * step), flip);
            for (acc, &w) in acc.iter_mut().zip(&w) {
                *acc = s.dot(*acc, x, w);
            }
        }
    }
}
