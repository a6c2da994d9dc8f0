//! The direct convolution kernels on images of the graph: padding, packing, and which convolutions
//! they serve.

use super::im2col::Geometry;
use crate::graph::Window;
use crate::kernels::direct::{self, Overlap, Walk};
use crate::kernels::simd::vectorize;

/// A convolution without groups and dilation, as a walk over an image that holds every window.
#[derive(Debug, Clone, Copy)]
pub(super) struct Direct {
    geometry: Geometry,
    pub walk: Walk,
    /// Rows and columns of the image that is walked.
    size: [usize; 2],
}

impl Direct {
    /// `None` for convolutions that have to go another way.
    pub(super) fn new(geometry: &Geometry) -> Option<Self> {
        let window = geometry.window;
        if geometry.groups != 1 || window.dilation != [1; 2] {
            return None;
        }
        let (input, output) = (geometry.input, geometry.output);
        let reach = |axis: usize, size: usize| (size - 1) * window.stride[axis] + window.kernel[axis];
        let mut size = [reach(0, output.height), reach(1, output.width)];
        if window.pad_begin == [0; 2] && size[0] <= input.height && size[1] <= input.width {
            size = [input.height, input.width];
        }
        let image_stride = size[1] * input.channels;
        let walk = Walk {
            rows: output.height,
            columns: output.width,
            channels: output.channels,
            taps: window.kernel[0],
            row: window.kernel[1] * input.channels,
            image_stride,
            row_step: window.stride[0] * image_stride,
            column_step: window.stride[1] * input.channels,
        };
        Some(Self { geometry: *geometry, walk: longest_rows(walk), size })
    }

    /// Floats of the padded image; 0 if the image itself will do.
    pub(super) fn scratch(&self) -> usize {
        let input = self.geometry.input;
        let is_whole = self.geometry.window.pad_begin == [0; 2] && self.size == [input.height, input.width];
        if is_whole { 0 } else { self.size[0] * self.size[1] * input.channels }
    }

    /// The image that holds every window: `image` itself, or its padded copy in `scratch`, which has
    /// the length that [`Self::scratch`] says.
    pub(super) fn image<'a>(&self, image: &'a [f32], scratch: &'a mut [f32]) -> &'a [f32] {
        if scratch.is_empty() {
            return image;
        }
        let input = self.geometry.input;
        let [top, left] = self.geometry.window.pad_begin;
        let (from, to) = (input.width * input.channels, self.walk.image_stride);
        let left = (left * input.channels).min(to);
        let len = from.min(to - left);
        for (row, target) in scratch.chunks_exact_mut(to).enumerate() {
            let source = row.checked_sub(top).filter(|row| *row < input.height);
            match source {
                Some(row) => {
                    target[..left].fill(0.0);
                    target[left..left + len].copy_from_slice(&image[row * from..row * from + len]);
                    target[left + len..].fill(0.0);
                }
                None => target.fill(0.0),
            }
        }
        scratch
    }

    /// Floats of one image's output gradient with padded channels; 0 if it has them as it is.
    pub(super) fn gradient_scratch(&self) -> usize {
        let padded = self.walk.padded_channels();
        if padded == self.walk.channels { 0 } else { self.walk.rows * self.walk.columns * padded }
    }

    /// The output gradient with padded channels: `dy` itself, or its copy in `scratch`.
    pub(super) fn gradient<'a>(&self, dy: &'a [f32], scratch: &'a mut [f32]) -> &'a [f32] {
        if scratch.is_empty() {
            return dy;
        }
        let channels = self.walk.channels;
        for (to, from) in scratch.chunks_exact_mut(self.walk.padded_channels()).zip(dy.chunks_exact(channels))
        {
            to[..channels].copy_from_slice(from);
            to[channels..].fill(0.0);
        }
        scratch
    }
}

/// The same walk with its positions in as few rows as they will go: tiles never span two rows.
const fn longest_rows(walk: Walk) -> Walk {
    if walk.columns == 1 {
        Walk { rows: 1, columns: walk.rows, column_step: walk.row_step, ..walk }
    } else if walk.taps == 1 && walk.row_step == walk.columns * walk.column_step {
        Walk { rows: 1, columns: walk.rows * walk.columns, ..walk }
    } else {
        walk
    }
}

/// The way from output gradients to input gradients.
pub(super) enum InputGradient {
    /// With stride 1 it is itself a convolution, by the flipped kernel.
    Flipped { direct: Direct, packed: Vec<f32> },
    /// Each position's gradient is added onto its window: any stride, and where the input has so few
    /// channels that a convolution that makes them would leave vectors empty.
    Overlapping { direct: Direct, overlap: Overlap, packed: Vec<f32> },
}

