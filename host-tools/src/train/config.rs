//! Settings of both training stages.

use super::engine::Device;
use crate::error::{Error, Result};
use crate::graph::{Graph, Op, Shape};
use serde::{Deserialize, Serialize};

/// More epochs are a slip of the keyboard.
const MAX_EPOCHS: usize = 1_000_000;

/// How gradients become steps.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Optimizer {
    /// Stochastic gradient descent; weight decay is added to the gradient.
    Sgd {
        /// Share of the last step that is kept.
        momentum: f32,
        /// Whether the gradient is taken ahead of the step.
        nesterov: bool,
    },
    /// Adam (Kingma and Ba 2015) with decoupled weight decay (Loshchilov and Hutter 2019).
    Adam {
        /// Decay of the mean of gradients.
        beta1: f32,
        /// Decay of the mean of squared gradients.
        beta2: f32,
    },
}

impl Optimizer {
    /// Adam with its authors' decays.
    pub const ADAM: Self = Self::Adam { beta1: 0.9, beta2: 0.999 };
    /// Nesterov momentum 0.9.
    pub const SGD: Self = Self::Sgd { momentum: 0.9, nesterov: true };

    fn check(self) -> Result<()> {
        let decay = |what, value| require(what, value, (0.0..1.0).contains(&value), "0 to below 1");
        match self {
            Self::Sgd { momentum, .. } => decay("momentum", momentum),
            Self::Adam { beta1, beta2 } => decay("Adam's beta1", beta1).and(decay("Adam's beta2", beta2)),
        }
    }
}

/// How the learning rate changes over training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// Not at all.
    Constant,
    /// Half a cosine from the full rate to zero.
    Cosine,
    /// Multiplied by `gamma` at each of these shares (0 to 1) of training.
    Step {
        /// Shares of training, ascending.
        milestones: Vec<f32>,
        /// Factor at each.
        gamma: f32,
    },
}

impl Schedule {
    /// Factor of the learning rate at `step` of `total`, after a linear warm-up over `warmup` steps.
    #[must_use]
    pub fn factor(&self, step: usize, total: usize, warmup: usize) -> f32 {
        if step < warmup {
            return (step + 1) as f32 / warmup as f32;
        }
        let progress = (step - warmup) as f32 / (total.saturating_sub(warmup)).max(1) as f32;
        match self {
            Self::Constant => 1.0,
            Self::Cosine => 0.5 * (1.0 + (std::f32::consts::PI * progress).cos()),
            Self::Step { milestones, gamma } => {
                gamma.powi(milestones.iter().filter(|&&at| progress >= at).count() as i32)
            }
        }
    }
}

impl Schedule {
    fn check(&self) -> Result<()> {
        let Self::Step { milestones, gamma } = self else { return Ok(()) };
        not_negative("gamma of the step schedule", *gamma)?;
        let mut last = 0.0;
        for &milestone in milestones {
            let expected = format!("shares of training from 0 to 1, ascending (here at least {last})");
            require("milestone", milestone, (last..=1.0).contains(&milestone), &expected)?;
            last = milestone;
        }
        Ok(())
    }
}

/// Random changes of training images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Augment {
    /// Shifts by up to so many pixels in each direction; what comes in is raw 0: black.
    pub shift: usize,
    /// Mirrors half of the images left to right.
    pub flip: bool,
}

impl Augment {
    /// # Errors
    /// If a shift moves whole images of this shape out of the frame.
    fn check(self, shape: Shape) -> Result<()> {
        let limit = shape.height.min(shape.width);
        let holds = self.shift == 0 || self.shift < limit;
        require("shift", self.shift as f32, holds, &format!("0 to below {limit} pixels, the images' size"))
    }
}

