//! IDX files, the format of MNIST: a big-endian header (magic, sizes), then bytes. Plain or `.gz`.
//!
//! Specification: <http://yann.lecun.com/exdb/mnist/>, "the IDX file format". Only unsigned bytes
//! are read (type code 8), in one dimension (labels), three (grey images) or four (channels last).

use super::{Dataset, Inputs, Loaded, classes_of, extension, numbered_classes};
use crate::error::{Error, Result};
use crate::graph::Shape;
use flate2::bufread::GzDecoder;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

const TRAIN: [&str; 2] = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"];
const TEST: [&str; 2] = ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];
/// Type code of unsigned bytes, the third byte of the magic number.
const UNSIGNED_BYTE: u8 = 8;
/// Largest file content, in bytes; a header that asks for more is taken for damage.
const MAX_BYTES: u64 = 1 << 33;

/// Whether the folder has files with the names of MNIST.
#[must_use]
pub fn is_folder(folder: &Path) -> bool {
    [TRAIN, TEST].concat().into_iter().any(|name| existing(folder, name).is_some())
}

/// Reads a folder with the four files of MNIST, each plain or `.gz`; a folder with only one of the
/// two pairs is a whole set. Without `class_names` classes are numbered.
///
/// # Errors
/// If a file of a pair is missing, or any is malformed.
pub fn read_folder(name: &str, folder: &Path, class_names: Option<Vec<String>>) -> Result<Loaded> {
    let has = |pair: [&str; 2]| pair.into_iter().any(|file| existing(folder, file).is_some());
    let read = |pair: [&str; 2]| read_named(name, folder, pair);
    let (mut sets, official) = match (has(TRAIN), has(TEST)) {
        (true, true) => (vec![read(TRAIN)?, read(TEST)?], true),
        (false, true) => (vec![read(TEST)?], false),
        _ => (vec![read(TRAIN)?], false),
    };
    let classes = sets.iter().map(|set| set.class_names.len()).max().unwrap_or(0);
    let class_names = class_names.unwrap_or_else(|| numbered_classes(classes));
    for set in &mut sets {
        set.class_names.clone_from(&class_names);
    }
    match (sets.pop(), sets.pop()) {
        (Some(test), Some(train)) if official => Loaded::official(folder, train, test),
        (Some(whole), _) => whole.checked(folder).map(Loaded::Whole),
        (None, _) => Err(Error::malformed(folder, "IDX files", "none", TRAIN[0])),
    }
}

/// Reads one pair of files, images and labels; classes are numbered.
///
/// # Errors
/// If a file is missing or malformed, or the counts differ.
pub fn read_pair(name: &str, images: &Path, labels: &Path) -> Result<Dataset> {
    let (image_sizes, pixels) = read_file(images)?;
    let shape = match image_sizes[..] {
        [_, height, width] => Shape::new(height, width, 1),
        [_, height, width, channels] => Shape::new(height, width, channels),
        _ => return Err(Error::malformed(images, "dimensions", image_sizes.len(), "3 or 4, of images")),
    };
    let (label_sizes, label_bytes) = read_file(labels)?;
    if label_sizes.len() != 1 {
        return Err(Error::malformed(labels, "dimensions", label_sizes.len(), "1, of labels"));
    }
    if label_sizes[0] != image_sizes[0] {
        let expected = format!("{}, as many as images in {}", image_sizes[0], images.display());
        return Err(Error::malformed(labels, "number of labels", label_sizes[0], expected));
    }
    let labels_u32: Vec<u32> = label_bytes.into_iter().map(u32::from).collect();
    let class_names = numbered_classes(classes_of(labels, &labels_u32)?);
    let set = Dataset {
        name: name.to_string(),
        shape,
        inputs: Inputs::U8(pixels),
        labels: labels_u32,
        class_names,
        targets: Default::default(),
    };
    set.checked(images)
}

fn read_named(name: &str, folder: &Path, pair: [&str; 2]) -> Result<Dataset> {
    let find = |file: &str| {
        existing(folder, file).ok_or_else(|| {
            Error::malformed(folder, "contents", format!("no {file}"), format!("{file} or {file}.gz"))
        })
    };
    read_pair(name, &find(pair[0])?, &find(pair[1])?)
}

