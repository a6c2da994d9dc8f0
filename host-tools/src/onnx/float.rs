//! The float graph as ONNX nodes.

use super::InputType;
use super::builder::{Attr, Builder, Data, Element, Tensor};
use crate::data::Preprocessing;
use crate::error::{Error, Result};
use crate::graph::{Activation, Graph, NodeId, Op, Params, Window};
use ndarray::ArrayD;

/// A float graph on its way into a model.
#[derive(Debug)]
pub(super) struct FloatGraph<'a> {
    pub(super) builder: Builder,
    pub(super) graph: &'a Graph,
    params: &'a Params,
    /// What each node done so far computes.
    pub(super) values: Vec<Tensor>,
}

impl<'a> FloatGraph<'a> {
    /// Input and preprocessing: `input` is f32 `[N, H, W, C]` in raw units, normalised by the same two
    /// operations as in training.
    pub(super) fn new(
        graph: &'a Graph,
        params: &'a Params,
        preprocessing: &Preprocessing,
        input: InputType,
    ) -> Self {
        let mut builder = Builder::new(input);
        let shape = graph.input_shape();
        let raw = raw_input(&mut builder, [shape.height, shape.width, shape.channels]);
        let channels = preprocessing.mean.len();
        let mean = builder.constant("mean", &[channels], Data::F32(&preprocessing.mean));
        let std = builder.constant("std", &[channels], Data::F32(&preprocessing.std));
        let centred = builder.op("Sub", "centred", &[&raw, &mean], &[]);
        let normalised = builder.op("Div", "normalised", &[&centred, &std], &[]);
        let input = from_nhwc(&mut builder, &normalised, graph.input_shape());
        Self { builder, graph, params, values: vec![input] }
    }

    /// Appends node `id`; its inputs are there.
    pub(super) fn node(&mut self, id: NodeId) -> Result<()> {
        let graph = self.graph;
        let node = &graph.nodes[id];
        let x = self.values[node.inputs[0]].clone();
        let name = node.name.as_str();
        let tensor = |name: String, image: bool| Tensor { name, shape: node.shape, image };
        let value = match node.op {
            Op::Input => return Err(Error::invalid(format!("node {name}"), "a second input", "one")),
            Op::Conv2d { window, groups, .. } => {
                let weight = self.weight(id)?.clone();
                let bias = self.params.nodes[id].bias.clone();
                tensor(self.conv(name, &x, &weight, bias.as_ref(), &window, groups)?, true)
            }
            Op::Dense { .. } => {
                let weight = self.weight(id)?.clone();
                let bias = self.params.nodes[id].bias.clone();
                tensor(self.dense(name, &x, &weight, bias.as_ref())?, false)
            }
            Op::BatchNorm { eps, .. } => tensor(self.batch_norm(id, &x, eps)?, true),
            Op::Activation(function) => {
                tensor(activation(&mut self.builder, name, &x.name, function), x.image)
            }
            Op::MaxPool(window) => tensor(max_pool(&mut self.builder, name, &x, &window), true),
            Op::AvgPool { window, count_padding } => {
                tensor(average_pool(&mut self.builder, name, &x, &window, count_padding)?, true)
            }
            Op::GlobalAvgPool => {
                let image = self.builder.image(&x);
                tensor(self.builder.op("GlobalAveragePool", name, &[&image], &[]), true)
            }
            Op::Add => {
                let y = self.values[node.inputs[1]].clone();
                tensor(add(&mut self.builder, name, &x, &y), x.image)
            }
            Op::Sub | Op::Mul => {
                let y = self.values[node.inputs[1]].clone();
                tensor(product_or_difference(&mut self.builder, name, &x, &y, node.op == Op::Mul), true)
            }
            Op::Concat { axis } => {
                let y = self.values[node.inputs[1]].clone();
                tensor(concat(&mut self.builder, name, &x, &y, axis), true)
            }
            Op::Pad { begin, end } => tensor(pad(&mut self.builder, name, &x, begin, end), true),
            Op::Flatten => tensor(self.builder.vector(&x), false),
            Op::Dropout { .. } => Tensor { shape: node.shape, ..x },
        };
        self.values.push(value);
        Ok(())
    }

