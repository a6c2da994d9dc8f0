//! Windows, pooling and padding.

use super::fold::{axes_of, ints};
use super::importer::{Importer, Padding, Value};
use super::layout::{Axis, View};
use super::node::{OnnxNode, axis};
use crate::error::Result;
use crate::graph::{NodeParams, Op, Shape, Window};

/// A kernel over the positional axes of an ONNX tensor.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spatial<'v> {
    axes: &'v [Axis],
    kernel: Vec<usize>,
}

impl<'v> Spatial<'v> {
    pub(super) fn of_kernel(axes: &'v [Axis], kernel: &[usize]) -> Self {
        Self { axes, kernel: kernel.to_vec() }
    }

    fn of_attribute(node: &OnnxNode<'_>, axes: &'v [Axis]) -> Result<Self> {
        let kernel = match axes.len() {
            1 => node.sizes::<1>("kernel_shape", 0)?.to_vec(),
            _ => node.sizes::<2>("kernel_shape", 0)?.to_vec(),
        };
        Ok(Self { axes, kernel })
    }

    /// The window of our graph; `padding` zeros are there already.
    pub(super) fn window(&self, node: &OnnxNode<'_>, input: Shape, padding: Padding) -> Result<Window> {
        let n = self.axes.len();
        let list = |name: &str, default: usize| -> Result<Vec<usize>> {
            Ok(if n == 1 {
                node.sizes::<1>(name, default)?.to_vec()
            } else {
                node.sizes::<2>(name, default)?.to_vec()
            })
        };
        let (strides, dilations) = (list("strides", 1)?, list("dilations", 1)?);
        let pads =
            if n == 1 { node.sizes::<2>("pads", 0)?.to_vec() } else { node.sizes::<4>("pads", 0)?.to_vec() };
        let auto = node.text("auto_pad").unwrap_or("NOTSET");
        let mut window = Window { pad_begin: padding.begin, pad_end: padding.end, ..Window::valid(1, 1) };
        for (i, &along) in self.axes.iter().enumerate() {
            let at = usize::from(along == Axis::W);
            let (kernel, stride, dilation) = (self.kernel[i], strides[i], dilations[i]);
            if kernel == 0 || kernel > 1 << 15 || stride == 0 || dilation == 0 {
                let found = format!("kernel {kernel}, stride {stride}, dilation {dilation}");
                return Err(node.unusable(found, "sizes of 1 to 32768"));
            }
            let size = along.size(input) + padding.begin[at] + padding.end[at];
            let [begin, end] = match auto {
                "NOTSET" | "" => [pads[i], pads[n + i]],
                "VALID" => [0, 0],
                "SAME_UPPER" | "SAME_LOWER" => {
                    let reach = (kernel - 1) * dilation + 1;
                    let total = ((size.div_ceil(stride) - 1) * stride + reach).saturating_sub(size);
                    let less = total / 2;
                    if auto == "SAME_UPPER" { [less, total - less] } else { [total - less, less] }
                }
                other => return Err(node.unusable(format!("auto_pad {other:?}"), "a known kind of padding")),
            };
            window.kernel[at] = kernel;
            window.stride[at] = stride;
            window.dilation[at] = dilation;
            window.pad_begin[at] += begin;
            window.pad_end[at] += end;
        }
        Ok(window)
    }
}

/// Extends the padding so that the last, cut-off window counts too.
fn ceil_mode(window: &mut Window, input: Shape) -> bool {
    let mut extended = false;
    for (axis, size) in [input.height, input.width].into_iter().enumerate() {
        let reach = (window.kernel[axis] - 1) * window.dilation[axis] + 1;
        let padded = size + window.pad_begin[axis] + window.pad_end[axis];
        if padded < reach {
            continue;
        }
        let stride = window.stride[axis];
        let mut steps = (padded - reach).div_ceil(stride);
        if steps * stride >= size + window.pad_begin[axis] {
            steps -= 1; // such a window would see nothing but padding
        }
        let missing = (steps * stride + reach).saturating_sub(padded);
        window.pad_end[axis] += missing;
        extended |= missing > 0;
    }
    extended
}

