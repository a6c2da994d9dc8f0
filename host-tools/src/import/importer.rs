//! Walks an ONNX graph in order and builds ours: constants are folded, shape changes become views, and
//! every node that cannot be imported is noted, so that one error names them all.

use super::fold;
use super::layout::View;
use super::node::OnnxNode;
use super::tensor::Constant;
use crate::error::{Error, Result};
use crate::graph::{GraphBuilder, NodeId, NodeParams, Op, Shape, Task};
use std::collections::HashMap;
use std::rc::Rc;

/// What a name in the file stands for.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Constant(Rc<Constant>),
    View(View),
    /// An activation with zeros around it that its reader has to add.
    Padded(View, Padding),
    /// Behind the softmax, where only the output may be.
    Probabilities(View),
}

/// Rows and columns of zeros before and after.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Padding {
    pub(super) begin: [usize; 2],
    pub(super) end: [usize; 2],
}

/// `scale * x + shift` per channel of the input, found in the file before the first layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Normalisation {
    /// Per channel.
    pub scale: Vec<f32>,
    /// Per channel.
    pub shift: Vec<f32>,
}

/// A node that cannot be imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) name: String,
    pub(super) op: String,
    pub(super) reason: String,
}

pub(super) struct Importer<'a> {
    pub(super) builder: GraphBuilder,
    pub(super) params: Vec<NodeParams>,
    pub(super) values: HashMap<&'a str, Value>,
    /// How many nodes read a name.
    pub(super) readers: HashMap<&'a str, usize>,
    pub(super) normalisation: Option<Normalisation>,
    pub(super) refusals: Vec<Refusal>,
    /// Values of all folded constants so far.
    folded: usize,
    /// Values of all parameters so far.
    parameters: usize,
    /// Names given, and how many nodes asked for each.
    names: HashMap<String, usize>,
}

impl<'a> Importer<'a> {
    pub(super) fn new(name: &str, task: Task, input: Shape) -> Self {
        Self {
            builder: GraphBuilder::new(name, task, input),
            params: vec![NodeParams::default()],
            values: HashMap::new(),
            readers: HashMap::new(),
            normalisation: None,
            refusals: Vec::new(),
            folded: 0,
            parameters: 0,
            names: HashMap::from([("input".to_string(), 1)]),
        }
    }

    /// Imports one node; what cannot be is noted.
    pub(super) fn node(&mut self, node: &OnnxNode<'a>) {
        let inputs = node.proto.input.iter().map(String::as_str).filter(|name| !name.is_empty());
        if inputs.clone().any(|name| !self.values.contains_key(name)) {
            return; // behind a node that is refused itself
        }
        match self.value(node) {
            Ok(value) => {
                if let Some(output) = node.proto.output.first() {
                    self.values.insert(output, value);
                }
            }
            Err(error) => self.refuse(node, &error),
        }
    }

    fn refuse(&mut self, node: &OnnxNode<'_>, error: &Error) {
        let reason = match error {
            Error::Invalid { found, expected, .. } => format!("found {found}, expected {expected}"),
            other => other.to_string(),
        };
        self.refusals.push(Refusal { name: node.name().into(), op: node.op().into(), reason });
    }

    fn value(&mut self, node: &OnnxNode<'a>) -> Result<Value> {
        if node.op() == "Constant" {
            return Ok(Value::Constant(Rc::new(constant(node)?)));
        }
        if let Some(constant) = self.folded(node)? {
            self.folded += constant.values.len();
            if self.folded > super::tensor::MAX_VALUES {
                return Err(node.unusable("constants that fold to more than 2^25 values", "fewer"));
            }
            return Ok(Value::Constant(Rc::new(constant)));
        }
        self.operator(node)
    }

    /// The result of a node all of whose inputs are constants, and of Shape.
    fn folded(&self, node: &OnnxNode<'a>) -> Result<Option<Constant>> {
        if node.op() == "Shape" {
            let dims = match self.values.get(node.input(0).unwrap_or("")) {
                Some(Value::Constant(constant)) => constant.dims.clone(),
                Some(Value::View(view)) => view.dims(),
                _ => return Err(node.unusable("an input without a known shape", "an activation")),
            };
            let clip = |at: i64| {
                (if at < 0 { at.saturating_add(dims.len() as i64) } else { at }).clamp(0, dims.len() as i64)
            };
            let (start, end) = (clip(node.int("start", 0)), clip(node.int("end", i64::MAX)));
            let kept = &dims[start as usize..end.max(start) as usize];
            return Ok(Some(Constant::ints(kept.iter().map(|&dim| dim as i64).collect())));
        }
        let inputs: Option<Vec<&Constant>> = node
            .proto
            .input
            .iter()
            .filter(|name| !name.is_empty())
            .map(|name| match self.values.get(name.as_str()) {
                Some(Value::Constant(constant)) => Some(constant.as_ref()),
                _ => None,
            })
            .collect();
        match inputs {
            Some(inputs) => fold::fold(node, &inputs).map(Some),
            None => Ok(None),
        }
    }