    fn weight(&self, id: NodeId) -> Result<&'a ArrayD<f32>> {
        tensor_of(&self.params.nodes[id].weight, "weight", &self.graph.nodes[id].name)
    }

    /// `weight`: `[out, kernel_h, kernel_w, in / groups]`.
    pub(super) fn conv(
        &mut self,
        name: &str,
        x: &Tensor,
        weight: &ArrayD<f32>,
        bias: Option<&ArrayD<f32>>,
        window: &Window,
        groups: usize,
    ) -> Result<String> {
        let image = self.builder.image(x);
        let dims = [weight.shape()[0], weight.shape()[3], weight.shape()[1], weight.shape()[2]];
        let values = channels_first(slice(weight, name)?, [dims[0], dims[2] * dims[3], dims[1]]);
        let mut inputs =
            vec![image, self.builder.constant(&format!("{name}/weight"), &dims, Data::F32(&values))];
        if let Some(bias) = bias {
            let values = slice(bias, name)?;
            inputs.push(self.builder.constant(&format!("{name}/bias"), &[values.len()], Data::F32(values)));
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let geometry = Geometry::of(window);
        let mut attributes = geometry.attributes().to_vec();
        attributes.push(("dilations", Attr::Is(&geometry.dilations)));
        attributes.push(("group", Attr::I(groups as i64)));
        Ok(self.builder.op("Conv", name, &inputs, &attributes))
    }

    /// `weight`: `[out, in]`, inputs in NHWC order.
    pub(super) fn dense(
        &mut self,
        name: &str,
        x: &Tensor,
        weight: &ArrayD<f32>,
        bias: Option<&ArrayD<f32>>,
    ) -> Result<String> {
        let mut inputs = vec![self.builder.vector(x)];
        let values = slice(weight, name)?;
        inputs.push(self.builder.constant(&format!("{name}/weight"), weight.shape(), Data::F32(values)));
        if let Some(bias) = bias {
            let values = slice(bias, name)?;
            inputs.push(self.builder.constant(&format!("{name}/bias"), &[values.len()], Data::F32(values)));
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        Ok(self.builder.op("Gemm", name, &inputs, &[("transB", Attr::I(1))]))
    }

    fn batch_norm(&mut self, id: NodeId, x: &Tensor, eps: f32) -> Result<String> {
        let (name, params) = (self.graph.nodes[id].name.as_str(), &self.params.nodes[id]);
        let mut inputs = vec![self.builder.image(x)];
        for (what, tensor) in [
            ("gamma", &params.gamma),
            ("beta", &params.beta),
            ("running_mean", &params.running_mean),
            ("running_var", &params.running_var),
        ] {
            let values = slice(tensor_of(tensor, what, name)?, name)?;
            inputs.push(self.builder.constant(&format!("{name}/{what}"), &[values.len()], Data::F32(values)));
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        Ok(self.builder.op("BatchNormalization", name, &inputs, &[("epsilon", Attr::F(eps))]))
    }
}

fn tensor_of<'t>(tensor: &'t Option<ArrayD<f32>>, what: &str, node: &str) -> Result<&'t ArrayD<f32>> {
    tensor.as_ref().ok_or_else(|| Error::invalid(format!("{what} of {node}"), "none", "a tensor"))
}

pub(super) fn slice<'t>(tensor: &'t ArrayD<f32>, node: &str) -> Result<&'t [f32]> {
    let strided =
        || Error::invalid(format!("parameters of {node}"), "a strided tensor", "one in standard order");
    tensor.as_slice().ok_or_else(strided)
}

/// The graph input `[N, H, W, C]` in raw units, as f32 from here on.
pub(super) fn raw_input(builder: &mut Builder, dims: [usize; 3]) -> String {
    if !builder.byte_input {
        return builder.input("input", Element::F32, &dims);
    }
    let bytes = builder.input("input", Element::U8, &dims);
    builder.op("Cast", "input/f32", &[&bytes], &[("to", Attr::I(Element::F32 as i64))])
}

/// An NHWC value as the graph goes on with it: a vector where it is one, else NCHW.
pub(super) fn from_nhwc(builder: &mut Builder, name: &str, shape: crate::graph::Shape) -> Tensor {
    if shape.height * shape.width == 1 {
        return Tensor { name: builder.reshape(name, &[-1, shape.len() as i64]), shape, image: false };
    }
    let nchw = format!("{name}/nchw");
    let name = builder.op("Transpose", &nchw, &[name], &[("perm", Attr::Is(&[0, 3, 1, 2]))]);
    Tensor { name, shape, image: true }
}

/// `[out, taps, in]` to `[out, in, taps]`.
pub(super) fn channels_first<T: Copy>(values: &[T], [out, taps, channels]: [usize; 3]) -> Vec<T> {
    let mut result = Vec::with_capacity(values.len());
    for o in 0..out {
        for c in 0..channels {
            result.extend((0..taps).map(|tap| values[(o * taps + tap) * channels + c]));
        }
    }
    result
}

/// A window in ONNX's attributes.
pub(super) struct Geometry {
    kernel: [i64; 2],
    strides: [i64; 2],
    pub(super) dilations: [i64; 2],
    pads: [i64; 4],
}

impl Geometry {
    pub(super) fn of(window: &Window) -> Self {
        let pair = |[a, b]: [usize; 2]| [a as i64, b as i64];
        let (begin, end) = (pair(window.pad_begin), pair(window.pad_end));
        Self {
            kernel: pair(window.kernel),
            strides: pair(window.stride),
            dilations: pair(window.dilation),
            pads: [begin[0], begin[1], end[0], end[1]],
        }
    }

    /// All but the dilations, which average pooling does not have.
    pub(super) fn attributes(&self) -> [(&'static str, Attr<'_>); 3] {
        [
            ("kernel_shape", Attr::Is(&self.kernel)),
            ("strides", Attr::Is(&self.strides)),
            ("pads", Attr::Is(&self.pads)),
        ]
    }
}

