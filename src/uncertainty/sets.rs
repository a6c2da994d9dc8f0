//! Prediction sets: the classes that an input may have, with a promised coverage.

use super::conformal::{Penalty, SetMethod, for_each_member};
use crate::artifact::{Conformal, Model};

/// The artifact's thresholds, ready to make sets.
#[derive(Debug, Clone, Copy)]
pub struct PredictionSets<'m> {
    fact: Conformal,
    alphas: &'m [u32],
    /// `[methods, levels, 1 or classes]`
    thresholds: &'m [f32],
    classes: usize,
}

/// The classes in one set; the bits live where the caller said.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PredictionSet<'b> {
    bits: &'b [u32],
    /// Classes in the set.
    pub len: usize,
    /// Promised share of sets that hold the label, between 0 and 1: over calibration examples and
    /// inputs that come from where they came from, sampled in the same way.
    pub coverage: f64,
}

impl<'m> PredictionSets<'m> {
    /// `None` if the artifact carries no thresholds.
    #[must_use]
    pub fn new(model: &Model<'m>) -> Option<Self> {
        let fact = model.manifest().conformal?;
        let (alphas, thresholds) = (model.u32s(fact.alphas), model.f32s(fact.thresholds));
        Some(Self { fact, alphas, thresholds, classes: model.manifest().outputs.into() })
    }

    /// What the artifact says of them.
    #[must_use]
    pub fn fact(&self) -> &Conformal {
        &self.fact
    }

    /// Number of levels; level 0 has the greatest coverage.
    #[must_use]
    pub fn levels(&self) -> usize {
        self.alphas.len()
    }

    /// Promised coverage of a level, between 0 and 1.
    #[must_use]
    pub fn coverage(&self, level: usize) -> Option<f64> {
        self.alphas.get(level).map(|&alpha| f64::from(1_000_000 - alpha) / 1e6)
    }

    /// Words that the bits of a set need.
    #[must_use]
    pub fn words(&self) -> usize {
        self.classes.div_ceil(32)
    }

    /// Thresholds of a method at a level: one, or one a class.
    #[must_use]
    pub fn thresholds(&self, method: SetMethod, level: usize) -> Option<&'m [f32]> {
        let columns = if self.fact.class_conditional { self.classes } else { 1 };
        let row = method as usize * self.levels() + level;
        (level < self.levels()).then(|| self.thresholds.get(row * columns..(row + 1) * columns)).flatten()
    }

    /// The set of a prediction with these mean probabilities, `[classes]`, written to `bits`, at least
    /// [`Self::words`].
    ///
    /// `share` is [`random_share`](super::random_share) of the prediction's seed and counter; it plays
    /// no part unless the artifact's sets are randomized. `None` for another number of probabilities,
    /// too few words or a level that there is not.
    #[must_use]
    pub fn set<'b>(
        &self,
        method: SetMethod,
        level: usize,
        probabilities: &[f32],
        share: f32,
        bits: &'b mut [u32],
    ) -> Option<PredictionSet<'b>> {
        let coverage = self.coverage(level)?;
        let thresholds = self.thresholds(method, level)?;
        let bits = bits.get_mut(..self.words())?;
        if probabilities.len() != self.classes {
            return None;
        }
        bits.fill(0);
        let mut len = 0;
        let threshold = |class: usize| match thresholds {
            [one] => *one,
            several => several.get(class).copied().unwrap_or(f32::NEG_INFINITY),
        };
        let greatest = thresholds.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let u = if self.fact.randomized { share } else { 0.0 };
        for_each_member(method, self.penalty(), probabilities, u, threshold, greatest, |class| {
            if let Some(word) = bits.get_mut(class / 32) {
                *word |= 1 << (class % 32);
                len += 1;
            }
        });
        Some(PredictionSet { bits, len, coverage })
    }

    /// Penalty of RAPS.
    #[must_use]
    pub fn penalty(&self) -> Penalty {
        Penalty { lambda: self.fact.raps_lambda, rank: self.fact.raps_rank }
    }
}

impl PredictionSet<'_> {
    /// Whether a class is in the set.
    #[must_use]
    pub fn contains(&self, class: usize) -> bool {
        self.bits.get(class / 32).is_some_and(|word| word >> (class % 32) & 1 == 1)
    }

    /// Whether no class is likely enough.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The classes in the set, in order.
    pub fn classes(&self) -> impl Iterator<Item = usize> {
        (0..self.bits.len() * 32).filter(|&class| self.contains(class))
    }

    /// Bit `c % 32` of word `c / 32` is class `c`.
    #[must_use]
    pub fn bits(&self) -> &[u32] {
        self.bits
    }
}
