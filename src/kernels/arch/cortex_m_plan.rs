//! How the Cortex-M kernels cut a convolution into bands, and the scratch that takes. Compiled
//! everywhere, so that a host can compute a device's workspace.

use crate::artifact::{Layer, Tensor, Window};

/// i16 values of the scratch that a band may take; one pixel may take more.
const BAND: usize = 4096;

/// Pixels of a band, at most: more would save no weight expansion worth the memory.
pub(in crate::kernels) const PIXELS: usize = 64;

/// i32 accumulators of a band and two channels.
pub(in crate::kernels) const BAND_SUMS: usize = 2 * PIXELS;

/// A layer that would need more i16 values for one pixel is left to the reference.
const LIMIT: usize = 1 << 14;

/// How a convolution is cut; all lengths in i16 values.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernels) struct Plan {
    pub(in crate::kernels) x: [usize; 2],
    pub(in crate::kernels) y: [usize; 2],
    pub(in crate::kernels) channels: usize,
    pub(in crate::kernels) kernel: [usize; 2],
    pub(in crate::kernels) stride: [usize; 2],
    pub(in crate::kernels) dilation: [usize; 2],
    #[cfg_attr(not(target_os = "none"), expect(dead_code))]
    pub(in crate::kernels) pad: [usize; 2],
    /// Windows are read where they lie in the expanded rows.
    pub(in crate::kernels) direct: bool,
    /// Pieces that a window is read in, and their units of four values.
    pub(in crate::kernels) segments: usize,
    pub(in crate::kernels) units: usize,
    /// Output rows and columns of a band.
    pub(in crate::kernels) band: [usize; 2],
}

impl Plan {
    /// `None` where the reference serves better.
    #[inline(never)]
    pub(in crate::kernels) const fn new(x: &Tensor, y: &Tensor, window: &Window) -> Option<Self> {
        let channels = x.channels as usize;
        let [kernel, stride, dilation, pad] =
            [wide(window.kernel), wide(window.stride), wide(window.dilation), wide(window.pad)];
        // No checked model has zeros here. One whose flash flipped since may; the kernels' loops run at least
        // once.
        if channels == 0 || kernel[0] == 0 || kernel[1] == 0 || dilation[0] == 0 || dilation[1] == 0 {
            return None;
        }
        let direct = channels % 4 == 0 && dilation[1] == 1;
        // Windows are copied in words: a tap of a dilated line must be whole ones.
        if dilation[1] != 1 && channels % 2 != 0 {
            return None;
        }
        let line = kernel[1] * channels;
        let (segments, units) =
            if direct { (kernel[0], line / 4) } else { (1, (kernel[0] * line).div_ceil(4)) };
        let (x, y) = ([x.height as usize, x.width as usize], [y.height as usize, y.width as usize]);
        let mut plan =
            Self { x, y, channels, kernel, stride, dilation, pad, direct, segments, units, band: [1, 1] };
        let whole = kernel[0] == 1 && kernel[1] == 1 && stride[0] == 1 && stride[1] == 1;
        if whole && pad[0] == 0 && pad[1] == 0 {
            // One long row: no pixel without a neighbour.
            plan.x = [1, x[0] * x[1]];
            plan.y = plan.x;
        }
        if !plan.fits(LIMIT) {
            return None;
        }
        while plan.band[1] < plan.y[1] && plan.band[1] < PIXELS {
            plan.band[1] += 1;
            if !plan.fits(BAND) {
                plan.band[1] -= 1;
                return Some(plan);
            }
        }
        while plan.band[1] == plan.y[1]
            && plan.band[0] < plan.y[0]
            && (plan.band[0] + 1) * plan.band[1] <= PIXELS
        {
            plan.band[0] += 1;
            if !plan.fits(BAND) {
                plan.band[0] -= 1;
                break;
            }
        }
        Some(plan)
    }

    /// Whether a band has at most so many values.
    const fn fits(&self, most: usize) -> bool {
        matches!(self.band_values(), Some(values) if values <= most)
    }

