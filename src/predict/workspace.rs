//! The caller's memory, cut into typed buffers.

use super::config::{AdaptiveNeed, Config, ConfigError, Draws, Samples};
use super::steps::WORDS;
use crate::artifact::{Layer, Manifest, Model, NoiseKind};
use crate::bayes::FirstLayer;
use crate::kernels::{Kernels, PACK, STREAMS};

/// Every buffer starts at a multiple of this many bytes,
const ALIGNMENT: usize = crate::artifact::ALIGNMENT;

/// or of this many, a cache line, if kernels pack weights.
const LINE: usize = 64;

/// Buffers of a workspace.
const SECTIONS: usize = 16;

/// Number of elements of every buffer, and the loop structure they follow from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    /// Passes of a prediction.
    pub(super) passes: u16,
    /// Passes side by side; at most `passes`.
    pub(super) tile: u16,
    /// Streams of noise of a prediction; 0 without noise.
    pub(super) streams: u16,
    input: usize,
    acc_mean: usize,
    noise_scale: usize,
    /// int8 noise weights of one stream.
    pub(super) noise_weights: usize,
    /// i16 noise of the outputs of one stream.
    pub(super) noise_outputs: usize,
    /// Streams kept in memory.
    stored: usize,
    /// Bytes of packed weights of all layers; 0 if they are read in place.
    packed: usize,
    /// Layers kept as words; 0 if they are decoded from the artifact each time.
    steps: usize,
    /// Bytes of the packed noise weights of one stream, or of the packed variances.
    pub(super) packed_noise: usize,
    /// How many of them are kept.
    slots: usize,
    /// Values of the input whose squares are summed by packed variances; else 0.
    squares: usize,
    /// Outputs of packed variances; else 0.
    square_sums: usize,
    twin: usize,
    scratch: usize,
    /// Bytes of one arena, rounded up.
    pub(super) arena: usize,
    /// f32 outputs of one pass.
    pub(super) outputs: usize,
}

impl Layout {
    pub(super) fn new(model: &Model<'_>, config: &Config) -> Result<Self, ConfigError> {
        let samples = match config.samples {
            Samples::Mean => None,
            Samples::Adaptive => adaptive_samples(model, config)?,
            Samples::MonteCarlo(n) if (1..=Config::MAX_SAMPLES).contains(&n) => Some(n),
            Samples::MonteCarlo(found) => return Err(ConfigError::Samples { found }),
        };
        if config.tile == 0 {
            return Err(ConfigError::Tile);
        }
        let manifest = model.manifest();
        let kernels = config.kernels();
        let mut layout = Self {
            passes: 1,
            tile: 1,
            streams: 0,
            input: usize::try_from(manifest.input.tensor.len()).map_err(|_| ConfigError::TooLarge)?,
            acc_mean: 0,
            noise_scale: 0,
            noise_weights: 0,
            noise_outputs: 0,
            stored: 0,
            packed: packed_bytes(model, kernels),
            steps: 0,
            packed_noise: 0,
            slots: 0,
            squares: 0,
            square_sums: 0,
            twin: 0,
            scratch: 0,
            arena: (manifest.arena_bytes as usize)
                .checked_next_multiple_of(ALIGNMENT)
                .ok_or(ConfigError::TooLarge)?,
            outputs: manifest.outputs.into(),
        };
        // Kernels that spend memory on time are on machines that have it.
        layout.steps = if PACK && layout.packed > 0 { manifest.layer_count.into() } else { 0 };
        if let (Some(samples), Some(layer)) = (samples, model.layers().next())
            && let Some(first) = FirstLayer::new(model, &layer)
        {
            layout.add_noise(config, kernels, samples, &first);
        }
        // Squares are two images, of high and of low bytes.
        let tile = usize::from(layout.tile).max(if layout.squares > 0 { 2 } else { 1 });
        for layer in model.layers() {
            layout.scratch = layout.scratch.max(kernels.scratch_values(&layer, tile));
        }
        Ok(layout)
    }

