//! Inputs without labels, for `stf predict`: a PNG, JPEG or WAV file, a `.npy` array or a `.csv` table of examples.

use super::{Dataset, Inputs, audio, extension, images, npz, table};
use crate::error::{Error, Result};
use std::path::Path;

/// Reads one image or recording, or every example of an array whose first axis counts them. All labels are 0, of
/// the one class `unknown`.
///
/// # Errors
/// If the file is of another kind or malformed, or a value is not finite.
pub fn read_inputs(path: &Path) -> Result<Dataset> {
    let (count, shape, inputs) = match extension(path).as_deref() {
        Some("npy") => npz::read_unlabelled(path)?,
        Some("wav") => {
            let (shape, features) = audio::read_one(path)?;
            (1, shape, Inputs::U8(features))
        }
        Some("csv") => return table::read_inputs(path),
        Some("png" | "jpg" | "jpeg") => {
            let (shape, pixels) = images::read_image(path)?;
            (1, shape, Inputs::U8(pixels))
        }
        other => {
            let found = other.map_or("no extension".to_string(), |extension| format!(".{extension}"));
            return Err(Error::malformed(
                path,
                "kind of input",
                found,
                ".png, .jpg, .jpeg, .wav, .npy or .csv",
            ));
        }
    };
    if count == 0 || shape.is_empty() {
        // Such a count is not backed by data: `[10^12, 0]` is a valid array of no bytes.
        let found = format!("{count} examples of {shape}");
        return Err(Error::malformed(path, "inputs", found, "at least one example with values"));
    }
    let name = path.display().to_string();
    let (labels, class_names) = (vec![0; count], vec!["unknown".to_string()]);
    Dataset { name, shape, inputs, labels, class_names, targets: Default::default() }.checked(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::testing::{f32_bytes, npy_bytes, write};
    use crate::graph::Shape;

    #[test]
    fn images_and_arrays_are_read_without_labels() {
        let dir = tempfile::tempdir().unwrap();
        let png = dir.path().join("a.png");
        image::save_buffer(&png, &[1, 2], 2, 1, image::ExtendedColorType::L8).unwrap();
        let one = read_inputs(&png).unwrap();
        assert_eq!((one.len(), one.shape, one.inputs), (1, Shape::new(1, 2, 1), Inputs::U8(vec![1, 2])));
        let npy =
            write(dir.path(), "a.npy", &npy_bytes("<f4", false, "(3, 1, 1)", &f32_bytes(&[1.0, 2.0, 3.0])));
        assert_eq!(read_inputs(&npy).unwrap().len(), 3);
    }

    #[test]
    fn other_kinds_and_empty_or_bad_arrays_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let cases = [
            ("a.bin", vec![0], "kind of input: found .bin"),
            ("a.npy", npy_bytes("<f4", false, "(1, 1)", &f32_bytes(&[f32::NAN])), "example 0, value 0"),
            ("b.npy", npy_bytes("<f4", false, "(0, 1)", &[]), "at least one example"),
            ("c.npy", npy_bytes("<f4", false, "(1000000000000, 0)", &[]), "at least one example"),
            ("a.png", vec![0; 9], "a.png"),
        ];
        for (name, bytes, expected) in cases {
            let message = read_inputs(&write(dir.path(), name, &bytes)).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
