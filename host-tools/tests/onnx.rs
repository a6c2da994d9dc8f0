//! ONNX Runtime as an independent oracle of the float graph, of the int8 arithmetic and of the
//! Monte-Carlo mean. It is installed into a virtual environment under the user's cache folder; where
//! that is not possible, a line that begins with SKIPPED says so.

use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use stf_bnn::artifact::Prior;
use stf_bnn::{AlignedBytes, Config, Draws, Input, Model, Pass, Predictor, Samples};
use stf_host::data::{self, Dataset, Inputs, Preprocessing};
use stf_host::export::{Description, artifact};
use stf_host::graph::params::Posterior;
use stf_host::graph::{Activation, Graph, GraphBuilder, Op, Params, Shape, Task, Window, architectures};
use stf_host::onnx::{self, BakedDraws, InputType, Joints};
use stf_host::quantize::{QuantizeOptions, Quantized, quantize};
use stf_host::train::{Executor, Purpose, normals};

const PACKAGES: [&str; 2] = ["onnxruntime==1.32.0", "numpy==2.4.6"];
const EXAMPLES: usize = 6;

/// All architectures, at small inputs where the published one would take long.
const NETWORKS: [(&str, Shape); 9] = [
    ("mlp", Shape::new(8, 8, 1)),
    ("lenet5", Shape::new(28, 28, 1)),
    ("cnn4", Shape::new(28, 28, 1)),
    ("resnet8", Shape::new(32, 32, 3)),
    ("resnet20", Shape::new(32, 32, 3)),
    ("dscnn", Shape::new(49, 10, 1)),
    ("mobilenet_v1_025", Shape::new(48, 48, 3)),
    ("autoencoder", Shape::vector(640)),
    ("zoo", Shape::new(11, 9, 3)),
];

/// What no architecture has: a depthwise Bayesian first layer, lookups, mean pools with padding, products,
/// differences, concatenation, padding, a batch norm of its own, groups, an output that is no dense layer.
fn zoo(shape: Shape) -> Graph {
    let mut b = GraphBuilder::new("zoo", Task::Classification, shape);
    let x = b.conv(0, 3, Window::padded(3, 1, 1), 3, true).unwrap();
    let x = b.activation(x, Activation::HardSwish).unwrap();
    let x = b.conv(x, 8, Window::padded(3, 1, 1), 1, true).unwrap();
    let x = b.activation(x, Activation::LeakyRelu(0.1)).unwrap();
    let x = b.avg_pool(x, Window::padded(3, 1, 1), false).unwrap();
    let y = b.avg_pool(x, Window::padded(3, 1, 1), true).unwrap();
    let y = b.batch_norm(y).unwrap();
    let s = b.global_avg_pool(y).unwrap();
    let s = b.conv(s, 8, Window::valid(1, 1), 1, true).unwrap();
    let s = b.activation(s, Activation::HardSigmoid).unwrap();
    let gated = b.push(Op::Mul, &[y, s]).unwrap();
    let difference = b.push(Op::Sub, &[gated, x]).unwrap();
    let product = b.push(Op::Mul, &[gated, difference]).unwrap();
    let joined = b.push(Op::Concat { axis: 2 }, &[product, difference]).unwrap();
    let joined = b.push(Op::Concat { axis: 2 }, &[joined, gated]).unwrap();
    let padded = b.push(Op::Pad { begin: [1, 0], end: [0, 2] }, &[joined]).unwrap();
    let x = b.max_pool(padded, Window::valid(2, 2)).unwrap();
    let x = b.conv(x, 10, Window::valid(3, 1), 2, true).unwrap();
    b.global_avg_pool(x).unwrap();
    b.finish().unwrap()
}

/// Python with ONNX Runtime; made once.
fn python() -> Option<&'static Path> {
    static PYTHON: OnceLock<Option<PathBuf>> = OnceLock::new();
    let found = PYTHON.get_or_init(|| match install() {
        Ok(path) => Some(path),
        Err(reason) => {
            // Not `eprintln`, which the test harness keeps to itself when a test passes.
            let _ = writeln!(std::io::stderr(), "SKIPPED: the ONNX oracle did not run: {reason}");
            None
        }
    });
    found.as_deref()
}

