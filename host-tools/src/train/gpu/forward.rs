//! The graph's nodes in order, with noise on the first kernel, or with K kernels instead of it.

use super::executor::Uploaded;
use super::operators::{self, Map};
use crate::error::{Error, Result};
use crate::graph::{Graph, NodeId, Op};
use crate::train::executor::{Perturbation, drop_out};
use burn_tensor::{Device, Tensor, TensorData, module};

/// What one pass is given. Every tensor is on the device, and takes part in differentiation or does not.
pub(super) struct Forward<'a> {
    pub graph: &'a Graph,
    pub device: &'a Device,
    pub params: &'a [Uploaded],
    /// Batch norm by the batch's statistics.
    pub is_training: bool,
    /// Dropout drops.
    pub drops: bool,
    pub dropout_seed: u64,
    pub first_example: usize,
    pub first: Option<(NodeId, FirstKernel<'a>)>,
}

/// What happens at the first weighted node.
pub(super) enum FirstKernel<'a> {
    /// Noise of the host's, with the leaf for its gradient: `delta` or `variance`, in the kernel's shape.
    Noisy { perturbation: Perturbation<'a>, leaf: Leaf },
    /// One result for each of these kernels: from here on each example is there once for each draw.
    Drawn(Vec<Leaf>),
}

/// A kernel-shaped tensor.
#[derive(Clone)]
pub(super) enum Leaf {
    Conv(Tensor<4>),
    Dense(Tensor<2>),
}

/// Batch statistics of a batch-norm node.
pub(super) struct Statistics {
    pub node: NodeId,
    pub mean: Tensor<1>,
    /// Biased.
    pub variance: Tensor<1>,
    pub rows: usize,
}

/// A node's output: of `n` examples, or of `n` times the draws, an example's draws one after another.
#[derive(Clone)]
struct Value {
    map: Map,
    is_drawn: bool,
}

