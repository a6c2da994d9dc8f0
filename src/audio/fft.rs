//! Fourier transform of real values in integers.
//!
//! The even and odd samples are the real and imaginary parts of half as many complex values; those are
//! transformed by radix 2 and then taken apart. Data are i32 and do not get scaled between the stages:
//! the caller's samples leave room for the sum of all. Factors have 30 binary digits, products 64 bits, and
//! each product is rounded once.

/// A real and an imaginary part.
type Complex = [i32; 2];

const FACTOR_BITS: u32 = 30;

/// `((a + ib)(c - is))` with `cosine` and `sine` in 2^-30, rounded.
#[inline(always)]
fn turn([a, b]: Complex, cosine: i32, sine: i32) -> Complex {
    let (a, b, c, s) = (i64::from(a), i64::from(b), i64::from(cosine), i64::from(sine));
    let round = |sum: i64| ((sum + (1 << (FACTOR_BITS - 1))) >> FACTOR_BITS) as i32;
    [round(a * c + b * s), round(b * c - a * s)]
}

#[inline(always)]
fn butterfly(low: &mut Complex, high: &mut Complex, cosine: i32, sine: i32) {
    let [re, im] = turn(*high, cosine, sine);
    // Wrapping says that no check is needed: the sums are below 2^30 by the caller's scaling.
    *high = [low[0].wrapping_sub(re), low[1].wrapping_sub(im)];
    *low = [low[0].wrapping_add(re), low[1].wrapping_add(im)];
}

/// Where a complex value goes before the transform: its index with reversed bits.
#[inline(always)]
pub(super) fn place(index: usize, count: usize) -> usize {
    index.reverse_bits() >> (usize::BITS - count.trailing_zeros()).min(usize::BITS - 1)
}

/// Transforms `count = data.len()` complex values (a power of two, 8 or more) that lie at their [`place`]s;
/// `sine` is a quarter of the sine with 2 `count` steps a turn. Sums of magnitudes stay below 2^29.
fn complex(data: &mut [Complex], sine: &[i32]) {
    for pair in data.as_chunks_mut::<2>().0 {
        let [low, high] = pair;
        let [re, im] = *high;
        *high = [low[0].wrapping_sub(re), low[1].wrapping_sub(im)];
        *low = [low[0].wrapping_add(re), low[1].wrapping_add(im)];
    }
    let mut half = 2;
    while half < data.len() {
        // The sine has `data.len() / half` times the steps that this stage needs.
        stage(data, half, sine, data.len() / half);
        half *= 2;
    }
}

fn stage(data: &mut [Complex], half: usize, sine: &[i32], step: usize) {
    let rising = || sine.iter().step_by(step);
    // From a quarter down; `sine` has a multiple of `step` intervals.
    let falling = || sine.iter().rev().step_by(step);
    for block in data.chunks_exact_mut(2 * half) {
        let Some((low, high)) = block.split_at_mut_checked(half) else { return };
        let (Some((low1, low2)), Some((high1, high2))) =
            (low.split_at_mut_checked(half / 2), high.split_at_mut_checked(half / 2))
        else {
            return;
        };
        for (((low, high), &sine), &cosine) in low1.iter_mut().zip(high1).zip(rising()).zip(falling()) {
            butterfly(low, high, cosine, sine);
        }
        // A quarter on: the sine is the cosine, the cosine minus the sine.
        for (((low, high), &sine), &cosine) in low2.iter_mut().zip(high2).zip(rising()).zip(falling()) {
            butterfly(low, high, -sine, cosine);
        }
    }
}

