//! A checked artifact.

use super::check::{self, Facts};
use super::decode::Reader;
use super::error::{ArtifactError, Place};
use super::geometry::has_places;
use super::header::{self, Sections};
use super::manifest::{Blob, Layer, Manifest};
use super::names::Field;

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
    checked: bool,
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
        let mut reader = Reader::new(self.rest);
        let layer = reader.layer();
        self.rest = reader.rest();
        (!reader.failed()).then_some(layer)
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
        Self::from_sections(&header::decode(bytes)?, Some(check::FACTS))
    }

    /// As [`Self::from_bytes`], for a program that predicts and does nothing more: prediction sets, abstention
    /// and the drift monitor are left out, checks included, and take no flash. The manifest has `None` for
    /// each.
    ///
    /// # Errors
    /// As [`Self::from_bytes`].
    #[inline(never)]
    pub fn to_predict(bytes: &'a [u8]) -> Result<Self, ArtifactError> {
        Self::from_sections(&header::decode(bytes)?, None)
    }

    /// A model that is compiled into the program and was **checked when the program was built**, by
    /// [`Self::from_bytes`] in its `build.rs` or by `stf inspect`: here only the encoding is checked again, and
    /// that tensors have their places. `None` if these bytes are no artifact.
    ///
    /// Bytes that do not lie at a multiple of 16 make a model that no predictor takes
    /// ([`ConfigError::Unchecked`](crate::ConfigError::Unchecked)): a constant does not know its address.
    ///
    /// In a constant it costs a device no code for loading and no memory:
    ///
    /// ```
    /// # use stf_bnn::Model;
    /// # const BYTES: &[u8] = &[];
    /// static MODEL: Option<Model<'_>> = Model::embedded(BYTES); // an `include_model!`
    /// ```
    ///
    /// What a file that was never checked does: its predictions may mean nothing, be refused as
    /// [`Inconsistent`](crate::PredictError::Inconsistent), or panic. It cannot make them unsafe: with `std`, whose
    /// kernels trust shapes, a predictor checks the model after all.
    #[must_use]
    pub const fn embedded(bytes: &'a [u8]) -> Option<Self> {
        let Some(sections) = header::cut(bytes) else { return None };
        let mut model = Self::new(&sections);
        if model.decode(sections.manifest).is_none() || model.manifest.input.tensor.is_empty() {
            return None;
        }
        let mut index = 0;
        while index < model.layer_count() {
            if !has_places(&model.layer(index), index == 0, model.manifest.arena_bytes) {
                return None;
            }
            index += 1;
        }
        Some(model)
    }

    /// Whether every byte was checked; checks them now if not.
    pub(crate) fn checked(&self) -> bool {
        self.checked || self.aligned() && check::check(self, Some(check::FACTS)).is_ok()
    }

    /// Whether the blobs lie where they can be read as numbers: elsewhere they would be empty. A constant
    /// cannot know its address.
    pub(crate) fn aligned(&self) -> bool {
        self.blob.as_ptr().addr().is_multiple_of(header::ALIGNMENT)
    }

    const fn new(sections: &Sections<'a>) -> Self {
        Self {
            manifest: Manifest::EMPTY,
            file: sections.file,
            layers: &[],
            blob: sections.blob,
            signed: sections.signature.is_some(),
            checked: false,
            release: sections.release,
            macs: 0,
            weight_bytes: 0,
        }
    }

    /// Decodes the manifest's head, finds the layers, and adds up what they are. `None` if one of them does
    /// not decode: the layers, if they are not empty, are those behind a head that does.
    const fn decode(&mut self, manifest: &'a [u8]) -> Option<()> {
        let mut reader = Reader::new(manifest);
        reader.manifest(&mut self.manifest);
        if reader.failed() {
            return None;
        }
        self.layers = reader.rest();
        let mut index = 0;
        while index < self.manifest.layer_count {
            let layer = reader.layer();
            self.macs = self.macs.saturating_add(layer.macs());
            if let Some(w) = layer.weights() {
                self.weight_bytes += w.values.len as u64 + w.bias.len as u64 + w.multiplier.len as u64;
            }
            index += 1;
        }
        if reader.failed() { None } else { Some(()) }
    }

    pub(crate) const fn layer_count(&self) -> u16 {
        self.manifest.layer_count
    }

    /// Layer `index`, in a constant; it must be there.
    pub(crate) const fn layer(&self, index: u16) -> Layer {
        let (mut reader, mut at) = (Reader::new(self.layers), 0);
        while at < index {
            reader.layer();
            at += 1;
        }
        reader.layer()
    }

    /// Checks what lies behind the header.
    pub(super) fn from_sections(
        sections: &Sections<'a>,
        facts: Option<Facts>,
    ) -> Result<Self, ArtifactError> {
        let mut model = Self::new(sections);
        match model.load(sections.manifest, facts) {
            Ok(()) => Ok(model),
            Err(error) => Err(error),
        }
    }

    #[inline(never)]
    fn load(&mut self, manifest: &'a [u8], facts: Option<Facts>) -> Result<(), ArtifactError> {
        if self.decode(manifest).is_none() && self.layers.is_empty() {
            return Err(ArtifactError::Undecodable { at: Place { layer: None, field: Field::Manifest } });
        }
        if facts.is_none() {
            let manifest = &mut self.manifest;
            (manifest.conformal, manifest.abstention, manifest.drift) = (None, None, None);
        }
        // Tells which layer does not decode.
        check::check(self, facts)?;
        self.checked = true;
        Ok(())
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
    pub const fn manifest(&self) -> &Manifest<'a> {
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
    #[cfg_attr(not(feature = "std"), inline(never))]
    pub fn bytes(&self, blob: Blob) -> &'a [u8] {
        let rest = self.blob.get(blob.offset as usize..).unwrap_or_default();
        rest.get(..blob.len as usize).unwrap_or_default()
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
    #[cfg_attr(not(feature = "std"), inline(never))]
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
    #[cfg_attr(not(feature = "std"), inline(never))]
    pub fn i32s(&self, blob: Blob) -> &'a [i32] {
        self.cast(blob)
    }

    /// A blob as f32.
    #[must_use]
    #[cfg_attr(not(feature = "std"), inline(never))]
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
