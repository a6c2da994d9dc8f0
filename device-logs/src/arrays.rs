//! Columns as the types that rows are made of.

use datafusion::arrow::array::{Array, ArrayRef, Float32Array, Int64Array, ListArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::cast::{as_float32_array, as_int64_array, as_list_array};
use datafusion::common::{Result, exec_err};
use std::sync::Arc;

/// Whole numbers.
pub(crate) fn integers(column: &ArrayRef) -> Result<Int64Array> {
    Ok(as_int64_array(&cast(column, &DataType::Int64)?)?.clone())
}

/// f32 numbers.
pub(crate) fn floats(column: &ArrayRef) -> Result<Float32Array> {
    Ok(as_float32_array(&cast(column, &DataType::Float32)?)?.clone())
}

/// Probabilities of each row: a list in one column, or one column a class.
pub(crate) enum Probabilities {
    List(ListArray, Float32Array),
    Columns(Vec<Float32Array>),
}

impl Probabilities {
    pub(crate) fn new(columns: &[ArrayRef]) -> Result<Self> {
        match columns {
            [] => exec_err!("probabilities: found no column, expected a list or one column a class"),
            [list] if list.data_type().is_nested() => {
                let item = Arc::new(Field::new_list_field(DataType::Float32, true));
                let list = as_list_array(&cast(list, &DataType::List(item))?)?.clone();
                let values = as_float32_array(list.values())?.clone();
                Ok(Self::List(list, values))
            }
            columns => Ok(Self::Columns(columns.iter().map(floats).collect::<Result<_>>()?)),
        }
    }

    /// Writes the probabilities of a row to `out`; a missing one is NaN, which is no probability.
    pub(crate) fn read(&self, row: usize, out: &mut Vec<f32>) {
        out.clear();
        match self {
            Self::List(list, _) if list.is_null(row) => {}
            Self::List(list, values) => {
                let offsets = list.value_offsets();
                let range = offsets[row] as usize..offsets[row + 1] as usize;
                if values.null_count() == 0 {
                    out.extend_from_slice(&values.values()[range]);
                } else {
                    out.extend(range.map(|i| if values.is_null(i) { f32::NAN } else { values.value(i) }));
                }
            }
            Self::Columns(columns) => {
                out.extend(columns.iter().map(|c| if c.is_null(row) { f32::NAN } else { c.value(row) }));
            }
        }
    }
}
