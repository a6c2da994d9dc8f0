//! The int8 network in ONNX Runtime's integer operators, with the runtime's own scales: an independent
//! implementation of the same arithmetic, to test against.

use super::builder::{Attr, Builder, Data, Element, Tensor};
use super::float::{Geometry, channels_first, from_nhwc, max_pool, raw_input};
use crate::error::{Error, Result};
use crate::graph::{Shape, Window};
use crate::quantize::Quantized;
use crate::quantize::lower::{Clamp, Step, StepKind};
use crate::quantize::range::Quantization;
use crate::quantize::weights::QuantizedWeights;

/// How the layers of [`qoperator`] are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joints {
    /// As the network: from f32 `input`, raw, to f32 `output`.
    Chained,
    /// Not at all: layer `i` reads the graph inputs `x{i}`, `y{i}` (the second addend) and writes `z{i}`,
    /// all int8 `[N, H, W, C]`; the last layer writes the f32 `output`. An error of one layer does not
    /// travel into the next.
    Separate,
}

/// The mean pass (zero noise) of a quantized network as an ONNX file in QOperator format.
///
/// # Errors
/// If a layer has no counterpart.
pub fn qoperator(network: &Quantized, joints: Joints) -> Result<Vec<u8>> {
    let mut net =
        Int8 { network, builder: Builder::default(), values: vec![None; network.lowered.values.len()] };
    if joints == Joints::Chained {
        net.values[0] = Some(net.quantized_input());
    }
    for (index, step) in network.lowered.steps.iter().enumerate() {
        if joints == Joints::Separate {
            for (letter, &value) in ["x", "y"].into_iter().zip(&step.inputs) {
                net.values[value] = Some(net.separate_input(&format!("{letter}{index}"), value));
            }
        }
        let result = net.step(step)?;
        match step.output {
            Some(value) => {
                if joints == Joints::Separate {
                    let nhwc = net.builder.nhwc(&result);
                    let Shape { height, width, channels } = result.shape;
                    net.builder.output(&nhwc, &format!("z{index}"), Element::I8, &[height, width, channels]);
                }
                net.values[value] = Some(result);
            }
            None => {
                let row = net.builder.vector(&result);
                net.builder.output(&row, "output", Element::F32, &[result.shape.len()]);
            }
        }
    }
    Ok(net.builder.finish("mean_pass", &[]))
}

struct Int8<'a> {
    network: &'a Quantized,
    builder: Builder,
    values: Vec<Option<Tensor>>,
}

