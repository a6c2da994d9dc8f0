//! Constants of an ONNX file: tensors with as many values as their dimensions say, in f32 or i64.

use super::proto::TensorProto;
use crate::error::{Error, Result};

/// Most values of one constant, of all constants of a file, of all that are folded, and of all parameters.
pub(super) const MAX_VALUES: usize = 1 << 25;

/// Most dimensions of a tensor.
pub(super) const MAX_RANK: usize = 8;

/// Number types of ONNX that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DataType {
    Float = 1,
    Uint8 = 2,
    Int8 = 3,
    Uint16 = 4,
    Int16 = 5,
    Int32 = 6,
    Int64 = 7,
    Bool = 9,
    Float16 = 10,
    Double = 11,
    /// Strings, complex numbers, and formats of less than 8 bits.
    Other,
}

impl DataType {
    fn of(number: i32) -> Self {
        use DataType::{Bool, Double, Float, Float16, Int8, Int16, Int32, Int64, Uint8, Uint16};
        let read = [Float, Uint8, Int8, Uint16, Int16, Int32, Int64, Bool, Float16, Double];
        read.into_iter().find(|&kind| kind as i32 == number).unwrap_or(Self::Other)
    }
}

/// Values of a constant; other number types are converted.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Values {
    F32(Vec<f32>),
    I64(Vec<i64>),
}

/// A constant tensor, row-major.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Constant {
    pub(super) dims: Vec<usize>,
    pub(super) values: Values,
}

impl Values {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::I64(values) => values.len(),
        }
    }

    /// The values at these indices, in this order; all are in range.
    pub(super) fn pick(&self, indices: impl Iterator<Item = usize>) -> Self {
        match self {
            Self::F32(values) => Self::F32(indices.map(|i| values[i]).collect()),
            Self::I64(values) => Self::I64(indices.map(|i| values[i]).collect()),
        }
    }
}

impl Constant {
    pub(super) fn ints(values: Vec<i64>) -> Self {
        Self { dims: vec![values.len()], values: Values::I64(values) }
    }

    /// Values as f32, whatever their type.
    pub(super) fn to_f32(&self) -> Vec<f32> {
        match &self.values {
            Values::F32(values) => values.clone(),
            Values::I64(values) => values.iter().map(|&value| value as f32).collect(),
        }
    }

    /// Whole numbers, or `None` for a float tensor.
    pub(super) fn as_ints(&self) -> Option<&[i64]> {
        match &self.values {
            Values::I64(values) => Some(values),
            Values::F32(_) => None,
        }
    }

    /// The only value as f32.
    pub(super) fn scalar(&self) -> Option<f32> {
        (self.values.len() == 1).then(|| self.to_f32()[0])
    }

    /// Reads a tensor of the file.
    pub(super) fn read(tensor: &TensorProto) -> Result<Self> {
        let field = || format!("tensor {:?}", tensor.name);
        let dims = dims(tensor)?;
        let count = count(&dims).ok_or_else(|| {
            Error::invalid(field(), format!("dimensions {dims:?}"), format!("at most {MAX_VALUES} values"))
        })?;
        if tensor.data_location == 1 {
            return Err(Error::invalid(
                field(),
                "values in another file",
                "values inside the .onnx file (onnx.save with save_as_external_data=False)",
            ));
        }
        let kind = DataType::of(tensor.data_type);
        let values = if tensor.raw_data.is_empty() { typed(tensor, kind) } else { raw(tensor, kind) };
        let values = values.ok_or_else(|| {
            Error::invalid(
                field(),
                format!("values of ONNX type {}", tensor.data_type),
                "float or integer values",
            )
        })?;
        if values.len() != count {
            let found = format!("{} values", values.len());
            return Err(Error::invalid(field(), found, format!("{count}, for dimensions {dims:?}")));
        }
        Ok(Self { dims, values })
    }
}

/// Number of values of a shape, within [`MAX_VALUES`].
pub(super) fn count(dims: &[usize]) -> Option<usize> {
    if dims.len() > MAX_RANK {
        return None;
    }
    let len = dims.iter().try_fold(1_usize, |len, &dim| len.checked_mul(dim));
    len.filter(|&len| len <= MAX_VALUES)
}

fn dims(tensor: &TensorProto) -> Result<Vec<usize>> {
    tensor
        .dims
        .iter()
        .map(|&dim| {
            usize::try_from(dim)
                .map_err(|_| Error::invalid(format!("tensor {:?}: dimension", tensor.name), dim, "0 or more"))
        })
        .collect()
}

