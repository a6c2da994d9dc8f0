//! How the Cortex-M kernels cut a convolution into bands, and the scratch that takes. Compiled
//! everywhere, so that a host can compute a device's workspace.

use crate::artifact::{Layer, Tensor, Window};

/// i16 values of the scratch that a band may take; one pixel may take more.
const BAND: usize = 4096;

/// Pixels of a band, at most: more would save no weight expansion worth the memory.
pub(in crate::kernels) const PIXELS: usize = 64;

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
    pub(in crate::kernels) fn new(x: &Tensor, y: &Tensor, window: &Window) -> Option<Self> {
        let channels = usize::from(x.channels);
        let [kernel, stride, dilation] =
            [window.kernel, window.stride, window.dilation].map(|a| a.map(usize::from));
        // No checked model has zeros here. One whose flash flipped since may; the kernels' loops run at least
        // once, and no product below may wrap.
        (!kernel.contains(&0) && !dilation.contains(&0)).then_some(())?;
        let direct = channels.is_multiple_of(4) && dilation[1] == 1;
        // Windows are copied in words: a tap of a dilated line must be whole ones.
        (dilation[1] == 1 || channels.is_multiple_of(2)).then_some(())?;
        let line = kernel[1].checked_mul(channels)?;
        kernel[0].checked_mul(line)?.checked_mul(8 * PIXELS)?;
        let (segments, units) =
            if direct { (kernel[0], line / 4) } else { (1, (kernel[0] * line).div_ceil(4)) };
        let mut plan = Self {
            x: [x.height.into(), x.width.into()],
            y: [y.height.into(), y.width.into()],
            channels,
            kernel,
            stride,
            dilation,
            pad: window.pad.map(usize::from),
            direct,
            segments,
            units,
            band: [1, 1],
        };
        if kernel == [1, 1] && stride == [1, 1] && plan.pad == [0, 0] {
            // One long row: no pixel without a neighbour.
            plan.x = [1, plan.x[0] * plan.x[1]];
            plan.y = plan.x;
        }
        (plan.band_values()? <= LIMIT).then_some(())?;
        let fits = |plan: &Self| plan.band_values().is_some_and(|values| values <= BAND);
        while plan.band[1] < plan.y[1].min(PIXELS) {
            plan.band[1] += 1;
            if !fits(&plan) {
                plan.band[1] -= 1;
                return Some(plan);
            }
        }
        while plan.band[1] == plan.y[1]
            && plan.band[0] < plan.y[0]
            && (plan.band[0] + 1) * plan.band[1] <= PIXELS
        {
            plan.band[0] += 1;
            if !fits(&plan) {
                plan.band[0] -= 1;
                break;
            }
        }
        Some(plan)
    }

    /// Input rows or columns under `outputs` neighbouring outputs.
    pub(in crate::kernels) fn span(&self, axis: usize, outputs: usize) -> Option<usize> {
        let reach = (self.kernel[axis] - 1).checked_mul(self.dilation[axis])?.checked_add(1)?;
        (outputs - 1).checked_mul(self.stride[axis])?.checked_add(reach)
    }

    pub(in crate::kernels) fn row_values(&self) -> Option<usize> {
        self.span(1, self.band[1])?.checked_mul(self.channels)
    }

    /// Expanded input rows; four values behind them may be read, or copied with the last line.
    pub(in crate::kernels) fn rows_values(&self) -> Option<usize> {
        self.span(0, self.band[0])?
            .checked_mul(self.row_values()?)?
            .checked_add(4)?
            .checked_next_multiple_of(4)
    }

    pub(in crate::kernels) fn patches_values(&self) -> usize {
        if self.direct { 0 } else { self.band[0] * self.band[1] * self.units * 4 + 4 }
    }

    pub(in crate::kernels) fn band_values(&self) -> Option<usize> {
        self.rows_values()?.checked_add(self.patches_values())
    }

    pub(in crate::kernels) fn weights_values(&self) -> usize {
        self.segments * self.units * 8
    }
}

/// Output rows of a depthwise band, at most.
pub(in crate::kernels) const DEPTHWISE_ROWS: usize = 16;

/// Columns of a depthwise plane; even.
pub(in crate::kernels) const COLUMNS: usize = 32;

/// Planes side by side: one row of four channels.
pub(in crate::kernels) const PLANES: usize = 4;

/// Stride and output rows of a depthwise band; `None` for a layer that is left to the reference.
pub(in crate::kernels) fn depthwise(x: &Tensor, y: &Tensor, window: &Window) -> Option<(usize, usize)> {
    let square = window.kernel == [3, 3] && window.dilation == [1, 1] && window.stride[0] == window.stride[1];
    let runs = square && matches!(window.stride[0], 1 | 2) && x.channels.is_multiple_of(4);
    runs.then(|| (usize::from(window.stride[0]), usize::from(y.height).min(DEPTHWISE_ROWS)))
}

/// i16 values of scratch; 0 for a layer that is left to the reference.
pub(in crate::kernels) fn scratch_values(layer: &Layer) -> usize {
    // Two more everywhere: the scratch is aligned to its own values only, the kernels' words are not.
    match layer {
        Layer::Conv2d { input, output, window, .. } => Plan::new(input, output, window)
            .and_then(|plan| plan.weights_values().checked_add(plan.band_values()?)?.checked_add(2))
            .unwrap_or(0),
        Layer::DepthwiseConv2d { input, output, window, .. } => depthwise(input, output, window)
            // One more row: an odd pixel has a neighbour that reads, though nobody keeps its result.
            .map_or(0, |(stride, rows)| ((rows - 1) * stride + 4) * COLUMNS * PLANES + 2),
        _ => 0,
    }
}
