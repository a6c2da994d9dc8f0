//! The engine: what is on the device, and one pass after another.

use super::device::open;
use super::forward::{FirstKernel, Forward, Leaf, Statistics};
use crate::error::{Error, Result};
use crate::graph::{Graph, NodeId, NodeParams, Op, Params};
use crate::train::engine::{Device, Draws, Engine};
use crate::train::executor::{
    Gradients, Pass, Perturbation, Trainable, check_inputs, move_running_statistics,
};
use burn_tensor::{Device as BurnDevice, Gradients as BurnGradients, Tensor, TensorData};
use ndarray::ArrayD;

/// Runs a graph on a GPU.
pub struct GpuExecutor {
    graph: Graph,
    max_batch: usize,
    trainable: Trainable,
    device: BurnDevice,
    first_weighted: Option<NodeId>,
    cache: Vec<Cached>,
    tape: Option<Tape>,
    output: Vec<f32>,
    /// With respect to the inputs of the last backward pass, `[n, h, w, c]`.
    input_gradient: Vec<f32>,
}

/// A node's parameters on the device, and the host's values that they were made from.
#[derive(Default)]
struct Cached {
    host: NodeParams,
    device: Uploaded,
}

/// A node's parameters on the device.
#[derive(Clone, Default)]
pub(super) struct Uploaded {
    pub weight: Option<Leaf>,
    pub bias: Option<Tensor<1>>,
    pub gamma: Option<Tensor<1>>,
    pub beta: Option<Tensor<1>>,
    pub running_mean: Option<Tensor<1>>,
    pub running_var: Option<Tensor<1>>,
}

/// What a forward pass leaves for the backward one.
struct Tape {
    output: Tensor<2>,
    params: Vec<Uploaded>,
    noise: Option<Leaf>,
    /// `[n, c, h, w]`, where its gradient is wanted.
    inputs: Option<Tensor<4>>,
    statistics: Vec<Statistics>,
}

impl GpuExecutor {
    /// Opens the device.
    ///
    /// # Errors
    /// If `max_batch` is zero, there is nothing to train, or the device is not there.
    pub fn new(graph: &Graph, max_batch: usize, trainable: Trainable, device: Device) -> Result<Self> {
        if max_batch == 0 {
            return Err(Error::invalid("batch size", 0, "at least 1"));
        }
        if trainable != Trainable::None {
            graph.first_weighted()?;
        }
        Ok(Self {
            graph: graph.clone(),
            max_batch,
            trainable,
            device: open(device)?,
            first_weighted: graph.first_weighted().ok(),
            cache: graph.nodes.iter().map(|_| Cached::default()).collect(),
            tape: None,
            output: Vec::new(),
            input_gradient: Vec::new(),
        })
    }

    fn upload_inputs(&self, inputs: &[f32], n: usize) -> Tensor<4> {
        let shape = self.graph.input_shape();
        let data = TensorData::new(inputs.to_vec(), [n, shape.height, shape.width, shape.channels]);
        Tensor::<4>::from_data(data, &self.device).permute([0, 3, 1, 2])
    }

    /// Sends what has changed since it was sent last.
    fn upload(&mut self, params: &Params) {
        for (cached, node) in self.cache.iter_mut().zip(&params.nodes) {
            if cached.host != *node {
                cached.device = Uploaded::new(node, &self.device);
                cached.host = node.clone();
            }
        }
    }

    /// The parameters for a pass that is differentiated: leaves where something is trained.
    fn leaves(&self) -> Vec<Uploaded> {
        let trains = |id| match self.trainable {
            Trainable::None | Trainable::Input => (false, false),
            Trainable::All => (true, true),
            Trainable::FirstLayer => (self.first_weighted == Some(id), false),
            Trainable::Kernels { first, last } => ((first..=last).contains(&id), false),
        };
        self.cache.iter().enumerate().map(|(id, cached)| cached.device.tracked(trains(id))).collect()
    }

    fn noise_leaf(&self, perturbation: &Perturbation<'_>, params: &Params) -> Option<(NodeId, Leaf)> {
        let node = self.first_weighted?;
        let shape = params.nodes[node].weight.as_ref()?.shape().to_vec();
        let values = match *perturbation {
            Perturbation::None => return None,
            Perturbation::Flipout { delta, .. } => delta,
            Perturbation::Local { variance, .. } => variance,
        };
        Some((node, Leaf::new(values, &shape, &self.device)?.tracked(true)))
    }

    fn check_local(&self, pass: &Pass<'_>) -> Result<()> {
        let is_local = matches!(pass.perturbation, Perturbation::Local { .. });
        match self.first_weighted {
            Some(id) if is_local && !matches!(self.graph.nodes[id].op, Op::Dense { .. }) => {
                Err(Error::invalid(
                    "local reparameterization",
                    format!("first layer {} is a convolution", self.graph.nodes[id].name),
                    "a dense first layer",
                ))
            }
            _ => Ok(()),
        }
    }
}

impl Engine for GpuExecutor {
    fn graph(&self) -> &Graph {
        &self.graph
    }

