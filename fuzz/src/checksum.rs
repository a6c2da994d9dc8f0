//! Checksums of the formats, so that damage gets past the door.

use crc::{CRC_32_ISO_HDLC, Crc};

/// The CRC-32 of artifacts, frames, PNG and ZIP.
pub const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// Gives every chunk of a PNG file the checksum of what it holds.
pub fn repair_png(file: &mut Vec<u8>) {
    let mut at = 8;
    while let Some(head) = file.get(at..at + 8) {
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let Some(end) = at.checked_add(8).and_then(|start| start.checked_add(length)) else { return };
        let Some(content) = file.get(at + 4..end) else { return };
        let sum = CRC.checksum(content).to_be_bytes();
        let Some(place) = file.get_mut(end..end + 4) else { return };
        place.copy_from_slice(&sum);
        at = end + 4;
    }
}
