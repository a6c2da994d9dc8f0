//! Brings the first layer's inputs to the size that the recipes of stage 2 expect. A network that takes
//! pixels of 0 to 255 has first weights of a thousandth, beside which a prior or a least sigma that suits
//! normalised inputs is enormous.

use crate::data::{Dataset, Preprocessing};
use crate::error::{Error, Result};
use crate::graph::{Graph, Params};

/// Examples that are looked at.
const EXAMPLES: usize = 512;

/// Inputs whose root mean square is within this factor of 1 stay as they are.
const NEAR: f64 = 4.0;

/// Divides the inputs by their root mean square on the training split and multiplies the first layer's
/// kernel by it: the same function but for rounding. A common factor for all channels and no offset, so
/// that the zeros of padding mean what they did.
///
/// # Errors
/// If the data do not suit the preprocessing, or the first layer has no kernel.
pub fn condition(
    graph: &Graph,
    params: &mut Params,
    train: &Dataset,
    preprocessing: &mut Preprocessing,
) -> Result<()> {
    let mut inputs = Vec::new();
    let indices: Vec<usize> = (0..train.len().min(EXAMPLES)).collect();
    preprocessing.apply(train, &indices, &mut inputs)?;
    let squares: f64 = inputs.iter().map(|&x| f64::from(x).powi(2)).sum();
    let size = (squares / inputs.len() as f64).sqrt();
    if !size.is_normal() || (1.0 / NEAR..=NEAR).contains(&size) {
        return Ok(());
    }
    let first = graph.first_weighted()?;
    let kernel = params.nodes[first].weight.as_mut().ok_or_else(|| {
        Error::invalid(format!("weight of node {}", graph.nodes[first].name), "none", "a tensor")
    })?;
    kernel.mapv_inplace(|w| w * size as f32);
    preprocessing.std.iter_mut().for_each(|std| *std *= size as f32);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Inputs;
    use crate::graph::{GraphBuilder, Shape, Task, Window};
    use crate::train::Executor;

    #[test]
    fn raw_pixels_become_near_1_and_the_outputs_stay() {
        let shape = Shape::new(4, 4, 2);
        let mut b = GraphBuilder::new("t", Task::Classification, shape);
        let x = b.conv(0, 3, Window::padded(3, 1, 1), 1, true).unwrap();
        b.dense(x, 2, true).unwrap();
        let graph = b.finish().unwrap();
        let mut params = Params::initialise(&graph, 1);
        let pixels = (0..10 * shape.len()).map(|i| (i * 37 % 256) as u8).collect();
        let train = Dataset {
            name: "t".into(),
            shape,
            inputs: Inputs::U8(pixels),
            labels: vec![0; 10],
            class_names: vec!["a".into()],
            targets: Default::default(),
        };
        let mut preprocessing =
            Preprocessing { mean: vec![0.0; 2], std: vec![1.0; 2], ..Preprocessing::default() };
        let outputs = |params: &Params, preprocessing: &Preprocessing| {
            let mut inputs = Vec::new();
            preprocessing.apply(&train, &[3], &mut inputs).unwrap();
            let size = inputs.iter().map(|x| x * x).sum::<f32>() / inputs.len() as f32;
            (Executor::new(&graph, 1).unwrap().infer(params, &inputs, 1).unwrap().to_vec(), size.sqrt())
        };
        let (before, large) = outputs(&params, &preprocessing);
        condition(&graph, &mut params, &train, &mut preprocessing).unwrap();
        let (after, small) = outputs(&params, &preprocessing);
        assert!(large > 100.0 && (0.5..2.0).contains(&small), "{large} {small}");
        for (a, b) in before.iter().zip(&after) {
            assert!((a - b).abs() < 1e-4 * a.abs().max(1.0), "{before:?} {after:?}");
        }
        let same = (params.clone(), preprocessing.clone());
        condition(&graph, &mut params, &train, &mut preprocessing).unwrap();
        assert_eq!((params, preprocessing), same, "normalised inputs stay as they are");
    }
}
