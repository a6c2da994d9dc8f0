use super::*;
use crate::graph::dropout::with_dropout;
use crate::train::methods::{fit_last_layer, logits};
use crate::train::testing::{Examples, conv_net, dense_net};
use ndarray::ArrayD;

fn nets() -> Vec<Net> {
    let (graph, examples) = (dense_net(), Examples::new());
    let params = Params::initialise(&graph, 1);
    let posterior = |node: usize| {
        let shape = params.nodes[node].weight.as_ref().unwrap().raw_dim();
        Posterior { node, log_var: ArrayD::from_elem(shape, -2.0) }
    };
    let weighted: Vec<usize> = (0..graph.nodes.len()).filter(|&i| graph.nodes[i].op.is_weighted()).collect();
    let mut last =
        fit_last_layer(&graph, &params, examples.data().train, examples.data().preprocessing).unwrap();
    last.prior_precision = 2.5;
    let dropped = with_dropout(&conv_net(), 0.3).unwrap();
    let net = |weights| Net { graph: graph.clone(), weights, device: Device::Cpu };
    vec![
        net(Weights::Plain(params.clone())),
        net(Weights::MeanField {
            params: params.clone(),
            posteriors: weighted.iter().map(|&node| posterior(node)).collect(),
        }),
        net(Weights::Ensemble((0..3).map(|seed| Params::initialise(&graph, seed)).collect())),
        net(Weights::Laplace { params, last }),
        Net {
            weights: Weights::Dropout(Params::initialise(&dropped, 1)),
            graph: dropped,
            device: Device::Cpu,
        },
    ]
}

/// A file gives the same draws; draws differ where something is random, and repeat with the seed.
#[test]
fn nets_come_back_and_draw_what_they_drew() {
    let (dir, examples) = (tempfile::tempdir().unwrap(), Examples::new());
    let (data, pre) = (examples.data().validation, examples.data().preprocessing);
    for net in nets() {
        let path = dir.path().join("net");
        net.save(&path).unwrap();
        let drawn = logits(&net, data, pre, 4, 7).unwrap();
        let again = logits(&Net::load(&path).unwrap(), data, pre, 4, 7).unwrap();
        let kind = format!("{:.20?}", net.weights);
        let close = drawn.values.iter().zip(&again.values).all(|(a, b)| (a - b).abs() < 1e-5);
        assert!(close && drawn.draws == again.draws, "{kind}");
        assert_eq!(drawn, logits(&net, data, pre, 4, 7).unwrap(), "{kind}");
        let one = drawn.examples().next().unwrap();
        let (first, second) = one.split_at(drawn.classes);
        assert_eq!(drawn.draws == 1, second.is_empty(), "{kind}");
        assert!(second.is_empty() || &second[..drawn.classes] != first, "{kind}");
        let other = logits(&net, data, pre, 4, 8).unwrap();
        let fixed = matches!(net.weights, Weights::Plain(_) | Weights::Ensemble(_));
        assert_eq!(drawn == other, fixed, "{kind}");
    }
}

/// A posterior of the first kernel alone draws what stage 2's own prediction draws.
#[test]
fn one_posterior_has_the_draws_of_stage_2() {
    let Weights::MeanField { params, posteriors } = nets()[1].weights.clone() else { panic!("the second") };
    let net = Net {
        graph: dense_net(),
        weights: Weights::MeanField { params: params.clone(), posteriors: posteriors[..1].to_vec() },
        device: Device::Cpu,
    };
    let mut expected = params.clone();
    crate::train::sample_kernel(&mut expected, &params, &posteriors[0], 5, 3);
    let mut sampler = net.sampler(5);
    sampler.turn_to(3);
    assert_eq!(*sampler.params(), expected);
}

#[test]
fn damaged_files_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("net");
    nets()[1].save(&path).unwrap();
    let mut file = Checkpoint::load(&path).unwrap();
    file.tensors.remove("0/params/dense1/weight");
    file.save(&path).unwrap();
    assert!(Net::load(&path).unwrap_err().to_string().contains("dense1/weight"));
    assert!(Net::load(&dir.path().join("none")).is_err());
}
