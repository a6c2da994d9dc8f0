//! Reads what postcard wrote: one field after another, with one flag for all that can be wrong.
//!
//! serde's visitors took 12 KB of a device's flash and 3 KB of its stack for the same. A reader that failed
//! gives zeros from there on; whoever asked looks at [`Reader::failed`] at the end. All of it is `const`, so
//! that a program can know the model that is compiled into it.

use super::adaptive::Adaptive;
use super::facts::{Abstention, Anomaly, Conformal, Drift, Intervals, SamplingPolicy, Score};
use super::layer::Operator;
use super::manifest::{
    Blob, ChannelOrder, Clamp, GaussianHead, InputLayout, InputSpec, Layer, Manifest, NoiseKind, Posterior,
    Prior, Provenance, Task, Tensor, Weights, Window,
};

/// Encoded bytes that are not read yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    failed: bool,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, failed: false }
    }

    /// Whether anything read so far was not there, or no value of its type.
    pub(super) const fn failed(&self) -> bool {
        self.failed
    }

    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    const fn fail(&mut self) {
        self.failed = true;
        self.rest = &[];
    }

    #[inline(never)]
    const fn byte(&mut self) -> u8 {
        match self.rest.split_first() {
            Some((&byte, rest)) => {
                self.rest = rest;
                byte
            }
            None => {
                self.fail();
                0
            }
        }
    }

    /// A number of this many bits, seven a byte, the least first.
    #[inline(never)]
    const fn number(&mut self, bits: u32) -> u32 {
        let (mut value, mut shift) = (0, 0);
        while shift < bits {
            let byte = self.byte() as u32;
            value |= (byte & 0x7f) << shift;
            if byte < 0x80 {
                if bits - shift < 7 && byte >> (bits - shift) != 0 {
                    break;
                }
                return value;
            }
            shift += 7;
        }
        self.fail();
        0
    }

    const fn u16(&mut self) -> u16 {
        self.number(16) as u16
    }

    const fn u32(&mut self) -> u32 {
        self.number(32)
    }

    /// As [`Self::number`], of 64 bits.
    #[inline(never)]
    const fn u64(&mut self) -> u64 {
        let (mut value, mut shift) = (0, 0);
        while shift < 64 {
            let byte = self.byte();
            value |= ((byte & 0x7f) as u64) << shift;
            if byte < 0x80 {
                if shift == 63 && byte > 1 {
                    break;
                }
                return value;
            }
            shift += 7;
        }
        self.fail();
        0
    }

    const fn i8(&mut self) -> i8 {
        self.byte() as i8
    }

    #[inline(never)]
    const fn f32(&mut self) -> f32 {
        match self.rest.split_first_chunk() {
            Some((&bytes, rest)) => {
                self.rest = rest;
                f32::from_le_bytes(bytes)
            }
            None => {
                self.fail();
                0.0
            }
        }
    }

    /// One of `count` variants, by its index.
    #[inline(never)]
    const fn variant(&mut self, count: u32) -> u32 {
        let index = self.u32();
        if index < count {
            return index;
        }
        self.fail();
        0
    }

    /// 0 or 1, in one byte.
    #[inline(never)]
    const fn bool(&mut self) -> bool {
        let byte = self.byte();
        if byte > 1 {
            self.fail();
        }
        byte == 1
    }

    #[inline(never)]
    const fn str(&mut self) -> &'a str {
        let len = self.u32() as usize;
        if let Some((bytes, rest)) = self.rest.split_at_checked(len) {
            self.rest = rest;
            if let Ok(text) = core::str::from_utf8(bytes) {
                return text;
            }
        }
        self.fail();
        ""
    }

    #[inline(never)]
    const fn blob(&mut self) -> Blob {
        Blob { offset: self.u32(), len: self.u32() }
    }

    const fn pair(&mut self) -> [u16; 2] {
        [self.u16(), self.u16()]
    }

    #[inline(never)]
    const fn tensor(&mut self) -> Tensor {
        Tensor {
            offset: self.u32(),
            height: self.u16(),
            width: self.u16(),
            channels: self.u16(),
            scale: self.f32(),
            zero_point: self.i8(),
        }
    }

    #[inline(never)]
    const fn window(&mut self) -> Window {
        Window { kernel: self.pair(), stride: self.pair(), dilation: self.pair(), pad: self.pair() }
    }

    #[inline(never)]
    const fn weights(&mut self) -> Weights {
        Weights { values: self.blob(), bias: self.blob(), multiplier: self.blob() }
    }

    #[inline(never)]
    const fn clamp(&mut self) -> Clamp {
        Clamp { min: self.i8(), max: self.i8() }
    }

    /// The next layer. Fields are read in the order of their declaration.
    #[inline(never)]
    pub(super) const fn layer(&mut self) -> Layer {
        let kind = self.variant(Operator::ALL.len() as u32);
        // Every kind begins with one tensor, and most go on with another.
        let input = self.tensor();
        if kind == 7 {
            return Layer::DenseOutput { input, weights: self.weights() };
        }
        if kind == 8 {
            return Layer::Dequantize { input };
        }
        let output = self.tensor();
        match kind {
            0 => {
                let (window, weights, clamp) = (self.window(), self.weights(), self.clamp());
                Layer::Conv2d { input, output, window, weights, clamp }
            }
            1 => {
                let (window, weights, clamp) = (self.window(), self.weights(), self.clamp());
                Layer::DepthwiseConv2d { input, output, window, weights, clamp }
            }
            2 => Layer::Dense { input, output, weights: self.weights(), clamp: self.clamp() },
            3 => Layer::MaxPool { input, output, window: self.window() },
            4 => {
                let (window, count_padding) = (self.window(), self.bool());
                Layer::AvgPool { input, output, window, count_padding, clamp: self.clamp() }
            }
            6 => Layer::Lookup { input, output, table: self.blob() },
            12 => Layer::Pad { input, output, begin: self.pair() },
            _ => self.joined(kind, [input, output]),
        }
    }

    /// The rest of a layer of two inputs.
    const fn joined(&mut self, kind: u32, [a, b]: [Tensor; 2]) -> Layer {
        let output = self.tensor();
        let axis = if kind == 11 { self.byte() } else { 0 };
        let multiplier_a = self.f32();
        let multiplier_b = if kind == 10 { 0.0 } else { self.f32() };
        let clamp = self.clamp();
        match kind {
            5 => Layer::Add { a, b, output, multiplier_a, multiplier_b, clamp },
            9 => Layer::Sub { a, b, output, multiplier_a, multiplier_b, clamp },
            10 => Layer::Mul { a, b, output, multiplier: multiplier_a, clamp },
            _ => Layer::Concat { a, b, output, axis, multiplier_a, multiplier_b, clamp },
        }
    }

    /// The head of the manifest, into its place: it is large for a device's stack.
    #[inline(never)]
    pub(super) const fn manifest(&mut self, to: &mut Manifest<'a>) {
        to.name = self.str();
        to.task = self.task();
        to.input = self.input();
        to.outputs = self.u16();
        to.class_names = self.str();
        to.arena_bytes = self.u32();
        to.layer_count = self.u16();
        to.posterior = if self.bool() { Some(self.posterior()) } else { None };
        to.temperature = self.f32();
        to.adaptive = if self.bool() { Some(self.adaptive()) } else { None };
        to.conformal = if self.bool() { Some(self.conformal()) } else { None };
        to.abstention = if self.bool() { Some(self.abstention()) } else { None };
        to.drift = if self.bool() { Some(self.drift()) } else { None };
        to.provenance =
            Provenance { tool: self.str(), data: self.str(), seed: self.u64(), training: self.str() };
    }

    const fn input(&mut self) -> InputSpec {
        InputSpec {
            tensor: self.tensor(),
            mean: self.blob(),
            multiplier: self.blob(),
            layout: if self.variant(2) == 0 { InputLayout::Nhwc } else { InputLayout::Nchw },
            channel_order: if self.variant(2) == 0 { ChannelOrder::Same } else { ChannelOrder::Reversed },
        }
    }

    const fn posterior(&mut self) -> Posterior {
        Posterior {
            kind: if self.variant(2) == 0 { NoiseKind::Weights } else { NoiseKind::Outputs },
            log_var: self.blob(),
            log_var_max: self.blob(),
            log_var_step: self.f32(),
            table: self.blob(),
            noise_multiplier: self.blob(),
            prior: Prior { mean_is_map: self.bool(), prior_sigma: self.f32(), temperature: self.f32() },
        }
    }

    const fn adaptive(&mut self) -> Adaptive<'a> {
        Adaptive {
            samples_min: self.u16(),
            samples_max: self.u16(),
            group: self.u16(),
            antithetic: self.bool(),
            threshold: self.f32(),
            delta_millionths: self.u32(),
            confidence_millionths: self.u32(),
            examples: self.u32(),
            differing: self.u32(),
            mean_passes: self.f32(),
            guarantee: self.str(),
        }
    }

    #[inline(never)]
    const fn task(&mut self) -> Task {
        match self.variant(4) {
            0 => Task::Classification,
            1 => Task::Regression,
            2 => Task::Gaussian(GaussianHead {
                target_mean: self.blob(),
                target_std: self.blob(),
                intervals: if self.bool() { Some(self.intervals()) } else { None },
            }),
            _ => Task::Reconstruction(if self.bool() { Some(self.anomaly()) } else { None }),
        }
    }

    const fn intervals(&mut self) -> Intervals {
        Intervals { policy: self.policy(), examples: self.u32(), alphas: self.blob(), factors: self.blob() }
    }

    const fn anomaly(&mut self) -> Anomaly {
        Anomaly { policy: self.policy(), examples: self.u32(), scores: self.blob(), above: self.blob() }
    }

    #[inline(never)]
    const fn policy(&mut self) -> SamplingPolicy {
        SamplingPolicy {
            num_samples: self.u16(),
            adaptive: self.bool(),
            seed: self.u64(),
            fresh: self.bool(),
            antithetic: self.bool(),
        }
    }

    #[inline(never)]
    const fn score(&mut self) -> Score {
        match self.variant(4) {
            0 => Score::MaxProbability,
            1 => Score::PredictiveEntropy,
            2 => Score::ExpectedEntropy,
            _ => Score::MutualInformation,
        }
    }

    const fn conformal(&mut self) -> Conformal {
        Conformal {
            policy: self.policy(),
            examples: self.u32(),
            class_conditional: self.bool(),
            randomized: self.bool(),
            raps_lambda: self.f32(),
            raps_rank: self.u16(),
            alphas: self.blob(),
            thresholds: self.blob(),
        }
    }

    const fn abstention(&mut self) -> Abstention {
        Abstention {
            policy: self.policy(),
            score: self.score(),
            threshold: self.f32(),
            risk_millionths: self.u32(),
            confidence_millionths: self.u32(),
            examples: self.u32(),
            accepted: self.u32(),
            errors: self.u32(),
        }
    }

    const fn drift(&mut self) -> Drift {
        Drift {
            policy: self.policy(),
            score: self.score(),
            examples: self.u32(),
            false_alarm_millionths: self.u32(),
            reference_millionths: self.u32(),
            thresholds: self.blob(),
            above: self.blob(),
            below: self.blob(),
            bets: self.blob(),
        }
    }
}

#[cfg(all(test, feature = "alloc"))]
mod tests;
