//! Functions of each value, affine maps per channel, and operators that join two activations.

use super::importer::{Importer, Normalisation, Value, finite};
use super::layout::{Axis, View};
use super::node::{OnnxNode, axis};
use super::tensor::Constant;
use crate::error::Result;
use crate::graph::{Activation, BATCH_NORM_MOMENTUM, NodeId, NodeParams, Op};
use ndarray::Array1;

impl<'a> Importer<'a> {
    pub(super) fn activation(&mut self, node: &OnnxNode<'a>) -> Result<View> {
        let view = self.view(node, 0)?;
        let Some(function) = self.function(node)? else { return Ok(view) };
        self.apply(node, &view, function)
    }

    fn apply(&mut self, node: &OnnxNode<'a>, view: &View, function: Activation) -> Result<View> {
        let (id, shape) = self.push(node, Op::Activation(function), &[view.node], NodeParams::default())?;
        Ok(view.of(id, shape))
    }

    /// The function of an element-wise node; `None` for one that changes nothing.
    fn function(&self, node: &OnnxNode<'a>) -> Result<Option<Activation>> {
        Ok(Some(match node.op() {
            "Relu" => Activation::Relu,
            "LeakyRelu" => Activation::LeakyRelu(node.float("alpha", 0.01)),
            "Sigmoid" => Activation::Sigmoid,
            "Tanh" => Activation::Tanh,
            "Erf" => Activation::Erf,
            "Elu" => Activation::Elu(node.float("alpha", 1.0)),
            "HardSwish" => Activation::HardSwish,
            "HardSigmoid" => {
                let (slope, offset) = (node.float("alpha", 0.2), node.float("beta", 0.5));
                if (slope - 1.0 / 6.0).abs() < 1e-6 && offset == 0.5 {
                    Activation::HardSigmoid
                } else {
                    Activation::Ramp { slope, offset }
                }
            }
            "Gelu" if node.text("approximate").is_none_or(|kind| kind == "none") => Activation::Gelu,
            "Gelu" => return Err(node.unusable("the tanh approximation", "approximate=none")),
            _ => return self.clip(node),
        }))
    }

    fn clip(&self, node: &OnnxNode<'a>) -> Result<Option<Activation>> {
        let bound = |index, name: &str, default: f32| -> Result<f32> {
            Ok(match self.constant(node, index)? {
                Some(value) => {
                    value.scalar().ok_or_else(|| node.unusable("a bound of several values", "one"))?
                }
                None => node.float(name, default),
            })
        };
        let (min, max) = (bound(1, "min", f32::NEG_INFINITY)?, bound(2, "max", f32::INFINITY)?);
        // Exporters write "no bound" as the greatest number.
        let (min, max) = (min.max(f32::MIN), max.min(f32::MAX));
        match (min, max) {
            (f32::MIN, f32::MAX) => Ok(None),
            (0.0, f32::MAX) => Ok(Some(Activation::Relu)),
            (0.0, 6.0) => Ok(Some(Activation::Relu6)),
            (min, max) if min <= max => Ok(Some(Activation::Clip { min, max })),
            _ => Err(node.unusable(format!("bounds {min} to {max}"), "a lower and an upper bound")),
        }
    }

    /// PRelu with one slope is a leaky ReLU; with one a channel, `relu(x) + (-slope) * relu(-x)`.
    pub(super) fn prelu(&mut self, node: &OnnxNode<'a>) -> Result<View> {
        let view = self.view(node, 0)?;
        let slope = self.constant(node, 1)?.ok_or_else(|| node.unusable("no slope", "a constant"))?;
        let slope = per_channel(node, &view, &slope)?;
        if slope.iter().all(|&s| s == slope[0]) {
            return self.apply(node, &view, Activation::LeakyRelu(slope[0]));
        }
        let channels = slope.len();
        let positive = self.apply(node, &view, Activation::Relu)?;
        let mirrored = self.affine(node, &view, vec![-1.0; channels], vec![0.0; channels])?;
        let negative = self.apply(node, &mirrored, Activation::Relu)?;
        let scale = slope.iter().map(|s| -s).collect();
        let scaled = self.affine(node, &negative, scale, vec![0.0; channels])?;
        self.join(node, Op::Add, &positive, &scaled)
    }

