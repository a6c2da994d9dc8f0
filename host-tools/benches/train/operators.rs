//! How near each operator of a training step comes to what the CPU can do.
//!
//! Operators with multiply-accumulates are measured against the f32 limit of the same threads, found by a
//! loop of fused multiply-adds on registers; the others by the time that they take. Operators of one kind
//! and shape make one row.

use super::networks::{NETWORKS, build, start, uniform};
use std::time::{Duration, Instant};
use stf_host::Result;
use stf_host::graph::{Graph, NodeId, Op, Shape};
use stf_host::kernels::direct::peak_multiply_adds;
use stf_host::train::{Executor, Gradients, Pass, Trainable, part_examples};

const BATCH: usize = 64;

/// Prints the table of one network, or of all.
pub fn table(network: Option<&str>, trainable: Trainable, duration: Duration) -> Result<()> {
    let networks = network.map_or_else(|| NETWORKS.to_vec(), |network| vec![network]);
    let limit = limit();
    println!("{} threads, f32 limit {:.0} GFLOP/s\n", rayon::current_num_threads(), limit / 1e9);
    println!("| network | operator | times | share of step | forward | input gradient | weight gradient |");
    println!("|---|---|---|---|---|---|---|");
    for network in networks {
        rows(network, trainable, duration, limit)?;
    }
    Ok(())
}

/// Floating-point operations a second of all threads: for each the best of many short runs, which other
/// processes do not interrupt.
fn limit() -> f64 {
    const ROUNDS: u64 = 100_000;
    let run = || {
        let started = Instant::now();
        let operations = 2 * peak_multiply_adds(ROUNDS);
        operations as f64 / started.elapsed().as_secs_f64()
    };
    rayon::broadcast(|_| (0..500).map(|_| run()).fold(0.0, f64::max)).iter().sum()
}

/// Operators of one kind and shape.
struct Row {
    name: String,
    nodes: usize,
    /// Multiply-accumulates of a batch, all nodes together.
    macs: f64,
    /// Forward, input gradient, weight gradient: seconds.
    seconds: [f64; 3],
}

fn rows(network: &str, trainable: Trainable, duration: Duration, limit: f64) -> Result<()> {
    let graph = build(network)?;
    let seconds = best_times(&graph, trainable, duration)?;
    let mut rows: Vec<Row> = Vec::new();
    for (id, seconds) in seconds.iter().enumerate().skip(1) {
        let name = name(&graph, id);
        if name.is_empty() {
            continue;
        }
        let macs = graph.node_macs(id) as f64 * BATCH as f64;
        match rows.iter_mut().find(|row| row.name == name) {
            Some(row) => {
                row.nodes += 1;
                row.macs += macs;
                row.seconds.iter_mut().zip(seconds).for_each(|(sum, seconds)| *sum += seconds);
            }
            None => rows.push(Row { name, nodes: 1, macs, seconds: *seconds }),
        }
    }
    let step: f64 = rows.iter().flat_map(|row| row.seconds).sum();
    rows.sort_by(|a, b| b.seconds.iter().sum::<f64>().total_cmp(&a.seconds.iter().sum()));
    for row in rows {
        let share = row.seconds.iter().sum::<f64>() / step;
        let cell = |seconds: f64| match seconds {
            0.0 => "–".to_owned(),
            seconds if row.macs > 0.0 => {
                let rate = 2.0 * row.macs / seconds;
                format!("{:.0} GFLOP/s, {:.0} %", rate / 1e9, 100.0 * rate / limit)
            }
            seconds => format!("{:.0} us", seconds * 1e6),
        };
        let cells = row.seconds.map(cell).join(" | ");
        println!("| {network} | {} | {} | {:.0} % | {cells} |", row.name, row.nodes, 100.0 * share);
    }
    Ok(())
}

/// Least seconds of each node's forward, input gradient and weight gradient over some training steps of a
/// whole batch; zero for what is not computed.
fn best_times(graph: &Graph, trainable: Trainable, duration: Duration) -> Result<Vec<[f64; 3]>> {
    let part = if trainable == Trainable::FirstLayer { part_examples(graph, BATCH) } else { BATCH };
    let mut executor = Executor::for_training(graph, part, trainable)?;
    let (params, mut gradients) = (start(graph), Gradients::zeros(graph, trainable));
    let inputs = uniform(1000, part * graph.input_shape().len(), 1.0);
    let slope = uniform(1001, part * graph.output_shape().len(), 1.0 / BATCH as f32);
    let mut best = vec![[f64::INFINITY; 3]; graph.nodes.len()];
    let started = Instant::now();
    while started.elapsed() < duration {
        executor.measure();
        let pass = Pass::default();
        executor.forward(&params, &inputs, part, &pass)?;
        executor.backward(&params, &inputs, &slope, part, &pass, &mut gradients)?;
        for (best, times) in best.iter_mut().zip(executor.times()) {
            let times = [times.forward, times.input_gradient, times.weight_gradient];
            best.iter_mut().zip(times).for_each(|(best, time)| *best = best.min(time.as_secs_f64()));
        }
    }
    best.iter_mut().flatten().for_each(|seconds| *seconds *= BATCH as f64 / part as f64);
    Ok(best)
}

/// Kind and shape; empty for what takes no time.
fn name(graph: &Graph, id: NodeId) -> String {
    let (node, input) = (&graph.nodes[id], graph.input_of(id));
    let shape = |shape: Shape| format!("{}x{}x{}", shape.height, shape.width, shape.channels);
    match node.op {
        Op::Conv2d { window, groups, .. } => {
            let [height, width] = window.kernel;
            let stride =
                if window.stride == [1; 2] { String::new() } else { format!("/{}", window.stride[0]) };
            let kind = if groups > 1 { "depthwise" } else { "conv" };
            format!("{kind} {height}x{width}{stride} {} to {}", shape(input), shape(node.shape))
        }
        Op::Dense { .. } => format!("dense {} to {}", input.len(), node.shape.len()),
        Op::BatchNorm { .. } => format!("batch norm {}", shape(input)),
        Op::Activation(_) => format!("ReLU {}", shape(input)),
        Op::Add => format!("add {}", shape(input)),
        Op::Sub | Op::Mul | Op::Concat { .. } | Op::Pad { .. } => {
            format!("{} {}", node.op.name().to_lowercase(), shape(node.shape))
        }
        Op::MaxPool(_) => format!("max pool {}", shape(input)),
        Op::AvgPool { .. } | Op::GlobalAvgPool => format!("mean pool {}", shape(input)),
        Op::Input | Op::Flatten | Op::Dropout { .. } => String::new(),
    }
}
