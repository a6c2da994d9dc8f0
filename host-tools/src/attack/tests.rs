use super::*;
use crate::graph::dropout::with_dropout;
use crate::graph::params::Posterior;
use crate::graph::{Graph, Params};
use crate::train::Device;
use crate::train::methods::Weights;
use crate::train::testing::{Examples, conv_net, dense_net, numbers};
use ndarray::ArrayD;
use serde_json::Value;

fn random_net(graph: Graph) -> Net {
    let params = Params::initialise(&graph, 4);
    let weighted: Vec<usize> = (0..graph.nodes.len()).filter(|&i| graph.nodes[i].op.is_weighted()).collect();
    let posterior = |&node: &usize| {
        let shape = params.nodes[node].weight.as_ref().unwrap().raw_dim();
        Posterior { node, log_var: ArrayD::from_elem(shape, -3.0) }
    };
    let posteriors = weighted.iter().map(posterior).collect();
    Net { graph, weights: Weights::MeanField { params, posteriors }, device: Device::Cpu }
}

fn preprocessing() -> Preprocessing {
    Preprocessing { mean: vec![0.3, 0.5], std: vec![0.25, 0.4], ..Preprocessing::default() }
}

/// The gradient of the averaged prediction's loss with respect to raw inputs against differences.
#[test]
fn the_gradient_is_that_of_the_averaged_prediction() {
    let dropped = with_dropout(&conv_net(), 0.3).unwrap();
    let dropout = Net {
        weights: Weights::Dropout(Params::initialise(&dropped, 4)),
        graph: dropped,
        device: Device::Cpu,
    };
    let (pre, labels) = (preprocessing(), [0, 2]);
    for net in [random_net(dense_net()), random_net(conv_net()), dropout] {
        let raw = numbers(2 * 72, 9);
        let mut target = Target::new(&net, &pre, 5, 3).unwrap();
        for loss in [Loss::CrossEntropy, Loss::Dlr] {
            let found = target.climb(&raw, &labels, loss, 8, 3, true).unwrap();
            for index in (0..raw.len()).step_by(5) {
                let mut moved = |by: f32| {
                    let mut raw = raw.clone();
                    raw[index] += by;
                    target.climb(&raw, &labels, loss, 8, 3, false).unwrap().loss.iter().sum::<f64>()
                };
                let wanted = (moved(2e-3) - moved(-2e-3)) / 4e-3;
                let got = f64::from(found.gradient[index]);
                assert!(
                    (got - wanted).abs() < 0.02 * wanted.abs().max(0.1),
                    "{loss:?} {index}: {got} {wanted}"
                );
            }
        }
    }
}

/// Logits far apart: the probabilities of the others are zero in f32, the gradient is not.
#[test]
fn a_saturated_network_still_has_a_gradient() {
    let (mut net, pre) = (random_net(dense_net()), preprocessing());
    let last = net.graph.output();
    if let Weights::MeanField { params, posteriors } = &mut net.weights {
        // Draws that agree: otherwise one of them is sure of every class.
        posteriors.iter_mut().for_each(|posterior| posterior.log_var.fill(-20.0));
        // Only the last layer: saturated tanh units would have no gradient indeed.
        *params.nodes[last].weight.as_mut().unwrap() *= 400.0;
    }
    let raw = numbers(72, 9);
    let mut target = Target::new(&net, &pre, 4, 1).unwrap();
    let start = target.climb(&raw, &[0], Loss::CrossEntropy, 1, 0, false).unwrap();
    let label = (1..3).fold(0, |best, c| if start.log_mean[c] < start.log_mean[best] { c } else { best });
    let found = target.climb(&raw, &[label as u32], Loss::CrossEntropy, 1, 0, true).unwrap();
    assert!(found.loss[0] > 100.0 && found.gradient.iter().any(|d| d.abs() > 1e-3), "{}", found.loss[0]);
}

