//! The built-in architectures, each built as the one graph.
//!
//! The networks of MLPerf Tiny (`resnet8`, `dscnn`, `mobilenet_v1_025`, `autoencoder`) have the layers
//! of its Keras code, also its biases before batch norm; where TensorFlow pads `SAME`, so do they.
//! Batch norm's epsilon and momentum are this tool's. All others have no bias before batch norm.

use super::check::check_size;
use super::{Activation, Graph, GraphBuilder, NodeId, Shape, Task, Window};
use crate::error::{Error, Result};

/// Names that [`build`] knows.
pub const NAMES: &[&str] = &[
    "mlp",
    "mlp-small",
    "mlp_large",
    "lenet5",
    "cnn4",
    "resnet8",
    "resnet20",
    "wrn16_4",
    "vgg11",
    "dscnn",
    "mobilenet_v1_025",
    "autoencoder",
];

/// Inputs with fewer rows or columns get a padded second convolution in `lenet5`.
const LENET_VALID_SIZE: usize = 12;

/// Builds an architecture by name.
///
/// - `mlp`: 400 and 400 ReLU units, for 28x28 digits 784-400-400-10.
/// - `mlp-small`: 64 and 64 ReLU units: tables of sensor values.
/// - `mlp_large`: 1200 and 1200 ReLU units, as in Blundell et al. 2015.
/// - `lenet5`: 6 5x5 filters with padding 2, 16 5x5 filters without, each with ReLU and 2x2 maximum;
///   dense 120, 84. For inputs below 12x12 the second convolution has padding 2, else nothing would
///   be left of an 8x8 digit.
/// - `cnn4`: four 3x3 convolutions with padding 1, batch norm and ReLU: 32, 32, 2x2 maximum, 64, 64,
///   2x2 maximum; dense.
/// - `resnet8`: MLPerf Tiny image classification.
/// - `resnet20`: He et al. 2016, section 4.2, with 1x1 convolutions and batch norm on the two
///   shortcuts that change shape (option B): 272,474 parameters where option A, which pads channels,
///   has 269,722.
/// - `wrn16_4`: Zagoruyko and Komodakis 2016: depth 16, width 4, batch norm and ReLU in front of each
///   convolution, no dropout.
/// - `vgg11`: Simonyan and Zisserman 2015, configuration A with batch norm, and one dense layer behind a
///   global mean; a 2x2 maximum is left out where nothing is left to pool.
/// - `dscnn`: MLPerf Tiny keyword spotting; meant for 49x10x1, takes any image.
/// - `mobilenet_v1_025`: MLPerf Tiny visual wake words; meant for 96x96x3, takes any image.
/// - `autoencoder`: MLPerf Tiny anomaly detection; meant for a vector of 640. It reconstructs its
///   input: `classes` is not used.
///
/// # Errors
/// If the name is not one of [`NAMES`], `classes` is zero, or the input is too small; the last names
/// the node and its input's shape.
pub fn build(name: &str, input: Shape, classes: usize) -> Result<Graph> {
    check_size("input", input)?;
    if classes == 0 && name != "autoencoder" {
        return Err(Error::invalid("classes", classes, "at least 1"));
    }
    let mut net = Net::new(name, input);
    match name {
        "mlp" => mlp(&mut net, 400, classes)?,
        "mlp-small" => mlp(&mut net, 64, classes)?,
        "mlp_large" => mlp(&mut net, 1200, classes)?,
        "lenet5" => lenet5(&mut net, classes)?,
        "cnn4" => cnn4(&mut net, classes)?,
        "resnet8" => resnet8(&mut net, classes)?,
        "resnet20" => resnet20(&mut net, classes)?,
        "wrn16_4" => wrn16_4(&mut net, classes)?,
        "vgg11" => vgg11(&mut net, classes)?,
        "dscnn" => dscnn(&mut net, classes)?,
        "mobilenet_v1_025" => mobilenet_v1_025(&mut net, classes)?,
        "autoencoder" => autoencoder(&mut net, input)?,
        _ => return Err(Error::invalid("architecture", name, format!("one of {}", NAMES.join(", ")))),
    }
    net.builder.finish()
}