    pub(super) fn batch_norm(&mut self, node: &OnnxNode<'a>) -> Result<View> {
        let view = self.view(node, 0)?;
        let channels = view.shape.channels;
        let on_channels = view.rank() >= 2 && matches!(view.axes[1][..], [] | [Axis::C]);
        if node.int("training_mode", 0) != 0 || !on_channels || view.dims()[1] != channels {
            let found = format!("layout {} or training mode", view.describe());
            return Err(node.unusable(found, "a normalisation of channels with fixed statistics"));
        }
        let [gamma, beta, mean, variance] = [1, 2, 3, 4].map(|index| self.numbers(node, index, channels));
        let (gamma, beta, mean, variance) = (gamma?, beta?, mean?, variance?);
        let eps = node.float("epsilon", 1e-5);
        if let Some(bad) = variance.iter().find(|&&v| v + eps <= 0.0) {
            return Err(node.unusable(format!("variance {bad}"), "a positive one"));
        }
        if self.is_raw_input(node, &view) {
            let scale: Vec<f32> = gamma.iter().zip(&variance).map(|(g, v)| g / (v + eps).sqrt()).collect();
            let shift = beta.iter().zip(&mean).zip(&scale).map(|((b, m), s)| b - m * s).collect();
            return self.affine(node, &view, scale, shift);
        }
        let tensor = |values: Vec<f32>| Some(Array1::from(values).into_dyn());
        let params = NodeParams {
            gamma: tensor(gamma),
            beta: tensor(beta),
            running_mean: tensor(mean),
            running_var: tensor(variance),
            ..NodeParams::default()
        };
        let op = Op::BatchNorm { eps, momentum: BATCH_NORM_MOMENTUM };
        let (id, shape) = self.push(node, op, &[view.node], params)?;
        Ok(view.of(id, shape))
    }

    /// Whether this is the network's input, read by this node alone: then a normalisation of it is
    /// preprocessing.
    fn is_raw_input(&self, node: &OnnxNode<'_>, view: &View) -> bool {
        let read_by = |index| node.input(index).and_then(|name| self.readers.get(name)).copied();
        view.node == 0
            && (0..node.proto.input.len()).all(|i| {
                let constant =
                    matches!(node.input(i).and_then(|name| self.values.get(name)), Some(Value::Constant(_)));
                constant || read_by(i) == Some(1)
            })
    }

    /// `scale * x + shift` per channel: of the input, preprocessing; elsewhere a batch norm, which folds
    /// into the layer before it where it can.
    fn affine(&mut self, node: &OnnxNode<'a>, view: &View, scale: Vec<f32>, shift: Vec<f32>) -> Result<View> {
        finite(node, &scale)?;
        finite(node, &shift)?;
        if self.is_raw_input(node, view) && scale.iter().all(|&s| s > 0.0) {
            let before = self.normalisation.take();
            self.normalisation = Some(match before {
                None => Normalisation { scale, shift },
                Some(before) => Normalisation {
                    shift: before.shift.iter().zip(&scale).zip(&shift).map(|((b, s), t)| b * s + t).collect(),
                    scale: before.scale.iter().zip(&scale).map(|(b, s)| b * s).collect(),
                },
            });
            return Ok(view.clone());
        }
        let channels = scale.len();
        let tensor = |values: Vec<f32>| Some(Array1::from(values).into_dyn());
        let params = NodeParams {
            gamma: tensor(scale),
            beta: tensor(shift),
            running_mean: tensor(vec![0.0; channels]),
            running_var: tensor(vec![1.0; channels]),
            ..NodeParams::default()
        };
        let op = Op::BatchNorm { eps: 0.0, momentum: BATCH_NORM_MOMENTUM };
        let (id, shape) = self.push(node, op, &[view.node], params)?;
        Ok(view.of(id, shape))
    }

