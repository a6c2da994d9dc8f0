//! The five networks that runtimes are compared on, with random weights: time does not depend on them.

use stf_bnn::AlignedBytes;
use stf_bnn::artifact::{
    ArtifactWriter, ChannelOrder, Clamp, InputLayout, InputSpec, Layer, Manifest, NoiseKind, Posterior,
    Prior, Provenance, Task, Tensor, Weights, Window,
};

/// Their names.
pub const NAMES: [&str; 5] = ["ic_resnet8", "kws_dscnn", "vww_mobilenet", "ad01_ae", "resnet20"];

/// The artifact of a network, with a Bayesian first layer.
pub fn network(name: &str) -> AlignedBytes {
    match name {
        "ic_resnet8" => resnet(1),
        "kws_dscnn" => dscnn(),
        "vww_mobilenet" => mobilenet(),
        "ad01_ae" => autoencoder(),
        "resnet20" => resnet(3),
        "lenet5" => lenet(),
        _ => panic!("network: found {name}, expected one of {NAMES:?}"),
    }
}

/// Three stages of `blocks` residual blocks each.
fn resnet(blocks: usize) -> AlignedBytes {
    let mut net = Net::new([32, 32, 3]);
    net.conv(16, [3, 3], 1, true);
    net.posterior(NoiseKind::Weights);
    for (stage, filters) in [16, 32, 64].into_iter().enumerate() {
        for block in 0..blocks {
            let stride = if stage > 0 && block == 0 { 2 } else { 1 };
            let start = net.last;
            net.conv(filters, [3, 3], stride, true);
            net.held = Some(start);
            net.conv(filters, [3, 3], 1, false);
            let body = net.last;
            if stride == 2 {
                (net.last, net.held) = (start, Some(body));
                net.conv(filters, [1, 1], 2, false);
            } else {
                net.last = start;
            }
            net.add(body);
            net.held = None;
        }
    }
    net.global_pool();
    net.dense_output(10)
}

fn dscnn() -> AlignedBytes {
    let mut net = Net::new([49, 10, 1]);
    net.conv(64, [10, 4], 2, true);
    net.posterior(NoiseKind::Weights);
    for _ in 0..4 {
        net.depthwise(1);
        net.conv(64, [1, 1], 1, true);
    }
    net.global_pool();
    net.dense_output(12)
}

/// Not compared, but counted on microcontrollers.
fn lenet() -> AlignedBytes {
    let mut net = Net::new([28, 28, 1]);
    net.conv(6, [5, 5], 1, true);
    net.posterior(NoiseKind::Weights);
    net.max_pool();
    let window = Window { kernel: [5, 5], stride: [1; 2], dilation: [1; 2], pad: [0; 2] };
    let output = net.place([10, 10, 16]);
    let weights = net.weights(16, 150);
    net.push(Layer::Conv2d { input: net.last, output, window, weights, clamp: FULL });
    net.max_pool();
    net.dense(120);
    net.dense(84);
    net.dense_output(10)
}

fn mobilenet() -> AlignedBytes {
    let mut net = Net::new([96, 96, 3]);
    net.conv(8, [3, 3], 2, true);
    net.posterior(NoiseKind::Weights);
    let layers = [(16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2)];
    let layers = layers.into_iter().chain([(128, 1); 5]).chain([(256, 2), (256, 1)]);
    for (filters, stride) in layers {
        net.depthwise(stride);
        net.conv(filters, [1, 1], 1, true);
    }
    net.global_pool();
    net.dense_output(2)
}

fn autoencoder() -> AlignedBytes {
    let mut net = Net::new([1, 1, 640]);
    for units in [128, 128, 128, 128, 8, 128, 128, 128, 128] {
        net.dense(units);
        if net.layers.len() == 1 {
            net.posterior(NoiseKind::Outputs);
        }
    }
    net.dense_output(640)
}

/// Appends layers to the last tensor.
struct Net {
    bits: u64,
    writer: ArtifactWriter,
    layers: Vec<Layer>,
    input: InputSpec,
    posterior: Option<Posterior>,
    last: Tensor,
    /// A tensor beside `last` that is read later.
    held: Option<Tensor>,
}

/// Bytes of one of the three places that tensors take turns in.
const PLACE: u32 = 48 * 48 * 16;

impl Net {
    fn new([height, width, channels]: [u16; 3]) -> Self {
        let mut writer = ArtifactWriter::new();
        let tensor = Tensor { offset: 0, height, width, channels, scale: 0.05, zero_point: 3 };
        let mean = writer.values(&vec![0.0_f32; channels.into()]);
        let multiplier = writer.values(&vec![1.0 / tensor.scale; channels.into()]);
        let (layout, channel_order) = (InputLayout::Nhwc, ChannelOrder::Same);
        let input = InputSpec { tensor, mean, multiplier, layout, channel_order };
        Self { bits: 1, writer, layers: Vec::new(), input, posterior: None, last: tensor, held: None }
    }

    fn random(&mut self, count: usize) -> Vec<u8> {
        let mut next = || {
            self.bits = self.bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (self.bits >> 56) as u8
        };
        (0..count).map(|_| next()).collect()
    }

    /// A tensor in the first place that neither the last one nor the one held lies in.
    fn place(&self, [height, width, channels]: [u16; 3]) -> Tensor {
        let taken = |offset| {
            let first = self.layers.is_empty();
            (!first && self.last.offset == offset) || self.held.is_some_and(|held| held.offset == offset)
        };
        let offset = [0, PLACE, 2 * PLACE].into_iter().find(|&offset| !taken(offset)).unwrap_or(3 * PLACE);
        Tensor { offset, height, width, channels, scale: 0.05, zero_point: -128 }
    }