fn existing(folder: &Path, file: &str) -> Option<PathBuf> {
    [folder.join(file), folder.join(format!("{file}.gz"))].into_iter().find(|path| path.is_file())
}

/// Sizes of the dimensions, and the content.
fn read_file(path: &Path) -> Result<(Vec<usize>, Vec<u8>)> {
    let file = File::open(path).map_err(Error::io(path, "open"))?;
    let reader = BufReader::new(file);
    if extension(path).as_deref() == Some("gz") {
        parse(path, GzDecoder::new(reader))
    } else {
        parse(path, reader)
    }
}

fn parse(path: &Path, mut reader: impl Read) -> Result<(Vec<usize>, Vec<u8>)> {
    let mut magic = [0; 4];
    read_header(path, &mut reader, &mut magic, "magic number")?;
    let dimensions = magic[3];
    if magic[..3] != [0, 0, UNSIGNED_BYTE] || !(1..=4).contains(&dimensions) {
        let found = format!("{:#010x}", u32::from_be_bytes(magic));
        return Err(Error::malformed(
            path,
            "magic number",
            found,
            "0x00000801 (labels) or 0x00000803 (images)",
        ));
    }
    let mut sizes = Vec::new();
    for dimension in 0..dimensions {
        let mut size = [0; 4];
        read_header(path, &mut reader, &mut size, &format!("size of dimension {dimension}"))?;
        sizes.push(u32::from_be_bytes(size));
    }
    let total = sizes.iter().try_fold(1_u64, |total, &size| total.checked_mul(u64::from(size)));
    let Some(total) = total.filter(|&total| total <= MAX_BYTES) else {
        let found = sizes.iter().map(u32::to_string).collect::<Vec<_>>().join("x");
        return Err(Error::malformed(path, "sizes", found, format!("at most {MAX_BYTES} bytes in all")));
    };
    // One byte more than announced: memory grows with what is there, and surplus shows.
    let mut content = Vec::new();
    reader.take(total + 1).read_to_end(&mut content).map_err(Error::io(path, "read"))?;
    if content.len() as u64 != total {
        let found = if content.len() as u64 > total { "more".to_string() } else { content.len().to_string() };
        return Err(Error::malformed(path, "bytes after the header", found, total));
    }
    Ok((sizes.into_iter().map(|size| size as usize).collect(), content))
}

