//! One node of an ONNX graph with its attributes and named inputs.

use super::proto::{AttributeProto, NodeProto};
use super::tensor::Constant;
use crate::error::{Error, Result};

/// A node and the operator-set version that gives its attributes their meaning.
#[derive(Debug, Clone, Copy)]
pub(super) struct OnnxNode<'a> {
    pub(super) proto: &'a NodeProto,
    pub(super) opset: i64,
}

impl<'a> OnnxNode<'a> {
    pub(super) fn op(&self) -> &'a str {
        &self.proto.op_type
    }

    /// Its name, else that of its first output.
    pub(super) fn name(&self) -> &'a str {
        let output = self.proto.output.first().map_or("", String::as_str);
        if self.proto.name.is_empty() { output } else { &self.proto.name }
    }

    /// Name of input `index`; `None` if it is left out.
    pub(super) fn input(&self, index: usize) -> Option<&'a str> {
        self.proto.input.get(index).map(String::as_str).filter(|name| !name.is_empty())
    }

    fn attribute(&self, name: &str) -> Option<&'a AttributeProto> {
        self.proto.attribute.iter().find(|attribute| attribute.name == name)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.attribute(name).is_some()
    }

    pub(super) fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, |attribute| attribute.i)
    }

    pub(super) fn float(&self, name: &str, default: f32) -> f32 {
        self.attribute(name).map_or(default, |attribute| attribute.f)
    }

    pub(super) fn ints(&self, name: &str) -> Option<&'a [i64]> {
        self.attribute(name).map(|attribute| attribute.ints.as_slice())
    }

    pub(super) fn floats(&self, name: &str) -> Option<&'a [f32]> {
        self.attribute(name).map(|attribute| attribute.floats.as_slice())
    }

    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        self.attribute(name).and_then(|attribute| std::str::from_utf8(&attribute.s).ok())
    }

    /// A tensor attribute.
    pub(super) fn tensor(&self, name: &str) -> Result<Option<Constant>> {
        self.attribute(name).and_then(|attribute| attribute.t.as_ref()).map(Constant::read).transpose()
    }

    /// An attribute of this many sizes, each within what a network can have.
    pub(super) fn sizes<const N: usize>(&self, name: &str, default: usize) -> Result<[usize; N]> {
        let Some(values) = self.ints(name) else { return Ok([default; N]) };
        let sizes: Option<Vec<usize>> =
            values.iter().map(|&v| usize::try_from(v).ok().filter(|&v| v <= 1 << 15)).collect();
        sizes
            .and_then(|sizes| sizes.try_into().ok())
            .ok_or_else(|| self.unusable(format!("{name} {values:?}"), format!("{N} sizes of 0 to 32768")))
    }

    /// An error about this node; what reads it adds name and operator.
    pub(super) fn unusable(&self, found: impl ToString, expected: impl ToString) -> Error {
        Error::invalid(self.op(), found, expected)
    }
}

/// An axis that may count from the end, of a tensor with this many.
pub(super) fn axis(node: &OnnxNode<'_>, axis: i64, rank: usize) -> Result<usize> {
    let from_front = if axis < 0 { axis.saturating_add(rank as i64) } else { axis };
    usize::try_from(from_front)
        .ok()
        .filter(|&axis| axis < rank)
        .ok_or_else(|| node.unusable(format!("axis {axis}"), format!("an axis of {rank}")))
}
