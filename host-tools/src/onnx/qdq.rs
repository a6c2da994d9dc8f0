//! The int8 network as float operators between QuantizeLinear and DequantizeLinear nodes.

use super::builder::{Attr, Builder, Data, Element, Tensor};
use super::float::{
    Geometry, activation, add, average_pool, clip, concat, from_nhwc, max_pool, pad, product_or_difference,
    raw_input,
};
use super::operators::kernel;
use crate::error::{Error, Result};
use crate::graph::{Graph, Op, Shape, Window};
use crate::quantize::Quantized;
use crate::quantize::lower::{Clamp, Step, StepKind};
use crate::quantize::weights::QuantizedWeights;

/// `graph`: the folded graph that `network` was lowered from.
pub(super) fn append(builder: &mut Builder, graph: &Graph, network: &Quantized, output: &str) -> Result<()> {
    let mut net = Qdq { network, builder, values: Vec::new() };
    let input = net.input();
    net.values = vec![None; network.lowered.values.len()];
    net.values[0] = Some(input);
    for step in &network.lowered.steps {
        let result = net.step(graph, step)?;
        match step.output {
            Some(value) => {
                let name = net.quantize_dequantize(&result.name, value);
                net.values[value] = Some(Tensor { name, ..result });
            }
            None => {
                let row = net.builder.vector(&result);
                net.builder.output(&row, output, Element::F32, &[result.shape.len()]);
            }
        }
    }
    Ok(())
}

struct Qdq<'a> {
    network: &'a Quantized,
    builder: &'a mut Builder,
    /// Dequantized values.
    values: Vec<Option<Tensor>>,
}

