//! Status codes and their texts.

use core::ffi::{CStr, c_char};
use stf_bnn::{ArtifactError, ConfigError, PredictError};

/// Result of a call. 0 is success; every other value leaves outputs untouched unless its function
/// says otherwise.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StfStatus {
    /// Success.
    Ok = 0,
    /// A pointer is NULL.
    NullPointer = 1,
    /// A pointer is not aligned: artifacts at 16 bytes, everything else as its C type.
    Misaligned = 2,
    /// An object is not initialised: it was not made by its `stf_..._load` or `stf_..._init`, or the last such
    /// call failed.
    NotInitialised = 3,
    /// Two memory ranges overlap that must not, such as the workspace and the input.
    Overlap = 4,
    /// A length is longer than memory can be.
    BadLength = 5,
    /// The bytes are no artifact: wrong magic.
    NotAnArtifact = 10,
    /// The artifact has a format version that this library does not read.
    Version = 11,
    /// The artifact is truncated, or longer than it says.
    ArtifactLength = 12,
    /// The artifact was damaged since it was written.
    Checksum = 13,
    /// The artifact is inconsistent; `stf_model_explain` says where.
    ArtifactInvalid = 14,
    /// A signed artifact is asked for, and this one has no signature.
    Unsigned = 15,
    /// The signature is not that of the public key for this artifact.
    BadSignature = 16,
    /// The 32 bytes are no public key that can be trusted.
    BadPublicKey = 17,
    /// The artifact is older than the least release that is accepted.
    OldRelease = 18,
    /// A setting is out of range.
    Config = 20,
    /// The workspace is shorter than `stf_workspace_size` says.
    WorkspaceTooSmall = 21,
    /// The workspace would not fit this machine's memory.
    TooLarge = 22,
    /// The input has another number of values than the network's.
    InputLength = 30,
    /// An input value is NaN or infinite.
    InputNotFinite = 31,
    /// A label, class or index is out of range.
    OutOfRange = 32,
    /// The artifact carries no such thresholds: it was not calibrated for them.
    NoFacts = 33,
    /// A fault inside the library; please report it.
    Internal = 40,
}

impl StfStatus {
    const ALL: [Self; 23] = [
        Self::Ok,
        Self::NullPointer,
        Self::Misaligned,
        Self::NotInitialised,
        Self::Overlap,
        Self::BadLength,
        Self::NotAnArtifact,
        Self::Version,
        Self::ArtifactLength,
        Self::Checksum,
        Self::ArtifactInvalid,
        Self::Unsigned,
        Self::BadSignature,
        Self::BadPublicKey,
        Self::OldRelease,
        Self::Config,
        Self::WorkspaceTooSmall,
        Self::TooLarge,
        Self::InputLength,
        Self::InputNotFinite,
        Self::OutOfRange,
        Self::NoFacts,
        Self::Internal,
    ];

    const fn text(self) -> &'static CStr {
        match self {
            Self::Ok => c"success",
            Self::NullPointer => c"a pointer is NULL",
            Self::Misaligned => c"a pointer is not aligned (an artifact: at 16 bytes)",
            Self::NotInitialised => c"an object was not initialised",
            Self::Overlap => c"memory ranges overlap that must not",
            Self::BadLength => c"a length is longer than memory can be",
            Self::NotAnArtifact => c"not an .stf artifact: wrong magic",
            Self::Version => c"artifact of an unknown format version",
            Self::ArtifactLength => c"artifact truncated, or longer than it says",
            Self::Checksum => c"artifact damaged: checksum differs",
            Self::ArtifactInvalid => c"artifact inconsistent (stf_model_explain says where)",
            Self::Unsigned => c"the artifact has no signature",
            Self::BadSignature => c"the signature is not that of the public key for this artifact",
            Self::BadPublicKey => c"not a public key that can be trusted",
            Self::OldRelease => c"artifact older than the least release that is accepted",
            Self::Config => c"a setting is out of range",
            Self::WorkspaceTooSmall => c"workspace shorter than stf_workspace_size says",
            Self::TooLarge => c"the workspace would not fit this machine's memory",
            Self::InputLength => c"input with another number of values than the network's",
            Self::InputNotFinite => c"an input value is NaN or infinite",
            Self::OutOfRange => c"a label, class or index is out of range",
            Self::NoFacts => c"the artifact was not calibrated for this",
            Self::Internal => c"fault inside the library",
        }
    }
}

impl From<ArtifactError> for StfStatus {
    fn from(error: ArtifactError) -> Self {
        match error {
            ArtifactError::Misaligned { .. } => Self::Misaligned,
            ArtifactError::Magic { .. } => Self::NotAnArtifact,
            ArtifactError::Version { .. } => Self::Version,
            ArtifactError::Length { .. } => Self::ArtifactLength,
            ArtifactError::Checksum { .. } => Self::Checksum,
            ArtifactError::Unsigned => Self::Unsigned,
            ArtifactError::Signature => Self::BadSignature,
            ArtifactError::PublicKey => Self::BadPublicKey,
            ArtifactError::Release { .. } => Self::OldRelease,
            _ => Self::ArtifactInvalid,
        }
    }
}

impl From<ConfigError> for StfStatus {
    fn from(error: ConfigError) -> Self {
        match error {
            ConfigError::Workspace { .. } => Self::WorkspaceTooSmall,
            ConfigError::TooLarge => Self::TooLarge,
            _ => Self::Config,
        }
    }
}

impl From<PredictError> for StfStatus {
    fn from(error: PredictError) -> Self {
        match error {
            PredictError::Length { .. } => Self::InputLength,
            PredictError::NotFinite { .. } => Self::InputNotFinite,
            PredictError::Draw { .. } => Self::OutOfRange,
            PredictError::Damaged => Self::Checksum,
            _ => Self::Internal,
        }
    }
}

/// Text of a status, in English; of a number that is no status, a text that says so. Never NULL;
/// lives as long as the program.
#[unsafe(no_mangle)]
pub extern "C" fn stf_status_text(status: i32) -> *const c_char {
    let known = StfStatus::ALL.iter().find(|known| **known as i32 == status);
    known.map_or(c"unknown status", |known| known.text()).as_ptr()
}

/// Version of the library, `major << 16 | minor << 8 | patch`.
#[unsafe(no_mangle)]
pub extern "C" fn stf_version() -> u32 {
    const fn number(digits: &str) -> u32 {
        let (digits, mut value, mut i) = (digits.as_bytes(), 0, 0);
        while i < digits.len() {
            value = 10 * value + (digits[i] - b'0') as u32;
            i += 1;
        }
        value
    }
    const VERSION: u32 = number(env!("CARGO_PKG_VERSION_MAJOR")) << 16
        | number(env!("CARGO_PKG_VERSION_MINOR")) << 8
        | number(env!("CARGO_PKG_VERSION_PATCH"));
    VERSION
}

/// Version of the library as text. Lives as long as the program.
#[unsafe(no_mangle)]
pub extern "C" fn stf_version_text() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_status_has_a_text_of_its_own() {
        // SAFETY: both pointers are to C strings in static memory.
        let text = |status| unsafe { CStr::from_ptr(stf_status_text(status)) }.to_str().unwrap();
        let texts: HashSet<&str> = StfStatus::ALL.iter().map(|&status| text(status as i32)).collect();
        assert_eq!(texts.len(), StfStatus::ALL.len());
        assert_eq!(text(-1), "unknown status");
    }
}
