//! What is written comes back; what is damaged is named.

use super::*;
use crate::data::{self, Element, RawExample, Scratch, shard};
use crate::graph::Shape;
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

const RECORD: usize = 6 + 4;

/// 7 examples 1x3x2 in files of two records: values count up, labels are 0 and 1 by turns.
fn written(folder: &Path) -> Vec<PathBuf> {
    let mut writer =
        Writer::create(folder, "t", Shape::new(1, 3, 2), Element::U8, 2 * RECORD as u64).unwrap();
    for index in 0..7u8 {
        let values: Vec<u8> = (0..6).map(|i| 10 * index + i).collect();
        writer.push("whole", RawExample::U8(&values), u32::from(index % 2)).unwrap();
    }
    let summary = writer.finish(vec!["a".into(), "b".into()]).unwrap();
    assert_eq!((summary.shards, summary.parts["whole"]), (4, 7));
    let files: Vec<PathBuf> = (0..4).map(|n| folder.join(format!("whole-{n:05}.stfshard"))).collect();
    assert_eq!(summary.bytes, files.iter().map(|f| fs::metadata(f).unwrap().len()).sum::<u64>());
    files
}

fn whole(folder: &Path) -> Dataset {
    let Loaded::Whole(set) = open(folder).unwrap() else { panic!("one part") };
    set
}

/// The first error of opening a set and reading all of it.
fn error(folder: &Path) -> String {
    let read_all = || {
        let set = open(folder)?.into_evaluation();
        (0..set.len()).try_for_each(|index| set.raw(index, &mut Scratch::default()).map(|_| ()))
    };
    read_all().unwrap_err().to_string()
}

#[test]
fn examples_come_back_from_several_files() {
    let dir = TempDir::new().unwrap();
    written(dir.path());
    let set = whole(dir.path());
    assert_eq!((set.len(), set.element(), set.name.as_str()), (7, Element::U8, "t"));
    assert_eq!(set.labels, [0, 1, 0, 1, 0, 1, 0]);
    let mut scratch = Scratch::default();
    let some = set.select(&[6, 1, 3]).unwrap();
    for (index, first) in [(0, 60), (1, 10), (2, 30)] {
        let values: Vec<u8> = (first..first + 6).collect();
        assert_eq!(some.raw(index, &mut scratch).unwrap(), RawExample::U8(&values));
    }
    let again = some.select(&[2]).unwrap();
    assert_eq!(again.raw(0, &mut scratch).unwrap(), RawExample::U8(&[30, 31, 32, 33, 34, 35]));
    let memory = set.clone().select(&[0, 2]).unwrap().into_memory().unwrap();
    assert_eq!(memory, Inputs::U8(vec![0, 1, 2, 3, 4, 5, 20, 21, 22, 23, 24, 25]));
    assert!(again.raw(1, &mut scratch).is_err() && some.select(&[3]).is_err());
}

#[test]
fn floats_and_official_parts_come_back() {
    let dir = TempDir::new().unwrap();
    let mut writer = Writer::create(dir.path(), "t", Shape::vector(2), Element::F32, 1 << 20).unwrap();
    for (part, value) in [("train", 1.5), ("test", -2.5), ("train", f32::MIN_POSITIVE)] {
        writer.push(part, RawExample::F32(&[value, 0.0]), 0).unwrap();
    }
    let odd = writer.push("train", RawExample::F32(&[f32::NAN, 0.0]), 0).unwrap_err().to_string();
    assert!(odd.contains("finite"), "{odd}");
    assert!(writer.push("train", RawExample::F32(&[0.0]), 0).is_err());
    assert!(writer.push("train", RawExample::U8(&[0, 0]), 0).is_err());
    writer.finish(vec!["a".into()]).unwrap();
    let Loaded::Official { train, test } = open(dir.path()).unwrap() else { panic!("two parts") };
    let mut scratch = Scratch::default();
    assert_eq!(train.raw(1, &mut scratch).unwrap(), RawExample::F32(&[f32::MIN_POSITIVE, 0.0]));
    assert_eq!(test.raw(0, &mut scratch).unwrap(), RawExample::F32(&[-2.5, 0.0]));
}

