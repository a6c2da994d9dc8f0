//! Lowers the folded float graph to the runtime's layers: fuses activations, gives every value a
//! quantization, quantizes the weights.

use super::range::{Histogram, Quantization, Ranges};
use super::weights::{QuantizedWeights, quantize_weights};
use crate::error::{Error, Result};
use crate::graph::{Activation, Graph, NodeId, NodeParams, Op, Params, Shape, Window};

/// Index of a [`Value`]; 0 is the network's input.
pub type ValueId = usize;

/// An int8 activation of the lowered network.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    /// Name of the node that makes it.
    pub name: String,
    /// Shape of one example.
    pub shape: Shape,
    /// What its int8 values mean.
    pub quantization: Quantization,
}

/// Bounds of a layer's int8 results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clamp {
    /// Least value.
    pub min: i8,
    /// Greatest value.
    pub max: i8,
}

/// One layer of the runtime.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Name of the node it comes from.
    pub name: String,
    /// The node itself, in the folded graph.
    pub node: NodeId,
    /// Values it reads.
    pub inputs: Vec<ValueId>,
    /// The value it writes; `None` for the last layer, whose results are the f32 outputs.
    pub output: Option<ValueId>,
    /// What it computes.
    pub kind: StepKind,
}

/// What a [`Step`] computes, with its numbers: `window` is the geometry of its window, `weights` are
/// its int8 weights and i32 bias, `clamp` bounds its results.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the fields mean the same in every variant and stand above")]
pub enum StepKind {
    /// Convolution; weights `[out, kernel_h, kernel_w, in]`.
    Conv2d { window: Window, weights: QuantizedWeights, clamp: Clamp },
    /// Depthwise convolution; weights `[channels, kernel_h, kernel_w]`.
    DepthwiseConv2d { window: Window, weights: QuantizedWeights, clamp: Clamp },
    /// Dense layer; weights `[out, in]`. The last layer has no output value.
    Dense { weights: QuantizedWeights, clamp: Clamp },
    /// Maximum over a window.
    MaxPool { window: Window },
    /// Mean over a window; `count_padding`: padded elements count as zeros.
    AvgPool { window: Window, count_padding: bool, clamp: Clamp },
    /// Element-wise sum.
    Add { clamp: Clamp },
    /// Element-wise difference.
    Sub { clamp: Clamp },
    /// Element-wise product; the second factor may have one value a channel.
    Mul { clamp: Clamp },
    /// The second input behind the first along `axis`: 0 rows, 1 columns, 2 channels.
    Concat { axis: usize, clamp: Clamp },
    /// Zeros around rows and columns, `begin` of them above and left.
    Pad { begin: [usize; 2] },
    /// Unary function by a table of 256 values, indexed by `q + 128`.
    Lookup { table: Vec<i8> },
    /// int8 to f32 as the last layer.
    Dequantize,
}

/// The network in the runtime's terms, before places and bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Lowered {
    /// All int8 activations; value 0 is the input.
    pub values: Vec<Value>,
    /// The layers, in order; step 0 is the first weighted layer.
    pub steps: Vec<Step>,
}

/// Lowers `graph`, in which batch norm has been folded, with the activation `histograms` of its nodes.
///
/// # Errors
/// If a node has no counterpart in the runtime, the first weighted layer does not read the input
/// alone, or weights cannot be quantized.
pub fn lower(
    graph: &Graph,
    params: &Params,
    histograms: &[Histogram],
    ranges: Ranges,
    input: Quantization,
) -> Result<Lowered> {
    require_single_first_layer(graph)?;
    let mut lowering = Lowering {
        graph,
        params,
        histograms,
        ranges,
        readers: readers(graph),
        value_of: vec![None; graph.nodes.len()],
        lowered: Lowered {
            values: vec![Value { name: "input".into(), shape: graph.input_shape(), quantization: input }],
            steps: Vec::new(),
        },
    };
    lowering.value_of[0] = Some(0);
    for id in 1..graph.nodes.len() {
        lowering.node(id)?;
    }
    lowering.finish()
}

