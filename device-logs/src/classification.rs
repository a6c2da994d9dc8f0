//! `stf_classification(label, passes, probabilities)`: figures of a classifier. The probabilities are a list, or
//! one column a class: `stf_classification(label, passes, p0, p1, p2)`.

use crate::aggregate::Rows;
use crate::arrays::{Probabilities, integers, whole};
use datafusion::arrow::array::ArrayRef;
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
        let (labels, passes) = (integers("label", label)?, integers("passes", passes)?);
        let (probabilities, mut row) = (Probabilities::new(probabilities)?, Vec::new());
        for i in 0..labels.len() {
            probabilities.read(i, &mut row);
            self.0.push(whole("label", &labels, i)?, &row, whole("passes", &passes, i)?);
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
