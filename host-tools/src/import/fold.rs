//! Constant folding: nodes whose inputs are all known, above all the arithmetic on shapes that exporters
//! leave in the file. Every result is bounded before it is computed.

use super::node::{OnnxNode, axis};
use super::tensor::{Constant, Values, count};
use crate::error::Result;

/// Operators that [`fold`] knows.
pub(super) const FOLDED: &[&str] = &[
    "Add",
    "Cast",
    "Ceil",
    "Concat",
    "ConstantOfShape",
    "Div",
    "Dropout",
    "Expand",
    "Flatten",
    "Floor",
    "Gather",
    "Identity",
    "Mul",
    "Neg",
    "Range",
    "Reciprocal",
    "ReduceProd",
    "Reshape",
    "Slice",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Transpose",
    "Unsqueeze",
];

/// The first output of a node whose inputs are these constants.
pub(super) fn fold(node: &OnnxNode<'_>, inputs: &[&Constant]) -> Result<Constant> {
    let Some(&x) = inputs.first() else {
        return Err(node.unusable("no input", "at least one"));
    };
    match node.op() {
        "Identity" | "Dropout" => Ok(x.clone()),
        "Cast" => Ok(cast(node, x)),
        "Neg" => Ok(unary(x, |v| -v, |v| v.wrapping_neg())),
        "Floor" => Ok(unary(x, f32::floor, |v| v)),
        "Ceil" => Ok(unary(x, f32::ceil, |v| v)),
        "Sqrt" => Ok(unary(x, f32::sqrt, |v| v)),
        "Reciprocal" => Ok(unary(x, f32::recip, |v| v)),
        "Add" | "Sub" | "Mul" | "Div" => binary(node, x, second(node, inputs)?),
        "Gather" => gather(node, x, second(node, inputs)?),
        "Concat" => concat(node, inputs),
        "Slice" => slice(node, inputs),
        "ReduceProd" => reduce_prod(node, x),
        "Range" => range(node, inputs),
        "ConstantOfShape" => constant_of_shape(node, x),
        "Expand" => expand(node, x, second(node, inputs)?),
        "Reshape" => reshape(node, x, inputs.get(1).copied()),
        "Flatten" => flatten(node, x),
        "Transpose" => transpose(node, x),
        "Squeeze" | "Unsqueeze" => squeeze(node, x, inputs.get(1).copied()),
        _ => Err(node.unusable("constant inputs", "an operator that can be folded")),
    }
}

