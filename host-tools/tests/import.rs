//! Imports of the small files in `onnx_models`, against what ONNX Runtime made of them
//! (`onnx_models/make_models.py`), refusals, and hostile files.
#![cfg(feature = "onnx-import")]

use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use stf_bnn::{AlignedBytes, Config, Input, Model, Pass, Predictor};
use stf_host::data::{Dataset, Inputs, Preprocessing};
use stf_host::export::{Description, artifact};
use stf_host::graph::{Op, Shape, Task};
use stf_host::import::{self, ImportOptions, Imported};
use stf_host::quantize::{QuantizeOptions, quantize};
use stf_host::train::{Executor, Purpose, memory::peak_rss_bytes, normals};

#[path = "../src/import/proto.rs"]
#[allow(dead_code, unreachable_pub)]
mod proto;

const MODELS: [&str; 10] = [
    "geometry",
    "activations",
    "joints",
    "normalised",
    "channels_last",
    "one_dimensional",
    "vector",
    "digits",
    "torch_legacy",
    "torch_dynamo",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx_models")
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(format!("{name}.onnx"))).unwrap()
}

/// Shape, input in the file's order, and ONNX Runtime's output.
struct Golden {
    shape: Shape,
    input: Vec<f32>,
    output: Vec<f32>,
}

fn golden(name: &str) -> Golden {
    parse(&std::fs::read_to_string(folder().join(format!("{name}.json"))).unwrap()).0
}

/// A golden file, and the file's last operator if it is a softmax.
fn parse(text: &str) -> (Golden, String) {
    let value: serde_json::Value = serde_json::from_str(text).unwrap();
    let numbers = |field: &str| -> Vec<f32> {
        value[field].as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect()
    };
    let shape: Vec<usize> = numbers("shape").iter().map(|&v| v as usize).collect();
    let golden = Golden {
        shape: Shape::new(shape[0], shape[1], shape[2]),
        input: numbers("input"),
        output: numbers("output"),
    };
    (golden, value["last"].as_str().unwrap_or_default().to_string())
}

fn import(name: &str) -> (Imported, Golden) {
    let golden = golden(name);
    let options = ImportOptions { input: Some(golden.shape), ..ImportOptions::default() };
    (import::read(&folder().join(format!("{name}.onnx")), &options).unwrap(), golden)
}

/// The input in the graph's order: all files but one are channels first.
fn nhwc(name: &str, golden: &Golden) -> Vec<f32> {
    let Shape { height, width, channels } = golden.shape;
    if matches!(name, "channels_last" | "vector") {
        return golden.input.clone();
    }
    let plane = height * width;
    (0..plane).flat_map(|at| (0..channels).map(move |c| golden.input[c * plane + at])).collect()
}

/// What the file does after the logits.
fn finish(name: &str, outputs: &[f32]) -> Vec<f32> {
    let max = outputs.iter().fold(f32::NEG_INFINITY, |max, &y| max.max(y));
    let sum: f32 = outputs.iter().map(|y| (y - max).exp()).sum();
    match name {
        "activations" | "Softmax" => outputs.iter().map(|y| (y - max).exp() / sum).collect(),
        "joints" | "LogSoftmax" => outputs.iter().map(|y| y - max - sum.ln()).collect(),
        _ => outputs.to_vec(),
    }
}

fn normalise(imported: &Imported, input: &mut [f32]) {
    if let Some(n) = &imported.normalisation {
        let channels = n.scale.iter().zip(&n.shift).cycle();
        input.iter_mut().zip(channels).for_each(|(x, (scale, shift))| *x = *x * scale + shift);
    }
}

#[test]
fn imported_graphs_give_the_outputs_of_onnx_runtime() {
    for name in MODELS {
        let (imported, golden) = import(name);
        let mut input = nhwc(name, &golden);
        normalise(&imported, &mut input);
        let mut executor = Executor::new(&imported.graph, 1).unwrap();
        let outputs = finish(name, executor.infer(&imported.params, &input, 1).unwrap());
        assert_eq!(outputs.len(), golden.output.len(), "{name}");
        let size = golden.output.iter().fold(1e-3f32, |max, y| max.max(y.abs()));
        let worst = outputs.iter().zip(&golden.output).fold(0.0f32, |max, (a, b)| max.max((a - b).abs()));
        assert!(worst <= 1e-4 * size, "{name}: differs by {worst} of {size}");
    }
}