    /// Add, Sub, Mul and Div of an activation and a constant, or of two activations.
    pub(super) fn arithmetic(&mut self, node: &OnnxNode<'a>) -> Result<View> {
        let constant = [0, 1].map(|index| self.constant(node, index).ok().flatten());
        match constant {
            [None, Some(constant)] => {
                let view = self.view(node, 0)?;
                if let Some(result) = self.scaled_gate(node, &view, &constant)? {
                    return Ok(result);
                }
                let values = per_channel(node, &view, &constant)?;
                let channels = values.len();
                let (scale, shift) = match node.op() {
                    "Add" => (vec![1.0; channels], values),
                    "Sub" => (vec![1.0; channels], values.iter().map(|v| -v).collect()),
                    "Mul" => (values, vec![0.0; channels]),
                    _ => (values.iter().map(|v| 1.0 / v).collect(), vec![0.0; channels]),
                };
                self.affine(node, &view, scale, shift)
            }
            [Some(constant), None] => {
                let view = self.view(node, 1)?;
                let values = per_channel(node, &view, &constant)?;
                let channels = values.len();
                let (scale, shift) = match node.op() {
                    "Add" => (vec![1.0; channels], values),
                    "Sub" => (vec![-1.0; channels], values),
                    "Mul" => (values, vec![0.0; channels]),
                    _ => return Err(node.unusable("a division by an activation", "by a constant")),
                };
                self.affine(node, &view, scale, shift)
            }
            _ => {
                let (a, b) = (self.view(node, 0)?, self.view(node, 1)?);
                match node.op() {
                    "Add" => self.join(node, Op::Add, &a, &b),
                    "Sub" => self.join(node, Op::Sub, &a, &b),
                    "Mul" => self.product(node, &a, &b),
                    _ => Err(node.unusable("a division by an activation", "by a constant")),
                }
            }
        }
    }

    /// Two activations of the same shape, value by value.
    fn join(&mut self, node: &OnnxNode<'a>, op: Op, a: &View, b: &View) -> Result<View> {
        if a.shape != b.shape || a.axes != b.axes {
            let found = format!("{:?} ({}) and {:?} ({})", a.dims(), a.describe(), b.dims(), b.describe());
            return Err(node.unusable(found, "two activations of one shape"));
        }
        let (id, shape) = self.push(node, op, &[a.node, b.node], NodeParams::default())?;
        Ok(a.of(id, shape))
    }

    /// A product; the second factor may have one position (squeeze-and-excite).
    fn product(&mut self, node: &OnnxNode<'a>, a: &View, b: &View) -> Result<View> {
        let (a, b) = if a.shape.len() >= b.shape.len() { (a, b) } else { (b, a) };
        if let Some(result) = self.swish(node, a, b)? {
            return Ok(result);
        }
        let aligned = a.rank() == b.rank() && a.axes.iter().zip(&b.axes).all(|(a, b)| a == b || b.is_empty());
        let same = a.shape == b.shape;
        let per_channel = b.shape.height * b.shape.width == 1 && a.shape.channels == b.shape.channels;
        if !(aligned && (same || per_channel)) {
            let found = format!("{:?} ({}) and {:?} ({})", a.dims(), a.describe(), b.dims(), b.describe());
            return Err(node.unusable(found, "factors of one shape, or one of them with one value a channel"));
        }
        let (id, shape) = self.push(node, Op::Mul, &[a.node, b.node], NodeParams::default())?;
        Ok(a.of(id, shape))
    }

