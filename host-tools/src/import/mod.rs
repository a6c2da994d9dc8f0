//! ONNX files into the one graph.
//!
//! Shapes and constants are resolved here, within bounds: before anything is allocated for a hostile file,
//! its size in memory is known ([`limits`]). The graph that comes out is then held against `tract-onnx`'s
//! own reading and execution of the file (`verify`, feature `tract`).

pub mod condition;
mod fold;
mod importer;
mod layout;
pub mod limits;
mod node;
mod operators;
mod pointwise;
pub mod preprocess;
mod proto;
mod prune;
mod tensor;
#[cfg(feature = "tract")]
mod verify;
mod weighted;
mod window;

#[cfg(test)]
mod tests;

pub use importer::Normalisation;
pub use operators::SUPPORTED;

use crate::error::{Error, Result};
use crate::graph::{Graph, NodeId, Params, Shape, Task};
use importer::{Importer, Refusal, Value};
use layout::{Axis, View};
use node::OnnxNode;
use prost::Message;
use proto::{GraphProto, ModelProto, NodeProto, Size, ValueInfoProto};
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::rc::Rc;
use tensor::Constant;

/// Most nodes of a file.
const MAX_NODES: usize = 20_000;

/// Order of the input's axes in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputLayout {
    /// Batch, channels, height, width.
    Nchw,
    /// Batch, height, width, channels.
    Nhwc,
}

/// What the file does not say.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    /// Shape of one example; decides dimensions that the file leaves open, and which of them are
    /// channels.
    pub input: Option<Shape>,
    /// Order of the input's axes; found out if not given.
    pub layout: Option<InputLayout>,
    /// Task; if not given, an output as large as the input and no softmax is a reconstruction.
    pub task: Option<Task>,
}

/// What the file does to its logits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Softmax {
    None,
    Plain,
    Log,
}

/// A network read from a file.
#[derive(Debug, Clone)]
pub struct Imported {
    /// The network, without what its output does not depend on.
    pub graph: Graph,
    /// Its numbers.
    pub params: Params,
    /// What the file does to its input before the first layer.
    pub normalisation: Option<Normalisation>,
    #[cfg_attr(not(feature = "tract"), allow(dead_code, reason = "read by the check against tract"))]
    check: Check,
}

/// What [`Imported::verify`] needs beside the graph.
#[derive(Debug, Clone)]
#[cfg_attr(not(feature = "tract"), allow(dead_code, reason = "read by the check against tract"))]
struct Check {
    /// The file's input as ONNX sees it.
    input: View,
    softmax: Softmax,
    /// The file itself.
    bytes: Rc<[u8]>,
}

/// Reads a file.
///
/// # Errors
/// If it cannot be read, is no ONNX file, has several inputs or outputs, or has nodes that cannot be
/// imported: one error names them all.
pub fn read(path: &Path, options: &ImportOptions) -> Result<Imported> {
    let size = std::fs::metadata(path).map_err(Error::io(path, "read"))?.len();
    if size > limits::MAX_FILE_BYTES {
        let expected = format!("at most {} MiB", limits::MAX_FILE_BYTES >> 20);
        return Err(Error::malformed(path, "size", format!("{size} bytes"), expected));
    }
    from_bytes(path, &std::fs::read(path).map_err(Error::io(path, "read"))?, options)
}

/// As [`read`], from the file's bytes; `path` is for messages.
///
/// # Errors
/// As [`read`].
pub fn from_bytes(path: &Path, bytes: &[u8], options: &ImportOptions) -> Result<Imported> {
    limits::check(path, bytes)?;
    let model = ModelProto::decode(bytes)
        .map_err(|reason| Error::malformed(path, "protobuf", reason, "an ONNX file"))?;
    let file = File::open(path, &model)?;
    let candidates = file.input_views(options)?;
    let mut first_error = None;
    for view in candidates {
        match file.import(view, options) {
            Ok((graph, params, normalisation, input, softmax)) => {
                let check = Check { input, softmax, bytes: Rc::from(bytes) };
                return Ok(Imported { graph, params, normalisation, check });
            }
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    Err(first_error.unwrap_or_else(|| file.error("input", "no layout that fits", "2 to 4 dimensions")))
}

/// A decoded file with one input and one output.
struct File<'a> {
    path: &'a Path,
    opset: i64,
    input: &'a ValueInfoProto,
    output: &'a str,
    constants: HashMap<&'a str, Rc<Constant>>,
    /// The nodes that the output depends on.
    nodes: Vec<&'a NodeProto>,
}

/// Which axes of the graph each axis of the file's input stands for.
type Reading = &'static [&'static [Axis]];