    /// Input `index` as an activation; zeros around it become a node.
    pub(super) fn view(&mut self, node: &OnnxNode<'a>, index: usize) -> Result<View> {
        match self.input(node, index)? {
            Value::View(view) => Ok(view),
            Value::Padded(view, padding) => self.pad(node, &view, padding),
            Value::Probabilities(_) => {
                Err(node.unusable("an input behind Softmax", "Softmax only before the output"))
            }
            Value::Constant(_) => Err(node.unusable("a constant input", "an activation")),
        }
    }

    pub(super) fn input(&self, node: &OnnxNode<'a>, index: usize) -> Result<Value> {
        let missing = || node.unusable(format!("no input {index}"), "an input");
        let name = node.input(index).ok_or_else(missing)?;
        self.values.get(name).cloned().ok_or_else(missing)
    }

    /// Input `index` as a constant; `None` if it is left out.
    pub(super) fn constant(&self, node: &OnnxNode<'a>, index: usize) -> Result<Option<Rc<Constant>>> {
        match node.input(index).map(|name| self.values.get(name)) {
            None => Ok(None),
            Some(Some(Value::Constant(constant))) => Ok(Some(Rc::clone(constant))),
            Some(_) => Err(node.unusable(format!("an input {index} that is computed"), "a constant")),
        }
    }

    /// A constant that must be there, as f32 values of this number.
    pub(super) fn numbers(&self, node: &OnnxNode<'a>, index: usize, len: usize) -> Result<Vec<f32>> {
        let constant = self
            .constant(node, index)?
            .ok_or_else(|| node.unusable(format!("no input {index}"), "a constant"))?;
        let values = constant.to_f32();
        if values.len() != len {
            return Err(node.unusable(format!("{} values of input {index}", values.len()), len));
        }
        finite(node, &values)?;
        Ok(values)
    }

    /// Appends a node to our graph, named after the ONNX node.
    pub(super) fn push(
        &mut self,
        node: &OnnxNode<'_>,
        op: Op,
        inputs: &[NodeId],
        params: NodeParams,
    ) -> Result<(NodeId, Shape)> {
        // A constant may be the weight of many nodes: what is not bounded in the file is bounded here.
        self.parameters += params.tensors().map(|(_, tensor)| tensor.len()).sum::<usize>();
        if self.parameters > super::tensor::MAX_VALUES {
            return Err(node.unusable("more than 2^25 parameters", "fewer"));
        }
        let name = self.unique(node);
        let id = self.builder.named(name).push(op, inputs)?;
        self.params.push(params);
        let shape = self.builder.shape(id).unwrap_or(Shape::vector(1));
        Ok((id, shape))
    }

    fn unique(&mut self, node: &OnnxNode<'_>) -> String {
        let base: String = node.name().chars().filter(|c| !c.is_control()).take(80).collect();
        let base = if base.is_empty() { node.op().to_lowercase() } else { base };
        let mut name = base.clone();
        while self.names.contains_key(&name) {
            let asked = self.names.entry(base.clone()).or_insert(0);
            *asked += 1;
            name = format!("{base}_{asked}");
        }
        self.names.insert(name.clone(), 1);
        name
    }
}

/// Numbers of a network must be numbers.
pub(super) fn finite(node: &OnnxNode<'_>, values: &[f32]) -> Result<()> {
    match values.iter().find(|value| !value.is_finite()) {
        Some(bad) => Err(node.unusable(format!("the value {bad}"), "finite numbers")),
        None => Ok(()),
    }
}

fn constant(node: &OnnxNode<'_>) -> Result<Constant> {
    use super::tensor::Values;
    if let Some(tensor) = node.tensor("value")? {
        return Ok(tensor);
    }
    if node.has("value_int") {
        return Ok(Constant { dims: Vec::new(), values: Values::I64(vec![node.int("value_int", 0)]) });
    }
    if node.has("value_float") {
        return Ok(Constant { dims: Vec::new(), values: Values::F32(vec![node.float("value_float", 0.0)]) });
    }
    if let Some(ints) = node.ints("value_ints") {
        return Ok(Constant::ints(ints.to_vec()));
    }
    match node.floats("value_floats") {
        Some(floats) => Ok(Constant { dims: vec![floats.len()], values: Values::F32(floats.to_vec()) }),
        None => Err(node.unusable("no value", "a tensor, number or list")),
    }
}
