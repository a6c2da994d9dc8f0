//! Losses over a batch and their gradients with respect to the network's outputs.

/// Mean cross-entropy (nats) of softmax(logits) against labels, and its gradient `[n, classes]`.
///
/// With label smoothing `s` the target is `1 - s + s / classes` for the label and `s / classes` for
/// the others (Szegedy et al. 2016, section 7).
#[must_use]
pub fn softmax_cross_entropy(
    logits: &[f32],
    labels: &[u32],
    classes: usize,
    smoothing: f32,
) -> (f64, Vec<f32>) {
    let n = labels.len();
    let (mut loss, mut gradient) = (0.0, vec![0.0; logits.len()]);
    let rest = smoothing / classes as f32;
    for ((row, d), &label) in logits.chunks_exact(classes).zip(gradient.chunks_exact_mut(classes)).zip(labels)
    {
        let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f32 = row.iter().map(|logit| (logit - max).exp()).sum();
        let log_sum = max + sum.ln();
        for (class, (logit, d)) in row.iter().zip(d.iter_mut()).enumerate() {
            let target = rest + if class == label as usize { 1.0 - smoothing } else { 0.0 };
            loss += f64::from(target) * f64::from(log_sum - logit);
            *d = ((logit - log_sum).exp() - target) / n as f32;
        }
    }
    (loss / n as f64, gradient)
}

/// Half the mean squared error over batch and outputs, and its gradient.
#[must_use]
pub fn half_squared_error(outputs: &[f32], targets: &[f32]) -> (f64, Vec<f32>) {
    let scale = 1.0 / outputs.len() as f32;
    let gradient: Vec<f32> = outputs.iter().zip(targets).map(|(y, t)| (y - t) * scale).collect();
    let sum: f64 = outputs.iter().zip(targets).map(|(y, t)| f64::from(y - t).powi(2)).sum();
    (0.5 * sum / outputs.len() as f64, gradient)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(outputs: &[f32], loss: impl Fn(&[f32]) -> (f64, Vec<f32>)) {
        let (_, gradient) = loss(outputs);
        for index in 0..outputs.len() {
            let moved = |by: f32| {
                let mut outputs = outputs.to_vec();
                outputs[index] += by;
                loss(&outputs).0
            };
            let wanted = (moved(1e-2) - moved(-1e-2)) / 2e-2;
            assert!(
                (f64::from(gradient[index]) - wanted).abs() < 1e-4,
                "{index}: {} {wanted}",
                gradient[index]
            );
        }
    }

    #[test]
    fn gradients_are_the_differences_of_the_losses() {
        let outputs = [0.3, -1.2, 2.0, 0.1, 0.0, -0.4];
        check(&outputs, |y| softmax_cross_entropy(y, &[2, 0], 3, 0.0));
        check(&outputs, |y| softmax_cross_entropy(y, &[1, 1], 3, 0.1));
        check(&outputs, |y| half_squared_error(y, &[0.0, 1.0, -1.0, 0.5, 0.2, 0.0]));
    }

    #[test]
    fn equal_logits_cost_the_logarithm_of_the_classes() {
        let (loss, _) = softmax_cross_entropy(&[5.0; 8], &[1, 3], 4, 0.0);
        assert!((loss - 4f64.ln()).abs() < 1e-6);
    }

    #[test]
    fn huge_logits_stay_finite() {
        let (loss, gradient) = softmax_cross_entropy(&[1e4, -1e4], &[1], 2, 0.0);
        assert!((loss - 2e4).abs() < 1.0 && gradient.iter().all(|d| d.is_finite()));
    }
}
