//! Calibration error with bins of equal mass.

/// Adaptive expected calibration error (Nguyen and O'Connor 2015; Nixon et al. 2019): `bins` bins that
/// hold the same number of predictions, the first ones one more where it does not divide. Sorts
/// `predictions`, pairs of confidence and whether it was right, in place.
///
/// Predictions of one confidence that an edge divides count on both sides in proportion, so that their
/// order plays no part. 0 without predictions; with fewer predictions than bins, the others are empty.
#[must_use]
pub fn equal_mass_ece(predictions: &mut [(f32, bool)], bins: usize) -> f64 {
    let (n, bins) = (predictions.len(), bins.max(1));
    if n == 0 {
        return 0.0;
    }
    predictions.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let mut error = 0.0;
    let (mut bin, mut room, mut signed) = (0, size(n, bins, 0), 0.0);
    for tied in predictions.chunk_by(|a, b| a.0 == b.0) {
        let correct = tied.iter().filter(|(_, correct)| *correct).count() as f64;
        let gap = correct / tied.len() as f64 - f64::from(tied[0].0);
        let mut left = tied.len();
        while left > 0 {
            let taken = left.min(room);
            signed += gap * taken as f64;
            (left, room) = (left - taken, room - taken);
            if room == 0 {
                error += f64::abs(signed);
                bin += 1;
                (room, signed) = (size(n, bins, bin), 0.0);
                if room == 0 {
                    break;
                }
            }
        }
    }
    error / n as f64
}

/// Predictions in bin `index` of `bins` that share `n`.
const fn size(n: usize, bins: usize, index: usize) -> usize {
    if index >= bins { 0 } else { n / bins + (index < n % bins) as usize }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_by_hand() {
        let mut predictions = [(0.9, true), (0.5, false), (0.6, true), (0.8, true), (0.7, false)];
        // Bins {.5 no, .6 yes, .7 no} and {.8 yes, .9 yes}.
        let expected = ((1.0_f64 - 1.8).abs() + (2.0_f64 - 1.7).abs()) / 5.0;
        assert!((equal_mass_ece(&mut predictions, 2) - expected).abs() < 1e-7);
        assert_eq!(equal_mass_ece(&mut [], 15), 0.0);
        assert!((equal_mass_ece(&mut predictions[..1].to_vec(), 15) - 0.5).abs() < 1e-7);
    }

    #[test]
    fn the_order_of_ties_plays_no_part() {
        let mut predictions = vec![(0.5, true), (0.5, true), (0.5, false), (0.5, false), (0.9, true)];
        let found = equal_mass_ece(&mut predictions, 3);
        predictions.reverse();
        assert_eq!(equal_mass_ece(&mut predictions, 3), found);
        assert!((found - 0.1 / 5.0).abs() < 1e-7, "only .9, right, is off: {found}");
    }
}