    fn max_batch(&self) -> usize {
        self.max_batch
    }

    fn infer(&mut self, params: &Params, inputs: &[f32], n: usize) -> Result<&[f32]> {
        check_inputs(&self.graph, self.max_batch, inputs, n)?;
        self.upload(params);
        let uploaded: Vec<Uploaded> = self.cache.iter().map(|cached| cached.device.clone()).collect();
        let forward = Forward {
            graph: &self.graph,
            device: &self.device,
            params: &uploaded,
            is_training: false,
            drops: false,
            dropout_seed: 0,
            first_example: 0,
            first: None,
        };
        let (output, _) = forward.run(self.upload_inputs(inputs, n))?;
        self.output = download(output)?;
        Ok(&self.output)
    }

    fn infer_draws(
        &mut self,
        params: &Params,
        draws: Draws<'_>,
        inputs: &[f32],
        n: usize,
        visit: &mut dyn FnMut(&[f32]),
    ) -> Result<()> {
        check_inputs(&self.graph, self.max_batch, inputs, n)?;
        self.upload(params);
        let missing = || Error::invalid("sampled kernel", "none", "a convolution's or dense layer's");
        let mut kernel = params.nodes[draws.node].weight.clone().ok_or_else(missing)?;
        let mut kernels = Vec::with_capacity(draws.count);
        for draw in 0..draws.count {
            (draws.fill)(draw, &mut kernel);
            kernels.push(Leaf::of(&kernel, &self.device).ok_or_else(missing)?);
        }
        let uploaded: Vec<Uploaded> = self.cache.iter().map(|cached| cached.device.clone()).collect();
        let forward = Forward {
            graph: &self.graph,
            device: &self.device,
            params: &uploaded,
            is_training: false,
            drops: false,
            dropout_seed: 0,
            first_example: 0,
            first: Some((draws.node, FirstKernel::Drawn(kernels))),
        };
        let (output, _) = forward.run(self.upload_inputs(inputs, n))?;
        // [n, draws, out] -> one [n, out] a draw.
        let (values, out) = (download(output)?, self.graph.output_shape().len());
        for draw in 0..draws.count {
            let rows = (0..n).flat_map(|i| &values[(i * draws.count + draw) * out..][..out]);
            self.output.clear();
            self.output.extend(rows);
            visit(&self.output);
        }
        Ok(())
    }

    fn forward(&mut self, params: &Params, inputs: &[f32], n: usize, pass: &Pass<'_>) -> Result<&[f32]> {
        check_inputs(&self.graph, self.max_batch, inputs, n)?;
        self.check_local(pass)?;
        self.upload(params);
        let (leaves, device) = (self.leaves(), self.device.clone().autodiff());
        let noise = self.noise_leaf(&pass.perturbation, params);
        let forward = Forward {
            graph: &self.graph,
            device: &device,
            params: &leaves,
            is_training: self.trainable == Trainable::All,
            drops: self.trainable == Trainable::All || pass.drops,
            dropout_seed: pass.dropout_seed,
            first_example: pass.first_example,
            first: noise
                .clone()
                .map(|(node, leaf)| (node, FirstKernel::Noisy { perturbation: pass.perturbation, leaf })),
        };
        let follows = self.trainable == Trainable::Input;
        let inputs = self.upload_inputs(inputs, n).autodiff().set_require_grad(follows);
        let (output, statistics) = forward.run(inputs.clone())?;
        self.output = download(output.clone().detach())?;
        let noise = noise.map(|(_, leaf)| leaf);
        let inputs = follows.then_some(inputs);
        self.tape = Some(Tape { output, params: leaves, noise, inputs, statistics });
        Ok(&self.output)
    }

    fn backward(
        &mut self,
        _: &Params,
        _: &[f32],
        output_gradient: &[f32],
        n: usize,
        _: &Pass<'_>,
        gradients: &mut Gradients,
    ) -> Result<()> {
        let Some(tape) = &self.tape else {
            return Err(Error::invalid("backward pass", "no forward pass before it", "one"));
        };
        let out = self.graph.output_shape().len();
        if output_gradient.len() != n * out || tape.output.dims() != [n, out] {
            let found = format!("{} values", output_gradient.len());
            return Err(Error::invalid("output gradient", found, format!("{:?}", tape.output.dims())));
        }
        // The sum's gradient with respect to the outputs is `output_gradient`.
        let data = TensorData::new(output_gradient.to_vec(), [n, out]);
        let factor = Tensor::<2>::from_data(data, &self.device).autodiff();
        let found = (tape.output.clone() * factor).sum().backward();
        for (node, leaves) in gradients.nodes.iter_mut().zip(&tape.params) {
            leaves.read_gradients(&found, node)?;
        }
        if let (Some(target), Some(leaf)) = (&mut gradients.noise, &tape.noise) {
            leaf.read_gradient(&found, target)?;
        }
        if let Some(inputs) = &tape.inputs {
            let gradient = inputs.grad(&found).map(|gradient| download(gradient.permute([0, 2, 3, 1])));
            let none = vec![0.0; n * self.graph.input_shape().len()];
            self.input_gradient = gradient.transpose()?.unwrap_or(none);
        }
        Ok(())
    }