fn read_header(path: &Path, reader: &mut impl Read, bytes: &mut [u8; 4], field: &str) -> Result<()> {
    reader.read_exact(bytes).map_err(|source| match source.kind() {
        std::io::ErrorKind::UnexpectedEof => Error::malformed(path, field, "the end of the file", "4 bytes"),
        _ => Error::io(path, "read")(source),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::testing::{gzip, idx_bytes, write};

    fn pair(images: &[u8], labels: &[u8]) -> Result<Dataset> {
        let dir = tempfile::tempdir().unwrap();
        read_pair("t", &write(dir.path(), "i", images), &write(dir.path(), "l", labels))
    }

    #[test]
    fn a_pair_keeps_order_and_values() {
        let set = pair(&idx_bytes(&[2, 1, 3], &[1, 2, 3, 4, 5, 6]), &idx_bytes(&[2], &[1, 0])).unwrap();
        assert_eq!(set.shape, Shape::new(1, 3, 1));
        assert_eq!(set.inputs, Inputs::U8(vec![1, 2, 3, 4, 5, 6]));
        assert_eq!((set.labels, set.class_names), (vec![1, 0], vec!["0".to_string(), "1".to_string()]));
    }

    #[test]
    fn every_truncation_and_any_surplus_is_an_error() {
        let (images, labels) = (idx_bytes(&[2, 1, 3], &[1, 2, 3, 4, 5, 6]), idx_bytes(&[2], &[1, 0]));
        for cut in 0..images.len() {
            assert!(matches!(pair(&images[..cut], &labels), Err(Error::Malformed { .. })), "{cut}");
        }
        for cut in 0..labels.len() {
            assert!(matches!(pair(&images, &labels[..cut]), Err(Error::Malformed { .. })), "{cut}");
        }
        assert!(pair(&[&images[..], &[0]].concat(), &labels).is_err());
    }

    #[test]
    fn truncated_gzip_is_an_error_at_every_byte() {
        let dir = tempfile::tempdir().unwrap();
        let labels = write(dir.path(), "l", &idx_bytes(&[2], &[1, 0]));
        let whole = gzip(&idx_bytes(&[2, 1, 3], &[1, 2, 3, 4, 5, 6]));
        assert!(read_pair("t", &write(dir.path(), "i.gz", &whole), &labels).is_ok());
        for cut in 0..whole.len() {
            assert!(read_pair("t", &write(dir.path(), "i.gz", &whole[..cut]), &labels).is_err(), "{cut}");
        }
    }

    #[test]
    fn wrong_headers_name_the_field() {
        let labels = idx_bytes(&[2], &[1, 0]);
        let mut float = idx_bytes(&[2, 1, 1], &[1, 2]);
        float[2] = 0x0d;
        let huge = [&[0, 0, 8, 3][..], &[0xff; 12]].concat();
        let cases: [(&[u8], &[u8], &str); 6] = [
            (&float, &labels, "magic number"),
            (&huge, &labels, "sizes"),
            (&labels, &labels, "dimensions"),
            (&idx_bytes(&[2, 1, 1], &[1, 2]), &idx_bytes(&[2, 1, 1], &[1, 2]), "dimensions"),
            (&idx_bytes(&[3, 1, 1], &[1, 2, 3]), &labels, "number of labels"),
            (&idx_bytes(&[0, 1, 1], &[]), &idx_bytes(&[0], &[]), "data set"),
        ];
        for (images, labels, field) in cases {
            let message = pair(images, labels).unwrap_err().to_string();
            assert!(message.contains(field), "{message}");
        }
    }

    #[test]
    fn a_large_claim_over_a_small_file_costs_no_memory() {
        // 4 GiB announced, 3 bytes there: fails at once because the content is read, not reserved.
        let images = [&[0, 0, 8, 3, 0, 0, 0x10, 0][..], &[0, 0, 4, 0, 0, 0, 4, 0], &[1, 2, 3]].concat();
        let message = pair(&images, &idx_bytes(&[1], &[0])).unwrap_err().to_string();
        assert!(message.contains("found 3"), "{message}");
    }

    #[test]
    fn folders_hold_both_parts_and_say_what_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "train-images-idx3-ubyte.gz", &gzip(&idx_bytes(&[2, 1, 1], &[1, 2])));
        let message = read_folder("t", dir.path(), None).unwrap_err().to_string();
        assert!(message.contains("no train-labels-idx1-ubyte"), "{message}");
        write(dir.path(), "train-labels-idx1-ubyte", &idx_bytes(&[2], &[0, 2]));
        assert!(matches!(read_folder("t", dir.path(), None), Ok(Loaded::Whole(set)) if set.len() == 2));
        write(dir.path(), "t10k-images-idx3-ubyte", &idx_bytes(&[1, 1, 1], &[9]));
        write(dir.path(), "t10k-labels-idx1-ubyte", &idx_bytes(&[1], &[1]));
        let Loaded::Official { train, test } = read_folder("t", dir.path(), None).unwrap() else {
            panic!("both parts expected")
        };
        assert_eq!((train.len(), test.len(), test.class_names.len()), (2, 1, 3));
        let names = Some(vec!["a".to_string(), "b".to_string()]);
        let message = read_folder("t", dir.path(), names).unwrap_err().to_string();
        assert!(message.contains("label 1: found 2"), "{message}");
        write(dir.path(), "t10k-images-idx3-ubyte", &idx_bytes(&[1, 1, 2], &[9, 9]));
        let message = read_folder("t", dir.path(), None).unwrap_err().to_string();
        assert!(message.contains("1x2x1") && message.contains("1x1x1"), "{message}");
    }
}
