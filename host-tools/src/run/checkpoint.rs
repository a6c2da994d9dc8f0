//! State of a training run: named f32 tensors and a JSON value, in one safetensors file.

use crate::error::{Error, Result};
use crate::files::write_atomic;
use ndarray::ArrayD;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

/// Key of the JSON text among the file's metadata.
const META: &str = "meta";

/// What a run needs to go on where it stopped.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Checkpoint {
    /// Counters and settings: stage, epoch, hash of the settings.
    pub meta: Value,
    /// Weights, optimizer state, statistics.
    pub tensors: BTreeMap<String, ArrayD<f32>>,
}

impl Checkpoint {
    /// Writes the file, whole or not at all. The same checkpoint gives the same bytes.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn save(&self, path: &Path) -> Result<()> {
        let bytes: Vec<(&str, Vec<usize>, Vec<u8>)> = self
            .tensors
            .iter()
            .map(|(name, tensor)| {
                let bytes = tensor.iter().flat_map(|value| value.to_le_bytes()).collect();
                (name.as_str(), tensor.shape().to_vec(), bytes)
            })
            .collect();
        let refused =
            |error: safetensors::SafeTensorError| Error::malformed(path, "tensors", error, "valid ones");
        let views = bytes
            .iter()
            .map(|(name, shape, bytes)| Ok((*name, TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
            .collect::<Result<Vec<_>, _>>()
            .map_err(refused)?;
        let metadata = HashMap::from([(META.to_string(), self.meta.to_string())]);
        let file = safetensors::serialize(views, Some(metadata)).map_err(refused)?;
        write_atomic(path, |writer| writer.write_all(&file))
    }

    /// Reads the file.
    ///
    /// # Errors
    /// If it cannot be read, is no safetensors file, lacks its metadata, or a tensor is not f32.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).map_err(Error::io(path, "read"))?;
        let file = SafeTensors::deserialize(&bytes).map_err(|error| {
            Error::malformed(path, "safetensors file", error, "a checkpoint of `stf train`")
        })?;
        let meta = read_meta(path, &bytes)?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.iter() {
            tensors.insert(name.to_string(), to_array(path, name, &view)?);
        }
        Ok(Self { meta, tensors })
    }

    /// Takes a tensor out, of the shape that the network needs.
    ///
    /// # Errors
    /// If it is missing or of another shape; `path` is named in the message.
    pub fn take(&mut self, path: &Path, name: &str, shape: &[usize]) -> Result<ArrayD<f32>> {
        let tensor = self.tensors.remove(name).ok_or_else(|| {
            Error::malformed(path, format!("tensor {name}"), "nothing", format!("{shape:?}"))
        })?;
        if tensor.shape() != shape {
            let (found, expected) = (format!("{:?}", tensor.shape()), format!("{shape:?}"));
            return Err(Error::malformed(path, format!("shape of tensor {name}"), found, expected));
        }
        Ok(tensor)
    }

    /// A field of [`Self::meta`].
    ///
    /// # Errors
    /// If it is missing or of another type; `path` is named in the message.
    pub fn field<T: serde::de::DeserializeOwned>(&self, path: &Path, name: &str) -> Result<T> {
        let value = self.meta.get(name).unwrap_or(&Value::Null);
        serde_json::from_value(value.clone())
            .map_err(|error| Error::malformed(path, format!("field {name}"), value, error))
    }
}

fn read_meta(path: &Path, bytes: &[u8]) -> Result<Value> {
    let bad = |found: String| Error::malformed(path, format!("metadata {META:?}"), found, "JSON text");
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| bad(error.to_string()))?;
    let text = metadata.metadata().as_ref().and_then(|metadata| metadata.get(META));
    let text = text.ok_or_else(|| bad("nothing".to_string()))?;
    serde_json::from_str(text).map_err(|error| bad(error.to_string()))
}

