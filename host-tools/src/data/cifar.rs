//! CIFAR-10's binary version: records of one label byte and 3,072 pixels, channel after channel.
//!
//! Format: <https://www.cs.toronto.edu/~kriz/cifar.html>, "binary version". Any number of whole
//! records a file is accepted, so that subsets can be read.

use super::memory::reserve;
use super::named::Name;
use super::{Dataset, Inputs, Loaded};
use crate::error::{Error, Result};
use crate::graph::Shape;
use std::fs;
use std::path::{Path, PathBuf};

const SHAPE: Shape = Shape::new(32, 32, 3);
const PIXELS: usize = SHAPE.height * SHAPE.width;
/// Bytes of a record.
const RECORD: usize = 1 + SHAPE.len();
/// Folder inside the official archive.
const ARCHIVE_FOLDER: &str = "cifar-10-batches-bin";
const TEST_FILE: &str = "test_batch.bin";
const NAMES_FILE: &str = "batches.meta.txt";

/// Whether the folder has batches, by itself or in the official archive's folder.
#[must_use]
pub fn is_folder(folder: &Path) -> bool {
    let folder = inner(folder);
    folder.join(TEST_FILE).is_file() || train_files(&folder).is_ok_and(|files| !files.is_empty())
}

/// Reads `data_batch_*.bin` in order of name and `test_batch.bin`; with only one of the two it is a
/// whole set. Class names come from `batches.meta.txt` where there is one.
///
/// # Errors
/// If there is no batch, or a file is malformed.
pub fn read(name: &str, folder: &Path) -> Result<Loaded> {
    let folder = &inner(folder);
    let class_names = class_names(folder)?;
    let train_files = train_files(folder)?;
    let test_file = folder.join(TEST_FILE);
    let read = |files: &[PathBuf]| read_files(name, files, &class_names);
    match (train_files.is_empty(), test_file.is_file()) {
        (false, true) => Loaded::official(folder, read(&train_files)?, read(&[test_file])?),
        (false, false) => read(&train_files)?.checked(folder).map(Loaded::Whole),
        (true, true) => read(&[test_file])?.checked(folder).map(Loaded::Whole),
        (true, false) => {
            Err(Error::malformed(folder, "contents", "no batches", "data_batch_*.bin or test_batch.bin"))
        }
    }
}

fn inner(folder: &Path) -> PathBuf {
    let archive = folder.join(ARCHIVE_FOLDER);
    if archive.is_dir() { archive } else { folder.to_path_buf() }
}

fn train_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io(folder, "list"))? {
        let path = entry.map_err(Error::io(folder, "list"))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("data_batch_") && name.ends_with(".bin") && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn class_names(folder: &Path) -> Result<Vec<String>> {
    let path = folder.join(NAMES_FILE);
    if !path.is_file() {
        return Ok(Name::Cifar10.class_names());
    }
    let text = fs::read(&path).map_err(Error::io(&path, "read"))?;
    let text = String::from_utf8_lossy(&text);
    let names: Vec<String> =
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(String::from).collect();
    if names.is_empty() {
        return Err(Error::malformed(&path, "class names", "none", "one a line"));
    }
    Ok(names)
}

fn read_files(name: &str, files: &[PathBuf], class_names: &[String]) -> Result<Dataset> {
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for path in files {
        let bytes = fs::read(path).map_err(Error::io(path, "read"))?;
        if bytes.is_empty() || bytes.len() % RECORD != 0 {
            let expected = format!("a positive multiple of {RECORD} bytes (1 label and 32x32x3 pixels)");
            return Err(Error::malformed(path, "length", bytes.len(), expected));
        }
        reserve(path, &mut pixels, bytes.len())?;
        for (number, record) in bytes.chunks_exact(RECORD).enumerate() {
            if usize::from(record[0]) >= class_names.len() {
                let expected = format!("below {}, the number of classes", class_names.len());
                return Err(Error::malformed(path, format!("label {number}"), record[0], expected));
            }
            labels.push(u32::from(record[0]));
            push_interleaved(&mut pixels, &record[1..]);
        }
    }
    let name = name.to_string();
    Ok(Dataset {
        name,
        shape: SHAPE,
        inputs: Inputs::U8(pixels),
        labels,
        class_names: class_names.to_vec(),
        targets: Default::default(),
    })
}

/// Three planes (red, green, blue) become pixels of three channels.
fn push_interleaved(pixels: &mut Vec<u8>, planes: &[u8]) {
    let (red, rest) = planes.split_at(PIXELS);
    let (green, blue) = rest.split_at(PIXELS);
    for ((&red, &green), &blue) in red.iter().zip(green).zip(blue) {
        pixels.extend([red, green, blue]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::testing::write;

    /// A record whose pixel (row, column) of channel c is (row * 32 + column + 85 * c) mod 256.
    fn record(label: u8) -> Vec<u8> {
        let pixel = |index: usize| ((index % PIXELS) + 85 * (index / PIXELS)) as u8;
        std::iter::once(label).chain((0..SHAPE.len()).map(pixel)).collect()
    }

    #[test]
    fn planes_become_interleaved_pixels() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "data_batch_2.bin", &record(3));
        write(dir.path(), "data_batch_1.bin", &[record(9), record(0)].concat());
        write(dir.path(), "test_batch.bin", &record(1));
        assert!(is_folder(dir.path()));
        let Loaded::Official { train, test } = read("c", dir.path()).unwrap() else { panic!("two parts") };
        assert_eq!((train.labels.as_slice(), test.labels.as_slice()), (&[9, 0, 3][..], &[1][..]));
        assert_eq!(train.class_names[9], "truck");
        let Inputs::U8(pixels) = &train.inputs else { panic!("bytes expected") };
        for (row, column, channel) in [(0, 0, 0), (0, 1, 1), (7, 5, 2), (31, 31, 2)] {
            let expected = (row * 32 + column + 85 * channel) as u8;
            assert_eq!(pixels[SHAPE.len() + (row * 32 + column) * 3 + channel], expected);
        }
    }

    #[test]
    fn the_archive_folder_and_its_names_are_used() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "cifar-10-batches-bin/test_batch.bin", &record(1));
        write(dir.path(), "cifar-10-batches-bin/batches.meta.txt", b"plane\ncar\n\n");
        let Loaded::Whole(set) = read("c", dir.path()).unwrap() else { panic!("one part") };
        assert_eq!(set.class_names, ["plane", "car"]);
        write(dir.path(), "cifar-10-batches-bin/test_batch.bin", &[record(1), record(2)].concat());
        let message = read("c", dir.path()).unwrap_err().to_string();
        assert!(message.contains("label 1: found 2"), "{message}");
    }

    #[test]
    fn lengths_that_are_not_whole_records_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let whole = record(1);
        for cut in [0, 1, 2, 1024, RECORD - 1] {
            write(dir.path(), "test_batch.bin", &whole[..cut]);
            let message = read("c", dir.path()).unwrap_err().to_string();
            assert!(message.contains(&format!("length: found {cut}")), "{message}");
        }
        let empty = tempfile::tempdir().unwrap();
        assert!(!is_folder(empty.path()));
        assert!(read("c", empty.path()).unwrap_err().to_string().contains("no batches"));
    }
}