impl Int8<'_> {
    fn quantization(&self, value: usize) -> Quantization {
        self.network.lowered.values[value].quantization
    }

    /// The runtime's rule for raw inputs; a scale of 1 makes QuantizeLinear round and clamp only.
    fn quantized_input(&mut self) -> Tensor {
        let (shape, quantization) = (self.network.lowered.values[0].shape, self.quantization(0));
        let preprocessing = &self.network.preprocessing;
        let multiplier: Vec<f32> =
            preprocessing.std.iter().map(|std| 1.0 / (std * quantization.scale)).collect();
        let builder = &mut self.builder;
        let raw = raw_input(builder, [shape.height, shape.width, shape.channels]);
        let mean = builder.constant("mean", &[multiplier.len()], Data::F32(&preprocessing.mean));
        let multiplier = builder.constant("multiplier", &[multiplier.len()], Data::F32(&multiplier));
        let centred = builder.op("Sub", "centred", &[&raw, &mean], &[]);
        let steps = builder.op("Mul", "steps", &[&centred, &multiplier], &[]);
        let q = self.round("quantized", &steps, quantization.zero_point);
        from_nhwc(&mut self.builder, &q, shape)
    }

    fn separate_input(&mut self, name: &str, value: usize) -> Tensor {
        let shape = self.network.lowered.values[value].shape;
        let input = self.builder.input(name, Element::I8, &[shape.height, shape.width, shape.channels]);
        from_nhwc(&mut self.builder, &input, shape)
    }

    fn value(&self, id: usize) -> Result<Tensor> {
        let missing = || Error::invalid(format!("value {id}"), "none", "an earlier layer's result");
        self.values[id].clone().ok_or_else(missing)
    }

    /// Scale and zero point of a value as scalars.
    fn scalars(&mut self, value: usize) -> [String; 2] {
        let Quantization { scale, zero_point } = self.quantization(value);
        [
            self.builder.scalar(&format!("scale{value}"), scale),
            self.builder.constant(&format!("zero_point{value}"), &[], Data::I8(&[zero_point])),
        ]
    }

    /// `clamp(round_half_even(x) + zero_point)` as int8.
    fn round(&mut self, name: &str, x: &str, zero_point: i8) -> String {
        let one = self.builder.scalar(&format!("{name}/one"), 1.0);
        let zero_point = self.builder.constant(&format!("{name}/zero_point"), &[], Data::I8(&[zero_point]));
        self.builder.op("QuantizeLinear", name, &[x, &one, &zero_point], &[])
    }

    fn clamp(&mut self, name: &str, x: String, clamp: Clamp) -> String {
        if (clamp.min, clamp.max) == (i8::MIN, i8::MAX) {
            return x;
        }
        let min = self.builder.constant(&format!("{name}/min"), &[], Data::I8(&[clamp.min]));
        let max = self.builder.constant(&format!("{name}/max"), &[], Data::I8(&[clamp.max]));
        self.builder.op("Clip", name, &[&x, &min, &max], &[])
    }

    fn step(&mut self, step: &Step) -> Result<Tensor> {
        let x = self.value(step.inputs[0])?;
        let name = step.name.as_str();
        let shape = step.output.map(|value| self.network.lowered.values[value].shape);
        let result = |name: String, image: bool| Tensor { name, shape: shape.unwrap_or(x.shape), image };
        Ok(match &step.kind {
            StepKind::Conv2d { window, weights, clamp } => {
                result(self.conv(step, &x, window, weights, 1, *clamp)?, true)
            }
            StepKind::DepthwiseConv2d { window, weights, clamp } => {
                result(self.conv(step, &x, window, weights, x.shape.channels, *clamp)?, true)
            }
            StepKind::Dense { weights, clamp } => {
                let name = self.dense(step, &x, weights, *clamp);
                Tensor { name, shape: shape.unwrap_or(Shape::vector(weights.scale.len())), image: false }
            }
            StepKind::MaxPool { window } => result(max_pool(&mut self.builder, name, &x, window), true),
            StepKind::AvgPool { window, count_padding, clamp } => {
                result(self.average(step, &x, window, *count_padding, *clamp)?, true)
            }
            StepKind::Add { clamp } => {
                let other = self.value(step.inputs[1])?;
                let other = if x.image { self.builder.image(&other) } else { self.builder.vector(&other) };
                let mut inputs = vec![x.name.clone()];
                inputs.extend(self.scalars(step.inputs[0]));
                inputs.push(other);
                inputs.extend(self.scalars(step.inputs[1]));
                inputs.extend(self.scalars(output_of(step)?));
                let sum = self.builder.microsoft("QLinearAdd", name, &strs(&inputs), &[]);
                result(self.clamp(name, sum, *clamp), x.image)
            }
            StepKind::Mul { clamp } => {
                let mut inputs = vec![self.builder.image(&x)];
                inputs.extend(self.scalars(step.inputs[0]));
                let other = self.value(step.inputs[1])?;
                inputs.push(self.builder.image(&other));
                inputs.extend(self.scalars(step.inputs[1]));
                inputs.extend(self.scalars(output_of(step)?));
                let product = self.builder.microsoft("QLinearMul", name, &strs(&inputs), &[]);
                result(self.clamp(name, product, *clamp), true)
            }
            StepKind::Concat { axis, clamp } => {
                let mut inputs = self.scalars(output_of(step)?).to_vec();
                for &input in &step.inputs {
                    let value = self.value(input)?;
                    inputs.push(self.builder.image(&value));
                    inputs.extend(self.scalars(input));
                }
                let axis = [("axis", Attr::I([2, 3, 1][*axis]))];
                let joined = self.builder.microsoft("QLinearConcat", name, &strs(&inputs), &axis);
                result(self.clamp(name, joined, *clamp), true)
            }
            // No integer operator of ONNX Runtime: their own formulas, every step exact or rounded once.
            StepKind::Sub { clamp } => {
                let difference = self.difference(step, &x)?;
                let y = self.round(name, &difference, self.quantization(output_of(step)?).zero_point);
                result(self.clamp(name, y, *clamp), true)
            }
            StepKind::Pad { begin } => {
                let image = self.builder.image(&x);
                let shape = self.network.lowered.values[output_of(step)?].shape;
                let end = [shape.height - x.shape.height - begin[0], shape.width - x.shape.width - begin[1]];
                let pads = [0, 0, begin[0], begin[1], 0, 0, end[0], end[1]].map(|pad| pad as i64);
                let pads = self.builder.constant(&format!("{name}/pads"), &[8], Data::I64(&pads));
                let [_, zero] = self.scalars(step.inputs[0]);
                result(self.builder.op("Pad", name, &[&image, &pads, &zero], &[]), true)
            }
            StepKind::Lookup { table } => {
                let table = self.builder.constant(&format!("{name}/table"), &[256], Data::I8(table));
                let offset = self.builder.constant(&format!("{name}/offset"), &[], Data::I32(&[128]));
                let index = format!("{name}/index");
                let cast =
                    self.builder.op("Cast", &index, &[&x.name], &[("to", Attr::I(Element::I32 as i64))]);
                let index = self.builder.op("Add", &index, &[&cast, &offset], &[]);
                result(self.builder.op("Gather", name, &[&table, &index], &[]), x.image)
            }
            StepKind::Dequantize => {
                let [scale, zero_point] = self.scalars(step.inputs[0]);
                let inputs = [x.name.as_str(), &scale, &zero_point];
                result(self.builder.op("DequantizeLinear", name, &inputs, &[]), x.image)
            }
        })
    }

    /// `f32(a - zp) * m_a - f32(b - zp) * m_b` in float nodes.
    fn difference(&mut self, step: &Step, x: &Tensor) -> Result<String> {
        let name = step.name.as_str();
        let y_scale = self.quantization(output_of(step)?).scale;
        let mut terms = Vec::new();
        for (index, &input) in step.inputs.iter().enumerate() {
            let value = if index == 0 { x.clone() } else { self.value(input)? };
            let image = self.builder.image(&value);
            let Quantization { scale, .. } = self.quantization(input);
            let [_, zero] = self.scalars(input);
            let one = self.builder.scalar(&format!("{name}/one{index}"), 1.0);
            let m = self.builder.scalar(&format!("{name}/m{index}"), scale / y_scale);
            let centred =
                self.builder.op("DequantizeLinear", &format!("{name}/c{index}"), &[&image, &one, &zero], &[]);
            terms.push(self.builder.op("Mul", &format!("{name}/t{index}"), &[&centred, &m], &[]));
        }
        Ok(self.builder.op("Sub", &format!("{name}/difference"), &[&terms[0], &terms[1]], &[]))
    }

    fn conv(
        &mut self,
        step: &Step,
        x: &Tensor,
        window: &Window,
        weights: &QuantizedWeights,
        groups: usize,
        clamp: Clamp,
    ) -> Result<String> {
        let name = step.name.as_str();
        let out = weights.scale.len();
        let (dims, values) = kernel(weights, window);
        let mut inputs = vec![self.builder.image(x)];
        inputs.extend(self.scalars(step.inputs[0]));
        inputs.push(self.builder.constant(&format!("{name}/weight"), &dims, Data::I8(&values)));
        inputs.push(self.builder.constant(
            &format!("{name}/weight_scale"),
            &[out],
            Data::F32(&weights.scale),
        ));
        inputs.push(self.builder.constant(&format!("{name}/weight_zero"), &[out], Data::I8(&vec![0; out])));
        inputs.extend(self.scalars(output_of(step)?));
        inputs.push(self.builder.constant(&format!("{name}/bias"), &[out], Data::I32(&weights.bias)));
        let geometry = Geometry::of(window);
        let mut attributes = geometry.attributes().to_vec();
        attributes.push(("dilations", Attr::Is(&geometry.dilations)));
        attributes.push(("group", Attr::I(groups as i64)));
        let y = self.builder.op("QLinearConv", name, &strs(&inputs), &attributes);
        Ok(self.clamp(name, y, clamp))
    }

    /// With f32 results if the step has no output value.
    fn dense(&mut self, step: &Step, x: &Tensor, weights: &QuantizedWeights, clamp: Clamp) -> String {
        let name = step.name.as_str();
        let out = weights.scale.len();
        let dims = [out, weights.values.len() / out];
        let mut inputs = vec![self.builder.vector(x)];
        inputs.extend(self.scalars(step.inputs[0]));
        inputs.push(self.builder.constant(&format!("{name}/weight"), &dims, Data::I8(&weights.values)));
        inputs.push(self.builder.constant(
            &format!("{name}/weight_scale"),
            &[out],
            Data::F32(&weights.scale),
        ));
        inputs.push(self.builder.constant(&format!("{name}/weight_zero"), &[out], Data::I8(&vec![0; out])));
        inputs.push(self.builder.constant(&format!("{name}/bias"), &[out], Data::I32(&weights.bias)));
        if let Some(output) = step.output {
            inputs.extend(self.scalars(output));
        }
        let y = self.builder.microsoft("QGemm", name, &strs(&inputs), &[("transB", Attr::I(1))]);
        if step.output.is_some() { self.clamp(name, y, clamp) } else { y }
    }

    /// A global pool by ONNX Runtime's integer operator; others, which it computes in float, as a
    /// depthwise convolution of ones (exact: integers below 2^24) and the rule's own multiplication.
    fn average(
        &mut self,
        step: &Step,
        x: &Tensor,
        window: &Window,
        count_padding: bool,
        clamp: Clamp,
    ) -> Result<String> {
        let (name, output) = (step.name.as_str(), output_of(step)?);
        let image = self.builder.image(x);
        let [scale, zero_point] = self.scalars(step.inputs[0]);
        if *window == (Window { kernel: [x.shape.height, x.shape.width], ..Window::valid(1, 1) }) {
            let [y_scale, y_zero] = self.scalars(output);
            let inputs = [image.as_str(), &scale, &zero_point, &y_scale, &y_zero];
            let y = self.builder.microsoft("QLinearGlobalAveragePool", name, &inputs, &[]);
            return Ok(self.clamp(name, y, clamp));
        }
        let one = self.builder.scalar(&format!("{name}/one"), 1.0);
        let centred = self.builder.op(
            "DequantizeLinear",
            &format!("{name}/centred"),
            &[&image, &one, &zero_point],
            &[],
        );
        let channels = x.shape.channels;
        let dims = [channels, 1, window.kernel[0], window.kernel[1]];
        let ones = vec![1.0; channels * window.kernel[0] * window.kernel[1]];
        let ones = self.builder.constant(&format!("{name}/ones"), &dims, Data::F32(&ones));
        let geometry = Geometry::of(window);
        let mut attributes = geometry.attributes().to_vec();
        attributes.push(("dilations", Attr::Is(&geometry.dilations)));
        attributes.push(("group", Attr::I(channels as i64)));
        let sum = self.builder.op("Conv", &format!("{name}/sum"), &[&centred, &ones], &attributes);
        let [x_scale, y_scale] = [step.inputs[0], output].map(|value| self.quantization(value).scale);
        let counts = counts(window, x.shape, self.network.lowered.values[output].shape, count_padding);
        let multiplier: Vec<f32> = counts.iter().map(|&n| x_scale / (n as f32 * y_scale)).collect();
        let Shape { height, width, .. } = self.network.lowered.values[output].shape;
        let multiplier =
            self.builder.constant(&format!("{name}/multiplier"), &[height, width], Data::F32(&multiplier));
        let steps = self.builder.op("Mul", &format!("{name}/steps"), &[&sum, &multiplier], &[]);
        let y = self.round(name, &steps, self.quantization(output).zero_point);
        Ok(self.clamp(name, y, clamp))
    }
}

