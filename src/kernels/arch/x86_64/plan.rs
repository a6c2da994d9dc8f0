//! Sizes that follow from a layer's shape: windows as runs of bytes, tiles, scratch.

use super::simd::Simd;
use crate::artifact::{Layer, Tensor, Window};

/// A dot product over a window, as runs of neighbouring input bytes, each padded to groups of four.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Runs {
    /// Runs below each other, and beside each other.
    pub(super) count: [usize; 2],
    /// Bytes of one run.
    pub(super) bytes: usize,
}

impl Runs {
    /// Neighbouring columns are one run unless the window is dilated.
    pub(super) fn of_conv(channels: usize, window: &Window) -> Self {
        let [height, width] = window.kernel.map(usize::from);
        if window.dilation[1] == 1 {
            Self { count: [height, 1], bytes: width * channels }
        } else {
            Self { count: [height, width], bytes: channels }
        }
    }

    /// Groups of four in one run.
    pub(super) fn groups(&self) -> usize {
        self.bytes.div_ceil(4)
    }

    /// Groups of four in all runs.
    pub(super) fn all_groups(&self) -> usize {
        self.count[0].saturating_mul(self.count[1]).saturating_mul(self.groups())
    }
}

/// Vectors of output channels in a tile: a power of two, so that nothing is computed in vain.
pub(super) fn vectors<S: Simd>(channels: usize) -> usize {
    let count = channels.div_ceil(S::LANES);
    let greatest = if count.is_multiple_of(4) { 4 } else { 2 - count % 2 };
    greatest.min(S::MAX_VECTORS)
}

/// Most taps of a depthwise window.
pub(super) const TAPS: usize = 64;

/// How a depthwise kernel cuts its rows into blocks of `4 * LANES` values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Blocks {
    /// Blocks after which the channels repeat.
    pub(super) period: usize,
    /// Blocks cross pixels; otherwise every pixel has blocks of its own.
    pub(super) flat: bool,
}

impl Blocks {
    pub(super) fn new<S: Simd>(channels: usize) -> Self {
        let block = 4 * S::LANES;
        let flat = block.is_multiple_of(channels) || channels.is_multiple_of(block);
        Self { period: channels.div_ceil(block), flat }
    }
}

/// How a depthwise kernel groups its taps by four, and how many output rows it makes at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taps {
    /// Any four taps.
    Any {
        /// Taps of the window.
        count: usize,
    },
    /// Three rows that step by one: the four rows below each other that two output rows read, column
    /// by column, with the weights of the upper output row and then those of the lower one.
    Pairs {
        /// Columns of the window.
        columns: usize,
    },
}

impl Taps {
    /// `None` if there are too many.
    pub(super) fn new(window: &Window) -> Option<Self> {
        let count = window.area() as usize;
        if count > TAPS {
            return None;
        }
        let pairs = window.kernel[0] == 3 && window.stride[0] == 1 && window.dilation[0] == 1;
        let columns = window.kernel[1].into();
        Some(if pairs { Self::Pairs { columns } } else { Self::Any { count } })
    }

    /// Groups of four weights of a channel.
    pub(super) fn groups(self) -> usize {
        match self {
            Self::Any { count } => count.div_ceil(4),
            Self::Pairs { columns } => 2 * columns,
        }
    }

    /// The tap that place `k` of a group multiplies; `None` for a weight of zero.
    pub(super) fn tap(self, group: usize, k: usize) -> Option<usize> {
        match self {
            Self::Any { count } => Some(4 * group + k).filter(|&tap| tap < count),
            Self::Pairs { columns } => {
                let row = k.checked_sub(group % 2).filter(|&row| row < 3)?;
                Some(row * columns + group / 2)
            }
        }
    }
}

/// The input of a convolution with its padding written out, split by column into as many planes as
/// the step between windows where `phases > 1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Staged {
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Planes: columns `i`, `i + phases`, ... of the padded input are neighbours in plane `i`.
    pub(super) phases: usize,
    pub(super) channels: usize,
}

/// Bytes behind the staged input that vectors may reach.
const SLACK: usize = 128;

impl Staged {
    pub(super) fn new(x: &Tensor, y: &Tensor, window: &Window, phases: usize) -> Self {
        let reach = |axis: usize, outputs: u16| {
            let [kernel, stride, dilation] =
                [window.kernel, window.stride, window.dilation].map(|pair| usize::from(pair[axis]));
            usize::from(outputs).saturating_sub(1) * stride + kernel.saturating_sub(1) * dilation + 1
        };
        let phases = phases.max(1);
        Self {
            rows: reach(0, y.height),
            columns: reach(1, y.width).div_ceil(phases),
            phases,
            channels: x.channels.into(),
        }
    }

    /// Bytes of one row of one plane.
    pub(super) fn row_bytes(&self) -> usize {
        self.columns.saturating_mul(self.channels)
    }

    /// Bytes of one plane.
    pub(super) fn plane_bytes(&self) -> usize {
        self.rows.saturating_mul(self.row_bytes())
    }

    /// All of it. No shape makes this less than what the kernels read: sums saturate.
    pub(super) fn bytes(&self) -> usize {
        self.phases.saturating_mul(self.plane_bytes()).saturating_add(SLACK)
    }
}

/// `i16` of scratch that a layer needs.
pub(super) fn scratch_values(layer: &Layer, images: usize) -> usize {
    let bytes = match layer {
        Layer::Conv2d { input, output, window, .. } => Staged::new(input, output, window, 1).bytes(),
        Layer::DepthwiseConv2d { input, output, window, .. } => {
            Staged::new(input, output, window, window.stride[1].into()).bytes()
        }
        Layer::Dense { input, .. } | Layer::DenseOutput { input, .. } => {
            (input.len() as usize).next_multiple_of(4).saturating_mul(images)
        }
        _ => 0,
    };
    bytes.div_ceil(2)
}