#[test]
fn every_changed_byte_is_found() {
    let dir = TempDir::new().unwrap();
    let files = written(dir.path());
    let intact = fs::read(&files[1]).unwrap();
    for at in 0..intact.len() {
        let mut bytes = intact.clone();
        bytes[at] ^= 0x10;
        fs::write(&files[1], &bytes).unwrap();
        let message = error(dir.path());
        let field = match at {
            0..8 => "magic",
            8..12 => "version",
            12..64 => "checksum of the header",
            64..74 => "checksum of record 0",
            74..84 => "checksum of record 1",
            _ => "checksum of the labels",
        };
        assert!(message.contains("whole-00001.stfshard") && message.contains(field), "{at}: {message}");
    }
}

#[test]
fn cut_missing_and_foreign_files_are_found() {
    let dir = TempDir::new().unwrap();
    let files = written(dir.path());
    let intact = fs::read(&files[1]).unwrap();
    for length in [0, 63, 64, intact.len() - 1] {
        fs::write(&files[1], &intact[..length]).unwrap();
        assert!(error(dir.path()).contains("whole-00001.stfshard"));
    }
    // Cut after it was opened, as a map could not survive.
    fs::write(&files[1], &intact).unwrap();
    let set = whole(dir.path());
    fs::write(&files[1], &intact[..70]).unwrap();
    let message = set.raw(2, &mut Scratch::default()).unwrap_err().to_string();
    assert!(message.contains("cannot read a record of"), "{message}");
    // The last file has one record instead of two.
    fs::copy(&files[3], &files[1]).unwrap();
    assert!(error(dir.path()).contains("records: found 1, expected 2, as shards.json says"));
    fs::remove_file(&files[1]).unwrap();
    assert!(error(dir.path()).contains("whole-00001.stfshard: cannot open"));
}

#[test]
fn an_index_that_cannot_be_is_named() {
    let dir = TempDir::new().unwrap();
    written(dir.path());
    let path = dir.path().join(index::FILE);
    let intact = fs::read_to_string(&path).unwrap();
    for (from, to, expected) in [
        ("\"version\": 1", "\"version\": 2", "version: found 2, expected 1"),
        ("\"height\": 1", "\"height\": 0", "shape: found 0x3x2"),
        ("\"height\": 1", "\"height\": 2", "shape: found 1x3x2, expected 2x3x2"),
        ("\"height\": 1", "\"height\": 18446744073709551615", "shape"),
        ("\"u8\"", "\"f32\"", "element: found u8, expected f32"),
        ("\"whole\"", "\"train\"", "parts: found train, expected whole, or train and test"),
        ("whole-00000", "../whole-00000", "a name without a folder"),
        ("\"b\"", "\"c\", \"d\"", ""),
        ("\"a\",", "", "label 1: found 1, expected below 1"),
        ("{", "[", "contents"),
    ] {
        let text = intact.replacen(from, to, 1);
        assert_ne!(text, intact, "{from}");
        fs::write(&path, text).unwrap();
        match expected {
            "" => assert_eq!(whole(dir.path()).class_names, ["a", "c", "d"]),
            expected => assert!(error(dir.path()).contains(expected), "{}", error(dir.path())),
        }
    }
}

#[test]
fn an_unfinished_set_is_none_and_a_used_folder_is_refused() {
    let dir = TempDir::new().unwrap();
    let mut writer = Writer::create(dir.path(), "t", Shape::vector(1), Element::U8, 1).unwrap();
    writer.push("whole", RawExample::U8(&[1]), 0).unwrap();
    assert!(!is_folder(dir.path()));
    drop(writer);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    fs::write(dir.path().join("mine"), "").unwrap();
    let message = Writer::create(dir.path(), "t", Shape::vector(1), Element::U8, 1).unwrap_err().to_string();
    assert!(message.contains("an empty folder"), "{message}");
}

