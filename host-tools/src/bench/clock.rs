//! The core's clock, found by counting cycles that are known without a counter.
//!
//! Hardware counters are closed to most users and virtual machines, and the time stamp counter does not
//! tick with the core. So the clock comes from a chain of additions and exclusive-ors, each of which
//! needs the one before: one cycle each on every core that can run this tool, whatever else the core can
//! do at the same time. The shortest of several bursts counts, as a burst can only be disturbed
//! towards longer.

use std::hint::black_box;
use std::time::Instant;

/// Pairs of dependent operations in a burst; about half a millisecond.
const PAIRS: u64 = 1_000_000;

/// Cycles of a pair.
const CYCLES: u64 = 2;

/// How [`gigahertz`] knows, for reports.
pub const METHOD: &str =
    "a chain of dependent additions and exclusive-ors, one cycle each, least of all bursts";

/// Cycles a nanosecond of the core that runs this, by the best of `bursts`.
#[must_use]
pub fn gigahertz(bursts: u32) -> f64 {
    let least = (0..bursts.max(1)).map(|_| burst()).fold(f64::INFINITY, f64::min);
    (CYCLES * PAIRS) as f64 / least
}

/// Nanoseconds of one chain.
fn burst() -> f64 {
    // Operands that the compiler cannot know: it can neither shorten the chain nor fold a constant.
    let (add, flip) = (black_box(0x9e37_79b9_7f4a_7c15_u64), black_box(0x5851_f42d_4c95_7f2d_u64));
    let start = Instant::now();
    let mut x = black_box(1_u64);
    for _ in 0..PAIRS {
        x = x.wrapping_add(add) ^ flip;
    }
    black_box(x);
    start.elapsed().as_nanos() as f64
}

#[cfg(test)]
mod tests {
    /// Not a time, but a sanity bound of 25 in either direction: a chain that the compiler had removed
    /// would look like a core of thousands of gigahertz.
    #[test]
    fn the_chain_is_executed() {
        let clock = super::gigahertz(3);
        assert!((0.02..50.0).contains(&clock), "found {clock} GHz");
    }
}