/// The whole way down: quantized, written, checked by the loader, run by the runtime.
#[test]
fn imported_graphs_run_on_the_runtime_to_int8_accuracy() {
    for name in MODELS {
        let (imported, golden) = import(name);
        let shape = golden.shape;
        let n = 64;
        let mut values = nhwc(name, &golden);
        values.extend(normals(1, Purpose::Noise, &[], (n - 1) * shape.len()));
        let data = Dataset {
            name: name.into(),
            shape,
            inputs: Inputs::F32(values),
            labels: vec![0; n],
            class_names: vec!["a".into()],
            targets: Default::default(),
        };
        let ones = vec![1.0; shape.channels];
        let file = imported.normalisation.clone();
        let (scale, shift) = file.map_or((ones.clone(), vec![0.0; shape.channels]), |f| (f.scale, f.shift));
        let preprocessing = Preprocessing {
            mean: shift.iter().zip(&scale).map(|(t, s)| -t / s).collect(),
            std: scale.iter().map(|s| 1.0 / s).collect(),
            ..Preprocessing::default()
        };
        let options = QuantizeOptions::default();
        let quantized =
            quantize(&imported.graph, &imported.params, None, &data, &preprocessing, &options).unwrap();
        let description = Description {
            name,
            task: imported.graph.task,
            class_names: &[],
            targets: None,
            prior: None,
            data: "test",
            seed: 0,
            training: "{}",
        };
        let bytes = AlignedBytes::new(&artifact(&quantized, &description).unwrap());
        let model = Model::from_bytes(&bytes).unwrap();
        let config = Config::default();
        let mut workspace = vec![0; model.workspace_bytes(&config).unwrap()];
        let mut predictor = Predictor::new(&model, config, &mut workspace).unwrap();
        let Inputs::F32(values) = &data.inputs else { unreachable!() };
        let mut executor = Executor::new(&imported.graph, 1).unwrap();
        let (mut error, mut power) = (0.0, 0.0);
        for example in values.chunks_exact(shape.len()) {
            let got = predictor.trace(Input::F32(example), Pass::Mean, |_, _, _| {}).unwrap().to_vec();
            let mut input = example.to_vec();
            normalise(&imported, &mut input);
            for (a, b) in got.iter().zip(executor.infer(&imported.params, &input, 1).unwrap()) {
                error += f64::from(a - b).powi(2);
                power += f64::from(*b).powi(2);
            }
        }
        let share = (error / power).sqrt();
        eprintln!("{name}: int8 differs from float by {share:.4} of the outputs' root mean square");
        assert!(share < 0.1, "{name}: {share}");
    }
}

#[test]
fn what_the_file_says_is_found() {
    let (net, _) = import("activations");
    assert_eq!((net.graph.task, net.normalisation.is_none()), (Task::Classification, true));
    let hard_swishes = |op: &Op| matches!(op, Op::Activation(a) if a.name() == "hard_swish");
    assert_eq!(net.graph.nodes.iter().filter(|node| hard_swishes(&node.op)).count(), 2);
    let (net, _) = import("normalised");
    assert_eq!(net.normalisation.unwrap().scale, [0.5 / 0.2, 0.5 / 0.3, 0.5 / 0.25]);
    assert!(matches!(net.graph.nodes[1].op, Op::Conv2d { .. }));
    assert_eq!(import("vector").0.graph.task, Task::Reconstruction);
}

