//! Loading and describing artifacts.

use crate::guard::{addresses, disjoint, guard, place, slice, slice_mut};
use crate::status::StfStatus;
use crate::storage::{self, ModelValue, StfModel};
use core::ffi::c_char;
use core::fmt::{self, Write};
use stf_bnn::Model;
use stf_bnn::artifact::{PublicKey, Task};

/// Alignment, in bytes, that `stf_model_load` asks of an artifact.
pub const STF_ARTIFACT_ALIGNMENT: usize = 16;

const _: () = assert!(STF_ARTIFACT_ALIGNMENT == stf_bnn::artifact::ALIGNMENT);

/// What a model is.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct StfModelInfo {
    /// Name of the network, UTF-8, **not** ended by a zero byte; lives as long as the artifact.
    pub name: *const c_char,
    /// Length of the name in bytes.
    pub name_length: usize,
    /// Multiply-accumulates of one pass.
    pub macs: u64,
    /// Bytes of weights, biases and multipliers.
    pub weight_bytes: u64,
    /// Bytes of activations of one draw.
    pub arena_bytes: u32,
    /// Rows of an input.
    pub input_height: u32,
    /// Columns of an input.
    pub input_width: u32,
    /// Channels of an input. The order of values is the one that the artifact names: row, column, channel, or
    /// (NCHW) one plane of rows and columns after another for each channel.
    pub input_channels: u32,
    /// Number of classes or output values.
    pub outputs: u32,
    /// 1 for a classification, 0 for a regression or an autoencoder.
    pub is_classification: u8,
    /// 1 if the first layer is Bayesian, 0 for a plain network, all of whose draws are equal.
    pub is_bayesian: u8,
}

/// Checks every byte of an artifact and keeps a view of it in `model`.
///
/// This is unsigned loading: it proves that the artifact is intact, not who wrote it.
///
/// `bytes` is the whole file at an address that is a multiple of 16, and must stay unchanged as long
/// as `model` is used; `model` itself is not inside it. After success no later call can fail because of the
/// artifact. After any failure `model` holds nothing, not even what it held before: it is not initialised.
///
/// # Safety
/// `model` leads to an `stf_model`, `bytes` to `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stf_model_load(model: *mut StfModel, bytes: *const u8, length: usize) -> StfStatus {
    guard(|| {
        // SAFETY: `model` leads to an object of ours alone, by this function's contract.
        unsafe { storage::clear(model)? };
        // SAFETY: `bytes` leads to `length` bytes that stay unchanged, by this function's contract.
        let file: &'static [u8] = unsafe { slice(bytes, length)? };
        disjoint(&addresses(model, 1), &addresses(bytes, length))?;
        let value = ModelValue::new(Model::from_bytes(file)?, file);
        // SAFETY: as for `clear`.
        unsafe { storage::put(model, value) }
    })
}

/// As `stf_model_load`, for an artifact that must be signed by the holder of the secret half of
/// `public_key` (32 bytes, Ed25519) and whose release number must be at least `min_release`.
///
/// The device keeps the greatest release it has accepted (`stf_model_release`) and passes it here, so
/// that it cannot be talked back to an old artifact. After any failure `model` holds nothing, as after
/// `stf_model_load`.
///
/// # Safety
/// `model` leads to an `stf_model`, `bytes` to `length` bytes, `public_key` to 32 bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stf_model_load_signed(
    model: *mut StfModel,
    bytes: *const u8,
    length: usize,
    public_key: *const u8,
    min_release: u32,
) -> StfStatus {
    guard(|| {
        // SAFETY: `model` leads to an object of ours alone, by this function's contract.
        unsafe { storage::clear(model)? };
        // SAFETY: `public_key` leads to 32 bytes, by this function's contract.
        let key: &[u8] = unsafe { slice(public_key, PublicKey::BYTES)? };
        let key = key.try_into().map_err(|_| StfStatus::Internal)?;
        let key = PublicKey::from_bytes(key)?;
        // SAFETY: `bytes` leads to `length` bytes that stay unchanged, by this function's contract.
        let file: &'static [u8] = unsafe { slice(bytes, length)? };
        disjoint(&addresses(model, 1), &addresses(bytes, length))?;
        let value = ModelValue::new(Model::from_signed(file, &key, min_release)?, file);
        // SAFETY: as for `clear`.
        unsafe { storage::put(model, value) }
    })
}

