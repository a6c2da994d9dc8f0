//! Numbers as people read them.

use super::plot::spaced;

/// A share as a percentage.
pub fn percent(share: f64) -> String {
    format!("{}\u{202f}%", hundredths(share))
}

/// The same without its unit, for columns that name it.
pub fn hundredths(share: f64) -> String {
    format!("{:.2}", 100.0 * share)
}

/// Four digits behind the point.
pub fn four(value: f64) -> String {
    format!("{value:.4}")
}

/// About four significant digits, whatever the size: for values in the user's units.
pub fn significant(value: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    let power = value.abs().log10().floor();
    if (-4.0..7.0).contains(&power) {
        format!("{value:.*}", (3.0 - power).clamp(0.0, 7.0) as usize)
    } else {
        format!("{value:.3e}")
    }
}

/// A value with as many digits as its standard deviation has a meaning for: three of these.
pub fn as_precise_as(value: f64, sigma: f64) -> String {
    let power = sigma.abs().log10().floor();
    if power.is_finite() {
        format!("{value:.*}", (2.0 - power).clamp(0.0, 9.0) as usize)
    } else {
        significant(value)
    }
}

/// `text` of a value, or a dash where there is none.
pub fn or_dash<T>(value: Option<T>, text: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| "–".into(), text)
}

/// A count with its thousands apart.
pub fn count(value: impl ToString) -> String {
    spaced(&value.to_string())
}

/// A size in bytes.
pub fn bytes(size: u64) -> String {
    if size < 10_000 {
        format!("{} B", count(size))
    } else {
        format!("{} kB", spaced(&format!("{:.1}", size as f64 / 1e3)))
    }
}

/// "low to high".
pub fn between(low: f64, high: f64, text: impl Fn(f64) -> String) -> String {
    format!("{} to {}", text(low), text(high))
}

/// "1 input", "2 inputs".
pub fn several(number: usize, what: &str) -> String {
    format!("{} {what}{}", count(number), if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_that_mean_something() {
        let found = [0.0, 1.5, 1013.25, 0.012_345, -3.2e-6, 4.5e9].map(significant);
        assert_eq!(found, ["0", "1.500", "1013", "0.01235", "-3.200e-6", "4.500e9"]);
        let found = [(1013.256, 2.9), (1013.256, 31.0), (0.5, 0.02), (7.0, 0.0)];
        assert_eq!(
            found.map(|(value, sigma)| as_precise_as(value, sigma)),
            ["1013.26", "1013.3", "0.5000", "7.000"]
        );
    }
}
