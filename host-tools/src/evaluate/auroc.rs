//! Area under the ROC curve by ranks (the Mann-Whitney statistic).

/// Probability that a random `positive` scores above a random `negative`, ties counted half: the area
/// under the ROC curve. `None` if either is empty or a score is NaN.
#[must_use]
pub fn auroc(negative: &[f32], positive: &[f32]) -> Option<f64> {
    if negative.is_empty() || positive.is_empty() {
        return None;
    }
    let mut scores: Vec<(f32, bool)> =
        negative.iter().map(|&s| (s, false)).chain(positive.iter().map(|&s| (s, true))).collect();
    if scores.iter().any(|(score, _)| score.is_nan()) {
        return None;
    }
    scores.sort_by(|a, b| a.0.total_cmp(&b.0));
    // -0.0 and 0.0 are one score, so ties are found by ==, not by the order of the sort.
    let (mut below, mut twice_wins) = (0u64, 0u64);
    for tied in scores.chunk_by(|a, b| a.0 == b.0) {
        let positives = tied.iter().filter(|(_, positive)| *positive).count() as u64;
        let negatives = tied.len() as u64 - positives;
        twice_wins += positives * (2 * below + negatives);
        below += negatives;
    }
    Some(twice_wins as f64 / (2 * negative.len() * positive.len()) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition itself, pair by pair.
    fn by_pairs(negative: &[f32], positive: &[f32]) -> f64 {
        let mut wins = 0.0;
        for n in negative {
            for p in positive {
                wins += if p > n {
                    1.0
                } else if p == n {
                    0.5
                } else {
                    0.0
                };
            }
        }
        wins / (negative.len() * positive.len()) as f64
    }

    #[test]
    fn equals_the_count_over_all_pairs() {
        let negative = [0.1, 0.5, 0.5, 0.2, -1.0, 0.0, 0.9];
        let positive = [0.5, 0.7, -0.0, 0.2, 2.0];
        let area = auroc(&negative, &positive).unwrap();
        assert!((area - by_pairs(&negative, &positive)).abs() < 1e-12);
    }

    #[test]
    fn separation_is_one_and_its_reverse_zero() {
        assert_eq!(auroc(&[0.0, 1.0], &[2.0, 3.0]), Some(1.0));
        assert_eq!(auroc(&[2.0, 3.0], &[0.0, 1.0]), Some(0.0));
        assert_eq!(auroc(&[1.0; 5], &[1.0; 3]), Some(0.5));
    }

    #[test]
    fn nothing_to_compare_and_nan_have_no_area() {
        assert_eq!(auroc(&[], &[1.0]), None);
        assert_eq!(auroc(&[f32::NAN], &[1.0]), None);
    }
}