/// As [`build`], for a Gaussian distribution of each of `targets` real values: its last layer has twice as
/// many outputs, all means, then the logarithms of all variances.
///
/// # Errors
/// As [`build`], and for a network that reconstructs its input.
pub fn build_regression(name: &str, input: Shape, targets: usize) -> Result<Graph> {
    if name == "autoencoder" {
        return Err(Error::invalid("architecture of a regression", name, "one that predicts targets"));
    }
    let graph = build(name, input, 2 * targets)?;
    Ok(Graph { task: Task::Gaussian, ..graph })
}

fn mlp(net: &mut Net, units: usize, classes: usize) -> Result<()> {
    for _ in 0..2 {
        net.dense(units)?;
        net.relu()?;
    }
    net.dense(classes)
}

fn lenet5(net: &mut Net, classes: usize) -> Result<()> {
    let small = net.shape.height.min(net.shape.width) < LENET_VALID_SIZE;
    for (filters, pad) in [(6, 2), (16, if small { 2 } else { 0 })] {
        net.conv(filters, Window::padded(5, 1, pad), true)?;
        net.relu()?;
        net.max_pool(2)?;
    }
    for units in [120, 84] {
        net.dense(units)?;
        net.relu()?;
    }
    net.dense(classes)
}

fn cnn4(net: &mut Net, classes: usize) -> Result<()> {
    for filters in [32, 64] {
        for _ in 0..2 {
            net.conv_bn_relu(filters, Window::padded(3, 1, 1), false)?;
        }
        net.max_pool(2)?;
    }
    net.dense(classes)
}

/// `resnet_v1_eembc`: biases everywhere, no batch norm on the shortcuts.
fn resnet8(net: &mut Net, classes: usize) -> Result<()> {
    net.conv_bn_relu(16, net.same(3, 1), true)?;
    for (filters, stride) in [(16, 1), (32, 2), (64, 2)] {
        let (start, shape) = (net.last, net.shape);
        net.conv_bn_relu(filters, net.same(3, stride), true)?;
        net.conv(filters, net.same(3, 1), true)?;
        net.batch_norm()?;
        let body = (net.last, net.shape);
        (net.last, net.shape) = (start, shape);
        if stride != 1 {
            net.conv(filters, net.same(1, stride), true)?;
        }
        let shortcut = net.last;
        (net.last, net.shape) = body;
        net.add_relu(shortcut)?;
    }
    net.global_avg_pool()?;
    net.dense(classes)
}

/// Three stages of three blocks.
fn resnet20(net: &mut Net, classes: usize) -> Result<()> {
    net.conv_bn_relu(16, Window::padded(3, 1, 1), false)?;
    for (stage, filters) in [16, 32, 64].into_iter().enumerate() {
        for block in 0..3 {
            let stride = if stage > 0 && block == 0 { 2 } else { 1 };
            let (start, shape) = (net.last, net.shape);
            net.conv_bn_relu(filters, Window::padded(3, stride, 1), false)?;
            net.conv(filters, Window::padded(3, 1, 1), false)?;
            net.batch_norm()?;
            let body = (net.last, net.shape);
            (net.last, net.shape) = (start, shape);
            if stride != 1 {
                net.conv(filters, Window::valid(1, stride), false)?;
                net.batch_norm()?;
            }
            let shortcut = net.last;
            (net.last, net.shape) = body;
            net.add_relu(shortcut)?;
        }
    }
    net.global_avg_pool()?;
    net.dense(classes)
}