    /// Input rows or columns under `outputs` neighbouring outputs.
    pub(in crate::kernels) const fn span(&self, axis: usize, outputs: usize) -> Option<usize> {
        let Some(reach) = (self.kernel[axis] - 1).checked_mul(self.dilation[axis]) else { return None };
        let Some(steps) = (outputs - 1).checked_mul(self.stride[axis]) else { return None };
        let Some(span) = steps.checked_add(reach) else { return None };
        span.checked_add(1)
    }

    pub(in crate::kernels) const fn row_values(&self) -> Option<usize> {
        match self.span(1, self.band[1]) {
            Some(span) => span.checked_mul(self.channels),
            None => None,
        }
    }

    /// Expanded input rows; four values behind them may be read, or copied with the last line.
    pub(in crate::kernels) const fn rows_values(&self) -> Option<usize> {
        let (Some(rows), Some(row)) = (self.span(0, self.band[0]), self.row_values()) else { return None };
        let Some(values) = rows.checked_mul(row) else { return None };
        let Some(values) = values.checked_add(4) else { return None };
        values.checked_next_multiple_of(4)
    }

    pub(in crate::kernels) const fn patches_values(&self) -> usize {
        if self.direct { 0 } else { self.band[0] * self.band[1] * self.units * 4 + 4 }
    }

    pub(in crate::kernels) const fn band_values(&self) -> Option<usize> {
        match self.rows_values() {
            Some(rows) => rows.checked_add(self.patches_values()),
            None => None,
        }
    }

    pub(in crate::kernels) const fn weights_values(&self) -> usize {
        self.segments * self.units * 8
    }
}

const fn wide([a, b]: [u16; 2]) -> [usize; 2] {
    [a as usize, b as usize]
}

/// Output rows of a depthwise band, at most.
pub(in crate::kernels) const DEPTHWISE_ROWS: usize = 16;

/// Columns of a depthwise plane; even.
pub(in crate::kernels) const COLUMNS: usize = 32;

/// Planes side by side: one row of four channels.
pub(in crate::kernels) const PLANES: usize = 4;

/// Stride and output rows of a depthwise band; `None` for a layer that is left to the reference.
pub(in crate::kernels) const fn depthwise(x: &Tensor, y: &Tensor, window: &Window) -> Option<(usize, usize)> {
    let (kernel, stride, dilation) = (window.kernel, window.stride[0], window.dilation);
    let square = kernel[0] == 3 && kernel[1] == 3 && stride == window.stride[1];
    let dense = dilation[0] == 1 && dilation[1] == 1 && (stride == 1 || stride == 2);
    if !square || !dense || x.channels % 4 != 0 {
        return None;
    }
    let rows = if (y.height as usize) < DEPTHWISE_ROWS { y.height as usize } else { DEPTHWISE_ROWS };
    Some((stride as usize, rows))
}

/// Whether bands serve a convolution's shape. Others are left to slow code for any shape.
#[cfg_attr(not(target_os = "none"), expect(dead_code))]
pub(in crate::kernels) const fn serves(layer: &Layer) -> bool {
    match layer {
        Layer::Conv2d { input, output, window, .. } => Plan::new(input, output, window).is_some(),
        Layer::DepthwiseConv2d { input, output, window, .. } => depthwise(input, output, window).is_some(),
        _ => true,
    }
}

/// i16 values of scratch; 0 for a layer that is left to the reference.
pub(in crate::kernels) fn scratch_values(layer: &Layer) -> usize {
    // Two more everywhere: the scratch is aligned to its own values only, the kernels' words are not.
    match layer {
        // Any convolution may be the Bayesian one, which keeps the sums of a band of noise and of mean.
        Layer::Conv2d { input, output, window, .. } => Plan::new(input, output, window)
            .and_then(|plan| {
                plan.weights_values().checked_add(plan.band_values()?)?.checked_add(2 + 4 * BAND_SUMS)
            })
            .unwrap_or(0),
        Layer::DepthwiseConv2d { input, output, window, .. } => depthwise(input, output, window)
            // One more row: an odd pixel has a neighbour that reads, though nobody keeps its result.
            .map_or(0, |(stride, rows)| ((rows - 1) * stride + 4) * COLUMNS * PLANES + 2),
        _ => 0,
    }
}
