//! Batches: a seeded order, normalisation and augmentation, prepared while the one before is trained on.

use super::config::Augment;
use super::random::{Purpose, Random};
use crate::data::{Dataset, Preprocessing};
use crate::error::Result;
use std::sync::mpsc::sync_channel;

/// Normalised inputs `[n, h, w, c]` and labels that are trained on together: a step, or a part of one.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Inputs.
    pub inputs: Vec<f32>,
    /// Labels.
    pub labels: Vec<u32>,
    /// Targets of a regression, `[n, targets]`.
    pub targets: Vec<f32>,
    /// Place of the first example in its step.
    pub first: usize,
    /// Examples of the step.
    pub step_examples: usize,
}

impl Batch {
    /// A batch that is a step.
    #[must_use]
    pub const fn whole(inputs: Vec<f32>, labels: Vec<u32>) -> Self {
        let step_examples = labels.len();
        Self { inputs, labels, targets: Vec::new(), first: 0, step_examples }
    }

    /// Whether nothing else belongs to the step.
    #[must_use]
    pub const fn is_whole_step(&self) -> bool {
        self.labels.len() == self.step_examples
    }

    /// Whether the step is complete with this batch.
    #[must_use]
    pub const fn ends_step(&self) -> bool {
        self.first + self.labels.len() == self.step_examples
    }
}

/// One epoch's batches over a data set.
#[derive(Debug, Clone, Copy)]
pub struct Epoch<'a> {
    /// The examples.
    pub data: &'a Dataset,
    /// Their normalisation.
    pub preprocessing: &'a Preprocessing,
    /// Random changes.
    pub augment: Augment,
    /// Examples of a batch; the last one may be smaller, but never a single example.
    pub batch_size: usize,
    /// Most examples that are handed over at a time: the batch size, or less where examples do not depend
    /// on each other and memory counts.
    pub part_size: usize,
    /// Batches of a step; the last step may have fewer.
    pub accumulate: usize,
    /// Seed of the run, 1 or 2 for the stage, and the epoch from 0.
    pub seed: (u64, u64, u64),
}

/// Batches prepared ahead: one trained on, one waiting, one being made.
const AHEAD: usize = 1;

