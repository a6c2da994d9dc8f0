//! The table against the error function; the distribution exactly, and samples against it.

use super::*;

/// z with P(|Z| > z) = `tail`, by bisection on the complementary error function.
fn inverse_survival(tail: f64) -> f64 {
    let (mut lo, mut hi) = (0.0, 10.0);
    for _ in 0..80 {
        let z = 0.5 * (lo + hi);
        if libm::erfc(z / core::f64::consts::SQRT_2) > tail { lo = z } else { hi = z }
    }
    lo
}

fn node(index: usize) -> i32 {
    let (octave, step) = if index == 0 { (0, 32) } else { ((index - 1) / 32, 31 - (index - 1) % 32) };
    let tail = 0.5_f64.powi(octave as i32 + 1) * (1.0 + step as f64 / 32.0);
    (inverse_survival(tail) * f64::from(UNIT)).round() as i32
}

#[test]
#[ignore = "prints the table"]
fn print_table() {
    for row in 0..NODES.len().div_ceil(16) {
        let values = (row * 16..NODES.len().min(row * 16 + 16)).map(|i| node(i).to_string());
        std::println!("    {},", values.collect::<std::vec::Vec<_>>().join(", "));
    }
}

#[test]
fn table_is_the_inverse_survival_function() {
    for (index, &found) in NODES.iter().enumerate() {
        assert_eq!(i32::from(found), node(index), "entry {index}");
    }
    assert_eq!(MAX_EPS, (inverse_survival(0.5_f64.powi(18)) * f64::from(UNIT)).round() as i32);
}

#[test]
fn exact_moments_are_those_of_a_standard_normal() {
    let (mut total, mut mean, mut second, mut fourth, mut greatest) = (0.0, 0.0, 0.0, 0.0, 0);
    for_each_value(|eps, p| {
        let z = f64::from(eps) / f64::from(UNIT);
        total += p;
        mean += p * z;
        second += p * z * z;
        fourth += p * z.powi(4);
        greatest = greatest.max(eps.abs());
    });
    std::println!("total {total} mean {mean:e} variance {second} kurtosis {}", fourth / second.powi(2));
    assert_eq!(total, 1.0);
    assert_eq!(greatest, MAX_EPS);
    assert!(mean.abs() < 1e-12);
    assert!((second - 1.0).abs() < 1e-3, "{second}");
    assert!((fourth / second.powi(2) - 3.0).abs() < 0.01, "{fourth}");
}

/// Kolmogorov-Smirnov distance of the exact distribution from the normal one.
#[test]
fn exact_distribution_is_normal() {
    let mut mass = std::vec![0.0; 2 * MAX_EPS as usize + 1];
    for_each_value(|eps, p| mass[(eps + MAX_EPS) as usize] += p);
    let (mut cumulative, mut distance) = (0.0_f64, 0.0_f64);
    for (eps, p) in (-MAX_EPS..=MAX_EPS).zip(&mass) {
        cumulative += p;
        let z = (f64::from(eps) + 0.5) / f64::from(UNIT);
        distance = distance.max((cumulative - 0.5 * libm::erfc(-z / core::f64::consts::SQRT_2)).abs());
    }
    std::println!("KS distance {distance:e}");
    // One step of eps holds 1e-4 of the mass in the middle.
    assert!(distance < 1.5e-4, "{distance}");
    assert!(mass.iter().zip(mass.iter().rev()).all(|(a, b)| a == b), "not symmetric");
}

/// Chi-square of 2^20 samples against the exact distribution, in 64 cells of about equal mass.
#[test]
fn samples_follow_the_exact_distribution() {
    let mut mass = std::vec![0.0; 2 * MAX_EPS as usize + 1];
    for_each_value(|eps, p| mass[(eps + MAX_EPS) as usize] += p);
    let (mut cell_of, mut cells) = (std::vec::Vec::new(), [0.0_f64; 64]);
    let mut cumulative = 0.0;
    for &p in &mass {
        let cell = ((cumulative * 64.0) as usize).min(63);
        cells[cell] += p;
        cell_of.push(cell);
        cumulative += p;
    }
    let n = 1 << 20;
    for seed in 0..4 {
        let mut gaussian = Gaussian::new(seed, 9);
        let (mut counts, mut far) = ([0_u32; 64], 0);
        for _ in 0..n {
            let eps = gaussian.sample();
            counts[cell_of[(eps + MAX_EPS) as usize]] += 1;
            far += u32::from(eps.abs() > 3 * UNIT);
        }
        let chi: f64 = counts
            .iter()
            .zip(cells)
            .map(|(&count, p)| (f64::from(count) - p * f64::from(n)).powi(2) / (p * f64::from(n)))
            .sum();
        // 63 degrees of freedom: 99.99 % lies below 116.
        assert!(chi < 116.0, "seed {seed}: {chi}");
        // P(|Z| > 3) = 0.0026998, standard error 53.
        let expected = 0.002_699_8 * f64::from(n);
        assert!((f64::from(far) - expected).abs() < 4.0 * 53.0, "seed {seed}: {far} {expected}");
    }
}

#[test]
fn draws_are_independent() {
    let n = 1 << 16;
    let column = |seed, draw| {
        let mut gaussian = Gaussian::new(seed, draw);
        (0..n).map(|_| f64::from(gaussian.sample()) / f64::from(UNIT)).collect::<std::vec::Vec<_>>()
    };
    let columns = [column(1, 0), column(1, 1), column(1, 2), column(2, 0), column(0, 1), column(1, 1 << 32)];
    let correlate = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>() / f64::from(n);
    // Standard error 1/256.
    for (i, a) in columns.iter().enumerate() {
        for b in &columns[..i] {
            assert!(correlate(a, b).abs() < 4.5 / 256.0);
        }
        assert!(correlate(a, &a[1..]).abs() < 4.5 / 256.0);
    }
    // Across draws at one place, where a weak seeding would show.
    let first: std::vec::Vec<f64> =
        (0..n as u64).map(|draw| f64::from(Gaussian::new(5, draw).sample()) / f64::from(UNIT)).collect();
    let mean = first.iter().sum::<f64>() / f64::from(n);
    assert!(mean.abs() < 4.5 / 256.0);
    assert!((correlate(&first, &first) - 1.0).abs() < 4.5 * 1.42 / 256.0);
    assert!(correlate(&first, &first[1..]).abs() < 4.5 / 256.0);
}

#[test]
fn noise_weights_stay_within_int8() {
    for table in [0, 1, 30_000, MAX_TABLE] {
        for eps in [-MAX_EPS, -1, 0, 1, MAX_EPS] {
            let wide = (i64::from(table) * i64::from(eps) + (1 << 22)) >> 23;
            assert_eq!(i64::from(noise_weight(table, eps)), wide);
            assert!(wide.abs() <= 127);
        }
    }
    assert!((i64::from(MAX_TABLE) + 1) * i64::from(MAX_EPS) + (1 << 22) >= 128 << 23, "not the greatest");
}