    /// `x * gate(x)` as one function: hard swish from its hard sigmoid, swish from its sigmoid, Gelu from
    /// `(erf(x / sqrt(2)) + 1) / 2`.
    fn swish(&mut self, node: &OnnxNode<'a>, a: &View, b: &View) -> Result<Option<View>> {
        for (x, gate) in [(a, b), (b, a)] {
            if let Some((Op::Activation(gate), &[source])) = self.builder.op(gate.node)
                && source == x.node
            {
                match gate {
                    Activation::HardSigmoid => return self.apply(node, x, Activation::HardSwish).map(Some),
                    Activation::Sigmoid => return self.apply(node, x, Activation::Swish).map(Some),
                    _ => {}
                }
            }
            if self.erf_gate(gate.node, x.node).is_some_and(|(s, t)| close(s, 0.5) && close(t, 0.5)) {
                return self.apply(node, x, Activation::Gelu).map(Some);
            }
        }
        Ok(None)
    }

    /// `x * gate(x) * c` as one function: hard swish as `x * relu6(x + 3) / 6`, Gelu as
    /// `x * (erf(x / sqrt(2)) + 1) / 2`.
    fn scaled_gate(&mut self, node: &OnnxNode<'a>, view: &View, constant: &Constant) -> Result<Option<View>> {
        let factor = match (node.op(), constant.scalar()) {
            ("Div", Some(value)) => 1.0 / value,
            ("Mul", Some(value)) => value,
            _ => return Ok(None),
        };
        let Some((Op::Mul, &[a, b])) = self.builder.op(view.node) else { return Ok(None) };
        for (x, gate) in [(a, b), (b, a)] {
            let function = if close(factor, 1.0 / 6.0) && self.is_shifted_relu6(gate, x) {
                Activation::HardSwish
            } else if close(factor, 0.5)
                && self.erf_gate(gate, x).is_some_and(|(s, t)| close(s, 1.0) && close(t, 1.0))
            {
                Activation::Gelu
            } else {
                continue;
            };
            let (id, shape) = self.push(node, Op::Activation(function), &[x], NodeParams::default())?;
            return Ok(Some(view.of(id, shape)));
        }
        Ok(None)
    }

    /// Whether `gate` is `relu6(x + 3)`.
    fn is_shifted_relu6(&self, gate: NodeId, x: NodeId) -> bool {
        let Some((Op::Activation(Activation::Relu6), &[sum])) = self.builder.op(gate) else { return false };
        self.affine_chain(sum, x) == (1.0, 3.0, x)
    }

    /// `(s, t)` if `gate` is `s * erf(x / sqrt(2)) + t`.
    fn erf_gate(&self, gate: NodeId, x: NodeId) -> Option<(f32, f32)> {
        let (scale, shift, source) = self.affine_chain(gate, x);
        let Some((Op::Activation(Activation::Erf), &[scaled])) = self.builder.op(source) else { return None };
        let (inner, offset, source) = self.affine_chain(scaled, x);
        let fits = source == x && offset == 0.0 && close(inner, std::f32::consts::FRAC_1_SQRT_2);
        fits.then_some((scale, shift))
    }

    /// `(s, t, source)` where `node` is `s * source + t`, one pair for all channels, not looking behind
    /// `stop`.
    fn affine_chain(&self, node: NodeId, stop: NodeId) -> (f32, f32, NodeId) {
        let (mut scale, mut shift, mut at) = (1.0, 0.0, node);
        while at != stop
            && let Some((Op::BatchNorm { eps: 0.0, .. }, &[source])) = self.builder.op(at)
            && let Some((s, t)) = uniform(&self.params[at])
        {
            shift += scale * t;
            scale *= s;
            at = source;
        }
        (scale, shift, at)
    }

