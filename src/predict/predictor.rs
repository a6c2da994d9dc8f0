//! The loop over draws.

mod first;

use super::adaptive::{Checks, Decision};
use super::config::{Config, ConfigError, Samples};
use super::input::{Input, PredictError};
use super::noise::Noise;
use super::recheck::Recheck;
use super::steps;
use super::summary::{Prediction, Summary};
use super::workspace::{Buffers, Layout};
use crate::artifact::{Layer, Layers, Model, Task};
use crate::bayes::FirstLayer;
use crate::kernels::{Kernels, PACK};
use crate::layers::weighted::pack;
use crate::layers::{self, Frame, Operators, Step};
use core::ops::Range;

/// One of the passes of a prediction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Pass {
    /// Zero noise.
    Mean,
    /// One of the draws of the prediction that the counter stands at; of a plain model only draw 0,
    /// which is its only pass.
    Draw(u16),
}

/// A model ready to predict.
#[derive(Debug)]
pub struct Predictor<'m, 'w> {
    model: &'m Model<'m>,
    operators: &'m Operators,
    config: Config,
    kernels: Kernels,
    layout: Layout,
    /// Whether draws differ, by the noise of layer 0.
    noisy: bool,
    counter: u64,
    /// The first stream of those that the noise buffer holds, for fresh draws.
    drawn: Option<u64>,
    /// The stream of this input whose second draw waits in `buffers.twin`.
    twin_of: Option<u16>,
    pub(super) recheck: Recheck,
    buffers: Buffers<'w>,
}

/// How far a prediction has come.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    /// Passes that the summary holds.
    samples: u16,
    /// Passes run.
    passes: u16,
    /// Sum of the entropies of those that the summary holds.
    entropy: f32,
}

impl Progress {
    fn summary<'a>(&self, mean: &'a mut [f32], spread: &'a mut [f32]) -> Summary<'a> {
        let Self { samples, passes, entropy } = *self;
        Summary { mean, spread, samples, passes, entropy }
    }
}

impl Model<'_> {
    /// Bytes of workspace that a [`Predictor`] with these settings needs: exact, 15 bytes of room to
    /// align its start included (63 where kernels keep packed weights there).
    ///
    /// # Errors
    /// If a setting is out of range, or the workspace would not fit this target's address space.
    pub fn workspace_bytes(&self, config: &Config) -> Result<usize, ConfigError> {
        Layout::new(self, config)?.bytes().ok_or(ConfigError::TooLarge)
    }

    /// The settings with the largest tile whose workspace has at most `budget` bytes; `None` if not even
    /// one draw at a time fits.
    ///
    /// # Errors
    /// If another setting is out of range.
    pub fn tile_within(&self, config: &Config, budget: usize) -> Result<Option<Config>, ConfigError> {
        let fits = |tile: u16| {
            let config = Config { tile, ..*config };
            let bytes = Layout::new(self, &config)?.bytes();
            Ok(bytes.is_some_and(|bytes| bytes <= budget).then_some(config))
        };
        let mut best = fits(1)?;
        let most = config.samples.most(self).max(1);
        // An even tile never splits a pair, and may need less than the odd one below it.
        for tile in 2..=most {
            best = fits(tile)?.or(best);
        }
        Ok(best)
    }
}

impl<'m, 'w> Predictor<'m, 'w> {
    /// Couples a model with a workspace of at least [`Model::workspace_bytes`] bytes, at any
    /// alignment. Fixed draws are drawn here.
    ///
    /// # Errors
    /// If a setting is out of range, the workspace too short, or an embedded model misaligned or, with `std`,
    /// not consistent.
    #[inline(never)]
    pub fn new(model: &'m Model<'m>, config: Config, workspace: &'w mut [u8]) -> Result<Self, ConfigError> {
        Self::with_operators(model, config, workspace, Operators::ALL)
    }

