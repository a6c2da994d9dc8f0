//! Losses over a batch and their gradients with respect to the network's outputs.

use stf_bnn::predict::MAX_LOG_VAR;

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

/// Mean over the batch of the negative log likelihood (nats) of all `targets` of an example under the
/// Gaussians that `outputs` say, and its gradient `[n, 2 targets]`.
///
/// A row of outputs has the means of all targets, then the logarithms of their variances `s`:
/// `sum (ln(2 pi) + s + (y - mean)^2 exp(-s)) / 2` (Nix and Weigend 1994). As on the device, `s` counts as
/// if between minus [`MAX_LOG_VAR`] and it; beyond, its gradient only leads back.
#[must_use]
pub fn gaussian_nll(outputs: &[f32], targets: &[f32], count: usize) -> (f64, Vec<f32>) {
    const HALF_LN_2_PI: f64 = 0.918_938_533_204_672_7;
    let n = targets.len() / count.max(1);
    let (mut loss, mut gradient) = (0.0, vec![0.0; outputs.len()]);
    let rows = outputs.chunks_exact(2 * count).zip(gradient.chunks_exact_mut(2 * count));
    for ((row, d), targets) in rows.zip(targets.chunks_exact(count)) {
        let ((means, log_vars), (d_means, d_log_vars)) = (row.split_at(count), d.split_at_mut(count));
        for (t, &y) in targets.iter().enumerate() {
            let log_var = log_vars[t].clamp(-MAX_LOG_VAR, MAX_LOG_VAR);
            let (distance, precision) = (means[t] - y, (-log_var).exp());
            let square = f64::from(distance) * f64::from(distance) * f64::from(precision);
            loss += HALF_LN_2_PI + 0.5 * (f64::from(log_var) + square);
            d_means[t] = distance * precision / n as f32;
            let slope = (0.5 * (1.0 - square)) as f32 / n as f32;
            let leads_out =
                (log_vars[t] > MAX_LOG_VAR && slope < 0.0) || (log_vars[t] < -MAX_LOG_VAR && slope > 0.0);
            d_log_vars[t] = if leads_out { 0.0 } else { slope };
        }
    }
    (loss / n as f64, gradient)
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
        check(&outputs[..4], |y| gaussian_nll(y, &[0.5, -1.0], 1));
        check(&outputs[..4], |y| gaussian_nll(y, &[0.5, -1.0], 2));
        check(&outputs, |y| half_squared_error(y, &[0.0, 1.0, -1.0, 0.5, 0.2, 0.0]));
    }

    #[test]
    fn equal_logits_cost_the_logarithm_of_the_classes() {
        let (loss, _) = softmax_cross_entropy(&[5.0; 8], &[1, 3], 4, 0.0);
        assert!((loss - 4f64.ln()).abs() < 1e-6);
    }

    #[test]
    fn variances_out_of_range_are_led_back() {
        // A far target wants more variance, an exact mean less.
        for (log_var, y, expected) in
            [(20.0, 1e9, 0.0), (-20.0, 0.0, 0.0), (20.0, 0.0, 0.5), (-20.0, 9.0, -1.0)]
        {
            let (loss, gradient) = gaussian_nll(&[0.0, log_var], &[y], 1);
            assert!(loss.is_finite() && gradient[0].is_finite());
            assert!(
                if expected < 0.0 { gradient[1] < expected } else { gradient[1] == expected },
                "{gradient:?}"
            );
        }
    }

    #[test]
    fn huge_logits_stay_finite() {
        let (loss, gradient) = softmax_cross_entropy(&[1e4, -1e4], &[1], 2, 0.0);
        assert!((loss - 2e4).abs() < 1.0 && gradient.iter().all(|d| d.is_finite()));
    }
}