/// Files that `onnx_models/collect_models.py` collected into the folder `STF_ONNX_MODELS`: each gives ONNX
/// Runtime's outputs, or is refused for a reason.
#[test]
fn collected_files_import_or_are_refused() {
    let Some(folder) = std::env::var_os("STF_ONNX_MODELS").map(PathBuf::from) else { return };
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|f| f.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "onnx"));
    files.sort();
    let (mut equal, mut refused) = (0, 0);
    for file in &files {
        let text = std::fs::read_to_string(file.with_extension("json")).unwrap();
        let (golden, last) = parse(&text);
        let options = ImportOptions { input: Some(golden.shape), ..ImportOptions::default() };
        let name = file.file_stem().unwrap().to_string_lossy();
        let started = Instant::now();
        let imported = match import::read(file, &options) {
            Ok(imported) => imported,
            Err(error) => {
                refused += 1;
                eprintln!("{name}: refused: {error}");
                continue;
            }
        };
        let seconds = started.elapsed().as_secs_f64();
        let Shape { height, width, channels } = golden.shape;
        let plane = height * width;
        let mut input: Vec<f32> = (0..plane)
            .flat_map(|at| (0..channels).map(|c| golden.input[c * plane + at]).collect::<Vec<_>>())
            .collect();
        normalise(&imported, &mut input);
        let mut executor = Executor::new(&imported.graph, 1).unwrap();
        let mut outputs = finish(&last, executor.infer(&imported.params, &input, 1).unwrap());
        let shape = imported.graph.output_shape();
        if shape.height * shape.width > 1 {
            // The file's order is channels first; the graph's is not.
            let (area, c) = (shape.height * shape.width, shape.channels);
            outputs = (0..c)
                .flat_map(|c_| (0..area).map(move |at| (c_, at)))
                .map(|(i, at)| outputs[at * c + i])
                .collect();
        }
        assert_eq!(outputs.len(), golden.output.len(), "{name}");
        let size = golden.output.iter().fold(1e-3f32, |max, y| max.max(y.abs()));
        let worst = outputs.iter().zip(&golden.output).fold(0.0f32, |max, (a, b)| max.max((a - b).abs()));
        assert!(worst <= 1e-4 * size, "{name}: differs by {worst} of {size}");
        eprintln!(
            "{name}: equal to {:.0e}, {} nodes, read in {seconds:.2} s",
            worst / size,
            imported.graph.nodes.len()
        );
        equal += 1;
    }
    eprintln!("{equal} equal, {refused} refused, {} files", files.len());
    assert!(equal > 0);
}

type Change = fn(&mut proto::ModelProto);

fn changed(name: &str, change: Change) -> String {
    use prost::Message;
    let mut model = proto::ModelProto::decode(bytes(name).as_slice()).unwrap();
    change(&mut model);
    let options = ImportOptions { input: Some(golden(name).shape), ..ImportOptions::default() };
    let result = import::from_bytes(Path::new("m.onnx"), &model.encode_to_vec(), &options);
    result.err().map_or_else(String::new, |error| error.to_string())
}

fn graph(model: &mut proto::ModelProto) -> &mut proto::GraphProto {
    model.graph.as_mut().unwrap()
}

#[test]
fn refusals_name_what_they_refuse() {
    let all = changed("geometry", |m| {
        for (node, op) in graph(m).node.iter_mut().zip(["Conv", "Relu", "Einsum", "TopK"]) {
            node.op_type = op.into();
        }
    });
    assert!(all.contains("2 that cannot be imported"), "{all}");
    assert!(all.contains("(Einsum)") && all.contains("(TopK)"), "{all}");
    let inputs = changed("vector", |m| {
        let again = proto::ValueInfoProto { name: "mask".into(), ..graph(m).input[0].clone() };
        graph(m).input.push(again);
    });
    assert!(inputs.contains("inputs: found 2 (input, mask)"), "{inputs}");
    let first = changed("joints", |m| {
        let node = graph(m).node.iter_mut().find(|node| node.op_type == "Mul").unwrap();
        node.op_type = "Add".into();
        node.input = vec![node.input[0].clone(), "input".into()];
    });
    assert!(!first.is_empty());
    let two = changed("one_dimensional", |m| {
        let (mut conv, add) = (graph(m).node[0].clone(), graph(m).node[1].clone());
        let (first, sum) = (conv.output[0].clone(), add.input[0].clone());
        assert_eq!(first, sum);
        conv.name = "second".into();
        conv.output = vec!["second".into()];
        let join = proto::NodeProto {
            name: "join".into(),
            op_type: "Add".into(),
            input: vec![first, "second".into()],
            output: vec!["joined".into()],
            ..proto::NodeProto::default()
        };
        graph(m).node[1].input = vec!["joined".into()];
        graph(m).node.splice(1..1, [conv, join]);
    });
    assert!(two.contains("2 nodes that read the input") && two.contains("second (Conv2d)"), "{two}");
    let dims = changed("vector", |m| graph(m).initializer[0].dims = vec![1 << 40, 1 << 40]);
    assert!(dims.contains("dimensions"), "{dims}");
    let external = changed("vector", |m| graph(m).initializer[0].data_location = 1);
    assert!(external.contains("another file"), "{external}");
    let nan =
        changed("vector", |m| graph(m).initializer[0].raw_data[..4].copy_from_slice(&[0, 0, 0xc0, 0x7f]));
    assert!(nan.contains("NaN"), "{nan}");
    let circle = changed("vector", |m| graph(m).node.reverse());
    assert!(circle.contains("which nothing before the node makes"), "{circle}");
}