impl InputGradient {
    /// `None` for convolutions that have to go another way.
    pub(super) fn new(geometry: &Geometry, weight: &[f32]) -> Option<Self> {
        let mut packed = Vec::new();
        if let Some(flipped) = flipped(geometry).filter(fills_vectors).as_ref().and_then(Direct::new) {
            flipped.walk.pack(&flip_weight(geometry, weight), &mut packed);
            return Some(Self::Flipped { direct: flipped, packed });
        }
        let direct = Direct::new(geometry)?;
        let overlap = Overlap::new(&direct.walk);
        overlap.pack(&direct.walk, weight, &mut packed);
        Some(Self::Overlapping { direct, overlap, packed })
    }

    /// Floats of scratch.
    pub(super) fn scratch(&self) -> usize {
        match self {
            Self::Flipped { direct, .. } => direct.scratch(),
            Self::Overlapping { overlap, .. } => overlap.copies * overlap.copy_len,
        }
    }

    /// One image; adds to `dx` if `accumulate`.
    pub(super) fn image(&self, dy: &[f32], dx: &mut [f32], accumulate: bool, scratch: &mut [f32]) {
        match self {
            Self::Flipped { direct, packed } => {
                let image = direct.image(dy, scratch);
                direct::forward(&direct.walk, image, packed, None, dx, accumulate);
            }
            Self::Overlapping { direct, overlap, packed } => {
                scratch.fill(0.0);
                direct::input_gradient(&direct.walk, dy, packed, scratch);
                vectorize(|| direct.sum_copies(scratch, overlap.copy_len, dx, accumulate));
            }
        }
    }
}

impl Direct {
    /// Adds up copies of the padded image, padding cut off.
    #[inline(always)]
    fn sum_copies(&self, copies: &[f32], copy_len: usize, dx: &mut [f32], accumulate: bool) {
        let input = self.geometry.input;
        let [top, left] = self.geometry.window.pad_begin;
        let (row_len, stride) = (input.width * input.channels, self.walk.image_stride);
        for (row, dx) in dx.chunks_exact_mut(row_len).enumerate() {
            if !accumulate {
                dx.fill(0.0);
            }
            // What no window reaches is in no copy, and has no gradient.
            let start = (row + top) * stride + left * input.channels;
            let len = (stride - left * input.channels).min(row_len).min(copy_len.saturating_sub(start));
            for copy in copies.chunks_exact(copy_len).filter(|_| len > 0) {
                for (dx, value) in dx[..len].iter_mut().zip(&copy[start..start + len]) {
                    *dx += value;
                }
            }
        }
    }
}

/// Whether a convolution that makes these outputs would use at least three quarters of its vectors.
fn fills_vectors(geometry: &Geometry) -> bool {
    let channels = geometry.output.channels;
    4 * channels >= 3 * direct::padded(channels)
}

/// The convolution that maps output gradients to input gradients, where there is one.
fn flipped(geometry: &Geometry) -> Option<Geometry> {
    let Window { kernel, stride, dilation, pad_begin, .. } = geometry.window;
    if geometry.groups != 1 || stride != [1; 2] || dilation != [1; 2] {
        return None;
    }
    let (input, output) = (geometry.output, geometry.input);
    let mut window = Window { kernel, stride, dilation, pad_begin: [0; 2], pad_end: [0; 2] };
    for (axis, size) in [(0, output.height), (1, output.width)] {
        window.pad_begin[axis] = (kernel[axis] - 1).checked_sub(pad_begin[axis])?;
        let have = [input.height, input.width][axis] + window.pad_begin[axis];
        window.pad_end[axis] = (size + kernel[axis] - 1).checked_sub(have)?;
    }
    Some(Geometry { input, output, window, groups: 1 })
}

/// `[co, kh, kw, ci]` to `[ci, kh, kw, co]` with both window axes reversed.
fn flip_weight(geometry: &Geometry, weight: &[f32]) -> Vec<f32> {
    let (ci, co) = (geometry.input.channels, geometry.output.channels);
    let taps = geometry.window.kernel[0] * geometry.window.kernel[1];
    let mut flipped = vec![0.0; weight.len()];
    for (o, kernel) in weight.chunks_exact(taps * ci).enumerate() {
        for (tap, values) in kernel.chunks_exact(ci).enumerate() {
            for (i, value) in values.iter().enumerate() {
                flipped[(i * taps + taps - 1 - tap) * co + o] = *value;
            }
        }
    }
    flipped
}
