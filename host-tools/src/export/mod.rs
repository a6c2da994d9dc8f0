//! Writes a quantized network as a `.stf` artifact.

pub mod adaptive;

use crate::data::{ChannelOrder, Layout, TargetScaling};
use crate::error::{Error, Result};
use crate::graph::{Task, Window};
use crate::quantize::lower::{Clamp, Lowered, Step, StepKind};
use crate::quantize::weights::QuantizedWeights;
use crate::quantize::{Quantized, QuantizedPosterior};
use stf_bnn::artifact::{self, ArtifactWriter, Blob, Layer, Manifest, Posterior, Prior, Provenance, Tensor};

/// What the artifact says about the network beside its numbers.
#[derive(Debug, Clone)]
pub struct Description<'a> {
    /// Name of the network.
    pub name: &'a str,
    /// What its outputs mean.
    pub task: Task,
    /// Class names, in the order of the outputs; none for other tasks.
    pub class_names: &'a [String],
    /// Names and units of the targets of a Gaussian regression; none of other tasks.
    pub targets: Option<&'a TargetScaling>,
    /// The prior that stage 2 used; required if there is a posterior.
    pub prior: Option<Prior>,
    /// Name of the training data.
    pub data: &'a str,
    /// Seed of training.
    pub seed: u64,
    /// Training settings and figures, one JSON object.
    pub training: &'a str,
}

/// The bytes of a `.stf` file; the same input gives the same bytes.
///
/// # Errors
/// If the network does not fit the format (sizes beyond u16 or u32), or the written artifact does not
/// pass the runtime's own check.
pub fn artifact(network: &Quantized, description: &Description<'_>) -> Result<Vec<u8>> {
    let mut writer = ArtifactWriter::new();
    let lowered = &network.lowered;
    let input_scale = lowered.values[0].quantization.scale;
    let multiplier: Vec<f32> =
        network.preprocessing.std.iter().map(|std| 1.0 / (std * input_scale)).collect();
    let input = artifact::InputSpec {
        tensor: tensor(network, 0)?,
        mean: writer.values(&network.preprocessing.mean),
        multiplier: writer.values(&multiplier),
        layout: match network.preprocessing.layout {
            Layout::Nhwc => artifact::InputLayout::Nhwc,
            Layout::Nchw => artifact::InputLayout::Nchw,
        },
        channel_order: match network.preprocessing.channel_order {
            ChannelOrder::Same => artifact::ChannelOrder::Same,
            ChannelOrder::Reversed => artifact::ChannelOrder::Reversed,
        },
    };
    for step in &lowered.steps {
        let layer = layer(network, step, &mut writer)?;
        writer.push_layer(layer);
    }
    let posterior = match &network.posterior {
        Some(posterior) => Some(write_posterior(posterior, lowered, description, &mut writer)?),
        None => None,
    };
    let outputs = output_count(lowered)?;
    let names = description.targets.map_or(description.class_names, |targets| &targets.names);
    let class_names = names.join("\n");
    let task = match (description.task, description.targets) {
        (Task::Classification, _) => artifact::Task::Classification,
        // An imported network may have outputs of another kind.
        (Task::Reconstruction, _) if output_count(lowered)? == lowered.values[0].shape.len() => {
            artifact::Task::Reconstruction(None)
        }
        (Task::Reconstruction, _) => artifact::Task::Regression,
        (Task::Gaussian, Some(targets)) => artifact::Task::Gaussian(artifact::GaussianHead {
            target_mean: writer.values(&targets.mean),
            target_std: writer.values(&targets.std),
            intervals: None,
        }),
        (Task::Gaussian, None) => {
            return Err(Error::invalid("targets", "none", "those of the regression"));
        }
    };
    let manifest = Manifest {
        name: description.name,
        task,
        input,
        outputs: fit("number of outputs", outputs)?,
        class_names: &class_names,
        arena_bytes: fit("arena bytes", network.plan.arena_bytes)?,
        layer_count: fit("number of layers", lowered.steps.len())?,
        posterior,
        temperature: 1.0,
        adaptive: None,
        conformal: None,
        abstention: None,
        drift: None,
        provenance: Provenance {
            tool: concat!("stf ", env!("CARGO_PKG_VERSION")),
            data: description.data,
            seed: description.seed,
            training: description.training,
        },
    };
    writer
        .finish(manifest)
        .map_err(|error| Error::invalid("artifact", error, "an artifact that the runtime accepts"))
}

fn fit<T: TryFrom<usize>>(what: &str, value: usize) -> Result<T> {
    T::try_from(value)
        .map_err(|_| Error::invalid(what, value, format!("at most {} bits", 8 * std::mem::size_of::<T>())))
}

fn output_count(lowered: &Lowered) -> Result<usize> {
    match lowered.steps.last() {
        Some(Step { kind: StepKind::Dense { weights, .. }, .. }) => Ok(weights.scale.len()),
        Some(step) => Ok(lowered.values[step.inputs[0]].shape.len()),
        None => Err(Error::invalid("network", "no layer", "at least one")),
    }
}

fn tensor(network: &Quantized, value: usize) -> Result<Tensor> {
    let described = &network.lowered.values[value];
    let offset = if value == 0 { 0 } else { network.plan.offsets[value - 1] };
    let name = &described.name;
    Ok(Tensor {
        offset: fit(&format!("offset of {name}"), offset)?,
        height: fit(&format!("height of {name}"), described.shape.height)?,
        width: fit(&format!("width of {name}"), described.shape.width)?,
        channels: fit(&format!("channels of {name}"), described.shape.channels)?,
        scale: described.quantization.scale,
        zero_point: described.quantization.zero_point,
    })
}

