//! Small random models, and their arithmetic written a second time: plain loops over the formulas of
//! the format, in f64 where the runtime rounds in f32 only to know where a tie or an error could be.
#![allow(dead_code, missing_docs, unreachable_pub)]

pub mod regression;

use stf_bnn::artifact::{
    Abstention, Adaptive, ArtifactWriter, Blob, ChannelOrder, Clamp, Conformal, Drift, InputLayout,
    InputSpec, Layer, Manifest, NoiseKind, Posterior, Prior, Provenance, SamplingPolicy, Score, Task, Tensor,
    Weights, Window,
};
use stf_bnn::{AlignedBytes, ArtifactError, Config, Input, Model, Predictor};

/// SplitMix64: all the randomness that tests need.
#[derive(Clone)]
pub struct Dice(pub u64);

impl Dice {
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in `lo..=hi`.
    pub fn int(&mut self, lo: i64, hi: i64) -> i64 {
        lo + (self.bits() % (hi - lo + 1) as u64) as i64
    }

    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1 << 24) as f32
    }

    pub fn chance(&mut self) -> bool {
        self.bits() & 1 == 1
    }

    pub fn i8s(&mut self, count: usize) -> Vec<i8> {
        (0..count).map(|_| self.int(-127, 127) as i8).collect()
    }
}

/// Which Bayesian first layer a model gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum First {
    Conv,
    Depthwise,
    Dense,
    DenseOutputs,
    Plain,
}

pub const ALL: [First; 5] = [First::Conv, First::Depthwise, First::Dense, First::DenseOutputs, First::Plain];

/// Builds models layer by layer; every tensor gets a place of its own.
pub struct Builder {
    pub dice: Dice,
    pub writer: ArtifactWriter,
    pub next: u32,
    pub last: Tensor,
    pub layers: Vec<Layer>,
    pub input: InputSpec,
    pub posterior: Option<Posterior>,
    /// Zero points, weights and multipliers at the ends of their ranges.
    pub extreme: bool,
}

pub const FULL: Clamp = Clamp { min: -128, max: 127 };

impl Builder {
    pub fn new(seed: u64, [height, width, channels]: [u16; 3]) -> Self {
        let mut dice = Dice(seed);
        let mut writer = ArtifactWriter::new();
        let scale = 0.01 + dice.unit() * 0.02;
        let zero_point = dice.int(-40, 40) as i8;
        let tensor = Tensor { offset: 0, height, width, channels, scale, zero_point };
        let mean: Vec<f32> = (0..channels).map(|_| 100.0 + 50.0 * dice.unit()).collect();
        let multiplier: Vec<f32> =
            (0..channels).map(|_| 1.0 / ((50.0 + 20.0 * dice.unit()) * scale)).collect();
        let input = InputSpec {
            tensor,
            mean: writer.values(&mean),
            multiplier: writer.values(&multiplier),
            layout: InputLayout::Nhwc,
            channel_order: ChannelOrder::Same,
        };
        Self {
            dice,
            writer,
            next: 0,
            last: tensor,
            layers: Vec::new(),
            input,
            posterior: None,
            extreme: false,
        }
    }

    pub fn place(&mut self, [height, width, channels]: [u16; 3]) -> Tensor {
        let scale = 0.01 + self.dice.unit() * 0.05;
        let zero_point = match self.extreme {
            true => [-128, -127, 0, 127][self.dice.int(0, 3) as usize],
            false => self.dice.int(-60, 60) as i8,
        };
        let tensor = Tensor { offset: self.next, height, width, channels, scale, zero_point };
        self.next += u32::from(height) * u32::from(width) * u32::from(channels) + self.dice.int(0, 3) as u32;
        tensor
    }

    pub fn push(&mut self, layer: Layer) {
        if let Some(output) = layer.output() {
            self.last = output;
        }
        self.layers.push(layer);
    }

