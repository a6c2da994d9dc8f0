//! The first 32 bytes of a file.

use super::crc::Crc32;
use super::error::{ArtifactError, Place};
use super::names::Field;

/// Alignment in bytes of the file in memory, of the blob section in the file and of every blob.
pub const ALIGNMENT: usize = 16;

/// Format version that this crate reads and writes.
pub const VERSION: u16 = 2;

pub(super) const MAGIC: [u8; 4] = *b"STFB";

/// Size of the header, in bytes; the manifest follows it.
pub(super) const HEADER_BYTES: usize = 32;

/// Where the CRC-32 of all other bytes stands.
pub(super) const CRC_AT: usize = 24;

/// Where the flags stand: bit 0 says that a signature ends the file, the others are zero.
const FLAGS_AT: usize = 6;

/// Where the release number stands.
const RELEASE_AT: usize = 28;

/// Size of the signature that ends a signed file, in bytes.
pub(super) const SIGNATURE_BYTES: usize = 64;

/// Sections of a file whose lengths, version and checksum agree.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sections<'a> {
    /// Everything, the signature included.
    pub(super) file: &'a [u8],
    pub(super) manifest: &'a [u8],
    pub(super) blob: &'a [u8],
    /// Not verified here.
    pub(super) signature: Option<&'a [u8; SIGNATURE_BYTES]>,
    /// Grows with every release of a model; 0 if nobody counts.
    pub(super) release: u32,
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
}

/// CRC-32 of a file, its own field left out.
pub(super) fn checksum(file: &[u8]) -> u32 {
    let (head, rest) = file.split_at(CRC_AT.min(file.len()));
    Crc32::new().update(head).update(rest.get(4..).unwrap_or_default()).value()
}

/// Whether a file has the bytes that its checksum was made of.
pub(super) fn check_sum(file: &[u8]) -> Result<(), ArtifactError> {
    let [found, expected] = [checksum(file), u32_at(file, CRC_AT)];
    if found == expected { Ok(()) } else { Err(ArtifactError::Checksum { found, expected }) }
}

/// Offset of the blob section behind a manifest of this many bytes.
pub(super) const fn blob_offset(manifest_len: usize) -> usize {
    (HEADER_BYTES + manifest_len).next_multiple_of(ALIGNMENT)
}

/// The header of a file with these lengths; the checksum is left zero.
#[cfg(feature = "alloc")]
pub(super) fn encode(manifest_len: u32, blob_len: u32, total_len: u32) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..4].copy_from_slice(&MAGIC);
    header[4..6].copy_from_slice(&VERSION.to_le_bytes());
    header[8..12].copy_from_slice(&total_len.to_le_bytes());
    header[12..16].copy_from_slice(&manifest_len.to_le_bytes());
    let offset = total_len - blob_len;
    header[16..20].copy_from_slice(&offset.to_le_bytes());
    header[20..24].copy_from_slice(&blob_len.to_le_bytes());
    header
}

/// Marks the header of a file as that of a signed one of this length.
#[cfg(all(feature = "alloc", feature = "signature"))]
pub(super) fn mark_signed(file: &mut [u8], total_len: u32, release: u32) {
    file[FLAGS_AT..FLAGS_AT + 2].copy_from_slice(&1_u16.to_le_bytes());
    file[8..12].copy_from_slice(&total_len.to_le_bytes());
    file[RELEASE_AT..RELEASE_AT + 4].copy_from_slice(&release.to_le_bytes());
}