fn accuracy(net: &Net, pre: &Preprocessing, x: &[f32], labels: &[u32], seed: u64) -> f64 {
    let mut target = Target::new(net, pre, 20, labels.len()).unwrap();
    let ball = Ball { eps: 0.0, low: 0.0, high: 0.0 };
    let victims = Victims { raw: x, labels, first: 0, ball, seed, fresh: true };
    let hits = hits(&mut target, x, &victims, seed).unwrap();
    hits.iter().filter(|hit| **hit).count() as f64 / labels.len() as f64
}

/// Every attack stays in its ball and finds inputs that are predicted worse than random changes.
#[test]
fn attacks_stay_in_the_ball_and_fool_better_than_noise() {
    let (net, examples) = (random_net(dense_net()), Examples::new());
    let (data, pre) = (examples.data().validation, examples.data().preprocessing);
    let raw = raw_values(data, &(0..data.len()).collect::<Vec<_>>()).unwrap();
    // Labels are what the network says: it is right on every clean input, up to its draws.
    let mut target = Target::new(&net, pre, 20, data.len()).unwrap();
    let said = target.climb(&raw, &data.labels, Loss::CrossEntropy, 1, 0, false).unwrap().log_mean;
    let labels: Vec<u32> =
        said.chunks(3).map(|p| (1..3).fold(0, |b, c| if p[c] > p[b] { c } else { b }) as u32).collect();
    let (low, high) = range(data).unwrap();
    let ball = Ball { eps: 0.25, low, high };
    let victims = Victims { raw: &raw, labels: &labels, first: 0, ball, seed: 3, fresh: true };
    let noisy = victims.start(1);
    let noise = accuracy(&net, pre, &noisy, &labels, 77);
    let apgd = |loss| Attack::Apgd { loss, steps: 10, restarts: 1 };
    let pgd = Attack::Pgd { steps: 10, restarts: 2, step_share: 0.25 };
    for attack in [Attack::Fgsm, pgd, apgd(Loss::CrossEntropy), apgd(Loss::Dlr)] {
        let x = super::attack(&mut target, &victims, attack).unwrap().raw;
        let inside =
            x.iter().zip(&raw).all(|(x, c)| (x - c).abs() <= 0.25 + 1e-5 && (low..=high).contains(x));
        assert!(inside, "{attack:?}");
        let fooled = accuracy(&net, pre, &x, &labels, 77);
        assert!(fooled < noise - 0.2, "{attack:?}: {fooled} right, {noise} under noise");
        assert_eq!(x, super::attack(&mut target, &victims, attack).unwrap().raw, "{attack:?}");
    }
}

#[test]
fn whole_values_stay_in_the_ball() {
    let ball = Ball { eps: 2.0, low: 0.0, high: 255.0 };
    assert_eq!(ball.round(&[10.0, 0.0, 255.0, 7.0], &[12.4, 0.6, 252.9, 6.5]), [12, 1, 253, 7]);
    let third = Ball { eps: 0.4, ..ball };
    assert_eq!(third.round(&[10.0], &[10.4]), [10]);
}

fn floats(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|value| value.as_f64().unwrap() as f32).collect()
}

