//! Strict reader of WAV files: uncompressed 16-bit PCM, mono or stereo. Other chunks are passed over.

use crate::error::{Error, Result};
use std::fmt::Display;
use std::path::Path;

/// Longer files are taken for a mistake.
const MAX_BYTES: u64 = 1 << 30;
const PCM: u16 = 1;
/// The format is in the extension.
const EXTENSIBLE: u16 = 0xfffe;

/// One recording, mono.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// Samples a second.
    pub sample_rate: u32,
    /// Of stereo files the mean of both channels, rounded down.
    pub samples: Vec<i16>,
}

/// Reads a file.
///
/// # Errors
/// If it cannot be read, or is no 16-bit PCM with one or two channels; the message names the field.
pub fn read(path: &Path) -> Result<Recording> {
    let bytes = std::fs::metadata(path).map_err(Error::io(path, "open"))?.len();
    if bytes > MAX_BYTES {
        return Err(Error::malformed(path, "bytes", bytes, format!("at most {MAX_BYTES}")));
    }
    parse(path, &std::fs::read(path).map_err(Error::io(path, "read"))?)
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Recording> {
    let Some((head, mut rest)) = bytes.split_first_chunk::<12>() else {
        return Err(Error::malformed(path, "bytes", bytes.len(), "a WAV file: at least 44"));
    };
    if &head[..4] != b"RIFF" || &head[8..] != b"WAVE" {
        return Err(Error::malformed(path, "magic", head.escape_ascii(), "RIFF, a size and WAVE"));
    }
    let mut format = None;
    while let Some((head, after)) = rest.split_first_chunk::<8>() {
        let size = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let name = head[..4].escape_ascii();
        let Some(content) = after.get(..size) else {
            return Err(Error::malformed(path, format!("bytes of the chunk {name}"), after.len(), size));
        };
        match &head[..4] {
            b"fmt " => format = Some(Format::parse(path, content)?),
            b"data" => {
                let format =
                    format.ok_or_else(|| Error::malformed(path, "first chunk", "data", "fmt before data"))?;
                return format.recording(path, content);
            }
            _ => {}
        }
        // Chunks start at even places.
        rest = after.get(size + size % 2..).unwrap_or_default();
    }
    Err(Error::malformed(path, "chunks", "no data", "fmt and data"))
}

struct Format {
    channels: u16,
    sample_rate: u32,
}

impl Format {
    fn parse(path: &Path, chunk: &[u8]) -> Result<Self> {
        let bad = |field: &str, found: &dyn Display, expected: &str| {
            Err(Error::malformed(path, field, found, expected))
        };
        if chunk.len() < 16 {
            return bad("bytes of the chunk fmt", &chunk.len(), "16 or more");
        }
        let half = |at: usize| chunk.get(at..at + 2).map_or(0, |b| u16::from_le_bytes([b[0], b[1]]));
        let coding = if half(0) == EXTENSIBLE { half(24) } else { half(0) };
        let (channels, bits) = (half(2), half(14));
        let sample_rate = u32::from(half(4)) | u32::from(half(6)) << 16;
        if coding != PCM {
            return bad("format", &coding, "1, uncompressed PCM");
        }
        if !(1..=2).contains(&channels) {
            return bad("channels", &channels, "1 or 2");
        }
        if bits != 16 {
            return bad("bits of a sample", &bits, "16");
        }
        if half(12) != 2 * channels {
            return bad("bytes of a frame", &half(12), &(2 * channels).to_string());
        }
        if !(1_000..=192_000).contains(&sample_rate) {
            return bad("sample rate", &sample_rate, "1,000 to 192,000");
        }
        Ok(Self { channels, sample_rate })
    }

    fn recording(&self, path: &Path, data: &[u8]) -> Result<Recording> {
        let size = 2 * usize::from(self.channels);
        if !data.len().is_multiple_of(size) {
            return Err(Error::malformed(
                path,
                "bytes of the chunk data",
                data.len(),
                format!("a multiple of {size}"),
            ));
        }
        let samples = match self.channels {
            1 => data.as_chunks().0.iter().map(|&pair| i16::from_le_bytes(pair)).collect(),
            _ => data.as_chunks().0.iter().map(mean).collect(),
        };
        Ok(Recording { sample_rate: self.sample_rate, samples })
    }
}

fn mean(&[a, b, c, d]: &[u8; 4]) -> i16 {
    let sum = i32::from(i16::from_le_bytes([a, b])) + i32::from(i16::from_le_bytes([c, d]));
    (sum >> 1) as i16
}

/// A file of this content, for tests.
#[cfg(test)]
pub(crate) fn bytes(channels: u16, sample_rate: u32, samples: &[i16]) -> Vec<u8> {
    let mut fmt = Vec::new();
    for half in [PCM, channels] {
        fmt.extend(half.to_le_bytes());
    }
    fmt.extend(sample_rate.to_le_bytes());
    fmt.extend((sample_rate * 2 * u32::from(channels)).to_le_bytes());
    for half in [2 * channels, 16] {
        fmt.extend(half.to_le_bytes());
    }
    let data: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let mut file = b"RIFF\0\0\0\0WAVE".to_vec();
    // A chunk of odd length, with its filling byte, which readers pass over.
    for (name, content) in [(b"fmt ", &fmt[..]), (b"LIST", b"abc"), (b"data", &data)] {
        file.extend(name);
        file.extend((content.len() as u32).to_le_bytes());
        file.extend(content);
        file.resize(file.len().next_multiple_of(2), 0);
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::testing::write;

    #[test]
    fn mono_and_stereo_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let mono = read(&write(dir.path(), "a.wav", &bytes(1, 8_000, &[1, -2, i16::MIN]))).unwrap();
        assert_eq!(mono, Recording { sample_rate: 8_000, samples: vec![1, -2, i16::MIN] });
        let both = [i16::MAX, i16::MAX, -3, 0, i16::MIN, i16::MIN];
        let stereo = read(&write(dir.path(), "b.wav", &bytes(2, 16_000, &both))).unwrap();
        assert_eq!(stereo, Recording { sample_rate: 16_000, samples: vec![i16::MAX, -2, i16::MIN] });
    }

    #[test]
    fn errors_name_the_file_and_the_field() {
        let good = bytes(1, 8_000, &[1, 2]);
        let change = |at: usize, value: u8| {
            let mut bytes = good.clone();
            bytes[at] = value;
            bytes
        };
        let cases = [
            (vec![0; 11], "bytes: found 11"),
            (change(0, b'X'), "magic: found XIFF"),
            (change(20, 6), "format: found 6, expected 1"),
            (change(22, 3), "channels: found 3, expected 1 or 2"),
            (change(25, 0), "sample rate: found 64"),
            (change(32, 4), "bytes of a frame: found 4, expected 2"),
            (change(34, 8), "bits of a sample: found 8, expected 16"),
            (change(16, 15), "bytes of the chunk fmt: found 15"),
            (change(12, b'g'), "fmt before data"),
            (change(52, 3), "bytes of the chunk data: found 3, expected a multiple of 2"),
            (good[..good.len() - 1].to_vec(), "bytes of the chunk data: found 3, expected 4"),
            (good[..48].to_vec(), "chunks: found no data"),
        ];
        for (bytes, expected) in cases {
            let message = parse(Path::new("a.wav"), &bytes).unwrap_err().to_string();
            assert!(message.starts_with("a.wav: ") && message.contains(expected), "{message}, {expected}");
        }
    }

    #[test]
    fn no_bytes_panic() {
        let good = bytes(2, 8_000, &[1, 2, 3, 4]);
        for at in 0..good.len() {
            let _ = parse(Path::new("a.wav"), &good[..at]);
            for value in [0, 1, 127, 255] {
                let mut changed = good.clone();
                changed[at] = value;
                let _ = parse(Path::new("a.wav"), &changed);
            }
        }
    }
}