/// Three groups of two blocks. Where a block changes the shape, its shortcut starts behind the first
/// batch norm and ReLU, as in the authors' code.
fn wrn16_4(net: &mut Net, classes: usize) -> Result<()> {
    net.conv(16, Window::padded(3, 1, 1), false)?;
    for (group, filters) in [64, 128, 256].into_iter().enumerate() {
        for block in 0..2 {
            let stride = if group > 0 && block == 0 { 2 } else { 1 };
            let changes = net.shape.channels != filters;
            let start = net.last;
            net.batch_norm()?;
            net.relu()?;
            let (active, shape) = (net.last, net.shape);
            net.conv(filters, Window::padded(3, stride, 1), false)?;
            net.batch_norm()?;
            net.relu()?;
            net.conv(filters, Window::padded(3, 1, 1), false)?;
            let body = (net.last, net.shape);
            let mut shortcut = start;
            if changes {
                (net.last, net.shape) = (active, shape);
                net.conv(filters, Window::valid(1, stride), false)?;
                shortcut = net.last;
            }
            (net.last, net.shape) = body;
            net.add(shortcut)?;
        }
    }
    net.batch_norm()?;
    net.relu()?;
    net.global_avg_pool()?;
    net.dense(classes)
}

fn vgg11(net: &mut Net, classes: usize) -> Result<()> {
    for stage in [&[64][..], &[128], &[256, 256], &[512, 512], &[512, 512]] {
        for &filters in stage {
            net.conv_bn_relu(filters, Window::padded(3, 1, 1), false)?;
        }
        if net.shape.height.min(net.shape.width) > 1 {
            net.max_pool(2)?;
        }
    }
    net.global_avg_pool()?;
    net.dense(classes)
}

fn dscnn(net: &mut Net, classes: usize) -> Result<()> {
    net.conv_bn_relu(64, Window::same([10, 4], [2, 2], net.shape), true)?;
    net.dropout(0.2)?;
    for _ in 0..4 {
        net.separable(64, 1)?;
    }
    net.dropout(0.4)?;
    net.global_avg_pool()?;
    net.dense(classes)
}

fn mobilenet_v1_025(net: &mut Net, classes: usize) -> Result<()> {
    /// Output channels and stride of each depthwise-separable convolution.
    const LAYERS: [(usize, usize); 13] = [
        (16, 1),
        (32, 2),
        (32, 1),
        (64, 2),
        (64, 1),
        (128, 2),
        (128, 1),
        (128, 1),
        (128, 1),
        (128, 1),
        (128, 1),
        (256, 2),
        (256, 1),
    ];
    net.conv_bn_relu(8, net.same(3, 2), true)?;
    for (filters, stride) in LAYERS {
        net.separable(filters, stride)?;
    }
    net.global_avg_pool()?;
    net.dense(classes)
}

fn autoencoder(net: &mut Net, input: Shape) -> Result<()> {
    for units in [128, 128, 128, 128, 8, 128, 128, 128, 128] {
        net.dense(units)?;
        net.batch_norm()?;
        net.relu()?;
    }
    net.dense(input.len())
}

/// A builder that appends to its last node.
struct Net {
    builder: GraphBuilder,
    last: NodeId,
    shape: Shape,
}

impl Net {
    fn new(name: &str, input: Shape) -> Self {
        let task = if name == "autoencoder" { Task::Reconstruction } else { Task::Classification };
        let builder = GraphBuilder::new(name, task, input);
        Self { last: builder.input(), builder, shape: input }
    }

    /// Makes a node that was appended the last one.
    fn follow(&mut self, id: NodeId) {
        self.last = id;
        self.shape = self.builder.shape(id).unwrap_or(self.shape);
    }

    /// A square window, padded `SAME` for the last node.
    fn same(&self, size: usize, stride: usize) -> Window {
        Window::same([size; 2], [stride; 2], self.shape)
    }

    fn conv(&mut self, filters: usize, window: Window, bias: bool) -> Result<()> {
        let id = self.builder.conv(self.last, filters, window, 1, bias)?;
        self.follow(id);
        Ok(())
    }

    fn conv_bn_relu(&mut self, filters: usize, window: Window, bias: bool) -> Result<()> {
        self.conv(filters, window, bias)?;
        self.batch_norm()?;
        self.relu()
    }

