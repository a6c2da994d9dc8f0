//! Calibration of every class's probability, not of the winner's alone.

use super::metrics::{BINS, Bin, are_probabilities, bin_of};

/// Classwise calibration: [`BINS`] equal-width bins for each class, in memory that the caller gives.
///
/// Every prediction counts in every class, with that class's probability as its confidence, right if
/// the class is the label. The bins and their edges are those of [`super::Calibration`].
#[derive(Debug)]
pub struct Classwise<'b> {
    /// `[classes, BINS]`
    bins: &'b mut [Bin],
}

impl<'b> Classwise<'b> {
    /// Goes on from `bins`, `[classes, BINS]`: all default for a fresh start. Merge parts by adding
    /// their bins, with [`Self::merge`].
    ///
    /// `None` if the number of bins is no multiple of [`BINS`], or 0.
    #[must_use]
    pub fn new(bins: &'b mut [Bin]) -> Option<Self> {
        (!bins.is_empty() && bins.len().is_multiple_of(BINS)).then_some(Self { bins })
    }

    /// Adds one prediction. Returns `false`, and counts nothing, if there is another number of
    /// probabilities than classes, `label` is none of them, or one of them is no probability, see
    /// [`Scored::new`](super::Scored::new).
    pub fn push(&mut self, probabilities: &[f32], label: usize) -> bool {
        let fits = probabilities.len() * BINS == self.bins.len()
            && label < probabilities.len()
            && are_probabilities(probabilities);
        if fits {
            for ((class, &p), bins) in probabilities.iter().enumerate().zip(self.bins.chunks_exact_mut(BINS))
            {
                bins[bin_of(p)].push(p, class == label);
            }
        }
        fits
    }

    /// Adds another part's predictions; `false` if it has another number of classes.
    pub fn merge(&mut self, other: &[Bin]) -> bool {
        let fits = other.len() == self.bins.len();
        if fits {
            self.bins.iter_mut().zip(other).for_each(|(bin, other)| bin.merge(other));
        }
        fits
    }

    /// Classwise expected calibration error (Kull et al. 2019, section 2): the mean over classes of
    /// each one's; 0 without predictions.
    #[must_use]
    pub fn ece(&self) -> f64 {
        let classes = self.bins.len() / BINS;
        let count: u64 = self.bins.iter().take(BINS).map(|bin| bin.count).sum();
        if count == 0 {
            return 0.0;
        }
        self.bins.iter().map(Bin::gap).sum::<f64>() / (count * classes as u64) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_classes_by_hand_and_in_parts() {
        let rows = [([0.75_f32, 0.25], 0), ([0.75, 0.25], 1), ([0.5, 0.5], 1)];
        let (mut whole, mut part) = ([Bin::default(); 2 * BINS], [Bin::default(); 2 * BINS]);
        let mut all = Classwise::new(&mut whole).unwrap();
        assert!(rows.iter().all(|(p, label)| all.push(p, *label)));
        assert!(!all.push(&[1.0], 0) && !all.push(&[1.0, 0.0], 2));
        for bad in [f32::NAN, -0.1, 1.1, f32::INFINITY] {
            assert!(!all.push(&[bad, 0.5], 0) && !all.push(&[0.5, bad], 0), "{bad}");
        }
        // Class 0: .75 twice, one right: gap .5; .5 wrong: gap .5. Class 1 mirrors it.
        assert!((all.ece() - (0.5 + 0.5) * 2.0 / 6.0).abs() < 1e-12);
        Classwise::new(&mut part).unwrap().push(&rows[0].0, rows[0].1);
        let first = part;
        let mut rest = [Bin::default(); 2 * BINS];
        let mut rest = Classwise::new(&mut rest).unwrap();
        rows[1..].iter().for_each(|(p, label)| assert!(rest.push(p, *label)));
        assert!(rest.merge(&first) && !rest.merge(&first[1..]));
        assert!((rest.ece() - all.ece()).abs() < 1e-12);
        assert!(Classwise::new(&mut [Bin::default(); 4]).is_none());
    }
}
