//! Builds an ONNX model node by node: names, initializers, attributes, and the two layouts that an
//! activation can have.

use super::InputType;
use super::proto::Message;
use crate::graph::Shape;
use std::collections::HashSet;

/// Version of the ONNX file format.
const IR_VERSION: i64 = 8;
/// Version of the standard operators.
const OPSET: i64 = 17;
/// Domain of ONNX Runtime's own operators.
pub(super) const MICROSOFT: &str = "com.microsoft";

/// Values of a constant tensor.
#[derive(Debug, Clone, Copy)]
pub(super) enum Data<'a> {
    F32(&'a [f32]),
    I8(&'a [i8]),
    I32(&'a [i32]),
    I64(&'a [i64]),
}

/// Element type of a graph input or output; the number is ONNX's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    F32 = 1,
    U8 = 2,
    I8 = 3,
    I32 = 6,
    I64 = 7,
}

/// Value of a node's attribute.
#[derive(Debug, Clone, Copy)]
pub(super) enum Attr<'a> {
    F(f32),
    I(i64),
    Is(&'a [i64]),
}

/// An activation in the ONNX graph. `image`: `[N, C, H, W]`; else `[N, H * W * C]` in NHWC order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tensor {
    pub(super) name: String,
    pub(super) shape: Shape,
    pub(super) image: bool,
}

/// A model while it grows.
#[derive(Debug, Default)]
pub(super) struct Builder {
    nodes: Vec<Message>,
    initializers: Vec<Message>,
    inputs: Vec<Message>,
    outputs: Vec<Message>,
    names: HashSet<String>,
    microsoft: bool,
    /// Whether the model takes raw values as bytes.
    pub(super) byte_input: bool,
}

impl Builder {
    /// An empty model with this type of raw input.
    pub(super) fn new(input: InputType) -> Self {
        Self { byte_input: input == InputType::U8, ..Self::default() }
    }

    /// `name`, or with a number behind it if it is taken.
    fn unique(&mut self, name: &str) -> String {
        let numbered = (2..).map(|number| format!("{name}_{number}"));
        let mut candidates = std::iter::once(name.to_string()).chain(numbered);
        let free = candidates.find(|candidate| !self.names.contains(candidate)).unwrap_or_default();
        self.names.insert(free.clone());
        free
    }

    /// A constant tensor; returns its name.
    pub(super) fn constant(&mut self, name: &str, dims: &[usize], data: Data<'_>) -> String {
        let name = self.unique(name);
        let (element, raw): (Element, Vec<u8>) = match data {
            Data::F32(values) => (Element::F32, values.iter().flat_map(|v| v.to_le_bytes()).collect()),
            Data::I8(values) => (Element::I8, values.iter().flat_map(|v| v.to_le_bytes()).collect()),
            Data::I32(values) => (Element::I32, values.iter().flat_map(|v| v.to_le_bytes()).collect()),
            Data::I64(values) => (Element::I64, values.iter().flat_map(|v| v.to_le_bytes()).collect()),
        };
        let tensor = Message::default().ints(1, &signed(dims)).int(2, element as i64);
        self.initializers.push(tensor.text(8, &name).bytes(9, &raw));
        name
    }

    /// A standard operator with one output; returns the output's name.
    pub(super) fn op(
        &mut self,
        op: &str,
        name: &str,
        inputs: &[&str],
        attributes: &[(&str, Attr<'_>)],
    ) -> String {
        let output = self.unique(name);
        self.node("", op, inputs, &output, attributes);
        output
    }

    /// An operator of ONNX Runtime's own domain.
    pub(super) fn microsoft(
        &mut self,
        op: &str,
        name: &str,
        inputs: &[&str],
        attributes: &[(&str, Attr<'_>)],
    ) -> String {
        self.microsoft = true;
        let output = self.unique(name);
        self.node(MICROSOFT, op, inputs, &output, attributes);
        output
    }

    fn node(
        &mut self,
        domain: &str,
        op: &str,
        inputs: &[&str],
        output: &str,
        attributes: &[(&str, Attr<'_>)],
    ) {
        let node = inputs.iter().fold(Message::default(), |node, input| node.text(1, input));
        let node = node.text(2, output).text(3, output).text(4, op);
        let node = attributes.iter().fold(node, |node, &(name, value)| {
            let attribute = Message::default().text(1, name);
            node.message(
                5,
                &match value {
                    Attr::F(value) => attribute.float(2, value).int(20, 1),
                    Attr::I(value) => attribute.int(3, value).int(20, 2),
                    Attr::Is(values) => attribute.ints(8, values).int(20, 7),
                },
            )
        });
        self.nodes.push(node.text(7, domain));
    }

    /// A graph input `[N, dims...]` with free N.
    pub(super) fn input(&mut self, name: &str, element: Element, dims: &[usize]) -> String {
        let name = self.unique(name);
        self.inputs.push(value_info(&name, element, dims));
        name
    }

    /// Makes `value` the graph output `name`, `[N, dims...]`.
    pub(super) fn output(&mut self, value: &str, name: &str, element: Element, dims: &[usize]) {
        let name = self.unique(name);
        self.node("", "Identity", &[value], &name, &[]);
        self.outputs.push(value_info(&name, element, dims));
    }

    /// As `[N, C, H, W]`.
    pub(super) fn image(&mut self, x: &Tensor) -> String {
        if x.image {
            return x.name.clone();
        }
        let Shape { height, width, channels } = x.shape;
        let nhwc = self.reshape(&x.name, &[-1, height as i64, width as i64, channels as i64]);
        self.op("Transpose", &format!("{}/nchw", x.name), &[&nhwc], &[("perm", Attr::Is(&[0, 3, 1, 2]))])
    }

    /// As `[N, H * W * C]` in NHWC order.
    pub(super) fn vector(&mut self, x: &Tensor) -> String {
        if !x.image {
            return x.name.clone();
        }
        let nhwc = self.nhwc(x);
        self.reshape(&nhwc, &[-1, x.shape.len() as i64])
    }

    /// As `[N, H, W, C]`.
    pub(super) fn nhwc(&mut self, x: &Tensor) -> String {
        if x.image {
            let name = format!("{}/nhwc", x.name);
            return self.op("Transpose", &name, &[&x.name], &[("perm", Attr::Is(&[0, 2, 3, 1]))]);
        }
        let Shape { height, width, channels } = x.shape;
        self.reshape(&x.name, &[-1, height as i64, width as i64, channels as i64])
    }

    pub(super) fn reshape(&mut self, x: &str, dims: &[i64]) -> String {
        let shape = self.constant(&format!("{x}/shape"), &[dims.len()], Data::I64(dims));
        self.op("Reshape", &format!("{x}/reshaped"), &[x, &shape], &[])
    }

    /// A constant scalar.
    pub(super) fn scalar(&mut self, name: &str, value: f32) -> String {
        self.constant(name, &[], Data::F32(&[value]))
    }

    /// The `.onnx` file. `metadata`: pairs of key and text.
    pub(super) fn finish(self, name: &str, metadata: &[(&str, &str)]) -> Vec<u8> {
        let fold = |graph: Message, field: u32, parts: &[Message]| {
            parts.iter().fold(graph, |graph, part| graph.message(field, part))
        };
        let graph = fold(Message::default(), 1, &self.nodes).text(2, name);
        let graph = fold(graph, 5, &self.initializers);
        let graph = fold(fold(graph, 11, &self.inputs), 12, &self.outputs);
        let opset = |domain: &str, version| Message::default().text(1, domain).int(2, version);
        let model = Message::default().int(1, IR_VERSION).text(2, "stf").text(3, env!("CARGO_PKG_VERSION"));
        let model = model.message(7, &graph).message(8, &opset("", OPSET));
        let model = if self.microsoft { model.message(8, &opset(MICROSOFT, 1)) } else { model };
        let entry = |key: &str, value: &str| Message::default().text(1, key).text(2, value);
        metadata.iter().fold(model, |model, (key, value)| model.message(14, &entry(key, value))).into_bytes()
    }
}

fn signed(dims: &[usize]) -> Vec<i64> {
    dims.iter().map(|&dim| dim as i64).collect()
}

fn value_info(name: &str, element: Element, dims: &[usize]) -> Message {
    let batch = Message::default().message(1, &Message::default().text(2, "N"));
    let shape =
        dims.iter().fold(batch, |shape, &dim| shape.message(1, &Message::default().int(1, dim as i64)));
    let tensor = Message::default().int(1, element as i64).message(2, &shape);
    Message::default().text(1, name).message(2, &Message::default().message(1, &tensor))
}
