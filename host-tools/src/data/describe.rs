//! What is in a data set, for `stf data info`.

use super::preprocess::moments;
use super::{Dataset, Scratch};
use crate::error::Result;
use crate::graph::Shape;
use serde::Serialize;

/// Figures of one part of a data set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Description {
    /// Name or path.
    pub name: String,
    /// Shape of one example.
    pub shape: Shape,
    /// `u8` or `f32`.
    pub element: &'static str,
    /// Number of examples.
    pub n: usize,
    /// Examples of each class.
    pub classes: Vec<ClassCount>,
    /// Smallest raw value.
    pub min: f32,
    /// Largest raw value.
    pub max: f32,
    /// Mean per channel, in raw units.
    pub mean: Vec<f64>,
    /// Standard deviation per channel, in raw units.
    pub std: Vec<f64>,
}

/// Examples of one class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClassCount {
    /// Name of the class.
    pub name: String,
    /// Its number of examples.
    pub n: usize,
}

/// Counts and moments of a data set.
///
/// # Errors
/// If an example cannot be read.
pub fn describe(set: &Dataset) -> Result<Description> {
    let mut counts = vec![0; set.class_names.len()];
    for &label in &set.labels {
        counts[label as usize] += 1;
    }
    let classes = set.class_names.iter().zip(counts).map(|(name, n)| ClassCount { name: name.clone(), n });
    let (mut min, mut max, mut scratch) = (f32::INFINITY, f32::NEG_INFINITY, Scratch::default());
    for index in 0..set.len() {
        set.raw(index, &mut scratch)?.each(|_, value| (min, max) = (min.min(value), max.max(value)));
    }
    let (mean, std) = moments(set)?;
    let (name, shape, n, element) = (set.name.clone(), set.shape, set.len(), set.element().name());
    Ok(Description { name, shape, element, n, classes: classes.collect(), min, max, mean, std })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Inputs;
    use crate::graph::Shape;

    #[test]
    fn figures_are_of_the_set() {
        let set = Dataset {
            name: "t".into(),
            shape: Shape::new(1, 1, 2),
            inputs: Inputs::U8(vec![1, 10, 3, 30]),
            labels: vec![1, 1],
            class_names: vec!["a".into(), "b".into()],
            targets: Default::default(),
        };
        let found = describe(&set).unwrap();
        assert_eq!((found.min, found.max, found.n), (1.0, 30.0, 2));
        assert_eq!((found.mean, found.std), (vec![2.0, 20.0], vec![1.0, 10.0]));
        assert_eq!(found.classes.iter().map(|class| class.n).collect::<Vec<_>>(), [0, 2]);
    }
}
