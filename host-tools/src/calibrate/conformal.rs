//! Thresholds of prediction sets: order statistics of conformal scores.

use super::share::Share;
use crate::error::{Error, Result};
use stf_bnn::uncertainty::{Penalty, SetMethod, conformal_score};

/// One calibration example as the thresholds see it.
#[derive(Debug, Clone, Copy)]
pub struct Example<'a> {
    /// Mean probabilities, `[classes]`.
    pub probabilities: &'a [f32],
    /// Its class.
    pub label: usize,
    /// Random share for randomized scores, else 0.
    pub share: f32,
}

/// The calibration score of rank `ceil((n + 1) (1 - alpha))`. Sorts `scores`.
///
/// # Errors
/// If there are too few scores for this alpha; says how many it takes.
pub fn threshold(scores: &mut [f32], alpha: Share, of: &str) -> Result<f32> {
    let Some(rank) = alpha.rank(scores.len()) else {
        return Err(Error::invalid(
            format!("calibration examples {of} for alpha {alpha}"),
            scores.len(),
            format!("at least {}", alpha.least_count()),
        ));
    };
    scores.sort_unstable_by(f32::total_cmp);
    Ok(scores[rank - 1])
}

/// Thresholds of one method, `[alphas, 1]`, or `[alphas, classes]` if they are class-conditional.
///
/// # Errors
/// If there are too few examples, of a class where each has its own threshold; or a label is no class.
pub fn thresholds(
    examples: &[Example<'_>],
    method: SetMethod,
    penalty: Penalty,
    alphas: &[Share],
    class_conditional: bool,
) -> Result<Vec<f32>> {
    let score = |example: &Example<'_>| {
        conformal_score(method, penalty, example.probabilities, example.label, example.share)
            .ok_or_else(|| Error::invalid("label", example.label, "one of the classes"))
    };
    let scores = examples.iter().map(score).collect::<Result<Vec<f32>>>()?;
    if !class_conditional {
        let mut scores = scores;
        return alphas.iter().map(|&alpha| threshold(&mut scores, alpha, "in all")).collect();
    }
    let classes = examples.first().map_or(0, |example| example.probabilities.len());
    let mut by_class = vec![Vec::new(); classes];
    for (example, score) in examples.iter().zip(scores) {
        by_class[example.label].push(score);
    }
    let mut thresholds = Vec::new();
    for &alpha in alphas {
        for (class, scores) in by_class.iter_mut().enumerate() {
            thresholds.push(threshold(scores, alpha, &format!("of class {class}"))?);
        }
    }
    Ok(thresholds)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Penalty = Penalty { lambda: 0.0, rank: 1 };

    #[test]
    fn thresholds_are_scores_and_too_few_are_refused() {
        let rows: Vec<[f32; 2]> = (0..19).map(|i| [i as f32 / 32.0, 1.0 - i as f32 / 32.0]).collect();
        let examples: Vec<Example> =
            rows.iter().map(|row| Example { probabilities: row, label: 0, share: 0.0 }).collect();
        let alphas = ["0.05", "0.5"].map(|text| text.parse::<Share>().unwrap());
        let found = thresholds(&examples, SetMethod::Lac, NONE, &alphas, false).unwrap();
        assert_eq!(found, [1.0, 1.0 - 9.0 / 32.0], "ranks 19 and 10 of the scores 14/32 to 1");
        let message =
            thresholds(&examples[1..], SetMethod::Lac, NONE, &alphas, false).unwrap_err().to_string();
        assert!(message.contains("alpha 0.05: found 18, expected at least 19"), "{message}");
        let message = thresholds(&examples, SetMethod::Lac, NONE, &alphas, true).unwrap_err().to_string();
        assert!(message.contains("of class 1") && message.contains("found 0"), "{message}");
    }
}