/// What an import comes to: graph, parameters, normalisation, the input's view, softmax at the end.
type Parts = (Graph, Params, Option<Normalisation>, View, Softmax);

impl<'a> File<'a> {
    fn open(path: &'a Path, model: &'a ModelProto) -> Result<Self> {
        let bad = |field: &str, found: String, expected: &str| Error::malformed(path, field, found, expected);
        let graph =
            model.graph.as_ref().ok_or_else(|| bad("graph", "none".into(), "an ONNX file with a graph"))?;
        if graph.node.len() > MAX_NODES {
            return Err(bad("nodes", graph.node.len().to_string(), "at most 20000"));
        }
        let opset = model.opset_import.iter().find(|o| o.domain.is_empty() || o.domain == "ai.onnx");
        let opset = opset.map_or(0, |opset| opset.version);
        let mut constants = HashMap::new();
        let mut values = 0;
        for initializer in &graph.initializer {
            let constant = Constant::read(initializer).map_err(|error| match error {
                Error::Invalid { what, found, expected } => Error::malformed(path, what, found, expected),
                other => other,
            })?;
            values += constant.values.len();
            if values > tensor::MAX_VALUES {
                return Err(bad("initializers", "more than 2^25 values".into(), "fewer"));
            }
            constants.insert(initializer.name.as_str(), Rc::new(constant));
        }
        let nodes = needed(path, graph, graph.output.first().map_or("", |output| &output.name))?;
        let inputs: Vec<&ValueInfoProto> =
            graph.input.iter().filter(|input| !constants.contains_key(input.name.as_str())).collect();
        let names = |values: &[&ValueInfoProto]| {
            values.iter().map(|v| v.name.as_str()).collect::<Vec<_>>().join(", ")
        };
        let [input] = inputs[..] else {
            let found = format!("{} ({})", inputs.len(), names(&inputs));
            return Err(bad(
                "inputs",
                found,
                "one: the Bayesian first layer reads the one input of the network",
            ));
        };
        let [output] = &graph.output[..] else {
            let outputs: Vec<&ValueInfoProto> = graph.output.iter().collect();
            let found = format!("{} ({})", outputs.len(), names(&outputs));
            return Err(bad("outputs", found, "one"));
        };
        Ok(Self { path, opset, input, output: &output.name, constants, nodes })
    }

    fn error(&self, field: &str, found: impl ToString, expected: impl ToString) -> Error {
        Error::malformed(self.path, field, found, expected)
    }

    /// Dimensions of the input behind the batch; `None` for one that the file leaves open.
    fn input_dims(&self) -> Result<Vec<Option<usize>>> {
        let Some(tensor) = self.input.kind.as_ref().and_then(|kind| kind.tensor.as_ref()) else {
            return Err(self.error("input", "no tensor", "a tensor"));
        };
        let dims = tensor.shape.as_ref().map_or(&[][..], |shape| &shape.dim);
        if !(2..=4).contains(&dims.len()) {
            let found = format!("{} dimensions", dims.len());
            return Err(self.error(
                "input",
                found,
                "2 to 4: batch, and channels, height and width of an example",
            ));
        }
        let size = |dim: &proto::Dimension| match dim.value {
            Some(Size::Known(value)) if value > 0 => Some(usize::try_from(value).ok()?.min(1 << 31)),
            _ => None,
        };
        let sizes: Vec<Option<usize>> = dims.iter().map(size).collect();
        match sizes[0] {
            None | Some(1) => Ok(sizes[1..].to_vec()),
            Some(batch) => {
                Err(self.error("input", format!("a batch of {batch}"), "a batch of 1 or an open one"))
            }
        }
    }