/// Seconds of fuzzing: `STF_FUZZ_SECONDS`, else enough for a regression to show.
fn fuzz_time() -> Duration {
    let seconds = std::env::var("STF_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(5))
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % n.max(1)
    }

    fn of<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

const INTS: [i64; 14] = [0, 1, 2, 3, 5, 7, -1, -2, 64, 32768, 1 << 31, 1 << 40, i64::MAX, i64::MIN];

/// What is imported, what is folded, and what is neither.
static OPS: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let others = ["ConstantOfShape", "Expand", "Gather", "Range", "Slice", "ReduceProd", "Constant", "Loop"];
    import::SUPPORTED.iter().copied().chain(others).collect()
});

/// Changes one thing of a decoded file: an attribute, a name, an operator, a constant, a dimension.
fn mutate(model: &mut proto::ModelProto, dice: &mut Dice) {
    let Some(graph) = model.graph.as_mut() else { return };
    let names: Vec<String> = graph
        .node
        .iter()
        .flat_map(|node| node.input.iter().chain(&node.output))
        .chain(graph.initializer.iter().map(|tensor| &tensor.name))
        .cloned()
        .collect();
    let (nodes, tensors) = (graph.node.len(), graph.initializer.len());
    if nodes == 0 || tensors == 0 || names.is_empty() {
        return;
    }
    match dice.below(9) {
        0 => graph.node[dice.below(nodes)].op_type = dice.of(&OPS).into(),
        1 => {
            let node = &mut graph.node[dice.below(nodes)];
            let name = names[dice.below(names.len())].clone();
            match dice.below(node.input.len() + 1) {
                at if at < node.input.len() => node.input[at] = name,
                _ => node.input.push(name),
            }
        }
        2 | 3 => {
            let node = &mut graph.node[dice.below(nodes)];
            let at = dice.below(node.attribute.len());
            if let Some(attribute) = node.attribute.get_mut(at) {
                attribute.i = dice.of(&INTS);
                attribute.f = dice.of(&[0.0, -1.0, f32::NAN, f32::INFINITY, 1e-40]);
                let at = dice.below(attribute.ints.len());
                match dice.below(3) {
                    0 => attribute.ints.push(dice.of(&INTS)),
                    1 => _ = attribute.ints.pop(),
                    _ => attribute.ints.iter_mut().skip(at).take(1).for_each(|i| *i = dice.of(&INTS)),
                }
            }
        }
        4 => {
            let tensor = &mut graph.initializer[dice.below(tensors)];
            let at = dice.below(tensor.dims.len());
            match dice.below(4) {
                0 => tensor.dims.push(dice.of(&INTS)),
                1 => _ = tensor.dims.pop(),
                2 => tensor.dims.reverse(),
                _ => tensor.dims.iter_mut().skip(at).take(1).for_each(|dim| *dim = dice.of(&INTS)),
            }
        }
        5 => {
            let tensor = &mut graph.initializer[dice.below(tensors)];
            tensor.data_type = dice.below(24) as i32;
            let (at, len) = (dice.below(tensor.raw_data.len()), tensor.raw_data.len());
            if len > 8 {
                tensor.raw_data[at] = dice.below(256) as u8;
            }
        }
        6 => {
            // Whole numbers of a shape or an index, within their tensor.
            let whole: Vec<usize> = (0..tensors).filter(|&i| graph.initializer[i].data_type == 7).collect();
            if !whole.is_empty() {
                let tensor = &mut graph.initializer[whole[dice.below(whole.len())]];
                let at = dice.below(tensor.raw_data.len() / 8) * 8;
                if let Some(bytes) = tensor.raw_data.get_mut(at..at + 8) {
                    bytes.copy_from_slice(&dice.of(&INTS).to_le_bytes());
                }
            }
        }
        7 => {
            let (a, b) = (dice.below(nodes), dice.below(nodes));
            graph.node.swap(a, b);
        }
        _ => {
            let copy = graph.node[dice.below(nodes)].clone();
            let name = copy.output.first().cloned().unwrap_or_default();
            let reader = dice.below(nodes);
            graph.node[reader].input.push(name);
            graph.node.insert(dice.below(nodes), copy);
        }
    }
}

