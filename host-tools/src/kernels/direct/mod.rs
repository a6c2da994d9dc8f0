//! Convolution without a patch matrix: tiles of outputs held in registers, straight from the image.
//!
//! ```text
//! for each tile of P neighbouring output positions x N vectors of output channels
//!     sum[P][N] = bias
//!     for each kernel row, for each of its `row` values (columns times input channels)
//!         sum[p][n] += image[position p, value] * weight[value][n]
//! ```
//!
//! In NHWC the values that one kernel row meets lie side by side in the image, so two loops walk a
//! whole window. The image must hold every window: pad it first. The gradient of the weights is the
//! same walk with the sums over positions held in registers.

mod forward;
mod input_gradient;
#[cfg(test)]
mod tests;
mod vector;
mod weight_gradient;
#[cfg(target_arch = "x86_64")]
mod x86;

use forward::Forward;
use input_gradient::InputGradient;
use weight_gradient::WeightGradient;

/// The walk of one convolution over one image; lengths and distances in floats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Walk {
    /// Rows of the output.
    pub rows: usize,
    /// Columns of the output.
    pub columns: usize,
    /// Output channels.
    pub channels: usize,
    /// Rows of the kernel.
    pub taps: usize,
    /// Values of one kernel row: its columns times the input channels.
    pub row: usize,
    /// From one image row to the next.
    pub image_stride: usize,
    /// From the window of one output row to that of the next.
    pub row_step: usize,
    /// From the window of one output column to that of the next.
    pub column_step: usize,
}

impl Walk {
    /// Floats of the image that the last window reaches.
    fn reach(&self) -> usize {
        if self.rows == 0 || self.columns == 0 || self.taps == 0 {
            return 0;
        }
        (self.rows - 1) * self.row_step
            + (self.taps - 1) * self.image_stride
            + (self.columns - 1) * self.column_step
            + self.row
    }

    /// Channels with the padding that vectors need.
    #[must_use]
    pub fn padded_channels(&self) -> usize {
        padded(self.channels)
    }

    /// Floats of a packed kernel.
    #[must_use]
    pub fn packed_len(&self) -> usize {
        self.taps * self.row * self.padded_channels()
    }

    /// `[channels, taps * row]` to `[taps * row, padded channels]`; padding is zero.
    ///
    /// # Panics
    /// If `weight` is not of that size.
    pub fn pack(&self, weight: &[f32], packed: &mut Vec<f32>) {
        let (patch, padded) = (self.taps * self.row, self.padded_channels());
        assert_eq!(weight.len(), self.channels * patch, "a kernel of {self:?}");
        packed.clear();
        packed.resize(self.packed_len(), 0.0);
        for (channel, values) in weight.chunks_exact(patch.max(1)).enumerate() {
            for (value, slots) in values.iter().zip(packed.chunks_exact_mut(padded)) {
                slots[channel] = *value;
            }
        }
    }

    /// The inverse of [`Self::pack`].
    ///
    /// # Panics
    /// If `weight` or `packed` is not of that size.
    pub fn unpack(&self, packed: &[f32], weight: &mut [f32]) {
        let (patch, padded) = (self.taps * self.row, self.padded_channels());
        assert_eq!(weight.len(), self.channels * patch, "a kernel of {self:?}");
        assert_eq!(packed.len(), self.packed_len(), "a packed kernel of {self:?}");
        for (channel, values) in weight.chunks_exact_mut(patch.max(1)).enumerate() {
            for (value, slots) in values.iter_mut().zip(packed.chunks_exact(padded)) {
                *value = slots[channel];
            }
        }
    }
}

/// `channels` with the padding that the machine's vectors need.
#[must_use]
pub fn padded(channels: usize) -> usize {
    channels.next_multiple_of(Isa::best().lanes())
}

/// How the input gradient of a walk is laid out: see [`input_gradient`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overlap {
    /// Values of a kernel row with the padding that vectors need.
    pub padded: usize,
    /// Images whose sum is the gradient.
    pub copies: usize,
    /// Floats of one image: the walk's reach, and padding.
    pub copy_len: usize,
}

impl Overlap {
    /// For the machine's vectors.
    #[must_use]
    pub fn new(walk: &Walk) -> Self {
        Self::of(walk, Isa::best())
    }

    fn of(walk: &Walk, isa: Isa) -> Self {
        let padded = walk.row.next_multiple_of(isa.lanes());
        let copies = padded.div_ceil(walk.column_step.max(1)).min(walk.columns.max(1));
        Self { padded, copies, copy_len: walk.reach() + padded - walk.row }
    }

    /// `[channels, taps * row]` to `[taps, channels, padded]`; padding is zero.
    ///
    /// # Panics
    /// If `weight` is not of that size.
    pub fn pack(&self, walk: &Walk, weight: &[f32], packed: &mut Vec<f32>) {
        let (taps, row, channels) = (walk.taps, walk.row, walk.channels);
        assert_eq!(weight.len(), channels * taps * row, "a kernel of {walk:?}");
        packed.clear();
        packed.resize(taps * channels * self.padded, 0.0);
        for (i, values) in weight.chunks_exact(row.max(1)).enumerate() {
            let (channel, tap) = (i / taps, i % taps);
            packed[(tap * channels + channel) * self.padded..][..row].copy_from_slice(values);
        }
    }
}

/// Adds the gradient with respect to the image to `images`, `[copies, copy_len]`: the sum of the copies
/// is `sum over positions and channels of dy[rows, columns, channels] * packed`.
///
/// # Panics
/// As [`forward`].
pub fn input_gradient(walk: &Walk, dy: &[f32], packed: &[f32], images: &mut [f32]) {
    input_gradient_on(Isa::best(), walk, dy, packed, images);
}

