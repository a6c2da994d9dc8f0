//! Networks that are built here, against values worked out by hand; those of files are in `tests/import.rs`.

use super::proto::{AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto};
use super::proto::{Dimension, Size, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto};
use super::*;
use crate::train::Executor;

fn node(op: &str, inputs: &[&str], output: &str, attribute: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        input: inputs.iter().map(ToString::to_string).collect(),
        output: vec![output.into()],
        name: output.into(),
        op_type: op.into(),
        attribute,
        ..NodeProto::default()
    }
}

fn ints(name: &str, ints: &[i64]) -> AttributeProto {
    AttributeProto { name: name.into(), ints: ints.to_vec(), ..AttributeProto::default() }
}

fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto { name: name.into(), i, ..AttributeProto::default() }
}

fn tensor(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    TensorProto {
        dims: dims.to_vec(),
        data_type: 1,
        float_data: values.to_vec(),
        name: name.into(),
        ..TensorProto::default()
    }
}

fn value(name: &str, dims: &[usize]) -> ValueInfoProto {
    let dim = dims.iter().map(|&dim| Dimension { value: Some(Size::Known(dim as i64)) }).collect();
    let tensor = TensorTypeProto { shape: Some(TensorShapeProto { dim }) };
    ValueInfoProto { name: name.into(), kind: Some(TypeProto { tensor: Some(tensor) }) }
}

/// The outputs of a network from `x` to `y` on one example.
fn outputs(node: Vec<NodeProto>, initializer: Vec<TensorProto>, shape: Shape, x: &[f32]) -> Result<Vec<f32>> {
    let input = vec![value("x", &[1, shape.channels, shape.height, shape.width])];
    let graph = GraphProto { node, initializer, input, output: vec![value("y", &[])] };
    let opset_import = vec![OperatorSetIdProto { domain: String::new(), version: 13 }];
    let bytes = ModelProto { graph: Some(graph), opset_import }.encode_to_vec();
    let options = ImportOptions { input: Some(shape), ..ImportOptions::default() };
    let imported = from_bytes(Path::new("m.onnx"), &bytes, &options)?;
    let mut executor = Executor::new(&imported.graph, 1)?;
    Ok(executor.infer(&imported.params, x, 1)?.to_vec())
}

/// A first layer that changes nothing.
fn identity() -> (NodeProto, TensorProto) {
    (node("Conv", &["x", "one"], "first", vec![]), tensor("one", &[1, 1, 1, 1], &[1.0]))
}

/// Means over windows of `kernel` at every second position of a square with zeros around it, which count;
/// what is beyond them does not.
fn means(x: &[f32], size: usize, pads: [usize; 2], kernel: usize, out: usize) -> Vec<f32> {
    let whole = size + pads[0] + pads[1];
    let at = |y: usize, x_: usize| match (y.checked_sub(pads[0]), x_.checked_sub(pads[0])) {
        (Some(y), Some(x_)) if y < size && x_ < size => x[y * size + x_],
        _ => 0.0,
    };
    let range = |o: usize| 2 * o..(2 * o + kernel).min(whole);
    let mean = |oy: usize, ox: usize| {
        let sum: f32 = range(oy).flat_map(|y| range(ox).map(move |x| (y, x))).map(|(y, x)| at(y, x)).sum();
        sum / (range(oy).len() * range(ox).len()) as f32
    };
    (0..out).flat_map(|oy| (0..out).map(move |ox| (oy, ox))).map(|(oy, ox)| mean(oy, ox)).collect()
}