fn mutated(seeds: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    use prost::Message;
    let seed = &seeds[dice.below(seeds.len())];
    let rounds = 1 + dice.below(4);
    if dice.below(3) > 0 {
        let mut model = proto::ModelProto::decode(seed.as_slice()).unwrap();
        (0..rounds).for_each(|_| mutate(&mut model, dice));
        return model.encode_to_vec();
    }
    let mut file = seed.clone();
    for _ in 0..rounds {
        let at = dice.below(file.len());
        match dice.below(4) {
            0 => file.truncate(at),
            1 => file[at] = dice.below(256) as u8,
            2 => file[at] ^= 1 << dice.below(8),
            _ => {
                let from = dice.below(file.len());
                let len = dice.below(40).min(file.len() - at).min(file.len() - from);
                file.copy_within(from..from + len, at);
            }
        }
        if file.is_empty() {
            break;
        }
    }
    file
}

/// Whatever is in a file, an import ends with a graph that can run or with an error: no panic, no more
/// than 2 GB. `STF_FUZZ_SECONDS=600 cargo test -p stf-host --test import hostile -- --nocapture`
#[test]
fn hostile_files_are_errors() {
    let mut seeds: Vec<Vec<u8>> = MODELS.iter().map(|name| bytes(name)).collect();
    seeds.retain(|seed| !seed.is_empty());
    let shapes: Vec<Shape> = MODELS.iter().map(|name| golden(name).shape).collect();
    let (started, time) = (Instant::now(), fuzz_time());
    let mut dice = Dice(std::env::var("STF_FUZZ_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1));
    let (mut files, mut imported, mut slowest) = (0_u64, 0_u64, Duration::ZERO);
    while started.elapsed() < time {
        let file = mutated(&seeds, &mut dice);
        let input = if dice.below(4) == 0 { None } else { Some(dice.of(&shapes)) };
        let options = ImportOptions { input, ..ImportOptions::default() };
        let one = Instant::now();
        let result = catch_unwind(|| {
            let imported = import::from_bytes(Path::new("m.onnx"), &file, &options);
            let Ok(imported) = imported else { return false };
            // Small enough to run: then it must run.
            if imported.graph.macs() < 1 << 22 && imported.graph.nodes.iter().all(|n| n.shape.len() < 1 << 18)
            {
                let zeros = vec![0.0; imported.graph.input_shape().len()];
                let mut executor = Executor::new(&imported.graph, 1).unwrap();
                executor.infer(&imported.params, &zeros, 1).unwrap();
            }
            true
        });
        slowest = slowest.max(one.elapsed());
        files += 1;
        match result {
            Ok(ok) => imported += u64::from(ok),
            Err(_) => {
                let path = std::env::temp_dir().join("stf-fuzz-failure.onnx");
                std::fs::write(&path, &file).unwrap();
                panic!("file {files} panics; it is in {}", path.display());
            }
        }
    }
    let memory = peak_rss_bytes().unwrap_or(0) >> 20;
    eprintln!("{files} files, {imported} of them imported, slowest {slowest:?}, peak {memory} MB");
    assert!(files > 10 && imported > 0);
    assert!(memory < 2048, "{memory} MB");
}
