//! NumPy's `.npy` format, versions 1 to 3: a header in Python syntax, then the raw array.
//!
//! Specification: NumPy Enhancement Proposal 1, "A Simple File Format for NumPy Arrays".

use super::memory::{collect, reserve};
use crate::error::{Error, Result};
use std::io::{ErrorKind, Read};
use std::path::Path;

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// Longest header accepted, in bytes; NumPy itself writes about 100.
const MAX_HEADER: usize = 1 << 16;
/// Largest array accepted, in bytes.
const MAX_BYTES: u64 = 1 << 34;

/// Element type. Little-endian, or one byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `|u1`
    U8,
    /// `|i1`
    I8,
    /// `<u2`
    U16,
    /// `<i2`
    I16,
    /// `<u4`
    U32,
    /// `<i4`
    I32,
    /// `<u8`
    U64,
    /// `<i8`
    I64,
    /// `<f4`
    F32,
    /// `<f8`
    F64,
}

/// An array in C order.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Element type.
    pub kind: Kind,
    /// Sizes of the dimensions.
    pub shape: Vec<usize>,
    /// Little-endian elements in C order.
    pub bytes: Vec<u8>,
}

struct Header {
    kind: Kind,
    fortran_order: bool,
    shape: Vec<usize>,
}

impl Kind {
    /// Bytes of an element.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }

    fn parse(descr: &str) -> Option<Self> {
        Some(match descr {
            "|u1" | "<u1" | "|b1" => Self::U8,
            "|i1" | "<i1" => Self::I8,
            "<u2" => Self::U16,
            "<i2" => Self::I16,
            "<u4" => Self::U32,
            "<i4" => Self::I32,
            "<u8" => Self::U64,
            "<i8" => Self::I64,
            "<f4" => Self::F32,
            "<f8" => Self::F64,
            _ => return None,
        })
    }
}

impl Array {
    /// Reads an array; `part` names it in errors, beside `path`.
    ///
    /// # Errors
    /// If the reader fails, the header is malformed or of an unsupported type, or the content is
    /// shorter or longer than the header says.
    pub fn read(path: &Path, part: &str, mut reader: impl Read) -> Result<Self> {
        let header = read_header(path, part, &mut reader)?;
        let field = |what: &str| format!("{part}{what}");
        let elements = header.shape.iter().try_fold(1_u64, |total, &size| total.checked_mul(size as u64));
        let bytes = elements.and_then(|elements| elements.checked_mul(header.kind.size() as u64));
        let Some(total) = bytes.filter(|&bytes| bytes <= MAX_BYTES) else {
            let expected = format!("at most {MAX_BYTES} bytes");
            return Err(Error::malformed(path, field("shape"), format!("{:?}", header.shape), expected));
        };
        // Memory grows with what is there, not with what the header says.
        let mut bytes = Vec::new();
        reader.take(total + 1).read_to_end(&mut bytes).map_err(Error::io(path, "read"))?;
        if bytes.len() as u64 != total {
            let found = if bytes.len() as u64 > total { "more".to_string() } else { bytes.len().to_string() };
            return Err(Error::malformed(path, field("bytes after the header"), found, total));
        }
        if header.fortran_order {
            bytes = fortran_to_c(path, &bytes, &header.shape, header.kind.size())?;
        }
        Ok(Self { kind: header.kind, shape: header.shape, bytes })
    }

