//! Runs the graph forward and backward on the CPU: every operator over NHWC activations in planned
//! buffers, a batch split into tasks whose number does not depend on the number of threads, so that
//! the same seed gives the same bits on one core and on many.
//!
//! What is not trained costs nothing: no weight gradients, no saved activations, no way back beyond
//! the first trained layer.

mod backward;
mod batch_norm;
mod conv;
mod dense;
mod depthwise;
mod direct;
mod elementwise;
mod forward;
mod im2col;
mod joints;
mod max_pool;
mod plan;
mod pool;
mod times;
mod types;

#[cfg(test)]
mod tests;

#[cfg(feature = "gpu")]
pub(super) use elementwise::drop_out;
pub use plan::part_examples;
pub use times::Times;
pub use types::{Gradients, Pass, Perturbation, Trainable};

use crate::error::{Error, Result};
use crate::graph::{Graph, NodeId, Op, Params, Shape, Window};
use crate::kernels::relu;
use plan::{Layout, layout, needs_gradient};
use std::ops::Range;
use types::{Place, on_pool};

/// A graph with the buffers to run it.
#[derive(Debug, Clone)]
pub struct Executor {
    graph: Graph,
    max_batch: usize,
    trainable: Trainable,
    layout: Layout,
    needs: Vec<bool>,
    first_weighted: Option<NodeId>,
    activations: Vec<f32>,
    gradients: Vec<f32>,
    /// Batch statistics of each batch-norm node in the last training pass.
    statistics: Vec<batch_norm::Statistics>,
    /// Winning taps of each max-pool node in the last training pass.
    winners: Vec<Option<max_pool::Winners>>,
    /// Derivative of each ReLU node in the last training pass, where the layout says so.
    relu_bits: Vec<Vec<u16>>,
    /// Standard deviations of the first layer's outputs in the last pass, local reparameterization.
    deviation: Vec<f32>,
    /// What each node took in the last pass, if that is measured.
    times: Option<Vec<Times>>,
}

impl Executor {
    /// Buffers for inference on up to `max_batch` examples at a time.
    ///
    /// # Errors
    /// If `max_batch` is zero.
    pub fn new(graph: &Graph, max_batch: usize) -> Result<Self> {
        Self::for_training(graph, max_batch, Trainable::None)
    }

    /// Buffers for training on up to `max_batch` examples at a time.
    ///
    /// # Errors
    /// If `max_batch` is zero, the graph has nothing to train, or a window of max pooling that gradients pass through
    /// has more than 65,534 elements.
    pub fn for_training(graph: &Graph, max_batch: usize, trainable: Trainable) -> Result<Self> {
        if max_batch == 0 {
            return Err(Error::invalid("batch size", 0, "at least 1"));
        }
        if trainable != Trainable::None {
            graph.first_weighted()?;
        }
        let layout = layout(graph, trainable);
        let words = |id: NodeId| (graph.nodes[id].shape.len() * max_batch).div_ceil(relu::BITS);
        let relu_bits = (0..graph.nodes.len()).map(|id| vec![0; if layout.bits[id] { words(id) } else { 0 }]);
        let mut executor = Self {
            graph: graph.clone(),
            max_batch,
            trainable,
            needs: needs_gradient(graph, trainable),
            first_weighted: graph.first_weighted().ok(),
            activations: vec![0.0; layout.activation_floats * max_batch],
            gradients: vec![0.0; layout.gradient_floats * max_batch],
            statistics: vec![batch_norm::Statistics::default(); graph.nodes.len()],
            winners: vec![None; graph.nodes.len()],
            relu_bits: relu_bits.collect(),
            deviation: Vec::new(),
            times: None,
            layout,
        };
        for id in 0..graph.nodes.len() {
            if executor.needs[id] && matches!(graph.nodes[id].op, Op::MaxPool(_)) {
                let geometry = executor.pool_geometry(id);
                max_pool::Winners::check(&graph.nodes[id].name, &geometry)?;
                executor.winners[id] = Some(max_pool::Winners::new(&geometry, max_batch));
            }
        }
        Ok(executor)
    }

    /// The graph that it runs.
    #[must_use]
    pub const fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Most examples of one pass.
    #[must_use]
    pub const fn max_batch(&self) -> usize {
        self.max_batch
    }

    /// Bytes of planned activations and gradients, and of what is saved of ReLU and max pooling.
    #[must_use]
    pub fn planned_bytes(&self) -> usize {
        let winners: usize = self.winners.iter().flatten().map(max_pool::Winners::bytes).sum();
        let bits: usize = self.relu_bits.iter().map(|bits| 2 * bits.len()).sum();
        4 * (self.activations.len() + self.gradients.len()) + winners + bits
    }