    /// A window that fits, and the output rows and columns.
    pub fn window(&mut self) -> (Window, [u16; 2]) {
        loop {
            let mut pair = |lo, hi| [self.dice.int(lo, hi) as u16, self.dice.int(lo, hi) as u16];
            let window =
                Window { kernel: pair(1, 4), stride: pair(1, 3), dilation: pair(1, 2), pad: pair(0, 3) };
            let behind = pair(0, 3);
            let mut out = [0; 2];
            let sizes = [self.last.height, self.last.width];
            for axis in 0..2 {
                let reach = (window.kernel[axis] - 1) * window.dilation[axis] + 1;
                let padded = sizes[axis] + window.pad[axis] + behind[axis].min(window.pad[axis]);
                out[axis] = if padded < reach { 0 } else { (padded - reach) / window.stride[axis] + 1 };
            }
            let output = Tensor { height: out[0], width: out[1], ..self.last };
            if out[0] > 0 && out[1] > 0 && window.check(&self.last, &output).is_ok() {
                return (window, out);
            }
        }
    }

    pub fn weights(&mut self, channels: usize, fan_in: usize) -> Weights {
        let mut values = self.dice.i8s(channels * fan_in);
        if self.extreme {
            // Whole channels at one end, so that no sum can be larger.
            for row in values.chunks_exact_mut(fan_in) {
                match self.dice.int(0, 3) {
                    0 => row.fill(-128),
                    1 => row.fill(127),
                    2 => row.iter_mut().for_each(|w| *w = if *w < 0 { -128 } else { 127 }),
                    _ => {}
                }
            }
        }
        let bias: Vec<i32> = (0..channels).map(|_| self.dice.int(-3000, 3000) as i32).collect();
        // Sums of fan_in products spread over about 40 steps.
        let spread = if self.extreme { [1e-3, 1.0, 1e4, 1e9][self.dice.int(0, 3) as usize] } else { 1.0 };
        let base = spread * 40.0 / (70.0 * 70.0 * (fan_in as f32).sqrt());
        let multiplier: Vec<f32> = (0..channels).map(|_| base * (0.5 + self.dice.unit())).collect();
        Weights {
            values: self.writer.values(&values),
            bias: self.writer.values(&bias),
            multiplier: self.writer.values(&multiplier),
        }
    }

    pub fn clamp(&mut self) -> Clamp {
        let max = self.dice.int(60, 127) as i8;
        if self.dice.chance() { FULL } else { Clamp { min: -100, max } }
    }

    pub fn conv(&mut self, channels: u16) {
        let (window, [height, width]) = self.window();
        let output = self.place([height, width, channels]);
        let fan_in = window.area() as usize * usize::from(self.last.channels);
        let weights = self.weights(channels.into(), fan_in);
        let clamp = self.clamp();
        self.push(Layer::Conv2d { input: self.last, output, window, weights, clamp });
    }

    pub fn depthwise(&mut self) {
        let (window, [height, width]) = self.window();
        let channels = self.last.channels;
        let output = self.place([height, width, channels]);
        let weights = self.weights(channels.into(), window.area() as usize);
        let clamp = self.clamp();
        self.push(Layer::DepthwiseConv2d { input: self.last, output, window, weights, clamp });
    }

    pub fn dense(&mut self, outputs: u16) {
        let output = self.place([1, 1, outputs]);
        let weights = self.weights(outputs.into(), self.last.len() as usize);
        let clamp = self.clamp();
        self.push(Layer::Dense { input: self.last, output, weights, clamp });
    }

    pub fn max_pool(&mut self) {
        let (window, [height, width]) = self.window();
        let place = self.place([height, width, self.last.channels]);
        let output = Tensor { scale: self.last.scale, zero_point: self.last.zero_point, ..place };
        self.push(Layer::MaxPool { input: self.last, output, window });
    }

