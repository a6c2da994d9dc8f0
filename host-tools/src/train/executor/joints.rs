//! Operators that join two activations or put zeros around one: difference, product, concatenation,
//! padding. Buffers are `[n, h, w, c]`; every task is one example.

use super::backward::BackwardPass;
use super::types::{Place, read_write};
use super::{Executor, elementwise};
use crate::graph::{NodeId, Op, Shape};
use rayon::prelude::*;
use std::ops::Range;

/// `y -= b`.
pub(super) fn subtract(b: &[f32], y: &mut [f32]) {
    y.par_chunks_mut(4096).zip(b.par_chunks(4096)).for_each(|(y, b)| {
        y.iter_mut().zip(b).for_each(|(y, b)| *y -= b);
    });
}

/// `y *= b`, where `b` has as many values as `y` or one a channel of each of `n` examples.
pub(super) fn multiply(b: &[f32], y: &mut [f32], n: usize) {
    y.par_chunks_mut(y.len() / n).zip(b.par_chunks(b.len() / n)).for_each(|(y, b)| {
        for y in y.chunks_exact_mut(b.len()) {
            y.iter_mut().zip(b).for_each(|(y, b)| *y *= b);
        }
    });
}

/// `db = sum over positions of dy * a`: the gradient of a factor with one value a channel.
fn product_sums(dy: &[f32], a: &[f32], channels: usize, n: usize) -> Vec<f32> {
    let size = dy.len() / n;
    dy.par_chunks(size)
        .zip(a.par_chunks(size))
        .flat_map_iter(|(dy, a)| {
            let mut sums = vec![0.0; channels];
            for (dy, a) in dy.chunks_exact(channels).zip(a.chunks_exact(channels)) {
                sums.iter_mut().zip(dy).zip(a).for_each(|((sum, dy), a)| *sum += dy * a);
            }
            sums
        })
        .collect()
}

/// A block of rows and columns of an activation: where one operand lies in the joined one.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Block {
    whole: Shape,
    part: Shape,
    /// First row, column and channel of the part.
    at: [usize; 3],
}

impl Block {
    /// Runs of neighbouring values: `(offset in the whole, offset in the part, length)`.
    fn runs(self) -> impl Iterator<Item = (usize, usize, usize)> {
        let Self { whole, part, at: [row, column, channel] } = self;
        let joined = part.channels == whole.channels;
        let (pieces, run) =
            if joined { (1, part.width * part.channels) } else { (part.width, part.channels) };
        (0..part.height).flat_map(move |y| {
            (0..pieces).map(move |x| {
                let to = ((y + row) * whole.width + x + column) * whole.channels + channel;
                (to, (y * part.width + x) * part.channels, run)
            })
        })
    }

    fn put(self, part: &[f32], whole: &mut [f32]) {
        let sizes = (self.whole.len(), self.part.len());
        whole.par_chunks_mut(sizes.0).zip(part.par_chunks(sizes.1)).for_each(|(whole, part)| {
            for (to, from, run) in self.runs() {
                whole[to..to + run].copy_from_slice(&part[from..from + run]);
            }
        });
    }

    fn take(self, whole: &[f32], part: &mut [f32], accumulate: bool) {
        let sizes = (self.whole.len(), self.part.len());
        part.par_chunks_mut(sizes.1).zip(whole.par_chunks(sizes.0)).for_each(|(part, whole)| {
            for (from, to, run) in self.runs() {
                for (part, whole) in part[to..to + run].iter_mut().zip(&whole[from..from + run]) {
                    *part = if accumulate { *part + whole } else { *whole };
                }
            }
        });
    }
}

impl Executor {
    /// Where operand `index` of a concatenation or padding lies in its output.
    fn block(&self, id: NodeId, index: usize) -> Block {
        let node = &self.graph.nodes[id];
        let part = self.graph.nodes[node.inputs[index]].shape;
        let mut at = [0; 3];
        match node.op {
            Op::Pad { begin, .. } => at[..2].copy_from_slice(&begin),
            Op::Concat { axis } if index == 1 => {
                let first = self.input_shape_of(id);
                at[axis] = [first.height, first.width, first.channels][axis];
            }
            _ => {}
        }
        Block { whole: node.shape, part, at }
    }

    fn input_shape_of(&self, id: NodeId) -> Shape {
        self.graph.input_of(id)
    }

