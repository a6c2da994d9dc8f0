//! Running figures of logged rows.

use super::Row;
use serde::{Deserialize, Serialize};
use stf_bnn::uncertainty::{Calibration, Gaussian, IntervalFigures, Regression, ScoreHistogram, Scored};

/// Bins of the uncertainty score: areas from them differ from exact ones by at most half the share of
/// pairs that share a bin.
pub(super) const SCORE_BINS: usize = 1024;

/// Most rows of a part in transit: figures take time in proportion to them, and a sum of parts stays far from
/// 2^64.
const MAX_ROWS: u64 = 1 << 32;

/// Counts of right and wrong predictions by one minus their confidence.
type Errors = ScoreHistogram<SCORE_BINS>;

/// Running figures of logged classifications.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ClassTally {
    pub(super) calibration: Calibration,
    /// Made with the first row.
    pub(super) errors: Option<Box<Errors>>,
    /// Sum of passes, and rows that say theirs.
    pub(super) passes: (u64, u64),
    pub(super) unlabelled: u64,
    pub(super) rejected: u64,
}

/// Running figures of logged targets.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct TargetTally {
    pub(super) figures: Regression,
    pub(super) intervals: IntervalFigures,
    pub(super) unlabelled: u64,
    pub(super) rejected: u64,
}

/// A [`ClassTally`] in transit.
#[derive(Serialize, Deserialize)]
struct Parts {
    calibration: Calibration,
    errors: Vec<[u64; 2]>,
    passes: (u64, u64),
    unlabelled: u64,
    rejected: u64,
}

impl Parts {
    /// Whether every way to count the rows gives the same, and none is too many.
    fn agree(&self) -> bool {
        let calibration = &self.calibration;
        let (count, correct) = (calibration.count(), calibration.correct());
        let sums = |rows: &[[u64; 2]]| {
            rows.iter()
                .try_fold([0_u64; 2], |[a, b], row| Some([a.checked_add(row[0])?, b.checked_add(row[1])?]))
        };
        let bins = calibration.bins().map(|bin| [bin.count, bin.correct]);
        let wrong = count.checked_sub(correct);
        let (passes, rows) = self.passes;
        [count, self.unlabelled, self.rejected].iter().all(|&rows| rows <= MAX_ROWS)
            && sums(&bins) == Some([count, correct])
            && sums(&self.errors) == wrong.map(|wrong| [correct, wrong])
            && rows <= count
            && passes <= rows * u64::from(u16::MAX)
    }
}

impl ClassTally {
    /// Counts one row. Without a label it counts as unlabelled; with a label that is no class, or values that
    /// are no probabilities, as rejected.
    pub fn push(&mut self, label: Option<u32>, probabilities: &[f32], passes: Option<u16>) {
        let Some(label) = label else {
            self.unlabelled += 1;
            return;
        };
        let Some(scored) = Scored::new(probabilities, label as usize) else {
            self.rejected += 1;
            return;
        };
        self.calibration.push_scored(&scored);
        if let Some(errors) = errors_of(&mut self.errors) {
            errors.push(1.0 - scored.confidence, !scored.correct);
        }
        if let Some(passes) = passes {
            self.passes = (self.passes.0 + u64::from(passes), self.passes.1 + 1);
        }
    }

    /// Counts a row that could not be read as one.
    pub fn reject(&mut self) {
        self.rejected += 1;
    }

    /// Adds all rows of another part.
    pub fn merge(&mut self, other: &Self) {
        self.calibration.merge(&other.calibration);
        if let (Some(theirs), Some(errors)) = (&other.errors, errors_of(&mut self.errors)) {
            errors.merge(theirs);
        }
        self.passes = (self.passes.0 + other.passes.0, self.passes.1 + other.passes.1);
        self.unlabelled += other.unlabelled;
        self.rejected += other.rejected;
    }

