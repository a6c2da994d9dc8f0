//! Signed artifacts: who wrote the file, and that it is not older than what the device has seen.
//!
//! The last 64 bytes of a signed file are an Ed25519 signature (RFC 8032) of
//!
//! ```text
//! "stf-bnn artifact" || SHA-512(every byte but the checksum's four and the signature)
//! ```
//!
//! so that a device reads the file once and holds no copy. The header's `release` number is among
//! those bytes: a device that remembers the greatest it has accepted cannot be talked back to an
//! old file.

use super::check;
use super::error::ArtifactError;
use super::header::{self, CRC_AT, SIGNATURE_BYTES};
use super::model::Model;
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest, Sha512};

/// Start of the signed message: a signature for another purpose is none for an artifact.
const CONTEXT: &[u8; 16] = b"stf-bnn artifact";

/// An Ed25519 public key that is safe to verify with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Length in bytes.
    pub const BYTES: usize = 32;

    /// From the 32 bytes of RFC 8032.
    ///
    /// # Errors
    /// [`ArtifactError::PublicKey`] if they are no point of the curve, or one of small order, for
    /// which anybody can make signatures.
    pub fn from_bytes(bytes: &[u8; Self::BYTES]) -> Result<Self, ArtifactError> {
        match VerifyingKey::from_bytes(bytes) {
            Ok(key) if !key.is_weak() => Ok(Self(key)),
            _ => Err(ArtifactError::PublicKey),
        }
    }

    /// The 32 bytes of RFC 8032.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        self.0.to_bytes()
    }
}

impl<'a> Model<'a> {
    /// As [`Model::from_bytes`], for a file that must come from the holder of `key`'s secret half and
    /// must not be older than `min_release`. The signature is verified before the manifest is decoded.
    ///
    /// A device stores the greatest [`Model::release`] that it has accepted and passes it here.
    ///
    /// # Errors
    /// [`ArtifactError::Unsigned`], [`ArtifactError::Signature`], [`ArtifactError::Release`], and all of
    /// [`Model::from_bytes`].
    pub fn from_signed(bytes: &'a [u8], key: &PublicKey, min_release: u32) -> Result<Self, ArtifactError> {
        let sections = header::decode(bytes)?;
        let signature = sections.signature.ok_or(ArtifactError::Unsigned)?;
        let signature = Signature::from_bytes(signature);
        key.0.verify_strict(&message(bytes), &signature).map_err(|_| ArtifactError::Signature)?;
        if sections.release < min_release {
            return Err(ArtifactError::Release { found: sections.release, min: min_release });
        }
        Self::from_sections(&sections, Some(check::FACTS))
    }
}

/// The 80 bytes that are signed.
fn message(signed_file: &[u8]) -> [u8; 80] {
    let body = signed_file.len().saturating_sub(SIGNATURE_BYTES);
    let (head, rest) = signed_file.split_at(CRC_AT.min(body));
    let mut hash = Sha512::new();
    hash.update(head);
    hash.update(rest.get(4..rest.len() - SIGNATURE_BYTES).unwrap_or_default());
    let mut message = [0; 80];
    message[..16].copy_from_slice(CONTEXT);
    message[16..].copy_from_slice(&hash.finalize());
    message
}

/// A signed copy of an artifact, with this release number; a signature that it had is replaced.
///
/// `secret_key` is the 32-byte seed of RFC 8032.
///
/// # Errors
/// If `artifact` is not one: all of [`Model::from_bytes`].
#[cfg(feature = "alloc")]
pub fn sign(
    artifact: &[u8],
    secret_key: &[u8; 32],
    release: u32,
) -> Result<alloc::vec::Vec<u8>, ArtifactError> {
    use ed25519_dalek::Signer;
    let aligned = super::AlignedBytes::new(artifact);
    let was_signed = Model::from_bytes(&aligned)?.is_signed();
    let body = artifact.len() - if was_signed { SIGNATURE_BYTES } else { 0 };
    let total = body + SIGNATURE_BYTES;
    let total_len = u32::try_from(total).map_err(|_| ArtifactError::Length {
        part: "file",
        found: total as u64,
        expected: u32::MAX.into(),
    })?;
    let mut file = artifact[..body].to_vec();
    header::mark_signed(&mut file, total_len, release);
    file.resize(total, 0);
    let signature = ed25519_dalek::SigningKey::from_bytes(secret_key).sign(&message(&file));
    file[body..].copy_from_slice(&signature.to_bytes());
    header::seal(&mut file);
    Ok(file)
}

/// The public half of a secret key (32-byte seed of RFC 8032).
#[must_use]
pub fn public_key(secret_key: &[u8; 32]) -> PublicKey {
    PublicKey(ed25519_dalek::SigningKey::from_bytes(secret_key).verifying_key())
}
