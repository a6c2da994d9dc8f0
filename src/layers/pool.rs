//! Layers that move a window over each channel.

use super::{Frame, Step};
use crate::artifact::Layer;
use crate::kernels::Conv;

/// See [`Layer::MaxPool`].
pub(super) fn max(step: &Step<'_>, layer: &Layer, frame: &mut Frame<'_>) -> Option<()> {
    let Layer::MaxPool { input, output, window } = layer else { return None };
    let (x, y, _) = frame.ends(step.first, input, output)?;
    step.kernels.max_pool(&Conv { input: x, x: *input, y: *output, window: *window }, y);
    Some(())
}

/// See [`Layer::AvgPool`].
pub(super) fn average(step: &Step<'_>, layer: &Layer, frame: &mut Frame<'_>) -> Option<()> {
    let Layer::AvgPool { input, output, window, count_padding, clamp } = layer else { return None };
    let (x, y, _) = frame.ends(step.first, input, output)?;
    let pool = Conv { input: x, x: *input, y: *output, window: *window };
    step.kernels.avg_pool(&pool, *count_padding, *clamp, y);
    Some(())
}
