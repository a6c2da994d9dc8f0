//! The attacks: how raw inputs move uphill inside their ball.

use super::{Ball, Loss, Target};
use crate::error::Result;
use crate::train::{Purpose, Random, derive};
use serde::{Deserialize, Serialize};

/// An attack.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attack {
    /// One step of the sign of the gradient (Goodfellow et al. 2015).
    Fgsm,
    /// Projected steps of the sign of the gradient, from the input and from random starts (Madry et al.
    /// 2018).
    Pgd {
        /// Steps of each start.
        steps: usize,
        /// Starts: the first at the input itself, the others at random.
        restarts: usize,
        /// Size of a step as a share of eps.
        step_share: f64,
    },
    /// Auto-PGD (Croce and Hein 2020): momentum, and steps that are halved where they no longer help.
    Apgd {
        /// What it climbs.
        loss: Loss,
        /// Steps of each start.
        steps: usize,
        /// Starts, each at random.
        restarts: usize,
    },
}

impl Attack {
    /// Its name in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fgsm => "fgsm",
            Self::Pgd { .. } => "pgd",
            Self::Apgd { loss: Loss::CrossEntropy, .. } => "apgd-ce",
            Self::Apgd { loss: Loss::Dlr, .. } => "apgd-dlr",
        }
    }
}

/// Raw inputs under attack, with what decides the random numbers.
#[derive(Debug, Clone, Copy)]
pub struct Victims<'a> {
    /// Raw inputs, `[n, h, w, c]`.
    pub raw: &'a [f32],
    /// Their classes.
    pub labels: &'a [u32],
    /// Place of the first one in its data.
    pub first: usize,
    /// Where they may go.
    pub ball: Ball,
    /// Of draws and starts.
    pub seed: u64,
    /// New draws at every step, or the same ones.
    pub fresh: bool,
}

impl Victims<'_> {
    fn draws(&self, step: u64) -> u64 {
        if self.fresh { derive(self.seed, Purpose::Noise, &[step]) } else { self.seed }
    }

    /// A random place in the ball.
    pub(super) fn start(&self, restart: usize) -> Vec<f32> {
        let mut random = Random::new(self.seed, Purpose::Augment, &[restart as u64, self.first as u64]);
        const PARTS: usize = 1 << 24;
        let mut unit = || random.below(PARTS) as f32 / (PARTS / 2) as f32 - 1.0;
        let mut x: Vec<f32> = self.raw.iter().map(|raw| raw + self.ball.eps * unit()).collect();
        self.ball.project(self.raw, &mut x);
        x
    }
}

/// What an attack finds.
#[derive(Debug, Clone, PartialEq)]
pub struct Attacked {
    /// The strongest inputs, by the loss that it climbs, `[n, h, w, c]`.
    pub raw: Vec<f32>,
    /// The draws under which it looked at the network last.
    pub draws: u64,
}

/// Attacks the inputs.
///
/// # Errors
/// If the inputs do not fit the network.
pub fn attack(target: &mut Target<'_>, victims: &Victims<'_>, attack: Attack) -> Result<Attacked> {
    match attack {
        Attack::Fgsm => pgd(target, victims, 1, 1, victims.ball.eps),
        Attack::Pgd { steps, restarts, step_share } => {
            pgd(target, victims, steps, restarts, (f64::from(victims.ball.eps) * step_share) as f32)
        }
        Attack::Apgd { loss, steps, restarts } => {
            let (mut best, mut draws) = (Best::new(victims), victims.draws(0));
            for restart in 1..=restarts.max(1) {
                draws = apgd(target, victims, loss, steps, restart, &mut best)?;
            }
            Ok(Attacked { raw: best.raw, draws })
        }
    }
}

/// The inputs with the greatest loss so far.
struct Best {
    raw: Vec<f32>,
    loss: Vec<f64>,
}

impl Best {
    fn new(victims: &Victims<'_>) -> Self {
        Self { raw: victims.raw.to_vec(), loss: vec![f64::NEG_INFINITY; victims.labels.len()] }
    }

    fn take(&mut self, raw: &[f32], loss: &[f64]) {
        let size = raw.len() / loss.len();
        for (index, (mine, theirs)) in self.loss.iter_mut().zip(loss).enumerate() {
            if theirs > mine {
                *mine = *theirs;
                let range = index * size..(index + 1) * size;
                self.raw[range.clone()].copy_from_slice(&raw[range]);
            }
        }
    }
}

/// The last inputs of every start, the best of the starts.
fn pgd(
    target: &mut Target<'_>,
    victims: &Victims<'_>,
    steps: usize,
    restarts: usize,
    step: f32,
) -> Result<Attacked> {
    let (loss, mut best, mut draws) = (Loss::CrossEntropy, Best::new(victims), victims.draws(0));
    for restart in 0..restarts.max(1) {
        let mut x = if restart == 0 { victims.raw.to_vec() } else { victims.start(restart) };
        for at in 0..steps {
            draws = victims.draws((restart * steps + at) as u64);
            let gradient = target.climb(&x, victims.labels, loss, draws, victims.first, true)?.gradient;
            x.iter_mut().zip(&gradient).for_each(|(x, d)| *x += step * sign(*d));
            victims.ball.project(victims.raw, &mut x);
        }
        if restarts <= 1 {
            return Ok(Attacked { raw: x, draws });
        }
        draws = victims.draws(u64::MAX - restart as u64);
        let losses = target.climb(&x, victims.labels, loss, draws, victims.first, false)?.loss;
        best.take(&x, &losses);
    }
    Ok(Attacked { raw: best.raw, draws })
}

