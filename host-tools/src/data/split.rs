//! Train, validation, calibration and test: disjoint, stratified by class, the same for a seed on
//! every machine.

use super::{Dataset, Loaded, Origin, Splits};
use crate::error::{Error, Result};
use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// Seed of the test part of sets without an official one: fixed, so that test figures of runs with
/// different seeds are of the same examples.
pub const TEST_SEED: u64 = 0x7e57;
/// Largest calibration part, and its share otherwise.
const CALIBRATION: (usize, usize) = (5000, 10);
/// Largest validation part, and its share otherwise.
const VALIDATION: (usize, usize) = (1000, 20);
/// One in so many examples is for the test.
const TEST_SHARE: usize = 5;

/// Divides a data set.
///
/// Test: the official one, else 20 % drawn with [`TEST_SEED`]. From the rest, drawn with `seed`:
/// calibration, min(5000, 10 %); validation, min(1000, 5 %); both by class in proportion. What
/// remains is for training. Within each part the source's order is kept. A set that examples are chosen from
/// is divided as if there were no choice, which is made in each part: no part holds an example that is in another
/// part of the whole set, whose networks may have been trained on it.
///
/// # Errors
/// If there are too few examples for four parts.
pub fn splits(loaded: Loaded, seed: u64) -> Result<Splits> {
    let (splits, expected) = match loaded {
        Loaded::Official { train: rest, test } => {
            let parts = divide(&rest.labels, &every(rest.len()), seed);
            (with_test(&rest, parts, test)?, "at least 1: more data")
        }
        Loaded::Whole(whole) => {
            let (test, parts) = divide_all(&whole.labels, seed);
            (with_test(&whole, parts, whole.select(&test)?)?, "at least 1: more data")
        }
        Loaded::Chosen { set, origin: Origin { labels, indices } } => {
            let (test, parts) = divide_all(&labels, seed);
            let chosen = |part: Vec<usize>| -> Vec<usize> {
                part.iter().filter_map(|index| indices.binary_search(index).ok()).collect()
            };
            let test = set.select(&chosen(test))?;
            let expected = "at least 1: more data, or a wider choice (data are divided before it is made)";
            (with_test(&set, parts.map(chosen), test)?, expected)
        }
    };
    check(&splits, expected)?;
    Ok(splits)
}

/// The test part of an undivided set, and the three others.
fn divide_all(labels: &[u32], seed: u64) -> (Vec<usize>, [Vec<usize>; 3]) {
    let (test, rest) = draw(labels, &every(labels.len()), labels.len() / TEST_SHARE, TEST_SEED);
    let parts = divide(labels, &rest, seed);
    (test, parts)
}

/// Training, validation and calibration parts of `rest`.
fn divide(labels: &[u32], rest: &[usize], seed: u64) -> [Vec<usize>; 3] {
    let wanted = |(most, share): (usize, usize)| most.min(rest.len() / share);
    let (calibration, others) = draw(labels, rest, wanted(CALIBRATION), seed);
    let (validation, train) = draw(labels, &others, wanted(VALIDATION), seed.wrapping_add(1));
    [train, validation, calibration]
}

fn with_test(set: &Dataset, parts: [Vec<usize>; 3], test: Dataset) -> Result<Splits> {
    let [train, validation, calibration] = parts;
    Ok(Splits {
        train: set.select(&train)?,
        validation: set.select(&validation)?,
        calibration: set.select(&calibration)?,
        test,
    })
}

fn check(splits: &Splits, expected: &str) -> Result<()> {
    let Splits { train, validation, calibration, test } = splits;
    let parts =
        [("training", train), ("validation", validation), ("calibration", calibration), ("test", test)];
    for (part, set) in parts {
        if set.is_empty() {
            let total: usize = parts.iter().map(|(_, set)| set.len()).sum();
            let what = format!("{}: examples for the {part} part", train.name);
            return Err(Error::invalid(what, format!("none of {total}"), expected));
        }
    }
    Ok(())
}

fn every(count: usize) -> Vec<usize> {
    (0..count).collect()
}

/// `wanted` of the `candidates`, each class in proportion, and the others; both in order.
fn draw(labels: &[u32], candidates: &[usize], wanted: usize, seed: u64) -> (Vec<usize>, Vec<usize>) {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let classes = labels.iter().max().map_or(0, |&greatest| greatest as usize + 1);
    let mut classes = vec![Vec::new(); classes];
    for &index in candidates {
        classes[labels[index] as usize].push(index);
    }
    let quotas = quotas(&classes.iter().map(Vec::len).collect::<Vec<_>>(), wanted);
    let (mut chosen, mut others) = (Vec::new(), Vec::new());
    for (mut members, quota) in classes.into_iter().zip(quotas) {
        shuffle(&mut members, &mut rng);
        others.extend(members.split_off(quota));
        chosen.extend(members);
    }
    chosen.sort_unstable();
    others.sort_unstable();
    (chosen, others)
}

