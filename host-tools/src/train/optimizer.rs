//! SGD and Adam over named tensors.

use super::config::Optimizer;
use crate::error::{Error, Result};
use crate::kernels::simd::vectorize;
use ndarray::ArrayD;
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Guards Adam's division.
const EPSILON: f32 = 1e-8;

/// Momentum or moments of each tensor, and the number of steps taken.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OptimizerState {
    /// Steps taken.
    pub step: u64,
    /// Momentum (SGD) or mean of gradients (Adam), by tensor name.
    pub first: BTreeMap<String, ArrayD<f32>>,
    /// Mean of squared gradients (Adam), by tensor name.
    pub second: BTreeMap<String, ArrayD<f32>>,
}

impl OptimizerState {
    /// Checks that a resumed state is one of this optimizer.
    ///
    /// # Errors
    /// If Adam took steps and has no second moments.
    pub fn check(&self, optimizer: Optimizer) -> Result<()> {
        let is_adam = matches!(optimizer, Optimizer::Adam { .. });
        if is_adam && self.step > 0 && self.second.len() != self.first.len() {
            let found = format!("{} tensors", self.second.len());
            let expected = format!("{}, one for each mean of gradients", self.first.len());
            return Err(Error::invalid(
                "Adam's means of squared gradients in the checkpoint",
                found,
                expected,
            ));
        }
        Ok(())
    }

    /// Counts a step; call once before the [`Self::apply`]s of one step.
    pub fn advance(&mut self) {
        self.step += 1;
    }

    /// Moves one tensor along its gradient.
    pub fn apply(
        &mut self,
        optimizer: Optimizer,
        name: &str,
        value: &mut ArrayD<f32>,
        gradient: &ArrayD<f32>,
        learning_rate: f32,
        weight_decay: f32,
    ) {
        let gradient = gradient.as_standard_layout();
        let gradient = gradient.as_slice().unwrap_or_default();
        let first = in_order_mut(slot(&mut self.first, name, value));
        match optimizer {
            Optimizer::Sgd { momentum, nesterov } => {
                let rule = Sgd { learning_rate, weight_decay, momentum, nesterov };
                let value = in_order_mut(value);
                if value.len() <= CHUNK {
                    return rule.apply(value, first, gradient);
                }
                let chunks = value.par_chunks_mut(CHUNK).zip(first.par_chunks_mut(CHUNK));
                chunks
                    .zip(gradient.par_chunks(CHUNK))
                    .for_each(|((value, velocity), gradient)| rule.apply(value, velocity, gradient));
            }
            Optimizer::Adam { beta1, beta2 } => {
                let steps = i32::try_from(self.step).unwrap_or(i32::MAX);
                let bias = [1.0 - beta1.powi(steps), 1.0 - beta2.powi(steps)];
                let rule = Adam { learning_rate, weight_decay, betas: [beta1, beta2], bias };
                let second = in_order_mut(slot(&mut self.second, name, value));
                let value = in_order_mut(value);
                if value.len() <= CHUNK {
                    return rule.apply(value, first, second, gradient);
                }
                let moments = first.par_chunks_mut(CHUNK).zip(second.par_chunks_mut(CHUNK));
                let chunks = value.par_chunks_mut(CHUNK).zip(moments);
                chunks.zip(gradient.par_chunks(CHUNK)).for_each(|((value, (mean, square)), gradient)| {
                    rule.apply(value, mean, square, gradient);
                });
            }
        }
    }
}

/// Values that one task moves: enough to be worth handing over.
const CHUNK: usize = 1 << 14;

fn in_order_mut(tensor: &mut ArrayD<f32>) -> &mut [f32] {
    if !tensor.is_standard_layout() {
        *tensor = tensor.as_standard_layout().into_owned();
    }
    tensor.as_slice_mut().unwrap_or_default()
}

struct Sgd {
    learning_rate: f32,
    weight_decay: f32,
    momentum: f32,
    nesterov: bool,
}