fn second<'c>(node: &OnnxNode<'_>, inputs: &[&'c Constant]) -> Result<&'c Constant> {
    inputs.get(1).copied().ok_or_else(|| node.unusable("one input", "two"))
}

/// Whole numbers of a constant input.
pub(super) fn ints<'c>(node: &OnnxNode<'_>, constant: &'c Constant) -> Result<&'c [i64]> {
    constant.as_ints().ok_or_else(|| node.unusable("a float tensor", "whole numbers"))
}

/// Number of values of a result; an error if there would be too many.
fn bounded(node: &OnnxNode<'_>, dims: &[usize]) -> Result<usize> {
    count(dims).ok_or_else(|| {
        node.unusable(format!("a constant of dimensions {dims:?}"), "at most 2^25 values in 8 dimensions")
    })
}

fn unary(x: &Constant, float: impl Fn(f32) -> f32, int: impl Fn(i64) -> i64) -> Constant {
    let values = match &x.values {
        Values::F32(v) => Values::F32(v.iter().map(|&v| float(v)).collect()),
        Values::I64(v) => Values::I64(v.iter().map(|&v| int(v)).collect()),
    };
    Constant { dims: x.dims.clone(), values }
}

fn cast(node: &OnnxNode<'_>, x: &Constant) -> Constant {
    // FLOAT 1, FLOAT16 10, DOUBLE 11, BFLOAT16 16; everything else that is read is whole numbers.
    let float = matches!(node.int("to", 1), 1 | 10 | 11 | 16);
    let values = match (&x.values, float) {
        (Values::I64(_), true) => Values::F32(x.to_f32()),
        (Values::F32(v), false) => Values::I64(v.iter().map(|&v| v as i64).collect()),
        (values, _) => values.clone(),
    };
    Constant { dims: x.dims.clone(), values }
}

/// The shape that two shapes broadcast to.
pub(super) fn broadcast(node: &OnnxNode<'_>, a: &[usize], b: &[usize]) -> Result<Vec<usize>> {
    let rank = a.len().max(b.len());
    let at = |dims: &[usize], i: usize| (i + dims.len()).checked_sub(rank).map_or(1, |i| dims[i]);
    (0..rank)
        .map(|i| match (at(a, i), at(b, i)) {
            (x, y) if x == y || y == 1 => Ok(x),
            (1, y) => Ok(y),
            _ => Err(node.unusable(format!("dimensions {a:?} and {b:?}"), "dimensions that broadcast")),
        })
        .collect()
}

/// For each value of a tensor of dimensions `to`, the index of the value of `from` it is broadcast from.
pub(super) fn broadcast_indices<'d>(from: &'d [usize], to: &'d [usize]) -> impl Iterator<Item = usize> + 'd {
    let skipped = to.len() - from.len();
    let len: usize = to.iter().product();
    (0..len).map(move |index| {
        let (mut rest, mut stride, mut source) = (index, 1, 0);
        for axis in (0..to.len()).rev() {
            let position = rest % to[axis];
            rest /= to[axis];
            if axis >= skipped {
                let size = from[axis - skipped];
                source += if size == 1 { 0 } else { position * stride };
                stride *= size;
            }
        }
        source
    })
}

fn binary(node: &OnnxNode<'_>, a: &Constant, b: &Constant) -> Result<Constant> {
    let dims = broadcast(node, &a.dims, &b.dims)?;
    bounded(node, &dims)?;
    let pairs = broadcast_indices(&a.dims, &dims).zip(broadcast_indices(&b.dims, &dims));
    let values = match (&a.values, &b.values) {
        (Values::I64(a), Values::I64(b)) => {
            let apply = |(i, j): (usize, usize)| match node.op() {
                "Add" => a[i].checked_add(b[j]),
                "Sub" => a[i].checked_sub(b[j]),
                "Mul" => a[i].checked_mul(b[j]),
                _ => a[i].checked_div(b[j]),
            };
            let values: Option<Vec<i64>> = pairs.map(apply).collect();
            Values::I64(
                values.ok_or_else(|| node.unusable("an overflow or a division by 0", "whole numbers"))?,
            )
        }
        _ => {
            let (a, b) = (a.to_f32(), b.to_f32());
            let apply = |(i, j): (usize, usize)| match node.op() {
                "Add" => a[i] + b[j],
                "Sub" => a[i] - b[j],
                "Mul" => a[i] * b[j],
                _ => a[i] / b[j],
            };
            Values::F32(pairs.map(apply).collect())
        }
    };
    Ok(Constant { dims, values })
}

fn gather(node: &OnnxNode<'_>, x: &Constant, indices: &Constant) -> Result<Constant> {
    let axis = axis(node, node.int("axis", 0), x.dims.len())?;
    let size = x.dims[axis];
    let picked: Option<Vec<usize>> = ints(node, indices)?
        .iter()
        .map(|&i| usize::try_from(if i < 0 { i.saturating_add(size as i64) } else { i }).ok())
        .map(|i| i.filter(|&i| i < size))
        .collect();
    let picked = picked.ok_or_else(|| node.unusable("an index out of range", format!("below {size}")))?;
    let mut dims = x.dims.clone();
    dims.splice(axis..=axis, indices.dims.iter().copied());
    bounded(node, &dims)?;
    let (outer, inner) = around(&x.dims, axis);
    let picked = &picked;
    let at = (0..outer)
        .flat_map(|o| picked.iter().flat_map(move |&i| (0..inner).map(move |k| (o * size + i) * inner + k)));
    Ok(Constant { values: x.values.pick(at), dims })
}

/// Numbers of values before and behind an axis.
fn around(dims: &[usize], axis: usize) -> (usize, usize) {
    (dims[..axis].iter().product(), dims[axis + 1..].iter().product())
}

fn concat(node: &OnnxNode<'_>, inputs: &[&Constant]) -> Result<Constant> {
    let first = inputs[0];
    let axis = axis(node, node.int("axis", 0), first.dims.len())?;
    let mut dims = first.dims.clone();
    for other in &inputs[1..] {
        let fits =
            other.dims.len() == dims.len() && (0..dims.len()).all(|i| i == axis || dims[i] == other.dims[i]);
        let same = matches!(first.values, Values::F32(_)) == matches!(other.values, Values::F32(_));
        if !(fits && same) {
            return Err(node.unusable(format!("dimensions {:?}", other.dims), format!("those of {dims:?}")));
        }
        dims[axis] = dims[axis].saturating_add(other.dims[axis]);
    }
    bounded(node, &dims)?;
    let (outer, _) = around(&dims, axis);
    let mut values = x_like(first);
    for o in 0..outer {
        for input in inputs {
            let run = input.values.len() / outer;
            append(&mut values, &input.values.pick(o * run..(o + 1) * run));
        }
    }
    Ok(Constant { dims, values })
}

fn x_like(x: &Constant) -> Values {
    match x.values {
        Values::F32(_) => Values::F32(Vec::new()),
        Values::I64(_) => Values::I64(Vec::new()),
    }
}

fn append(to: &mut Values, from: &Values) {
    match (to, from) {
        (Values::F32(to), Values::F32(from)) => to.extend(from),
        (Values::I64(to), Values::I64(from)) => to.extend(from),
        _ => {}
    }
}

/// Slices with steps of 1, which is all that shape arithmetic uses.
fn slice(node: &OnnxNode<'_>, inputs: &[&Constant]) -> Result<Constant> {
    let x = inputs[0];
    let (starts, ends, axes) = match (node.ints("starts"), node.ints("ends")) {
        (Some(starts), Some(ends)) => {
            (starts.to_vec(), ends.to_vec(), node.ints("axes").map(<[i64]>::to_vec))
        }
        _ => {
            let given = |i: usize| inputs.get(i).map(|c| ints(node, c).map(<[i64]>::to_vec)).transpose();
            let missing = || node.unusable("no starts or ends", "both");
            if given(4)?.is_some_and(|steps| steps.iter().any(|&step| step != 1)) {
                return Err(node.unusable("steps other than 1", "steps of 1"));
            }
            (given(1)?.ok_or_else(missing)?, given(2)?.ok_or_else(missing)?, given(3)?)
        }
    };
    let axes = axes.unwrap_or_else(|| (0..starts.len() as i64).collect());
    if axes.len() != starts.len() || axes.len() != ends.len() {
        return Err(node.unusable("starts, ends and axes of different lengths", "equal lengths"));
    }
    let mut result = x.clone();
    for ((&start, &end), &along) in starts.iter().zip(&ends).zip(&axes) {
        let along = axis(node, along, result.dims.len())?;
        let size = result.dims[along] as i64;
        let clip = |v: i64| (if v < 0 { v.saturating_add(size) } else { v }).clamp(0, size) as usize;
        let (start, end) = (clip(start), clip(end));
        let (outer, inner) = around(&result.dims, along);
        let kept = start..end.max(start);
        let size = size as usize;
        let at = (0..outer).flat_map(|o| {
            kept.clone().flat_map(move |i| (0..inner).map(move |k| (o * size + i) * inner + k))
        });
        result.values = result.values.pick(at);
        result.dims[along] = kept.len();
    }
    Ok(result)
}

fn reduce_prod(node: &OnnxNode<'_>, x: &Constant) -> Result<Constant> {
    if x.dims.len() > 1 {
        return Err(node.unusable(format!("dimensions {:?}", x.dims), "a vector"));
    }
    let product = ints(node, x)?.iter().try_fold(1_i64, |product, &v| product.checked_mul(v));
    let product = product.ok_or_else(|| node.unusable("an overflow", "a whole number"))?;
    let dims = if node.int("keepdims", 1) == 1 { vec![1] } else { Vec::new() };
    Ok(Constant { dims, values: Values::I64(vec![product]) })
}

fn range(node: &OnnxNode<'_>, inputs: &[&Constant]) -> Result<Constant> {
    let bound = |i: usize| inputs.get(i).and_then(|c| c.as_ints()).and_then(|v| v.first()).copied();
    let (Some(start), Some(limit), Some(step)) = (bound(0), bound(1), bound(2)) else {
        return Err(node.unusable("bounds that are no whole numbers", "start, limit and step"));
    };
    if step < 1 {
        return Err(node.unusable(format!("step {step}"), "at least 1"));
    }
    let len = limit.saturating_sub(start).max(0) as u64;
    bounded(node, &[usize::try_from(len.div_ceil(step as u64)).unwrap_or(usize::MAX)])?;
    Ok(Constant::ints((start..limit).step_by(step as usize).collect()))
}

/// Sizes from a constant.
fn sizes(node: &OnnxNode<'_>, constant: &Constant) -> Result<Vec<usize>> {
    let sizes: Option<Vec<usize>> = ints(node, constant)?.iter().map(|&v| usize::try_from(v).ok()).collect();
    sizes.ok_or_else(|| node.unusable("a negative size", "sizes of 0 or more"))
}

fn constant_of_shape(node: &OnnxNode<'_>, shape: &Constant) -> Result<Constant> {
    let dims = sizes(node, shape)?;
    let len = bounded(node, &dims)?;
    let values = match node.tensor("value")?.map(|value| value.values) {
        Some(Values::I64(v)) => Values::I64(vec![v.first().copied().unwrap_or(0); len]),
        Some(Values::F32(v)) => Values::F32(vec![v.first().copied().unwrap_or(0.0); len]),
        None => Values::F32(vec![0.0; len]),
    };
    Ok(Constant { dims, values })
}

fn expand(node: &OnnxNode<'_>, x: &Constant, shape: &Constant) -> Result<Constant> {
    let dims = broadcast(node, &x.dims, &sizes(node, shape)?)?;
    bounded(node, &dims)?;
    Ok(Constant { values: x.values.pick(broadcast_indices(&x.dims, &dims)), dims })
}

/// The dimensions that a Reshape asks for: 0 keeps one, -1 is what is left.
pub(super) fn reshaped(node: &OnnxNode<'_>, from: &[usize], shape: Option<&Constant>) -> Result<Vec<usize>> {
    let wanted = match (shape, node.ints("shape")) {
        (Some(shape), _) => ints(node, shape)?,
        (None, Some(shape)) => shape,
        (None, None) => return Err(node.unusable("no shape", "a shape")),
    };
    let keep_zero = node.int("allowzero", 0) == 0;
    let len: usize = from.iter().product();
    let mut dims = Vec::with_capacity(wanted.len());
    let mut open = None;
    for (i, &size) in wanted.iter().enumerate() {
        dims.push(match size {
            0 if keep_zero => *from.get(i).ok_or_else(|| node.unusable("a 0 beyond the input", "sizes"))?,
            -1 if open.is_none() => {
                open = Some(i);
                1
            }
            _ => {
                usize::try_from(size).map_err(|_| node.unusable(format!("size {size}"), "one -1 at most"))?
            }
        });
    }
    let known = count(&dims).unwrap_or(usize::MAX);
    if let Some(open) = open {
        dims[open] = len.checked_div(known).unwrap_or(0);
    }
    if count(&dims) != Some(len) {
        return Err(node.unusable(format!("shape {wanted:?} for {len} values"), "as many values"));
    }
    Ok(dims)
}

fn reshape(node: &OnnxNode<'_>, x: &Constant, shape: Option<&Constant>) -> Result<Constant> {
    Ok(Constant { dims: reshaped(node, &x.dims, shape)?, values: x.values.clone() })
}

fn flatten(node: &OnnxNode<'_>, x: &Constant) -> Result<Constant> {
    let rank = x.dims.len();
    let given = node.int("axis", 1);
    let at = if given == rank as i64 { rank } else { axis(node, given, rank)? };
    let dims = vec![x.dims[..at].iter().product(), x.dims[at..].iter().product()];
    Ok(Constant { dims, values: x.values.clone() })
}

/// A permutation of this many axes; without the attribute they are reversed.
pub(super) fn permutation(node: &OnnxNode<'_>, rank: usize) -> Result<Vec<usize>> {
    let Some(perm) = node.ints("perm") else { return Ok((0..rank).rev().collect()) };
    let perm: Vec<usize> = perm.iter().map(|&a| axis(node, a, rank)).collect::<Result<_>>()?;
    let mut sorted = perm.clone();
    sorted.sort_unstable();
    if sorted.iter().copied().eq(0..rank) {
        return Ok(perm);
    }
    Err(node.unusable(format!("perm {perm:?}"), format!("each of {rank} axes once")))
}

fn transpose(node: &OnnxNode<'_>, x: &Constant) -> Result<Constant> {
    let perm = permutation(node, x.dims.len())?;
    let strides: Vec<usize> = (0..x.dims.len()).map(|axis| x.dims[axis + 1..].iter().product()).collect();
    let dims: Vec<usize> = perm.iter().map(|&axis| x.dims[axis]).collect();
    let at = (0..x.values.len()).map(|index| {
        let (mut rest, mut source) = (index, 0);
        for (&size, &axis) in dims.iter().zip(&perm).rev() {
            source += rest % size * strides[axis];
            rest /= size;
        }
        source
    });
    Ok(Constant { values: x.values.pick(at), dims: dims.clone() })
}

/// Axes of Squeeze, Unsqueeze or a reduction: an attribute in old operator sets, an input in new ones.
pub(super) fn axes_of(node: &OnnxNode<'_>, input: Option<&Constant>) -> Result<Option<Vec<i64>>> {
    match (node.ints("axes"), input) {
        (Some(axes), _) => Ok(Some(axes.to_vec())),
        (None, Some(input)) => Ok(Some(ints(node, input)?.to_vec())),
        (None, None) => Ok(None),
    }
}

/// Dimensions after Squeeze or Unsqueeze.
fn squeeze(node: &OnnxNode<'_>, x: &Constant, axes: Option<&Constant>) -> Result<Constant> {
    let axes = axes_of(node, axes)?;
    let mut dims: Vec<Option<usize>> = x.dims.iter().copied().map(Some).collect();
    squeeze_axes(node, axes.as_deref(), &mut dims, || Some(1), |dim| *dim == Some(1))?;
    Ok(Constant { dims: dims.into_iter().flatten().collect(), values: x.values.clone() })
}

/// Removes or inserts axes of size 1 in any description of axes.
pub(super) fn squeeze_axes<T>(
    node: &OnnxNode<'_>,
    axes: Option<&[i64]>,
    described: &mut Vec<T>,
    unit: impl Fn() -> T,
    is_unit: impl Fn(&T) -> bool,
) -> Result<()> {
    if node.op() == "Squeeze" {
        let rank = described.len();
        let mut removed: Vec<usize> = match axes {
            Some(axes) => axes.iter().map(|&a| axis(node, a, rank)).collect::<Result<_>>()?,
            None => (0..rank).filter(|&i| is_unit(&described[i])).collect(),
        };
        removed.sort_unstable();
        removed.dedup();
        for &at in removed.iter().rev() {
            if !is_unit(&described[at]) {
                return Err(node.unusable(format!("axis {at} of a size above 1"), "axes of size 1"));
            }
            described.remove(at);
        }
        return Ok(());
    }
    let axes = axes.ok_or_else(|| node.unusable("no axes", "axes"))?;
    let rank = described.len() + axes.len();
    if rank > super::tensor::MAX_RANK {
        return Err(node.unusable(format!("{rank} axes"), "at most 8"));
    }
    let mut inserted: Vec<usize> = axes.iter().map(|&a| axis(node, a, rank)).collect::<Result<_>>()?;
    inserted.sort_unstable();
    inserted.dedup();
    for at in inserted {
        if at > described.len() {
            return Err(node.unusable(format!("axis {at}"), "axes of the result"));
        }
        described.insert(at, unit());
    }
    Ok(())
}
