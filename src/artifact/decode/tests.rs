//! serde's own reading of the same bytes is the oracle: what it takes, what it refuses, what it leaves.

use super::*;
use alloc::vec::Vec;
use rand_core::Rng;

/// Random bits that make one of each kind of layer, and manifests with any of their parts.
struct Dice(rand_xoshiro::Xoshiro128PlusPlus);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(crate::random::stream(seed, 0))
    }

    /// Short and long encodings are as likely.
    fn bits(&mut self) -> u64 {
        let shift = self.0.next_u32() % 64;
        self.0.next_u64() >> shift
    }

    fn chance(&mut self) -> bool {
        self.0.next_u32().is_multiple_of(2)
    }

    fn f32(&mut self) -> f32 {
        f32::from((self.bits() as u16).max(1)) / 1024.0
    }

    fn blob(&mut self) -> Blob {
        Blob { offset: self.bits() as u32, len: self.bits() as u32 }
    }

    fn pair(&mut self) -> [u16; 2] {
        [self.bits() as u16, self.bits() as u16]
    }

    fn tensor(&mut self) -> Tensor {
        let ([height, width], [channels, zero_point]) = (self.pair(), self.pair());
        let (offset, scale) = (self.bits() as u32, self.f32());
        Tensor { offset, height, width, channels, scale, zero_point: zero_point as i8 }
    }

    fn layer(&mut self, kind: usize) -> Layer {
        let [input, b, output] = [(); 3].map(|()| self.tensor());
        let window =
            Window { kernel: self.pair(), stride: self.pair(), dilation: self.pair(), pad: self.pair() };
        let weights = Weights { values: self.blob(), bias: self.blob(), multiplier: self.blob() };
        let clamp = Clamp { min: self.bits() as i8, max: self.bits() as i8 };
        let (multiplier_a, multiplier_b) = (self.f32(), self.f32());
        match kind {
            0 => Layer::Conv2d { input, output, window, weights, clamp },
            1 => Layer::DepthwiseConv2d { input, output, window, weights, clamp },
            2 => Layer::Dense { input, output, weights, clamp },
            3 => Layer::MaxPool { input, output, window },
            4 => Layer::AvgPool { input, output, window, count_padding: self.chance(), clamp },
            5 => Layer::Add { a: input, b, output, multiplier_a, multiplier_b, clamp },
            6 => Layer::Lookup { input, output, table: self.blob() },
            7 => Layer::DenseOutput { input, weights },
            8 => Layer::Dequantize { input },
            9 => Layer::Sub { a: input, b, output, multiplier_a, multiplier_b, clamp },
            10 => Layer::Mul { a: input, b, output, multiplier: multiplier_a, clamp },
            11 => Layer::Concat {
                a: input,
                b,
                output,
                axis: self.bits() as u8,
                multiplier_a,
                multiplier_b,
                clamp,
            },
            _ => Layer::Pad { input, output, begin: self.pair() },
        }
    }

    fn policy(&mut self) -> SamplingPolicy {
        SamplingPolicy {
            num_samples: self.bits() as u16,
            adaptive: self.chance(),
            seed: self.bits(),
            fresh: self.chance(),
            antithetic: self.chance(),
        }
    }

    fn score(&mut self) -> Score {
        let all = [
            Score::MaxProbability,
            Score::PredictiveEntropy,
            Score::ExpectedEntropy,
            Score::MutualInformation,
        ];
        all[self.bits() as usize % 4]
    }

    fn some<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.chance().then(|| make(self))
    }

    fn manifest(&mut self) -> Manifest<'static> {
        Manifest {
            name: "a näme",
            task: if self.chance() { Task::Classification } else { Task::Regression },
            input: InputSpec {
                tensor: self.tensor(),
                mean: self.blob(),
                multiplier: self.blob(),
                layout: if self.chance() { InputLayout::Nhwc } else { InputLayout::Nchw },
                channel_order: if self.chance() { ChannelOrder::Same } else { ChannelOrder::Reversed },
            },
            outputs: self.bits() as u16,
            class_names: if self.chance() { "cat\ndog" } else { "" },
            arena_bytes: self.bits() as u32,
            layer_count: self.bits() as u16,
            posterior: self.some(|dice| Posterior {
                kind: if dice.chance() { NoiseKind::Weights } else { NoiseKind::Outputs },
                log_var: dice.blob(),
                log_var_max: dice.blob(),
                log_var_step: dice.f32(),
                table: dice.blob(),
                noise_multiplier: dice.blob(),
                prior: Prior { mean_is_map: dice.chance(), prior_sigma: dice.f32(), temperature: dice.f32() },
            }),
            temperature: self.f32(),
            adaptive: self.some(|dice| Adaptive {
                samples_min: dice.bits() as u16,
                samples_max: dice.bits() as u16,
                group: dice.bits() as u16,
                antithetic: dice.chance(),
                threshold: dice.f32(),
                delta_millionths: dice.bits() as u32,
                confidence_millionths: dice.bits() as u32,
                examples: dice.bits() as u32,
                differing: dice.bits() as u32,
                mean_passes: dice.f32(),
                guarantee: "what holds",
            }),
            conformal: self.some(|dice| Conformal {
                policy: dice.policy(),
                examples: dice.bits() as u32,
                class_conditional: dice.chance(),
                randomized: dice.chance(),
                raps_lambda: dice.f32(),
                raps_rank: dice.bits() as u16,
                alphas: dice.blob(),
                thresholds: dice.blob(),
            }),
            abstention: self.some(|dice| Abstention {
                policy: dice.policy(),
                score: dice.score(),
                threshold: dice.f32(),
                risk_millionths: dice.bits() as u32,
                confidence_millionths: dice.bits() as u32,
                examples: dice.bits() as u32,
                accepted: dice.bits() as u32,
                errors: dice.bits() as u32,
            }),
            drift: self.some(|dice| Drift {
                policy: dice.policy(),
                score: dice.score(),
                examples: dice.bits() as u32,
                false_alarm_millionths: dice.bits() as u32,
                reference_millionths: dice.bits() as u32,
                thresholds: dice.blob(),
                above: dice.blob(),
                below: dice.blob(),
                bets: dice.blob(),
            }),
            provenance: Provenance { tool: "stf", data: "digits", seed: self.bits(), training: "{}" },
        }
    }
}

