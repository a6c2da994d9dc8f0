//! The most and the least certain predictions, as pictures.

use super::subject::Subject;
use super::text::percent;
use super::{Block, Card, Section, picture};
use crate::error::Result;
use crate::evaluate::Predictions;
use serde::Serialize;
use stf_bnn::Classification;

/// Examples of each kind.
const SHOWN: usize = 8;

/// Examples by kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Examples {
    /// Least predictive entropy first.
    pub most_certain: Vec<Example>,
    /// Greatest predictive entropy first.
    pub least_certain: Vec<Example>,
    /// Wrong ones, least predictive entropy first.
    pub certain_and_wrong: Vec<Example>,
}

/// One example.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Example {
    /// Index in the data.
    pub index: usize,
    /// Its label.
    pub label: String,
    /// Predicted class.
    pub class: String,
    /// Whether that is another.
    pub wrong: bool,
    /// Probability of the predicted class.
    pub confidence: f32,
    /// Nats.
    pub predictive_entropy: f32,
    /// Nats.
    pub mutual_information: f32,
    /// PNG, base64; `None` where the input is no picture.
    #[serde(skip)]
    pub png: Option<String>,
}

/// Chooses the examples.
///
/// # Errors
/// If one cannot be read.
pub fn collect(subject: &Subject<'_>, predictions: &Predictions) -> Result<Examples> {
    let with_index = predictions.inside.iter().enumerate();
    let mut order: Vec<(usize, Classification)> =
        with_index.filter_map(|(i, outcome)| Some((i, outcome.classification?))).collect();
    order.sort_by(|a, b| a.1.predictive_entropy.total_cmp(&b.1.predictive_entropy).then(a.0.cmp(&b.0)));
    let labels = &subject.data.labels;
    let wrong = |&&(i, c): &&(usize, Classification)| u32::from(c.class) != labels[i];
    let example = |&(index, c): &(usize, Classification)| {
        Ok(Example {
            index,
            label: subject.class_name(labels[index] as usize),
            class: subject.class_name(c.class.into()),
            wrong: u32::from(c.class) != labels[index],
            confidence: c.confidence,
            predictive_entropy: c.predictive_entropy,
            mutual_information: c.mutual_information,
            png: picture::png(subject.data, index)?,
        })
    };
    Ok(Examples {
        most_certain: order.iter().take(SHOWN).map(example).collect::<Result<_>>()?,
        least_certain: order.iter().rev().take(SHOWN).map(example).collect::<Result<_>>()?,
        certain_and_wrong: order.iter().filter(wrong).take(SHOWN).map(example).collect::<Result<_>>()?,
    })
}

/// The pictures.
pub fn section(examples: &Examples) -> Section {
    let cards = |examples: &[Example]| examples.iter().map(card).collect::<Vec<_>>();
    let kinds = [
        ("Least certain", &examples.least_certain),
        ("Most certain", &examples.most_certain),
        ("Wrong, and yet most certain", &examples.certain_and_wrong),
    ];
    let words = "Total uncertainty is the predictive entropy, its epistemic part the mutual information; both in nats.";
    let shown = kinds.into_iter().filter(|(_, examples)| !examples.is_empty());
    let pictures = shown.map(|(title, examples)| Block::Examples(title.into(), cards(examples)));
    let blocks = std::iter::once(Block::Text(words.into())).chain(pictures).collect();
    Section { id: "examples", title: "Examples", blocks }
}

fn card(example: &Example) -> Card {
    let confidence = percent(example.confidence.into());
    Card {
        png: example.png.clone(),
        alternative: format!("Example {}: {}, taken for {}", example.index, example.label, example.class),
        title: example.class.clone(),
        wrong: example.wrong,
        lines: vec![
            format!("confidence {confidence}"),
            if example.wrong { format!("wrong: {}", example.label) } else { "right".into() },
            format!("total {:.3}", example.predictive_entropy),
            format!("epistemic {:.3}", example.mutual_information),
            format!("example {}", example.index),
        ],
    }
}
