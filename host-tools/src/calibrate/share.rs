//! Shares in millionths: exact numbers for ranks and promises.

use crate::error::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// A share between 0 and 1, both excluded, in whole millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u32);

impl Share {
    /// One, in millionths.
    pub const ONE: u32 = 1_000_000;

    /// A share of this many millionths, 1 to 999,999.
    ///
    /// # Errors
    /// If it is none of these.
    pub fn from_millionths(millionths: u32) -> Result<Self> {
        if (1..Self::ONE).contains(&millionths) {
            return Ok(Self(millionths));
        }
        Err(Error::invalid("share", format!("{millionths} millionths"), "more than 0 and less than 1"))
    }

    /// The share in millionths.
    #[must_use]
    pub const fn millionths(self) -> u32 {
        self.0
    }

    /// The share.
    #[must_use]
    pub fn value(self) -> f64 {
        f64::from(self.0) / f64::from(Self::ONE)
    }

    /// Rank, from 1, of the conformal threshold among `n` scores, `ceil((n + 1) (1 - alpha))`, exactly.
    ///
    /// `None` if that is more than `n`: there are too few scores for this alpha.
    #[must_use]
    pub fn rank(self, n: usize) -> Option<usize> {
        let above = (n as u128 + 1) * u128::from(self.0) / u128::from(Self::ONE);
        let rank = n + 1 - above as usize;
        (rank <= n).then_some(rank)
    }

    /// Least number of scores that have a rank for this alpha.
    #[must_use]
    pub fn least_count(self) -> usize {
        (Self::ONE.div_ceil(self.0) - 1) as usize
    }
}

/// From a decimal number such as `0.05`, of at most six digits behind the point, so that it is exact.
impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let digits = text.strip_prefix('0').unwrap_or(text).strip_prefix('.').unwrap_or_default();
        let valid = (1..=6).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        let millionths = format!("{digits:0<6}").parse().ok().filter(|_| valid);
        millionths.and_then(|millionths| Self::from_millionths(millionths).ok()).ok_or_else(|| {
            "expected a number between 0 and 1, such as 0.05, of at most six digits".to_string()
        })
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(text: &str) -> Share {
        text.parse().unwrap()
    }

    #[test]
    fn text_is_exact() {
        assert_eq!(share("0.05").millionths(), 50_000);
        assert_eq!(share(".1"), share("0.100000"));
        assert_eq!(share("0.000001").to_string(), "0.000001");
        for bad in ["0", "1", "1.0", "0.0", "-0.1", "0.0000001", "5%", "nan", "0.1e-1", ""] {
            assert!(bad.parse::<Share>().is_err(), "{bad}");
        }
    }

    #[test]
    fn ranks_are_exact_where_floating_point_is_not() {
        // 0.29 * 100 is 28.999999999999996 in f64: the rank would be 72 instead of 71.
        assert_eq!(share("0.29").rank(99), Some(71));
        assert_eq!(share("0.1").rank(9), Some(9));
        assert_eq!(share("0.1").rank(10), Some(10));
        assert_eq!(share("0.1").rank(1000), Some(901));
        assert_eq!(share("0.05").rank(18), None);
        for text in ["0.1", "0.05", "0.01", "0.3", "0.999999", "0.000001", "0.5"] {
            let share = share(text);
            let least = share.least_count();
            assert!(share.rank(least).is_some(), "{text} {least}");
            assert!(least == 0 || share.rank(least - 1).is_none(), "{text} {least}");
        }
    }

    #[test]
    fn the_rank_is_the_least_that_covers() {
        for n in 1..200_usize {
            for millionths in [1, 10_000, 50_000, 100_000, 333_333, 500_000, 900_000] {
                let alpha = Share::from_millionths(millionths).unwrap();
                let covers = |rank: usize| {
                    rank as u64 * 1_000_000 >= (n as u64 + 1) * u64::from(1_000_000 - millionths)
                };
                let least = (1..=n).find(|&rank| covers(rank));
                assert_eq!(alpha.rank(n), least, "{n} {millionths}");
            }
        }
    }
}
