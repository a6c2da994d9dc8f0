//! What the device draws is the posterior that was trained: per output channel of the first layer, the
//! exported predictive variance against the float one, batch norm folded.

use stf_bnn::random::{for_each_value, noise_weight};
use stf_bnn::{AlignedBytes, Model};
use stf_host::data::{self, Dataset, Inputs, Preprocessing};
use stf_host::export::{Description, artifact};
use stf_host::graph::params::Posterior;
use stf_host::graph::{Graph, Op, Params, Shape, architectures, fold::fold_batch_norm};
use stf_host::quantize::{QuantizeOptions, quantize};
use stf_host::train::{Purpose, normals};

/// A network with lively batch norms and sigmas from a thousandth of a weight to its size.
fn network(name: &str, shape: Shape) -> (Graph, Params, Posterior) {
    let graph = architectures::build(name, shape, 10).unwrap();
    let mut params = Params::initialise(&graph, 3);
    for (id, node) in graph.nodes.iter().enumerate() {
        if let Op::BatchNorm { .. } = node.op {
            let channels = node.shape.channels;
            let numbers = normals(id as u64, Purpose::Noise, &[], channels);
            let node = &mut params.nodes[id];
            for (c, z) in numbers.iter().enumerate() {
                node.gamma.as_mut().unwrap()[[c]] = 1.0 + 0.3 * z;
                node.running_var.as_mut().unwrap()[[c]] = (0.7 * z).exp();
                node.running_mean.as_mut().unwrap()[[c]] = 0.2 * z;
            }
        }
    }
    let node = graph.first_weighted().unwrap();
    let weight = params.nodes[node].weight.as_ref().unwrap();
    let numbers = normals(9, Purpose::Noise, &[], weight.len());
    let mut log_var = weight.clone();
    for (log_var, z) in log_var.iter_mut().zip(numbers) {
        *log_var = 2.0 * (0.05f32 * (1.2 * z).exp()).ln();
    }
    (graph, params, Posterior { node, log_var })
}

fn examples(shape: Shape) -> (Dataset, Preprocessing) {
    let digits = data::splits(data::load("digits", None).unwrap(), 0).unwrap().calibration;
    if digits.shape == shape {
        let preprocessing = Preprocessing::fit(&digits).unwrap();
        return (digits, preprocessing);
    }
    let count = 40 * shape.len();
    let pixels = (0..count).map(|i| ((i * 2_654_435_761) >> 13) as u8).collect();
    let labels = vec![0; 40];
    let set = Dataset { shape, inputs: Inputs::U8(pixels), labels, ..digits };
    let preprocessing = Preprocessing::fit(&set).unwrap();
    (set, preprocessing)
}

/// Sum over examples and positions of each channel's variance: `weigh(channel, tap, x)` is called with
/// every (normalised input, weight) pair of the first layer.
fn each_product(graph: &Graph, node: usize, inputs: &[f32], mut visit: impl FnMut(usize, usize, usize)) {
    let (input, output) = (graph.input_of(node), graph.nodes[node].shape);
    for example in 0..inputs.len() / input.len() {
        let base = example * input.len();
        match graph.nodes[node].op {
            Op::Conv2d { window, .. } => {
                for position in 0..output.height * output.width {
                    let (oy, ox) = (position / output.width, position % output.width);
                    for ky in 0..window.kernel[0] {
                        for kx in 0..window.kernel[1] {
                            let y = (oy * window.stride[0] + ky).checked_sub(window.pad_begin[0]);
                            let x = (ox * window.stride[1] + kx).checked_sub(window.pad_begin[1]);
                            let (Some(y), Some(x)) = (y, x) else { continue };
                            if y >= input.height || x >= input.width {
                                continue;
                            }
                            for i in 0..input.channels {
                                let at = base + (y * input.width + x) * input.channels + i;
                                let tap = (ky * window.kernel[1] + kx) * input.channels + i;
                                (0..output.channels).for_each(|c| visit(c, tap, at));
                            }
                        }
                    }
                }
            }
            _ => (0..input.len()).for_each(|i| (0..output.len()).for_each(|c| visit(c, i, base + i))),
        }
    }
}

