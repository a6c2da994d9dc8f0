//! Figures of each class.

use super::subject::Subject;
use super::text::{count, four, hundredths, or_dash};
use super::{Block, Section, Table};
use crate::evaluate::Predictions;
use serde::Serialize;
use stf_bnn::uncertainty::PROBABILITY_FLOOR;

/// One class. What has no example or no prediction is `null`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassRow {
    /// Its name.
    pub class: String,
    /// Examples of it.
    pub n: usize,
    /// Share of its examples that are found.
    pub recall: Option<f64>,
    /// Share of right ones among predictions of it.
    pub precision: Option<f64>,
    /// Mean of `-ln p` over its examples.
    pub nll: Option<f64>,
    /// Mean confidence of the predictions of its examples.
    pub confidence: Option<f64>,
    /// The class that its examples are most often taken for, and how often.
    pub taken_for: Option<(String, usize)>,
}

/// A row for each class.
pub fn collect(subject: &Subject<'_>, predictions: &Predictions) -> Vec<ClassRow> {
    let classes = usize::from(subject.model.manifest().outputs);
    let (outcomes, labels) = (&predictions.inside, &subject.data.labels);
    // Examples of each class by the class that was predicted.
    let mut confusion = vec![vec![0_usize; classes]; classes];
    let (mut nll, mut confidence) = (vec![0.0; classes], vec![0.0; classes]);
    for (outcome, &label) in outcomes.iter().zip(labels) {
        let label = label as usize;
        let Some(c) = outcome.classification else { continue };
        confusion[label][usize::from(c.class)] += 1;
        nll[label] -= f64::from(outcome.mean[label].max(PROBABILITY_FLOOR)).ln();
        confidence[label] += f64::from(c.confidence);
    }
    let row = |class: usize| {
        let n: usize = confusion[class].iter().sum();
        let claimed: usize = confusion.iter().map(|row| row[class]).sum();
        let found = confusion[class][class] as f64;
        let of = |sum: f64, whole: usize| (whole > 0).then(|| sum / whole as f64);
        let others = (0..classes).filter(|&other| other != class && confusion[class][other] > 0);
        let most = others.max_by_key(|&other| (confusion[class][other], std::cmp::Reverse(other)));
        ClassRow {
            class: subject.class_name(class),
            n,
            recall: of(found, n),
            precision: of(found, claimed),
            nll: of(nll[class], n),
            confidence: of(confidence[class], n),
            taken_for: most.map(|other| (subject.class_name(other), confusion[class][other])),
        }
    };
    (0..classes).map(row).collect()
}

/// The table.
pub fn section(rows: &[ClassRow]) -> Section {
    let head = ["class", "examples", "recall, %", "precision, %", "NLL", "confidence, %", "most taken for"];
    let cells = |row: &ClassRow| {
        vec![
            row.class.clone(),
            count(row.n),
            or_dash(row.recall, hundredths),
            or_dash(row.precision, hundredths),
            or_dash(row.nll, four),
            or_dash(row.confidence, hundredths),
            or_dash(row.taken_for.as_ref(), |(class, times)| format!("{class}, {}", count(times))),
        ]
    };
    let table = Table::new("Figures of each class", &head, rows.iter().map(cells).collect());
    Section { id: "classes", title: "Classes", blocks: vec![Block::Table(table)] }
}
