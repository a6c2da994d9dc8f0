//! The direct convolution kernels on images of the graph: padding, packing, and which convolutions
//! they serve.

use super::im2col::Geometry;
use crate::kernels::direct::Walk;

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
        Some(Self { geometry: *geometry, walk, size })
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