impl Sgd {
    fn apply(&self, value: &mut [f32], velocity: &mut [f32], gradient: &[f32]) {
        let &Self { learning_rate, weight_decay, momentum, nesterov } = self;
        vectorize(|| {
            for ((value, gradient), velocity) in value.iter_mut().zip(gradient).zip(velocity) {
                let gradient = gradient + weight_decay * *value;
                *velocity = momentum * *velocity + gradient;
                let step = if nesterov { gradient + momentum * *velocity } else { *velocity };
                *value -= learning_rate * step;
            }
        });
    }
}

struct Adam {
    learning_rate: f32,
    weight_decay: f32,
    betas: [f32; 2],
    /// What the moments miss for having started at zero.
    bias: [f32; 2],
}

impl Adam {
    fn apply(&self, value: &mut [f32], mean: &mut [f32], square: &mut [f32], gradient: &[f32]) {
        let &Self { learning_rate, weight_decay, betas: [beta1, beta2], bias: [bias1, bias2] } = self;
        vectorize(|| {
            for (((value, gradient), mean), square) in value.iter_mut().zip(gradient).zip(mean).zip(square) {
                *mean += (1.0 - beta1) * (gradient - *mean);
                *square += (1.0 - beta2) * (gradient * gradient - *square);
                let step = (*mean / bias1) / ((*square / bias2).sqrt() + EPSILON);
                *value -= learning_rate * (step + weight_decay * *value);
            }
        });
    }
}

fn slot<'a>(
    slots: &'a mut BTreeMap<String, ArrayD<f32>>,
    name: &str,
    like: &ArrayD<f32>,
) -> &'a mut ArrayD<f32> {
    slots.entry(name.to_string()).or_insert_with(|| ArrayD::zeros(like.raw_dim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(value: f32) -> ArrayD<f32> {
        ArrayD::from_elem(vec![1], value)
    }

    fn run(optimizer: Optimizer, gradients: &[f32], decay: f32) -> f32 {
        let (mut state, mut value) = (OptimizerState::default(), one(1.0));
        for &gradient in gradients {
            state.advance();
            state.apply(optimizer, "w", &mut value, &one(gradient), 0.1, decay);
        }
        value[[0]]
    }

    /// By hand: v = 2, w = 1 - .2 = .8; v = .9 * 2 + 1 = 2.8, w = .8 - .28 = .52.
    #[test]
    fn momentum_by_hand() {
        let sgd = Optimizer::Sgd { momentum: 0.9, nesterov: false };
        assert!((run(sgd, &[2.0, 1.0], 0.0) - 0.52).abs() < 1e-6);
    }

    /// By hand: v = 2, step = 2 + .9 * 2 = 3.8, w = .62; with decay .5 the gradient is 2.5.
    #[test]
    fn nesterov_and_decay_by_hand() {
        assert!((run(Optimizer::SGD, &[2.0], 0.0) - 0.62).abs() < 1e-6);
        assert!((run(Optimizer::SGD, &[2.0], 0.5) - (1.0 - 0.1 * 1.9 * 2.5)).abs() < 1e-6);
    }

    #[test]
    fn adam_does_not_go_on_without_its_second_moments() {
        let (mut state, mut value) = (OptimizerState::default(), one(1.0));
        assert!(state.check(Optimizer::ADAM).is_ok());
        state.advance();
        state.apply(Optimizer::ADAM, "w", &mut value, &one(1.0), 0.1, 0.0);
        assert!(state.check(Optimizer::ADAM).is_ok());
        state.second.clear();
        assert!(state.check(Optimizer::SGD).is_ok());
        assert!(state.check(Optimizer::ADAM).unwrap_err().to_string().contains("squared gradients"));
    }

    /// Adam's first step is the learning rate, whatever the gradient's size; its decay is decoupled.
    #[test]
    fn adam_by_hand() {
        for gradient in [1e-3, 1.0, 50.0] {
            assert!((run(Optimizer::ADAM, &[gradient], 0.0) - 0.9).abs() < 1e-5);
            assert!((run(Optimizer::ADAM, &[gradient], 0.5) - 0.85).abs() < 1e-5);
        }
        // Second step with gradients 1, -1: mean = .9 * .1 - .1 = -.01, bias 1 - .81 = .19; square 1.
        let wanted = 0.9 + 0.1 * (0.01 / 0.19);
        assert!((run(Optimizer::ADAM, &[1.0, -1.0], 0.0) - wanted).abs() < 1e-5);
    }
}
