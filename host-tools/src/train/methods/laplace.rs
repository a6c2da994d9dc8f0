//! Laplace approximation of the last layer with Kronecker factors of the generalized Gauss-Newton matrix
//! (Daxberger et al. 2021, "Laplace Redux"): the precision of its weights and bias is
//! `N A (x) G + precision I`, where `A` is the mean of `phi phi^T` over the layer's inputs with a 1 behind
//! them, and `G` the mean of `diag(p) - p p^T`.

mod eigen;

use crate::data::{Dataset, Preprocessing};
use crate::error::{Error, Result};
use crate::graph::{Graph, NodeId, Op, Params};
use crate::run::Checkpoint;
use crate::train::executor::Executor;
use crate::train::monte_carlo::softmax;
use crate::train::random::{Purpose, normals};
use eigen::Eigen;
use ndarray::ArrayD;
use std::path::Path;

/// Examples that run together.
const BATCH: usize = 256;

/// The Gaussian of a dense last layer's weights and bias.
#[derive(Debug, Clone, PartialEq)]
pub struct LastLayer {
    node: NodeId,
    /// Of `A`, `[inputs + 1]` values.
    inputs: Eigen,
    /// Of `G`, `[classes]` values.
    outputs: Eigen,
    /// Number of training examples.
    examples: f64,
    /// Of the prior; chosen by the caller.
    pub prior_precision: f64,
}

/// Fits the factors on training data.
///
/// # Errors
/// If the network does not end in a dense layer with a bias, or cannot run on the data.
pub fn fit_last_layer(
    graph: &Graph,
    params: &Params,
    data: &Dataset,
    preprocessing: &Preprocessing,
) -> Result<LastLayer> {
    let node = last_dense(graph)?;
    let (source, features, classes) =
        (graph.nodes[node].inputs[0], graph.input_of(node).len(), graph.output_shape().len());
    let width = features + 1;
    let (mut a, mut g) = (vec![0.0f64; width * width], vec![0.0f64; classes * classes]);
    let (mut executor, mut inputs) = (Executor::new(graph, BATCH)?, Vec::new());
    let indices: Vec<usize> = (0..data.len()).collect();
    for batch in indices.chunks(BATCH) {
        preprocessing.apply(data, batch, &mut inputs)?;
        executor.infer_each(params, &inputs, batch.len(), &mut |id, values| {
            if id == source {
                values.chunks_exact(features).for_each(|row| add_outer(&mut a, row, true));
            }
            if id == graph.output() {
                values.chunks_exact(classes).for_each(|row| {
                    let p = softmax(row);
                    g.iter_mut().step_by(classes + 1).zip(&p).for_each(|(g, p)| *g += f64::from(*p));
                    let minus: Vec<f32> = p.iter().map(|p| -p).collect();
                    for (row, minus) in g.chunks_exact_mut(classes).zip(minus) {
                        row.iter_mut().zip(&p).for_each(|(g, p)| *g += f64::from(minus) * f64::from(*p));
                    }
                });
            }
        })?;
    }
    let n = data.len().max(1) as f64;
    a.iter_mut().chain(&mut g).for_each(|value| *value /= n);
    let (inputs, outputs) = (Eigen::of(a, width), Eigen::of(g, classes));
    Ok(LastLayer { node, inputs, outputs, examples: n, prior_precision: 1.0 })
}

fn last_dense(graph: &Graph) -> Result<NodeId> {
    let node = graph.output();
    match graph.nodes[node].op {
        Op::Dense { bias: true, .. } => Ok(node),
        op => Err(Error::invalid(
            format!("last layer of {}", graph.name),
            op.name(),
            "a dense layer with a bias, for its Laplace approximation",
        )),
    }
}

/// `sum += x x^T`, with a 1 behind `x`.
fn add_outer(sum: &mut [f64], x: &[f32], with_one: bool) {
    let x: Vec<f64> = x.iter().map(|&x| f64::from(x)).chain(with_one.then_some(1.0)).collect();
    for (row, left) in sum.chunks_exact_mut(x.len()).zip(&x).filter(|(_, left)| **left != 0.0) {
        row.iter_mut().zip(&x).for_each(|(sum, right)| *sum += left * right);
    }
}

