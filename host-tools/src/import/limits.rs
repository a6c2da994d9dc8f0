//! How much memory decoding a file would take, found by walking its protobuf fields before anything is
//! allocated: two bytes of a hostile file can stand for a structure of hundreds.

use crate::error::{Error, Result};
use std::path::Path;

/// Largest file that is read, bytes.
pub const MAX_FILE_BYTES: u64 = 256 << 20;

/// Most bytes that the decoded model may take.
const MAX_DECODED_BYTES: u64 = 1 << 30;

/// Deepest nesting of messages; a flat graph has 5 levels.
const MAX_DEPTH: usize = 24;

/// More than the size of any decoded message without its fields.
const MESSAGE_BYTES: u64 = 512;

/// A decoded string or byte array beyond its content.
const STRING_BYTES: u64 = 64;

/// Messages of ONNX whose fields matter here.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    /// Any other: every byte is charged as a structure of its own.
    Other,
}

/// What a length-delimited field holds.
enum Content {
    Message(Message),
    /// Numbers of one byte or more, 8 bytes decoded.
    Packed,
    Bytes,
}

fn content(message: Message, field: u64) -> Content {
    use Content::{Bytes, Message as Sub, Packed};
    match (message, field) {
        (Message::Model, 7) => Sub(Message::Graph),
        (Message::Model, 2..=6) => Bytes,
        (Message::Graph, 1) => Sub(Message::Node),
        (Message::Graph, 5) => Sub(Message::Tensor),
        (Message::Graph, 2 | 10) => Bytes,
        (Message::Node, 5) => Sub(Message::Attribute),
        (Message::Node, _) => Bytes,
        (Message::Attribute, 5 | 10) => Sub(Message::Tensor),
        (Message::Attribute, 6 | 11) => Sub(Message::Graph),
        (Message::Attribute, 8) => Packed,
        (Message::Attribute, 1 | 4 | 7 | 9 | 13 | 21) => Bytes,
        (Message::Tensor, 1 | 5 | 7 | 11) => Packed,
        (Message::Tensor, 4 | 6 | 8 | 9 | 10 | 12) => Bytes,
        _ => Sub(Message::Other),
    }
}

/// Refuses what is no protobuf, is cut short, nests too deep or would take too much memory decoded.
///
/// # Errors
/// The first of these, with its place in bytes.
pub fn check(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut scan = Scan { path, bytes, decoded: 0 };
    scan.message(Message::Model, 0, bytes.len(), 0)
}

struct Scan<'a> {
    path: &'a Path,
    bytes: &'a [u8],
    decoded: u64,
}

impl Scan<'_> {
    fn message(&mut self, message: Message, mut at: usize, end: usize, depth: usize) -> Result<()> {
        if depth > MAX_DEPTH {
            return Err(self.error(at, "messages nested too deep", format!("at most {MAX_DEPTH} levels")));
        }
        while at < end {
            let key = self.varint(&mut at, end)?;
            self.charge(8, at)?;
            match key & 7 {
                0 => _ = self.varint(&mut at, end)?,
                1 => at = self.skip(at, 8, end)?,
                5 => at = self.skip(at, 4, end)?,
                2 => {
                    let len = self.varint(&mut at, end)?;
                    let stop = self.skip(at, len, end)?;
                    self.delimited(content(message, key >> 3), at, stop, depth)?;
                    at = stop;
                }
                kind => {
                    let found = format!("wire type {kind}");
                    return Err(self.error(at, found, "an ONNX file (protobuf wire type 0, 1, 2 or 5)"));
                }
            }
        }
        Ok(())
    }

    fn delimited(&mut self, content: Content, at: usize, stop: usize, depth: usize) -> Result<()> {
        let len = (stop - at) as u64;
        match content {
            Content::Message(Message::Other) => self.charge(MESSAGE_BYTES + len * 64, at),
            Content::Message(message) => {
                self.charge(MESSAGE_BYTES, at)?;
                self.message(message, at, stop, depth + 1)
            }
            Content::Packed => self.charge(STRING_BYTES + len * 8, at),
            Content::Bytes => self.charge(STRING_BYTES + len, at),
        }
    }

    fn charge(&mut self, bytes: u64, at: usize) -> Result<()> {
        self.decoded = self.decoded.saturating_add(bytes);
        if self.decoded > MAX_DECODED_BYTES {
            let expected = format!("at most {} MiB", MAX_DECODED_BYTES >> 20);
            return Err(self.error(at, "more than that when decoded", expected));
        }
        Ok(())
    }

    fn varint(&self, at: &mut usize, end: usize) -> Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let Some(&byte) = self.bytes[..end].get(*at) else { break };
            *at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.error(*at, "a number cut short", "an ONNX file (protobuf)"))
    }

    fn skip(&self, at: usize, len: u64, end: usize) -> Result<usize> {
        let stop = usize::try_from(len).ok().and_then(|len| at.checked_add(len)).filter(|&stop| stop <= end);
        stop.ok_or_else(|| {
            let found = format!("a field of {len} bytes where {} are left", end - at);
            self.error(at, found, "a whole ONNX file (protobuf)")
        })
    }

    fn error(&self, at: usize, found: impl ToString, expected: impl ToString) -> Error {
        Error::malformed(self.path, format!("byte {at}"), found, expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: &[u8]) -> String {
        check(Path::new("m.onnx"), bytes).unwrap_err().to_string()
    }

    #[test]
    fn what_is_cut_short_or_foreign_is_an_error_with_its_place() {
        assert!(check(Path::new("m.onnx"), &[0x08, 0x08, 0x12, 0x01, b'x']).is_ok());
        assert_eq!(
            message(&[0x08, 0x08, 0x12, 0x05, b'x']),
            "m.onnx: byte 4: found a field of 5 bytes where 1 are left, expected a whole ONNX file (protobuf)"
        );
        assert!(message(&[0x08, 0xff]).contains("a number cut short"));
        assert!(message(b"PK\x03\x04").contains("byte"));
        assert!(message(&[0xff; 40]).contains("a number cut short"));
    }

    /// 20 MB of empty nodes would be 10 GB of structures.
    #[test]
    fn amplification_is_refused_before_anything_is_allocated() {
        let nodes = [0x0a, 0x00].repeat(10 << 20);
        let mut file = vec![0x3a];
        let mut len = nodes.len();
        while len > 0x7f {
            file.push(len as u8 | 0x80);
            len >>= 7;
        }
        file.push(len as u8);
        file.extend(nodes);
        assert!(message(&file).contains("at most 1024 MiB"));
    }

    #[test]
    fn nesting_is_bounded() {
        let mut file = Vec::new();
        for _ in 0..60 {
            // From the inside: graph (attribute field 6), attribute (node field 5), node (graph field 1).
            for key in &[0x32, 0x2a, 0x0a] {
                let len = file.len();
                let mut outer = vec![*key, len as u8 | 0x80, (len >> 7) as u8];
                outer.append(&mut file);
                file = outer;
            }
        }
        let mut model = vec![0x3a, file.len() as u8 | 0x80, (file.len() >> 7) as u8];
        model.append(&mut file);
        let text = message(&model);
        assert!(text.contains("nested too deep"), "{text}");
    }
}