/// Reads the whole artifact again: `STF_STATUS_CHECKSUM` if it changed since it was loaded. It finds damage
/// (flash that wears out), not an attacker.
///
/// # Safety
/// `model` leads to an `stf_model` whose artifact is still there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stf_model_recheck(model: *const StfModel) -> StfStatus {
    guard(|| {
        // SAFETY: leads to an object of its type, by this function's contract.
        unsafe { storage::get(model)? }.model.recheck()?;
        Ok(())
    })
}

/// Release number of a signed artifact; 0 for an unsigned one.
///
/// # Safety
/// `model` leads to an `stf_model`, `release` to a `uint32_t`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stf_model_release(model: *const StfModel, release: *mut u32) -> StfStatus {
    guard(|| {
        // SAFETY: both lead to objects of their types, by this function's contract.
        let (value, release) = unsafe { (storage::get(model)?, place(release)?) };
        release.write(value.model.release());
        Ok(())
    })
}

/// Says in words what is wrong with an artifact, and where: writes a text ended by a zero byte into
/// `text`, cut to `capacity` bytes (at least 1). Writes "no error" if nothing is wrong.
///
/// # Safety
/// `bytes` leads to `length` bytes, `text` to `capacity` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stf_model_explain(
    bytes: *const u8,
    length: usize,
    text: *mut c_char,
    capacity: usize,
) -> StfStatus {
    guard(|| {
        disjoint(&addresses(bytes, length), &addresses(text, capacity))?;
        // SAFETY: the lengths are those of the memory, by this function's contract, and nothing is in both, by
        // the check.
        let (file, text) = unsafe { (slice(bytes, length)?, slice_mut(text.cast::<u8>(), capacity)?) };
        let Some(room) = capacity.checked_sub(1) else { return Err(StfStatus::BadLength) };
        let mut cursor = Cursor { text: &mut text[..room], length: 0 };
        // A full cursor cuts the text: no error.
        let _ = match Model::from_bytes(file) {
            Ok(_) => write!(cursor, "no error"),
            Err(error) => write!(cursor, "{error}"),
        };
        let length = cursor.length;
        text[length] = 0;
        Ok(())
    })
}

struct Cursor<'a> {
    text: &'a mut [u8],
    length: usize,
}

impl Write for Cursor<'_> {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        let room = self.text.len() - self.length;
        let whole = piece.floor_char_boundary(room.min(piece.len()));
        self.text[self.length..self.length + whole].copy_from_slice(&piece.as_bytes()[..whole]);
        self.length += whole;
        if whole == piece.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

/// Describes a model.
///
/// # Safety
/// `model` leads to an `stf_model`, `info` to an `stf_model_info`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stf_model_describe(model: *const StfModel, info: *mut StfModelInfo) -> StfStatus {
    guard(|| {
        // SAFETY: both lead to objects of their types, by this function's contract.
        let (value, info) = unsafe { (storage::get(model)?, place(info)?) };
        let manifest = value.model.manifest();
        let input = manifest.input.tensor;
        info.write(StfModelInfo {
            name: manifest.name.as_ptr().cast(),
            name_length: manifest.name.len(),
            macs: value.model.macs(),
            weight_bytes: value.model.weight_bytes(),
            arena_bytes: manifest.arena_bytes,
            input_height: input.height.into(),
            input_width: input.width.into(),
            input_channels: input.channels.into(),
            outputs: manifest.outputs.into(),
            is_classification: (manifest.task == Task::Classification).into(),
            is_bayesian: manifest.posterior.is_some().into(),
        });
        Ok(())
    })
}

/// Name of a class, UTF-8, **not** ended by a zero byte; lives as long as the artifact. Out of range
/// if there is no such class, or the classes have no names.
///
/// # Safety
/// `model` leads to an `stf_model`, `name` to a pointer, `name_length` to a `size_t`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stf_class_name(
    model: *const StfModel,
    class_index: usize,
    name: *mut *const c_char,
    name_length: *mut usize,
) -> StfStatus {
    guard(|| {
        // SAFETY: all three lead to objects of their types, by this function's contract.
        let (value, name, length) = unsafe { (storage::get(model)?, place(name)?, place(name_length)?) };
        let text = value.model.class_name(class_index).ok_or(StfStatus::OutOfRange)?;
        name.write(text.as_ptr().cast());
        length.write(text.len());
        Ok(())
    })
}