    pub(super) fn forward_joint(&mut self, id: NodeId, inputs: &[f32], n: usize, target: &Range<usize>) {
        match self.graph.nodes[id].op {
            Op::Concat { .. } => self.put_operands(id, &[0, 1], inputs, n, target),
            Op::Pad { .. } => {
                self.activations[target.clone()].fill(0.0);
                self.put_operands(id, &[0], inputs, n, target);
            }
            op => {
                let (a, b) = (self.source(id, 0, n), self.source(id, 1, n));
                let same = a == b && a == Place::Arena(target.clone());
                self.copy_input(id, inputs, n, target);
                if same {
                    // x - x in place; a product is never in place.
                    self.activations[target.clone()].fill(0.0);
                    return;
                }
                let (b, y) = read_write(&mut self.activations, inputs, &b, target);
                if op == Op::Sub { subtract(b, y) } else { multiply(b, y, n) }
            }
        }
    }

    fn put_operands(
        &mut self,
        id: NodeId,
        operands: &[usize],
        inputs: &[f32],
        n: usize,
        target: &Range<usize>,
    ) {
        for &index in operands {
            let (block, source) = (self.block(id, index), self.source(id, index, n));
            let (part, whole) = read_write(&mut self.activations, inputs, &source, target);
            block.put(part, whole);
        }
    }

    pub(super) fn backward_joint(&mut self, id: NodeId, pass: &BackwardPass<'_>, written: &mut [bool]) {
        match self.graph.nodes[id].op {
            Op::Sub => {
                self.backward_elementwise(id, 0, pass, written, |_, _| ());
                self.backward_elementwise(id, 1, pass, written, |_, d| d.iter_mut().for_each(|d| *d = -*d));
            }
            Op::Mul => self.backward_product(id, pass, written),
            _ => {
                for index in 0..self.graph.nodes[id].inputs.len() {
                    let Some(outgoing) = self.outgoing(id, index, pass.n, written) else { continue };
                    let (block, incoming) = (self.block(id, index), self.incoming(id, pass.n));
                    let (dy, dx) = self.gradient_pair(&incoming, &outgoing, pass);
                    block.take(dy, dx, outgoing.accumulate);
                }
            }
        }
    }

    fn backward_product(&mut self, id: NodeId, pass: &BackwardPass<'_>, written: &mut [bool]) {
        let [a, b] = [0, 1].map(|index| self.graph.nodes[id].inputs[index]);
        let channels = self.graph.nodes[id].shape.channels;
        let incoming = self.incoming(id, pass.n);
        for (index, other) in [b, a].into_iter().enumerate() {
            let Some(outgoing) = self.outgoing(id, index, pass.n, written) else { continue };
            let dy = self.read_gradient(&incoming, pass);
            let factor = self.read(other, pass.inputs, pass.n);
            let small = index == 1 && self.graph.nodes[b].shape.len() < dy.len() / pass.n;
            let gradient = if small {
                product_sums(dy, factor, channels, pass.n)
            } else {
                let mut gradient = dy.to_vec();
                multiply(factor, &mut gradient, pass.n);
                gradient
            };
            let to = &mut self.gradients[outgoing.range];
            if outgoing.accumulate { elementwise::add(&gradient, to) } else { to.copy_from_slice(&gradient) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::check_operator;
    use crate::graph::{Activation, Op, Window};

    /// Every operator of two inputs with a branch as its first, its second, and with one input twice.
    #[test]
    fn two_operands() {
        for op in [Op::Sub, Op::Mul, Op::Concat { axis: 0 }, Op::Concat { axis: 1 }, Op::Concat { axis: 2 }] {
            check_operator(|b, x| b.push(op, &[x, x]).unwrap());
            for is_first in [false, true] {
                check_operator(|b, x| {
                    let branch = b.conv(x, 4, Window::padded(3, 1, 1), 1, true).unwrap();
                    b.push(op, &if is_first { [branch, x] } else { [x, branch] }).unwrap()
                });
            }
        }
    }

    #[test]
    fn a_factor_a_channel() {
        check_operator(|b, x| {
            let mean = b.global_avg_pool(x).unwrap();
            let gate = b.activation(mean, Activation::Sigmoid).unwrap();
            b.push(Op::Mul, &[x, gate]).unwrap()
        });
    }

    #[test]
    fn parts_of_unequal_size() {
        for (axis, kernel) in [(0, [3, 1]), (1, [1, 2])] {
            check_operator(|b, x| {
                let window = Window { kernel, ..Window::valid(1, 1) };
                let part = b.conv(x, 4, window, 1, true).unwrap();
                b.push(Op::Concat { axis }, &[part, x]).unwrap()
            });
        }
        check_operator(|b, x| {
            let part = b.conv(x, 3, Window::valid(1, 1), 1, true).unwrap();
            b.push(Op::Concat { axis: 2 }, &[x, part]).unwrap()
        });
    }

    #[test]
    fn padding() {
        check_operator(|b, x| b.push(Op::Pad { begin: [0, 2], end: [3, 1] }, &[x]).unwrap());
    }
}