impl Epoch<'_> {
    /// Number of steps.
    #[must_use]
    pub fn len(&self) -> usize {
        let full = self.data.len() / self.step_size();
        // Batch norm of one example has no variance: a last step of one is left out.
        full + usize::from(self.data.len() % self.step_size() > 1 || self.data.len() == 1)
    }

    const fn step_size(&self) -> usize {
        self.batch_size.saturating_mul(self.accumulate)
    }

    /// Whether there is nothing to train on.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Calls `work` with the number of the step and each of its batches, in order, while the next batch
    /// is prepared on a thread of its own.
    ///
    /// # Errors
    /// The first error of `work` or of reading the data; no batch follows it.
    pub fn each(&self, mut work: impl FnMut(usize, Batch) -> Result<()>) -> Result<()> {
        let order = self.order();
        std::thread::scope(|scope| {
            let (sender, receiver) = sync_channel(AHEAD);
            scope.spawn(move || {
                for (step, indices) in order.chunks(self.step_size()).take(self.len()).enumerate() {
                    let mut first = 0;
                    for part in parts(indices, self.part_size) {
                        let batch = self.prepare(part).map(|batch| Batch {
                            first,
                            step_examples: indices.len(),
                            ..batch
                        });
                        first += part.len();
                        // A receiver that is gone has met an error: nothing more to prepare.
                        if sender.send((step, batch)).is_err() {
                            return;
                        }
                    }
                }
            });
            receiver.iter().try_for_each(|(step, batch)| work(step, batch?))
        })
    }

    fn order(&self) -> Vec<usize> {
        let (seed, stage, epoch) = self.seed;
        let mut random = Random::new(seed, Purpose::Order, &[stage, epoch]);
        let mut order: Vec<usize> = (0..self.data.len()).collect();
        for i in (1..order.len()).rev() {
            order.swap(i, random.below(i + 1));
        }
        order
    }

    fn prepare(&self, indices: &[usize]) -> Result<Batch> {
        let mut inputs = Vec::new();
        self.preprocessing.apply(self.data, indices, &mut inputs)?;
        if self.augment != Augment::default() {
            let (seed, stage, epoch) = self.seed;
            for (image, &index) in inputs.chunks_exact_mut(self.data.shape.len()).zip(indices) {
                let mut random = Random::new(seed, Purpose::Augment, &[stage, epoch, index as u64]);
                self.augment_image(image, &mut random);
            }
        }
        let targets = indices.iter().flat_map(|&i| self.data.targets.of(i).iter().copied()).collect();
        let labels = indices.iter().map(|&i| self.data.labels[i]).collect();
        Ok(Batch { targets, ..Batch::whole(inputs, labels) })
    }

    fn augment_image(&self, image: &mut [f32], random: &mut Random) {
        let Augment { shift, flip } = self.augment;
        if flip && random.below(2) == 1 {
            for row in image.chunks_exact_mut(self.data.shape.width * self.data.shape.channels) {
                mirror(row, self.data.shape.channels);
            }
        }
        if shift > 0 {
            let mut offset = || random.below(2 * shift + 1) as isize - shift as isize;
            let (down, right) = (offset(), offset());
            self.shift_image(image, down, right);
        }
    }

    fn shift_image(&self, image: &mut [f32], down: isize, right: isize) {
        let crate::graph::Shape { height, width, channels } = self.data.shape;
        let source = image.to_vec();
        let moved =
            |at: usize, by: isize, size: usize| at.checked_add_signed(-by).filter(|&from| from < size);
        for y in 0..height {
            for x in 0..width {
                let target = &mut image[(y * width + x) * channels..][..channels];
                match moved(y, down, height).zip(moved(x, right, width)) {
                    Some((y, x)) => target.copy_from_slice(&source[(y * width + x) * channels..][..channels]),
                    None => self.write_raw_zero(target),
                }
            }
        }
    }

    /// What a raw value of 0 (a black pixel) is after normalisation.
    fn write_raw_zero(&self, pixel: &mut [f32]) {
        let Preprocessing { mean, std, .. } = self.preprocessing;
        for ((value, mean), std) in pixel.iter_mut().zip(mean).zip(std) {
            *value = -mean / std;
        }
    }
}

/// A step's examples in as few batches of at most `size` as there can be, of equal length or one less: where
/// `size` is 3 or more, none is left with a single example, which has no variance for batch norm.
fn parts(indices: &[usize], size: usize) -> impl Iterator<Item = &[usize]> {
    let count = indices.len().div_ceil(size).max(1);
    (0..count).map(move |part| {
        let [start, end] = [part, part + 1].map(|part| part * indices.len() / count);
        &indices[start..end]
    })
}

