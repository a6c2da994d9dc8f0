//! A whole Monte-Carlo prediction as one float ONNX graph: the first layer makes K results, the rest
//! runs them as one batch of `N * K`, and the outputs are averaged.

use super::builder::{Attr, Data, Element, Tensor};
use super::float::{FloatGraph, slice};
use crate::error::{Error, Result};
use crate::graph::{Graph, NodeParams, Op, Params, Task};
use crate::quantize::lower::StepKind;
use crate::quantize::{Quantized, QuantizedPosterior};
use ndarray::{ArrayD, Axis, concatenate};
use stf_bnn::artifact::NoiseKind;
use stf_bnn::random::{Gaussian, UNIT, noise_weight};

/// Which draws are baked in: those of the runtime's fixed draws with the same settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BakedDraws {
    /// Number of draws.
    pub num_samples: u16,
    /// Seed of the noise.
    pub seed: u64,
    /// Whether draws come in pairs with opposite noise.
    pub antithetic: bool,
}

impl BakedDraws {
    /// Stream and sign of each draw.
    fn streams(self) -> impl Iterator<Item = (u64, f32)> {
        (0..u64::from(self.num_samples)).map(move |draw| match self.antithetic {
            true => (draw / 2, if draw % 2 == 1 { -1.0 } else { 1.0 }),
            false => (draw, 1.0),
        })
    }
}

/// Appends all nodes of the folded graph; returns name and length of the outputs `[N * K, len]`.
pub(super) fn append(
    net: &mut FloatGraph<'_>,
    params: &Params,
    network: &Quantized,
    draws: BakedDraws,
) -> Result<()> {
    let Some(posterior) = &network.posterior else {
        return Err(Error::invalid("onnx-mc", "a network without a posterior", "a Bayesian first layer"));
    };
    let first = network.lowered.steps[0].node;
    let graph = net.graph;
    for id in 1..graph.nodes.len() {
        if id == first {
            let value = first_layer(net, id, &params.nodes[id], (network, posterior), draws)?;
            net.values.push(value);
        } else {
            net.node(id)?;
        }
    }
    average(net, graph, draws.num_samples)
}

/// Mean over the draws, and each of them: `probabilities` and `draws` of a classifier, `mean` and `draws`
/// of other networks.
fn average(net: &mut FloatGraph<'_>, graph: &Graph, num_samples: u16) -> Result<()> {
    let output = net.values[graph.output()].clone();
    let len = output.shape.len();
    let mut rows = net.builder.vector(&output);
    let mut name = "mean";
    if graph.task == Task::Classification {
        rows = net.builder.op("Softmax", "softmax", &[&rows], &[("axis", Attr::I(-1))]);
        name = "probabilities";
    }
    let each = net.builder.reshape(&rows, &[-1, i64::from(num_samples), len as i64]);
    let axes = [("axes", Attr::Is(&[1])), ("keepdims", Attr::I(0))];
    let mean = net.builder.op("ReduceMean", "mean_of_draws", &[&each], &axes);
    net.builder.output(&mean, name, Element::F32, &[len]);
    net.builder.output(&each, "draws", Element::F32, &[num_samples.into(), len]);
    Ok(())
}

/// The first layer's results of all draws, `[N * K, ...]`.
fn first_layer(
    net: &mut FloatGraph<'_>,
    id: usize,
    params: &NodeParams,
    (network, posterior): (&Quantized, &QuantizedPosterior),
    draws: BakedDraws,
) -> Result<Tensor> {
    let node = &net.graph.nodes[id];
    let x = net.values[node.inputs[0]].clone();
    let mean = params.weight.as_ref();
    let mean = mean.ok_or_else(|| Error::invalid(format!("weight of {}", node.name), "none", "a tensor"))?;
    let bias = params.bias.as_ref();
    let unit = noise_units(network, posterior);
    if posterior.kind == NoiseKind::Outputs {
        let y = net.dense(&node.name, &x, mean, bias)?;
        return noise_per_output(net, id, &x, &y, (posterior, &unit), draws);
    }
    let kernels = draws
        .streams()
        .map(|(stream, sign)| {
            let noise = noise_kernel(network, posterior, &unit, draws.seed, stream);
            let noise = ArrayD::from_shape_vec(mean.raw_dim(), noise).map_err(|error| {
                Error::invalid(format!("noise of {}", node.name), error, "one value a weight")
            })?;
            Ok(mean + noise * sign)
        })
        .collect::<Result<Vec<_>>>()?;
    let name = format!("{}/draws", node.name);
    let all = match node.op {
        Op::Conv2d { window, groups: 1, .. } => {
            let (kernel, bias) = (stack(&kernels)?, repeat(bias, kernels.len())?);
            net.conv(&name, &x, &kernel, bias.as_ref(), &window, 1)?
        }
        Op::Conv2d { window, groups, .. } => {
            // Groups of one kernel stand together: each draw is a convolution of its own.
            let each = kernels.iter().map(|kernel| net.conv(&name, &x, kernel, bias, &window, groups));
            let each = each.collect::<Result<Vec<_>>>()?;
            let each: Vec<&str> = each.iter().map(String::as_str).collect();
            net.builder.op("Concat", &name, &each, &[("axis", Attr::I(1))])
        }
        _ => {
            let (kernel, bias) = (stack(&kernels)?, repeat(bias, kernels.len())?);
            net.dense(&name, &x, &kernel, bias.as_ref())?
        }
    };
    // [N, K * C, H, W] and [N * K, C, H, W] are the same numbers in the same order.
    let shape = node.shape;
    let image = matches!(node.op, Op::Conv2d { .. });
    let dims = [-1, shape.channels as i64, shape.height as i64, shape.width as i64];
    let name = net.builder.reshape(&all, if image { &dims } else { &dims[..2] });
    Ok(Tensor { name, shape, image })
}