fn window(window: &Window) -> Result<artifact::Window> {
    let pair = |what, [a, b]: [usize; 2]| Ok::<_, Error>([fit(what, a)?, fit(what, b)?]);
    Ok(artifact::Window {
        kernel: pair("kernel size", window.kernel)?,
        stride: pair("stride", window.stride)?,
        dilation: pair("dilation", window.dilation)?,
        pad: pair("padding", window.pad_begin)?,
    })
}

const fn clamp(clamp: Clamp) -> artifact::Clamp {
    artifact::Clamp { min: clamp.min, max: clamp.max }
}

fn layer(network: &Quantized, step: &Step, writer: &mut ArtifactWriter) -> Result<Layer> {
    let input = tensor(network, step.inputs[0])?;
    let Some(output) = step.output.map(|value| tensor(network, value)).transpose()? else {
        return Ok(match &step.kind {
            StepKind::Dense { weights, .. } => {
                let multiplier: Vec<f32> = weights.scale.iter().map(|scale| input.scale * scale).collect();
                Layer::DenseOutput {
                    input,
                    weights: write_weights(weights, &multiplier, &weights.values, writer),
                }
            }
            _ => Layer::Dequantize { input },
        });
    };
    // The one order of operations that the arithmetic's specification names.
    let multiplier = |weights: &QuantizedWeights| -> Vec<f32> {
        weights.scale.iter().map(|scale| (input.scale * scale) / output.scale).collect()
    };
    Ok(match &step.kind {
        StepKind::Conv2d { window: w, weights, clamp: c } => Layer::Conv2d {
            input,
            output,
            window: window(w)?,
            weights: write_weights(weights, &multiplier(weights), &weights.values, writer),
            clamp: clamp(*c),
        },
        StepKind::DepthwiseConv2d { window: w, weights, clamp: c } => Layer::DepthwiseConv2d {
            input,
            output,
            window: window(w)?,
            weights: write_weights(
                weights,
                &multiplier(weights),
                &channels_last(&weights.values, weights.scale.len()),
                writer,
            ),
            clamp: clamp(*c),
        },
        StepKind::Dense { weights, clamp: c } => Layer::Dense {
            input,
            output,
            weights: write_weights(weights, &multiplier(weights), &weights.values, writer),
            clamp: clamp(*c),
        },
        StepKind::MaxPool { window: w } => Layer::MaxPool { input, output, window: window(w)? },
        StepKind::AvgPool { window: w, count_padding, clamp: c } => Layer::AvgPool {
            input,
            output,
            window: window(w)?,
            count_padding: *count_padding,
            clamp: clamp(*c),
        },
        StepKind::Add { clamp: c } => {
            let b = tensor(network, step.inputs[1])?;
            Layer::Add {
                a: input,
                b,
                output,
                multiplier_a: input.scale / output.scale,
                multiplier_b: b.scale / output.scale,
                clamp: clamp(*c),
            }
        }
        StepKind::Sub { clamp: c } => {
            let b = tensor(network, step.inputs[1])?;
            Layer::Sub {
                a: input,
                b,
                output,
                multiplier_a: input.scale / output.scale,
                multiplier_b: b.scale / output.scale,
                clamp: clamp(*c),
            }
        }
        StepKind::Mul { clamp: c } => {
            let b = tensor(network, step.inputs[1])?;
            let multiplier = (input.scale * b.scale) / output.scale;
            Layer::Mul { a: input, b, output, multiplier, clamp: clamp(*c) }
        }
        StepKind::Concat { axis, clamp: c } => {
            let b = tensor(network, step.inputs[1])?;
            Layer::Concat {
                a: input,
                b,
                output,
                axis: fit("axis", *axis)?,
                multiplier_a: input.scale / output.scale,
                multiplier_b: b.scale / output.scale,
                clamp: clamp(*c),
            }
        }
        StepKind::Pad { begin } => {
            Layer::Pad { input, output, begin: [fit("padding", begin[0])?, fit("padding", begin[1])?] }
        }
        StepKind::Lookup { table } => Layer::Lookup { input, output, table: writer.values(table) },
        StepKind::Dequantize => Layer::Dequantize { input },
    })
}

fn write_weights(
    weights: &QuantizedWeights,
    multiplier: &[f32],
    values: &[i8],
    writer: &mut ArtifactWriter,
) -> artifact::Weights {
    artifact::Weights {
        values: writer.values(values),
        bias: writer.values(&weights.bias),
        multiplier: writer.values(multiplier),
    }
}

/// `[channels, taps]` to `[taps, channels]`: a depthwise kernel reads all channels of one tap together.
fn channels_last<T: Copy>(values: &[T], channels: usize) -> Vec<T> {
    let taps = values.len() / channels;
    (0..taps).flat_map(|tap| (0..channels).map(move |channel| values[channel * taps + tap])).collect()
}

fn write_posterior(
    posterior: &QuantizedPosterior,
    lowered: &Lowered,
    description: &Description<'_>,
    writer: &mut ArtifactWriter,
) -> Result<Posterior> {
    let prior = description
        .prior
        .ok_or_else(|| Error::invalid("prior", "none", "the prior that the posterior was fitted with"))?;
    let log_var = &posterior.log_var;
    let depthwise = matches!(lowered.steps[0].kind, StepKind::DepthwiseConv2d { .. });
    let bytes: Blob = if depthwise {
        writer.blob(&channels_last(&log_var.bytes, log_var.max.len()))
    } else {
        writer.blob(&log_var.bytes)
    };
    Ok(Posterior {
        kind: posterior.kind,
        log_var: bytes,
        log_var_max: writer.values(&log_var.max),
        log_var_step: log_var.step,
        table: writer.values(&posterior.table),
        noise_multiplier: writer.values(&posterior.multiplier),
        prior,
    })
}