    pub fn avg_pool(&mut self) {
        let (window, [height, width]) = self.window();
        let output = self.place([height, width, self.last.channels]);
        let (count_padding, clamp) = (self.dice.chance(), self.clamp());
        self.push(Layer::AvgPool { input: self.last, output, window, count_padding, clamp });
    }

    pub fn lookup(&mut self) {
        let table = self.dice.i8s(256);
        let table = self.writer.values(&table);
        let place = self.place([self.last.height, self.last.width, self.last.channels]);
        let in_place = self.dice.chance() && !self.layers.is_empty();
        let offset = if in_place { self.last.offset } else { place.offset };
        let output = Tensor { offset, ..place };
        self.push(Layer::Lookup { input: self.last, output, table });
    }

    /// Adds the last tensor and the one before it made by a lookup, in one of four places.
    pub fn add(&mut self) {
        let a = self.last;
        let table = self.dice.i8s(256);
        let table = self.writer.values(&table);
        let b = self.place([a.height, a.width, a.channels]);
        self.push(Layer::Lookup { input: a, output: b, table });
        let place = self.place([a.height, a.width, a.channels]);
        let (a, b, offset) = match self.dice.int(0, 4) {
            0 => (a, b, a.offset),
            1 => (a, b, b.offset),
            2 => (a, a, a.offset),
            3 => (b, b, place.offset),
            _ => (a, b, place.offset),
        };
        let output = Tensor { offset, ..place };
        let (multiplier_a, multiplier_b) = (a.scale / output.scale, b.scale / output.scale);
        let clamp = self.clamp();
        self.push(Layer::Add { a, b, output, multiplier_a, multiplier_b, clamp });
    }

    /// A second tensor of this shape, made from the last by lookup and, if need be, a global pool.
    fn partner(&mut self, pooled: bool) -> (Tensor, Tensor) {
        let a = self.last;
        let b = self.place([a.height, a.width, a.channels]);
        let table = self.dice.i8s(256);
        let table = self.writer.values(&table);
        self.push(Layer::Lookup { input: a, output: b, table });
        if pooled {
            let window =
                Window { kernel: [a.height, a.width], stride: [1, 1], dilation: [1, 1], pad: [0, 0] };
            let output = self.place([1, 1, a.channels]);
            self.push(Layer::AvgPool { input: b, output, window, count_padding: false, clamp: FULL });
        }
        (a, self.last)
    }

    /// The last tensor less one made of it, or the reverse.
    pub fn sub(&mut self) {
        let (a, b) = self.partner(false);
        let place = self.place([a.height, a.width, a.channels]);
        let (a, b) = if self.dice.chance() { (a, b) } else { (b, a) };
        let offset = if self.dice.chance() { a.offset } else { place.offset };
        let output = Tensor { offset, ..place };
        let (multiplier_a, multiplier_b) = (a.scale / output.scale, b.scale / output.scale);
        let clamp = self.clamp();
        self.push(Layer::Sub { a, b, output, multiplier_a, multiplier_b, clamp });
    }

    /// The last tensor times one made of it, value by value or channel by channel, or times itself.
    pub fn mul(&mut self) {
        let kind = self.dice.int(0, 2);
        let (a, b) = self.partner(kind == 0);
        let b = if kind == 1 { a } else { b };
        let place = self.place([a.height, a.width, a.channels]);
        let offset = if self.dice.chance() { a.offset } else { place.offset };
        let output = Tensor { offset, ..place };
        let multiplier = 0.01 * (0.5 + self.dice.unit());
        let clamp = self.clamp();
        self.push(Layer::Mul { a, b, output, multiplier, clamp });
    }

    /// The last tensor and one made of it, along any axis.
    pub fn concat(&mut self) {
        let (a, b) = self.partner(false);
        let axis = self.dice.int(0, 2) as usize;
        let mut shape = [a.height, a.width, a.channels];
        shape[axis] *= 2;
        let output = self.place(shape);
        let (multiplier_a, multiplier_b) = (a.scale / output.scale, b.scale / output.scale);
        let (axis, clamp) = (axis as u8, self.clamp());
        self.push(Layer::Concat { a, b, output, axis, multiplier_a, multiplier_b, clamp });
    }

