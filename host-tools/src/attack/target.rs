//! What is attacked: the averaged prediction of a network's draws, and its gradient with respect to raw
//! inputs (expectation over transformation, Athalye et al. 2018).

use super::Loss;
use crate::data::Preprocessing;
use crate::error::Result;
use crate::train::methods::Net;
use crate::train::{Engine, Gradients, Trainable, engine};

/// A network under attack.
pub struct Target<'a> {
    net: &'a Net,
    preprocessing: &'a Preprocessing,
    engine: Box<dyn Engine>,
    /// Nothing is trained: empty.
    nothing: Gradients,
    draws: usize,
    inputs: Vec<f32>,
}

/// Loss of each example and its gradient.
#[derive(Debug, Clone, PartialEq)]
pub struct Climb {
    /// `[n]`
    pub loss: Vec<f64>,
    /// With respect to the raw inputs, `[n, h, w, c]`; empty if it was not asked for.
    pub gradient: Vec<f32>,
    /// Logarithm of the mean probabilities, `[n, classes]`.
    pub log_mean: Vec<f64>,
}

impl<'a> Target<'a> {
    /// The mean over `draws` draws (or as many as the network has), `max_batch` examples at a time.
    ///
    /// # Errors
    /// If the network has nothing to run, or its device is not there.
    pub fn new(
        net: &'a Net,
        preprocessing: &'a Preprocessing,
        draws: usize,
        max_batch: usize,
    ) -> Result<Self> {
        Ok(Self {
            net,
            preprocessing,
            engine: engine(&net.graph, max_batch, Trainable::Input, net.device)?,
            nothing: Gradients::zeros(&net.graph, Trainable::Input),
            draws: net.draws(draws),
            inputs: Vec::new(),
        })
    }

    /// Loss and gradient at raw inputs `[n, h, w, c]` under the draws of `seed`. `first` is the place of
    /// the first example in its data: dropout masks depend on it.
    ///
    /// # Errors
    /// If the inputs do not fit the network.
    pub fn climb(
        &mut self,
        raw: &[f32],
        labels: &[u32],
        loss: Loss,
        seed: u64,
        first: usize,
        with_gradient: bool,
    ) -> Result<Climb> {
        let (n, classes) = (labels.len(), self.net.graph.output_shape().len());
        self.normalise(raw);
        let mut sampler = self.net.sampler(seed);
        // Logarithms of every draw's probabilities, [draws, n, classes].
        let mut log_p = Vec::with_capacity(self.draws * n * classes);
        for draw in 0..self.draws {
            sampler.turn_to(draw);
            let outputs = self.engine.forward(sampler.params(), &self.inputs, n, &sampler.pass(first))?;
            outputs.chunks_exact(classes).for_each(|logits| push_log_softmax(logits, &mut log_p));
        }
        let log_mean = log_mean(&log_p, self.draws);
        let (losses, slopes): (Vec<f64>, Vec<Vec<f64>>) = log_mean
            .chunks_exact(classes)
            .zip(labels)
            .map(|(log_mean, &label)| loss.of(log_mean, label as usize))
            .unzip();
        let mut gradient = Vec::new();
        if with_gradient {
            gradient = vec![0.0; raw.len()];
            for (draw, log_p) in log_p.chunks_exact(n * classes).enumerate() {
                let d = self.logit_gradient(log_p, &log_mean, &slopes);
                sampler.turn_to(draw);
                let (params, pass) = (sampler.params(), sampler.pass(first));
                if self.draws > 1 {
                    self.engine.forward(params, &self.inputs, n, &pass)?;
                }
                self.engine.backward(params, &self.inputs, &d, n, &pass, &mut self.nothing)?;
                gradient.iter_mut().zip(self.engine.input_gradient(n)?).for_each(|(sum, d)| *sum += d);
            }
            let std = self.preprocessing.std.iter().cycle();
            gradient.iter_mut().zip(std).for_each(|(gradient, std)| *gradient /= std);
        }
        Ok(Climb { loss: losses, gradient, log_mean })
    }

    /// Derivative of the loss with respect to one draw's logits. With `w_c = p_c / sum over draws of p_c`:
    /// `d log_mean_c / d z_j = w_c (delta_cj - p_j)`. All in logarithms: a saturated draw has no gradient
    /// of zero just because its probability underflows.
    fn logit_gradient(&self, log_p: &[f64], log_mean: &[f64], slopes: &[Vec<f64>]) -> Vec<f32> {
        let classes = self.net.graph.output_shape().len();
        let draws = (self.draws as f64).ln();
        let mut out = Vec::with_capacity(log_p.len());
        for ((log_p, log_mean), slope) in
            log_p.chunks_exact(classes).zip(log_mean.chunks_exact(classes)).zip(slopes)
        {
            let weighted: Vec<f64> =
                (0..classes).map(|c| slope[c] * (log_p[c] - log_mean[c] - draws).exp()).collect();
            let total: f64 = weighted.iter().sum();
            out.extend((0..classes).map(|j| (weighted[j] - total * log_p[j].exp()) as f32));
        }
        out
    }

    fn normalise(&mut self, raw: &[f32]) {
        let channels = self.preprocessing.mean.iter().zip(&self.preprocessing.std).cycle();
        self.inputs.clear();
        self.inputs.extend(raw.iter().zip(channels).map(|(x, (mean, std))| (x - mean) / std));
    }
}

fn push_log_softmax(logits: &[f32], out: &mut Vec<f64>) {
    let greatest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|&z| f64::from(z - greatest).exp()).sum();
    out.extend(logits.iter().map(|&z| f64::from(z - greatest) - sum.ln()));
}

/// Logarithm of the mean over draws, from `[draws, ..]`.
fn log_mean(log_p: &[f64], draws: usize) -> Vec<f64> {
    let size = log_p.len() / draws;
    (0..size)
        .map(|i| {
            let of = |draw: usize| log_p[draw * size + i];
            let greatest = (0..draws).map(of).fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = (0..draws).map(|draw| (of(draw) - greatest).exp()).sum();
            greatest + (sum / draws as f64).ln()
        })
        .collect()
}