    /// The elements as integers; `None` for floats.
    #[must_use]
    pub fn integers(&self) -> Option<Box<dyn Iterator<Item = i128> + '_>> {
        let bytes = &self.bytes;
        Some(match self.kind {
            Kind::U8 => Box::new(bytes.iter().map(|&value| value.into())),
            Kind::I8 => Box::new(bytes.iter().map(|&value| value.cast_signed().into())),
            Kind::U16 => Box::new(elements(bytes).map(|b| u16::from_le_bytes(b).into())),
            Kind::I16 => Box::new(elements(bytes).map(|b| i16::from_le_bytes(b).into())),
            Kind::U32 => Box::new(elements(bytes).map(|b| u32::from_le_bytes(b).into())),
            Kind::I32 => Box::new(elements(bytes).map(|b| i32::from_le_bytes(b).into())),
            Kind::U64 => Box::new(elements(bytes).map(|b| u64::from_le_bytes(b).into())),
            Kind::I64 => Box::new(elements(bytes).map(|b| i64::from_le_bytes(b).into())),
            Kind::F32 | Kind::F64 => return None,
        })
    }

    /// The elements rounded to f32; `path` is named in errors.
    ///
    /// # Errors
    /// If they do not fit in memory.
    pub fn to_f32(&self, path: &Path) -> Result<Vec<f32>> {
        let count = self.bytes.len() / self.kind.size();
        match (self.kind, self.integers()) {
            (_, Some(integers)) => collect(path, count, integers.map(|value| value as f32)),
            (Kind::F64, _) => {
                collect(path, count, elements(&self.bytes).map(|b| f64::from_le_bytes(b) as f32))
            }
            _ => collect(path, count, elements(&self.bytes).map(f32::from_le_bytes)),
        }
    }
}

fn elements<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes.as_chunks::<N>().0.iter().copied()
}

