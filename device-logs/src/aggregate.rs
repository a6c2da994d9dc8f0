//! Tallies as accumulators of DataFusion: the state of one is a single column of bytes.

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::cast::as_binary_array;
use datafusion::common::{Result, ScalarValue, exec_datafusion_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};
use std::fmt::Debug;
use std::hash::Hash;
use std::marker::PhantomData;
use std::sync::Arc;

/// Running figures of rows.
pub trait Rows: Debug + Default + Send + Sync + 'static {
    /// Name of the function in SQL.
    const NAME: &'static str;

    /// Counts the rows of one batch; `columns` are the function's arguments.
    ///
    /// # Errors
    /// If there are other columns than the function takes.
    fn push(&mut self, columns: &[ArrayRef]) -> Result<()>;

    /// Adds another part.
    fn merge(&mut self, other: &Self);

    /// The state as bytes.
    fn to_bytes(&self) -> Vec<u8>;

    /// What [`Self::to_bytes`] wrote; `None` for anything else.
    fn from_bytes(bytes: &[u8]) -> Option<Self>;

    /// The figures, as one JSON object.
    fn json(&self) -> String;
}

/// The aggregate function of a kind of rows; it gives one JSON object.
#[must_use]
pub fn function<R: Rows + Eq + Hash>() -> AggregateUDF {
    AggregateUDF::from(Function::<R> {
        signature: Signature::variadic_any(Volatility::Immutable),
        rows: PhantomData,
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Function<R> {
    signature: Signature,
    rows: PhantomData<R>,
}

impl<R: Rows + Eq + Hash> AggregateUDFImpl for Function<R> {
    fn name(&self) -> &str {
        R::NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Running(R::default())))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format!("{} state", args.name), DataType::Binary, true))])
    }
}

#[derive(Debug)]
struct Running<R>(R);

impl<R: Rows> Accumulator for Running<R> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.push(values)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Utf8(Some(self.0.json())))
    }

    fn size(&self) -> usize {
        // Fixed, whatever the number of rows: a histogram of 16 kB is the largest part.
        size_of::<Self>() + (1 << 14)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::Binary(Some(self.0.to_bytes()))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for states in states {
            for state in as_binary_array(states)?.iter().flatten() {
                let other = R::from_bytes(state).ok_or_else(|| {
                    exec_datafusion_err!("{}: found {} bytes that are no state", R::NAME, state.len())
                })?;
                self.0.merge(&other);
            }
        }
        Ok(())
    }
}