    /// Ways to read the input's axes as height, width and channels, the likeliest first.
    fn input_views(&self, options: &ImportOptions) -> Result<Vec<View>> {
        use Axis::{C, H, W};
        let dims = self.input_dims()?;
        let (planar, interleaved): (Vec<Reading>, Vec<Reading>) = match dims.len() {
            1 => (vec![&[&[], &[C, H, W]]], vec![&[&[], &[H, W, C]]]),
            2 => (vec![&[&[], &[C], &[W]], &[&[], &[H], &[W]]], vec![&[&[], &[W], &[C]]]),
            _ => (vec![&[&[], &[C], &[H], &[W]]], vec![&[&[], &[H], &[W], &[C]]]),
        };
        let readings: Vec<Reading> = match options.layout {
            Some(InputLayout::Nchw) => planar,
            Some(InputLayout::Nhwc) => interleaved,
            None => planar.into_iter().chain(interleaved).collect(),
        };
        let views: Vec<View> = readings
            .iter()
            .filter_map(|axes| Some(View::new(0, shape_of(axes, &dims, options.input)?, axes)))
            .collect();
        if views.is_empty() {
            let open = |dim: &Option<usize>| dim.map_or("?".to_string(), |dim| dim.to_string());
            let found = format!("N x {}", dims.iter().map(open).collect::<Vec<_>>().join(" x "));
            let expected = options.input.map_or("sizes, or data that give them".to_string(), |shape| {
                format!("the examples' {shape} (height x width x channels) in some order")
            });
            return Err(self.error("input", found, expected));
        }
        Ok(views)
    }

    fn import(&self, input: View, options: &ImportOptions) -> Result<Parts> {
        self.require_supported()?;
        let name = self.path.file_stem().map_or("network".into(), |stem| stem.to_string_lossy().into_owned());
        let mut importer = Importer::new(&name, Task::Classification, input.shape);
        for (&name, constant) in &self.constants {
            importer.values.insert(name, Value::Constant(Rc::clone(constant)));
        }
        for name in self.nodes.iter().flat_map(|node| &node.input) {
            *importer.readers.entry(name.as_str()).or_insert(0) += 1;
        }
        importer.values.insert(&self.input.name, Value::View(input.clone()));
        for proto in &self.nodes {
            importer.node(&OnnxNode { proto, opset: self.opset });
        }
        if !importer.refusals.is_empty() {
            return Err(self.refused(&importer.refusals));
        }
        let (output, softmax) = match importer.values.get(self.output) {
            Some(Value::View(view)) => (view.clone(), Softmax::None),
            Some(Value::Probabilities(view)) => (view.clone(), self.softmax()),
            _ => return Err(self.error("output", format!("{:?}", self.output), "a computed activation")),
        };
        if !output.in_graph_order() {
            let found = format!("values in the order {}", output.describe());
            return Err(self.error("output", found, "height, width, channels"));
        }
        let task = options.task.unwrap_or(
            match output.shape.len() == input.shape.len() && softmax == Softmax::None {
                true => Task::Reconstruction,
                false => Task::Classification,
            },
        );
        let Importer { builder, params, normalisation, .. } = importer;
        let (graph, params) = prune::prune(builder.into_graph(task), params, output.node)?;
        self.require_one_first_layer(&graph)?;
        Ok((graph, params, normalisation, input, softmax))
    }

    /// Which softmax the output is, knowing that it is one.
    fn softmax(&self) -> Softmax {
        let log = self.nodes.iter().any(|node| node.op_type == "LogSoftmax");
        if log { Softmax::Log } else { Softmax::Plain }
    }

    /// Every operator of the file that is unknown, at once.
    fn require_supported(&self) -> Result<()> {
        let known = |op: &str| SUPPORTED.contains(&op) || fold::FOLDED.contains(&op) || op == "Constant";
        let refusals: Vec<Refusal> = self
            .nodes
            .iter()
            .filter(|node| !known(&node.op_type) || !matches!(node.domain.as_str(), "" | "ai.onnx"))
            .map(|node| Refusal {
                name: OnnxNode { proto: node, opset: self.opset }.name().to_string(),
                op: match node.domain.as_str() {
                    "" | "ai.onnx" => node.op_type.clone(),
                    domain => format!("{domain}.{}", node.op_type),
                },
                reason: "unknown operator".into(),
            })
            .collect();
        if refusals.is_empty() { Ok(()) } else { Err(self.refused(&refusals)) }
    }

