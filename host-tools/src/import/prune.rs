//! Leaves out what the output does not depend on.

use crate::error::Result;
use crate::graph::{Graph, Node, NodeId, NodeParams, Params, check};

/// The graph up to `output` with only the nodes it needs, and their parameters.
pub(super) fn prune(graph: Graph, params: Vec<NodeParams>, output: NodeId) -> Result<(Graph, Params)> {
    let mut needed = vec![false; graph.nodes.len()];
    needed[0] = true;
    needed[output] = true;
    for id in (1..=output).rev().filter(|&id| id <= output) {
        if needed[id] {
            graph.nodes[id].inputs.iter().for_each(|&input| needed[input] = true);
        }
    }
    let mut new_id = vec![0; graph.nodes.len()];
    let mut nodes = Vec::new();
    let mut kept = Vec::new();
    for (id, (node, params)) in graph.nodes.into_iter().zip(params).enumerate().filter(|(id, _)| needed[*id])
    {
        new_id[id] = nodes.len();
        let inputs = node.inputs.iter().map(|&input| new_id[input]).collect();
        nodes.push(Node { inputs, ..node });
        kept.push(params);
    }
    let graph = Graph { nodes, ..Graph { name: graph.name, task: graph.task, nodes: Vec::new() } };
    check(&graph)?;
    Ok((graph, Params { nodes: kept }))
}