/// Zero where there is no slope: `f32::signum` would take a side.
fn sign(d: f32) -> f32 {
    if d == 0.0 { 0.0 } else { d.signum() }
}

/// Share of the new step in Auto-PGD's next one; the rest is the last step.
const MOMENTUM: f32 = 0.75;

/// Share of the steps between two marks that must raise the loss.
const HELPFUL: f64 = 0.75;

/// Auto-PGD's step size of one example.
#[derive(Debug, Clone, Copy)]
struct Stride {
    step: f32,
    /// Steps since the last mark that raised the loss, and the loss before this one.
    helped: usize,
    before: f64,
    /// Step size and best loss at the last mark.
    at_mark: (f32, f64),
}

impl Stride {
    const fn new(step: f32) -> Self {
        Self { step, helped: 0, before: f64::NEG_INFINITY, at_mark: (step, f64::NEG_INFINITY) }
    }

    fn see(&mut self, at: usize, loss: f64) {
        self.helped += usize::from(at > 0 && loss > self.before);
        self.before = loss;
    }

    /// At a mark `steps` after the last: whether the step size is halved, and the example goes back to
    /// its best place.
    fn halves(&mut self, steps: usize, best: f64) -> bool {
        let few = (self.helped as f64) < HELPFUL * steps as f64;
        let stuck = self.at_mark == (self.step, best);
        self.at_mark = (self.step, best);
        self.helped = 0;
        if few || stuck {
            self.step /= 2.0;
        }
        few || stuck
    }
}

/// Algorithm 1 of the paper, each example with a step size of its own; returns its last draws.
fn apgd(
    target: &mut Target<'_>,
    victims: &Victims<'_>,
    loss: Loss,
    steps: usize,
    restart: usize,
    best: &mut Best,
) -> Result<u64> {
    let (n, ball) = (victims.labels.len(), victims.ball);
    let size = victims.raw.len() / n;
    let marks = checkpoints(steps);
    let mut x = victims.start(restart);
    let mut last = x.clone();
    let mut now = Best::new(victims);
    // The gradients at the best inputs: whoever goes back to these climbs on with them.
    let mut slope = vec![0.0; x.len()];
    let mut strides = vec![Stride::new(2.0 * ball.eps); n];
    let (mut mark, mut last_mark, mut draws) = (0, 0, victims.draws(0));
    for at in 0..=steps {
        draws = victims.draws((restart * (steps + 1) + at) as u64);
        let mut climb = target.climb(&x, victims.labels, loss, draws, victims.first, at < steps)?;
        for i in (0..n).filter(|&i| at < steps && climb.loss[i] > now.loss[i]) {
            let range = i * size..(i + 1) * size;
            slope[range.clone()].copy_from_slice(&climb.gradient[range]);
        }
        now.take(&x, &climb.loss);
        strides.iter_mut().zip(&climb.loss).for_each(|(stride, loss)| stride.see(at, *loss));
        if at == steps {
            break;
        }
        if at > 0 && marks.get(mark) == Some(&at) {
            for (i, stride) in strides.iter_mut().enumerate() {
                if stride.halves(at - last_mark, now.loss[i]) {
                    let range = i * size..(i + 1) * size;
                    x[range.clone()].copy_from_slice(&now.raw[range.clone()]);
                    last[range.clone()].copy_from_slice(&now.raw[range.clone()]);
                    climb.gradient[range.clone()].copy_from_slice(&slope[range]);
                }
            }
            (mark, last_mark) = (mark + 1, at);
        }
        let share = if at == 0 { 1.0 } else { MOMENTUM };
        let mut z: Vec<f32> =
            (0..x.len()).map(|k| x[k] + strides[k / size].step * sign(climb.gradient[k])).collect();
        ball.project(victims.raw, &mut z);
        let mut next: Vec<f32> =
            (0..x.len()).map(|k| x[k] + share * (z[k] - x[k]) + (1.0 - share) * (x[k] - last[k])).collect();
        ball.project(victims.raw, &mut next);
        last = std::mem::replace(&mut x, next);
    }
    best.take(&now.raw, &now.loss);
    Ok(draws)
}

/// Sums of shares are a little off: .57 of 100 steps are 57.
const ROUNDING: f64 = 1e-9;

/// Steps at which the step size is judged: shares 0, .22, then each distance .03 shorter, at least .06.
fn checkpoints(steps: usize) -> Vec<usize> {
    let (mut shares, mut distance) = (vec![0.22f64], 0.22f64);
    while shares.last().is_some_and(|&last| last < 1.0) {
        distance = (distance - 0.03).max(0.06);
        shares.push(shares.last().copied().unwrap_or(1.0) + distance);
    }
    let mut marks: Vec<usize> =
        shares.iter().map(|share| (share * steps as f64 - ROUNDING).ceil() as usize).collect();
    marks.dedup();
    marks
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The paper's checkpoints for 100 steps: 22, 41, 57, 70, 80, 87, 93, 99.
    #[test]
    fn checkpoints_are_those_of_the_paper() {
        assert_eq!(checkpoints(100)[..8], [22, 41, 57, 70, 80, 87, 93, 99]);
        assert!(checkpoints(3).windows(2).all(|pair| pair[0] < pair[1]));
    }
}
