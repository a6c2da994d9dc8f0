//! NumPy archives: `.npz` with inputs and labels, or a pair of `.npy` files.
//!
//! Arrays are found by name: `x_train, y_train, x_test, y_test`; or `x, y`; or `images, labels`.
//! Inputs are `[n, height, width]`, `[n, height, width, channels]` (for an imported network with channels first,
//! `[n, channels, height, width]`) or `[n, features]`; labels are
//! integers `[n]` or `[n, 1]`; for a regression, the second array holds numbers `[n]` or `[n, targets]`.
//! Bytes stay bytes; every other type becomes f32.

use super::npy::{Array, Kind};
use super::{
    Content, Dataset, Inputs, Loaded, MAX_CLASSES, Targets, classes_of, numbered_classes, unnamed_target,
};
use crate::error::{Error, Result};
use crate::graph::Shape;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

type Archive = zip::ZipArchive<BufReader<File>>;

/// Reads an archive.
///
/// # Errors
/// If it is no archive, arrays are missing or malformed, counts differ, or a value is not finite.
pub fn read(name: &str, path: &Path, content: Content) -> Result<Loaded> {
    let file = File::open(path).map_err(Error::io(path, "open"))?;
    let mut archive =
        Archive::new(BufReader::new(file)).map_err(|error| zip_error(path, "archive", &error))?;
    let has = |name: &str| archive.index_for_name(&format!("{name}.npy")).is_some();
    let whole = [["x", "y"], ["images", "labels"]].into_iter().find(|pair| pair.iter().all(|name| has(name)));
    if ["x_train", "y_train", "x_test", "y_test"].into_iter().all(has) {
        let mut train = read_arrays(name, path, &mut archive, ["x_train", "y_train"], content)?;
        let mut test = read_arrays(name, path, &mut archive, ["x_test", "y_test"], content)?;
        let classes = train.class_names.len().max(test.class_names.len());
        train.class_names = numbered_classes(classes);
        test.class_names = numbered_classes(classes);
        return Loaded::official(path, train, test);
    }
    let Some(arrays) = whole else {
        let names: Vec<String> = archive.file_names().flatten().map(|name| name.into_owned()).collect();
        let expected = "x.npy and y.npy, images and labels, or x_train, y_train, x_test and y_test";
        return Err(Error::malformed(path, "arrays", names.join(", "), expected));
    };
    read_arrays(name, path, &mut archive, arrays, content)?.checked(path).map(Loaded::Whole)
}

/// Reads inputs and labels from two `.npy` files.
///
/// # Errors
/// As [`read`].
pub fn read_pair(name: &str, inputs: &Path, labels: &Path, content: Content) -> Result<Loaded> {
    let open = |path: &Path| File::open(path).map(BufReader::new).map_err(Error::io(path, "open"));
    let inputs_array = Array::read(inputs, "", open(inputs)?)?;
    let labels_array = Array::read(labels, "", open(labels)?)?;
    let (shape, inputs_values) = to_inputs(inputs, "", inputs_array)?;
    let answers = answers(labels, "", &labels_array, content)?;
    let set = assemble(name, labels, shape, inputs_values, answers)?;
    set.checked(inputs).map(Loaded::Whole)
}

/// Reads inputs alone: number of examples, shape of one, values.
///
/// # Errors
/// If the file cannot be read or is malformed.
pub(super) fn read_unlabelled(path: &Path) -> Result<(usize, Shape, Inputs)> {
    let file = File::open(path).map_err(Error::io(path, "open"))?;
    let ((count, shape), inputs) = to_inputs(path, "", Array::read(path, "", BufReader::new(file))?)?;
    Ok((count, shape, inputs))
}

fn read_arrays(
    name: &str,
    path: &Path,
    archive: &mut Archive,
    [inputs, labels]: [&str; 2],
    content: Content,
) -> Result<Dataset> {
    let (shape, input_values) = to_inputs(path, inputs, read_array(path, archive, inputs)?)?;
    let answers = answers(path, labels, &read_array(path, archive, labels)?, content)?;
    assemble(name, path, shape, input_values, answers)
}

/// What the second array says.
enum Answers {
    Labels(Vec<u32>),
    Targets(Targets),
}

fn answers(path: &Path, name: &str, array: &Array, content: Content) -> Result<Answers> {
    match content {
        Content::Classes => to_labels(path, name, array).map(Answers::Labels),
        Content::Targets => to_targets(path, name, array).map(Answers::Targets),
    }
}

fn read_array(path: &Path, archive: &mut Archive, name: &str) -> Result<Array> {
    let entry = archive.by_name(&format!("{name}.npy")).map_err(|error| zip_error(path, name, &error))?;
    Array::read(path, &format!("{name} "), entry)
}

fn zip_error(path: &Path, field: &str, error: &zip::result::ZipError) -> Error {
    Error::malformed(path, field, error, "a NumPy archive (.npz)")
}

