//! The opaque objects: C sees an array of words, inside is a tag and a Rust value.

use crate::guard;
use crate::status::StfStatus;
use core::mem::MaybeUninit;
use core::ops::Range;
use stf_bnn::uncertainty::{Calibration, DriftMonitor};
use stf_bnn::{Model, Predictor};

/// A checked artifact. Made by `stf_model_load`; nothing to release. Must not be copied or moved
/// while a predictor uses it. Its content is private.
#[repr(C)]
#[derive(Debug)]
pub struct StfModel {
    _private: [u64; 96],
}

/// A model ready to predict. Made by `stf_predictor_init`; nothing to release. Its content is private.
#[repr(C)]
#[derive(Debug)]
pub struct StfPredictor {
    _private: [u64; 112],
}

/// Running calibration figures. Made by `stf_calibration_init`; nothing to release. Its content is
/// private.
#[repr(C)]
#[derive(Debug)]
pub struct StfCalibration {
    _private: [u64; 56],
}

/// A drift monitor. Made by `stf_drift_init`; nothing to release. May be copied to be kept. Its content
/// is private.
#[repr(C)]
#[derive(Debug)]
pub struct StfDrift {
    _private: [u64; 40],
}

/// What a [`StfModel`] holds.
pub(crate) struct ModelValue {
    pub(crate) model: Model<'static>,
    /// Addresses of the artifact.
    pub(crate) bytes: Range<usize>,
    /// CRC-32 in its header: another artifact may come to lie at the same place.
    pub(crate) stamp: u32,
}

impl ModelValue {
    pub(crate) fn new(model: Model<'static>, file: &'static [u8]) -> Self {
        let stamp = file.get(24..28).and_then(|bytes| bytes.try_into().ok()).unwrap_or_default();
        Self { model, bytes: guard::addresses(file.as_ptr(), file.len()), stamp: u32::from_le_bytes(stamp) }
    }
}

/// What a [`StfPredictor`] holds.
pub(crate) struct PredictorValue {
    pub(crate) predictor: Predictor<'static, 'static>,
    /// The model object, to see that it is still there.
    pub(crate) model: *const StfModel,
    /// Addresses of the artifact that it held,
    pub(crate) artifact: Range<usize>,
    /// and its stamp.
    pub(crate) stamp: u32,
    /// Addresses of the workspace.
    pub(crate) workspace: Range<usize>,
}

/// An opaque object and the value inside.
pub(crate) trait Opaque: Sized {
    /// The value.
    type Value;
    /// What the first word is while there is a value.
    const TAG: u64;
}

#[repr(C)]
struct Tagged<T> {
    tag: MaybeUninit<u64>,
    value: MaybeUninit<T>,
}

macro_rules! opaque {
    ($object:ty, $value:ty, $tag:literal) => {
        const _: () = assert!(size_of::<Tagged<$value>>() <= size_of::<$object>());
        const _: () = assert!(align_of::<Tagged<$value>>() <= align_of::<$object>());

        impl Opaque for $object {
            type Value = $value;
            const TAG: u64 = u64::from_le_bytes(*$tag);
        }
    };
}

opaque!(StfModel, ModelValue, b"stfmodel");
opaque!(StfPredictor, PredictorValue, b"stfpredi");
opaque!(StfCalibration, Calibration, b"stfcalib");
opaque!(StfDrift, DriftMonitor<'static>, b"stfdrift");

/// Puts a value into an object.
///
/// # Safety
/// If `object` is neither NULL nor misaligned, it leads to an `O` that nobody else uses during the
/// call.
pub(crate) unsafe fn put<O: Opaque>(object: *mut O, value: O::Value) -> Result<(), StfStatus> {
    // SAFETY: `O` is at least as large and as aligned as `Tagged`, asserted by `opaque!`; ours alone,
    // by the caller's contract.
    let tagged = unsafe { guard::place(object.cast::<Tagged<O::Value>>())? };
    tagged.write(Tagged { tag: MaybeUninit::new(O::TAG), value: MaybeUninit::new(value) });
    Ok(())
}

/// Marks an object as holding nothing, so that a failed initialisation leaves no old value behind.
///
/// # Safety
/// As [`put`].
pub(crate) unsafe fn clear<O: Opaque>(object: *mut O) -> Result<(), StfStatus> {
    // SAFETY: an `O` starts with the tag's word, and is ours alone, by the caller's contract.
    unsafe { guard::place(object.cast::<u64>())? }.write(0);
    Ok(())
}

/// The value in an object.
///
/// # Safety
/// If `object` is neither NULL nor misaligned, it leads to an `O` that nobody changes during `'a`,
/// whose first word is the tag only if [`put`] wrote the object.
pub(crate) unsafe fn get<'a, O: Opaque>(object: *const O) -> Result<&'a O::Value, StfStatus> {
    // SAFETY: as in `put`; every bit pattern is a `Tagged`, whose fields may be uninitialised.
    let tagged = unsafe { guard::reference(object.cast::<Tagged<O::Value>>())? };
    // SAFETY: the word is memory of the caller's, which has some content.
    if unsafe { tagged.tag.assume_init() } != O::TAG {
        return Err(StfStatus::NotInitialised);
    }
    // SAFETY: the tag says that `put` wrote the value, by the caller's contract.
    Ok(unsafe { tagged.value.assume_init_ref() })
}

/// The value in an object, to change.
///
/// # Safety
/// As [`get`], and nobody else uses the object during `'a`.
pub(crate) unsafe fn get_mut<'a, O: Opaque>(object: *mut O) -> Result<&'a mut O::Value, StfStatus> {
    // SAFETY: the same contract.
    unsafe { get(object.cast_const())? };
    let tagged = object.cast::<Tagged<O::Value>>();
    // SAFETY: `get` has found the pointer good and the value written; ours alone, by the caller's
    // contract.
    Ok(unsafe { (*tagged).value.assume_init_mut() })
}