    fn add_noise(&mut self, config: &Config, kernels: Kernels, samples: u16, first: &FirstLayer<'_>) {
        self.passes = samples;
        self.tile = config.tile.min(samples);
        self.streams = if config.antithetic { samples.div_ceil(2) } else { samples };
        self.stored = match config.draws {
            Draws::Fresh => 1,
            Draws::Fixed => self.streams.into(),
        };
        let outputs = first.output_count();
        match first.kind() {
            NoiseKind::Weights => {
                self.noise_weights = first.weight_count();
                // The specification runs where no mean is kept, and for depthwise noise.
                let layer = first.layer;
                if config.cache_mean && !matches!(layer, Layer::DepthwiseConv2d { .. }) {
                    self.packed_noise = kernels.packed_bytes(layer);
                    self.slots = match config.draws {
                        Draws::Fresh => usize::from(self.streams).min(STREAMS),
                        Draws::Fixed => self.stored,
                    };
                }
                if config.cache_mean {
                    self.acc_mean = outputs;
                    let splits_pairs = config.antithetic && self.tile % 2 == 1 && self.tile < samples;
                    self.twin = if splits_pairs { outputs } else { 0 };
                }
            }
            // Two numbers an output: cheap enough to keep in any case.
            NoiseKind::Outputs => {
                self.noise_outputs = outputs;
                self.stored = self.stored.max(self.group().into());
                self.acc_mean = outputs;
                self.noise_scale = outputs;
                self.packed_noise = kernels.packed_bytes(first.layer);
                // 64-bit ARM: sums the variances in the order of the weights.
                if cfg!(target_arch = "x86_64") && self.packed_noise > 0 && first.squares_fit() {
                    self.slots = 2;
                    self.squares = self.input;
                    self.square_sums = outputs;
                    // Room to write them before they are packed.
                    self.noise_weights = first.weight_count();
                } else {
                    self.packed_noise = 0;
                }
            }
        }
    }

    /// Streams of noise weights in the order of the weights: packed ones are drawn there first.
    fn unpacked(&self) -> usize {
        match (self.packed_noise, self.squares) {
            (0, _) => self.stored,
            (_, 0) => self.slots.min(STREAMS),
            _ => 1,
        }
    }

    /// Streams that are drawn at a time; at least 1.
    pub(super) fn group(&self) -> u16 {
        let together = PACK && self.noise_outputs > 0 || self.packed_noise > 0 && self.squares == 0;
        // The least is for the compiler, which then keeps no panic for a division by it.
        if together { self.streams.min(STREAMS as u16).max(1) } else { 1 }
    }

    fn alignment(&self) -> usize {
        if PACK && self.packed > 0 { LINE } else { ALIGNMENT }
    }

    /// Bytes of each of the [`Buffers`], in their order, rounded up to the alignment; the greatest number
    /// stands for any that is too large.
    #[inline(never)]
    fn sections(&self) -> [usize; SECTIONS] {
        let tile = usize::from(self.tile);
        let size = |count, a, b| section(count, [a, b], self.alignment());
        let packed = |count, a| if PACK { size(count, a, 1) } else { 0 };
        [
            packed(self.packed, 1),
            packed(self.packed_noise, self.slots),
            packed(self.steps, 4 * WORDS),
            size(self.input, 1, 1),
            size(self.acc_mean, 4, 1),
            size(self.noise_scale, 4, 1),
            size(self.noise_weights, self.unpacked(), 1),
            size(self.noise_outputs, 2, self.stored),
            packed(self.squares, 2),
            packed(self.square_sums, 16),
            size(self.twin, 1, 1),
            size(self.scratch, 2, 1),
            size(self.arena, tile, 1),
            size(self.outputs, 4, tile),
            size(self.outputs, 4, 1),
            size(self.outputs, 4, 1),
        ]
    }

    /// Bytes of the workspace, with room to align its start.
    pub(super) fn bytes(&self) -> Option<usize> {
        let sum = self.sections().iter().fold(self.alignment() - 1, |sum, &bytes| sum.saturating_add(bytes));
        // Rounding down may have hidden the greatest number: no memory is as large as half of it.
        (sum <= usize::MAX / 2).then_some(sum)
    }
}

/// Bytes of the packed weights of all layers; of a model that was not checked, the greatest number stands for
/// any that is too large.
fn packed_bytes(model: &Model<'_>, kernels: Kernels) -> usize {
    model.layers().fold(0, |sum, layer| sum.saturating_add(kernels.packed_bytes(&layer)))
}

/// Bytes of `count * a * b`, rounded up.
#[inline(never)]
fn section(count: usize, [a, b]: [usize; 2], alignment: usize) -> usize {
    let more = alignment - 1;
    count.saturating_mul(a).saturating_mul(b).saturating_add(more) & !more
}