    /// A 3x3 depthwise and a 1x1 convolution, with biases, batch norms and ReLUs.
    fn separable(&mut self, filters: usize, stride: usize) -> Result<()> {
        let (channels, window) = (self.shape.channels, self.same(3, stride));
        let id = self.builder.conv(self.last, channels, window, channels, true)?;
        self.follow(id);
        self.batch_norm()?;
        self.relu()?;
        self.conv_bn_relu(filters, Window::valid(1, 1), true)
    }

    fn dense(&mut self, units: usize) -> Result<()> {
        let id = self.builder.dense(self.last, units, true)?;
        self.follow(id);
        Ok(())
    }

    fn batch_norm(&mut self) -> Result<()> {
        let id = self.builder.batch_norm(self.last)?;
        self.follow(id);
        Ok(())
    }

    fn relu(&mut self) -> Result<()> {
        let id = self.builder.activation(self.last, Activation::Relu)?;
        self.follow(id);
        Ok(())
    }

    fn add(&mut self, other: NodeId) -> Result<()> {
        let id = self.builder.add(self.last, other)?;
        self.follow(id);
        Ok(())
    }

    fn add_relu(&mut self, other: NodeId) -> Result<()> {
        self.add(other)?;
        self.relu()
    }

    fn max_pool(&mut self, size: usize) -> Result<()> {
        let id = self.builder.max_pool(self.last, Window::valid(size, size))?;
        self.follow(id);
        Ok(())
    }

    fn global_avg_pool(&mut self) -> Result<()> {
        let id = self.builder.global_avg_pool(self.last)?;
        self.follow(id);
        Ok(())
    }

