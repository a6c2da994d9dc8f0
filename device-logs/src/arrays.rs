//! Columns as the types that rows are made of. What is no number is refused by the column's name: it never counts
//! as missing.

use datafusion::arrow::array::{Array, ArrayRef, Float32Array, Float64Array, Int64Array, ListArray};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::cast::{as_float32_array, as_float64_array, as_int64_array, as_list_array};
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use std::sync::Arc;

/// A cast that fails where a value does not fit, instead of leaving it out.
fn strictly(name: &str, column: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(column, to, &options).map_err(|error| {
        exec_datafusion_err!("column {name}: found {}, expected {to}: {error}", column.data_type())
    })
}

/// Whole numbers.
pub(crate) fn integers(name: &str, column: &ArrayRef) -> Result<Int64Array> {
    if matches!(column.data_type(), DataType::Float16 | DataType::Float32 | DataType::Float64) {
        let values = strictly(name, column, &DataType::Float64)?;
        whole_numbers(name, as_float64_array(&values)?)?;
    }
    Ok(as_int64_array(&strictly(name, column, &DataType::Int64)?)?.clone())
}

fn whole_numbers(name: &str, values: &Float64Array) -> Result<()> {
    match values.iter().flatten().find(|value| value.fract() != 0.0) {
        Some(value) => exec_err!("column {name}: found {value}, expected whole numbers"),
        None => Ok(()),
    }
}

/// A whole number as the type that rows have; `None` where there is none.
pub(crate) fn whole<T: TryFrom<i64>>(name: &str, values: &Int64Array, row: usize) -> Result<Option<T>> {
    if values.is_null(row) {
        return Ok(None);
    }
    let value = values.value(row);
    let error =
        || exec_datafusion_err!("column {name}: found {value}, expected a number that a row can have");
    T::try_from(value).map(Some).map_err(|_| error())
}

/// f32 numbers.
pub(crate) fn floats(name: &str, column: &ArrayRef) -> Result<Float32Array> {
    Ok(as_float32_array(&strictly(name, column, &DataType::Float32)?)?.clone())
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
                let list = as_list_array(&strictly("probabilities", list, &DataType::List(item))?)?.clone();
                let values = as_float32_array(list.values())?.clone();
                Ok(Self::List(list, values))
            }
            columns => {
                let one = |(class, column)| floats(&format!("p{class}"), column);
                Ok(Self::Columns(columns.iter().enumerate().map(one).collect::<Result<_>>()?))
            }
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