/// The greatest number of draws of the artifact's rule, which holds for the kind of draws that it was
/// fitted with; `None` for a plain model.
fn adaptive_samples(model: &Model<'_>, config: &Config) -> Result<Option<u16>, ConfigError> {
    let Manifest { posterior: Some(_), adaptive, .. } = model.manifest() else { return Ok(None) };
    let expected = match adaptive {
        None => AdaptiveNeed::Rule,
        Some(_) if config.draws == Draws::Fixed => AdaptiveNeed::Fresh,
        Some(rule) if rule.antithetic && !config.antithetic => AdaptiveNeed::Antithetic,
        Some(rule) if config.antithetic && !rule.antithetic => AdaptiveNeed::NotAntithetic,
        Some(rule) => return Ok(Some(rule.samples_max)),
    };
    Err(ConfigError::Adaptive { expected })
}

/// The buffers.
#[derive(Debug)]
pub(super) struct Buffers<'w> {
    /// Packed weights of each layer that has any.
    pub(super) packed: &'w mut [u8],
    /// `[streams, packed noise weights]`, or `[high and low bytes, packed variances]`
    pub(super) packed_noise: &'w mut [u8],
    /// The layers, if they are kept.
    pub(super) steps: &'w mut [[u32; WORDS]],
    /// Quantized input.
    pub(super) input: &'w mut [i8],
    /// First layer's mean accumulators; empty if they are not kept.
    pub(super) acc_mean: &'w mut [i32],
    /// Noise of each output of the first layer for this input, per unit of `eps`.
    pub(super) noise_scale: &'w mut [f32],
    /// `[streams, weights]`, before they are packed if they are.
    pub(super) noise_weights: &'w mut [i8],
    /// `[stored streams, outputs of the first layer]`
    pub(super) noise_outputs: &'w mut [i16],
    /// `[high and low bytes, input values]`
    pub(super) squares: &'w mut [i8],
    /// `[high and low bytes of variances, of squares, outputs]`
    pub(super) square_sums: &'w mut [i32],
    /// First activations of the second draw of a pair that a tile splits.
    pub(super) twin: &'w mut [i8],
    pub(super) scratch: &'w mut [i16],
    /// Activations of all draws side by side; see [`Frame`](crate::layers::Frame).
    pub(super) arena: &'w mut [i8],
    /// `[tile, outputs]`
    pub(super) outputs: &'w mut [f32],
    pub(super) mean: &'w mut [f32],
    pub(super) spread: &'w mut [f32],
}

impl<'w> Buffers<'w> {
    /// Cuts an unaligned workspace of at least `layout.bytes()` bytes.
    #[inline(never)]
    pub(super) fn split(workspace: &'w mut [u8], layout: &Layout) -> Option<Self> {
        let skip = workspace.as_ptr().addr().wrapping_neg() % layout.alignment();
        let mut rest = workspace.get_mut(skip..)?;
        let tile = usize::from(layout.tile);
        let sizes = layout.sections();
        let mut sections = sizes.iter();
        let rest = &mut || rest.split_off_mut(..*sections.next()?);
        Some(Self {
            packed: take(rest, layout.packed)?,
            packed_noise: take(rest, layout.packed_noise * layout.slots)?,
            steps: take(rest, layout.steps)?,
            input: take(rest, layout.input)?,
            acc_mean: take(rest, layout.acc_mean)?,
            noise_scale: take(rest, layout.noise_scale)?,
            noise_weights: take(rest, layout.noise_weights * layout.unpacked())?,
            noise_outputs: take(rest, layout.noise_outputs * layout.stored)?,
            squares: take(rest, layout.squares * 2)?,
            square_sums: take(rest, layout.square_sums * 4)?,
            twin: take(rest, layout.twin)?,
            scratch: take(rest, layout.scratch)?,
            arena: take(rest, layout.arena * tile)?,
            outputs: take(rest, layout.outputs * tile)?,
            mean: take(rest, layout.outputs)?,
            spread: take(rest, layout.outputs)?,
        })
    }
}

/// `count` elements at the start of the next section.
#[cfg_attr(not(feature = "std"), inline(never))]
fn take<'w, T: bytemuck::Pod>(
    next: &mut dyn FnMut() -> Option<&'w mut [u8]>,
    count: usize,
) -> Option<&'w mut [T]> {
    let bytes = next()?.get_mut(..count.checked_mul(size_of::<T>())?)?;
    bytemuck::try_cast_slice_mut(bytes).ok()
}