    /// The state as bytes, to be merged elsewhere.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let errors = self.errors.as_ref().map_or_else(Vec::new, |errors| errors.counts().to_vec());
        let Self { calibration, passes, unlabelled, rejected, .. } = *self;
        let parts = Parts { calibration, errors, passes, unlabelled, rejected };
        // Numbers and a list of them: there is nothing that postcard cannot write.
        postcard::to_stdvec(&parts).unwrap_or_default()
    }

    /// What [`Self::to_bytes`] wrote of at most 2^32 rows of each kind; `None` for anything else, also for counts
    /// that contradict each other.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let parts: Parts = whole(bytes)?;
        if !parts.agree() {
            return None;
        }
        let errors = match parts.errors.is_empty() {
            true => None,
            false => {
                let counts = parts.errors.try_into().ok()?;
                Some(Box::new(Errors::from_counts(0.0, 1.0, counts)?))
            }
        };
        let Parts { calibration, passes, unlabelled, rejected, .. } = parts;
        Some(Self { calibration, errors, passes, unlabelled, rejected })
    }
}

fn errors_of(errors: &mut Option<Box<Errors>>) -> Option<&mut Errors> {
    if errors.is_none() {
        *errors = Errors::new(0.0, 1.0).map(Box::new);
    }
    errors.as_deref_mut()
}

impl TargetTally {
    /// Counts one row. Without a value it counts as unlabelled; with numbers that are not finite, or without a
    /// positive variance, as rejected.
    pub fn push(&mut self, y: Option<f32>, gaussian: &Gaussian, interval: Option<(f32, f32)>) {
        let Some(y) = y else {
            self.unlabelled += 1;
            return;
        };
        let finite = interval.is_none_or(|(low, high)| (high - low).is_finite());
        if !finite || !self.figures.push(gaussian, y) {
            self.rejected += 1;
            return;
        }
        if let Some((low, high)) = interval {
            self.intervals.push_bounds(low, high, (low..=high).contains(&y));
        }
    }

    /// Counts a row that could not be read as one.
    pub fn reject(&mut self) {
        self.rejected += 1;
    }

    /// Adds all rows of another part.
    pub fn merge(&mut self, other: &Self) {
        self.figures.merge(&other.figures);
        self.intervals.merge(&other.intervals);
        self.unlabelled += other.unlabelled;
        self.rejected += other.rejected;
    }

    /// The state as bytes, to be merged elsewhere.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // Numbers only: there is nothing that postcard cannot write.
        postcard::to_stdvec(self).unwrap_or_default()
    }

    /// What [`Self::to_bytes`] wrote; `None` for anything else.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        whole(bytes)
    }
}

fn whole<'b, T: Deserialize<'b>>(bytes: &'b [u8]) -> Option<T> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Some(value),
        _ => None,
    }
}

/// Running figures of a log of either kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Tally {
    /// Of a classifier.
    Classes(Box<ClassTally>),
    /// Of a regression.
    Targets(TargetTally),
}

impl Tally {
    /// A tally for rows of the kind of `row`.
    #[must_use]
    pub fn for_row(row: &Row) -> Self {
        match row {
            Row::Class { .. } => Self::Classes(Box::default()),
            Row::Target { .. } => Self::Targets(TargetTally::default()),
        }
    }

    /// Counts one row; `false`, and counts nothing, if it is of the other kind.
    pub fn push(&mut self, row: &Row) -> bool {
        match (self, row) {
            (Self::Classes(tally), Row::Class { label, probabilities, passes }) => {
                tally.push(*label, probabilities, *passes);
            }
            (
                Self::Targets(tally),
                &Row::Target { y, mean, aleatoric_variance, epistemic_variance, interval },
            ) => tally.push(y, &Gaussian { mean, aleatoric_variance, epistemic_variance }, interval),
            _ => return false,
        }
        true
    }

