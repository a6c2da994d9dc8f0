//! `stf_classification(label, passes, probabilities)`: figures of a classifier. The probabilities are a list, or
//! one column a class: `stf_classification(label, passes, p0, p1, p2)`.

use crate::aggregate::Rows;
use crate::arrays::{Probabilities, integers};
use datafusion::arrow::array::{Array, ArrayRef};
use datafusion::common::{Result, exec_err};
use std::hash::{Hash, Hasher};
use stf_device_protocol::log::ClassTally;

/// Rows of a classifier's log.
#[derive(Debug, Default)]
pub struct Classification(ClassTally);

impl Rows for Classification {
    const NAME: &'static str = "stf_classification";

    fn push(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let [label, passes, probabilities @ ..] = columns else {
            return exec_err!("{}: expected label, passes and probabilities", Self::NAME);
        };
        let (labels, passes) = (integers(label)?, integers(passes)?);
        let (probabilities, mut row) = (Probabilities::new(probabilities)?, Vec::new());
        for i in 0..labels.len() {
            probabilities.read(i, &mut row);
            // A label that is no u32 is no class: as the greatest, it is rejected.
            let label = (!labels.is_null(i)).then(|| u32::try_from(labels.value(i)).unwrap_or(u32::MAX));
            let passes = (!passes.is_null(i)).then(|| u16::try_from(passes.value(i)).ok()).flatten();
            self.0.push(label, &row, passes);
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
        ClassTally::from_bytes(bytes).map(Self)
    }

    fn json(&self) -> String {
        serde_json::to_string(&self.0.figures()).unwrap_or_default()
    }
}

// DataFusion tells functions apart by value; all of this kind are one.
impl PartialEq for Classification {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Classification {}

impl Hash for Classification {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}
