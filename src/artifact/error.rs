//! What can be wrong with an artifact, by field.

use super::names::{Field, Rule};
use core::fmt;

/// A field of the manifest: of the head, or of one layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Place {
    /// Index of the layer; `None` for the head of the manifest.
    pub layer: Option<u16>,
    /// The field.
    pub field: Field,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.layer {
            Some(layer) => write!(f, "layer {layer}: {}", self.field),
            None => write!(f, "{}", self.field),
        }
    }
}

/// Why some bytes are not a model.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ArtifactError {
    /// The slice does not start at a multiple of 16.
    Misaligned {
        /// Its address modulo 16.
        remainder: usize,
    },
    /// The first four bytes are not `STFB`.
    Magic {
        /// What they are.
        found: [u8; 4],
    },
    /// A format that this reader does not know.
    Version {
        /// Version of the file.
        found: u16,
        /// Version of this reader.
        expected: u16,
    },
    /// A part of the file has another length than the header says.
    Length {
        /// The part: "file", "manifest", "blob".
        part: &'static str,
        /// Bytes there are.
        found: u64,
        /// Bytes there should be.
        expected: u64,
    },
    /// The bytes changed since the file was written.
    Checksum {
        /// CRC-32 of the bytes.
        found: u32,
        /// CRC-32 in the header.
        expected: u32,
    },
    /// The header has flags that this reader does not know.
    Flags {
        /// All flags; known is bit 0, a signature.
        found: u16,
    },
    /// A signature is asked for, and the file has none.
    Unsigned,
    /// The signature is not that of the public key for these bytes.
    Signature,
    /// The public key is none that can be trusted.
    PublicKey,
    /// The file is older than what the device has accepted before.
    Release {
        /// Release number of the file.
        found: u32,
        /// Least that is accepted.
        min: u32,
    },
    /// The manifest does not decode.
    Undecodable {
        /// The part that does not.
        at: Place,
    },
    /// A number is not the one that follows from the rest of the file.
    Mismatch {
        /// The field.
        at: Place,
        /// Its value.
        found: i64,
        /// What it should be.
        expected: i64,
    },
    /// A number is outside its range.
    Range {
        /// The field.
        at: Place,
        /// Its value.
        found: i64,
        /// Least allowed value.
        min: i64,
        /// Greatest allowed value.
        max: i64,
    },
    /// A real number is outside its range.
    Float {
        /// The field.
        at: Place,
        /// Its value.
        found: f32,
        /// The range, in words.
        expected: Rule,
    },
    /// The layers do not fit together.
    Rule {
        /// The field.
        at: Place,
        /// What should hold.
        expected: Rule,
    },
}

impl fmt::Display for ArtifactError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Misaligned { remainder } => {
                write!(f, "address: found remainder {remainder}, expected a multiple of 16")
            }
            Self::Magic { found } => write!(f, "magic: found {found:02x?}, expected \"STFB\""),
            Self::Version { found, expected } => {
                write!(f, "format version: found {found}, expected {expected}")
            }
            Self::Length { part, found, expected } => {
                write!(f, "{part}: found {found} bytes, expected {expected}")
            }
            Self::Checksum { found, expected } => {
                write!(f, "checksum: found {found:08x}, expected {expected:08x}")
            }
            Self::Flags { found } => write!(f, "header flags: found {found:#06x}, expected 0 or 1"),
            Self::Unsigned => write!(f, "signature: found none, expected one (the file is unsigned)"),
            Self::Signature => write!(f, "signature: found one that is not this key's for this file"),
            Self::PublicKey => write!(f, "public key: found 32 bytes that are no safe Ed25519 key"),
            Self::Release { found, min } => write!(f, "release: found {found}, expected at least {min}"),
            Self::Undecodable { at } => write!(f, "{at}: found bytes that do not decode"),
            Self::Mismatch { at, found, expected } => {
                write!(f, "{at}: found {found}, expected {expected}")
            }
            Self::Range { at, found, min, max } => {
                write!(f, "{at}: found {found}, expected {min} to {max}")
            }
            Self::Float { at, found, expected } => write!(f, "{at}: found {found}, expected {expected}"),
            Self::Rule { at, expected } => write!(f, "{at}: expected {expected}"),
        }
    }
}

impl core::error::Error for ArtifactError {}