fn install() -> Result<PathBuf, String> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = cache.or_else(home).ok_or("no cache folder")?.join("stf-bnn");
    let folder = cache.join(format!("oracle-{}", PACKAGES.join("-").replace("==", "-")));
    let python = folder.join("bin/python");
    let ready = folder.join("ready");
    if ready.exists() {
        return Ok(python);
    }
    std::fs::create_dir_all(&cache).map_err(|error| error.to_string())?;
    let lock = std::fs::File::create(cache.join("oracle.lock")).map_err(|error| error.to_string())?;
    lock.lock().map_err(|error| error.to_string())?;
    if !ready.exists() {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(PACKAGES))?;
        std::fs::write(&ready, "").map_err(|error| error.to_string())?;
    }
    Ok(python)
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// One tensor to feed.
struct Feed {
    name: String,
    dtype: &'static str,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

fn oracle(python: &Path, model: &[u8], feeds: &[Feed]) -> BTreeMap<String, Vec<u8>> {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    std::fs::write(path("model.onnx"), model).unwrap();
    let mut inputs = Vec::new();
    for feed in feeds {
        std::fs::write(path(&feed.name), &feed.bytes).unwrap();
        inputs.push(
            json!({ "name": feed.name, "file": path(&feed.name), "dtype": feed.dtype, "shape": feed.shape }),
        );
    }
    let jobs = json!([{ "model": path("model.onnx"), "inputs": inputs, "out": path("out") }]);
    std::fs::write(path("jobs.json"), jobs.to_string()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/run_onnx.py");
    run(Command::new(python).arg(script).arg(path("jobs.json"))).unwrap();
    let files = std::fs::read_dir(path("out")).unwrap().map(|entry| entry.unwrap().path());
    files
        .map(|file| (file.file_stem().unwrap().to_str().unwrap().to_string(), std::fs::read(file).unwrap()))
        .collect()
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
}

struct Net {
    name: &'static str,
    graph: Graph,
    params: Params,
    posterior: Posterior,
    data: Dataset,
    preprocessing: Preprocessing,
}

impl Net {
    fn new(name: &'static str, shape: Shape) -> Self {
        let graph = match name {
            "zoo" => zoo(shape),
            _ => architectures::build(name, shape, 10).unwrap(),
        };
        let mut params = Params::initialise(&graph, 3);
        for (id, node) in graph.nodes.iter().enumerate() {
            let numbers = normals(id as u64, Purpose::Noise, &[], node.shape.channels);
            let params = &mut params.nodes[id];
            for (c, z) in numbers.iter().enumerate() {
                if let Op::BatchNorm { .. } = node.op {
                    params.gamma.as_mut().unwrap()[[c]] = 1.0 + 0.3 * z;
                    params.beta.as_mut().unwrap()[[c]] = 0.1 * z;
                    params.running_var.as_mut().unwrap()[[c]] = (0.7 * z).exp();
                    params.running_mean.as_mut().unwrap()[[c]] = 0.2 * z;
                } else if let Some(bias) = &mut params.bias {
                    bias[[c]] = 0.1 * z;
                }
            }
        }
        let node = graph.first_weighted().unwrap();
        let weight = params.nodes[node].weight.as_ref().unwrap();
        let numbers = normals(9, Purpose::Noise, &[], weight.len());
        let mut log_var = weight.clone();
        let sigma = 0.5 * (2.0 / graph.fan_in(node) as f32).sqrt();
        log_var.iter_mut().zip(numbers).for_each(|(l, z)| *l = 2.0 * (sigma * (0.5 * z).exp()).ln());
        let noise = normals(5, Purpose::Noise, &[], 40 * shape.len());
        let pixels = noise.iter().map(|z| (120.0 + 60.0 * z).clamp(0.0, 255.0) as u8).collect();
        let digits = data::splits(data::load("digits", None).unwrap(), 0).unwrap().calibration;
        let data = Dataset { shape, inputs: Inputs::U8(pixels), labels: vec![0; 40], ..digits };
        let preprocessing = Preprocessing::fit(&data).unwrap();
        Self { name, graph, params, posterior: Posterior { node, log_var }, data, preprocessing }
    }

    fn quantized(&self, noise_per_output: bool) -> Quantized {
        let options = QuantizeOptions { noise_per_output, ..QuantizeOptions::default() };
        let posterior = Some(&self.posterior);
        quantize(&self.graph, &self.params, posterior, &self.data, &self.preprocessing, &options).unwrap()
    }

    fn artifact(&self, quantized: &Quantized) -> AlignedBytes {
        let description = Description {
            name: self.name,
            task: self.graph.task,
            class_names: &[],
            targets: None,
            prior: Some(Prior { mean_is_map: true, prior_sigma: 1.0, temperature: 1.0 }),
            data: "test",
            seed: 0,
            training: "{}",
        };
        AlignedBytes::new(&artifact(quantized, &description).unwrap())
    }

    fn pixels(&self, example: usize) -> &[u8] {
        let Inputs::U8(pixels) = &self.data.inputs else { unreachable!() };
        &pixels[example * self.data.shape.len()..][..self.data.shape.len()]
    }

    fn feed(&self) -> Vec<Feed> {
        let Shape { height, width, channels } = self.data.shape;
        let pixels = (0..EXAMPLES).flat_map(|example| self.pixels(example));
        let bytes = pixels.flat_map(|&pixel| f32::from(pixel).to_le_bytes()).collect();
        let shape = vec![EXAMPLES, height, width, channels];
        vec![Feed { name: "input".into(), dtype: "<f4", shape, bytes }]
    }
}

#[test]
fn float_model_equals_the_executor() {
    let Some(python) = python() else { return };
    for (name, shape) in NETWORKS {
        let net = Net::new(name, shape);
        let model = onnx::float(&net.graph, &net.params, &net.preprocessing, InputType::F32).unwrap();
        let outputs = oracle(python, &model, &net.feed());
        let output = if net.graph.task == Task::Classification { "logits" } else { "output" };
        let got = floats(&outputs[output]);
        let mut inputs = Vec::new();
        net.preprocessing.apply(&net.data, &(0..EXAMPLES).collect::<Vec<_>>(), &mut inputs).unwrap();
        let mut executor = Executor::new(&net.graph, EXAMPLES).unwrap();
        let wanted = executor.infer(&net.params, &inputs, EXAMPLES).unwrap();
        let size = wanted.iter().fold(1.0f32, |max, y| max.max(y.abs()));
        assert_eq!(got.len(), wanted.len());
        let worst = got.iter().zip(wanted).fold(0.0f32, |max, (a, b)| max.max((a - b).abs()));
        eprintln!("{name}: float differs by {:.1e} of the largest output {size}", worst / size);
        assert!(worst <= 1e-4 * size, "{name}: {worst} of {size}");
    }
}

/// Layers whose scales ONNX Runtime combines in another order.
const JOINTS: [&str; 4] = ["Add", "Sub", "Mul", "Concat"];

/// Every layer on the runtime's own inputs: values compared, values equal, by kind of layer.
#[test]
fn integer_operators_equal_the_mean_pass_value_by_value() {
    let Some(python) = python() else { return };
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (name, shape) in NETWORKS {
        let net = Net::new(name, shape);
        let quantized = net.quantized(false);
        let model = onnx::qoperator(&quantized, Joints::Separate).unwrap();
        let chained = onnx::qoperator(&quantized, Joints::Chained).unwrap();
        let bytes = net.artifact(&quantized);
        let artifact = Model::from_bytes(&bytes).unwrap();
        let config = Config::default();
        let mut workspace = vec![0; artifact.workspace_bytes(&config).unwrap()];
        let mut predictor = Predictor::new(&artifact, config, &mut workspace).unwrap();
        let layers: Vec<_> = artifact.layers().collect();
        let steps = &quantized.lowered.steps;
        let mut values: Vec<Vec<i8>> = vec![Vec::new(); quantized.lowered.values.len()];
        let input = artifact.manifest().input;
        let (mean, m) = (artifact.f32s(input.mean), artifact.f32s(input.multiplier));
        let mut finals = Vec::new();
        for example in 0..EXAMPLES {
            let pixels = net.pixels(example);
            let quantize = |(i, &x): (usize, &u8)| {
                let c = i % mean.len();
                stf_bnn::number::quantize(f32::from(x), mean[c], m[c], input.tensor.zero_point)
            };
            values[0].extend(pixels.iter().enumerate().map(quantize));
            let outputs = predictor.trace(Input::U8(pixels), Pass::Mean, |index, _, q| {
                values[steps[index].output.unwrap()].extend(q);
            });
            finals.extend_from_slice(outputs.unwrap());
        }
        let raw = |value: usize| values[value].iter().map(|&q| q as u8).collect::<Vec<_>>();
        let mut feeds = Vec::new();
        for (index, step) in steps.iter().enumerate() {
            for (letter, &value) in ["x", "y"].into_iter().zip(&step.inputs) {
                let Shape { height, width, channels } = quantized.lowered.values[value].shape;
                let shape = vec![EXAMPLES, height, width, channels];
                feeds.push(Feed { name: format!("{letter}{index}"), dtype: "i1", shape, bytes: raw(value) });
            }
        }
        let outputs = oracle(python, &model, &feeds);
        for (index, step) in steps.iter().enumerate() {
            let count = counts.entry(layers[index].name()).or_default();
            let Some(value) = step.output else {
                let got = floats(&outputs["output"]);
                assert_eq!(got.len(), finals.len());
                let equal = got.iter().zip(&finals).filter(|(a, b)| a.to_bits() == b.to_bits()).count();
                assert_eq!(equal, finals.len(), "{name}: outputs");
                *count = (count.0 + finals.len(), count.1 + equal);
                continue;
            };
            let got = &outputs[&format!("z{index}")];
            let wanted = &values[value];
            assert_eq!(got.len(), wanted.len());
            let apart = |(&a, &b): (&u8, &i8)| (i16::from(a as i8) - i16::from(b)).abs();
            let worst = got.iter().zip(wanted).map(apart).max().unwrap();
            let equal = got.iter().zip(wanted).filter(|&pair| apart(pair) == 0).count();
            *count = (count.0 + wanted.len(), count.1 + equal);
            // ONNX Runtime fuses multiplications and additions, and divides where we multiply by a ratio:
            // one step at a tie.
            let bound = i16::from(JOINTS.contains(&layers[index].name()));
            assert!(worst <= bound, "{name}, {}: {worst} steps", step.name);
        }
        if !layers.iter().any(|layer| JOINTS.contains(&layer.name())) {
            let got = floats(&oracle(python, &chained, &net.feed())["output"]);
            assert_eq!(got, finals, "{name}: from raw input to output");
        }
    }
    for (layer, (all, equal)) in &counts {
        eprintln!("{layer}: {equal} of {all} values equal");
    }
    for joint in JOINTS {
        let (all, equal) = counts[joint];
        assert!(equal as f64 >= 0.999 * all as f64, "{joint}: {equal} of {all}");
    }
    for layer in ["Lookup", "AvgPool", "Dequantize", "DepthwiseConv2d", "Pad", "MaxPool"] {
        assert!(counts.get(layer).is_some_and(|&(all, _)| all > 50), "{layer} did not run");
    }
}

/// ONNX Runtime runs some layers between the pairs in float, so that a value can round to the other
/// neighbour: outputs are compared with what int8 itself costs against the float network.
#[test]
fn qdq_model_equals_the_mean_pass_to_int8_accuracy() {
    let Some(python) = python() else { return };
    for (name, shape) in NETWORKS {
        let net = Net::new(name, shape);
        let quantized = net.quantized(false);
        let model = onnx::qdq(&net.graph, &net.params, &quantized, InputType::F32).unwrap();
        let output = if net.graph.task == Task::Classification { "logits" } else { "output" };
        let got = floats(&oracle(python, &model, &net.feed())[output]);
        let bytes = net.artifact(&quantized);
        let artifact = Model::from_bytes(&bytes).unwrap();
        let config = Config::default();
        let mut workspace = vec![0; artifact.workspace_bytes(&config).unwrap()];
        let mut predictor = Predictor::new(&artifact, config, &mut workspace).unwrap();
        let mut wanted = Vec::new();
        for example in 0..EXAMPLES {
            let pass = predictor.trace(Input::U8(net.pixels(example)), Pass::Mean, |_, _, _| {});
            wanted.extend_from_slice(pass.unwrap());
        }
        assert_eq!(got.len(), wanted.len());
        let equal =
            got.iter().zip(&wanted).filter(|(a, b)| (*a - *b).abs() <= 1e-5 * b.abs().max(1.0)).count();
        let rms =
            |values: &mut dyn Iterator<Item = f32>| values.map(|x| f64::from(x * x)).sum::<f64>().sqrt();
        let error = rms(&mut got.iter().zip(&wanted).map(|(a, b)| a - b));
        let size = rms(&mut wanted.iter().copied());
        eprintln!("{name}: QDQ {equal} of {} outputs equal, differs by {:.1e}", got.len(), error / size);
        assert!(error <= 0.02 * size, "{name}: {error} of {size}");
    }
}

/// int8 steps of hidden layers make the two differ: bounded by the worst probability.
#[test]
fn baked_draws_equal_the_runtimes_monte_carlo_mean() {
    let Some(python) = python() else { return };
    for (name, shape, per_output, antithetic, num_samples) in [
        ("lenet5", Shape::new(28, 28, 1), false, true, 5),
        ("resnet8", Shape::new(32, 32, 3), false, true, 4),
        ("dscnn", Shape::new(49, 10, 1), false, false, 3),
        ("mlp", Shape::new(8, 8, 1), false, true, 4),
        ("mlp", Shape::new(8, 8, 1), true, true, 5),
    ] {
        let net = Net::new(name, shape);
        let quantized = net.quantized(per_output);
        let draws = BakedDraws { num_samples, seed: 11, antithetic };
        let model = onnx::monte_carlo(&net.graph, &net.params, &quantized, draws, InputType::F32).unwrap();
        let got = floats(&oracle(python, &model, &net.feed())["probabilities"]);
        let bytes = net.artifact(&quantized);
        let artifact = Model::from_bytes(&bytes).unwrap();
        let samples = Samples::MonteCarlo(num_samples);
        let config = Config { samples, seed: 11, draws: Draws::Fixed, antithetic, ..Config::default() };
        let mean_pass = Config { samples: Samples::Mean, ..config };
        let (wanted, plain) = (predictions(&net, &artifact, config), predictions(&net, &artifact, mean_pass));
        let distance = |a: &[f32], b: &[f32]| {
            assert_eq!(a.len(), b.len());
            a.iter().zip(b).map(|(a, b)| f64::from((a - b).abs())).sum::<f64>() / a.len() as f64
        };
        let (error, noise) = (distance(&got, &wanted), distance(&plain, &wanted));
        eprintln!("{name}: mean |p - p_runtime| {error:.5}; without noise it would be {noise:.5}");
        assert!(error < 0.01, "{name}: {error}");
        assert!(error < 0.5 * noise, "{name}: {error} does not show the draws beside {noise}");
    }
}

fn predictions(net: &Net, artifact: &Model<'_>, config: Config) -> Vec<f32> {
    let mut workspace = vec![0; artifact.workspace_bytes(&config).unwrap()];
    let mut predictor = Predictor::new(artifact, config, &mut workspace).unwrap();
    let each = |example| predictor.predict(Input::U8(net.pixels(example))).unwrap().mean.to_vec();
    (0..EXAMPLES).flat_map(each).collect()
}