fn check(name: &str, shape: Shape, noise_per_output: bool) {
    let (graph, params, posterior) = network(name, shape);
    let (calibration, preprocessing) = examples(shape);
    let options = QuantizeOptions { noise_per_output, ..QuantizeOptions::default() };
    let quantized =
        quantize(&graph, &params, Some(&posterior), &calibration, &preprocessing, &options).unwrap();
    let prior = stf_bnn::artifact::Prior { mean_is_map: true, prior_sigma: 1.0, temperature: 1.0 };
    let description = Description {
        name,
        task: graph.task,
        class_names: &calibration.class_names,
        targets: None,
        prior: Some(prior),
        data: "test",
        seed: 0,
        training: "{}",
    };
    let bytes = AlignedBytes::new(&artifact(&quantized, &description).unwrap());
    let model = Model::from_bytes(&bytes).unwrap();

    let (folded, _, folded_posterior) = fold_batch_norm(&graph, &params, Some(&posterior)).unwrap();
    let folded_posterior = folded_posterior.unwrap();
    let (node, channels) = (folded_posterior.node, folded_posterior.log_var.shape()[0]);
    let log_var = folded_posterior.log_var.as_slice().unwrap();
    let taps = log_var.len() / channels;

    let mut inputs = Vec::new();
    preprocessing.apply(&calibration, &(0..8).collect::<Vec<_>>(), &mut inputs).unwrap();
    let mut wanted = vec![0.0f64; channels];
    each_product(&folded, node, &inputs, |c, tap, at| {
        wanted[c] += f64::from(inputs[at]).powi(2) * f64::from(log_var[c * taps + tap]).exp();
    });

    let exported = exported_weight_variance(&model, channels);
    let input = model.manifest().input.tensor;
    let quantized_x = |x: f32| {
        let q = (x / input.scale).round_ties_even() + f32::from(input.zero_point);
        f64::from((q.clamp(-128.0, 127.0) - f32::from(input.zero_point)) * input.scale)
    };
    let mut got = vec![0.0f64; channels];
    each_product(&folded, node, &inputs, |c, tap, at| {
        got[c] += quantized_x(inputs[at]).powi(2) * exported[c * taps + tap];
    });
    for c in 0..channels {
        assert!((got[c] / wanted[c] - 1.0).abs() < 0.02, "{name} channel {c}: {} for {}", got[c], wanted[c]);
    }
}

/// Variance of each first-layer weight, in real units, from nothing but the artifact's bytes.
fn exported_weight_variance(model: &Model<'_>, channels: usize) -> Vec<f64> {
    let posterior = model.manifest().posterior.unwrap();
    let first = model.layers().next().unwrap();
    let (x, y) = (first.input().scale, first.output().unwrap().scale);
    let table = model.u16s(posterior.table);
    let multiplier = model.f32s(posterior.noise_multiplier);
    let bytes = model.bytes(posterior.log_var);
    let taps = bytes.len() / channels;
    let variance: Vec<f64> = match posterior.kind {
        stf_bnn::artifact::NoiseKind::Weights => table
            .iter()
            .map(|&entry| {
                let mut square = 0.0;
                for_each_value(|eps, p| square += p * f64::from(noise_weight(entry, eps)).powi(2));
                square
            })
            .collect(),
        // Noise in output steps: eps * sqrt(sum x^2 v) * multiplier, with eps of UNIT.
        stf_bnn::artifact::NoiseKind::Outputs => {
            table.iter().map(|&v| f64::from(v) * f64::from(stf_bnn::random::UNIT).powi(2)).collect()
        }
    };
    let real = |c: usize| f64::from(multiplier[c]) * f64::from(y) / f64::from(x);
    (0..bytes.len()).map(|i| variance[usize::from(bytes[i])] * real(i / taps).powi(2)).collect()
}

#[test]
fn convolution_without_batch_norm() {
    check("lenet5", Shape::new(8, 8, 1), false);
}

#[test]
fn convolution_with_batch_norm_and_several_input_channels() {
    check("resnet8", Shape::new(16, 16, 3), false);
}

#[test]
fn strided_convolution() {
    check("dscnn", Shape::new(49, 10, 1), false);
}

#[test]
fn dense_layer_by_weight_and_by_output() {
    check("mlp", Shape::new(8, 8, 1), false);
    check("mlp", Shape::new(8, 8, 1), true);
}
