//! How the axes of an ONNX tensor stand for height, width and channels of a node of our graph, through
//! every reshape, transpose and squeeze between.

use super::node::OnnxNode;
use crate::error::Result;
use crate::graph::{NodeId, Shape};

/// An axis of one example in the graph, whose activations are height x width x channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Axis {
    H,
    W,
    C,
}

use Axis::{C, H, W};

impl Axis {
    pub(super) const fn size(self, shape: Shape) -> usize {
        match self {
            H => shape.height,
            W => shape.width,
            C => shape.channels,
        }
    }
}

/// An activation as ONNX sees it. Axis 0 is the batch and stands for nothing; each other axis is the
/// row-major product of the graph's axes it lists, none for an axis of size 1.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct View {
    pub(super) node: NodeId,
    pub(super) shape: Shape,
    pub(super) axes: Vec<Vec<Axis>>,
}

impl View {
    /// A view in which axes of size 1 are listed nowhere.
    pub(super) fn new(node: NodeId, shape: Shape, axes: &[&[Axis]]) -> Self {
        let kept = |axes: &&[Axis]| axes.iter().copied().filter(|a| a.size(shape) > 1).collect();
        Self { node, shape, axes: axes.iter().map(kept).collect() }
    }

    /// The same axes of another node whose sizes may differ.
    pub(super) fn of(&self, node: NodeId, shape: Shape) -> Self {
        let kept = |axes: &Vec<Axis>| axes.iter().copied().filter(|a| a.size(shape) > 1).collect();
        Self { node, shape, axes: self.axes.iter().map(kept).collect() }
    }

    /// Batch, channels and positions, as convolutions have them, with this many positional axes.
    pub(super) fn image(node: NodeId, shape: Shape, spatial: &[Axis]) -> Self {
        let mut axes: Vec<&[Axis]> = vec![&[], &[C]];
        axes.extend(spatial.iter().map(std::slice::from_ref));
        Self::new(node, shape, &axes)
    }

    /// Sizes that ONNX sees, batch 1 first.
    pub(super) fn dims(&self) -> Vec<usize> {
        self.axes.iter().map(|axes| axes.iter().map(|a| a.size(self.shape)).product()).collect()
    }

    pub(super) fn rank(&self) -> usize {
        self.axes.len()
    }

    /// All axes in ONNX's row-major order.
    fn order(&self) -> Vec<Axis> {
        self.axes.iter().flatten().copied().collect()
    }

    /// The positional axes if this is `[N, C, positions...]`.
    pub(super) fn spatial(&self, node: &OnnxNode<'_>) -> Result<Vec<Axis>> {
        let wrong = || {
            node.unusable(
                format!("an input of layout {}", self.describe()),
                "batch, channels, height, width in this order",
            )
        };
        if !(3..=4).contains(&self.rank())
            || !self.axes[0].is_empty()
            || !matches!(self.axes[1][..], [] | [C])
        {
            return Err(wrong());
        }
        let mut free = vec![H, W];
        let mut spatial: Vec<Option<Axis>> = Vec::new();
        for axes in &self.axes[2..] {
            match axes[..] {
                [] => spatial.push(None),
                [a] if free.contains(&a) => {
                    free.retain(|&f| f != a);
                    spatial.push(Some(a));
                }
                _ => return Err(wrong()),
            }
        }
        if free.iter().any(|a| a.size(self.shape) > 1) {
            return Err(wrong());
        }
        let ordered = spatial.iter().flatten().copied().collect::<Vec<_>>();
        if ordered == [W, H] {
            return Err(wrong());
        }
        // An axis of size 1 takes the place that is left: height before width; a lone one is the width.
        let mut result = Vec::new();
        for (i, axis) in spatial.iter().enumerate() {
            let default = if spatial.len() == 2 && i == 0 { H } else { W };
            let taken = |a: Axis| result.contains(&a) || spatial[i + 1..].contains(&Some(a));
            result.push(axis.unwrap_or(if taken(default) {
                if default == H { W } else { H }
            } else {
                default
            }));
        }
        Ok(result)
    }

    /// Whether ONNX's order of values is the graph's: height, width, channels.
    pub(super) fn in_graph_order(&self) -> bool {
        self.order().is_sorted_by_key(|&axis| axis as u8)
    }

    /// For each index along ONNX axis `axis`, the index in the graph's order of the values that axis
    /// lists; the other axes have size 1 or are listed elsewhere.
    pub(super) fn graph_indices(&self, axis: usize) -> Vec<usize> {
        self.indices(&self.axes[axis])
    }

    /// For each value in ONNX's order, its index in the graph's.
    #[cfg(feature = "tract")]
    pub(super) fn onnx_order(&self) -> Vec<usize> {
        self.indices(&self.order())
    }

    fn indices(&self, listed: &[Axis]) -> Vec<usize> {
        let stride = |a: Axis| -> usize {
            [H, W, C]
                .into_iter()
                .filter(|&b| b as u8 > a as u8 && listed.contains(&b))
                .map(|b| b.size(self.shape))
                .product()
        };
        let mut indices = vec![0];
        for &a in listed {
            let step = stride(a);
            indices = indices
                .iter()
                .flat_map(|&base| (0..a.size(self.shape)).map(move |i| base + i * step))
                .collect();
        }
        indices
    }

    /// The view after a Reshape to `dims`: the same values in the same order, cut elsewhere.
    pub(super) fn reshape(&self, node: &OnnxNode<'_>, dims: &[usize]) -> Result<Self> {
        let refused = || {
            node.unusable(
                format!("{:?} ({}) to {dims:?}", self.dims(), self.describe()),
                "a batch axis that stays, and axes that are joined or parted where they were joined",
            )
        };
        if dims.first() != Some(&1) {
            return Err(refused());
        }
        let mut order = self.order().into_iter();
        let mut axes = vec![Vec::new()];
        for &dim in &dims[1..] {
            let (mut size, mut listed) = (1, Vec::new());
            while size < dim {
                let Some(axis) = order.next() else { return Err(refused()) };
                size *= axis.size(self.shape);
                listed.push(axis);
            }
            if size != dim {
                return Err(refused());
            }
            axes.push(listed);
        }
        if order.next().is_some() {
            return Err(refused());
        }
        Ok(Self { axes, ..self.clone() })
    }

    pub(super) fn transpose(&self, node: &OnnxNode<'_>, perm: &[usize]) -> Result<Self> {
        if perm.first() != Some(&0) {
            return Err(node.unusable(format!("perm {perm:?}"), "a batch axis that stays first"));
        }
        Ok(Self { axes: perm.iter().map(|&axis| self.axes[axis].clone()).collect(), ..self.clone() })
    }

    /// "N, C, HxW".
    pub(super) fn describe(&self) -> String {
        let name = |axes: &Vec<Axis>| match axes[..] {
            [] => "1".to_string(),
            _ => axes.iter().map(|a| format!("{a:?}")).collect::<Vec<_>>().join("x"),
        };
        let rest = self.axes.iter().skip(1).map(name);
        std::iter::once("N".to_string()).chain(rest).collect::<Vec<_>>().join(", ")
    }
}