fn stack(kernels: &[ArrayD<f32>]) -> Result<ArrayD<f32>> {
    let views: Vec<_> = kernels.iter().map(|kernel| kernel.view()).collect();
    concatenate(Axis(0), &views).map_err(|error| Error::invalid("num_samples", error, "at least 1"))
}

fn repeat(bias: Option<&ArrayD<f32>>, count: usize) -> Result<Option<ArrayD<f32>>> {
    bias.map(|bias| stack(&vec![bias.clone(); count])).transpose()
}

/// What one unit of a channel's noise multiplier is in real units of the weight: `multiplier * y / x`.
fn noise_units(network: &Quantized, posterior: &QuantizedPosterior) -> Vec<f64> {
    let (step, values) = (&network.lowered.steps[0], &network.lowered.values);
    let scale = |value: usize| f64::from(values[value].quantization.scale);
    let ratio = step.output.map_or(1.0, scale) / scale(step.inputs[0]);
    posterior.multiplier.iter().map(|&m| f64::from(m) * ratio).collect()
}

/// The device's int8 noise weights of one stream in real units, in the order of the float kernel.
fn noise_kernel(
    network: &Quantized,
    posterior: &QuantizedPosterior,
    unit: &[f64],
    seed: u64,
    stream: u64,
) -> Vec<f32> {
    let bytes = &posterior.log_var.bytes;
    let taps = bytes.len() / unit.len();
    let mut gaussian = Gaussian::new(seed, stream);
    let mut noise = vec![0.0; bytes.len()];
    let depthwise = matches!(network.lowered.steps[0].kind, StepKind::DepthwiseConv2d { .. });
    for drawn in 0..bytes.len() {
        // The artifact holds a depthwise kernel as [taps, channels], and is drawn in that order.
        let at = if depthwise { drawn % unit.len() * taps + drawn / unit.len() } else { drawn };
        let n = noise_weight(posterior.table[usize::from(bytes[at])], gaussian.sample());
        noise[at] = (f64::from(n) * unit[at / taps]) as f32;
    }
    noise
}

/// `y + eps_k * sqrt(x^2 variance^T)` for every draw.
fn noise_per_output(
    net: &mut FloatGraph<'_>,
    id: usize,
    x: &Tensor,
    y: &str,
    (posterior, unit): (&QuantizedPosterior, &[f64]),
    draws: BakedDraws,
) -> Result<Tensor> {
    let node = &net.graph.nodes[id];
    let (name, shape, outputs) = (node.name.as_str(), node.shape, unit.len());
    let bytes = &posterior.log_var.bytes;
    let taps = bytes.len() / outputs;
    let variance = bytes.iter().enumerate().map(|(i, &b)| {
        (f64::from(posterior.table[usize::from(b)]) * (unit[i / taps] * f64::from(UNIT)).powi(2)) as f32
    });
    let variance = ArrayD::from_shape_vec(vec![outputs, taps], variance.collect())
        .map_err(|error| Error::invalid(format!("variance of {name}"), error, "one value a weight"))?;
    let mut eps = Vec::with_capacity(outputs * usize::from(draws.num_samples));
    for (stream, sign) in draws.streams() {
        let mut gaussian = Gaussian::new(draws.seed, stream);
        eps.extend((0..outputs).map(|_| sign * gaussian.sample() as f32 / UNIT as f32));
    }
    let builder = &mut net.builder;
    let row = builder.vector(x);
    let square = builder.op("Mul", &format!("{name}/square"), &[&row, &row], &[]);
    let variance =
        builder.constant(&format!("{name}/variance"), &[outputs, taps], Data::F32(slice(&variance, name)?));
    let of_output = builder.op(
        "Gemm",
        &format!("{name}/output_variance"),
        &[&square, &variance],
        &[("transB", Attr::I(1))],
    );
    let sigma = builder.op("Sqrt", &format!("{name}/output_sigma"), &[&of_output], &[]);
    let dims = [draws.num_samples.into(), outputs];
    let eps = builder.constant(&format!("{name}/eps"), &dims, Data::F32(&eps));
    let [sigma, y] = [sigma.as_str(), y].map(|value| builder.reshape(value, &[-1, 1, outputs as i64]));
    let noise = builder.op("Mul", &format!("{name}/noise"), &[&sigma, &eps], &[]);
    let all = builder.op("Add", &format!("{name}/draws"), &[&y, &noise], &[]);
    Ok(Tensor { name: builder.reshape(&all, &[-1, outputs as i64]), shape, image: false })
}