/// Everything between the input and the first weighted layer must be a mere change of shape, and
/// nothing else may read the input: the draws share one quantized input and differ from layer 0 on.
fn require_single_first_layer(graph: &Graph) -> Result<()> {
    let first = graph.first_weighted()?;
    for (id, node) in graph.nodes.iter().enumerate().skip(1) {
        let raw_input = node.inputs.iter().any(|&source| passes_input(graph, source));
        if raw_input && id != first && !is_alias(&node.op) {
            return Err(Error::invalid(
                format!("node {}", node.name),
                format!("{} reads the network's input", node.op.name()),
                format!("only the first weighted layer {} to read it", graph.nodes[first].name),
            ));
        }
    }
    if passes_input(graph, graph.nodes[first].inputs[0]) {
        return Ok(());
    }
    Err(Error::invalid(
        format!("first weighted layer {}", graph.nodes[first].name),
        format!("input from node {}", graph.nodes[graph.nodes[first].inputs[0]].name),
        "the network's input",
    ))
}

fn passes_input(graph: &Graph, id: NodeId) -> bool {
    id == 0 || (is_alias(&graph.nodes[id].op) && passes_input(graph, graph.nodes[id].inputs[0]))
}

/// Nodes that do not change a value at inference.
const fn is_alias(op: &Op) -> bool {
    matches!(op, Op::Flatten | Op::Dropout { .. })
}

fn readers(graph: &Graph) -> Vec<Vec<NodeId>> {
    let mut readers = vec![Vec::new(); graph.nodes.len()];
    for (id, node) in graph.nodes.iter().enumerate() {
        for &source in &node.inputs {
            readers[source].push(id);
        }
    }
    readers
}

struct Lowering<'a> {
    graph: &'a Graph,
    params: &'a Params,
    histograms: &'a [Histogram],
    ranges: Ranges,
    readers: Vec<Vec<NodeId>>,
    value_of: Vec<Option<ValueId>>,
    lowered: Lowered,
}