impl LastLayer {
    /// Numbers that have to be kept.
    #[must_use]
    pub fn parameters(&self) -> usize {
        [&self.inputs, &self.outputs].iter().map(|e| e.values.len() * (1 + e.values.len())).sum()
    }

    /// Writes a draw of the last layer into `target`: `W + U_G (Z / sqrt(precision)) U_A^T`.
    pub fn sample(&self, params: &Params, target: &mut Params, seed: u64, draw: u64) {
        let (rows, columns) = (self.outputs.values.len(), self.inputs.values.len());
        let z = normals(seed, Purpose::Evaluation, &[draw], rows * columns);
        let mut scaled: Vec<f64> = z.into_iter().map(f64::from).collect();
        for (row, g) in scaled.chunks_exact_mut(columns).zip(&self.outputs.values) {
            for (value, a) in row.iter_mut().zip(&self.inputs.values) {
                *value /= (self.examples * a.max(0.0) * g.max(0.0) + self.prior_precision).sqrt();
            }
        }
        let turned = self.outputs.times(&scaled, columns);
        let noise = self.inputs.right(&turned);
        let (from, to) = (&params.nodes[self.node], &mut target.nodes[self.node]);
        if let (Some(mean), Some(weight)) = (&from.weight, &mut to.weight) {
            let noise = noise.chunks_exact(columns).flat_map(|row| &row[..columns - 1]);
            weight.iter_mut().zip(mean).zip(noise).for_each(|((w, mean), noise)| *w = mean + *noise as f32);
        }
        if let (Some(mean), Some(bias)) = (&from.bias, &mut to.bias) {
            let noise = noise.chunks_exact(columns).map(|row| row[columns - 1]);
            bias.iter_mut().zip(mean).zip(noise).for_each(|((b, mean), noise)| *b = mean + noise as f32);
        }
    }

    /// Writes the factors into a file.
    pub(super) fn store(&self, file: &mut Checkpoint) {
        for (name, eigen) in [("inputs", &self.inputs), ("outputs", &self.outputs)] {
            let tensor = |values: &[f64], shape: Vec<usize>| {
                let values = values.iter().map(|&value| value as f32).collect();
                ArrayD::from_shape_vec(shape, values).unwrap_or_else(|_| ArrayD::zeros(vec![0]))
            };
            let n = eigen.values.len();
            file.tensors.insert(format!("laplace/{name}/values"), tensor(&eigen.values, vec![n]));
            file.tensors.insert(format!("laplace/{name}/vectors"), tensor(&eigen.vectors, vec![n, n]));
        }
        file.meta["examples"] = self.examples.into();
        file.meta["prior_precision"] = self.prior_precision.into();
    }

    /// Reads what [`Self::store`] wrote.
    pub(super) fn load(graph: &Graph, file: &mut Checkpoint, path: &Path) -> Result<Self> {
        let node = last_dense(graph)?;
        let mut eigen = |name: &str, n: usize| -> Result<Eigen> {
            let mut take = |part: &str, shape: &[usize]| -> Result<Vec<f64>> {
                let tensor = file.take(path, &format!("laplace/{name}/{part}"), shape)?;
                Ok(tensor.iter().map(|&value| f64::from(value)).collect())
            };
            Ok(Eigen { values: take("values", &[n])?, vectors: take("vectors", &[n, n])? })
        };
        let (inputs, outputs) =
            (eigen("inputs", graph.input_of(node).len() + 1)?, eigen("outputs", graph.output_shape().len())?);
        let (examples, prior_precision) =
            (file.field(path, "examples")?, file.field(path, "prior_precision")?);
        Ok(Self { node, inputs, outputs, examples, prior_precision })
    }
}

#[cfg(test)]
mod tests;