fn to_array(path: &Path, name: &str, view: &TensorView<'_>) -> Result<ArrayD<f32>> {
    if view.dtype() != Dtype::F32 {
        return Err(Error::malformed(
            path,
            format!("type of tensor {name}"),
            format!("{:?}", view.dtype()),
            "F32",
        ));
    }
    let (chunks, _) = view.data().as_chunks::<4>();
    let values = chunks.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    ArrayD::from_shape_vec(view.shape(), values).map_err(|error| {
        Error::malformed(path, format!("shape of tensor {name}"), error, "one that fits its data")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn example() -> Checkpoint {
        let tensor = |shape: &[usize], start: f32| {
            let values = (0..shape.iter().product::<usize>()).map(|i| start + i as f32).collect();
            ArrayD::from_shape_vec(shape, values).unwrap()
        };
        let tensors = BTreeMap::from([
            ("conv.weight".to_string(), tensor(&[2, 1, 3], 0.5)),
            ("step".to_string(), tensor(&[], 7.0)),
            ("none".to_string(), tensor(&[0, 4], 0.0)),
        ]);
        Checkpoint { meta: json!({"stage": 2, "epoch": 5, "note": "line\n\"quoted\""}), tensors }
    }

    #[test]
    fn bits_come_back_and_are_the_same_each_time() {
        let dir = tempfile::tempdir().unwrap();
        let (path, again) = (dir.path().join("a"), dir.path().join("b"));
        let mut saved = example();
        let odd = [f32::MIN_POSITIVE / 2.0, -0.0, f32::INFINITY];
        saved.tensors.insert("odd".into(), ArrayD::from_shape_vec(vec![3], odd.to_vec()).unwrap());
        saved.save(&path).unwrap();
        let loaded = Checkpoint::load(&path).unwrap();
        assert_eq!(loaded, saved);
        assert!(loaded.tensors["odd"].iter().zip(&odd).all(|(a, b)| a.to_bits() == b.to_bits()));
        loaded.save(&again).unwrap();
        assert_eq!(fs::read(path).unwrap(), fs::read(again).unwrap());
    }

    #[test]
    fn a_transposed_view_is_saved_in_logical_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let matrix = ArrayD::from_shape_vec(vec![2, 3], (0..6).map(|i| i as f32).collect()).unwrap();
        let turned = matrix.reversed_axes();
        let tensors = BTreeMap::from([("m".to_string(), turned.clone())]);
        Checkpoint { meta: Value::Null, tensors }.save(&path).unwrap();
        assert_eq!(Checkpoint::load(&path).unwrap().tensors["m"], turned);
    }

    #[test]
    fn every_truncation_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        example().save(&path).unwrap();
        let whole = fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            assert!(matches!(Checkpoint::load(&path), Err(Error::Malformed { .. })), "{cut}");
        }
    }

    #[test]
    fn foreign_files_and_missing_parts_name_the_field() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let view = TensorView::new(Dtype::F32, vec![1], &[0; 4]).unwrap();
        fs::write(&path, safetensors::serialize([("t", view)], None).unwrap()).unwrap();
        assert!(Checkpoint::load(&path).unwrap_err().to_string().contains("metadata"));
        let meta = || Some(HashMap::from([(META.to_string(), "{}".to_string())]));
        let view = TensorView::new(Dtype::I32, vec![1], &[0; 4]).unwrap();
        fs::write(&path, safetensors::serialize([("t", view)], meta()).unwrap()).unwrap();
        assert!(Checkpoint::load(&path).unwrap_err().to_string().contains("type of tensor t: found I32"));

        let mut checkpoint = example();
        let message = checkpoint.take(&path, "step", &[1]).unwrap_err().to_string();
        assert!(message.contains("shape of tensor step: found [], expected [1]"), "{message}");
        assert!(checkpoint.take(&path, "absent", &[1]).unwrap_err().to_string().contains("tensor absent"));
        assert_eq!(checkpoint.field::<u32>(&path, "epoch").unwrap(), 5);
        assert!(checkpoint.field::<u32>(&path, "nothing").unwrap_err().to_string().contains("field nothing"));
    }
}