    fn refused(&self, refusals: &[Refusal]) -> Error {
        let each = |r: &Refusal| format!("{} ({}): {}", r.name, r.op, r.reason);
        let list: Vec<String> = refusals.iter().map(each).collect();
        self.error(
            "nodes",
            format!("{} that cannot be imported: {}", refusals.len(), list.join("; ")),
            "operators of the list in `stf import --help`",
        )
    }

    /// The draws share one quantized input and differ from the first layer on.
    fn require_one_first_layer(&self, graph: &Graph) -> Result<()> {
        let first = graph
            .first_weighted()
            .map_err(|_| self.error("first layer", "no convolution or dense layer", "at least one"))?;
        let readers: Vec<NodeId> =
            (1..graph.nodes.len()).filter(|&id| graph.nodes[id].inputs.contains(&0)).collect();
        if readers == [first] {
            return Ok(());
        }
        let names: Vec<String> = readers
            .iter()
            .map(|&id| format!("{} ({})", graph.nodes[id].name, graph.nodes[id].op.name()))
            .collect();
        Err(self.error(
            "first layer",
            format!("{} nodes that read the input: {}", readers.len(), names.join(", ")),
            "one convolution or dense layer: it alone becomes Bayesian, and all draws share its input",
        ))
    }
}

/// The shape that this reading of the dimensions gives; `None` if it contradicts `wanted` or leaves one
/// open.
fn shape_of(axes: &[&[Axis]], dims: &[Option<usize>], wanted: Option<Shape>) -> Option<Shape> {
    let mut shape = Shape::new(1, 1, 1);
    if let [_, joined @ [_, _, _]] = axes {
        // One axis for the whole example.
        let shape = match (wanted, dims[0]) {
            (Some(wanted), _) => wanted,
            (None, size) => Shape::vector(size?),
        };
        let fits = dims[0].is_none_or(|size| size == joined.iter().map(|a| a.size(shape)).product::<usize>());
        return fits.then_some(shape);
    }
    for (axis, dim) in axes[1..].iter().zip(dims) {
        let [axis] = axis else { return None };
        let size = match (dim, wanted) {
            (Some(size), _) => *size,
            (None, Some(wanted)) => axis.size(wanted),
            (None, None) => return None,
        };
        match axis {
            Axis::H => shape.height = size,
            Axis::W => shape.width = size,
            Axis::C => shape.channels = size,
        }
    }
    let len = shape.height.checked_mul(shape.width)?.checked_mul(shape.channels)?;
    (len <= tensor::MAX_VALUES && wanted.is_none_or(|wanted| wanted == shape)).then_some(shape)
}

/// The nodes that `output` depends on, in the file's order, which must be one in which each node reads what
/// stands before it.
fn needed<'a>(path: &Path, graph: &'a GraphProto, output: &'a str) -> Result<Vec<&'a NodeProto>> {
    let mut wanted = HashSet::from([output]);
    let mut nodes = Vec::new();
    for node in graph.node.iter().rev() {
        if node.output.iter().any(|name| !name.is_empty() && wanted.contains(name.as_str())) {
            wanted.extend(node.input.iter().map(String::as_str));
            nodes.push(node);
        }
    }
    nodes.reverse();
    let inputs = graph.input.iter().map(|input| input.name.as_str());
    let mut there: HashSet<&str> = inputs.chain(graph.initializer.iter().map(|t| t.name.as_str())).collect();
    for node in &nodes {
        let missing = |name: &&String| !name.is_empty() && !there.contains(name.as_str());
        if let Some(name) = node.input.iter().find(missing) {
            let found = format!("input {name:?}, which nothing before the node makes");
            let field = format!("node {:?} ({})", node.name, node.op_type);
            return Err(Error::malformed(path, field, found, "nodes in the order of their results"));
        }
        there.extend(node.output.iter().map(String::as_str));
    }
    Ok(nodes)
}
