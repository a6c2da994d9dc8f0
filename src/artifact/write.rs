//! Writing artifacts, on the host.

use super::aligned::AlignedBytes;
use super::error::{ArtifactError, Place};
use super::header::{self, ALIGNMENT};
use super::manifest::{Blob, Layer, Manifest, Task};
use super::model::Model;
use super::names::Field;
use alloc::vec::Vec;

/// Collects blobs and layers, then writes the file: the same calls give the same bytes.
#[derive(Debug, Clone, Default)]
pub struct ArtifactWriter {
    blob: Vec<u8>,
    layers: Vec<Layer>,
}

impl ArtifactWriter {
    /// A file without layers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes on from an artifact: its layers and blobs, without those of the facts that are fitted after
    /// quantization (prediction sets, intervals, drift monitor, anomaly reference), so that they can be fitted again. The blobs that
    /// its manifest names keep their places.
    #[must_use]
    pub fn resume(model: &Model<'_>) -> Self {
        let manifest = model.manifest();
        let mut blobs = alloc::vec![manifest.input.mean, manifest.input.multiplier];
        if let Some(p) = manifest.posterior {
            blobs.extend([p.log_var, p.log_var_max, p.table, p.noise_multiplier]);
        }
        if let Task::Gaussian(head) = manifest.task {
            blobs.extend([head.target_mean, head.target_std]);
        }
        for layer in model.layers() {
            blobs.extend(layer.weights().into_iter().flat_map(|w| [w.values, w.bias, w.multiplier]));
            if let Layer::Lookup { table, .. } = layer {
                blobs.push(table);
            }
        }
        let end = blobs.iter().map(|blob| blob.offset + blob.len).max().unwrap_or(0);
        let blob = model.bytes(Blob { offset: 0, len: end }).to_vec();
        Self { blob, layers: model.layers().collect() }
    }

    /// A file with the blobs and layers of `model`: the beginning of a copy with other facts in its
    /// manifest.
    #[must_use]
    pub fn of(model: &Model<'_>) -> Self {
        Self { blob: model.blob_section().to_vec(), layers: model.layers().collect() }
    }

    /// Appends bytes to the blob section, at the next multiple of 16.
    ///
    /// A section beyond 4 GiB is refused by [`Self::finish`].
    pub fn blob(&mut self, bytes: &[u8]) -> Blob {
        self.blob.resize(self.blob.len().next_multiple_of(ALIGNMENT), 0);
        let narrow = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let blob = Blob { offset: narrow(self.blob.len()), len: narrow(bytes.len()) };
        self.blob.extend_from_slice(bytes);
        blob
    }

    /// Appends numbers to the blob section: `i8`, `u8`, `u16`, `i32` or `f32`.
    pub fn values<T: bytemuck::NoUninit>(&mut self, values: &[T]) -> Blob {
        self.blob(bytemuck::cast_slice(values))
    }

    /// Appends a layer; layers run in this order.
    pub fn push_layer(&mut self, layer: Layer) {
        self.layers.push(layer);
    }

    /// The whole file. `manifest.layer_count` is overwritten with the number of layers pushed.
    ///
    /// # Errors
    /// Whatever [`Model::from_bytes`] would find wrong with the file.
    pub fn finish(self, manifest: Manifest<'_>) -> Result<Vec<u8>, ArtifactError> {
        let bytes = self.encode(manifest)?;
        Model::from_bytes(&AlignedBytes::new(&bytes))?;
        Ok(bytes)
    }

    /// The whole file with its checksum, but not checked: for tests of the reader.
    ///
    /// # Errors
    /// If the file or the number of layers does not fit its length fields.
    pub fn encode(self, mut manifest: Manifest<'_>) -> Result<Vec<u8>, ArtifactError> {
        let too_long = |part, found: usize, expected: u32| ArtifactError::Length {
            part,
            found: found as u64,
            expected: expected.into(),
        };
        let count = self.layers.len();
        manifest.layer_count =
            u16::try_from(count).map_err(|_| too_long("layers", count, u16::MAX.into()))?;
        let undecodable = |field| ArtifactError::Undecodable { at: Place { layer: None, field } };
        let mut section = postcard::to_allocvec(&manifest).map_err(|_| undecodable(Field::Manifest))?;
        for layer in &self.layers {
            section.extend(postcard::to_allocvec(layer).map_err(|_| undecodable(Field::Layers))?);
        }
        let offset = header::blob_offset(section.len());
        let total = offset + self.blob.len();
        let total_len = u32::try_from(total).map_err(|_| too_long("file", total, u32::MAX))?;
        // Both parts are shorter than the whole, which fits.
        let mut file = header::encode(section.len() as u32, self.blob.len() as u32, total_len).to_vec();
        file.extend_from_slice(&section);
        file.resize(offset, 0);
        file.extend_from_slice(&self.blob);
        header::seal(&mut file);
        Ok(file)
    }
}
