//! Means over sampled kernels against closed forms and against one pass at a time.

use super::*;
use crate::graph::{Graph, GraphBuilder, Shape, Task};
use crate::train::Executor;
use crate::train::testing::{Examples, conv_net, numbers};
use ndarray::ArrayD;

fn with_log_var(graph: &Graph, params: &Params, log_var: f32) -> Posterior {
    let node = graph.first_weighted().unwrap();
    Posterior { node, log_var: params.nodes[node].weight.as_ref().unwrap().mapv(|_| log_var) }
}

#[test]
fn without_variance_every_sample_is_the_plain_network() {
    let graph = conv_net();
    let params = Params::initialise(&graph, 1);
    let inputs = numbers(5 * graph.input_shape().len(), 2);
    let mut executor = Executor::new(&graph, 5).unwrap();
    let plain: Vec<f32> = executor.infer(&params, &inputs, 5).unwrap().chunks(3).flat_map(softmax).collect();
    let posterior = with_log_var(&graph, &params, f32::NEG_INFINITY);
    for (posterior, samples) in [(None, 8), (Some(&posterior), 4)] {
        let found = predict_mc(&mut executor, &params, posterior, &inputs, 5, samples, 3).unwrap();
        assert!(found.probabilities.iter().zip(&plain).all(|(p, q)| (p - q).abs() < 1e-6));
        assert!(found.mutual_information.iter().all(|mi| *mi < 1e-6));
        let entropy = |row: &[f32]| -row.iter().map(|p| p * p.ln()).sum::<f32>();
        for (found, row) in found.predictive_entropy.iter().zip(plain.chunks(3)) {
            assert!((found - entropy(row)).abs() < 1e-5);
        }
    }
}

/// The definition, one sample and one example at a time, in f64.
#[test]
fn the_mean_and_the_uncertainties_are_their_definitions() {
    let graph = conv_net();
    let params = Params::initialise(&graph, 1);
    let posterior = with_log_var(&graph, &params, -2.0);
    let (n, samples, size) = (4, 6, graph.input_shape().len());
    let inputs = numbers(n * size, 2);
    let mut executor = Executor::new(&graph, n).unwrap();
    let found = predict_mc(&mut executor, &params, Some(&posterior), &inputs, n, samples, 3).unwrap();
    let entropy = |row: &[f64]| -row.iter().map(|p| p * p.ln()).sum::<f64>();
    for example in 0..n {
        let (mut mean, mut expected) = (vec![0.0; 3], 0.0);
        for sample in 0..samples {
            let mut sampled = params.clone();
            sample_kernel(&mut sampled, &params, &posterior, 3, sample as u64);
            let logits = executor.infer(&sampled, &inputs[example * size..][..size], 1).unwrap();
            let sum: f64 = logits.iter().map(|l| f64::from(*l).exp()).sum();
            let row: Vec<f64> = logits.iter().map(|l| f64::from(*l).exp() / sum).collect();
            expected += entropy(&row) / samples as f64;
            mean.iter_mut().zip(&row).for_each(|(m, p)| *m += p / samples as f64);
        }
        let near = |found: f32, wanted: f64| (f64::from(found) - wanted).abs() < 1e-5;
        assert!(mean.iter().zip(&found.probabilities[example * 3..]).all(|(w, f)| near(*f, *w)));
        assert!(near(found.predictive_entropy[example], entropy(&mean)));
        assert!(near(found.mutual_information[example], entropy(&mean) - expected));
        assert!(found.mutual_information[example] > 1e-4, "no spread to measure");
    }
}

/// Two logits 0 and w with w ~ N(mu, sigma^2): the mean probability is the logistic-normal integral,
/// here by the trapezoidal rule.
#[test]
fn many_samples_approach_the_integral() {
    let mut builder = GraphBuilder::new("one", Task::Classification, Shape::vector(1));
    builder.dense(0, 2, false).unwrap();
    let graph = builder.finish().unwrap();
    let mut params = Params::zeros(&graph);
    let (mu, sigma) = (0.8f64, 1.5f64);
    params.nodes[1].weight = Some(ArrayD::from_shape_vec(vec![2, 1], vec![0.0, mu as f32]).unwrap());
    let log_var = vec![f32::NEG_INFINITY, 2.0 * (sigma as f32).ln()];
    let posterior = Posterior { node: 1, log_var: ArrayD::from_shape_vec(vec![2, 1], log_var).unwrap() };
    let samples = 20_000;
    let mut executor = Executor::new(&graph, 1).unwrap();
    let found = predict_mc(&mut executor, &params, Some(&posterior), &[1.0], 1, samples, 1).unwrap();
    let (mut mean, mut square, step) = (0.0, 0.0, 1e-3);
    for z in (-8_000..=8_000).map(|i| f64::from(i) * step) {
        let density = (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt() * step;
        let p = 1.0 / (1.0 + (-(mu + sigma * z)).exp());
        mean += density * p;
        square += density * p * p;
    }
    let standard_error = ((square - mean * mean) / f64::from(samples as u32)).sqrt();
    let p = f64::from(found.probabilities[1]);
    assert!((p - mean).abs() < 4.0 * standard_error, "{p}, integral {mean} +- {standard_error}");
}

#[test]
fn seeds_and_samples_give_kernels_of_their_own() {
    let graph = conv_net();
    let params = Params::initialise(&graph, 1);
    let posterior = with_log_var(&graph, &params, -2.0);
    let kernel = |seed, sample| {
        let mut sampled = params.clone();
        sample_kernel(&mut sampled, &params, &posterior, seed, sample);
        sampled
    };
    assert_eq!(kernel(1, 0), kernel(1, 0));
    assert_ne!(kernel(1, 0), kernel(1, 1));
    assert_ne!(kernel(1, 0), kernel(2, 0));
}

#[test]
fn reconstructions_are_judged_by_their_loss() {
    let examples = Examples::new();
    let data = examples.data();
    let mut builder = GraphBuilder::new("zero", Task::Reconstruction, data.validation.shape);
    let flat = builder.flatten(0).unwrap();
    builder.dense(flat, data.validation.shape.len(), true).unwrap();
    let graph = builder.finish().unwrap();
    // All weights zero: the outputs are zero, and the loss is half the inputs' mean square.
    let params = Params::zeros(&graph);
    let found = validate(&graph, &params, None, data.validation, data.preprocessing, 1, 0).unwrap();
    let mut inputs = Vec::new();
    let all: Vec<usize> = (0..data.validation.len()).collect();
    data.preprocessing.apply(data.validation, &all, &mut inputs).unwrap();
    let wanted = 0.5 * inputs.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / inputs.len() as f64;
    assert!((found.nll - wanted).abs() < 1e-6 * wanted, "{} {wanted}", found.nll);
}