    fn push(&mut self, layer: Layer) {
        if let Some(output) = layer.output() {
            self.last = output;
        }
        self.layers.push(layer);
    }

    fn weights(&mut self, channels: usize, fan_in: usize) -> Weights {
        let values: Vec<i8> = self.random(channels * fan_in).iter().map(|&b| (b as i8).max(-127)).collect();
        let bias = vec![100_i32; channels];
        let multiplier = vec![30.0 / (73.0 * 73.0 * (fan_in as f32).sqrt()); channels];
        Weights {
            values: self.writer.values(&values),
            bias: self.writer.values(&bias),
            multiplier: self.writer.values(&multiplier),
        }
    }

    /// A window with the padding that keeps `ceil(size / stride)` outputs, and their number.
    fn window(&self, kernel: [u16; 2], stride: u16) -> (Window, [u16; 2]) {
        let sizes = [self.last.height, self.last.width];
        let out = sizes.map(|size| size.div_ceil(stride));
        let pad = [0, 1].map(|i| ((out[i] - 1) * stride + kernel[i]).saturating_sub(sizes[i]) / 2);
        (Window { kernel, stride: [stride; 2], dilation: [1; 2], pad }, out)
    }

    fn conv(&mut self, channels: u16, kernel: [u16; 2], stride: u16, relu: bool) {
        let (window, [height, width]) = self.window(kernel, stride);
        let mut output = self.place([height, width, channels]);
        if !relu {
            output.zero_point = 4;
        }
        let weights = self.weights(channels.into(), window.area() as usize * usize::from(self.last.channels));
        self.push(Layer::Conv2d { input: self.last, output, window, weights, clamp: FULL });
    }

    fn depthwise(&mut self, stride: u16) {
        let (window, [height, width]) = self.window([3, 3], stride);
        let output = self.place([height, width, self.last.channels]);
        let weights = self.weights(self.last.channels.into(), 9);
        self.push(Layer::DepthwiseConv2d { input: self.last, output, window, weights, clamp: FULL });
    }

    /// Halves both sides.
    fn max_pool(&mut self) {
        let window = Window { kernel: [2; 2], stride: [2; 2], dilation: [1; 2], pad: [0; 2] };
        let Tensor { height, width, channels, .. } = self.last;
        let output = self.place([height / 2, width / 2, channels]);
        let output = Tensor { zero_point: self.last.zero_point, ..output };
        self.push(Layer::MaxPool { input: self.last, output, window });
    }

    fn dense(&mut self, units: u16) {
        let output = self.place([1, 1, units]);
        let weights = self.weights(units.into(), self.last.len() as usize);
        self.push(Layer::Dense { input: self.last, output, weights, clamp: FULL });
    }

    /// `relu(last + b)`, in place.
    fn add(&mut self, b: Tensor) {
        let a = self.last;
        let output = Tensor { offset: b.offset, zero_point: -128, ..a };
        let layer = Layer::Add { a, b, output, multiplier_a: 1.0, multiplier_b: 1.0, clamp: FULL };
        self.push(layer);
    }

    fn global_pool(&mut self) {
        let kernel = [self.last.height, self.last.width];
        let window = Window { kernel, stride: [1; 2], dilation: [1; 2], pad: [0; 2] };
        let output = self.place([1, 1, self.last.channels]);
        let layer = Layer::AvgPool { input: self.last, output, window, count_padding: false, clamp: FULL };
        self.push(layer);
    }

    /// Noise of a few output steps.
    fn posterior(&mut self, kind: NoiseKind) {
        let Some(weights) = self.layers[0].weights() else { return };
        let channels = weights.bias.len as usize / 4;
        let fan_in = weights.values.len as usize / channels;
        let log_var = self.random(weights.values.len as usize);
        let (top, m) = match kind {
            NoiseKind::Weights => {
                (f32::from(stf_bnn::random::MAX_TABLE), 6.0 / (700.0 * (fan_in as f32).sqrt()))
            }
            NoiseKind::Outputs => (65535.0, 6.0 / (4096.0 * 150.0 * 70.0 * (fan_in as f32).sqrt())),
        };
        let table: Vec<u16> = (0..256).map(|b| (top * (-0.02 * b as f32).exp()) as u16).collect();
        self.posterior = Some(Posterior {
            kind,
            log_var: self.writer.values(&log_var),
            log_var_max: self.writer.values(&vec![-3.0_f32; channels]),
            log_var_step: 0.04,
            table: self.writer.values(&table),
            noise_multiplier: self.writer.values(&vec![m; channels]),
            prior: Prior { mean_is_map: true, prior_sigma: 0.3, temperature: 1.0 },
        });
    }

    fn dense_output(mut self, outputs: u16) -> AlignedBytes {
        let weights = self.weights(outputs.into(), self.last.len() as usize);
        self.push(Layer::DenseOutput { input: self.last, weights });
        let manifest = Manifest {
            name: "benchmark",
            task: if outputs > 100 { Task::Regression } else { Task::Classification },
            input: self.input,
            outputs,
            class_names: "",
            arena_bytes: 4 * PLACE,
            layer_count: 0,
            posterior: self.posterior,
            temperature: 1.0,
            adaptive: None,
            conformal: None,
            abstention: None,
            drift: None,
            provenance: Provenance { tool: "bench", data: "none", seed: 1, training: "{}" },
        };
        for &layer in &self.layers {
            self.writer.push_layer(layer);
        }
        AlignedBytes::new(&self.writer.finish(manifest).expect("a valid network"))
    }
}

const FULL: Clamp = Clamp { min: -128, max: 127 };
