//! The first 64 bytes of a shard: magic (8), version, element (bytes of a value: 1 or 4), height, width,
//! channels, number of records, CRC-32 of the labels (4 each), zeros, CRC-32 of the 60 bytes before it.

use super::super::dataset::Element;
use super::index::VERSION;
use crate::error::{Error, Result};
use crate::graph::Shape;
use std::path::Path;

/// Bytes of the header.
pub(super) const LEN: usize = 64;
const MAGIC: &[u8; 8] = b"STFSHARD";
const CHECKED: usize = LEN - 4;

/// What the header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub element: Element,
    pub shape: Shape,
    pub records: u32,
    pub labels_crc: u32,
}

/// CRC-32 (IEEE 802.3).
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

impl Header {
    pub fn to_bytes(self) -> [u8; LEN] {
        let Shape { height, width, channels } = self.shape;
        let sizes = [self.element.bytes(), height, width, channels].map(|size| size as u32);
        let mut bytes = [0; LEN];
        bytes[..8].copy_from_slice(MAGIC);
        let words = [VERSION].into_iter().chain(sizes).chain([self.records, self.labels_crc]);
        for (target, word) in bytes[8..].chunks_exact_mut(4).zip(words) {
            target.copy_from_slice(&word.to_le_bytes());
        }
        let crc = crc32(&bytes[..CHECKED]);
        bytes[CHECKED..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub fn from_bytes(path: &Path, bytes: &[u8; LEN]) -> Result<Self> {
        let word = |index: usize| {
            let at = 8 + 4 * index;
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        if &bytes[..8] != MAGIC {
            let found = String::from_utf8_lossy(&bytes[..8]).escape_debug().to_string();
            return Err(Error::malformed(path, "magic", found, "STFSHARD"));
        }
        if word(0) != VERSION {
            return Err(Error::malformed(path, "version", word(0), VERSION));
        }
        let crc = u32::from_le_bytes([bytes[60], bytes[61], bytes[62], bytes[63]]);
        if crc != crc32(&bytes[..CHECKED]) {
            let expected = format!("{:08x}", crc32(&bytes[..CHECKED]));
            return Err(Error::malformed(path, "checksum of the header", format!("{crc:08x}"), expected));
        }
        let element = Element::of_bytes(word(1))
            .ok_or_else(|| Error::malformed(path, "bytes of a value", word(1), "1 (u8) or 4 (f32)"))?;
        let [height, width, channels] = [2, 3, 4].map(|index| word(index) as usize);
        Ok(Self { element, shape: Shape { height, width, channels }, records: word(5), labels_crc: word(6) })
    }
}