/// Shares of `wanted` in proportion to `sizes`: rounded down, then one more for the largest
/// remainders (the smaller class first among equals), so that they sum to `wanted`.
fn quotas(sizes: &[usize], wanted: usize) -> Vec<usize> {
    let total: usize = sizes.iter().sum();
    if total == 0 {
        return vec![0; sizes.len()];
    }
    let wanted = wanted.min(total);
    let mut quotas: Vec<usize> = sizes.iter().map(|&size| size * wanted / total).collect();
    let missing = wanted - quotas.iter().sum::<usize>();
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|&class| (std::cmp::Reverse(sizes[class] * wanted % total), class));
    for &class in order.iter().take(missing) {
        quotas[class] += 1;
    }
    quotas
}

/// The indices 0 to `count - 1` in an order that the seed decides.
#[must_use]
pub fn shuffled(count: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    shuffle(&mut order, &mut Xoshiro256PlusPlus::seed_from_u64(seed));
    order
}

/// Fisher-Yates.
fn shuffle(values: &mut [usize], rng: &mut impl Rng) {
    for last in (1..values.len()).rev() {
        values.swap(last, below(rng, last + 1));
    }
}

/// A number below `bound`: the upper half of a 64 x 64-bit product; its bias is below `bound / 2^64`.
pub(crate) fn below(rng: &mut impl Rng, bound: usize) -> usize {
    ((u128::from(rng.next_u64()) * bound as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Inputs;
    use crate::graph::Shape;

    /// `sizes[c]` examples of class c, interleaved; the input of an example is its own index.
    fn set(sizes: &[usize]) -> Dataset {
        let longest = sizes.iter().copied().max().unwrap();
        let labels: Vec<u32> = (0..longest)
            .flat_map(|round| (0..sizes.len()).filter(move |&class| round < sizes[class]))
            .map(|class| class as u32)
            .collect();
        let inputs = Inputs::F32((0..labels.len()).map(|index| index as f32).collect());
        let class_names = (0..sizes.len()).map(|class| class.to_string()).collect();
        Dataset {
            name: "t".to_string(),
            shape: Shape::vector(1),
            inputs,
            labels,
            class_names,
            targets: Default::default(),
        }
    }

    fn ids(set: &Dataset) -> Vec<usize> {
        let Inputs::F32(values) = &set.inputs else { panic!("floats expected") };
        values.iter().map(|&value| value as usize).collect()
    }

    fn parts(splits: &Splits) -> [Vec<usize>; 4] {
        [&splits.train, &splits.validation, &splits.calibration, &splits.test].map(ids)
    }

    #[test]
    fn parts_are_disjoint_complete_and_of_the_documented_sizes() {
        let whole = set(&[700, 200, 100]);
        let splits = splits(Loaded::Whole(whole), 7).unwrap();
        let parts = parts(&splits);
        assert_eq!(parts.each_ref().map(Vec::len), [680, 40, 80, 200]);
        let mut all = parts.concat();
        all.sort_unstable();
        assert_eq!(all, (0..1000).collect::<Vec<_>>());
        for (part, expected) in [(&splits.test, [140, 40, 20]), (&splits.calibration, [56, 16, 8])] {
            let counts = [0, 1, 2].map(|class| part.labels.iter().filter(|&&label| label == class).count());
            assert_eq!(counts, expected);
        }
    }

    #[test]
    fn official_tests_stay_and_large_sets_are_capped() {
        let (train, test) = (set(&[30_000, 30_000]), set(&[5, 5]));
        let divided = splits(Loaded::Official { train, test: test.clone() }, 1).unwrap();
        assert_eq!(parts(&divided).each_ref().map(Vec::len), [54_000, 1000, 5000, 10]);
        assert_eq!(divided.test, test);
    }

    #[test]
    fn a_seed_decides_all_but_the_test_part() {
        let make = |seed| parts(&splits(Loaded::Whole(set(&[60, 60])), seed).unwrap());
        assert_eq!(make(3), make(3));
        let (one, other) = (make(3), make(4));
        assert_eq!(one[3], other[3]);
        assert!(one[2] != other[2] && one[1] != other[1]);
    }

    #[test]
    fn quotas_sum_up_and_differ_from_the_share_by_less_than_one() {
        for sizes in [&[1, 2, 3][..], &[0, 7, 0], &[5; 7], &[1000, 1, 1]] {
            let total: usize = sizes.iter().sum();
            for wanted in 0..=total {
                let quotas = quotas(sizes, wanted);
                assert_eq!(quotas.iter().sum::<usize>(), wanted);
                for (&size, &quota) in sizes.iter().zip(&quotas) {
                    assert!(quota <= size);
                    assert!((quota as f64 - (size * wanted) as f64 / total as f64).abs() < 1.0);
                }
            }
        }
    }

    #[test]
    fn too_little_data_is_an_error() {
        let few = splits(Loaded::Whole(set(&[4, 4])), 0).unwrap_err().to_string();
        assert!(few.contains("none of 8"), "{few}");
        let whole = set(&[40, 40]);
        let (chosen, origin) =
            (whole.select(&[0]).unwrap(), Origin { labels: whole.labels, indices: vec![0] });
        let one = splits(Loaded::Chosen { set: chosen, origin }, 0).unwrap_err().to_string();
        assert!(one.contains("none of 1") && one.contains("divided before it is made"), "{one}");
    }
}
