//! Max pooling of the windows of one output row, with a ReLU in front of it; and the way back.
//!
//! ```text
//! for each window, for each channel
//!     y = start                                    -infinity, or 0 with a ReLU
//!     for each tap: if x[tap] > y: y = x[tap], winner = the tap's number
//! ```
//!
//! The first of equal taps wins; where nothing is greater than the start there is no winner. The way back
//! gives each winner its window's gradient. `reference` is the specification, which every instruction set
//! equals bit for bit.

mod reference;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86;

/// Number of a window element, as small as the window allows.
pub trait Number: Copy + PartialEq + Default + Send + Sync + 'static {
    /// No element.
    const NONE: Self;

    /// Of this element.
    fn new(number: usize) -> Self;

    /// The numbers as bytes, if that is what they are.
    fn bytes(numbers: &[Self]) -> Option<&[u8]>;

    /// As [`Self::bytes`].
    fn bytes_mut(numbers: &mut [Self]) -> Option<&mut [u8]>;
}

impl Number for u8 {
    const NONE: Self = Self::MAX;

    #[inline(always)]
    fn new(number: usize) -> Self {
        number as Self
    }

    fn bytes(numbers: &[Self]) -> Option<&[u8]> {
        Some(numbers)
    }

    fn bytes_mut(numbers: &mut [Self]) -> Option<&mut [u8]> {
        Some(numbers)
    }
}

impl Number for u16 {
    const NONE: Self = Self::MAX;

    #[inline(always)]
    fn new(number: usize) -> Self {
        number as Self
    }

    fn bytes(_: &[Self]) -> Option<&[u8]> {
        None
    }

    fn bytes_mut(_: &mut [Self]) -> Option<&mut [u8]> {
        None
    }
}

/// An element of a window: its number, and where its first channel lies from the window's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tap {
    /// Counted along the rows of the whole window, whatever of it lies in the image.
    pub number: usize,
    /// Floats from the start.
    pub at: usize,
}

/// Windows side by side, alike in their taps; lengths and distances in floats.
#[derive(Debug, Clone, Copy)]
pub struct Windows<'a> {
    /// Elements of a window, by number.
    pub taps: &'a [Tap],
    /// Number of windows.
    pub count: usize,
    /// From the start of one window to that of the next.
    pub step: usize,
    /// Channels.
    pub channels: usize,
}

impl Windows<'_> {
    /// Floats that the last window reaches.
    fn reach(&self) -> usize {
        match self.taps.iter().map(|tap| tap.at).max() {
            Some(last) if self.count > 0 => (self.count - 1) * self.step + last + self.channels,
            _ => 0,
        }
    }

    fn check(&self, image: usize, values: usize, numbers: usize) {
        assert!(self.reach() <= image, "an image that holds {self:?}");
        assert_eq!([values, numbers], [self.count * self.channels; 2], "outputs of {self:?}");
    }
}

/// `y[count, channels]` and the number of each maximum, from `x`, which starts with the first window.
///
/// # Panics
/// If a slice is not of the windows' size: a mistake of the caller, never of its input data.
pub fn forward<W: Number>(windows: &Windows<'_>, relu: bool, x: &[f32], y: &mut [f32], winner: &mut [W]) {
    windows.check(x.len(), y.len(), winner.len());
    let start = if relu { 0.0 } else { f32::NEG_INFINITY };
    #[cfg(target_arch = "x86_64")]
    if let Some(winner) = W::bytes_mut(winner) {
        if x86::has_avx512() {
            // SAFETY: the features were detected in the line above; `check` has seen the sizes.
            return unsafe { x86::forward_avx512(windows, start, x, y, winner) };
        }
        if x86::has_avx2() {
            // SAFETY: as above.
            return unsafe { x86::forward_avx2(windows, start, x, y, winner) };
        }
    }
    reference::forward(windows, start, x, y, winner);
}

/// The gradient `dy[count, channels]` goes to the winners in `dx`, which starts with the first window:
/// added if `accumulate`, else written together with zeros for all who did not win, which is for windows
/// that do not overlap.
///
/// # Panics
/// As [`forward`].
pub fn backward<W: Number>(
    windows: &Windows<'_>,
    dy: &[f32],
    winner: &[W],
    dx: &mut [f32],
    accumulate: bool,
) {
    windows.check(dx.len(), dy.len(), winner.len());
    #[cfg(target_arch = "x86_64")]
    if let Some(winner) = W::bytes(winner) {
        if x86::has_avx512() {
            // SAFETY: the features were detected in the line above; `check` has seen the sizes.
            return unsafe { x86::backward_avx512(windows, dy, winner, dx, accumulate) };
        }
        if x86::has_avx2() {
            // SAFETY: as above.
            return unsafe { x86::backward_avx2(windows, dy, winner, dx, accumulate) };
        }
    }
    reference::backward(windows, dy, winner, dx, accumulate);
}
