//! What a window reads: derived padding, and whether it always reads something.

use super::manifest::{Layer, Tensor, Window};
use super::names::Field;

/// What is wrong with a window, by field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowError {
    /// The field of the layer.
    pub field: Field,
    /// Its value.
    pub found: i64,
    /// Least allowed value.
    pub min: i64,
    /// Greatest allowed value.
    pub max: i64,
}

#[inline(never)]
fn range(field: Field, found: i64, min: i64, max: i64) -> Result<(), WindowError> {
    if (min..=max).contains(&found) { Ok(()) } else { Err(WindowError { field, found, min, max }) }
}

/// One axis of a window over an input.
#[derive(Debug, Clone, Copy)]
struct Axis {
    kernel: i64,
    stride: i64,
    dilation: i64,
    pad: i64,
    input: i64,
    output: i64,
}

impl Axis {
    /// Whether the window at output position `at` reads an element that is no padding.
    fn reads(&self, at: i64) -> bool {
        let start = at * self.stride - self.pad;
        // Above -2^16, as the padding; a 64-bit division would be a library's.
        let before = start.min(0).unsigned_abs() as u32;
        let first = i64::from(before.div_ceil((self.dilation as u32).max(1)));
        first < self.kernel && start + first * self.dilation < self.input
    }

    #[inline(never)]
    fn check(&self, fields: &Fields) -> Result<(), WindowError> {
        range(fields.kernel, self.kernel, 1, i64::from(u16::MAX))?;
        range(fields.stride, self.stride, 1, i64::from(u16::MAX))?;
        range(fields.dilation, self.dilation, 1, i64::from(u16::MAX))?;
        let reach = (self.kernel - 1) * self.dilation + 1;
        range(fields.pad, self.pad, 0, reach - 1)?;
        // Padding behind is shorter than the window; elements left over are fewer than a step.
        let last = (self.output - 1) * self.stride - self.pad;
        range(fields.output, last + reach - self.input, 1 - self.stride, reach - 1)?;
        match (0..self.output).find(|&at| !self.reads(at)) {
            Some(at) => Err(WindowError { field: fields.empty, found: at, min: 0, max: at - 1 }),
            None => Ok(()),
        }
    }
}

/// Names of one axis's fields.
struct Fields {
    kernel: Field,
    stride: Field,
    dilation: Field,
    pad: Field,
    output: Field,
    empty: Field,
}

const FIELDS: [Fields; 2] = [
    Fields {
        kernel: Field::WindowKernel0,
        stride: Field::WindowStride0,
        dilation: Field::WindowDilation0,
        pad: Field::WindowPad0,
        output: Field::PaddingBelow,
        empty: Field::RowOfPadding,
    },
    Fields {
        kernel: Field::WindowKernel1,
        stride: Field::WindowStride1,
        dilation: Field::WindowDilation1,
        pad: Field::WindowPad1,
        output: Field::PaddingRight,
        empty: Field::ColumnOfPadding,
    },
];

impl Window {
    /// Whether this window moves from `input` to `output` as both shapes say, with less padding than
    /// its own reach on each side and at least one real element under it everywhere.
    ///
    /// # Errors
    /// The first field that does not fit.
    pub fn check(&self, input: &Tensor, output: &Tensor) -> Result<(), WindowError> {
        let sizes = [(input.height, output.height), (input.width, output.width)];
        for (axis, (input, output)) in sizes.into_iter().enumerate() {
            let axis_values = Axis {
                kernel: self.kernel[axis].into(),
                stride: self.stride[axis].into(),
                dilation: self.dilation[axis].into(),
                pad: self.pad[axis].into(),
                input: input.into(),
                output: output.into(),
            };
            axis_values.check(&FIELDS[axis])?;
        }
        Ok(())
    }

    /// Window elements of one channel.
    #[must_use]
    pub fn area(&self) -> u32 {
        u32::from(self.kernel[0]) * u32::from(self.kernel[1])
    }
}

impl Layer {
    /// The layer's window, if it has one.
    #[must_use]
    pub const fn window(&self) -> Option<Window> {
        match *self {
            Self::Conv2d { window, .. }
            | Self::DepthwiseConv2d { window, .. }
            | Self::MaxPool { window, .. }
            | Self::AvgPool { window, .. } => Some(window),
            _ => None,
        }
    }
}

/// What the kernels of a device take for granted of a layer, without looking at a blob: tensors are not empty
/// and lie within the arena, windows move. A part of the check, for constants.
pub(super) const fn has_places(layer: &Layer, first: bool, arena: u32) -> bool {
    let (input, second, output) = layer.tensors();
    let bound = if first { u32::MAX } else { arena };
    if !lies_within(input, bound) {
        return false;
    }
    if let Some(second) = second
        && !lies_within(second, arena)
    {
        return false;
    }
    if let Some(output) = output
        && !lies_within(output, arena)
    {
        return false;
    }
    let Some(Window { kernel: [a, b], stride: [c, d], dilation: [e, f], .. }) = layer.window() else {
        return true;
    };
    a > 0 && b > 0 && c > 0 && d > 0 && e > 0 && f > 0
}

const fn lies_within(tensor: &Tensor, arena: u32) -> bool {
    !tensor.is_empty() && tensor.offset as u64 + tensor.len() <= arena as u64
}