impl<'a> Importer<'a> {
    pub(super) fn max_pool(&mut self, node: &OnnxNode<'a>) -> Result<View> {
        let view = self.view(node, 0)?;
        let axes = view.spatial(node)?;
        if node.op() == "GlobalMaxPool" {
            return self.pooled(node, &view, &axes, Op::MaxPool(whole(view.shape)));
        }
        if node.proto.output.iter().skip(1).any(|name| self.readers.contains_key(name.as_str())) {
            return Err(node.unusable("an output of indices that is read", "the maximum alone"));
        }
        let mut window = Spatial::of_attribute(node, &axes)?.window(node, view.shape, Padding::default())?;
        if node.int("ceil_mode", 0) != 0 {
            ceil_mode(&mut window, view.shape);
        }
        self.pooled(node, &view, &axes, Op::MaxPool(window))
    }

    pub(super) fn average_pool(&mut self, node: &OnnxNode<'a>) -> Result<View> {
        let count_padding = node.int("count_include_pad", 0) != 0;
        let (view, padding) = match self.input(node, 0)? {
            // Zeros of a Pad node always count, which those of the pool do only on request, and what
            // ceil_mode adds never: one count for all of them is right where there are no others.
            Value::Padded(view, padding) if pads_nothing(node) => (view, padding),
            _ => (self.view(node, 0)?, Padding::default()),
        };
        let axes = view.spatial(node)?;
        let window = Spatial::of_attribute(node, &axes)?.window(node, view.shape, padding)?;
        let count_padding = count_padding || padding != Padding::default();
        let (view, mut window) =
            if count_padding { self.narrow_padding(node, view, window)? } else { (view, window) };
        if node.int("ceil_mode", 0) != 0 && ceil_mode(&mut window, view.shape) && count_padding {
            return Err(node.unusable("ceil_mode with padding that counts", "one of the two"));
        }
        self.pooled(node, &view, &axes, Op::AvgPool { window, count_padding })
    }

    fn pooled(&mut self, node: &OnnxNode<'a>, view: &View, axes: &[Axis], op: Op) -> Result<View> {
        let (id, shape) = self.push(node, op, &[view.node], NodeParams::default())?;
        Ok(View::image(id, shape, axes))
    }

    /// GlobalAveragePool, and ReduceMean over all positions.
    pub(super) fn mean(&mut self, node: &OnnxNode<'a>) -> Result<View> {
        let view = self.view(node, 0)?;
        let rank = view.rank();
        let (reduced, keep) = if node.op() == "GlobalAveragePool" {
            view.spatial(node)?;
            ((2..rank).collect(), true)
        } else {
            let given = self.constant(node, 1)?;
            let axes = axes_of(node, given.as_deref())?.unwrap_or_default();
            let axes: Vec<usize> = axes.iter().map(|&a| axis(node, a, rank)).collect::<Result<_>>()?;
            (axes, node.int("keepdims", 1) != 0)
        };
        let positions: Vec<Axis> = reduced.iter().flat_map(|&i: &usize| view.axes[i].clone()).collect();
        let all = [Axis::H, Axis::W].iter().all(|a| a.size(view.shape) == 1 || positions.contains(a));
        if positions.contains(&Axis::C) || !all || reduced.contains(&0) || reduced.is_empty() {
            let found = format!("a mean over axes {reduced:?} of {}", view.describe());
            return Err(node.unusable(found, "a mean over all positions and nothing else"));
        }
        let (id, shape) = self.push(node, Op::GlobalAvgPool, &[view.node], NodeParams::default())?;
        let mut result = view.of(id, shape);
        if !keep {
            let mut index = 0;
            result.axes.retain(|_| {
                index += 1;
                !reduced.contains(&(index - 1))
            });
        }
        Ok(result)
    }