impl Lowering<'_> {
    fn node(&mut self, id: NodeId) -> Result<()> {
        if self.value_of[id].is_some() {
            return Ok(()); // fused into its input
        }
        let node = &self.graph.nodes[id];
        match node.op {
            Op::Flatten | Op::Dropout { .. } => {
                self.value_of[id] = self.value_of[node.inputs[0]];
                Ok(())
            }
            Op::Conv2d { window, groups, .. } => self.conv(id, window, groups),
            Op::Dense { .. } => self.dense(id),
            Op::MaxPool(window) => self.max_pool(id, window),
            Op::AvgPool { window, count_padding } => self.avg_pool(id, window, count_padding),
            Op::GlobalAvgPool => {
                let shape = self.graph.input_of(id);
                let whole = Window { kernel: [shape.height, shape.width], ..Window::valid(1, 1) };
                self.avg_pool(id, whole, false)
            }
            Op::Add => {
                let (output, clamp) = self.fused_output(id);
                self.push(id, Some(output), StepKind::Add { clamp })
            }
            Op::Activation(activation) => self.lookup(id, activation),
            Op::Sub => {
                let (output, clamp) = self.fused_output(id);
                self.push(id, Some(output), StepKind::Sub { clamp })
            }
            Op::Mul => {
                let (output, clamp) = self.fused_output(id);
                self.push(id, Some(output), StepKind::Mul { clamp })
            }
            Op::Concat { axis } => self.concat(id, axis),
            Op::Pad { begin, .. } => self.pad(id, begin),
            Op::BatchNorm { eps, .. } => self.affine(id, eps),
            Op::Input => Err(Error::invalid(
                format!("node {}", node.name),
                format!("a {} that is not folded into a layer before it", node.op.name()),
                "a convolution or dense layer as its input, read by nothing else",
            )),
        }
    }

    fn conv(&mut self, id: NodeId, window: Window, groups: usize) -> Result<()> {
        let channels = self.graph.input_of(id).channels;
        let out_channels = self.graph.nodes[id].shape.channels;
        let depthwise = groups == channels && out_channels == channels && groups > 1;
        let weights = if groups == 1 || depthwise {
            self.weights(id, out_channels)?
        } else {
            self.grouped_weights(id, window, groups)?
        };
        let (output, clamp) = self.fused_output(id);
        let kind = if depthwise {
            StepKind::DepthwiseConv2d { window, weights, clamp }
        } else {
            StepKind::Conv2d { window, weights, clamp }
        };
        self.push(id, Some(output), kind)
    }

    fn dense(&mut self, id: NodeId) -> Result<()> {
        let weights = self.weights(id, self.graph.nodes[id].shape.channels)?;
        if self.is_output(id) {
            return self.push(id, None, StepKind::Dense { weights, clamp: Clamp { min: -128, max: 127 } });
        }
        let (output, clamp) = self.fused_output(id);
        self.push(id, Some(output), StepKind::Dense { weights, clamp })
    }

    /// The runtime has no groups between one and one a channel: such a convolution runs as a full one whose
    /// kernels are zero outside their group.
    fn grouped_weights(&self, id: NodeId, window: Window, groups: usize) -> Result<QuantizedWeights> {
        let node = &self.graph.nodes[id];
        if self.lowered.steps.is_empty() {
            return Err(Error::invalid(
                format!("first layer {}", node.name),
                format!("{groups} groups"),
                "1 group, or one group a channel, in the layer that can be Bayesian",
            ));
        }
        let (inputs, outputs) = (self.graph.input_of(id).channels, node.shape.channels);
        let (per_group, taps) = (inputs / groups, window.kernel[0] * window.kernel[1]);
        let missing = || Error::invalid(format!("weights of {}", node.name), "none", "a tensor");
        let params = &self.params.nodes[id];
        let weight = params.weight.as_ref().and_then(|w| w.as_slice()).ok_or_else(missing)?;
        let mut full = vec![0.0; outputs * taps * inputs];
        for (row, values) in weight.chunks_exact(per_group).enumerate() {
            let group = row / taps / (outputs / groups);
            full[row * inputs + group * per_group..][..per_group].copy_from_slice(values);
        }
        let bias = params.bias.as_ref().and_then(|b| b.as_slice());
        let Quantization { scale, zero_point } = self.lowered.values[self.source(id, 0)?].quantization;
        quantize_weights(&node.name, &full, bias, outputs, scale, zero_point)
    }

    /// A batch norm that no layer before it could take up: a depthwise convolution of one tap.
    fn affine(&mut self, id: NodeId, eps: f32) -> Result<()> {
        let (node, params) = (&self.graph.nodes[id], &self.params.nodes[id]);
        let missing = || Error::invalid(format!("batch norm {}", node.name), "a missing tensor", "all four");
        let values =
            |t: &Option<ndarray::ArrayD<f32>>| t.as_ref().map(|t| t.iter().copied().collect::<Vec<f32>>());
        let (gamma, beta) = values(&params.gamma).zip(values(&params.beta)).ok_or_else(missing)?;
        let (mean, variance) =
            values(&params.running_mean).zip(values(&params.running_var)).ok_or_else(missing)?;
        let scale: Vec<f32> = gamma.iter().zip(&variance).map(|(g, v)| g / (v + eps).sqrt()).collect();
        let shift: Vec<f32> = (0..scale.len()).map(|c| beta[c] - mean[c] * scale[c]).collect();
        let Quantization { scale: x_scale, zero_point } =
            self.lowered.values[self.source(id, 0)?].quantization;
        let weights = quantize_weights(&node.name, &scale, Some(&shift), scale.len(), x_scale, zero_point)?;
        let window = Window::valid(1, 1);
        let one_channel = scale.len() == 1;
        let (output, clamp) = self.fused_output(id);
        let kind = if one_channel {
            StepKind::Conv2d { window, weights, clamp }
        } else {
            StepKind::DepthwiseConv2d { window, weights, clamp }
        };
        self.push(id, Some(output), kind)
    }

    /// A chain of concatenations has one scale, so that values are rounded once.
    fn concat(&mut self, id: NodeId, axis: usize) -> Result<()> {
        let mut last = id;
        while let [reader] = self.readers[last][..]
            && matches!(self.graph.nodes[reader].op, Op::Concat { .. })
        {
            last = reader;
        }
        let quantization = self.histograms[last].quantization_by(self.ranges);
        let output = self.new_value(id, quantization);
        self.value_of[id] = Some(output);
        self.push(id, Some(output), StepKind::Concat { axis, clamp: Clamp { min: -128, max: 127 } })
    }

    fn pad(&mut self, id: NodeId, begin: [usize; 2]) -> Result<()> {
        let quantization = self.lowered.values[self.source(id, 0)?].quantization;
        let output = self.new_value(id, quantization);
        self.value_of[id] = Some(output);
        self.push(id, Some(output), StepKind::Pad { begin })
    }

    fn max_pool(&mut self, id: NodeId, window: Window) -> Result<()> {
        // The maximum of quantized values is the quantized maximum: no new scale.
        let quantization = self.lowered.values[self.source(id, 0)?].quantization;
        let output = self.new_value(id, quantization);
        self.value_of[id] = Some(output);
        self.push(id, Some(output), StepKind::MaxPool { window })
    }

    fn avg_pool(&mut self, id: NodeId, window: Window, count_padding: bool) -> Result<()> {
        let (output, clamp) = self.fused_output(id);
        self.push(id, Some(output), StepKind::AvgPool { window, count_padding, clamp })
    }

    fn lookup(&mut self, id: NodeId, activation: Activation) -> Result<()> {
        let source = self.lowered.values[self.source(id, 0)?].quantization;
        let target = self.histograms[id].quantization_by(self.ranges);
        let value = |q: i8| target.quantize(f64::from(activation.value(source.real(q) as f32)));
        let table = (i8::MIN..=i8::MAX).map(value).collect();
        let output = self.new_value(id, target);
        self.value_of[id] = Some(output);
        self.push(id, Some(output), StepKind::Lookup { table })
    }

    fn weights(&self, id: NodeId, out_channels: usize) -> Result<QuantizedWeights> {
        let NodeParams { weight, bias, .. } = &self.params.nodes[id];
        let name = &self.graph.nodes[id].name;
        let missing = || Error::invalid(format!("weights of {name}"), "none", "a tensor");
        let weight = weight.as_ref().and_then(|w| w.as_slice()).ok_or_else(missing)?;
        let bias = bias.as_ref().and_then(|b| b.as_slice());
        let Quantization { scale, zero_point } = self.lowered.values[self.source(id, 0)?].quantization;
        quantize_weights(name, weight, bias, out_channels, scale, zero_point)
    }

    /// The output value of `id`, with a following ReLU or ReLU6 that alone reads it fused in.
    fn fused_output(&mut self, id: NodeId) -> (ValueId, Clamp) {
        let fused = match self.readers[id][..] {
            [reader] => match self.graph.nodes[reader].op {
                Op::Activation(activation @ (Activation::Relu | Activation::Relu6)) => {
                    Some((reader, activation))
                }
                _ => None,
            },
            _ => None,
        };
        let visible = fused.map_or(id, |(reader, _)| reader);
        let quantization = self.histograms[visible].quantization_by(self.ranges);
        let clamp = match fused {
            None => Clamp { min: -128, max: 127 },
            Some((_, Activation::Relu6)) => {
                Clamp { min: quantization.zero_point, max: quantization.quantize(6.0) }
            }
            Some(_) => Clamp { min: quantization.zero_point, max: 127 },
        };
        let output = self.new_value(visible, quantization);
        self.value_of[id] = Some(output);
        self.value_of[visible] = Some(output);
        (output, clamp)
    }

    fn new_value(&mut self, id: NodeId, quantization: Quantization) -> ValueId {
        let node = &self.graph.nodes[id];
        self.lowered.values.push(Value { name: node.name.clone(), shape: node.shape, quantization });
        self.lowered.values.len() - 1
    }

    fn source(&self, id: NodeId, index: usize) -> Result<ValueId> {
        let source = self.graph.nodes[id].inputs[index];
        self.value_of[source].ok_or_else(|| {
            Error::invalid(
                format!("input of node {}", self.graph.nodes[id].name),
                "no value",
                "an earlier node",
            )
        })
    }

    /// Whether only shape changes stand between `id` and the network's output.
    fn is_output(&self, id: NodeId) -> bool {
        id == self.graph.output()
            || matches!(self.readers[id][..], [reader] if is_alias(&self.graph.nodes[reader].op) && self.is_output(reader))
    }

    fn push(&mut self, id: NodeId, output: Option<ValueId>, kind: StepKind) -> Result<()> {
        let inputs =
            (0..self.graph.nodes[id].inputs.len()).map(|i| self.source(id, i)).collect::<Result<_>>()?;
        let name = self.graph.nodes[id].name.clone();
        self.lowered.steps.push(Step { name, node: id, inputs, output, kind });
        Ok(())
    }

    fn finish(mut self) -> Result<Lowered> {
        if self.lowered.steps.last().is_some_and(|step| step.output.is_some()) {
            let id = self.graph.output();
            let value = self.value_of[id].ok_or_else(|| {
                Error::invalid(
                    format!("output node {}", self.graph.nodes[id].name),
                    "no value",
                    "a computed value",
                )
            })?;
            let name = "dequantize".to_string();
            self.lowered.steps.push(Step {
                name,
                node: id,
                inputs: vec![value],
                output: None,
                kind: StepKind::Dequantize,
            });
        }
        Ok(self.lowered)
    }
}