/// FGSM and PGD are those of the Adversarial Robustness Toolbox, given the same draws.
/// `tests/golden/make_art_pgd.py` made the file.
#[test]
fn attacks_are_those_of_art() {
    let golden: Value = serde_json::from_str(include_str!("../../tests/golden/art_pgd.json")).unwrap();
    let graph = dense_net();
    let weighted: Vec<usize> = (0..graph.nodes.len()).filter(|&i| graph.nodes[i].op.is_weighted()).collect();
    let member = |m: &Value| {
        let mut params = Params::zeros(&graph);
        for (&node, layer) in weighted.iter().zip(["1", "2"]) {
            let fill = |tensor: &mut Option<ArrayD<f32>>, name: &str| {
                let values = floats(&m[format!("{name}{layer}")]);
                let tensor = tensor.as_mut().unwrap();
                assert_eq!(tensor.len(), values.len());
                tensor.iter_mut().zip(values).for_each(|(slot, value)| *slot = value);
            };
            fill(&mut params.nodes[node].weight, "w");
            fill(&mut params.nodes[node].bias, "b");
        }
        params
    };
    let members = golden["members"].as_array().unwrap().iter().map(member).collect();
    let net = Net { graph: graph.clone(), weights: Weights::Ensemble(members), device: Device::Cpu };
    let number = |name: &str| golden[name].as_f64().unwrap() as f32;
    let pre = Preprocessing {
        mean: vec![number("mean"); 2],
        std: vec![number("std"); 2],
        ..Preprocessing::default()
    };
    let (raw, labels) = (floats(&golden["inputs"]), floats(&golden["labels"]));
    let labels: Vec<u32> = labels.into_iter().map(|label| label as u32).collect();
    let ball = Ball { eps: number("eps"), low: 0.0, high: 1.0 };
    let victims = Victims { raw: &raw, labels: &labels, first: 0, ball, seed: 0, fresh: false };
    let mut target = Target::new(&net, &pre, 3, labels.len()).unwrap();
    let steps = golden["steps"].as_u64().unwrap() as usize;
    let step_share = f64::from(number("step")) / f64::from(number("eps"));
    let pgd = Attack::Pgd { steps, restarts: 1, step_share };
    for (attack, name) in [(Attack::Fgsm, "fgsm"), (pgd, "pgd")] {
        let found = super::attack(&mut target, &victims, attack).unwrap().raw;
        let wanted = floats(&golden[name]);
        let equal = found.iter().zip(&wanted).filter(|(a, b)| (**a - **b).abs() < 1e-5).count();
        assert_eq!(equal, wanted.len(), "{name}: {equal} of {} values are equal", wanted.len());
        assert!(wanted.iter().zip(&raw).filter(|(a, b)| (*a - *b).abs() > 1e-3).count() > wanted.len() / 2);
    }
}

#[test]
fn signs_of_masked_gradients_are_said_and_the_worst_is_of_all() {
    let point = |method, attack: &str, eps, right: &[bool]| {
        let (n, hits) = (right.len(), right.iter().filter(|r| **r).count());
        let accuracy = hits as f64 / n as f64;
        let interval = ((accuracy - 0.1).max(0.0), (accuracy + 0.1).min(1.0));
        let attack = attack.to_string();
        Point {
            method,
            attack,
            eps,
            n,
            accuracy,
            interval,
            accuracy_seen: Some(accuracy),
            int8_accuracy: Some(accuracy),
            int8_right: right.iter().map(|right| !right).collect(),
            right: right.to_vec(),
        }
    };
    let (all, half, none) = (vec![true; 10], [vec![true; 5], vec![false; 5]].concat(), vec![false; 10]);
    let honest = [
        point(Method::Stf, "pgd", 0.1, &none),
        point(Method::Stf, "pgd", 0.05, &half),
        point(Method::Stf, "transfer", 0.1, &half),
    ];
    assert!(masked_gradients(&honest).is_empty());
    let masked = [point(Method::Stf, "pgd", 0.1, &all), point(Method::Stf, "transfer", 0.1, &none)];
    assert!(masked_gradients(&masked)[0].contains("transfer"));
    let odd = [point(Method::Stf, "pgd", 0.1, &all), point(Method::Stf, "pgd", 0.05, &half)];
    assert!(masked_gradients(&odd)[0].contains("more right"));
    let other: Vec<bool> = half.iter().map(|right| !right).collect();
    let found = worst(&[point(Method::Stf, "pgd", 0.1, &half), point(Method::Stf, "fgsm", 0.1, &other)]);
    assert!(found.len() == 1 && found[0].accuracy == 0.0 && found[0].interval.1 > 0.2);
    // Each of them leaves half: together they leave none, also on the device.
    assert_eq!((found[0].int8_accuracy, found[0].accuracy_seen), (Some(0.0), None));
}