/// Transforms `2 data.len()` real values, pairs of which lie at their [`place`]s. Value `k` is then **twice**
/// the transform at frequency `k`; value 0 has those of frequency 0 and of the highest as its parts.
///
/// `sine`: a quarter of the sine with `2 data.len()` steps a turn. The sum of all magnitudes may be 2^29.
pub(super) fn real(data: &mut [Complex], sine: &[i32]) {
    complex(data, sine);
    let Some((first, rest)) = data.split_first_mut() else { return };
    let [re, im] = *first;
    *first = [re.wrapping_add(im).wrapping_mul(2), re.wrapping_sub(im).wrapping_mul(2)];
    let middle = rest.len() / 2;
    let Some((low, high)) = rest.split_at_mut_checked(middle) else { return };
    // `low` has frequencies 1 to n/4 - 1, `high` n/4 to n/2 - 1: the first of it is its own mirror.
    let Some((own, high)) = high.split_first_mut() else { return };
    *own = [own[0].wrapping_mul(2), own[1].wrapping_mul(-2)];
    let factors = sine.iter().skip(1).zip(sine.iter().rev().skip(1));
    for ((a, b), (&sine, &cosine)) in low.iter_mut().zip(high.iter_mut().rev()).zip(factors) {
        (*a, *b) = part(*a, *b, cosine, sine);
    }
}

/// The doubled transforms at frequency k and at its mirror n/2 - k, from the complex ones.
#[inline(always)]
fn part(a: Complex, b: Complex, cosine: i32, sine: i32) -> (Complex, Complex) {
    // Even samples: a + conj(b); odd ones: (a - conj(b)) / i.
    let even = [a[0].wrapping_add(b[0]), a[1].wrapping_sub(b[1])];
    let odd = [a[1].wrapping_add(b[1]), b[0].wrapping_sub(a[0])];
    let [re, im] = turn(odd, cosine, sine);
    (
        [even[0].wrapping_add(re), even[1].wrapping_add(im)],
        [even[0].wrapping_sub(re), im.wrapping_sub(even[1])],
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::PI;

    fn quarter(fft: usize) -> Vec<i32> {
        (0..=fft / 4)
            .map(|i| ((2.0 * PI * i as f64 / fft as f64).sin() * f64::from(1 << 30)).round() as i32)
            .collect()
    }

    fn run(samples: &[i32]) -> Vec<Complex> {
        let count = samples.len() / 2;
        let mut data = vec![[0; 2]; count];
        for (index, pair) in samples.as_chunks::<2>().0.iter().enumerate() {
            data[place(index, count)] = *pair;
        }
        real(&mut data, &quarter(samples.len()));
        data
    }

    /// Straight sums in f64.
    fn exact(samples: &[i32], k: usize) -> [f64; 2] {
        let angle = |n: usize| -2.0 * PI * ((k * n) % samples.len()) as f64 / samples.len() as f64;
        let sum =
            |f: fn(f64) -> f64| samples.iter().enumerate().map(|(n, &x)| f64::from(x) * f(angle(n))).sum();
        [sum(f64::cos), sum(f64::sin)]
    }

    #[test]
    fn the_transform_is_the_sum_to_a_few_units() {
        let mut state = 7_u32;
        for log2 in 4..=10 {
            let size = 1_usize << log2;
            let bound = (1_i64 << 29) / size as i64;
            let mut next = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                ((i64::from(state as i32) * bound) >> 31) as i32
            };
            let noise: Vec<i32> = (0..size).map(|_| next()).collect();
            let constant = vec![bound as i32; size];
            let highest: Vec<i32> =
                (0..size).map(|n| if n % 2 == 0 { bound as i32 } else { -bound as i32 }).collect();
            for samples in [noise, constant, highest] {
                let found = run(&samples);
                let mut all: Vec<(usize, Complex)> = found.iter().copied().enumerate().skip(1).collect();
                all.push((0, [found[0][0], 0]));
                all.push((size / 2, [found[0][1], 0]));
                for (k, [re, im]) in all {
                    let expected = exact(&samples, k);
                    let far = (f64::from(re) - 2.0 * expected[0])
                        .abs()
                        .max((f64::from(im) - 2.0 * expected[1]).abs());
                    // Each output gathers the roundings of all butterflies.
                    assert!(far < 1.5 * (size as f64).sqrt() + 4.0, "{size}, {k}: {re} {im}, {expected:?}");
                }
            }
        }
    }
}