fn mirror(row: &mut [f32], channels: usize) {
    let width = row.len() / channels;
    for x in 0..width / 2 {
        for c in 0..channels {
            row.swap(x * channels + c, (width - 1 - x) * channels + c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Inputs;
    use crate::graph::Shape;

    fn numbered(n: usize) -> Dataset {
        let shape = Shape::new(2, 3, 1);
        Dataset {
            name: "numbered".into(),
            shape,
            inputs: Inputs::F32((0..n * 6).map(|i| i as f32 + 1.0).collect()),
            labels: (0..n as u32).map(|i| i % 2).collect(),
            class_names: vec!["even".into(), "odd".into()],
            targets: Default::default(),
        }
    }

    fn epoch<'a>(
        data: &'a Dataset,
        preprocessing: &'a Preprocessing,
        batch_size: usize,
        epoch: u64,
    ) -> Epoch<'a> {
        let augment = Augment::default();
        Epoch {
            data,
            preprocessing,
            augment,
            batch_size,
            part_size: batch_size,
            accumulate: 1,
            seed: (7, 1, epoch),
        }
    }

    fn all(epoch: &Epoch<'_>) -> Vec<Batch> {
        let mut batches = Vec::new();
        epoch
            .each(|_, batch| {
                batches.push(batch);
                Ok(())
            })
            .unwrap();
        batches
    }

    #[test]
    fn every_example_comes_once_in_an_order_of_the_seed_and_epoch() {
        let data = numbered(23);
        let identity = Preprocessing { mean: vec![0.0], std: vec![1.0], ..Preprocessing::default() };
        let first = all(&epoch(&data, &identity, 5, 0));
        assert_eq!(first.iter().map(|b| b.labels.len()).collect::<Vec<_>>(), [5, 5, 5, 5, 3]);
        let mut seen: Vec<f32> = first.iter().flat_map(|b| b.inputs.iter().copied()).collect();
        assert_eq!(first, all(&epoch(&data, &identity, 5, 0)));
        assert_ne!(first, all(&epoch(&data, &identity, 5, 1)));
        seen.sort_by(f32::total_cmp);
        assert_eq!(seen, (0..23 * 6).map(|i| i as f32 + 1.0).collect::<Vec<_>>());
    }

    #[test]
    fn a_last_batch_of_one_is_left_out() {
        let data = numbered(11);
        let identity = Preprocessing { mean: vec![0.0], std: vec![1.0], ..Preprocessing::default() };
        assert_eq!(all(&epoch(&data, &identity, 5, 0)).len(), 2);
        assert_eq!(all(&epoch(&numbered(1), &identity, 5, 0)).len(), 1);
    }

    /// 23 examples in steps of 2 x 4: the same examples in the same order as in steps of 8, in batches of
    /// at most 4, and the last step's 7 examples in two batches.
    #[test]
    fn steps_are_made_of_batches() {
        let data = numbered(23);
        let identity = Preprocessing { mean: vec![0.0], std: vec![1.0], ..Preprocessing::default() };
        let accumulated = Epoch { accumulate: 2, ..epoch(&data, &identity, 4, 0) };
        let mut found = Vec::new();
        accumulated
            .each(|step, batch| {
                found.push((step, batch.first, batch.labels.len(), batch.step_examples, batch.ends_step()));
                Ok(())
            })
            .unwrap();
        let (part, last) =
            (|step, first, end| (step, first, 4, 8, end), [(2, 0, 3, 7, false), (2, 3, 4, 7, true)]);
        let whole = [part(0, 0, false), part(0, 4, true), part(1, 0, false), part(1, 4, true)];
        assert_eq!(found, [&whole[..], &last[..]].concat());
        assert_eq!(accumulated.len(), 3);
        let values = |batches: Vec<Batch>| batches.into_iter().flat_map(|b| b.inputs).collect::<Vec<f32>>();
        assert_eq!(values(all(&accumulated)), values(all(&epoch(&data, &identity, 8, 0))));
    }

    #[test]
    fn augmentation_follows_the_example_not_the_batch() {
        let data = numbered(20);
        let identity = Preprocessing { mean: vec![0.0], std: vec![1.0], ..Preprocessing::default() };
        let with = |batch_size| {
            let epoch =
                Epoch { augment: Augment { shift: 1, flip: true }, ..epoch(&data, &identity, batch_size, 3) };
            all(&epoch).iter().flat_map(|b| b.inputs.clone()).collect::<Vec<f32>>()
        };
        assert_eq!(with(4), with(10));
        assert!(with(4).contains(&0.0), "shifts bring in zeros");
    }

    #[test]
    fn shifts_and_mirrors_move_pixels_whole() {
        let data = numbered(2);
        let identity = Preprocessing { mean: vec![0.0], std: vec![1.0], ..Preprocessing::default() };
        let epoch = epoch(&data, &identity, 2, 0);
        let mut image = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        epoch.shift_image(&mut image, 1, -1);
        assert_eq!(image, [0.0, 0.0, 0.0, 2.0, 3.0, 0.0]);
        let mut row = [1.0, 10.0, 2.0, 20.0, 3.0, 30.0];
        mirror(&mut row, 2);
        assert_eq!(row, [3.0, 30.0, 2.0, 20.0, 1.0, 10.0]);
    }

    #[test]
    fn an_error_ends_the_epoch() {
        let data = numbered(40);
        let identity = Preprocessing { mean: vec![0.0], std: vec![1.0], ..Preprocessing::default() };
        let mut steps = 0;
        let result = epoch(&data, &identity, 4, 0).each(|_, _| {
            steps += 1;
            Err(crate::Error::Interrupted)
        });
        assert!(result.is_err() && steps == 1);
    }
}