impl Forward<'_> {
    /// Outputs `[n, out]`, or `[n * draws, out]`.
    pub fn run(&self, inputs: Map) -> Result<(Tensor<2>, Vec<Statistics>)> {
        let mut values = vec![Value { map: inputs, is_drawn: false }];
        let mut statistics = Vec::new();
        let mut last_use = vec![0; self.graph.nodes.len()];
        for (id, node) in self.graph.nodes.iter().enumerate() {
            node.inputs.iter().for_each(|&input| last_use[input] = id);
        }
        let empty = Map::zeros([1, 1, 1, 1], self.device);
        for id in 1..self.graph.nodes.len() {
            let value = self.node(id, &values, &mut statistics)?;
            values.push(value);
            // The framework keeps what differentiation needs; nothing else stays on the device.
            for &input in &self.graph.nodes[id].inputs {
                if last_use[input] == id {
                    values[input].map = empty.clone();
                }
            }
        }
        let output = values.pop().map(|value| operators::rows(value.map));
        let output = output.ok_or_else(|| Error::invalid("network", "no node", "at least one"))?;
        Ok((output, statistics))
    }

    fn node(&self, id: NodeId, values: &[Value], statistics: &mut Vec<Statistics>) -> Result<Value> {
        let node = &self.graph.nodes[id];
        let x = values[node.inputs[0]].clone();
        let same = |map| Ok(Value { map, is_drawn: x.is_drawn });
        match node.op {
            Op::Input => same(x.map),
            Op::Conv2d { .. } | Op::Dense { .. } => match &self.first {
                Some((first, FirstKernel::Drawn(kernels))) if *first == id => {
                    Ok(Value { map: self.drawn(id, x.map, kernels)?, is_drawn: true })
                }
                Some((first, FirstKernel::Noisy { perturbation, leaf })) if *first == id => {
                    let clean = self.weighted(id, x.map.clone(), self.kernel(id)?, true)?;
                    same(clean + self.noise(id, x.map, perturbation, leaf)?)
                }
                _ => same(self.weighted(id, x.map, self.kernel(id)?, true)?),
            },
            Op::BatchNorm { eps, .. } => same(self.batch_norm(id, x.map, eps, statistics)?),
            Op::Activation(activation) => same(operators::activate(activation, x.map)),
            Op::MaxPool(window) => same(operators::max_pool(x.map, &window)),
            Op::AvgPool { window, .. } if window.dilation != [1; 2] => {
                let found = format!("dilation {:?}", window.dilation);
                Err(Error::invalid(format!("average pool {} on a GPU", node.name), found, "no dilation"))
            }
            Op::AvgPool { window, count_padding } => {
                same(operators::average_pool(x.map, &window, count_padding))
            }
            Op::GlobalAvgPool => same(operators::global_average_pool(x.map)),
            Op::Flatten => same(operators::map(operators::rows(x.map))),
            Op::Dropout { rate } if self.drops => same(self.drop_out(id, x.map, rate)),
            Op::Dropout { .. } => same(x.map),
            Op::Add | Op::Sub | Op::Mul | Op::Concat { .. } => {
                Ok(self.joined(node.op, x, values[node.inputs[1]].clone()))
            }
            Op::Pad { begin, end } => same(operators::pad(x.map, begin, end)),
        }
    }

    fn missing(&self, id: NodeId, tensor: &str) -> Error {
        Error::invalid(format!("{tensor} of node {}", self.graph.nodes[id].name), "none", "a tensor")
    }

    fn kernel(&self, id: NodeId) -> Result<Leaf> {
        self.params[id].weight.clone().ok_or_else(|| self.missing(id, "weight"))
    }

    /// Convolution or dense layer.
    fn weighted(&self, id: NodeId, x: Map, kernel: Leaf, with_bias: bool) -> Result<Map> {
        let bias = self.params[id].bias.clone().filter(|_| with_bias);
        match (self.graph.nodes[id].op, kernel) {
            (Op::Conv2d { window, groups, .. }, Leaf::Conv(weight)) => {
                Ok(operators::conv(x, weight, bias, &window, groups))
            }
            (Op::Dense { .. }, Leaf::Dense(weight)) => {
                let y = operators::dense(operators::rows(x), weight);
                Ok(operators::map(match bias {
                    Some(bias) => y + bias.unsqueeze(),
                    None => y,
                }))
            }
            _ => Err(self.missing(id, "weight of the node's kind")),
        }
    }

    /// What noise adds to the first node's output.
    fn noise(&self, id: NodeId, x: Map, perturbation: &Perturbation<'_>, leaf: &Leaf) -> Result<Map> {
        let [n, channels, ..] = x.dims();
        let outputs = self.graph.nodes[id].shape.channels;
        let is_dense = matches!(self.graph.nodes[id].op, Op::Dense { .. });
        match *perturbation {
            Perturbation::None => Err(Error::invalid("noise", "none", "flipout or local noise")),
            Perturbation::Flipout { input_signs, output_signs, .. } => {
                let x = if is_dense { operators::map(operators::rows(x)) } else { x };
                let inputs = if is_dense { x.dims()[1] } else { channels };
                let signed = x * self.constant(input_signs, [n, inputs, 1, 1]);
                let y = self.weighted(id, signed, leaf.clone(), false)?;
                Ok(y * self.constant(output_signs, [n, outputs, 1, 1]))
            }
            Perturbation::Local { eps, .. } => {
                let squares = operators::rows(x).powi_scalar(2);
                let variance = self.weighted(id, operators::map(squares), leaf.clone(), false)?;
                // The square root's slope at 0, where all inputs are 0, must not become infinite.
                Ok((variance + 1e-30).sqrt() * self.constant(eps, [n, outputs, 1, 1]))
            }
        }
    }

    /// The first node under each kernel, as one batch. A convolution without groups makes all results at once,
    /// with as many output channels as all kernels together have.
    fn drawn(&self, id: NodeId, x: Map, kernels: &[Leaf]) -> Result<Map> {
        let n = x.dims()[0];
        let results: Result<Vec<Map>> = match self.graph.nodes[id].op {
            Op::Conv2d { groups: 1, window, .. } => {
                let all: Vec<Tensor<4>> = kernels
                    .iter()
                    .filter_map(|kernel| match kernel {
                        Leaf::Conv(kernel) => Some(kernel.clone()),
                        Leaf::Dense(_) => None,
                    })
                    .collect();
                let y = operators::conv(x, Tensor::cat(all, 0), None, &window, 1);
                let [_, channels, height, width] = y.dims();
                let y = y.reshape([n * kernels.len(), channels / kernels.len(), height, width]);
                return Ok(match &self.params[id].bias {
                    Some(bias) => y + bias.clone().reshape([1, channels / kernels.len(), 1, 1]),
                    None => y,
                });
            }
            _ => kernels.iter().map(|kernel| self.weighted(id, x.clone(), kernel.clone(), true)).collect(),
        };
        let results: Vec<Tensor<5>> = results?.into_iter().map(|y| y.unsqueeze_dim(1)).collect();
        let y = Tensor::cat(results, 1);
        let [_, draws, channels, height, width] = y.dims();
        Ok(y.reshape([n * draws, channels, height, width]))
    }

    fn batch_norm(&self, id: NodeId, x: Map, eps: f32, statistics: &mut Vec<Statistics>) -> Result<Map> {
        let node = &self.params[id];
        let gamma = node.gamma.clone().ok_or_else(|| self.missing(id, "gamma"))?;
        let beta = node.beta.clone().ok_or_else(|| self.missing(id, "beta"))?;
        let eps = f64::from(eps);
        if self.is_training {
            let [n, _, height, width] = x.dims();
            let result = module::batch_norm_train(x, gamma, beta, eps);
            let rows = n * height * width;
            statistics.push(Statistics { node: id, mean: result.mean, variance: result.variance, rows });
            return Ok(result.output);
        }
        let mean = node.running_mean.clone().ok_or_else(|| self.missing(id, "running mean"))?;
        let variance = node.running_var.clone().ok_or_else(|| self.missing(id, "running variance"))?;
        Ok(module::batch_norm(x, gamma, beta, mean, variance, eps))
    }

    /// The host's own mask.
    fn drop_out(&self, id: NodeId, x: Map, rate: f32) -> Map {
        let [n, channels, height, width] = x.dims();
        let size = channels * height * width;
        let mut mask = vec![1.0; n * size];
        drop_out(rate, self.dropout_seed, id, self.first_example * size, &mut mask);
        x * self.constant(&mask, [n, height, width, channels]).permute([0, 3, 1, 2])
    }

    /// One of the operators of two inputs.
    fn joined(&self, op: Op, a: Value, b: Value) -> Value {
        let is_drawn = a.is_drawn || b.is_drawn;
        let [a, b] = [a, b].map(|value| match (is_drawn, value.is_drawn, &self.first) {
            (true, false, Some((_, FirstKernel::Drawn(kernels)))) => repeat(value.map, kernels.len()),
            _ => value.map,
        });
        let map = match op {
            Op::Sub => a - b,
            Op::Mul => a * b,
            Op::Concat { axis } => operators::concat(a, b, axis),
            _ => a + b,
        };
        Value { map, is_drawn }
    }

    fn constant(&self, values: &[f32], shape: [usize; 4]) -> Map {
        Map::from_data(TensorData::new(values.to_vec(), shape), self.device)
    }
}

/// Each example as often as there are draws.
fn repeat(x: Map, draws: usize) -> Map {
    let [n, channels, height, width] = x.dims();
    let x: Tensor<5> = x.unsqueeze_dim(1);
    x.repeat_dim(1, draws).reshape([n * draws, channels, height, width])
}