/// `y[rows, columns, channels] = conv(image, packed) + bias`; adds to `y` if `accumulate`.
///
/// # Panics
/// If a slice is not of the walk's size: a mistake of the caller, never of its input data.
pub fn forward(
    walk: &Walk,
    image: &[f32],
    packed: &[f32],
    bias: Option<&[f32]>,
    y: &mut [f32],
    accumulate: bool,
) {
    forward_on(Isa::best(), walk, image, packed, bias, y, accumulate);
}

/// `dw[taps * row, padded channels] += sum over positions of image * dy`, where `dy` is `[rows,
/// columns, padded channels]`.
///
/// # Panics
/// As [`forward`].
pub fn weight_gradient(walk: &Walk, image: &[f32], dy: &[f32], dw: &mut [f32]) {
    weight_gradient_on(Isa::best(), walk, image, dy, dw);
}

/// Multiply-accumulates that `rounds` of a loop on registers alone made: the f32 limit of one core, by the
/// time that they take.
#[must_use]
pub fn peak_multiply_adds(rounds: u64) -> u64 {
    // SAFETY: the instruction set was detected by `Isa::best`.
    let (lanes, sum) = unsafe {
        match Isa::best() {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => (16, x86::peak_avx512(rounds)),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => (8, x86::peak_avx2(rounds)),
            Isa::Portable => (4, vector::peak::<[f32; 4]>(rounds)),
        }
    };
    std::hint::black_box(sum);
    rounds * vector::PEAK_SUMS as u64 * lanes
}

fn forward_on(
    isa: Isa,
    walk: &Walk,
    image: &[f32],
    packed: &[f32],
    bias: Option<&[f32]>,
    y: &mut [f32],
    accumulate: bool,
) {
    let padded = walk.channels.next_multiple_of(isa.lanes());
    assert!(walk.reach() <= image.len(), "an image that holds the windows of {walk:?}");
    assert_eq!(packed.len(), walk.taps * walk.row * padded, "a packed kernel of {walk:?}");
    assert_eq!(y.len(), walk.rows * walk.columns * walk.channels, "an output of {walk:?}");
    let mut start = [0.0; MAX_CHANNELS_ON_STACK];
    let mut large = Vec::new();
    let start = if padded <= MAX_CHANNELS_ON_STACK {
        &mut start[..padded]
    } else {
        large.resize(padded, 0.0);
        &mut large[..]
    };
    if let Some(bias) = bias {
        start[..walk.channels].copy_from_slice(bias);
    }
    let job = Forward { walk: *walk, image, packed, start, padded, accumulate };
    // SAFETY: the assertions above are what `Forward::run` requires; `isa` was detected by
    // `Isa::best`, or by the test that chose it.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => x86::forward_avx512(&job, y),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => x86::forward_avx2(&job, y),
            Isa::Portable => job.run::<[f32; 4], 8, 4>(y),
        }
    }
}

fn weight_gradient_on(isa: Isa, walk: &Walk, image: &[f32], dy: &[f32], dw: &mut [f32]) {
    let padded = walk.channels.next_multiple_of(isa.lanes());
    assert!(walk.reach() <= image.len(), "an image that holds the windows of {walk:?}");
    assert_eq!(dy.len(), walk.rows * walk.columns * padded, "an output gradient of {walk:?}");
    assert_eq!(dw.len(), walk.taps * walk.row * padded, "a packed kernel of {walk:?}");
    let job = WeightGradient { walk: *walk, image, dy, padded };
    // SAFETY: the assertions above are what `WeightGradient::run` requires; `isa` was detected by
    // `Isa::best`, or by the test that chose it.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => x86::weight_gradient_avx512(&job, dw),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => x86::weight_gradient_avx2(&job, dw),
            Isa::Portable => job.run::<[f32; 4], 8, 4>(dw),
        }
    }
}

fn input_gradient_on(isa: Isa, walk: &Walk, dy: &[f32], packed: &[f32], images: &mut [f32]) {
    let Overlap { padded, copies, copy_len } = Overlap::of(walk, isa);
    assert_eq!(dy.len(), walk.rows * walk.columns * walk.channels, "an output gradient of {walk:?}");
    assert_eq!(packed.len(), walk.taps * walk.channels * padded, "a packed kernel of {walk:?}");
    assert_eq!(images.len(), copies * copy_len, "the image copies of {walk:?}");
    let job = InputGradient { walk: *walk, dy, packed, padded, copies, copy_len };
    // SAFETY: the assertions above are what `InputGradient::run` requires (a copy is the walk's reach
    // and the padding of one row); `isa` was detected by `Isa::best`, or by the test that chose it.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => x86::input_gradient_avx512(&job, images),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => x86::input_gradient_avx2(&job, images),
            Isa::Portable => job.run::<[f32; 4], 8, 4>(images),
        }
    }
}

/// Biases of networks with no more channels than this need no heap.
const MAX_CHANNELS_ON_STACK: usize = 256;

/// Output positions whose part of the weight gradient is summed before the next kernel row: small
/// enough that their images and gradients stay in the nearest cache.
const POSITIONS_AT_ONCE: usize = 128;

/// Instruction sets with a wing of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Isa {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Portable,
}

impl Isa {
    /// The widest that this CPU has.
    fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if std::arch::is_x86_feature_detected!("avx512f") {
                return Self::Avx512;
            }
            if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
                return Self::Avx2;
            }
        }
        Self::Portable
    }

    /// Floats of one vector.
    const fn lanes(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => 16,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => 8,
            Self::Portable => 4,
        }
    }
}
