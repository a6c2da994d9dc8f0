//! A checked artifact.

use super::check;
use super::error::ArtifactError;
use super::header::{self, Sections};
use super::manifest::{Blob, Layer, Manifest};

/// A network whose bytes are proven consistent; it borrows them and copies nothing but the head of
/// the manifest.
#[derive(Debug, Clone, Copy)]
pub struct Model<'a> {
    manifest: Manifest<'a>,
    /// The whole file.
    file: &'a [u8],
    /// The encoded layers, one after another.
    layers: &'a [u8],
    blob: &'a [u8],
    signed: bool,
    release: u32,
    macs: u64,
    weight_bytes: u64,
}

/// Iterator over the layers of a [`Model`]; decodes one at a time.
#[derive(Debug, Clone)]
pub struct Layers<'a> {
    rest: &'a [u8],
    remaining: u16,
}

impl Iterator for Layers<'_> {
    type Item = Layer;

    fn next(&mut self) -> Option<Layer> {
        self.remaining = self.remaining.checked_sub(1)?;
        let (layer, rest) = postcard::take_from_bytes(self.rest).ok()?;
        self.rest = rest;
        Some(layer)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.remaining.into(), Some(self.remaining.into()))
    }
}

impl ExactSizeIterator for Layers<'_> {}

impl<'a> Layers<'a> {
    /// The bytes that are not decoded yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Model<'a> {
    /// Checks every byte of an artifact and reads its manifest.
    ///
    /// This is **unsigned** loading: it proves that the file is consistent, not who wrote it. A signature
    /// is not looked at; see `Model::from_signed` (feature `signature`).
    ///
    /// `bytes` is the whole file, nothing more, at an address that is a multiple of 16: see
    /// [`include_model!`](crate::include_model) and `AlignedBytes`. The time is linear in the file,
    /// and quadratic in the number of layers (at most 1024).
    ///
    /// # Errors
    /// The first inconsistency, by field.
    // A frame of its own: its stack is free again when the model predicts.
    #[inline(never)]
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self, ArtifactError> {
        Self::from_sections(header::decode(bytes)?)
    }

    /// Checks what lies behind the header.
    pub(super) fn from_sections(sections: Sections<'a>) -> Result<Self, ArtifactError> {
        let (manifest, layers) = check::decode_manifest(sections.manifest)?;
        let mut model = Self {
            manifest,
            file: sections.file,
            layers,
            blob: sections.blob,
            signed: sections.signature.is_some(),
            release: sections.release,
            macs: 0,
            weight_bytes: 0,
        };
        check::check(&model)?;
        model.macs = model.layers().map(|layer| layer.macs()).sum();
        model.weight_bytes = model
            .layers()
            .filter_map(|layer| layer.weights())
            .map(|w| u64::from(w.values.len) + u64::from(w.bias.len) + u64::from(w.multiplier.len))
            .sum();
        Ok(model)
    }

    /// Whether the file still has the bytes that it was loaded with: reads all of it and compares the
    /// CRC-32, which finds every change of up to 32 neighbouring bits, and others with probability
    /// `1 - 2^-32`.
    ///
    /// For files in flash that wears out or in RAM; see also
    /// [`Predictor::recheck_every`](crate::Predictor::recheck_every). It finds damage, not an attacker: load a
    /// signed file again to find one.
    ///
    /// # Errors
    /// [`ArtifactError::Checksum`] if a byte changed.
    pub fn recheck(&self) -> Result<(), ArtifactError> {
        header::check_sum(self.file)
    }

    /// Whether a signature ends the file. Only `Model::from_signed` verifies it.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        self.signed
    }

    /// The release number of a signed file, which grows with every release; 0 if nobody counts.
    #[must_use]
    pub fn release(&self) -> u32 {
        self.release
    }

    /// The head of the manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest<'a> {
        &self.manifest
    }

    /// All blobs.
    #[cfg(feature = "alloc")]
    pub(super) fn blob_section(&self) -> &'a [u8] {
        self.blob
    }

    /// The layers in execution order.
    #[must_use]
    pub fn layers(&self) -> Layers<'a> {
        Layers { rest: self.layers, remaining: self.manifest.layer_count }
    }

    /// Bytes of a blob of this model; empty for a blob of another file that does not fit.
    #[must_use]
    pub fn bytes(&self, blob: Blob) -> &'a [u8] {
        let start = blob.offset as usize;
        start.checked_add(blob.len as usize).and_then(|end| self.blob.get(start..end)).unwrap_or_default()
    }

    /// Values of a blob of this model; empty for a blob of another file that does not fit.
    fn cast<T: bytemuck::AnyBitPattern>(&self, blob: Blob) -> &'a [T] {
        bytemuck::try_cast_slice(self.bytes(blob)).unwrap_or_default()
    }

    /// A blob as int8.
    #[must_use]
    pub fn i8s(&self, blob: Blob) -> &'a [i8] {
        self.cast(blob)
    }

    /// A blob as u16.
    #[must_use]
    pub fn u16s(&self, blob: Blob) -> &'a [u16] {
        self.cast(blob)
    }

    /// A blob as u32.
    #[must_use]
    pub fn u32s(&self, blob: Blob) -> &'a [u32] {
        self.cast(blob)
    }

    /// A blob as i32.
    #[must_use]
    pub fn i32s(&self, blob: Blob) -> &'a [i32] {
        self.cast(blob)
    }

    /// A blob as f32.
    #[must_use]
    pub fn f32s(&self, blob: Blob) -> &'a [f32] {
        self.cast(blob)
    }

    /// Multiply-accumulates of one pass without noise; see [`Layer::macs`].
    #[must_use]
    pub fn macs(&self) -> u64 {
        self.macs
    }

    /// Bytes of weights, biases and multipliers of all layers; the posterior of the first layer not
    /// included.
    #[must_use]
    pub fn weight_bytes(&self) -> u64 {
        self.weight_bytes
    }

    /// Bytes of the posterior's own tensors; 0 for a plain network.
    #[must_use]
    pub fn posterior_bytes(&self) -> u64 {
        self.manifest.posterior.map_or(0, |p| {
            [p.log_var, p.log_var_max, p.table, p.noise_multiplier].iter().map(|b| u64::from(b.len)).sum()
        })
    }

    /// Name of a class; `None` if the classes have no names or there is no such class.
    #[must_use]
    pub fn class_name(&self, class: usize) -> Option<&'a str> {
        if self.manifest.class_names.is_empty() {
            return None;
        }
        self.manifest.class_names.split('\n').nth(class)
    }
}
