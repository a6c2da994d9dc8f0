//! scikit-learn's optical digits, embedded so that the demo needs no network.
//!
//! `digits.csv.gz` is `sklearn/datasets/data/digits.csv.gz` of scikit-learn (BSD-3-Clause, see
//! `digits.NOTICE`): 1,797 lines of 64 pixels from 0 to 16, row by row, and the class. Pixels become
//! bytes, `round(pixel * 255 / 16)`, so that they span 0 to 255 like every other image.

use super::named::Name;
use super::{Dataset, Inputs};
use crate::error::{Error, Result};
use crate::graph::Shape;
use flate2::read::GzDecoder;
use std::io::Read;
use std::path::Path;

static CSV_GZ: &[u8] = include_bytes!("digits.csv.gz");
const SHAPE: Shape = Shape::new(8, 8, 1);
/// Largest pixel in the file.
const LEVELS: u32 = 16;

/// The embedded digits.
///
/// # Errors
/// Only if the embedded file is damaged.
pub fn read() -> Result<Dataset> {
    let path = Path::new("digits.csv.gz (embedded)");
    let mut text = String::new();
    GzDecoder::new(CSV_GZ).read_to_string(&mut text).map_err(Error::io(path, "decompress"))?;
    parse(path, &text)
}

fn parse(path: &Path, text: &str) -> Result<Dataset> {
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for (number, line) in text.lines().enumerate() {
        let fields = parse_line(line).ok_or_else(|| {
            let expected = format!("{} pixels of 0 to {LEVELS} and a class", SHAPE.len());
            Error::malformed(path, format!("line {}", number + 1), line, expected)
        })?;
        let (label, values) = fields;
        pixels.extend(values);
        labels.push(label);
    }
    let class_names = Name::Digits.class_names();
    let name = Name::Digits.as_str().to_string();
    Dataset {
        name,
        shape: SHAPE,
        inputs: Inputs::U8(pixels),
        labels,
        class_names,
        targets: Default::default(),
    }
    .checked(path)
}

fn parse_line(line: &str) -> Option<(u32, Vec<u8>)> {
    let mut numbers: Vec<u32> = line.split(',').map(|field| field.parse().ok()).collect::<Option<_>>()?;
    let label = numbers.pop()?;
    if numbers.len() != SHAPE.len() || numbers.iter().any(|&pixel| pixel > LEVELS) {
        return None;
    }
    // (2 * 255 * p + 16) / 32 rounds half up in integers; at most 255 because p <= 16.
    Some((label, numbers.iter().map(|&pixel| ((510 * pixel + LEVELS) / (2 * LEVELS)) as u8).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts as printed by `numpy.bincount(sklearn.datasets.load_digits().target)`.
    const PER_CLASS: [usize; 10] = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180];

    #[test]
    fn the_embedded_file_is_the_known_one() {
        let digits = read().unwrap();
        assert_eq!((digits.len(), digits.shape), (1797, Shape::new(8, 8, 1)));
        let counts: Vec<usize> =
            (0..10).map(|class| digits.labels.iter().filter(|&&label| label == class).count()).collect();
        assert_eq!(counts, PER_CLASS);
        let Inputs::U8(pixels) = &digits.inputs else { panic!("bytes expected") };
        // First row of load_digits().images[0] is 0 0 5 13 9 1 0 0.
        assert_eq!(pixels[..8], [0, 0, 80, 207, 143, 16, 0, 0]);
        assert_eq!(pixels.iter().max(), Some(&255));
    }

    #[test]
    fn damaged_lines_are_named() {
        let good = format!("{}3\n", "1,".repeat(64));
        assert_eq!(parse(Path::new("d"), &good).unwrap().labels, [3]);
        let cases = ["1,2,3\n".to_string(), good.replace("1,1,1", "1,17,1"), good.replacen('1', "x", 1)];
        for bad in cases {
            let message = parse(Path::new("d"), &format!("{good}{bad}")).unwrap_err().to_string();
            assert!(message.contains("line 2"), "{message}");
        }
        let message = parse(Path::new("d"), &good.replace(",3\n", ",12\n")).unwrap_err().to_string();
        assert!(message.contains("label 0: found 12"), "{message}");
        assert!(parse(Path::new("d"), "").is_err());
    }
}
