//! Monte-Carlo dropout in any network: a dropout node in front of every weighted node but the first.

use super::{Graph, Node, NodeId, Op, check};
use crate::error::Result;

/// The network with dropout of this rate; weighted nodes keep their order, parameters their shapes.
///
/// # Errors
/// If `rate` is not in 0..1, or the network has a node of a name that is needed.
pub fn with_dropout(graph: &Graph, rate: f32) -> Result<Graph> {
    let first = graph.first_weighted()?;
    let (mut nodes, mut place): (Vec<Node>, Vec<NodeId>) = (Vec::new(), Vec::new());
    for (id, node) in graph.nodes.iter().enumerate() {
        let mut inputs: Vec<NodeId> = node.inputs.iter().map(|&input| place[input]).collect();
        if node.op.is_weighted() && id != first {
            let name = format!("{}/mc_dropout", node.name);
            let shape = nodes[inputs[0]].shape;
            nodes.push(Node { name, op: Op::Dropout { rate }, inputs: inputs.clone(), shape });
            inputs = vec![nodes.len() - 1];
        }
        place.push(nodes.len());
        nodes.push(Node { inputs, ..node.clone() });
    }
    let graph = Graph { name: graph.name.clone(), task: graph.task, nodes };
    check(&graph)?;
    Ok(graph)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Params, Shape, architectures};

    #[test]
    fn every_weighted_node_but_the_first_gets_dropout_and_nothing_else_changes() {
        for (name, weighted) in [("lenet5", 5), ("resnet8", 10)] {
            let graph = architectures::build(name, Shape::new(32, 32, 3), 10).unwrap();
            let dropped = with_dropout(&graph, 0.2).unwrap();
            assert_eq!(dropped.nodes.len(), graph.nodes.len() + weighted - 1, "{name}");
            let others: Vec<&Node> =
                dropped.nodes.iter().filter(|node| !matches!(node.op, Op::Dropout { .. })).collect();
            assert!(
                others
                    .iter()
                    .zip(&graph.nodes)
                    .all(|(a, b)| (&a.name, a.op, a.shape) == (&b.name, b.op, b.shape))
            );
            assert_eq!(Params::zeros(&dropped).count(), Params::zeros(&graph).count());
        }
        let graph = architectures::build("mlp", Shape::new(8, 8, 1), 10).unwrap();
        assert!(with_dropout(&graph, 1.0).is_err());
    }
}