    pub fn pad(&mut self) {
        let mut pair = || [self.dice.int(0, 2) as u16, self.dice.int(0, 2) as u16];
        let (begin, end) = (pair(), pair());
        let [height, width] = [self.last.height + begin[0] + end[0], self.last.width + begin[1] + end[1]];
        let place = self.place([height, width, self.last.channels]);
        let output = Tensor { scale: self.last.scale, zero_point: self.last.zero_point, ..place };
        self.push(Layer::Pad { input: self.last, output, begin });
    }

    /// Ends with the values of the last tensor themselves.
    pub fn dequantize(&mut self) {
        self.push(Layer::Dequantize { input: self.last });
    }

    pub fn dense_output(&mut self, outputs: u16) {
        let weights = self.weights(outputs.into(), self.last.len() as usize);
        self.push(Layer::DenseOutput { input: self.last, weights });
    }

    pub fn add_posterior(&mut self, kind: NoiseKind) {
        let weights = self.layers[0].weights().unwrap();
        let channels = weights.bias.len as usize / 4;
        let fan_in = weights.values.len as usize / channels;
        let log_var: Vec<u8> = (0..weights.values.len).map(|_| self.dice.int(0, 255) as u8).collect();
        let top = match kind {
            NoiseKind::Weights => f32::from(stf_bnn::random::MAX_TABLE),
            NoiseKind::Outputs => 65535.0,
        };
        let table: Vec<u16> = (0..256).map(|b| (top * (-0.02 * b as f32).exp()) as u16).collect();
        // Noise of a few output steps, whatever the fan-in.
        let base = match kind {
            NoiseKind::Weights => 6.0 / (10.0 * 70.0 * (fan_in as f32).sqrt()),
            NoiseKind::Outputs => 6.0 / (4096.0 * 150.0 * 70.0 * (fan_in as f32).sqrt()),
        };
        let noise: Vec<f32> = (0..channels).map(|_| base * (0.5 + self.dice.unit())).collect();
        self.posterior = Some(Posterior {
            kind,
            log_var: self.writer.values(&log_var),
            log_var_max: self.writer.values(&vec![-3.0_f32; channels]),
            log_var_step: 0.04,
            table: self.writer.values(&table),
            noise_multiplier: self.writer.values(&noise),
            prior: Prior { mean_is_map: true, prior_sigma: 0.3, temperature: 1.0 },
        });
    }

    pub fn manifest(&self, outputs: u16) -> Manifest<'static> {
        Manifest {
            name: "random",
            task: Task::Classification,
            input: self.input,
            outputs,
            class_names: "",
            arena_bytes: self.next,
            layer_count: 0,
            posterior: self.posterior,
            temperature: 1.25,
            adaptive: None,
            conformal: None,
            abstention: None,
            drift: None,
            provenance: Provenance { tool: "tests", data: "none", seed: 1, training: "{}" },
        }
    }

    pub fn finish(self, outputs: u16) -> AlignedBytes {
        AlignedBytes::new(&self.write(outputs).expect("a valid model"))
    }

    pub fn write(mut self, outputs: u16) -> Result<Vec<u8>, ArtifactError> {
        let manifest = self.manifest(outputs);
        self.layers.iter().for_each(|&layer| self.writer.push_layer(layer));
        self.writer.finish(manifest)
    }
}

