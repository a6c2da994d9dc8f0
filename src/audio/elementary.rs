//! Sine, logarithm and square root in constant functions: what tables are made of. Only additions,
//! multiplications and divisions of f64, which are the same everywhere; error below 1e-15 of the result
//! (sine: of 1). Nothing of it remains in a program whose tables are constants.

/// Half a turn in radians.
pub(super) const PI: f64 = core::f64::consts::PI;

/// Sine of 0 to pi/2: the Taylor series to x^25, whose next term is below 3e-23.
pub(super) const fn sin(x: f64) -> f64 {
    let mut n = 25;
    let mut sum = 1.0;
    while n > 1 {
        sum = 1.0 - x * x / ((n * (n - 1)) as f64) * sum;
        n -= 2;
    }
    x * sum
}

/// Natural logarithm of a number from 1 to 2^32: halved until it is below 2, then the series of
/// 2 artanh((x - 1) / (x + 1)) to the 41st power, whose next term is below 1e-21.
pub(super) const fn ln(mut x: f64) -> f64 {
    let mut halvings = 0;
    while x >= 2.0 && halvings < 32 {
        x /= 2.0;
        halvings += 1;
    }
    let y = (x - 1.0) / (x + 1.0);
    let mut n = 41;
    let mut sum = 0.0;
    while n > 0 {
        sum = sum * y * y + 1.0 / n as f64;
        n -= 2;
    }
    2.0 * y * sum + halvings as f64 * core::f64::consts::LN_2
}

/// Square root of 1/128 to 2: Newton's steps from 1.
pub(super) const fn sqrt(x: f64) -> f64 {
    let mut root = 1.0;
    let mut step = 0;
    while step < 12 {
        root = 0.5 * (root + x / root);
        step += 1;
    }
    root
}

/// The nearest integer to a number within i32; halves away from zero.
pub(super) const fn round(x: f64) -> i32 {
    (if x < 0.0 { x - 0.5 } else { x + 0.5 }) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_functions_are_those_of_the_standard_library() {
        for step in 0..=1000 {
            let part = f64::from(step) / 1000.0;
            let angle = part * PI / 2.0;
            assert!((sin(angle) - angle.sin()).abs() < 1e-15, "sin {angle}");
            let x = (part * 22.0).exp2();
            assert!((ln(x) - x.ln()).abs() <= 1e-15 * x.ln().max(1.0), "ln {x}");
            let x = 1.0 / 128.0 + part * 1.9;
            assert!((sqrt(x) - x.sqrt()).abs() < 1e-15, "sqrt {x}");
        }
        assert_eq!([2.5, -2.5, 2.4, -2.4].map(round), [3, -3, 2, -2]);
    }
}