fn layer(bytes: &[u8]) -> Option<(Layer, &[u8])> {
    let mut reader = Reader::new(bytes);
    let layer = reader.layer();
    (!reader.failed()).then_some((layer, reader.rest()))
}

fn manifest(bytes: &[u8]) -> Option<(Manifest<'_>, &[u8])> {
    let (mut reader, mut manifest) = (Reader::new(bytes), Manifest::EMPTY);
    reader.manifest(&mut manifest);
    (!reader.failed()).then_some((manifest, reader.rest()))
}

/// Both readers, as text: NaN is no obstacle.
fn same(bytes: &[u8]) -> bool {
    let serde: Option<(Layer, &[u8])> = postcard::take_from_bytes(bytes).ok();
    let head: Option<(Manifest<'_>, &[u8])> = postcard::take_from_bytes(bytes).ok();
    let text = |found: &dyn core::fmt::Debug| alloc::format!("{found:?}");
    assert_eq!(text(&layer(bytes)), text(&serde), "{bytes:02x?}");
    assert_eq!(text(&manifest(bytes)), text(&head), "{bytes:02x?}");
    serde.is_some() || head.is_some()
}

/// Every truncation, and bytes changed at random; returns how many of the changed ones were taken.
fn damage(bytes: &[u8], dice: &mut Dice) -> usize {
    assert!(same(bytes), "{bytes:02x?}");
    for len in 0..bytes.len() {
        same(&bytes[..len]);
    }
    let mut taken = 0;
    for _ in 0..200 {
        let mut damaged = bytes.to_vec();
        for _ in 0..=dice.bits() % 2 {
            let at = dice.bits() as usize % damaged.len();
            damaged[at] = dice.bits() as u8;
        }
        taken += usize::from(same(&damaged));
    }
    taken
}

#[test]
fn every_kind_of_layer_is_read_as_serde_reads_it() {
    let mut dice = Dice::new(1);
    for kind in 0..Operator::ALL.len() {
        for _ in 0..10 {
            let layer = dice.layer(kind);
            let mut bytes: Vec<u8> = postcard::to_allocvec(&layer).unwrap();
            assert_eq!(usize::from(bytes[0]), kind);
            bytes.extend([7, 0xff]);
            assert!(damage(&bytes, &mut dice) > 20);
        }
    }
    assert!(!same(&[Operator::ALL.len() as u8; 200]), "no such kind");
}

#[test]
fn every_manifest_is_read_as_serde_reads_it() {
    let mut dice = Dice::new(2);
    for _ in 0..40 {
        let bytes = postcard::to_allocvec(&dice.manifest()).unwrap();
        assert!(damage(&bytes, &mut dice) > 20);
    }
}

/// Numbers at and over the bounds of their types, and longer than need be.
#[test]
fn numbers_end_where_postcard_ends_them() {
    let layer = Layer::Dequantize { input: Dice::new(3).tensor() };
    let rest = &postcard::to_allocvec(&layer).unwrap()[1..];
    for kind in [&[8][..], &[0x88, 0], &[0x88, 0x80, 0x80, 0x80, 0], &[0x88, 0x80, 0x80, 0x80, 0x80, 0]] {
        same(&[kind, rest].concat());
    }
    let mut zeros = [0; 16];
    zeros[0] = 8;
    for at in 1..5 {
        for number in [
            &[0xff, 0xff, 3][..],
            &[0xff, 0xff, 4],
            &[0xff, 0xff, 0x83, 0],
            &[0x80, 0x80, 0],
            &[0xff, 0xff, 0xff, 0xff, 0x0f],
            &[0xff, 0xff, 0xff, 0xff, 0x10],
        ] {
            let bytes = [&zeros[..at], number, &zeros[at + 1..]].concat();
            same(&bytes);
        }
    }
}