    /// Adds another part; `false`, and adds nothing, if it is of the other kind.
    pub fn merge(&mut self, other: &Self) -> bool {
        match (self, other) {
            (Self::Classes(tally), Self::Classes(other)) => tally.merge(other),
            (Self::Targets(tally), Self::Targets(other)) => tally.merge(other),
            _ => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(n: u32) -> Vec<Row> {
        (0..n)
            .map(|i| {
                let p = (1 + i * 37 % 62) as f32 / 64.0;
                let label = (i % 7 != 0).then_some(if i % 11 == 0 { 9 } else { i % 2 });
                Row::Class { label, probabilities: vec![p, 1.0 - p], passes: (i % 3 > 0).then_some(8) }
            })
            .collect()
    }

    fn of(rows: &[Row]) -> ClassTally {
        let mut tally = Tally::for_row(&rows[0]);
        assert!(rows.iter().all(|row| tally.push(row)));
        match tally {
            Tally::Classes(tally) => *tally,
            Tally::Targets(_) => panic!("classes"),
        }
    }

    #[test]
    fn states_merge_to_the_whole_through_bytes() {
        let rows = rows(500);
        let (whole, parts) = (of(&rows), [of(&rows[..123]), of(&rows[123..400]), of(&rows[400..])]);
        let mut merged = ClassTally::default();
        for part in parts {
            merged.merge(&ClassTally::from_bytes(&part.to_bytes()).unwrap());
        }
        assert_eq!(merged.errors, whole.errors);
        assert_eq!((merged.passes, merged.unlabelled, merged.rejected), (whole.passes, 72, 39));
        assert_eq!(merged.calibration.count(), 389);
        assert!((merged.calibration.nll() - whole.calibration.nll()).abs() < 1e-12);
        assert_eq!(ClassTally::from_bytes(&ClassTally::default().to_bytes()), Some(ClassTally::default()));
        let bytes = whole.to_bytes();
        assert_eq!(ClassTally::from_bytes(&bytes), Some(whole));
        assert_eq!(ClassTally::from_bytes(&bytes[..bytes.len() - 1]), None);
        assert_eq!(ClassTally::from_bytes(&[&bytes[..], &[0]].concat()), None);
    }

    /// Figures walk over every row that the counts speak of.
    #[test]
    fn counts_that_contradict_each_other_are_refused() {
        let mut tally = ClassTally::default();
        for (label, probability) in [(0, 0.9), (0, 0.4), (1, 0.9)] {
            tally.push(Some(label), &[probability, 1.0 - probability], Some(4));
        }
        let refused = |edit: fn(&mut Parts)| {
            let mut parts: Parts = whole(&tally.to_bytes()).unwrap();
            edit(&mut parts);
            ClassTally::from_bytes(&postcard::to_stdvec(&parts).unwrap()).is_none()
        };
        assert!(!refused(|_| {}));
        assert!(!refused(|parts| parts.rejected = 1 << 32));
        assert!(refused(|parts| parts.errors[3] = [1 << 63, 0]));
        assert!(refused(|parts| parts.errors[3] = [0, u64::MAX]));
        assert!(refused(|parts| parts.errors.clear()));
        assert!(refused(|parts| parts.errors.iter_mut().for_each(|row| row.reverse())));
        assert!(refused(|parts| parts.calibration = Calibration::new()));
        assert!(refused(|parts| parts.unlabelled = u64::MAX));
        assert!(refused(|parts| parts.rejected = u64::MAX));
        assert!(refused(|parts| parts.passes.1 = 4));
        assert!(refused(|parts| parts.passes.0 = u64::MAX));
        // All counts alike, and more than anybody logs: three rows, added to themselves again and again.
        for (doublings, accepted) in [(30, true), (31, false)] {
            let mut many = tally.clone();
            for _ in 0..doublings {
                many.merge(&many.clone());
            }
            assert_eq!(ClassTally::from_bytes(&many.to_bytes()).is_some(), accepted, "{doublings}");
        }
    }

    #[test]
    fn targets_count_what_is_covered() {
        let gaussian = Gaussian { mean: 1.0, aleatoric_variance: 3.0, epistemic_variance: 1.0 };
        let mut tally = TargetTally::default();
        tally.push(Some(2.0), &gaussian, Some((0.0, 2.0)));
        tally.push(Some(2.5), &gaussian, Some((0.0, 2.0)));
        tally.push(None, &gaussian, None);
        tally.push(Some(f32::NAN), &gaussian, None);
        tally.push(Some(2.0), &gaussian, Some((0.0, f32::INFINITY)));
        assert_eq!((tally.unlabelled, tally.rejected, tally.intervals.coverage()), (1, 2, 0.5));
        assert_eq!(TargetTally::from_bytes(&tally.to_bytes()), Some(tally));
        let class = Row::Class { label: None, probabilities: vec![], passes: None };
        assert!(!Tally::Targets(tally).push(&class), "a row of the other kind");
        assert!(!Tally::Targets(tally).merge(&Tally::for_row(&class)));
    }
}