fn assemble(
    name: &str,
    path: &Path,
    (count, shape): (usize, Shape),
    inputs: Inputs,
    answers: Answers,
) -> Result<Dataset> {
    let (found, what) = match &answers {
        Answers::Labels(labels) => (labels.len(), "number of labels"),
        Answers::Targets(targets) => (targets.values.len() / targets.len().max(1), "number of targets"),
    };
    if found != count {
        return Err(Error::malformed(path, what, found, format!("{count}, one per input")));
    }
    let (labels, class_names, targets) = match answers {
        Answers::Labels(labels) => {
            let class_names = numbered_classes(classes_of(path, &labels)?);
            (labels, class_names, Targets::default())
        }
        Answers::Targets(targets) => (vec![0; count], vec!["all".to_string()], targets),
    };
    Ok(Dataset { name: name.to_string(), shape, inputs, labels, class_names, targets })
}

/// Numbers `[n]` or `[n, targets]`; targets have no names here but their numbers.
fn to_targets(path: &Path, name: &str, array: &Array) -> Result<Targets> {
    let count = match array.shape[..] {
        [_] => 1,
        [_, count] if count > 0 => count,
        _ => {
            let field = format!("{name} shape").trim_start().to_string();
            return Err(Error::malformed(path, field, format!("{:?}", array.shape), "[n] or [n, targets]"));
        }
    };
    let names = (0..count).map(unnamed_target).collect();
    Ok(Targets { names, values: array.to_f32(path)? })
}

/// Number of examples, shape of one, and the values.
fn to_inputs(path: &Path, name: &str, array: Array) -> Result<((usize, Shape), Inputs)> {
    let field = format!("{name} shape").trim_start().to_string();
    let (count, shape) = match array.shape[..] {
        [n, features] => (n, Shape::vector(features)),
        [n, height, width] => (n, Shape::new(height, width, 1)),
        [n, height, width, channels] => (n, Shape::new(height, width, channels)),
        _ => {
            let expected = "[n, height, width], [n, height, width, channels] or [n, features]";
            return Err(Error::malformed(path, field, format!("{:?}", array.shape), expected));
        }
    };
    let inputs = match array.kind {
        Kind::U8 => Inputs::U8(array.bytes),
        _ => Inputs::F32(array.to_f32(path)?),
    };
    Ok(((count, shape), inputs))
}