/// Writes the checksum of a file that is complete but for it.
#[cfg(feature = "alloc")]
pub(super) fn seal(file: &mut [u8]) {
    let crc = checksum(file);
    file[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
}

/// Cuts a file that was checked before into its sections; `None` if it is none. Checks magic, version and
/// lengths, not the checksum.
pub(super) const fn cut(file: &[u8]) -> Option<Sections<'_>> {
    let Some((header, _)) = file.split_first_chunk::<HEADER_BYTES>() else { return None };
    let words = header.as_chunks::<4>().0;
    let found = [words[0][0], words[0][1], words[0][2], words[0][3], words[1][0], words[1][1]];
    let [version_low, version_high] = VERSION.to_le_bytes();
    let mut index = 0;
    while index < found.len() {
        if found[index] != [MAGIC[0], MAGIC[1], MAGIC[2], MAGIC[3], version_low, version_high][index] {
            return None;
        }
        index += 1;
    }
    let (body, signature) = match (words[1][2], file.split_last_chunk()) {
        (0, _) => (file, None),
        (_, Some((body, signature))) => (body, Some(signature)),
        _ => return None,
    };
    let manifest_len = u32::from_le_bytes(words[3]) as usize;
    let offset = u32::from_le_bytes(words[4]) as usize;
    let Some((head, blob)) = body.split_at_checked(offset) else { return None };
    let Some((_, rest)) = head.split_at_checked(HEADER_BYTES) else { return None };
    let Some((manifest, _)) = rest.split_at_checked(manifest_len) else { return None };
    Some(Sections { file, manifest, blob, signature, release: u32::from_le_bytes(words[7]) })
}

/// Reads the header and cuts the file into its sections.
pub(super) fn decode(file: &[u8]) -> Result<Sections<'_>, ArtifactError> {
    let remainder = file.as_ptr().addr() % ALIGNMENT;
    if remainder != 0 {
        return Err(ArtifactError::Misaligned { remainder });
    }
    let length = |part, found: usize, expected: usize| {
        if found == expected {
            Ok(())
        } else {
            Err(ArtifactError::Length { part, found: found as u64, expected: expected as u64 })
        }
    };
    if file.len() < HEADER_BYTES {
        length("header", file.len(), HEADER_BYTES)?;
    }
    let found = [file[0], file[1], file[2], file[3]];
    if found != MAGIC {
        return Err(ArtifactError::Magic { found });
    }
    let version = u16::from_le_bytes([file[4], file[5]]);
    if version != VERSION {
        return Err(ArtifactError::Version { found: version, expected: VERSION });
    }
    length("file", file.len(), u32_at(file, 8) as usize)?;
    check_sum(file)?;
    let whole = file;
    let flags = u16::from_le_bytes([file[FLAGS_AT], file[FLAGS_AT + 1]]);
    if flags > 1 {
        return Err(ArtifactError::Flags { found: flags });
    }
    let release = u32_at(file, RELEASE_AT);
    let (file, signature) = if flags == 1 {
        let Some((body, signature)) = file.split_last_chunk().filter(|(body, _)| body.len() >= HEADER_BYTES)
        else {
            return Err(ArtifactError::Length {
                part: "signed file",
                found: file.len() as u64,
                expected: (HEADER_BYTES + SIGNATURE_BYTES) as u64,
            });
        };
        (body, Some(signature))
    } else if release != 0 {
        let at = Place { layer: None, field: Field::ReleaseOfUnsigned };
        return Err(ArtifactError::Mismatch { at, found: release.into(), expected: 0 });
    } else {
        (file, None)
    };
    let [manifest_len, offset, blob_len] = [12, 16, 20].map(|at| u32_at(file, at) as usize);
    let end = HEADER_BYTES.saturating_add(manifest_len);
    if end > file.len() {
        length("manifest", file.len() - HEADER_BYTES, manifest_len)?;
    }
    length("offset of the blob section", offset, blob_offset(manifest_len))?;
    length("blob section", file.len().saturating_sub(offset), blob_len)?;
    match (file.get(HEADER_BYTES..end), file.get(offset..)) {
        (Some(manifest), Some(blob)) => Ok(Sections { file: whole, manifest, blob, signature, release }),
        _ => Err(ArtifactError::Length {
            part: "file",
            found: file.len() as u64,
            expected: offset as u64 + blob_len as u64,
        }),
    }
}
