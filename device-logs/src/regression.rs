//! `stf_regression(y, mean, aleatoric_variance, epistemic_variance)`, or with `low, high` behind them: figures of
//! the targets of a Gaussian regression.

use crate::aggregate::Rows;
use crate::arrays::floats;
use datafusion::arrow::array::{Array, ArrayRef, Float32Array};
use datafusion::common::{Result, exec_err};
use std::hash::{Hash, Hasher};
use stf_bnn::uncertainty::Gaussian;
use stf_device_protocol::log::TargetTally;

/// Arguments, in their order.
const COLUMNS: [&str; 6] = ["y", "mean", "aleatoric_variance", "epistemic_variance", "low", "high"];

/// Rows of a regression's log.
#[derive(Debug, Default)]
pub struct Regression(TargetTally);

impl Rows for Regression {
    const NAME: &'static str = "stf_regression";

    fn push(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let more = columns.len() > COLUMNS.len();
        let named = COLUMNS.iter().zip(columns);
        let columns =
            named.map(|(name, column)| floats(name, column)).collect::<Result<Vec<Float32Array>>>()?;
        let [y, mean, aleatoric, epistemic, interval @ ..] = &columns[..] else {
            return exec_err!("{}: expected y, mean, aleatoric_variance, epistemic_variance", Self::NAME);
        };
        if !matches!(interval.len(), 0 | 2) || more {
            return exec_err!("{}: expected low and high, or neither, behind the variances", Self::NAME);
        }
        let value = |column: &Float32Array, i: usize| (!column.is_null(i)).then(|| column.value(i));
        for i in 0..y.len() {
            let moment = |column| value(column, i).unwrap_or(f32::NAN);
            let gaussian = Gaussian {
                mean: moment(mean),
                aleatoric_variance: moment(aleatoric),
                epistemic_variance: moment(epistemic),
            };
            let bounds = match interval {
                [low, high] => value(low, i).zip(value(high, i)),
                _ => None,
            };
            self.0.push(value(y, i), &gaussian, bounds);
        }
        Ok(())
    }

    fn merge(&mut self, other: &Self) {
        self.0.merge(&other.0);
    }

    fn to_bytes(&self) -> Vec<u8> {
        self.0.to_bytes()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        TargetTally::from_bytes(bytes).map(Self)
    }

    fn json(&self) -> String {
        serde_json::to_string(&self.0.figures()).unwrap_or_default()
    }
}

// DataFusion tells functions apart by value; all of this kind are one.
impl PartialEq for Regression {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Regression {}

impl Hash for Regression {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}
