//! The four networks of the comparison, and the numbers they start from.

use stf_host::Result;
use stf_host::graph::{Activation, Graph, GraphBuilder, NodeId, Op, Params, Shape, Task, Window};

/// What there is to choose from.
pub const NETWORKS: [&str; 4] = ["lenet", "dscnn", "resnet20", "mlp"];

/// One of [`NETWORKS`].
pub fn build(network: &str) -> Result<Graph> {
    let input = match network {
        "resnet20" => Shape::new(32, 32, 3),
        "dscnn" => Shape::new(49, 10, 1),
        "lenet" | "mlp" => Shape::new(28, 28, 1),
        _ => return Err(stf_host::Error::invalid("network", network, NETWORKS.join(", "))),
    };
    let mut net = Net(GraphBuilder::new(network, Task::Classification, input));
    match network {
        "resnet20" => net.resnet20()?,
        "dscnn" => net.dscnn()?,
        "lenet" => net.lenet()?,
        _ => net.mlp()?,
    };
    net.0.finish()
}

/// The four networks, layer for layer as their peers are usually written in PyTorch.
struct Net(GraphBuilder);

impl Net {
    fn conv_bn(&mut self, x: NodeId, channels: usize, window: Window, groups: usize) -> Result<NodeId> {
        let conv = self.0.conv(x, channels, window, groups, false)?;
        self.0.batch_norm(conv)
    }

    fn relu(&mut self, x: NodeId) -> Result<NodeId> {
        self.0.activation(x, Activation::Relu)
    }

    fn block(&mut self, x: NodeId, channels: usize, stride: usize) -> Result<NodeId> {
        let a = self.conv_bn(x, channels, Window::padded(3, stride, 1), 1)?;
        let a = self.relu(a)?;
        let b = self.conv_bn(a, channels, Window::padded(3, 1, 1), 1)?;
        let shortcut = if stride == 1 { x } else { self.conv_bn(x, channels, Window::valid(1, stride), 1)? };
        let sum = self.0.add(b, shortcut)?;
        self.relu(sum)
    }

    fn resnet20(&mut self) -> Result<NodeId> {
        let stem = self.conv_bn(0, 16, Window::padded(3, 1, 1), 1)?;
        let mut x = self.relu(stem)?;
        for (stage, channels) in [16, 32, 64].into_iter().enumerate() {
            for block in 0..3 {
                x = self.block(x, channels, if stage > 0 && block == 0 { 2 } else { 1 })?;
            }
        }
        let mean = self.0.global_avg_pool(x)?;
        self.0.dense(mean, 10, true)
    }

    fn dscnn(&mut self) -> Result<NodeId> {
        let stem =
            Window { kernel: [10, 4], stride: [2; 2], dilation: [1; 2], pad_begin: [4, 1], pad_end: [4, 1] };
        let stem = self.conv_bn(0, 64, stem, 1)?;
        let mut x = self.relu(stem)?;
        for _ in 0..4 {
            let depthwise = self.conv_bn(x, 64, Window::padded(3, 1, 1), 64)?;
            let depthwise = self.relu(depthwise)?;
            let pointwise = self.conv_bn(depthwise, 64, Window::valid(1, 1), 1)?;
            x = self.relu(pointwise)?;
        }
        let mean = self.0.global_avg_pool(x)?;
        self.0.dense(mean, 12, true)
    }

    fn lenet(&mut self) -> Result<NodeId> {
        let mut x = self.0.conv(0, 6, Window::padded(5, 1, 2), 1, true)?;
        x = self.relu(x)?;
        x = self.0.max_pool(x, Window::valid(2, 2))?;
        x = self.0.conv(x, 16, Window::valid(5, 1), 1, true)?;
        x = self.relu(x)?;
        x = self.0.max_pool(x, Window::valid(2, 2))?;
        x = self.0.flatten(x)?;
        self.head(x, &[120, 84])
    }

    fn mlp(&mut self) -> Result<NodeId> {
        self.head(0, &[400, 400])
    }

    fn head(&mut self, mut x: NodeId, hidden: &[usize]) -> Result<NodeId> {
        for &features in hidden {
            x = self.0.dense(x, features, true)?;
            x = self.relu(x)?;
        }
        self.0.dense(x, 10, true)
    }
}

/// Kernel `k` (from 1) is uniform from stream `k`: within sqrt(6 / fan_in) in a convolution, and
/// sqrt(1 / fan_in) in a dense layer, written in the order of channels-first frameworks.
pub fn start(graph: &Graph) -> Params {
    let mut params = Params::zeros(graph);
    let mut stream = 0;
    for (id, node) in graph.nodes.iter().enumerate() {
        let Some(weight) = &mut params.nodes[id].weight else { continue };
        stream += 1;
        let fan_in = graph.fan_in(id);
        let (gain, kernel) = match node.op {
            Op::Conv2d { window, groups, .. } => {
                let [height, width] = window.kernel;
                (6.0, Shape::new(height, width, graph.input_of(id).channels / groups))
            }
            _ => (1.0, before_flatten(graph, id)),
        };
        let values = uniform(stream, weight.len(), (gain / fan_in as f64).sqrt() as f32);
        let values =
            values.chunks_exact(fan_in).flat_map(|kernel_values| channels_last(kernel_values, kernel));
        for (weight, value) in weight.iter_mut().zip(values) {
            *weight = value;
        }
    }
    params
}

/// The shape whose values a dense layer reads, looking through a flatten.
fn before_flatten(graph: &Graph, id: NodeId) -> Shape {
    let input = graph.nodes[id].inputs[0];
    match graph.nodes[input].op {
        Op::Flatten => graph.input_of(input),
        _ => graph.nodes[input].shape,
    }
}

/// CHW to HWC.
pub fn channels_last(values: &[f32], shape: Shape) -> Vec<f32> {
    let plane = shape.height * shape.width;
    (0..values.len()).map(|i| values[i % shape.channels * plane + i / shape.channels]).collect()
}

/// Uniform in -scale..scale, by SplitMix64 of (seed, index).
pub fn uniform(seed: u64, count: usize, scale: f32) -> Vec<f32> {
    let value = |index: u64| {
        let z = (seed << 32).wrapping_add(index).wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let z = z ^ (z >> 31);
        ((z >> 40) as f32 / (1 << 23) as f32 - 1.0) * scale
    };
    (0..count as u64).map(value).collect()
}