    /// Outputs `[n, out]` for inputs `[n, h, w, c]`, with running batch-norm statistics.
    ///
    /// # Errors
    /// If `n` is zero or beyond the batch size, the inputs are not of that many examples, or a
    /// parameter is missing.
    pub fn infer(&mut self, params: &Params, inputs: &[f32], n: usize) -> Result<&[f32]> {
        check_inputs(&self.graph, self.max_batch, inputs, n)?;
        on_pool(|| {
            (0..self.graph.nodes.len())
                .try_for_each(|id| self.forward_node(id, params, inputs, n, &Pass::default(), false))
        })?;
        Ok(self.output(n))
    }

    /// As [`Self::infer`]; shows every node's output `[n, h, w, c]` as soon as it is there.
    ///
    /// # Errors
    /// As [`Self::infer`], and if the executor is one for training, which leaves some outputs out.
    pub fn infer_each(
        &mut self,
        params: &Params,
        inputs: &[f32],
        n: usize,
        visit: &mut dyn FnMut(NodeId, &[f32]),
    ) -> Result<()> {
        if self.trainable != Trainable::None {
            return Err(Error::invalid("executor", "one for training", "one for inference"));
        }
        check_inputs(&self.graph, self.max_batch, inputs, n)?;
        for id in 0..self.graph.nodes.len() {
            self.forward_node(id, params, inputs, n, &Pass::default(), false)?;
            visit(id, self.read(id, inputs, n));
        }
        Ok(())
    }

    /// Training pass: outputs `[n, out]`. Batch norm uses the batch's statistics and dropout drops if
    /// everything is trained; if the first layer alone is, both are as in inference.
    ///
    /// # Errors
    /// As [`Self::infer`], and if the perturbation does not fit the first layer.
    pub fn forward(&mut self, params: &Params, inputs: &[f32], n: usize, pass: &Pass<'_>) -> Result<&[f32]> {
        check_inputs(&self.graph, self.max_batch, inputs, n)?;
        self.check_perturbation(pass, n)?;
        let batch_statistics = self.trainable == Trainable::All;
        on_pool(|| {
            (0..self.graph.nodes.len())
                .try_for_each(|id| self.timed_forward(id, params, inputs, n, pass, batch_statistics))
        })?;
        Ok(self.output(n))
    }

    /// Gradients of the loss whose derivative with respect to the last [`Self::forward`]'s outputs is
    /// `output_gradient`, `[n, out]`. Overwrites `gradients`, which [`Gradients::zeros`] made.
    ///
    /// # Errors
    /// If sizes differ from those of the forward pass, or a parameter or gradient is missing.
    pub fn backward(
        &mut self,
        params: &Params,
        inputs: &[f32],
        output_gradient: &[f32],
        n: usize,
        pass: &Pass<'_>,
        gradients: &mut Gradients,
    ) -> Result<()> {
        check_inputs(&self.graph, self.max_batch, inputs, n)?;
        let expected = n * self.graph.output_shape().len();
        if output_gradient.len() != expected {
            let found = format!("{} values", output_gradient.len());
            return Err(Error::invalid("output gradient", found, expected));
        }
        let mut written = vec![false; self.graph.nodes.len()];
        let pass = backward::BackwardPass { params, inputs, output_gradient, n, pass };
        on_pool(|| {
            (1..self.graph.nodes.len()).rev().try_for_each(|id| match self.needs[id] {
                true => self.backward_node(id, &pass, &mut written, gradients),
                false => Ok(()),
            })
        })
    }

    /// Gradient with respect to the inputs, `[n, h, w, c]`, after [`Self::backward`] of `n` examples.
    ///
    /// # Errors
    /// If the executor was not made for [`Trainable::Input`].
    pub fn input_gradient(&self, n: usize) -> Result<&[f32]> {
        match &self.layout.gradient[0] {
            Some(range) => Ok(&self.gradients[self.scaled(range, n)]),
            None => Err(Error::invalid(
                "executor",
                format!("{:?}", self.trainable),
                "one for the inputs' gradient",
            )),
        }
    }

    /// Moves the running statistics of batch norm towards those of the last training pass:
    /// `running = (1 - momentum) * running + momentum * batch`, with the unbiased variance.
    pub fn update_running_statistics(&self, params: &mut Params) {
        for (id, found) in self.statistics.iter().enumerate() {
            move_running_statistics(&self.graph, params, id, &found.mean, &found.variance, found.rows);
        }
    }

    fn output(&self, n: usize) -> &[f32] {
        match self.place(self.graph.output(), n) {
            Place::Arena(range) => &self.activations[range],
            Place::Input => &[], // a graph whose output is its input has no layer to run
        }
    }

    /// Output of a node in the last pass, as far as it has not been overwritten.
    fn read<'a>(&'a self, id: NodeId, inputs: &'a [f32], n: usize) -> &'a [f32] {
        match self.place(id, n) {
            Place::Input => inputs,
            Place::Arena(range) => &self.activations[range],
        }
    }