impl Qdq<'_> {
    fn scale(&self, value: usize) -> f32 {
        self.network.lowered.values[value].quantization.scale
    }

    fn quantize_dequantize(&mut self, x: &str, value: usize) -> String {
        let quantization = self.network.lowered.values[value].quantization;
        let scale = self.builder.scalar(&format!("{x}/scale"), quantization.scale);
        let zero_point =
            self.builder.constant(&format!("{x}/zero_point"), &[], Data::I8(&[quantization.zero_point]));
        let q = self.builder.op("QuantizeLinear", &format!("{x}/q"), &[x, &scale, &zero_point], &[]);
        self.builder.op("DequantizeLinear", &format!("{x}/dq"), &[&q, &scale, &zero_point], &[])
    }

    fn input(&mut self) -> Tensor {
        let shape = self.network.lowered.values[0].shape;
        let preprocessing = &self.network.preprocessing;
        let channels = [preprocessing.mean.len()];
        let raw = raw_input(self.builder, [shape.height, shape.width, shape.channels]);
        let mean = self.builder.constant("mean", &channels, Data::F32(&preprocessing.mean));
        let std = self.builder.constant("std", &channels, Data::F32(&preprocessing.std));
        let centred = self.builder.op("Sub", "centred", &[&raw, &mean], &[]);
        let normalised = self.builder.op("Div", "normalised", &[&centred, &std], &[]);
        let input = from_nhwc(self.builder, &normalised, shape);
        Tensor { name: self.quantize_dequantize(&input.name, 0), ..input }
    }

    fn value(&self, id: usize) -> Result<Tensor> {
        let missing = || Error::invalid(format!("value {id}"), "none", "an earlier layer's result");
        self.values[id].clone().ok_or_else(missing)
    }

    fn step(&mut self, graph: &Graph, step: &Step) -> Result<Tensor> {
        let x = self.value(step.inputs[0])?;
        let name = step.name.as_str();
        let shape = step.output.map(|value| self.network.lowered.values[value].shape);
        let tensor = |name: String, image: bool| Tensor { name, shape: shape.unwrap_or(x.shape), image };
        Ok(match &step.kind {
            StepKind::Conv2d { window, weights, clamp } => {
                let y = self.conv(step, &x, window, weights, 1);
                tensor(self.fused(step, y, *clamp), true)
            }
            StepKind::DepthwiseConv2d { window, weights, clamp } => {
                let y = self.conv(step, &x, window, weights, x.shape.channels);
                tensor(self.fused(step, y, *clamp), true)
            }
            StepKind::Dense { weights, clamp } => {
                let y = self.dense(step, &x, weights);
                let name = self.fused(step, y, *clamp);
                Tensor { name, shape: shape.unwrap_or(Shape::vector(weights.scale.len())), image: false }
            }
            StepKind::MaxPool { window } => tensor(max_pool(self.builder, name, &x, window), true),
            StepKind::AvgPool { window, count_padding, clamp } => {
                let whole = Window { kernel: [x.shape.height, x.shape.width], ..Window::valid(1, 1) };
                let y = if *window == whole {
                    let image = self.builder.image(&x);
                    self.builder.op("GlobalAveragePool", name, &[&image], &[])
                } else {
                    average_pool(self.builder, name, &x, window, *count_padding)?
                };
                tensor(self.fused(step, y, *clamp), true)
            }
            StepKind::Add { clamp } => {
                let other = self.value(step.inputs[1])?;
                let y = add(self.builder, name, &x, &other);
                tensor(self.fused(step, y, *clamp), x.image)
            }
            StepKind::Sub { clamp } | StepKind::Mul { clamp } => {
                let other = self.value(step.inputs[1])?;
                let product = matches!(step.kind, StepKind::Mul { .. });
                let y = product_or_difference(self.builder, name, &x, &other, product);
                tensor(self.fused(step, y, *clamp), true)
            }
            StepKind::Concat { axis, .. } => {
                let other = self.value(step.inputs[1])?;
                tensor(concat(self.builder, name, &x, &other, *axis), true)
            }
            StepKind::Pad { begin } => {
                let whole = shape.unwrap_or(x.shape);
                let end = [whole.height - x.shape.height - begin[0], whole.width - x.shape.width - begin[1]];
                tensor(pad(self.builder, name, &x, *begin, end), true)
            }
            StepKind::Lookup { .. } => match graph.nodes[step.node].op {
                Op::Activation(function) => {
                    tensor(activation(self.builder, name, &x.name, function), x.image)
                }
                op => return Err(Error::invalid(format!("node {name}"), op.name(), "an activation")),
            },
            StepKind::Dequantize => x,
        })
    }

    /// A fused ReLU or ReLU6 as a node of its own: below its zero point, or above 6, nothing passes.
    fn fused(&mut self, step: &Step, y: String, clamp: Clamp) -> String {
        let Some(output) = step.output else { return y };
        let quantization = self.network.lowered.values[output].quantization;
        if clamp.min != quantization.zero_point {
            return y;
        }
        if clamp.max == i8::MAX {
            return self.builder.op("Relu", &format!("{}/relu", step.name), &[&y], &[]);
        }
        let max = quantization.real(clamp.max) as f32;
        clip(self.builder, &format!("{}/clip", step.name), &y, 0.0, max)
    }

    /// Weight and bias of a layer, dequantized per output channel.
    fn parameters(
        &mut self,
        step: &Step,
        weights: &QuantizedWeights,
        dims: &[usize],
        values: &[i8],
    ) -> [String; 2] {
        let name = step.name.as_str();
        let out = [weights.scale.len()];
        let x_scale = self.scale(step.inputs[0]);
        let bias_scale: Vec<f32> = weights.scale.iter().map(|scale| x_scale * scale).collect();
        let axis = [("axis", Attr::I(0))];
        let builder = &mut *self.builder;
        let weight = builder.constant(&format!("{name}/weight"), dims, Data::I8(values));
        let scale = builder.constant(&format!("{name}/weight_scale"), &out, Data::F32(&weights.scale));
        let zero = builder.constant(&format!("{name}/weight_zero"), &out, Data::I8(&vec![0; out[0]]));
        let bias = builder.constant(&format!("{name}/bias"), &out, Data::I32(&weights.bias));
        let bias_scale = builder.constant(&format!("{name}/bias_scale"), &out, Data::F32(&bias_scale));
        [
            builder.op("DequantizeLinear", &format!("{weight}/dq"), &[&weight, &scale, &zero], &axis),
            builder.op("DequantizeLinear", &format!("{bias}/dq"), &[&bias, &bias_scale], &axis),
        ]
    }

    fn conv(
        &mut self,
        step: &Step,
        x: &Tensor,
        window: &Window,
        weights: &QuantizedWeights,
        groups: usize,
    ) -> String {
        let (dims, values) = kernel(weights, window);
        let image = self.builder.image(x);
        let [weight, bias] = self.parameters(step, weights, &dims, &values);
        let geometry = Geometry::of(window);
        let mut attributes = geometry.attributes().to_vec();
        attributes.push(("dilations", Attr::Is(&geometry.dilations)));
        attributes.push(("group", Attr::I(groups as i64)));
        self.builder.op("Conv", &step.name, &[&image, &weight, &bias], &attributes)
    }

    fn dense(&mut self, step: &Step, x: &Tensor, weights: &QuantizedWeights) -> String {
        let row = self.builder.vector(x);
        let out = weights.scale.len();
        let dims = [out, weights.values.len() / out];
        let [weight, bias] = self.parameters(step, weights, &dims, &weights.values);
        self.builder.op("Gemm", &step.name, &[&row, &weight, &bias], &[("transB", Attr::I(1))])
    }
}