pub(super) fn max_pool(builder: &mut Builder, name: &str, x: &Tensor, window: &Window) -> String {
    let image = builder.image(x);
    let geometry = Geometry::of(window);
    let mut attributes = geometry.attributes().to_vec();
    attributes.push(("dilations", Attr::Is(&geometry.dilations)));
    builder.op("MaxPool", name, &[&image], &attributes)
}

pub(super) fn average_pool(
    builder: &mut Builder,
    name: &str,
    x: &Tensor,
    window: &Window,
    count_padding: bool,
) -> Result<String> {
    if window.dilation != [1, 1] {
        let found = format!("dilation {:?}", window.dilation);
        return Err(Error::invalid(format!("average pool {name}"), found, "1: ONNX opset 17 has no other"));
    }
    let image = builder.image(x);
    let geometry = Geometry::of(window);
    let mut attributes = geometry.attributes().to_vec();
    attributes.push(("count_include_pad", Attr::I(count_padding.into())));
    Ok(builder.op("AveragePool", name, &[&image], &attributes))
}

pub(super) fn add(builder: &mut Builder, name: &str, a: &Tensor, b: &Tensor) -> String {
    let other = if a.image { builder.image(b) } else { builder.vector(b) };
    builder.op("Add", name, &[&a.name, &other], &[])
}

/// `x - y` or `x * y`; `y` may have one value a channel.
pub(super) fn product_or_difference(
    builder: &mut Builder,
    name: &str,
    x: &Tensor,
    y: &Tensor,
    product: bool,
) -> String {
    let (x, y) = (builder.image(x), builder.image(y));
    builder.op(if product { "Mul" } else { "Sub" }, name, &[&x, &y], &[])
}

/// `axis` counts rows, columns, channels; ONNX has channels first.
pub(super) fn concat(builder: &mut Builder, name: &str, x: &Tensor, y: &Tensor, axis: usize) -> String {
    let (x, y) = (builder.image(x), builder.image(y));
    builder.op("Concat", name, &[&x, &y], &[("axis", Attr::I([2, 3, 1][axis]))])
}

pub(super) fn pad(
    builder: &mut Builder,
    name: &str,
    x: &Tensor,
    begin: [usize; 2],
    end: [usize; 2],
) -> String {
    let image = builder.image(x);
    let pads = [0, 0, begin[0], begin[1], 0, 0, end[0], end[1]].map(|pad| pad as i64);
    let pads = builder.constant(&format!("{name}/pads"), &[8], Data::I64(&pads));
    builder.op("Pad", name, &[&image, &pads], &[])
}

/// An element-wise function; those newer than the opset by their formula.
pub(super) fn activation(builder: &mut Builder, name: &str, x: &str, function: Activation) -> String {
    match function {
        Activation::Relu => builder.op("Relu", name, &[x], &[]),
        Activation::Relu6 => clip(builder, name, x, 0.0, 6.0),
        Activation::LeakyRelu(slope) => builder.op("LeakyRelu", name, &[x], &[("alpha", Attr::F(slope))]),
        Activation::Sigmoid => builder.op("Sigmoid", name, &[x], &[]),
        Activation::Tanh => builder.op("Tanh", name, &[x], &[]),
        Activation::HardSigmoid => {
            let slope = [("alpha", Attr::F(1.0 / 6.0)), ("beta", Attr::F(0.5))];
            builder.op("HardSigmoid", name, &[x], &slope)
        }
        Activation::HardSwish => builder.op("HardSwish", name, &[x], &[]),
        Activation::Elu(alpha) => builder.op("Elu", name, &[x], &[("alpha", Attr::F(alpha))]),
        Activation::Gelu => {
            let factor = builder.scalar(&format!("{name}/half_root"), std::f32::consts::FRAC_1_SQRT_2);
            let (one, half) =
                (builder.scalar(&format!("{name}/one"), 1.0), builder.scalar(&format!("{name}/half"), 0.5));
            let scaled = builder.op("Mul", &format!("{name}/scaled"), &[x, &factor], &[]);
            let erf = builder.op("Erf", &format!("{name}/erf"), &[&scaled], &[]);
            let twice = builder.op("Add", &format!("{name}/twice_phi"), &[&erf, &one], &[]);
            let phi = builder.op("Mul", &format!("{name}/phi"), &[&twice, &half], &[]);
            builder.op("Mul", name, &[x, &phi], &[])
        }
        Activation::Erf => builder.op("Erf", name, &[x], &[]),
        Activation::Clip { min, max } => clip(builder, name, x, min, max),
        Activation::Ramp { slope, offset } => {
            builder.op("HardSigmoid", name, &[x], &[("alpha", Attr::F(slope)), ("beta", Attr::F(offset))])
        }
        Activation::Swish => {
            let gate = builder.op("Sigmoid", &format!("{name}/gate"), &[x], &[]);
            builder.op("Mul", name, &[x, &gate], &[])
        }
    }
}

pub(super) fn clip(builder: &mut Builder, name: &str, x: &str, min: f32, max: f32) -> String {
    let (min, max) =
        (builder.scalar(&format!("{name}/min"), min), builder.scalar(&format!("{name}/max"), max));
    builder.op("Clip", name, &[x, &min, &max], &[])
}
