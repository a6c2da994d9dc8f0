//! How many optima a layer has when it is trained alone: retrain one kernel from many fresh starts, all
//! else as stage 1 left it, and see how far apart the solutions lie, how high the loss is between them,
//! and how often they disagree. This is what the method rests on: a layer with many disparate optima has
//! a wide posterior.

mod path;
mod plot;
mod retrain;

pub use path::{Pair, barrier};
pub use plot::svg;
pub use retrain::retrain;

use crate::compare::{Mean, Seeded, Settings, Watch};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::graph::{NodeId, Params};
use crate::train::methods::{Net, Weights, logits};
use crate::train::{Device, stage1};
use ndarray::ArrayD;
use serde::Serialize;

/// How it is looked at.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Wish {
    /// Solutions of each layer.
    pub starts: usize,
    /// Epochs of each retraining.
    pub epochs: usize,
    /// Adam's step size.
    pub learning_rate: f32,
    /// Places on the straight line between two solutions, ends included.
    pub points: usize,
    /// Test examples that paths and disagreement are measured on, at most.
    pub examples: usize,
    /// Names of the layers; empty: every weighted layer.
    pub layers: Vec<String>,
}

/// Solutions of one layer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Layer {
    /// Name of the node.
    pub name: String,
    /// Weights of its kernel.
    pub weights: usize,
    /// Error of the stage-1 network on the test examples, and its loss.
    pub stage1_error: f64,
    /// Negative log likelihood of the stage-1 network.
    pub stage1_nll: f64,
    /// Error of each solution.
    pub error: Mean,
    /// Negative log likelihood of each solution.
    pub nll: Mean,
    /// Distance of two solutions over the mean of their norms; sqrt 2 for directions at random.
    pub distance: Mean,
    /// Cosine of the angle between two solutions.
    pub cosine: Mean,
    /// Share of examples on which two solutions name different classes.
    pub disagreement: Mean,
    /// Greatest loss on the line between two solutions above the line between their losses, nats.
    pub barrier: Mean,
    /// All pairs.
    pub pairs: Vec<Pair>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Optima {
    /// Name of the data.
    pub data: String,
    /// The architecture.
    pub architecture: String,
    /// The seed.
    pub seed: u64,
    /// The settings. Intervals are over pairs, which share their solutions: too narrow.
    pub wish: Wish,
    /// One entry a layer, in the network's order.
    pub layers: Vec<Layer>,
}

/// Trains stage 1, then each layer alone from fresh starts.
///
/// # Errors
/// If settings cannot be used, or training fails.
pub fn optima(settings: &Settings, seeded: &Seeded, wish: &Wish) -> Result<Optima> {
    if wish.starts < 2 || wish.points < 3 {
        let found = format!("{} starts, {} points", wish.starts, wish.points);
        return Err(Error::invalid("solutions of a layer", found, "at least 2 starts and 3 points"));
    }
    if !(wish.learning_rate.is_finite() && wish.learning_rate > 0.0) {
        return Err(Error::invalid(
            "learning rate of a layer",
            wish.learning_rate,
            "a finite number above 0",
        ));
    }
    let Seeded { seed, splits, graph, .. } = seeded;
    let name = &splits.train.name;
    let nodes = layers(seeded, wish)?;
    let mut watch = Watch::new(format!("stage 1, seed {seed}"));
    let plain = stage1(graph, seeded.train_data(), &settings.stage1(name, *seed), None, &mut watch)?.params;
    let test = splits.test.select(&splits.test.sample(wish.examples))?;
    let layers = nodes.into_iter().map(|node| layer(settings, seeded, wish, &plain, &test, node));
    Ok(Optima {
        data: name.clone(),
        architecture: settings.architecture.clone(),
        seed: *seed,
        wish: wish.clone(),
        layers: layers.collect::<Result<_>>()?,
    })
}

