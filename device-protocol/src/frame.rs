//! Messages to bytes and back.

use core::fmt;
use crc::{CRC_32_ISO_HDLC, Crc};
use postcard::ser_flavors::{Cobs, Slice, crc::CrcModifier};
use serde::{Deserialize, Serialize};

const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// Bytes of the checksum.
const CRC_BYTES: usize = 4;

/// Why bytes are no message, or a message no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameError {
    /// Not COBS, or the checksum differs: damaged on the way.
    Damaged,
    /// Intact, but no message of this version.
    Unknown,
    /// The message does not fit the buffer.
    TooLong,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Damaged => "frame damaged on the way",
            Self::Unknown => "frame with a message of another version",
            Self::TooLong => "message longer than the frame buffer",
        })
    }
}

impl core::error::Error for FrameError {}

/// Bytes of the longest frame of a model with this many inputs and outputs, its end included.
#[must_use]
pub const fn frame_bytes(inputs: usize, outputs: usize) -> usize {
    // The longest fixed part is that of `Hello`: numbers, and two texts cut by the server.
    let fixed = 192;
    let variable = if inputs > 8 * outputs { inputs } else { 8 * outputs };
    let message = fixed + variable + CRC_BYTES;
    message + message / 254 + 2
}

/// Encodes a message as one frame, its zero byte at the end included.
///
/// # Errors
/// If it does not fit `buffer`.
pub fn encode<'b, T: Serialize>(message: &T, buffer: &'b mut [u8]) -> Result<&'b [u8], FrameError> {
    let cobs = Cobs::try_new(Slice::new(buffer)).map_err(|_| FrameError::TooLong)?;
    postcard::serialize_with_flavor(message, CrcModifier::new(cobs, CRC.digest()))
        .map(|frame: &mut [u8]| &*frame)
        .map_err(|_| FrameError::TooLong)
}

/// Decodes one frame in place; `frame` is without its zero byte.
///
/// # Errors
/// If it was damaged, or is no message of this version.
pub fn decode<'b, T: Deserialize<'b>>(frame: &'b mut [u8]) -> Result<T, FrameError> {
    let length = cobs::decode_in_place(frame).map_err(|_| FrameError::Damaged)?;
    let frame = frame.get(..length).ok_or(FrameError::Damaged)?;
    let (message, checksum) = frame.split_last_chunk::<CRC_BYTES>().ok_or(FrameError::Damaged)?;
    if CRC.checksum(message) != u32::from_le_bytes(*checksum) {
        return Err(FrameError::Damaged);
    }
    match postcard::take_from_bytes(message) {
        Ok((value, [])) => Ok(value),
        _ => Err(FrameError::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_single_bit_error_is_found() {
        let mut buffer = [0; 64];
        let message: (u16, &[u8]) = (7, &[0, 1, 2, 0, 0, 255]);
        let frame = encode(&message, &mut buffer).unwrap().to_vec();
        let (&end, body) = frame.split_last().unwrap();
        assert_eq!(end, 0);
        assert!(!body.contains(&0));
        assert_eq!(decode::<(u16, &[u8])>(&mut body.to_vec()).unwrap(), message);
        for bit in 0..8 * body.len() {
            let mut bad = body.to_vec();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode::<(u16, &[u8])>(&mut bad), Err(FrameError::Damaged), "{bit}");
        }
        for cut in 0..body.len() {
            assert_eq!(decode::<(u16, &[u8])>(&mut body[..cut].to_vec()), Err(FrameError::Damaged));
        }
    }

    #[test]
    fn other_messages_and_short_buffers_are_errors() {
        let mut buffer = [0; 64];
        let mut frame = encode(&(1_u8, 2_u8, 3_u8), &mut buffer).unwrap().to_vec();
        frame.pop();
        assert_eq!(decode::<(u8, u8)>(&mut frame), Err(FrameError::Unknown));
        assert_eq!(encode(&[1_u8; 9], &mut [0; 8]), Err(FrameError::TooLong));
    }
}
