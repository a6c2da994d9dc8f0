//! When draws may end: what is asked, and after which draws.

use crate::artifact::manifest::Adaptive;

/// After which draws a stopping rule is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Checks {
    /// Least number of draws of a result. 0: the pass of the posterior mean comes first, the rule is
    /// asked about it, and it is left out of the result if draws follow.
    pub min: u16,
    /// Draws between two checks; 0 is the same as 1.
    pub group: u16,
}

impl Checks {
    /// The checks of an artifact's rule.
    #[must_use]
    pub const fn of(rule: &Adaptive<'_>) -> Self {
        Self { min: rule.samples_min, group: rule.group }
    }

    /// The first number of draws above `draws` after which the rule is asked.
    pub(super) fn after(self, draws: u16) -> u16 {
        let group = self.group.max(1);
        let next = (draws / group).saturating_add(1).saturating_mul(group);
        next.max(self.min.checked_next_multiple_of(group).unwrap_or(u16::MAX))
    }
}

/// The class that some probabilities choose, and how clearly.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Decision {
    /// Class of the greatest probability; the least index of equal ones.
    pub class: u16,
    /// Its probability.
    pub confidence: f32,
    /// Its probability minus the second greatest; the whole probability if there is no other class.
    pub margin: f32,
}

impl Decision {
    /// Of the probabilities of at least one class. `[classes]`
    #[must_use]
    pub fn of(probabilities: &[f32]) -> Self {
        let (mut class, mut first, mut second) = (0, f32::NEG_INFINITY, f32::NEG_INFINITY);
        for (index, &p) in probabilities.iter().enumerate() {
            if p > first {
                (class, second, first) = (index as u16, first, p);
            } else if p > second {
                second = p;
            }
        }
        Self { class, confidence: first, margin: first - second.max(0.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_at_multiples_of_the_group_from_the_least_number_on() {
        let series = |min, group, max| {
            let (mut draws, mut all) = (0, [0; 8]);
            for place in &mut all {
                draws = Checks { min, group }.after(draws).min(max);
                *place = draws;
            }
            all
        };
        assert_eq!(series(0, 2, 9), [2, 4, 6, 8, 9, 9, 9, 9]);
        assert_eq!(series(1, 1, 3), [1, 2, 3, 3, 3, 3, 3, 3]);
        assert_eq!(series(3, 2, 10), [4, 6, 8, 10, 10, 10, 10, 10]);
        assert_eq!(series(0, 0, 2), [1, 2, 2, 2, 2, 2, 2, 2]);
        assert_eq!(Checks { min: u16::MAX, group: u16::MAX }.after(u16::MAX - 1), u16::MAX);
    }

    #[test]
    fn a_decision_is_the_first_of_the_greatest() {
        let decision = |p: &[f32]| Decision::of(p);
        assert_eq!(decision(&[0.25, 0.5, 0.25]), Decision { class: 1, confidence: 0.5, margin: 0.25 });
        assert_eq!(decision(&[0.5, 0.5]), Decision { class: 0, confidence: 0.5, margin: 0.0 });
        assert_eq!(decision(&[0.125, 0.25, 0.625]), Decision { class: 2, confidence: 0.625, margin: 0.375 });
        assert_eq!(decision(&[1.0]), Decision { class: 0, confidence: 1.0, margin: 1.0 });
    }
}