fn layers(seeded: &Seeded, wish: &Wish) -> Result<Vec<NodeId>> {
    let nodes = &seeded.graph.nodes;
    let weighted = || (0..nodes.len()).filter(|&id| nodes[id].op.is_weighted());
    if wish.layers.is_empty() {
        return Ok(weighted().collect());
    }
    let find = |name: &String| {
        let names = || weighted().map(|id| nodes[id].name.clone()).collect::<Vec<_>>().join(", ");
        weighted()
            .find(|&id| nodes[id].name == *name)
            .ok_or_else(|| Error::invalid("layer", name, format!("one of {}", names())))
    };
    wish.layers.iter().map(find).collect()
}

fn layer(
    settings: &Settings,
    seeded: &Seeded,
    wish: &Wish,
    plain: &Params,
    test: &Dataset,
    node: NodeId,
) -> Result<Layer> {
    let solutions = (0..wish.starts)
        .map(|start| retrain(settings, seeded, wish, plain, node, start as u64))
        .collect::<Result<Vec<_>>>()?;
    let judge = |kernel: Option<&ArrayD<f32>>| judge(seeded, plain, test, node, kernel);
    let before = judge(None)?;
    let judged = solutions.iter().map(|solution| judge(Some(solution))).collect::<Result<Vec<_>>>()?;
    let mut pairs = Vec::new();
    for a in 0..solutions.len() {
        for b in a + 1..solutions.len() {
            let losses = (0..wish.points).map(|point| {
                let share = point as f32 / (wish.points - 1) as f32;
                let between = &solutions[a] * (1.0 - share) + &solutions[b] * share;
                Ok(judge(Some(&between))?.nll)
            });
            let losses = losses.collect::<Result<Vec<f64>>>()?;
            let differing = judged[a].classes.iter().zip(&judged[b].classes).filter(|(a, b)| a != b).count();
            let disagreement = differing as f64 / test.len() as f64;
            pairs.push(Pair::new((a, b), &solutions[a], &solutions[b], disagreement, losses));
        }
    }
    let over =
        |values: Vec<f64>| Mean::of(&values).ok_or_else(|| Error::invalid("solutions", "none", "at least 2"));
    let of_pairs = |figure: &dyn Fn(&Pair) -> f64| over(pairs.iter().map(figure).collect());
    Ok(Layer {
        name: seeded.graph.nodes[node].name.clone(),
        weights: solutions[0].len(),
        stage1_error: before.error,
        stage1_nll: before.nll,
        error: over(judged.iter().map(|one| one.error).collect())?,
        nll: over(judged.iter().map(|one| one.nll).collect())?,
        distance: of_pairs(&|pair| pair.distance)?,
        cosine: of_pairs(&|pair| pair.cosine)?,
        disagreement: of_pairs(&|pair| pair.disagreement)?,
        barrier: of_pairs(&|pair| pair.barrier)?,
        pairs,
    })
}

/// What a network makes of the test examples.
struct Judged {
    error: f64,
    nll: f64,
    classes: Vec<usize>,
}

/// The stage-1 network with another kernel in one layer.
fn judge(
    seeded: &Seeded,
    plain: &Params,
    test: &Dataset,
    node: NodeId,
    kernel: Option<&ArrayD<f32>>,
) -> Result<Judged> {
    let mut params = plain.clone();
    if let Some(kernel) = kernel {
        params.nodes[node].weight = Some(kernel.clone());
    }
    let net = Net { graph: seeded.graph.clone(), weights: Weights::Plain(params), device: Device::Cpu };
    let drawn = logits(&net, test, &seeded.preprocessing, 1, 0)?;
    let outcomes = crate::compare::outcomes_of(&drawn, 1.0);
    let found = crate::evaluate::metrics(&outcomes, test);
    let classes =
        outcomes.iter().filter_map(|one| one.classification).map(|c| usize::from(c.class)).collect();
    Ok(Judged { error: 1.0 - found.accuracy(), nll: found.nll(), classes })
}

#[cfg(test)]
mod tests;