/// Element at C index (i0, i1, ...) is at i0 + n0 * (i1 + n1 * ...) in Fortran order.
fn fortran_to_c(path: &Path, bytes: &[u8], shape: &[usize], size: usize) -> Result<Vec<u8>> {
    let strides: Vec<usize> = shape
        .iter()
        .scan(1, |stride, &length| {
            let own = *stride;
            *stride *= length;
            Some(own)
        })
        .collect();
    let mut out = Vec::new();
    reserve(path, &mut out, bytes.len())?;
    let mut index = vec![0; shape.len()];
    for _ in 0..bytes.len() / size {
        let at: usize = index.iter().zip(&strides).map(|(i, stride)| i * stride).sum();
        out.extend_from_slice(&bytes[at * size..(at + 1) * size]);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    Ok(out)
}

fn read_header(path: &Path, part: &str, reader: &mut impl Read) -> Result<Header> {
    let mut start = [0; 8];
    fill(path, part, reader, &mut start)?;
    if start[..6] != *MAGIC || !(1..=3).contains(&start[6]) {
        let found = String::from_utf8_lossy(&start).escape_debug().to_string();
        return Err(Error::malformed(path, format!("{part}magic"), found, "\\x93NUMPY, version 1 to 3"));
    }
    let mut length = [0; 4];
    let digits = if start[6] == 1 { 2 } else { 4 };
    fill(path, part, reader, &mut length[..digits])?;
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_HEADER {
        return Err(Error::malformed(
            path,
            format!("{part}header length"),
            length,
            format!("at most {MAX_HEADER}"),
        ));
    }
    let mut text = vec![0; length];
    fill(path, part, reader, &mut text)?;
    parse_header(path, part, &String::from_utf8_lossy(&text))
}

fn fill(path: &Path, part: &str, reader: &mut impl Read, bytes: &mut [u8]) -> Result<()> {
    reader.read_exact(bytes).map_err(|source| match source.kind() {
        ErrorKind::UnexpectedEof => Error::malformed(
            path,
            format!("{part}header"),
            "the end of the file",
            format!("{} bytes", bytes.len()),
        ),
        _ => Error::io(path, "read")(source),
    })
}

fn parse_header(path: &Path, part: &str, text: &str) -> Result<Header> {
    let bad = |field: &str, found: &str, expected: &str| {
        Error::malformed(path, format!("{part}{field}"), found.escape_debug(), expected)
    };
    let dictionary = || bad("header", text.trim_end(), "keys descr, fortran_order and shape");
    let descr = value_of(text, "descr").ok_or_else(dictionary)?;
    let fortran = value_of(text, "fortran_order").ok_or_else(dictionary)?;
    let shape = value_of(text, "shape").ok_or_else(dictionary)?;
    let quoted = descr.split(['\'', '"']).nth(1).unwrap_or(descr);
    let kind = Kind::parse(quoted)
        .ok_or_else(|| bad("descr", quoted, "u1, i1 to i8, u2 to u8, f4 or f8, little-endian"))?;
    let fortran_order = match fortran {
        fortran if fortran.starts_with("False") => false,
        fortran if fortran.starts_with("True") => true,
        other => return Err(bad("fortran_order", other, "True or False")),
    };
    let sizes = shape.strip_prefix('(').and_then(|rest| rest.split_once(')'));
    let sizes = sizes.map(|(sizes, _)| sizes.split(',').map(str::trim).filter(|size| !size.is_empty()));
    let shape = sizes
        .and_then(|sizes| {
            sizes.map(|size| size.trim_end_matches('L').parse().ok()).collect::<Option<Vec<usize>>>()
        })
        .ok_or_else(|| bad("shape", shape, "a tuple of sizes"))?;
    Ok(Header { kind, fortran_order, shape })
}

/// What stands after `'key':`.
fn value_of<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) =
        text.split_once(&format!("'{key}'")).or_else(|| text.split_once(&format!("\"{key}\"")))?;
    Some(rest.trim_start().strip_prefix(':')?.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::testing::{f32_bytes, npy_bytes};

    fn read(bytes: &[u8]) -> Result<Array> {
        Array::read(Path::new("a.npy"), "", bytes)
    }

    #[test]
    fn a_file_written_by_numpy_is_read() {
        // numpy.save(f, numpy.asfortranarray(numpy.arange(6, dtype='<i2').reshape(2, 3))), NumPy 2.
        let mut file =
            b"\x93NUMPY\x01\x00v\x00{'descr': '<i2', 'fortran_order': True, 'shape': (2, 3), }".to_vec();
        file.resize(127, b' ');
        file.push(b'\n');
        file.extend([0, 3, 1, 4, 2, 5].into_iter().flat_map(i16::to_le_bytes));
        let array = read(&file).unwrap();
        assert_eq!((array.kind, array.shape.as_slice()), (Kind::I16, &[2, 3][..]));
        assert_eq!(array.integers().unwrap().collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn fortran_order_agrees_with_brute_force_in_four_dimensions() {
        let shape = [2, 3, 2, 4];
        let mut content = vec![0; 48];
        let mut expected = Vec::new();
        for i in 0..2 {
            for j in 0..3 {
                for k in 0..2 {
                    for l in 0..4 {
                        let value = (i * 24 + j * 8 + k * 4 + l) as u8;
                        content[i + 2 * (j + 3 * (k + 2 * l))] = value;
                        expected.push(value);
                    }
                }
            }
        }
        let array = read(&npy_bytes("|u1", true, "(2, 3, 2, 4)", &content)).unwrap();
        assert_eq!((array.shape.as_slice(), array.bytes), (&shape[..], expected));
    }

    #[test]
    fn every_truncation_is_an_error() {
        let file = npy_bytes("<f4", false, "(3,)", &f32_bytes(&[1.0, 2.0, 3.0]));
        assert_eq!(read(&file).unwrap().to_f32(Path::new("a")).unwrap(), [1.0, 2.0, 3.0]);
        for cut in 0..file.len() {
            assert!(matches!(read(&file[..cut]), Err(Error::Malformed { .. })), "{cut}");
        }
        assert!(read(&[&file[..], &[0]].concat()).is_err());
    }

    #[test]
    fn malformed_headers_name_the_field() {
        let cases = [
            (npy_bytes(">f4", false, "(1,)", &[0; 4]), "descr: found >f4"),
            (npy_bytes("|O", false, "(1,)", &[0; 4]), "descr: found |O"),
            (npy_bytes("<f4", false, "(-1,)", &[0; 4]), "shape"),
            (npy_bytes("<f4", false, "7", &[0; 4]), "shape"),
            (npy_bytes("<f4", false, "(4294967296, 4294967296, 4)", &[0; 4]), "shape"),
            (npy_bytes("<f4", false, "(1000000000,)", &[0; 4]), "bytes after the header: found 4"),
            (b"\x93NUMPY\x09\x00v\x00".to_vec(), "magic"),
            (b"\x93NUMPY\x02\x00\xff\xff\xff\xff".to_vec(), "header length"),
            (b"\x93NUMPY\x01\x00\x02\x00{}".to_vec(), "keys descr"),
        ];
        for (file, field) in cases {
            let message = read(&file).unwrap_err().to_string();
            assert!(message.contains(field), "{message}");
        }
    }
}
