//! Temperature of the softmax, fitted on the network's own draws.

/// Logits of one example and its class.
#[derive(Debug, Clone)]
pub struct Drawn {
    /// `[draws, classes]`
    pub logits: Vec<f32>,
    /// Number of classes.
    pub classes: usize,
    /// Class of the example.
    pub label: usize,
}

/// Bounds of the search.
const RANGE: (f64, f64) = (0.05, 20.0);

/// As near to a bound as this, relative to it, is at it.
const AT_END: f64 = 1e-3;

/// Mean negative log-likelihood, nats, of the probabilities averaged over the draws at a temperature.
#[must_use]
pub fn nll(examples: &[Drawn], temperature: f64) -> f64 {
    let one = |example: &Drawn| {
        let draws = example.logits.chunks_exact(example.classes);
        let count = draws.len() as f64;
        let probability = |logits: &[f32]| {
            let greatest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let e = |z: f32| ((f64::from(z) - f64::from(greatest)) / temperature).exp();
            e(logits[example.label]) / logits.iter().map(|&z| e(z)).sum::<f64>()
        };
        let mean = draws.map(probability).sum::<f64>() / count;
        -mean.max(f64::from(stf_bnn::uncertainty::PROBABILITY_FLOOR)).ln()
    };
    examples.iter().map(one).sum::<f64>() / examples.len().max(1) as f64
}

/// The temperature with the least [`nll`], by golden-section search over its logarithm; 1 where that is at an end
/// of the search. Examples that are all predicted right have no such temperature: the colder, the likelier.
#[must_use]
pub fn fit(examples: &[Drawn]) -> f32 {
    let golden = 0.5 * (5.0_f64.sqrt() - 1.0);
    let (mut low, mut high) = (RANGE.0.ln(), RANGE.1.ln());
    let value = |log: f64| nll(examples, log.exp());
    let (mut left, mut right) = (high - golden * (high - low), low + golden * (high - low));
    let (mut at_left, mut at_right) = (value(left), value(right));
    // The bracket shrinks from 6 to 1e-5: well below what a few thousand examples can tell.
    while high - low > 1e-5 {
        if at_left <= at_right {
            (high, right, at_right) = (right, left, at_left);
            left = high - golden * (high - low);
            at_left = value(left);
        } else {
            (low, left, at_left) = (left, right, at_right);
            right = low + golden * (high - low);
            at_right = value(right);
        }
    }
    let found = (0.5 * (low + high)).exp();
    let is_inside = found > RANGE.0 * (1.0 + AT_END) && found < RANGE.1 * (1.0 - AT_END);
    if is_inside { found as f32 } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Labels in proportion to softmax(z / truth), for one vector of logits: the best temperature is
    /// the truth.
    #[test]
    fn the_temperature_that_made_the_labels_is_found() {
        for truth in [0.5_f64, 1.0, 3.0] {
            let logits = [2.0_f32, 0.5, -1.0];
            let e = logits.map(|z| (f64::from(z) / truth).exp());
            let total: f64 = e.iter().sum();
            let examples: Vec<Drawn> = (0..3)
                .flat_map(|label| {
                    let count = (10_000.0 * e[label] / total).round() as usize;
                    vec![Drawn { logits: logits.to_vec(), classes: 3, label }; count]
                })
                .collect();
            let found = f64::from(fit(&examples));
            assert!((found / truth - 1.0).abs() < 1e-2, "{truth}: {found}");
        }
    }

    /// Whoever is always right, or no better than chance whatever the temperature, says nothing about it.
    #[test]
    fn without_a_least_value_the_temperature_stays() {
        let right = |label| Drawn { logits: vec![3.0, 0.0, -1.0], classes: 3, label };
        assert_eq!(fit(&vec![right(0); 71]), 1.0);
        assert_eq!(fit(&vec![right(2); 71]), 1.0);
        assert_eq!(fit(&[]), 1.0);
        let one_wrong = [vec![right(0); 70], vec![right(1)]].concat();
        assert!((0.3..0.9).contains(&fit(&one_wrong)), "{}", fit(&one_wrong));
    }

    #[test]
    fn draws_are_averaged_as_probabilities() {
        let example = Drawn { logits: vec![100.0, 0.0, 0.0, 100.0], classes: 2, label: 0 };
        assert!((nll(&[example], 1.0) - std::f64::consts::LN_2).abs() < 1e-9);
    }
}