/// The builder of a random model of one kind, all its layers pushed.
pub fn build(first: First, seed: u64) -> Builder {
    let mut shape = Dice(seed ^ 0xABCD);
    let [h, w, c] = [shape.int(5, 9) as u16, shape.int(5, 9) as u16, shape.int(1, 5) as u16];
    let mut b = Builder::new(seed, [h, w, c]);
    match first {
        First::Conv => b.conv(shape.int(1, 20) as u16),
        First::Depthwise => b.depthwise(),
        First::Dense | First::DenseOutputs => b.dense(shape.int(1, 20) as u16),
        First::Plain => b.max_pool(),
    }
    match first {
        First::Plain => {}
        First::DenseOutputs => b.add_posterior(NoiseKind::Outputs),
        _ => b.add_posterior(NoiseKind::Weights),
    }
    for _ in 0..shape.int(2, 5) {
        match shape.int(0, 6) {
            0 => b.conv(shape.int(1, 18) as u16),
            1 => b.depthwise(),
            2 => b.max_pool(),
            3 => b.avg_pool(),
            4 => b.lookup(),
            5 => b.add(),
            _ => b.conv(shape.int(16, 40) as u16),
        }
    }
    if shape.chance() {
        b.dense(shape.int(2, 40) as u16);
    }
    b.dense_output(3);
    b
}

/// A random Bayesian model whose other layers join activations or pad them.
pub fn joints(seed: u64) -> AlignedBytes {
    let mut shape = Dice(seed ^ 0xABCD);
    let [h, w, c] = [shape.int(3, 7) as u16, shape.int(3, 7) as u16, shape.int(1, 5) as u16];
    let mut b = Builder::new(seed, [h, w, c]);
    b.conv(shape.int(1, 9) as u16);
    b.add_posterior(NoiseKind::Weights);
    for _ in 0..4 {
        match shape.int(0, 4) {
            0 => b.sub(),
            1 => b.concat(),
            2 => b.pad(),
            _ => b.mul(),
        }
    }
    b.dense_output(3);
    b.finish(3)
}

/// A random model.
pub fn model(first: First, seed: u64) -> AlignedBytes {
    build(first, seed).finish(3)
}

/// A rule that was fitted on nothing.
pub const RULE: Adaptive<'static> = Adaptive {
    samples_min: 0,
    samples_max: 8,
    group: 2,
    antithetic: true,
    threshold: 0.5,
    delta_millionths: 10_000,
    confidence_millionths: 950_000,
    examples: 300,
    differing: 0,
    mean_passes: 1.5,
    guarantee: "none: a test",
};

/// A copy of an artifact with an adaptive rule.
pub fn ruled(file: &AlignedBytes, rule: Adaptive<'_>) -> AlignedBytes {
    let model = Model::from_bytes(file).unwrap();
    let manifest = Manifest { adaptive: Some(rule), ..*model.manifest() };
    AlignedBytes::new(&ArtifactWriter::of(&model).finish(manifest).unwrap())
}

/// A quantized input for a model.
/// Layers under test.
pub const LAYERS: [&str; 7] = ["conv", "depthwise", "dense", "max pool", "average pool", "add", "lookup"];

/// A Bayesian convolution (or dense layer), whose draws differ, then the layer under test, whose values
/// are the outputs.
pub fn layer_model(layer: &str, seed: u64) -> AlignedBytes {
    let mut dice = Dice(seed);
    let mut size = |lo, hi| dice.int(lo, hi) as u16;
    let mut b = Builder::new(seed, [size(1, 12), size(1, 12), size(1, 7)]);
    b.extreme = seed % 2 == 1;
    // Channel counts around the widths of vectors, and everything between.
    let mut channels =
        || [size(1, 70), [1, 8, 16, 24, 32, 48, 64, 128][usize::from(size(0, 7))]][usize::from(size(0, 1))];
    if seed % 5 == 4 {
        b.dense(channels());
    } else {
        b.conv(channels());
    }
    b.add_posterior(NoiseKind::Weights);
    match layer {
        "conv" => b.conv(channels()),
        "depthwise" => b.depthwise(),
        "dense" => b.dense(channels()),
        "max pool" => b.max_pool(),
        "average pool" => b.avg_pool(),
        "add" => b.add(),
        _ => b.lookup(),
    }
    b.dequantize();
    let outputs = b.last.len() as u16;
    b.finish(outputs)
}

