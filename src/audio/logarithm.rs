//! Logarithm to base 2 in integers: the position of the highest bit, and a table of 64 intervals with
//! straight lines between.

use super::elementary::{ln, round};

/// Binary digits behind the point.
pub(super) const FRACTION: u32 = 16;
const INTERVALS_LOG2: u32 = 6;
const INTERVALS: usize = 1 << INTERVALS_LOG2;

/// log2(1 + i/64) in 2^-16.
static TABLE: [i32; INTERVALS + 1] = table();

const fn table() -> [i32; INTERVALS + 1] {
    let mut table = [0; INTERVALS + 1];
    let mut i = 0;
    while i <= INTERVALS {
        let x = 1.0 + i as f64 / INTERVALS as f64;
        table[i] = round(ln(x) / core::f64::consts::LN_2 * (1 << FRACTION) as f64);
        i += 1;
    }
    table
}

/// log2(x) in 2^-16, for x >= 1 (0 counts as 1). Error below 6e-5: 4.5e-5 of the straight line (it lies below the
/// curve), 1.5e-5 of rounding.
pub(super) fn log2(x: u64) -> i32 {
    let x = x.max(1);
    let zeros = x.leading_zeros();
    // The highest bit goes, the next six choose the interval, 26 more the place in it.
    let mantissa = ((x << zeros) >> 31) as u32;
    let index = (mantissa >> (32 - INTERVALS_LOG2)) as usize;
    let place = i64::from(mantissa & (u32::MAX >> INTERVALS_LOG2));
    let (Some(&from), Some(&to)) = (TABLE.get(index), TABLE.get(index + 1)) else { return 0 };
    let line = (i64::from(to - from) * place + (1 << (31 - INTERVALS_LOG2))) >> (32 - INTERVALS_LOG2);
    ((63 - zeros as i32) << FRACTION) + from + line as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_is_within_the_stated_error() {
        let check = |x: u64| {
            let (found, exact) = (f64::from(log2(x)) / 65536.0, (x as f64).log2());
            assert!((found - exact).abs() < 6e-5, "{x}: {found} {exact}");
        };
        (1..5000).for_each(check);
        for shift in 0..52 {
            (4096..8192).step_by(7).for_each(|mantissa| check(mantissa << shift));
        }
        check(u64::MAX);
        assert_eq!((log2(0), log2(1), log2(1 << 40)), (0, 0, 40 << 16));
    }

    #[test]
    fn the_logarithm_never_falls() {
        let all: Vec<i32> = (1..200_000).map(log2).collect();
        assert!(all.is_sorted());
    }
}