fn output_of(step: &Step) -> Result<usize> {
    step.output.ok_or_else(|| Error::invalid(format!("layer {}", step.name), "no int8 result", "one"))
}

fn strs(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

/// Shape and values of a kernel as `[out, in / groups, kernel_h, kernel_w]`.
pub(super) fn kernel(weights: &QuantizedWeights, window: &Window) -> ([usize; 4], Vec<i8>) {
    let (out, taps) = (weights.scale.len(), window.kernel[0] * window.kernel[1]);
    let channels = weights.values.len() / (out * taps);
    let values = channels_first(&weights.values, [out, taps, channels]);
    ([out, channels, window.kernel[0], window.kernel[1]], values)
}

/// Elements that the mean of each output position is over, `[height, width]`.
fn counts(window: &Window, x: Shape, y: Shape, count_padding: bool) -> Vec<usize> {
    let inside = |axis: usize, at: usize, size: usize| {
        let positions =
            (0..window.kernel[axis]).map(|k| at * window.stride[axis] + k * window.dilation[axis]);
        positions.filter(|&p| p >= window.pad_begin[axis] && p - window.pad_begin[axis] < size).count()
    };
    let mut counts = Vec::with_capacity(y.height * y.width);
    for row in 0..y.height {
        for column in 0..y.width {
            counts.push(match count_padding {
                true => window.kernel[0] * window.kernel[1],
                false => inside(0, row, x.height) * inside(1, column, x.width),
            });
        }
    }
    counts
}