#[test]
fn zeros_of_a_pad_count_in_an_average_and_those_of_the_pool_do_not() {
    let same = AttributeProto { name: "auto_pad".into(), s: b"SAME_UPPER".to_vec(), ..Default::default() };
    let ceil = || vec![int("ceil_mode", 1)];
    let own = vec![ints("pads", &[0, 0, 1, 1])];
    for (size, pads, kernel, extra, out) in [
        (7, [1, 1], 2, ceil(), 5),
        (6, [1, 1], 3, ceil(), 4),
        (7, [2, 0], 2, ceil(), 5),
        (7, [2, 0], 2, vec![same], 5),
        (7, [2, 0], 2, own, 5),
        (7, [1, 1], 2, vec![], 4),
        (7, [1, 1], 2, vec![int("count_include_pad", 1)], 4),
    ] {
        let x: Vec<f32> = (1..=size * size).map(|v| v as f32).collect();
        let [begin, end] = pads.map(|pad| pad as i64);
        let mut pool = vec![ints("kernel_shape", &[kernel as i64; 2]), ints("strides", &[2, 2])];
        pool.extend(extra);
        let (first, one) = identity();
        let pad =
            node("Pad", &["first"], "padded", vec![ints("pads", &[0, 0, begin, begin, 0, 0, end, end])]);
        let nodes = vec![first, pad, node("AveragePool", &["padded"], "y", pool.clone())];
        let found = outputs(nodes, vec![one], Shape::new(size, size, 1), &x).unwrap();
        let expected = means(&x, size, pads, kernel, out);
        assert_eq!(found.len(), expected.len(), "{size} {pads:?} {pool:?}");
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-4, "{size} {pads:?} {pool:?}: {found}, {expected}");
        }
    }
    // The function above by hand: one of four values at the first corner, one alone beyond the zeros at the last.
    let x: Vec<f32> = (1..=49).map(|v| v as f32).collect();
    let corner = means(&x, 7, [1, 1], 2, 5);
    assert_eq!((corner[0], corner[6], corner[24]), (0.25, (9 + 10 + 16 + 17) as f32 / 4.0, 0.0));
    assert_eq!(means(&x, 7, [2, 0], 2, 5)[24], 49.0);
}

/// Where the pool's own padding counts as well, all of it does.
#[test]
fn padding_that_counts_adds_to_a_pad() {
    let x: Vec<f32> = (1..=49).map(|v| v as f32).collect();
    let (first, one) = identity();
    let pad = node("Pad", &["first"], "padded", vec![ints("pads", &[0, 0, 2, 2, 0, 0, 0, 0])]);
    let pool = [ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2]), ints("pads", &[0, 0, 1, 1])];
    let pool = pool.into_iter().chain([int("count_include_pad", 1)]).collect();
    let nodes = vec![first, pad, node("AveragePool", &["padded"], "y", pool)];
    let found = outputs(nodes, vec![one], Shape::new(7, 7, 1), &x).unwrap();
    assert_eq!((found.len(), found[24]), (25, 49.0 / 4.0));
}

#[test]
fn a_cast_that_rounds_is_refused() {
    let x = [0.25, 1.5, -2.75, 3.0];
    let cast = |to: i64| {
        let (first, one) = identity();
        let nodes = vec![first, node("Cast", &["first"], "y", vec![int("to", to)])];
        outputs(nodes, vec![one], Shape::new(2, 2, 1), &x)
    };
    for to in [1, 10, 11, 16] {
        assert_eq!(cast(to).unwrap(), x, "{to}");
    }
    for to in [2, 3, 6, 7, 9] {
        let message = cast(to).unwrap_err().to_string();
        assert!(message.contains(&format!("y (Cast): found a cast to type {to}")), "{message}");
    }
}

/// Two rows of one become two rows where the channels stand elsewhere, not twice as many channels.
#[test]
fn rows_of_size_1_are_joined_as_rows() {
    let x = [1.0, 2.0, 3.0, 4.0];
    let nodes = vec![
        node("Conv", &["x", "one"], "a", vec![]),
        node("Mul", &["a", "hundred"], "b", vec![]),
        node("Concat", &["a", "b"], "joined", vec![int("axis", 2)]),
        node("Conv", &["joined", "kernel"], "y", vec![]),
    ];
    let constants = vec![
        tensor("one", &[2, 1, 1, 1], &[1.0, 10.0]),
        tensor("hundred", &[1], &[100.0]),
        // One output; two channels of two rows.
        tensor("kernel", &[1, 2, 2, 1], &[1.0, 2.0, 3.0, 4.0]),
    ];
    let factor = 1.0 + 2.0 * 100.0 + 3.0 * 10.0 + 4.0 * 1000.0;
    let found = outputs(nodes, constants, Shape::new(1, 4, 1), &x).unwrap();
    assert_eq!(found, x.map(|x| x * factor));
}