    fn place(&self, id: NodeId, n: usize) -> Place {
        match &self.layout.activation[id] {
            Place::Input => Place::Input,
            Place::Arena(range) => Place::Arena(self.scaled(range, n)),
        }
    }

    fn scaled(&self, range: &Range<usize>, n: usize) -> Range<usize> {
        let start = range.start * self.max_batch;
        start..start + range.len() * n
    }

    fn check_perturbation(&self, pass: &Pass<'_>, n: usize) -> Result<()> {
        let Some(first) = self.first_weighted else { return Ok(()) };
        let (outputs, weights) = match self.graph.nodes[first].op {
            Op::Conv2d { out_channels, .. } => (out_channels, out_channels * self.graph.fan_in(first)),
            _ => (self.graph.nodes[first].shape.len(), self.graph.node_macs(first) as usize),
        };
        let is_dense = matches!(self.graph.nodes[first].op, Op::Dense { .. });
        let inputs = self.graph.input_of(first);
        let inputs = if is_dense { inputs.len() } else { inputs.channels };
        let require = |what: &str, found: usize, expected: usize| match found == expected {
            true => Ok(()),
            false => Err(Error::invalid(what, format!("{found} values"), expected)),
        };
        match pass.perturbation {
            Perturbation::None => Ok(()),
            Perturbation::Flipout { delta, input_signs, output_signs } => {
                require("flipout delta", delta.len(), weights)?;
                require("flipout input signs", input_signs.len(), n * inputs)?;
                require("flipout output signs", output_signs.len(), n * outputs)
            }
            Perturbation::Local { .. } if !is_dense => Err(Error::invalid(
                "local reparameterization",
                format!("first layer {} is a convolution", self.graph.nodes[first].name),
                "a dense first layer (the positions of a convolution share their weights' noise)",
            )),
            Perturbation::Local { variance, eps } => {
                require("local variance", variance.len(), weights)?;
                require("local eps", eps.len(), n * outputs)
            }
        }
    }

    fn conv_geometry(&self, id: NodeId, window: Window, groups: usize) -> im2col::Geometry {
        im2col::Geometry {
            input: self.graph.input_of(id),
            output: self.graph.nodes[id].shape,
            window,
            groups,
        }
    }

    fn dense_geometry(&self, id: NodeId) -> dense::Geometry {
        dense::Geometry { inputs: self.graph.input_of(id).len(), outputs: self.graph.nodes[id].shape.len() }
    }

    fn pool_geometry(&self, id: NodeId) -> pool::Geometry {
        let input = self.graph.input_of(id);
        let (window, count_padding) = match self.graph.nodes[id].op {
            Op::MaxPool(window) => (window, false),
            Op::AvgPool { window, count_padding } => (window, count_padding),
            _ => (whole(input), false),
        };
        pool::Geometry { input, output: self.graph.nodes[id].shape, window, count_padding }
    }

    fn missing(&self, id: NodeId, tensor: &str) -> Error {
        Error::invalid(format!("{tensor} of node {}", self.graph.nodes[id].name), "none", "a tensor")
    }
}

/// A batch of `n` examples suits an engine of `max_batch`.
///
/// # Errors
/// If it is empty or too large, or there are not `n` inputs.
pub(super) fn check_inputs(graph: &Graph, max_batch: usize, inputs: &[f32], n: usize) -> Result<()> {
    if n == 0 || n > max_batch {
        return Err(Error::invalid("examples of a batch", n, format!("1 to {max_batch}")));
    }
    let shape = graph.input_shape();
    if inputs.len() != n * shape.len() {
        let found = format!("{} values", inputs.len());
        return Err(Error::invalid("inputs of a batch", found, format!("{n} examples of {shape}")));
    }
    Ok(())
}

/// Moves a batch-norm node's running statistics towards a batch's mean and biased variance over `rows`.
pub(super) fn move_running_statistics(
    graph: &Graph,
    params: &mut Params,
    id: NodeId,
    mean: &[f32],
    variance: &[f32],
    rows: usize,
) {
    let Op::BatchNorm { momentum, .. } = graph.nodes[id].op else { return };
    let unbias = rows as f32 / rows.saturating_sub(1).max(1) as f32;
    let blend = |running: &mut f32, batch: f32| *running += momentum * (batch - *running);
    let params = &mut params.nodes[id];
    if let (Some(running_mean), Some(running_var)) = (&mut params.running_mean, &mut params.running_var) {
        running_mean.iter_mut().zip(mean).for_each(|(running, batch)| blend(running, *batch));
        running_var.iter_mut().zip(variance).for_each(|(running, batch)| blend(running, batch * unbias));
    }
}

const fn whole(input: Shape) -> Window {
    Window {
        kernel: [input.height, input.width],
        stride: [1; 2],
        dilation: [1; 2],
        pad_begin: [0; 2],
        pad_end: [0; 2],
    }
}