/// What stopped at its second source can be tried again.
#[test]
fn a_source_that_fails_leaves_no_files() {
    let dir = TempDir::new().unwrap();
    let out = dir.path().join("s");
    let other = dir.path().join("other.npz");
    for _ in 0..2 {
        let specs = ["digits".to_string(), other.to_str().unwrap().to_string()];
        let message = shard(&specs, None, &out, 20_000).unwrap_err().to_string();
        assert!(message.contains("other.npz") && !out.exists(), "{message}");
    }
    fs::create_dir(&out).unwrap();
    assert!(shard(&["digits".into(), "nothing.npz".into()], None, &out, 20_000).is_err());
    assert!(shard(&["digits".into()], None, &out, 20_000).is_ok());
}

/// Splits, normalisation and batches of the shards are those of the source, to the bit.
#[test]
fn shards_of_a_known_set_are_that_set() {
    let dir = TempDir::new().unwrap();
    let summary = shard(&["digits".into()], None, &dir.path().join("s"), 20_000).unwrap();
    assert!(summary.shards > 3 && summary.parts["whole"] == 1797);
    let load = |spec: &str| data::splits(data::load(spec, None).unwrap(), 3).unwrap();
    let (memory, disk) = (load("digits"), load(dir.path().join("s").to_str().unwrap()));
    let parts = |splits: data::Splits| [splits.train, splits.validation, splits.calibration, splits.test];
    for (memory, disk) in parts(memory).into_iter().zip(parts(disk)) {
        assert!(matches!(disk.inputs, Inputs::Sharded(_)));
        assert_eq!((&memory.labels, &memory.class_names), (&disk.labels, &disk.class_names));
        let fitted = data::Preprocessing::fit(&memory).unwrap();
        assert_eq!(fitted, data::Preprocessing::fit(&disk).unwrap());
        let mut indices: Vec<usize> = (0..memory.len()).collect();
        indices.reverse();
        let (mut a, mut b) = (Vec::new(), Vec::new());
        fitted.apply(&memory, &indices, &mut a).unwrap();
        fitted.apply(&disk, &indices, &mut b).unwrap();
        assert_eq!(a, b);
        assert_eq!(data::describe(&memory).unwrap(), data::describe(&disk).unwrap());
    }
}

#[test]
fn several_sources_become_one_set() {
    let dir = TempDir::new().unwrap();
    for (class, values) in [("a", [1, 2]), ("b", [3, 4])] {
        fs::create_dir_all(dir.path().join("images").join(class)).unwrap();
        let path = dir.path().join("images").join(class).join("1.png");
        image::save_buffer(path, &values, 2, 1, image::ExtendedColorType::L8).unwrap();
    }
    let spec = dir.path().join("images").display().to_string();
    let out = dir.path().join("s");
    shard(&[spec.clone(), spec.clone()], None, &out, 1 << 20).unwrap();
    let set = whole(&out);
    assert_eq!((set.labels.as_slice(), set.shape), (&[0, 1, 0, 1][..], Shape::new(1, 2, 1)));
    assert_eq!(set.raw(3, &mut Scratch::default()).unwrap(), RawExample::U8(&[3, 4]));
    // Shards of shards, and a source that does not fit.
    let again = out.display().to_string();
    shard(std::slice::from_ref(&again), None, &dir.path().join("again"), 1).unwrap();
    assert_eq!(whole(&dir.path().join("again")).len(), 4);
    let message = shard(&[spec, "digits".into()], None, &dir.path().join("bad"), 1).unwrap_err().to_string();
    assert!(message.contains("classes of digits"), "{message}");
    assert!(!is_folder(&dir.path().join("bad")));
}