/// Settings of stage 1: the whole network, as usual.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stage1Config {
    /// Passes over the training split.
    pub epochs: usize,
    /// Examples that are trained on together.
    pub batch_size: usize,
    /// Batches of one step: their gradients are summed.
    #[serde(default = "one")]
    pub accumulate: usize,
    /// Where the network runs. Other devices round in other orders: the same up to rounding.
    #[serde(default)]
    pub device: Device,
    /// How gradients become steps.
    pub optimizer: Optimizer,
    /// Step size before the schedule.
    pub learning_rate: f32,
    /// Decay of kernels; biases and batch norm have none.
    pub weight_decay: f32,
    /// Change of the learning rate.
    pub schedule: Schedule,
    /// Epochs of linear warm-up.
    pub warmup_epochs: usize,
    /// Probability mass spread over all classes.
    pub label_smoothing: f32,
    /// Random changes of images.
    pub augment: Augment,
    /// Seed of initial weights, order and augmentation.
    pub seed: u64,
}

/// How the gradient of the expected loss is estimated. All three are unbiased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Estimator {
    /// One perturbation with random signs for each example (Wen et al. 2018).
    Flipout,
    /// Noise on the outputs (Kingma et al. 2015); dense first layers only.
    Local,
    /// One sampled kernel for the whole batch (Blundell et al. 2015).
    Weight,
}

/// Where the prior is centred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PriorMean {
    /// At the stage-1 weights.
    Map,
    /// At zero.
    Zero,
}

/// Settings of stage 2: the first kernel alone, by stochastic variational inference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stage2Config {
    /// Passes over the training split.
    pub epochs: usize,
    /// Examples that are trained on together.
    pub batch_size: usize,
    /// Batches of one step: their gradients are summed.
    #[serde(default = "one")]
    pub accumulate: usize,
    /// Where the network runs.
    #[serde(default)]
    pub device: Device,
    /// Gradient estimator.
    pub estimator: Estimator,
    /// Centre of the prior.
    pub prior: PriorMean,
    /// Standard deviation of the prior.
    pub prior_sigma: f32,
    /// Temperature of the posterior: factor of the KL term; 1 is Bayes' rule.
    pub temperature: f32,
    /// Start: `sigma = max(delta * |w|, sigma_floor)`.
    pub delta: f32,
    /// Least sigma at the start.
    pub sigma_floor: f32,
    /// Epochs over which the KL term grows linearly to its full weight.
    pub kl_warmup_epochs: usize,
    /// Adam's step size for mu.
    pub lr_mu: f32,
    /// Adam's step size for log_var.
    pub lr_log_var: f32,
    /// Change of both learning rates.
    pub schedule: Schedule,
    /// Random changes of images.
    pub augment: Augment,
    /// Seed of order, augmentation and noise.
    pub seed: u64,
    /// Monte-Carlo samples of the validation figures.
    pub eval_samples: usize,
}

impl Stage1Config {
    /// Checks every setting against the network.
    ///
    /// # Errors
    /// For the first that cannot work; names it.
    pub fn check(&self, graph: &Graph) -> Result<()> {
        self.optimizer.check()?;
        self.schedule.check()?;
        self.augment.check(graph.input_shape())?;
        epochs("epochs", self.epochs)?;
        epochs("warm-up epochs", self.warmup_epochs)?;
        require("batch size", self.batch_size as f32, self.batch_size > 0, "at least 1")?;
        require("accumulated batches", self.accumulate as f32, self.accumulate > 0, "at least 1")?;
        positive("learning rate", self.learning_rate)?;
        not_negative("weight decay", self.weight_decay)?;
        let smoothing = self.label_smoothing;
        require("label smoothing", smoothing, (0.0..1.0).contains(&smoothing), "0 to below 1")
    }
}