    /// Concatenation along channels or positions, two at a time.
    pub(super) fn concat(&mut self, node: &OnnxNode<'a>) -> Result<View> {
        let views: Vec<View> =
            (0..node.proto.input.len()).map(|index| self.view(node, index)).collect::<Result<_>>()?;
        let along = axis(node, node.int("axis", 1), views[0].rank())?;
        let mut result = views[0].clone();
        for view in &views[1..] {
            let rest_equal = view.rank() == result.rank()
                && (0..view.rank()).all(|i| {
                    i == along || (view.axes[i] == result.axes[i] && view.dims()[i] == result.dims()[i])
                });
            let listed = |view: &View| match view.axes.get(along).map(Vec::as_slice) {
                Some([]) => Some(None),
                Some(&[axis]) => Some(Some(axis)),
                _ => None,
            };
            // An axis of size 1 is listed nowhere: it is the one that the other view lists, or a free one.
            let joined = match (listed(&result), listed(view)) {
                (Some(a), Some(b)) if rest_equal && along > 0 => a.or(b).or_else(|| unlisted(&result, along)),
                _ => None,
            };
            let Some(joined) = joined else {
                let found = format!("{} and {} along axis {along}", result.describe(), view.describe());
                return Err(node.unusable(found, "activations that differ along one axis of the network"));
            };
            let (id, shape) = self.push(
                node,
                Op::Concat { axis: joined as usize },
                &[result.node, view.node],
                NodeParams::default(),
            )?;
            let mut axes: Vec<&[Axis]> = result.axes.iter().map(Vec::as_slice).collect();
            let along_axes = [joined];
            axes[along] = &along_axes;
            result = View::new(id, shape, &axes);
        }
        Ok(result)
    }
}

/// What an axis of size 1 stands for: channels if no other axis does; else, by its place among the others,
/// height or width; `None` if all three are listed elsewhere.
fn unlisted(view: &View, along: usize) -> Option<Axis> {
    let free = |&axis: &Axis| !view.axes.iter().any(|listed| listed.contains(&axis));
    if free(&Axis::C) {
        return Some(Axis::C);
    }
    let channels = view.axes.iter().position(|listed| listed.contains(&Axis::C))?;
    let place = along - 1 - usize::from(channels < along);
    // A lone positional axis is the width, as for convolutions.
    let order = if view.rank() == 4 && place == 0 { [Axis::H, Axis::W] } else { [Axis::W, Axis::H] };
    order.into_iter().find(free)
}

/// A constant that holds one value, or one a channel, as one a channel.
fn per_channel(node: &OnnxNode<'_>, view: &View, constant: &Constant) -> Result<Vec<f32>> {
    let channels = view.shape.channels;
    let values = constant.to_f32();
    finite(node, &values)?;
    if values.len() == 1 && constant.dims.len() <= view.rank() {
        return Ok(vec![values[0]; channels]);
    }
    let wide: Vec<usize> = (0..constant.dims.len()).filter(|&i| constant.dims[i] != 1).collect();
    if let ([at], Some(skipped)) = (&wide[..], view.rank().checked_sub(constant.dims.len()))
        && view.axes[at + skipped] == [Axis::C]
        && constant.dims[*at] == channels
    {
        return Ok(values);
    }
    Err(node.unusable(
        format!("a constant of dimensions {:?} for {:?} ({})", constant.dims, view.dims(), view.describe()),
        "one value, or one a channel",
    ))
}

/// Equal but for the rounding of exporters.
fn close(a: f32, b: f32) -> bool {
    (a - b).abs() < 1e-4
}

/// Scale and shift of an affine map that is the same for all channels.
fn uniform(params: &NodeParams) -> Option<(f32, f32)> {
    let one = |tensor: &Option<ndarray::ArrayD<f32>>| {
        let values = tensor.as_ref()?;
        let first = *values.first()?;
        values.iter().all(|&v| v == first).then_some(first)
    };
    let fixed = one(&params.running_mean) == Some(0.0) && one(&params.running_var) == Some(1.0);
    fixed.then_some((one(&params.gamma)?, one(&params.beta)?))
}
