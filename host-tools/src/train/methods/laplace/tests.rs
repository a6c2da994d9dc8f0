use super::*;
use crate::train::testing::{Examples, dense_net, numbers};

fn symmetric(n: usize) -> Vec<f64> {
    let half = numbers(n * n, 3);
    (0..n * n).map(|i| f64::from(half[i] + half[i % n * n + i / n])).collect()
}

/// `U diag(v) U^T` is the matrix again, and `U` is orthogonal.
#[test]
fn eigenvectors_rebuild_their_matrix() {
    for n in [1, 2, 7, 33] {
        let matrix = symmetric(n);
        let eigen = Eigen::of(matrix.clone(), n);
        let mut scaled = eigen.vectors.clone();
        scaled
            .chunks_exact_mut(n)
            .for_each(|row| row.iter_mut().zip(&eigen.values).for_each(|(x, v)| *x *= v));
        let close =
            |found: &[f64], wanted: &[f64]| found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-9);
        assert!(close(&eigen.right(&scaled), &matrix), "{n}");
        let identity: Vec<f64> = (0..n * n).map(|i| f64::from(u8::from(i % (n + 1) == 0))).collect();
        assert!(close(&eigen.right(&eigen.vectors), &identity), "{n}");
    }
}

/// The covariance of draws against the inverse of the precision matrix, by brute force.
#[test]
fn draws_have_the_covariance_of_the_formula() {
    let (graph, examples) = (dense_net(), Examples::new());
    let params = Params::initialise(&graph, 3);
    let data = examples.data();
    let mut last = fit_last_layer(&graph, &params, data.train, data.preprocessing).unwrap();
    last.prior_precision = 0.7;
    let (rows, columns) = (last.outputs.values.len(), last.inputs.values.len());
    let node = graph.output();
    let mut target = params.clone();
    let (samples, size) = (20_000, rows * columns);
    let mut covariance = vec![0.0f64; size * size];
    for draw in 0..samples {
        last.sample(&params, &mut target, 1, draw);
        let difference =
            |a: &Option<ArrayD<f32>>, b: &Option<ArrayD<f32>>| a.clone().unwrap() - b.clone().unwrap();
        let weight = difference(&target.nodes[node].weight, &params.nodes[node].weight);
        let bias = difference(&target.nodes[node].bias, &params.nodes[node].bias);
        let flat: Vec<f32> = (0..rows)
            .flat_map(|r| (0..columns).map(move |c| (r, c)))
            .map(|(r, c)| if c + 1 < columns { weight[[r, c]] } else { bias[[r]] })
            .collect();
        add_outer(&mut covariance, &flat, false);
    }
    covariance.iter_mut().for_each(|value| *value /= samples as f64);
    // precision * covariance is the identity; the precision is built here from the factors' matrices.
    let rebuild = |eigen: &Eigen| {
        let n = eigen.values.len();
        let mut scaled = eigen.vectors.clone();
        scaled
            .chunks_exact_mut(n)
            .for_each(|row| row.iter_mut().zip(&eigen.values).for_each(|(x, v)| *x *= v));
        eigen.right(&scaled)
    };
    let (a, g) = (rebuild(&last.inputs), rebuild(&last.outputs));
    for i in 0..size {
        for j in 0..size {
            let precision = |k: usize| {
                let kron = g[i / columns * rows + k / columns] * a[i % columns * columns + k % columns];
                last.examples * kron + if i == k { last.prior_precision } else { 0.0 }
            };
            let found: f64 = (0..size).map(|k| precision(k) * covariance[k * size + j]).sum();
            assert!((found - f64::from(u8::from(i == j))).abs() < 0.5, "{i} {j}: {found}");
        }
    }
}