    /// As [`Self::new`], with these operators: those that a program leaves out take no flash.
    ///
    /// # Errors
    /// As [`Self::new`], and if the model has a layer or a task of another kind.
    #[inline(never)]
    pub fn with_operators(
        model: &'m Model<'m>,
        config: Config,
        workspace: &'w mut [u8],
        operators: &'m Operators,
    ) -> Result<Self, ConfigError> {
        if let Some((layer, operator)) = operators.missing(model) {
            return Err(ConfigError::Operator { layer, operator });
        }
        if operators.head().is_none() && !matches!(model.manifest().task, Task::Classification) {
            return Err(ConfigError::Task);
        }
        // Kernels that pack trust shapes; none reads numbers that are not aligned.
        if !model.aligned() || PACK && !model.checked() {
            return Err(ConfigError::Unchecked);
        }
        let layout = Layout::new(model, &config)?;
        let expected = layout.bytes().ok_or(ConfigError::TooLarge)?;
        let found = workspace.len();
        let too_short = ConfigError::Workspace { found, expected };
        if found < expected {
            return Err(too_short);
        }
        let mut buffers = Buffers::split(workspace, &layout).ok_or(too_short)?;
        let kernels = config.kernels();
        if PACK {
            pack(model, kernels, buffers.packed);
            for (index, (step, layer)) in buffers.steps.iter_mut().zip(model.layers()).enumerate() {
                *step = steps::encode(index, &layer, kernels.packed_bytes(&layer)).ok_or(too_short)?;
            }
        }
        let noisy = layout.streams > 0;
        if let (true, Some(layer)) = (noisy, model.layers().next())
            && let Some(first) = &FirstLayer::new(model, &layer)
        {
            let noise = Noise { first, layout: &layout, operators, kernels, seed: config.seed };
            noise.prepare(&config, &mut buffers);
        }
        Ok(Self {
            model,
            operators,
            config,
            kernels,
            layout,
            noisy,
            counter: 0,
            drawn: None,
            twin_of: None,
            recheck: Recheck::default(),
            buffers,
        })
    }