fn typed(tensor: &TensorProto, kind: DataType) -> Option<Values> {
    let ints = |values: &[i32]| Values::I64(values.iter().map(|&value| value.into()).collect());
    Some(match kind {
        DataType::Float => Values::F32(tensor.float_data.clone()),
        DataType::Double => Values::F32(tensor.double_data.iter().map(|&value| value as f32).collect()),
        DataType::Float16 => Values::F32(tensor.int32_data.iter().map(|&bits| half(bits as u16)).collect()),
        DataType::Int64 => Values::I64(tensor.int64_data.clone()),
        DataType::Int32
        | DataType::Int16
        | DataType::Int8
        | DataType::Uint16
        | DataType::Uint8
        | DataType::Bool => ints(&tensor.int32_data),
        DataType::Other => return None,
    })
}

fn raw(tensor: &TensorProto, kind: DataType) -> Option<Values> {
    let bytes = &tensor.raw_data;
    fn chunks<const N: usize, T>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Option<Vec<T>> {
        let (chunks, rest) = bytes.as_chunks::<N>();
        rest.is_empty().then(|| chunks.iter().map(|&chunk| read(chunk)).collect())
    }
    Some(match kind {
        DataType::Float => Values::F32(chunks(bytes, f32::from_le_bytes)?),
        DataType::Double => Values::F32(chunks(bytes, |b| f64::from_le_bytes(b) as f32)?),
        DataType::Float16 => Values::F32(chunks(bytes, |b| half(u16::from_le_bytes(b)))?),
        DataType::Int64 => Values::I64(chunks(bytes, i64::from_le_bytes)?),
        DataType::Int32 => Values::I64(chunks(bytes, |b| i32::from_le_bytes(b).into())?),
        DataType::Int16 => Values::I64(chunks(bytes, |b| i16::from_le_bytes(b).into())?),
        DataType::Uint16 => Values::I64(chunks(bytes, |b| u16::from_le_bytes(b).into())?),
        DataType::Int8 => Values::I64(bytes.iter().map(|&b| (b as i8).into()).collect()),
        DataType::Uint8 | DataType::Bool => Values::I64(bytes.iter().map(|&b| b.into()).collect()),
        DataType::Other => return None,
    })
}

/// IEEE half precision to single.
fn half(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, mantissa) = (i32::from(bits >> 10 & 0x1f), f32::from(bits & 0x3ff));
    match exponent {
        0 => sign * mantissa * 2_f32.powi(-24),
        31 if mantissa == 0.0 => sign * f32::INFINITY,
        31 => f32::NAN,
        _ => sign * (1024.0 + mantissa) * 2_f32.powi(exponent - 25),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(kind: DataType, dims: &[i64], raw_data: Vec<u8>) -> TensorProto {
        TensorProto {
            dims: dims.to_vec(),
            data_type: kind as i32,
            raw_data,
            name: "w".into(),
            ..TensorProto::default()
        }
    }

    #[test]
    fn number_types_are_converted() {
        let floats = [1.5f32, -2.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        assert_eq!(Constant::read(&tensor(DataType::Float, &[2], floats)).unwrap().to_f32(), [1.5, -2.0]);
        // 1, -2, 65504 (greatest), 2^-24 (least).
        let halves = [0x3c00u16, 0xc000, 0x7bff, 1].iter().flat_map(|x| x.to_le_bytes()).collect();
        let half = Constant::read(&tensor(DataType::Float16, &[2, 2], halves)).unwrap();
        assert_eq!(half.to_f32(), [1.0, -2.0, 65504.0, 2f32.powi(-24)]);
        let bytes = Constant::read(&tensor(DataType::Int8, &[2], vec![255, 3])).unwrap();
        assert_eq!(bytes.as_ints(), Some(&[-1, 3][..]));
    }

    #[test]
    fn dimensions_that_do_not_suit_the_values_are_errors() {
        let message = |t: TensorProto| Constant::read(&t).unwrap_err().to_string();
        assert!(message(tensor(DataType::Float, &[3], vec![0; 8])).contains("tensor \"w\": found 2 values"));
        assert!(message(tensor(DataType::Float, &[1 << 40, 1 << 40], vec![0; 8])).contains("at most"));
        assert!(message(tensor(DataType::Float, &[-1], vec![0; 8])).contains("0 or more"));
        assert!(message(tensor(DataType::Float, &[2], vec![0; 7])).contains("type 1"));
        assert!(
            message(TensorProto { data_type: 8, ..tensor(DataType::Float, &[0], vec![]) }).contains("type 8")
        );
        assert!(message(tensor(DataType::Float, &[1000000], vec![])).contains("found 0 values"));
    }
}
