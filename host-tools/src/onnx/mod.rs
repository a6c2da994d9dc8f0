//! ONNX files out of the one graph and its quantized form.
//!
//! Every model has a free batch size N and takes the device's raw units (pixels: 0 to 255): `input`, f32 or
//! u8 `[N, height, width, channels]`, in the network's order of channels. Normalisation and the change to
//! ONNX's channels-first layout are nodes of the model. A classifier's output is `logits`
//! `[N, classes]`, other networks have `output`.

mod builder;
mod float;
mod monte_carlo;
mod operators;
mod proto;
mod qdq;

pub use monte_carlo::BakedDraws;
pub use operators::{Joints, qoperator};

use crate::data::Preprocessing;
use crate::error::Result;
use crate::graph::fold::fold_batch_norm;
use crate::graph::{Graph, Params, Task};
use crate::quantize::Quantized;
use builder::{Builder, Element};
use float::FloatGraph;

/// Type of a model's raw input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InputType {
    /// f32.
    #[default]
    F32,
    /// Bytes: pixels as cameras and image files have them.
    U8,
}

/// The float network with the posterior's mean, batch norm as nodes.
///
/// # Errors
/// If a parameter is missing, or ONNX has no counterpart of a node.
pub fn float(
    graph: &Graph,
    params: &Params,
    preprocessing: &Preprocessing,
    input: InputType,
) -> Result<Vec<u8>> {
    let mut net = FloatGraph::new(graph, params, preprocessing, input);
    for id in 1..graph.nodes.len() {
        net.node(id)?;
    }
    let output = net.values[graph.output()].clone();
    let row = net.builder.vector(&output);
    net.builder.output(&row, output_name(graph), Element::F32, &[output.shape.len()]);
    Ok(net.builder.finish(&graph.name, &[]))
}

/// The int8 network without noise as QuantizeLinear/DequantizeLinear pairs around float operators:
/// int8 activations per tensor with zero points, int8 weights per output channel, i32 bias.
///
/// # Errors
/// If the parameters do not suit the graph, or ONNX has no counterpart of a layer.
pub fn qdq(graph: &Graph, params: &Params, network: &Quantized, input: InputType) -> Result<Vec<u8>> {
    let (folded, _, _) = fold_batch_norm(graph, params, None)?;
    let mut builder = Builder::new(input);
    qdq::append(&mut builder, &folded, network, output_name(graph))?;
    Ok(builder.finish(&graph.name, &[]))
}

/// A Monte-Carlo prediction in float with the device's own noise weights, those of the runtime's fixed
/// draws: `probabilities` `[N, classes]` is their mean (`mean` for other tasks), `draws`
/// `[N, num_samples, classes]` has each.
///
/// # Errors
/// If there is no posterior, the parameters do not suit the graph, or ONNX has no counterpart of a node.
pub fn monte_carlo(
    graph: &Graph,
    params: &Params,
    network: &Quantized,
    draws: BakedDraws,
    input: InputType,
) -> Result<Vec<u8>> {
    let (folded, folded_params, _) = fold_batch_norm(graph, params, None)?;
    let mut net = FloatGraph::new(&folded, &folded_params, &network.preprocessing, input);
    monte_carlo::append(&mut net, &folded_params, network, draws)?;
    let (seed, samples) = (draws.seed.to_string(), draws.num_samples.to_string());
    let metadata = [
        ("seed", seed.as_str()),
        ("num_samples", &samples),
        ("antithetic", if draws.antithetic { "true" } else { "false" }),
    ];
    Ok(net.builder.finish(&graph.name, &metadata))
}

const fn output_name(graph: &Graph) -> &'static str {
    match graph.task {
        Task::Classification => "logits",
        Task::Reconstruction | Task::Gaussian => "output",
    }
}