    fn input_gradient(&self, n: usize) -> Result<&[f32]> {
        let len = n * self.graph.input_shape().len();
        self.input_gradient.get(..len).filter(|_| self.trainable == Trainable::Input).ok_or_else(|| {
            let found = format!("{:?}, {} values", self.trainable, self.input_gradient.len());
            Error::invalid("gradient of the inputs", found, format!("Input, {len} values"))
        })
    }

    fn update_running_statistics(&self, params: &mut Params) -> Result<()> {
        for found in self.tape.iter().flat_map(|tape| &tape.statistics) {
            let (mean, variance) = (download(found.mean.clone())?, download(found.variance.clone())?);
            move_running_statistics(&self.graph, params, found.node, &mean, &variance, found.rows);
        }
        Ok(())
    }
}

impl Uploaded {
    fn new(node: &NodeParams, device: &BurnDevice) -> Self {
        let vector = |tensor: &Option<ArrayD<f32>>| {
            let tensor = tensor.as_ref()?;
            let data = TensorData::new(tensor.iter().copied().collect(), [tensor.len()]);
            Some(Tensor::<1>::from_data(data, device))
        };
        Self {
            weight: node.weight.as_ref().and_then(|weight| Leaf::of(weight, device)),
            bias: vector(&node.bias),
            gamma: vector(&node.gamma),
            beta: vector(&node.beta),
            running_mean: vector(&node.running_mean),
            running_var: vector(&node.running_var),
        }
    }

    /// In the differentiated graph; `weight` and `others` say what gets a gradient.
    fn tracked(&self, (weight, others): (bool, bool)) -> Self {
        let vector = |tensor: &Option<Tensor<1>>, is_trained: bool| {
            tensor.clone().map(|tensor| tensor.autodiff().set_require_grad(is_trained))
        };
        Self {
            weight: self.weight.as_ref().map(|leaf| leaf.tracked(weight)),
            bias: vector(&self.bias, others),
            gamma: vector(&self.gamma, others),
            beta: vector(&self.beta, others),
            running_mean: vector(&self.running_mean, false),
            running_var: vector(&self.running_var, false),
        }
    }

    fn read_gradients(&self, found: &BurnGradients, node: &mut NodeParams) -> Result<()> {
        if let (Some(target), Some(leaf)) = (&mut node.weight, &self.weight) {
            leaf.read_gradient(found, target)?;
        }
        let vectors =
            [(&mut node.bias, &self.bias), (&mut node.gamma, &self.gamma), (&mut node.beta, &self.beta)];
        for (target, leaf) in vectors {
            if let (Some(target), Some(leaf)) = (target, leaf) {
                write(leaf.grad(found).map(download).transpose()?, target)?;
            }
        }
        Ok(())
    }
}

impl Leaf {
    fn of(kernel: &ArrayD<f32>, device: &BurnDevice) -> Option<Self> {
        let values: Vec<f32> = kernel.iter().copied().collect();
        Self::new(&values, kernel.shape(), device)
    }

    fn new(values: &[f32], shape: &[usize], device: &BurnDevice) -> Option<Self> {
        match *shape {
            [a, b, c, d] => {
                let data = TensorData::new(values.to_vec(), [a, b, c, d]);
                Some(Self::Conv(Tensor::from_data(data, device)))
            }
            [a, b] => {
                let data = TensorData::new(values.to_vec(), [a, b]);
                Some(Self::Dense(Tensor::from_data(data, device)))
            }
            _ => None,
        }
    }

    fn tracked(&self, is_trained: bool) -> Self {
        match self.clone() {
            Self::Conv(tensor) => Self::Conv(tensor.autodiff().set_require_grad(is_trained)),
            Self::Dense(tensor) => Self::Dense(tensor.autodiff().set_require_grad(is_trained)),
        }
    }

    fn read_gradient(&self, found: &BurnGradients, target: &mut ArrayD<f32>) -> Result<()> {
        let values = match self {
            Self::Conv(tensor) => tensor.grad(found).map(download).transpose()?,
            Self::Dense(tensor) => tensor.grad(found).map(download).transpose()?,
        };
        write(values, target)
    }
}

/// What the loss does not depend on has no gradient: zeros.
fn write(values: Option<Vec<f32>>, target: &mut ArrayD<f32>) -> Result<()> {
    let Some(values) = values else {
        target.fill(0.0);
        return Ok(());
    };
    if values.len() != target.len() {
        return Err(Error::invalid("gradient from the device", values.len(), target.len()));
    }
    target.iter_mut().zip(values).for_each(|(target, value)| *target = value);
    Ok(())
}

fn download<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    let unreadable = |error: &dyn std::fmt::Display| Error::invalid("result of the device", error, "numbers");
    let data = tensor.try_into_data().map_err(|error| unreadable(&format!("{error:?}")))?;
    data.try_to_vec::<f32>().map_err(|error| unreadable(&format!("{error:?}")))
}