impl Stage2Config {
    /// Checks every setting against the network.
    ///
    /// # Errors
    /// For the first that cannot work; names it.
    pub fn check(&self, graph: &Graph) -> Result<()> {
        self.schedule.check()?;
        self.augment.check(graph.input_shape())?;
        epochs("epochs", self.epochs)?;
        epochs("warm-up epochs of the KL term", self.kl_warmup_epochs)?;
        require("batch size", self.batch_size as f32, self.batch_size > 0, "at least 1")?;
        require("accumulated batches", self.accumulate as f32, self.accumulate > 0, "at least 1")?;
        positive("prior sigma", self.prior_sigma)?;
        not_negative("temperature", self.temperature)?;
        not_negative("delta", self.delta)?;
        positive("sigma floor", self.sigma_floor)?;
        positive("learning rate of mu", self.lr_mu)?;
        positive("learning rate of log_var", self.lr_log_var)?;
        let first = graph.first_weighted()?;
        if self.estimator == Estimator::Local && !matches!(graph.nodes[first].op, Op::Dense { .. }) {
            return Err(Error::invalid(
                "estimator local",
                format!("first layer {} is a convolution", graph.nodes[first].name),
                "a dense first layer: the positions of a convolution share their weights' noise, which local noise would drop",
            ));
        }
        Ok(())
    }
}

/// Runs from before there was accumulation made one step of each batch.
const fn one() -> usize {
    1
}

fn require(what: &str, found: f32, holds: bool, expected: &str) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::invalid(what, found, expected)) }
}

fn epochs(what: &str, epochs: usize) -> Result<()> {
    if epochs <= MAX_EPOCHS { Ok(()) } else { Err(Error::invalid(what, epochs, "at most 1,000,000")) }
}

fn positive(what: &str, value: f32) -> Result<()> {
    require(what, value, value.is_finite() && value > 0.0, "a finite number above 0")
}

fn not_negative(what: &str, value: f32) -> Result<()> {
    require(what, value, value.is_finite() && value >= 0.0, "a finite number of at least 0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_start_full_and_end_where_they_should() {
        let step = Schedule::Step { milestones: vec![0.5, 0.75], gamma: 0.1 };
        for (schedule, middle, end) in
            [(Schedule::Constant, 1.0, 1.0), (Schedule::Cosine, 0.5, 0.0), (step, 0.1, 0.01)]
        {
            assert!((schedule.factor(0, 100, 0) - 1.0).abs() < 1e-6);
            assert!((schedule.factor(50, 100, 0) - middle).abs() < 1e-6);
            assert!((schedule.factor(100, 100, 0) - end).abs() < 1e-6);
        }
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let text = |result: Result<()>| result.unwrap_err().to_string();
        let shape = Shape::new(8, 6, 1);
        assert!(Augment { shift: 5, flip: true }.check(shape).is_ok());
        assert!(text(Augment { shift: 6, flip: true }.check(shape)).contains("shift"));
        assert!(Augment::default().check(Shape::new(1, 1, 3)).is_ok());
        for bad in [-0.1, 1.0, f32::NAN] {
            assert!(text(Optimizer::Sgd { momentum: bad, nesterov: false }.check()).contains("momentum"));
            assert!(text(Optimizer::Adam { beta1: bad, beta2: 0.9 }.check()).contains("beta1"));
            assert!(text(Optimizer::Adam { beta1: 0.9, beta2: bad }.check()).contains("beta2"));
        }
        let step = |milestones: &[f32], gamma| Schedule::Step { milestones: milestones.to_vec(), gamma };
        assert!(step(&[0.0, 0.5, 1.0], 0.1).check().is_ok());
        for milestones in [&[0.5, 0.4][..], &[-0.1], &[1.1], &[f32::NAN]] {
            assert!(text(step(milestones, 0.1).check()).contains("milestone"), "{milestones:?}");
        }
        assert!(text(step(&[0.5], -0.1).check()).contains("gamma"));
        assert!(epochs("warm-up epochs", MAX_EPOCHS).is_ok());
        let message = text(epochs("warm-up epochs", usize::MAX));
        assert!(message.starts_with("warm-up epochs: found 18446744073709551615"), "{message}");
    }

    #[test]
    fn warm_up_is_linear_and_then_the_schedule_starts() {
        let schedule = Schedule::Cosine;
        assert_eq!(schedule.factor(0, 100, 10), 0.1);
        assert_eq!(schedule.factor(9, 100, 10), 1.0);
        assert_eq!(schedule.factor(10, 100, 10), 1.0);
    }
}
