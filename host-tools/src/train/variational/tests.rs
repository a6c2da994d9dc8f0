//! The closed-form divergence against Monte Carlo, its gradient against differences.

use super::super::random::{Purpose, normals};
use super::super::testing::{numbers, stage2_config};
use super::*;
use crate::train::Estimator;

fn tensor(values: Vec<f32>) -> ArrayD<f32> {
    ArrayD::from_shape_vec(vec![values.len()], values).unwrap()
}

struct Case {
    mu: ArrayD<f32>,
    log_var: ArrayD<f32>,
    prior_mean: ArrayD<f32>,
}

const PRIOR_SIGMA: f32 = 0.4;

fn case(count: usize) -> Case {
    Case {
        mu: tensor(numbers(count, 1)),
        log_var: tensor(numbers(count, 2).into_iter().map(|v| 1.5 * v - 2.0).collect()),
        prior_mean: tensor(numbers(count, 3).into_iter().map(|v| 0.5 * v).collect()),
    }
}

/// `log N(x; mean, sigma^2)` without its constant.
fn log_density(x: f64, mean: f64, sigma: f64) -> f64 {
    -0.5 * ((x - mean) / sigma).powi(2) - sigma.ln()
}

#[test]
fn kl_is_the_mean_log_ratio_of_the_densities() {
    let case = case(6);
    let draws = 40_000;
    let eps = normals(9, Purpose::Noise, &[], draws * 6);
    let (mut sum, mut squares) = (0.0, 0.0);
    for eps in eps.chunks(6) {
        let ratio: f64 = (0..6)
            .map(|i| {
                let (mu, mean) = (f64::from(case.mu[[i]]), f64::from(case.prior_mean[[i]]));
                let sigma = (0.5 * f64::from(case.log_var[[i]])).exp();
                let w = mu + sigma * f64::from(eps[i]);
                log_density(w, mu, sigma) - log_density(w, mean, f64::from(PRIOR_SIGMA))
            })
            .sum();
        sum += ratio;
        squares += ratio * ratio;
    }
    let mean = sum / draws as f64;
    let standard_error = ((squares / draws as f64 - mean * mean) / draws as f64).sqrt();
    let exact = kl(&case.mu, &case.log_var, &case.prior_mean, PRIOR_SIGMA);
    assert!((mean - exact).abs() < 4.0 * standard_error, "{mean} +- {standard_error}, closed form {exact}");
    assert!(standard_error < 0.02 * exact, "too few draws to tell");
}

#[test]
fn kl_is_summed_over_weights_and_zero_at_the_prior() {
    let mean = tensor(numbers(5, 4));
    let at_prior = tensor(vec![2.0 * PRIOR_SIGMA.ln(); 5]);
    assert!(kl(&mean, &at_prior, &mean, PRIOR_SIGMA).abs() < 1e-6);
    let (one, ten) = (tensor(vec![0.3]), tensor(vec![0.3; 10]));
    let of = |mu: &ArrayD<f32>| kl(mu, &mu.mapv(|_| -3.0), &mu.mapv(|_| 0.0), PRIOR_SIGMA);
    assert!((of(&ten) - 10.0 * of(&one)).abs() < 1e-9);
}

#[test]
fn kl_gradient_is_the_difference() {
    let case = case(8);
    let factor = 0.7;
    let (mut d_mu, mut d_log_var) = (tensor(vec![1.0; 8]), tensor(vec![-2.0; 8]));
    let prior = (&case.prior_mean, PRIOR_SIGMA);
    add_kl_gradient(factor, (&case.mu, &case.log_var), prior.0, prior.1, (&mut d_mu, &mut d_log_var));
    let step = 1.0 / 256.0;
    for index in 0..8 {
        let moved = |mu_by: f32, log_var_by: f32| {
            let (mut mu, mut log_var) = (case.mu.clone(), case.log_var.clone());
            mu[[index]] += mu_by;
            log_var[[index]] += log_var_by;
            f64::from(factor) * kl(&mu, &log_var, &case.prior_mean, PRIOR_SIGMA)
        };
        let of_mu = (moved(step, 0.0) - moved(-step, 0.0)) / f64::from(2.0 * step);
        let of_log_var = (moved(0.0, step) - moved(0.0, -step)) / f64::from(2.0 * step);
        // Added to what was there: 1 and -2.
        assert!((f64::from(d_mu[[index]]) - 1.0 - of_mu).abs() < 1e-3, "mu {index}");
        assert!((f64::from(d_log_var[[index]]) + 2.0 - of_log_var).abs() < 1e-3, "log_var {index}");
    }
}

#[test]
fn the_start_is_delta_times_the_weight_but_never_dead() {
    let log_var = initial_log_var(&tensor(vec![0.5, -2.0, 0.0]), 0.2, 1e-3);
    let sigma: Vec<f32> = log_var.iter().map(|v| (0.5 * v).exp()).collect();
    for (sigma, wanted) in sigma.iter().zip([0.1, 0.4, 1e-3]) {
        assert!((sigma - wanted).abs() < 1e-5 * wanted.max(1.0), "{sigma} for {wanted}");
    }
    let weight = tensor(vec![0.5, -2.0, 0.0]);
    assert_eq!(prior_mean(&weight, PriorMean::Map), weight);
    assert_eq!(prior_mean(&weight, PriorMean::Zero), tensor(vec![0.0; 3]));
}

#[test]
fn sampled_kernels_have_the_posterior_mean_and_sigma() {
    let (mu, log_var) = (tensor(vec![0.7, -1.2]), tensor(vec![0.09f32.ln(), 0.25f32.ln()]));
    let config = stage2_config(Estimator::Weight);
    let shape = NoiseShape { n: 1, inputs: 1, outputs: 2 };
    let draws = 20_000;
    for (index, (mean, sigma)) in [(0.7, 0.3), (-1.2, 0.5)].into_iter().enumerate() {
        let values: Vec<f64> = (0..draws)
            .map(|step| match Noise::draw(&config, &mu, &log_var, shape, &[step]) {
                Noise::Weight { sample, .. } => f64::from(sample[index]),
                other => panic!("not a sampled kernel: {other:?}"),
            })
            .collect();
        let found = values.iter().sum::<f64>() / draws as f64;
        let variance = values.iter().map(|v| (v - found).powi(2)).sum::<f64>() / draws as f64;
        assert!((found - mean).abs() < 5.0 * sigma / (draws as f64).sqrt(), "{found} for {mean}");
        assert!((variance.sqrt() / sigma - 1.0).abs() < 5.0 / (2.0 * draws as f64).sqrt(), "{variance}");
    }
}