    /// What layers need beside their own fields and their memory.
    fn step(&self, first: bool) -> Step<'m> {
        Step { model: self.model, kernels: self.kernels, operators: self.operators, first }
    }

    /// The kernels that run.
    #[must_use]
    pub fn kernels(&self) -> Kernels {
        self.kernels
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Passes that a prediction averages; with [`Samples::Adaptive`], at most.
    #[must_use]
    pub fn samples(&self) -> u16 {
        self.layout.passes
    }

    /// Which prediction comes next: fresh draws depend on seed and counter, and on nothing else.
    pub fn set_counter(&mut self, counter: u64) {
        self.counter = counter;
        // Numbers of streams wrap around: a far counter may start with the last one drawn, and have others behind
        // it that were not. Counting does not lead there.
        self.drawn = None;
    }

    /// Which prediction comes next; each successful one adds 1.
    #[must_use]
    pub fn counter(&self) -> u64 {
        self.counter
    }

    /// Predicts one input.
    ///
    /// # Errors
    /// If the input has the wrong number of values, or one that is not finite.
    pub fn predict(&mut self, input: Input<'_>) -> Result<Prediction<'_>, PredictError> {
        self.predict_with(input, |_, _| {})
    }

    /// Predicts one input and shows each draw: `each(draw, outputs)` with the network's f32 outputs
    /// (logits before the temperature, or values).
    ///
    /// Draw 0 may come twice: where an adaptive rule asks after the mean pass, that pass comes first, as draw 0.
    /// If it settles nothing, the draws of the result follow, from draw 0 on: whoever gathers them starts anew
    /// at every draw 0.
    ///
    /// # Errors
    /// As [`Self::predict`].
    pub fn predict_with(
        &mut self,
        input: Input<'_>,
        mut each: impl FnMut(u16, &[f32]),
    ) -> Result<Prediction<'_>, PredictError> {
        let rule = match self.config.samples {
            Samples::Adaptive => self.model.manifest().adaptive,
            _ => None,
        };
        let threshold = rule.map_or(f32::INFINITY, |rule| rule.threshold);
        let checks = rule.map(|rule| Checks::of(&rule));
        self.run(input, checks, &mut each, &mut |_, mean| Decision::of(mean).margin >= threshold)
    }

    /// Predicts one input with a stopping rule of the caller's own: `settled(draws, mean)` says after
    /// the draws that `checks` names (0 is the mean pass), short of the last, whether their mean
    /// probabilities (or values) shall be the result. On a plain model it is not asked.
    ///
    /// # Errors
    /// As [`Self::predict`].
    pub fn predict_until(
        &mut self,
        input: Input<'_>,
        checks: Checks,
        mut settled: impl FnMut(u16, &[f32]) -> bool,
    ) -> Result<Prediction<'_>, PredictError> {
        self.run(input, Some(checks), &mut |_, _| {}, &mut settled)
    }

    /// The loop over draws.
    fn run(
        &mut self,
        input: Input<'_>,
        checks: Option<Checks>,
        each: &mut dyn FnMut(u16, &[f32]),
        settled: &mut dyn FnMut(u16, &[f32]) -> bool,
    ) -> Result<Prediction<'_>, PredictError> {
        self.recheck.before_prediction(self.model)?;
        self.load(input)?;
        let Layout { passes, tile, .. } = self.layout;
        let checks = checks.filter(|_| self.noisy);
        let mut progress = Progress::default();
        if checks.is_some_and(|checks| checks.min == 0) {
            self.run_mean().ok_or(PredictError::Inconsistent)?;
            self.summarize(&mut progress, 1, each);
            if settled(0, self.buffers.mean) {
                return Ok(self.finish(input, progress));
            }
            progress = Progress { passes: 1, ..Progress::default() };
        }
        self.share().ok_or(PredictError::Inconsistent)?;
        let check_after = |draws| checks.map_or(passes, |checks| checks.after(draws).min(passes));
        let mut check = check_after(0);
        while progress.samples < passes {
            let start = progress.samples;
            let count = tile.min(check - start);
            self.run_tile(start, count).ok_or(PredictError::Inconsistent)?;
            self.summarize(&mut progress, count, each);
            if progress.samples == check && check < passes {
                if settled(check, self.buffers.mean) {
                    break;
                }
                check = check_after(check);
            }
        }
        Ok(self.finish(input, progress))
    }

    /// Adds the outputs of the first `count` lanes.
    #[cfg_attr(not(feature = "std"), inline(never))]
    fn summarize(&mut self, progress: &mut Progress, count: u16, each: &mut dyn FnMut(u16, &[f32])) {
        let buffers = &mut self.buffers;
        let mut summary = progress.summary(buffers.mean, buffers.spread);
        let lanes = buffers.outputs.chunks_exact_mut(self.layout.outputs.max(1)).take(count.into());
        for (draw, outputs) in (progress.samples..).zip(lanes) {
            each(draw, outputs);
            summary.push(outputs, self.model, self.operators.head());
        }
        (progress.samples, progress.entropy) = (summary.samples, summary.entropy);
        progress.passes += count;
    }

    /// The result of what was summarized; the next prediction has the next counter.
    fn finish(&mut self, input: Input<'_>, progress: Progress) -> Prediction<'_> {
        self.counter = self.counter.wrapping_add(1);
        let buffers = &mut self.buffers;
        let summary = progress.summary(buffers.mean, buffers.spread);
        summary.finish(self.model, input, self.operators.head())
    }

    /// Runs one pass and shows every int8 tensor right after the layer that wrote it:
    /// `each(layer index, layer, values)`. Returns the f32 outputs (logits before the temperature, or
    /// values). The counter stays.
    ///
    /// # Errors
    /// As [`Self::predict`], or if there is no such draw.
    pub fn trace(
        &mut self,
        input: Input<'_>,
        pass: Pass,
        mut each: impl FnMut(usize, &Layer, &[i8]),
    ) -> Result<&[f32], PredictError> {
        if let Pass::Draw(found) = pass
            && found >= self.layout.passes
        {
            return Err(PredictError::Draw { found, samples: self.layout.passes });
        }
        self.load(input)?;
        self.share().ok_or(PredictError::Inconsistent)?;
        let model = self.model;
        let mut packed = 0;
        for (index, layer) in model.layers().enumerate() {
            let start = packed;
            packed += self.kernels.packed_bytes(&layer);
            let done = match pass {
                Pass::Draw(draw) if index == 0 && self.noisy => {
                    self.run_first(&layer, draw, 0, 1).map(|_| ())
                }
                _ => self.run_layer(index, &layer, start..packed, 1),
            };
            done.ok_or(PredictError::Inconsistent)?;
            if let Some(output) = layer.output() {
                let values = self.buffers.arena.get(layers::range(&output, self.layout.tile.into(), 1));
                each(index, &layer, values.ok_or(PredictError::Inconsistent)?);
            }
        }
        self.buffers.outputs.get(..self.layout.outputs).ok_or(PredictError::Inconsistent)
    }

    /// Quantizes the input.
    fn load(&mut self, input: Input<'_>) -> Result<(), PredictError> {
        self.twin_of = None;
        input.quantize(self.model, self.kernels, self.buffers.input)
    }

    /// Layer `index` and the bytes of its packed weights: as they are kept, or of the artifact's next one. Where
    /// what is kept was damaged, the artifact's.
    fn layer(&self, index: usize, layers: &mut Layers<'_>) -> Option<(Layer, usize)> {
        match self.buffers.steps.get(index) {
            Some(words) if PACK => steps::decode(index, words).or_else(|| self.layer_again(index)),
            // Kernels that pack nothing.
            _ => Some((layers.next()?, 0)),
        }
    }

    /// The pass without noise, in the first lane.
    fn run_mean(&mut self) -> Option<()> {
        self.run_lanes(None, 1)
    }

    #[cold]
    #[inline(never)]
    fn layer_again(&self, index: usize) -> Option<(Layer, usize)> {
        let layer = self.model.layers().nth(index)?;
        Some((layer, self.kernels.packed_bytes(&layer)))
    }

    /// Draws `start..start + count`, side by side.
    fn run_tile(&mut self, start: u16, count: u16) -> Option<()> {
        self.run_lanes(Some(start).filter(|_| self.noisy), count)
    }

    /// Passes side by side, with the noise of these draws or without.
    #[cfg_attr(not(feature = "std"), inline(never))]
    fn run_lanes(&mut self, start: Option<u16>, count: u16) -> Option<()> {
        let (mut layers, mut packed) = (self.model.layers(), 0);
        for index in 0..layers.len() {
            let (layer, bytes) = self.layer(index, &mut layers)?;
            let start_of_weights = packed;
            packed += bytes;
            if let (0, Some(start)) = (index, start) {
                let mut lane = 0;
                while lane < count {
                    lane += self.run_first(&layer, start + lane, lane, count)?;
                }
            } else {
                self.run_layer(index, &layer, start_of_weights..packed, count)?;
            }
        }
        Some(())
    }

    /// One layer without noise, of `draws` draws, with these bytes of packed weights.
    fn run_layer(&mut self, index: usize, layer: &Layer, packed: Range<usize>, draws: u16) -> Option<()> {
        let step = self.step(index == 0);
        let buffers = &mut self.buffers;
        let draws = usize::from(draws);
        let mut frame = Frame {
            input: buffers.input,
            arena: buffers.arena,
            scratch: buffers.scratch,
            outputs: buffers.outputs.get_mut(..draws * self.layout.outputs)?,
            packed: buffers.packed.get(packed)?,
            tile: self.layout.tile.into(),
            draws,
        };
        step.run(layer, &mut frame)
    }
}

#[cfg(test)]
mod tests;
