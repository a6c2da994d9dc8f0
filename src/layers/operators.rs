//! Which kinds of layers a program can run: code of the others is not even linked.

use super::output_noise::{self, Outputs};
use super::{Frame, Step, elementwise, joint, pool, weighted};
use crate::artifact::{Layer, Model, Operator};
use crate::kernels::{Filter, Kernels, Output, OutputDraw};
use crate::predict::Head;

/// Runs one layer. `None` if the frame is not one for this model.
type Run = fn(&Step<'_>, &Layer, &mut Frame<'_>) -> Option<()>;

/// Runs a layer with any filter of its shape: on its input, with scratch.
type RunWeighted = fn(&Layer, Kernels, &[i8], &Filter<'_>, &mut [i16], Output<'_>) -> Option<()>;

/// See [`output_noise::scale`].
type Scale = fn(&[i8], i8, &[u8], &[u16], &[f32], &mut [f32]);

/// Noise per output, which dense first layers may have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OutputNoise {
    pub(crate) draw: fn(Kernels, &OutputDraw<'_>, &mut [i16]),
    pub(crate) scale: Scale,
    pub(crate) apply: fn(&Outputs<'_>, &[i16], f32, &mut [i8]),
}

/// The operators of a program.
///
/// [`Predictor::new`](crate::Predictor::new) has them all. A device that runs known models keeps what they
/// need, as with TensorFlow Lite Micro's `MicroMutableOpResolver`, but without a list to be kept in step:
///
/// ```
/// # use stf_bnn::layers::Operators;
/// # const MODEL: &[u8] = &[];
/// static OPERATORS: Operators = Operators::of(MODEL); // an `include_model!`
/// ```
///
/// As it is computed by the compiler, the linker sees pointers to what `MODEL` needs and drops the rest.
#[derive(Debug, Clone, Copy)]
pub struct Operators {
    run: [Option<Run>; Operator::ALL.len()],
    conv2d: Option<RunWeighted>,
    depthwise: Option<RunWeighted>,
    dense: Option<RunWeighted>,
    output_noise: Option<OutputNoise>,
    head: Option<Head>,
    /// Whether convolutions may have any shape, or only those that [`Kernels::serves`].
    any_shape: bool,
}

impl Operators {
    /// None.
    pub const NONE: Self = Self {
        run: [None; Operator::ALL.len()],
        conv2d: None,
        depthwise: None,
        dense: None,
        output_noise: None,
        head: None,
        any_shape: true,
    };

    /// Every one.
    pub const ALL: &'static Self = &{
        let (mut all, mut index) = (Self::NONE, 0);
        while index < Operator::ALL.len() {
            all = all.with(Operator::ALL[index]);
            index += 1;
        }
        all
    };

    /// These and one more, for any task. Meant for a constant: called at run time, it links them all.
    #[must_use]
    pub const fn with(self, operator: Operator) -> Self {
        // [`Self::and`] puts all operators in again, of the shapes that this says.
        let any_shape = self.any_shape || matches!(operator, Operator::Conv2d | Operator::DepthwiseConv2d);
        Self { head: Some(Head::ANY), any_shape, ..self }.with_shapes(operator, true)
    }

    const fn with_shapes(mut self, operator: Operator, any: bool) -> Self {
        let run: Run = match operator {
            Operator::Conv2d => {
                self.conv2d =
                    Some(if any { weighted::conv::<false, false> } else { weighted::conv::<false, true> });
                weighted::run
            }
            Operator::DepthwiseConv2d => {
                self.depthwise =
                    Some(if any { weighted::conv::<true, false> } else { weighted::conv::<true, true> });
                weighted::run
            }
            Operator::Dense => {
                self.dense = Some(weighted::dense);
                self.output_noise = Some(OutputNoise {
                    draw: Kernels::draw_outputs,
                    scale: output_noise::scale,
                    apply: output_noise::apply,
                });
                weighted::run
            }
            Operator::DenseOutput => weighted::dense_output,
            Operator::MaxPool => pool::max,
            Operator::AvgPool => pool::average,
            Operator::Add | Operator::Sub => elementwise::add,
            Operator::Lookup => elementwise::lookup,
            Operator::Dequantize => elementwise::dequantize,
            Operator::Mul => joint::multiply,
            Operator::Concat => joint::concat,
            Operator::Pad => joint::pad,
        };
        self.run[operator as usize] = Some(run);
        self
    }

    /// Those of both.
    #[must_use]
    pub const fn and(&self, other: &Self) -> Self {
        let (mut both, mut index) = (Self::NONE, 0);
        both.any_shape = self.any_shape || other.any_shape;
        both.head = if self.head.is_some() { self.head } else { other.head };
        while index < Operator::ALL.len() {
            if self.run[index].is_some() || other.run[index].is_some() {
                both = both.with_shapes(Operator::ALL[index], both.any_shape);
            }
            index += 1;
        }
        both
    }

    /// What an artifact's layers and its task need; none if the bytes are no artifact, which a predictor
    /// refuses. Meant for a constant, as [`Self::with`].
    ///
    /// Where all its convolutions have shapes that the device's fast code serves, code for other shapes is left
    /// out too: with another model that needs it, predicting fails as
    /// [`Inconsistent`](crate::PredictError::Inconsistent).
    #[must_use]
    pub const fn of(artifact: &[u8]) -> Self {
        let Some(model) = Model::embedded(artifact) else { return Self::NONE };
        // Fast code of depthwise convolutions writes int8 outputs alone, and sampled ones need their sums.
        let (mut any_shape, mut index) = (samples_depthwise(&model), 0);
        while index < model.layer_count() {
            any_shape = any_shape || !Kernels::serves(&model.layer(index));
            index += 1;
        }
        let head = Head::of(&model.manifest().task);
        let mut all = Self { any_shape, head, ..Self::NONE };
        while index > 0 {
            index -= 1;
            all = all.with_shapes(model.layer(index).operator(), any_shape);
        }
        all
    }

    pub(crate) const fn output_noise(&self) -> Option<&OutputNoise> {
        self.output_noise.as_ref()
    }

    pub(crate) const fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// Whether it is among them.
    #[must_use]
    pub const fn has(&self, operator: Operator) -> bool {
        self.run[operator as usize].is_some()
    }

    /// The first layer that these do not run.
    pub(crate) fn missing(&self, model: &Model<'_>) -> Option<(u16, Operator)> {
        let layers = (0..).zip(model.layers());
        layers.map(|(index, layer)| (index, layer.operator())).find(|&(_, operator)| !self.has(operator))
    }

    pub(super) fn run(&self, step: &Step<'_>, layer: &Layer, frame: &mut Frame<'_>) -> Option<()> {
        self.run[layer.operator() as usize]?(step, layer, frame)
    }

    pub(super) fn run_weighted(
        &self,
        layer: &Layer,
        kernels: Kernels,
        input: &[i8],
        filter: &Filter<'_>,
        scratch: &mut [i16],
        output: Output<'_>,
    ) -> Option<()> {
        let run = match layer {
            Layer::Conv2d { .. } => self.conv2d,
            Layer::DepthwiseConv2d { .. } => self.depthwise,
            _ => self.dense,
        };
        run?(layer, kernels, input, filter, scratch, output)
    }
}

/// Whether the Bayesian layer is a depthwise convolution.
const fn samples_depthwise(model: &Model<'_>) -> bool {
    let bayesian = model.manifest().posterior.is_some() && model.layer_count() > 0;
    bayesian && matches!(model.layer(0), Layer::DepthwiseConv2d { .. })
}

#[cfg(test)]
mod tests;