    /// Zeros around rows and columns, left to the reader.
    pub(super) fn padding(&mut self, node: &OnnxNode<'a>) -> Result<Value> {
        let view = self.view(node, 0)?;
        let mode = node.text("mode").unwrap_or("constant");
        let value = match self.constant(node, 2)? {
            Some(value) => value.scalar(),
            None => Some(node.float("value", 0.0)),
        };
        if mode != "constant" || value != Some(0.0) {
            let found = format!("mode {mode:?} with value {value:?}");
            return Err(node.unusable(found, "constant zeros"));
        }
        let given = self.constant(node, 1)?;
        let pads: Vec<i64> = match (&given, node.ints("pads")) {
            (Some(given), _) => ints(node, given)?.to_vec(),
            (None, Some(pads)) => pads.to_vec(),
            (None, None) => return Err(node.unusable("no pads", "pads")),
        };
        let rank = view.rank();
        let axes: Vec<usize> = match self.constant(node, 3)? {
            Some(axes) => ints(node, &axes)?.iter().map(|&a| axis(node, a, rank)).collect::<Result<_>>()?,
            None => (0..rank).collect(),
        };
        if pads.len() != 2 * axes.len() {
            return Err(node.unusable(format!("{} pads", pads.len()), 2 * axes.len()));
        }
        let spatial = view.spatial(node)?;
        let mut padding = Padding::default();
        for (i, &along) in axes.iter().enumerate() {
            let pair =
                [pads[i], pads[axes.len() + i]].map(|p| usize::try_from(p).ok().filter(|&p| p <= 1 << 15));
            let [Some(begin), Some(end)] = pair else {
                return Err(node.unusable(format!("pads {pads:?}"), "0 to 32768"));
            };
            match along.checked_sub(2).and_then(|i| spatial.get(i)) {
                Some(&along) => {
                    let at = usize::from(along == Axis::W);
                    padding.begin[at] = begin;
                    padding.end[at] = end;
                }
                None if begin == 0 && end == 0 => {}
                None => return Err(node.unusable(format!("padding of axis {along}"), "padding of positions")),
            }
        }
        Ok(Value::Padded(view, padding))
    }

    /// A window's padding is shorter than the window; more of it becomes a node.
    pub(super) fn narrow_padding(
        &mut self,
        node: &OnnxNode<'a>,
        view: View,
        window: Window,
    ) -> Result<(View, Window)> {
        let reach = |axis: usize| (window.kernel[axis] - 1) * window.dilation[axis] + 1;
        let narrow = |axis: usize| window.pad_begin[axis].max(window.pad_end[axis]) < reach(axis);
        if narrow(0) && narrow(1) {
            return Ok((view, window));
        }
        let padding = Padding { begin: window.pad_begin, end: window.pad_end };
        let view = self.pad(node, &view, padding)?;
        Ok((view, Window { pad_begin: [0; 2], pad_end: [0; 2], ..window }))
    }

    /// Zeros around an activation as a node of their own.
    pub(super) fn pad(&mut self, node: &OnnxNode<'a>, view: &View, padding: Padding) -> Result<View> {
        let axes = view.spatial(node)?;
        let Padding { begin, end } = padding;
        let (id, shape) = self.push(node, Op::Pad { begin, end }, &[view.node], NodeParams::default())?;
        Ok(View::image(id, shape, &axes))
    }
}

/// Whether a pool's windows end within its input, by its attributes alone.
fn pads_nothing(node: &OnnxNode<'_>) -> bool {
    matches!(node.text("auto_pad"), None | Some("NOTSET" | ""))
        && node.ints("pads").is_none_or(|pads| pads.iter().all(|&pad| pad == 0))
        && node.int("ceil_mode", 0) == 0
}

const fn whole(shape: Shape) -> Window {
    Window { kernel: [shape.height, shape.width], ..Window::valid(1, 1) }
}
