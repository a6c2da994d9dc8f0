//! Where a window meets its input on one axis.

use crate::artifact::Window;

/// First input element of a window and the window elements `lo..hi` that are no padding, on one axis.
#[inline(always)]
pub(crate) fn axis(window: &Window, axis: usize, at: usize, size: usize) -> (isize, usize, usize) {
    // The check excludes 0; the compiler does not know it.
    let dilation = isize::from_ne(window.dilation[axis].max(1));
    let start = at as isize * isize::from_ne(window.stride[axis]) - isize::from_ne(window.pad[axis]);
    let kernel = usize::from(window.kernel[axis]);
    let before = |limit: isize| {
        // Number of window elements at positions below `limit`.
        let distance = limit - start;
        if distance <= 0 { 0 } else { ((distance + dilation - 1) / dilation) as usize }
    };
    (start, before(0).min(kernel), before(size as isize).min(kernel))
}

/// Lossless `u16` to `isize`; `From` is missing because `isize` may be 16 bits wide elsewhere.
trait FromNarrow {
    fn from_ne(value: u16) -> Self;
}

impl FromNarrow for isize {
    #[inline(always)]
    fn from_ne(value: u16) -> Self {
        value as Self
    }
}