pub fn input(model: &Model<'_>, seed: u64) -> Vec<i8> {
    let mut dice = Dice(seed);
    (0..model.manifest().input.tensor.len()).map(|_| dice.int(-128, 127) as i8).collect()
}

/// Raw outputs of every draw, and the mean and spread, of one prediction.
pub fn predict(model: &Model<'_>, config: Config, counter: u64, input: &[i8]) -> (Vec<Vec<f32>>, Vec<f32>) {
    let mut workspace = vec![0xA5; model.workspace_bytes(&config).unwrap()];
    let mut predictor = Predictor::new(model, config, &mut workspace).unwrap();
    predictor.set_counter(counter);
    let mut draws = Vec::new();
    let prediction =
        predictor.predict_with(Input::Quantized(input), |_, outputs| draws.push(outputs.to_vec())).unwrap();
    let mut summary = prediction.mean.to_vec();
    summary.extend_from_slice(prediction.spread);
    if let Some(c) = prediction.classification {
        summary.extend([c.confidence, c.predictive_entropy, c.expected_entropy, c.mutual_information]);
    }
    (draws, summary)
}

/// The bytes of a blob, read without the accessors under test.
pub fn raw(file: &[u8], blob: Blob) -> Vec<u8> {
    let section = u32::from_le_bytes(file[16..20].try_into().unwrap()) as usize;
    file[section + blob.offset as usize..][..blob.len as usize].to_vec()
}

pub fn raw_f32(file: &[u8], blob: Blob) -> Vec<f32> {
    raw(file, blob).chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

pub fn raw_i32(file: &[u8], blob: Blob) -> Vec<i32> {
    raw(file, blob).chunks(4).map(|b| i32::from_le_bytes(b.try_into().unwrap())).collect()
}

/// CRC-32 bit by bit, apart from the field itself at bytes 24 to 27.
pub fn crc32(file: &[u8]) -> u32 {
    let bytes = file[..24].iter().chain(&file[28..]);
    !bytes.fold(!0_u32, |crc, &byte| {
        (0..8).fold(
            crc ^ u32::from(byte),
            |crc, _| {
                if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 }
            },
        )
    })
}

/// A model of three classes with thresholds that were fitted on nothing.
pub fn calibrated(file: &AlignedBytes) -> AlignedBytes {
    let model = Model::from_bytes(file).unwrap();
    let policy = SamplingPolicy { num_samples: 8, adaptive: false, seed: 0, fresh: true, antithetic: true };
    let mut writer = ArtifactWriter::resume(&model);
    let conformal = Conformal {
        policy,
        examples: 100,
        class_conditional: false,
        randomized: false,
        raps_lambda: 0.25,
        raps_rank: 1,
        alphas: writer.values(&[100_000_u32]),
        thresholds: writer.values(&[0.8_f32, 0.7, 0.5]),
    };
    let abstention = Abstention {
        policy,
        score: Score::MaxProbability,
        threshold: 0.25,
        risk_millionths: 20_000,
        confidence_millionths: 950_000,
        examples: 100,
        accepted: 60,
        errors: 0,
    };
    let drift = Drift {
        policy,
        score: Score::PredictiveEntropy,
        examples: 100,
        false_alarm_millionths: 10_000,
        reference_millionths: 5_000,
        thresholds: writer.values(&[0.5_f32]),
        above: writer.values(&[0.5_f32]),
        below: writer.values(&[0.75_f32]),
        bets: writer.values(&[0.5_f32, 1.49]),
    };
    let manifest = Manifest {
        conformal: Some(conformal),
        abstention: Some(abstention),
        drift: Some(drift),
        ..*model.manifest()
    };
    AlignedBytes::new(&writer.finish(manifest).unwrap())
}