fn to_labels(path: &Path, name: &str, array: &Array) -> Result<Vec<u32>> {
    if !matches!(array.shape[..], [_] | [_, 1]) {
        let field = format!("{name} shape").trim_start().to_string();
        return Err(Error::malformed(path, field, format!("{:?}", array.shape), "[n] or [n, 1]"));
    }
    let values = array.integers().ok_or_else(|| {
        let field = format!("{name} element type").trim_start().to_string();
        Error::malformed(
            path,
            field,
            format!("{:?}", array.kind),
            "integers (real targets: `stf train --task regression`)",
        )
    })?;
    let to_label = |(index, value): (usize, i128)| {
        u32::try_from(value).ok().filter(|&label| (label as usize) < MAX_CLASSES).ok_or_else(|| {
            Error::malformed(path, format!("label {index}"), value, format!("0 to {}", MAX_CLASSES - 1))
        })
    };
    values.enumerate().map(to_label).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::testing::{f32_bytes, i64_bytes, npy_bytes, write};
    use std::io::Write;
    use std::path::PathBuf;
    use zip::write::SimpleFileOptions;

    fn archive(folder: &Path, arrays: &[(&str, Vec<u8>)]) -> PathBuf {
        let path = folder.join("a.npz");
        let mut zip = zip::ZipWriter::new(File::create(&path).unwrap());
        for (name, bytes) in arrays {
            zip.start_file(format!("{name}.npy"), SimpleFileOptions::default()).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap();
        path
    }

    fn load(arrays: &[(&str, Vec<u8>)]) -> Result<Loaded> {
        let dir = tempfile::tempdir().unwrap();
        read("a", &archive(dir.path(), arrays), Content::Classes)
    }

    fn labels(values: &[i64]) -> Vec<u8> {
        npy_bytes("<i8", false, &format!("({},)", values.len()), &i64_bytes(values))
    }

    #[test]
    fn whole_and_divided_archives() {
        let images = npy_bytes("|u1", false, "(2, 1, 2)", &[1, 2, 3, 4]);
        for names in [["x", "y"], ["images", "labels"]] {
            let set =
                load(&[(names[0], images.clone()), (names[1], labels(&[1, 0]))]).unwrap().into_evaluation();
            assert_eq!((set.shape, set.labels), (Shape::new(1, 2, 1), vec![1, 0]));
            assert_eq!(set.inputs, Inputs::U8(vec![1, 2, 3, 4]));
        }
        let test = npy_bytes("<f8", false, "(1, 1, 2)", &[1.5_f64, -2.0].map(f64::to_le_bytes).concat());
        let arrays =
            [("x_train", images), ("y_train", labels(&[1, 2])), ("x_test", test), ("y_test", labels(&[0]))];
        let Loaded::Official { train, test } = load(&arrays).unwrap() else { panic!("two parts") };
        assert_eq!((train.class_names.len(), test.class_names.len()), (3, 3));
        assert_eq!(test.inputs, Inputs::F32(vec![1.5, -2.0]));
    }

    #[test]
    fn values_that_are_not_finite_are_named() {
        for bad in [f32::NAN, f32::INFINITY] {
            let x = npy_bytes("<f4", false, "(2, 2)", &f32_bytes(&[0.0, 1.0, 2.0, bad]));
            let message = load(&[("x", x), ("y", labels(&[0, 1]))]).unwrap_err().to_string();
            assert!(message.contains("example 1, value 1"), "{message}");
        }
        // Too large for f32.
        let x = npy_bytes("<f8", false, "(1, 1)", &1e300_f64.to_le_bytes());
        assert!(
            load(&[("x", x), ("y", labels(&[0]))]).unwrap_err().to_string().contains("example 0, value 0")
        );
    }

    #[test]
    fn wrong_arrays_are_named() {
        let x = || npy_bytes("|u1", false, "(2, 2)", &[1, 2, 3, 4]);
        let float = npy_bytes("<f4", false, "(2,)", &f32_bytes(&[0.0, 1.0]));
        let cases = [
            (vec![("x", x())], "arrays: found x.npy"),
            (vec![("x", x()), ("y", labels(&[0]))], "number of labels: found 1"),
            (vec![("x", x()), ("y", labels(&[0, -1]))], "label 1: found -1"),
            (vec![("x", x()), ("y", labels(&[0, 70_000]))], "label 1: found 70000"),
            (vec![("x", x()), ("y", float)], "y element type"),
            (vec![("x", x()), ("y", x())], "y shape"),
            (vec![("x", labels(&[1])), ("y", labels(&[0]))], "x shape"),
        ];
        for (arrays, field) in cases {
            let message = load(&arrays).unwrap_err().to_string();
            assert!(message.contains(field), "{message}");
        }
    }

    #[test]
    fn truncated_archives_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let arrays = [("x", npy_bytes("|u1", false, "(2, 2)", &[1, 2, 3, 4])), ("y", labels(&[0, 1]))];
        let path = archive(dir.path(), &arrays);
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            assert!(read("a", &path, Content::Classes).is_err(), "{cut}");
        }
    }

    #[test]
    fn pairs_of_npy_files() {
        let dir = tempfile::tempdir().unwrap();
        let x =
            write(dir.path(), "x.npy", &npy_bytes("<f4", true, "(2, 2)", &f32_bytes(&[1.0, 3.0, 2.0, 4.0])));
        let y = write(dir.path(), "y.npy", &npy_bytes("<i4", false, "(2, 1)", &[1, 0, 0, 0, 0, 0, 0, 0]));
        let set = read_pair("p", &x, &y, Content::Classes).unwrap().into_evaluation();
        assert_eq!(set.inputs, Inputs::F32(vec![1.0, 2.0, 3.0, 4.0]));
        assert_eq!((set.shape, set.labels), (Shape::vector(2), vec![1, 0]));
        let none = read_pair("p", &dir.path().join("none.npy"), &y, Content::Classes);
        assert!(matches!(none, Err(Error::Io { .. })));
    }

    #[test]
    fn real_targets_of_one_or_several_columns() {
        let dir = tempfile::tempdir().unwrap();
        let targets = |arrays: &[(&str, Vec<u8>)]| read("a", &archive(dir.path(), arrays), Content::Targets);
        let x = || npy_bytes("|u1", false, "(2, 2)", &[1, 2, 3, 4]);
        let y = npy_bytes("<f4", false, "(2, 2)", &f32_bytes(&[0.5, 1.5, -2.0, 3.0]));
        let set = targets(&[("x", x()), ("y", y)]).unwrap().into_evaluation();
        assert_eq!((set.targets.len(), set.targets.of(1)), (2, &[-2.0, 3.0][..]));
        let set = targets(&[("x", x()), ("y", labels(&[7, -9]))]).unwrap().into_evaluation();
        assert_eq!(set.targets.values, [7.0, -9.0]);
        let bad = npy_bytes("<f4", false, "(2,)", &f32_bytes(&[0.5, f32::NAN]));
        let message = targets(&[("x", x()), ("y", bad)]).unwrap_err().to_string();
        assert!(message.contains("target of example 1"), "{message}");
        let message = targets(&[("x", x()), ("y", labels(&[1]))]).unwrap_err().to_string();
        assert!(message.contains("number of targets: found 1"), "{message}");
    }
}