    fn dropout(&mut self, rate: f32) -> Result<()> {
        let id = self.builder.dropout(self.last, rate)?;
        self.follow(id);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::fold::fold_batch_norm;
    use crate::graph::{Op, Params};

    /// Values of batch-norm statistics: Keras counts them as (non-trainable) parameters.
    fn statistics(graph: &Graph) -> usize {
        let norms = graph.nodes.iter().filter(|node| matches!(node.op, Op::BatchNorm { .. }));
        norms.map(|node| 2 * node.shape.channels).sum()
    }

    /// (MACs, parameters with statistics, trained parameters).
    fn figures(name: &str, input: Shape, classes: usize) -> (u64, usize, usize) {
        let graph = build(name, input, classes).unwrap();
        let trained = Params::zeros(&graph).count();
        (graph.macs(), trained + statistics(&graph), trained)
    }

    /// Published: the MACs, and the totals that Keras counts for the MLPerf Tiny reference networks,
    /// with batch-norm statistics. Trained ones: totals less two statistics a batch-norm channel.
    #[test]
    fn mlperf_tiny_networks_have_the_published_figures() {
        let resnet8 = figures("resnet8", Shape::new(32, 32, 3), 10);
        assert_eq!(resnet8, (12_501_632, 78_666, 78_186));
        let dscnn = figures("dscnn", Shape::new(49, 10, 1), 12);
        assert_eq!(dscnn, (2_656_768, 24_908, 23_756));
        let mobilenet = figures("mobilenet_v1_025", Shape::new(96, 96, 3), 2);
        assert_eq!(mobilenet, (7_489_664, 221_794, 216_322));
        let autoencoder = figures("autoencoder", Shape::vector(640), 0);
        assert_eq!(autoencoder, (264_192, 269_992, 267_928));
    }

    /// MLPerf Tiny's pretrained networks as ONNX have batch norm folded. Counted with Python's `onnx`:
    /// sizes of all float32 initializers; and weights times output positions of each Conv and Gemm.
    #[test]
    fn folded_mlperf_tiny_networks_are_as_large_as_the_onnx_files() {
        let files = [
            ("resnet8", Shape::new(32, 32, 3), 10, 77_706, 12_501_632),
            ("dscnn", Shape::new(49, 10, 1), 12, 22_604, 2_656_768),
            ("mobilenet_v1_025", Shape::new(96, 96, 3), 2, 210_850, 7_489_664),
            ("autoencoder", Shape::vector(640), 0, 265_864, 264_192),
        ];
        for (name, input, classes, parameters, macs) in files {
            let graph = build(name, input, classes).unwrap();
            let (folded, params, _) = fold_batch_norm(&graph, &Params::zeros(&graph), None).unwrap();
            assert_eq!((params.count(), folded.macs()), (parameters, macs), "{name}");
            assert_eq!(statistics(&folded), 0, "{name}");
        }
    }

    /// 61,706: LeCun et al. 1998 with the full C3 connection (as in uncertainty-baselines and Keras
    /// tutorials). 269,722 and 40.55 M: option A of He et al. ("0.27M", table 6), to which the two
    /// projections add 512 + 2048 weights and 192 of batch norm, and 2 x 131,072 MACs.
    #[test]
    fn textbook_networks_have_the_published_figures() {
        assert_eq!(figures("lenet5", Shape::new(28, 28, 1), 10), (416_520, 61_706, 61_706));
        let (macs, _, trained) = figures("resnet20", Shape::new(32, 32, 3), 10);
        assert_eq!(macs, 40_551_040 + 2 * 131_072);
        assert_eq!(trained, 269_722 + 512 + 2048 + 192);
        let mlp = 784 * 400 + 400 + 400 * 400 + 400 + 400 * 10 + 10;
        assert_eq!(figures("mlp", Shape::new(28, 28, 1), 10).2, mlp);
        // WRN-16-4: 2.75 M (Zagoruyko and Komodakis 2016; 2,748,890 counted in PyTorch). VGG-11 with batch
        // norm for 32x32: 9,231,114 with the 2,752 biases that batch norm makes useless.
        assert_eq!(figures("wrn16_4", Shape::new(32, 32, 3), 10).2, 2_748_890);
        assert_eq!(figures("vgg11", Shape::new(32, 32, 3), 10).2, 9_231_114 - 2_752);
        let mlp_large = 784 * 1200 + 1200 + 1200 * 1200 + 1200 + 1200 * 10 + 10;
        assert_eq!(figures("mlp_large", Shape::new(28, 28, 1), 10).2, mlp_large);
        let cnn4 = 9 * (32 + 32 * 32 + 32 * 64 + 64 * 64) + 2 * (32 + 32 + 64 + 64) + 7 * 7 * 64 * 10 + 10;
        assert_eq!(figures("cnn4", Shape::new(28, 28, 1), 10).2, cnn4);
    }

    #[test]
    fn every_architecture_builds_for_the_usual_images() {
        for &name in NAMES {
            for input in
                [Shape::new(8, 8, 1), Shape::new(28, 28, 1), Shape::new(32, 32, 3), Shape::new(49, 10, 1)]
            {
                let graph = build(name, input, 10).unwrap_or_else(|error| panic!("{name} {input}: {error}"));
                let expected = if name == "autoencoder" { input.len() } else { 10 };
                assert_eq!(graph.output_shape(), Shape::vector(expected), "{name} {input}");
                assert_eq!((graph.name.as_str(), graph.input_shape()), (name, input));
            }
        }
    }

    #[test]
    fn no_input_size_panics() {
        for &name in NAMES {
            for height in 0..14 {
                for width in 0..14 {
                    for channels in 0..3 {
                        let _ = build(name, Shape::new(height, width, channels), 3);
                    }
                }
            }
            assert!(build(name, Shape::new(usize::MAX, 2, 2), 3).is_err());
        }
    }

    #[test]
    fn errors_name_what_is_wrong() {
        let message = |name, input, classes| build(name, input, classes).unwrap_err().to_string();
        let unknown = message("lenet", Shape::new(28, 28, 1), 10);
        assert!(NAMES.iter().all(|name| unknown.contains(name)), "{unknown}");
        assert!(message("mlp", Shape::new(28, 28, 1), 0).starts_with("classes: found 0"));
        let small = message("cnn4", Shape::new(3, 3, 1), 10);
        assert!(small.contains("max_pool2") && small.contains("1x1x64"), "{small}");
        let empty = message("resnet8", Shape::new(0, 3, 1), 10);
        assert!(empty.contains("0x3x1"), "{empty}");
    }
}
