//! How easily small changes of the input fool a network: white-box attacks on the averaged prediction,
//! success judged again under draws that the attack has not seen, transfer from the plain network as a
//! check for masked gradients, and the attacked inputs on the device's runtime.

mod loss;
mod steps;
mod target;

pub use loss::Loss;
pub use steps::{Attack, Attacked, Victims, attack};
pub use target::{Climb, Target};

use crate::binomial;
use crate::data::{Dataset, Element, Inputs, Preprocessing, Scratch};
use crate::error::Result;
use crate::evaluate::{Outcome, outcomes};
use crate::progress::{Progress, interrupt};
use crate::train::methods::{Method, Net};
use serde::{Deserialize, Serialize};
use stf_bnn::{Config, Model};

/// Examples that are attacked together.
const BATCH: usize = 64;

/// Tells the draws that judge from those that the attack saw.
const JUDGE: u64 = 0x6a75_6467;

/// Where an attacked input may go: as far as `eps` from where it was in every value, inside the range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ball {
    /// In raw units.
    pub eps: f32,
    /// Least raw value.
    pub low: f32,
    /// Greatest raw value.
    pub high: f32,
}

impl Ball {
    /// Brings `x` back into the ball around `center`.
    pub fn project(&self, center: &[f32], x: &mut [f32]) {
        for (x, c) in x.iter_mut().zip(center) {
            *x = x.clamp((c - self.eps).max(self.low), (c + self.eps).min(self.high));
        }
    }

    /// The nearest whole values inside the ball: what a camera of 8 bits could have seen.
    pub fn round(&self, center: &[f32], x: &[f32]) -> Vec<u8> {
        // Rounding of eps * 255 must not cost a whole step.
        let eps = (self.eps + 1e-3).floor();
        let near = |(x, c): (&f32, &f32)| x.round().clamp((c - eps).max(0.0), (c + eps).min(255.0)) as u8;
        x.iter().zip(center).map(near).collect()
    }
}

/// Least and greatest raw value: of bytes, all there are; of other values, those of the data.
///
/// # Errors
/// If an example cannot be read.
pub fn range(data: &Dataset) -> Result<(f32, f32)> {
    if data.element() == Element::U8 {
        return Ok((0.0, 255.0));
    }
    let (mut low, mut high) = (f32::INFINITY, f32::NEG_INFINITY);
    let mut scratch = Scratch::default();
    for index in 0..data.len() {
        data.raw(index, &mut scratch)?.each(|_, value| (low, high) = (low.min(value), high.max(value)));
    }
    Ok((low, high))
}

/// How attacks are run and judged.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Draws that a gradient is averaged over.
    pub eot: usize,
    /// Draws that judge.
    pub num_samples: usize,
    /// Examples, from the front of the test part.
    pub examples: usize,
    /// Of draws and starts.
    pub seed: u64,
}

/// A network under attack, and what it runs as on a device.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The method.
    pub method: Method,
    /// The float network.
    pub net: &'a Net,
    /// The quantized network with the runtime's configuration, where it exports.
    pub device: Option<(&'a Model<'a>, Config)>,
}

/// One point of the curve of accuracy against eps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The method.
    pub method: Method,
    /// The attack: `clean`, `transfer` or a name of [`Attack`].
    pub attack: String,
    /// Greatest change of a value, as a share of the range.
    pub eps: f64,
    /// Examples.
    pub n: usize,
    /// Share of right predictions under draws that the attack has not seen.
    pub accuracy: f64,
    /// Exact 95 % interval of it.
    pub interval: (f64, f64),
    /// Share of right predictions under the draws that the attack saw last; `None` of several attacks together.
    pub accuracy_seen: Option<f64>,
    /// Share of right predictions of the device's runtime on the attacked inputs, in whole values where
    /// the data are bytes.
    pub int8_accuracy: Option<f64>,
    /// Which examples are still predicted right.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub right: Vec<bool>,
    /// Which examples the device's runtime still predicts right.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub int8_right: Vec<bool>,
}

/// Data under attack.
#[derive(Debug, Clone, Copy)]
pub struct Stage<'a> {
    /// The examples.
    pub data: &'a Dataset,
    /// Normalisation of the networks.
    pub preprocessing: &'a Preprocessing,
    /// How it is done.
    pub settings: Settings,
}

impl Stage<'_> {
    /// Attacks the data's [sample](Dataset::sample). With `attack` `None` nothing is changed; with `source`, another
    /// network's gradients are used: a transfer.
    ///
    /// # Errors
    /// If the data do not fit, or the user interrupts.
    pub fn run(
        &self,
        subject: &Subject<'_>,
        attack: Option<Attack>,
        eps: f64,
        source: Option<&Net>,
    ) -> Result<Point> {
        let Settings { eot, num_samples, examples, seed } = self.settings;
        let (low, high) = range(self.data)?;
        let ball = Ball { eps: (eps * f64::from(high - low)) as f32, low, high };
        let name = match (attack, source) {
            (None, _) => "clean",
            (_, Some(_)) => "transfer",
            (Some(attack), None) => attack.name(),
        };
        let chosen = self.data.sample(examples);
        let n = chosen.len();
        let mut progress = Progress::new(&format!("{} {name} eps {eps}", subject.method), n as u64);
        let mut climber = Target::new(source.unwrap_or(subject.net), self.preprocessing, eot, BATCH)?;
        let mut seen = Target::new(subject.net, self.preprocessing, eot, BATCH)?;
        let mut judge = Target::new(subject.net, self.preprocessing, num_samples, BATCH)?;
        let (mut right, mut right_seen, mut attacked, mut centers) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for first in (0..n).step_by(BATCH) {
            let indices = &chosen[first..n.min(first + BATCH)];
            let raw = raw_values(self.data, indices)?;
            let labels: Vec<u32> = indices.iter().map(|&i| self.data.labels[i]).collect();
            let victims = Victims { raw: &raw, labels: &labels, first, ball, seed, fresh: true };
            let Attacked { raw: x, draws } = match attack {
                Some(attack) => steps::attack(&mut climber, &victims, attack)?,
                None => Attacked { raw: raw.clone(), draws: seed },
            };
            right_seen.extend(hits(&mut seen, &x, &victims, draws)?);
            right.extend(hits(&mut judge, &x, &victims, seed ^ JUDGE)?);
            attacked.extend(x);
            centers.extend(raw);
            progress.set((first + indices.len()) as u64, "");
            if interrupt::requested() {
                return Err(crate::Error::Interrupted);
            }
        }
        progress.finish("");
        let int8 = subject.device.map(|device| self.on_device(device, &attacked, &centers, ball, &chosen));
        let int8 = int8.transpose()?;
        Ok(Point {
            method: subject.method,
            attack: name.to_string(),
            eps,
            n,
            accuracy: share(&right),
            interval: interval(&right),
            accuracy_seen: Some(share(&right_seen)),
            int8_accuracy: int8.as_deref().map(share),
            right,
            int8_right: int8.unwrap_or_default(),
        })
    }

    /// Which attacked inputs the runtime predicts right.
    fn on_device(
        &self,
        (model, config): (&Model<'_>, Config),
        attacked: &[f32],
        centers: &[f32],
        ball: Ball,
        chosen: &[usize],
    ) -> Result<Vec<bool>> {
        let inputs = match self.data.element() {
            Element::U8 => Inputs::U8(ball.round(centers, attacked)),
            _ => Inputs::F32(attacked.to_vec()),
        };
        let labels = chosen.iter().map(|&index| self.data.labels[index]).collect();
        let (name, class_names) = (self.data.name.clone(), self.data.class_names.clone());
        let set = Dataset {
            name,
            shape: self.data.shape,
            inputs,
            labels,
            class_names,
            targets: Default::default(),
        };
        let found = outcomes(model, &set, &config)?;
        let is_right = |(found, label): (&Outcome, &u32)| {
            found.classification.is_some_and(|found| u32::from(found.class) == *label)
        };
        Ok(found.iter().zip(&set.labels).map(is_right).collect())
    }
}

fn count(right: &[bool]) -> usize {
    right.iter().filter(|right| **right).count()
}

fn share(right: &[bool]) -> f64 {
    count(right) as f64 / right.len().max(1) as f64
}

/// Exact 95 % interval of the share.
fn interval(right: &[bool]) -> (f64, f64) {
    let (hits, n) = (count(right), right.len());
    let upper = |k: usize| binomial::upper_bound(k as u64, n as u64, 0.975);
    (1.0 - upper(n - hits), upper(hits))
}

/// Which inputs are predicted right under the draws of `seed`.
fn hits(target: &mut Target<'_>, x: &[f32], victims: &Victims<'_>, seed: u64) -> Result<Vec<bool>> {
    let found = target.climb(x, victims.labels, Loss::CrossEntropy, seed, victims.first, false)?;
    let classes = found.log_mean.len() / victims.labels.len();
    let class = |row: &[f64]| (1..row.len()).fold(0, |best, c| if row[c] > row[best] { c } else { best });
    Ok(found
        .log_mean
        .chunks_exact(classes)
        .zip(victims.labels)
        .map(|(row, &l)| class(row) == l as usize)
        .collect())
}

/// Raw values of examples, one behind the other.
///
/// # Errors
/// If an example cannot be read.
pub fn raw_values(data: &Dataset, indices: &[usize]) -> Result<Vec<f32>> {
    let (mut values, mut scratch) = (Vec::new(), Scratch::default());
    for &index in indices {
        data.raw(index, &mut scratch)?.each(|_, value| values.push(value));
    }
    Ok(values)
}

/// The points of the strongest of all attacks at each eps: an example counts as right only if every one
/// of them, the transfer included, leaves it right.
#[must_use]
pub fn worst(points: &[Point]) -> Vec<Point> {
    let mut found: Vec<Point> = Vec::new();
    for point in points.iter().filter(|point| point.attack != "clean") {
        let same = |other: &&mut Point| (other.method, other.eps) == (point.method, point.eps);
        match found.iter_mut().find(same) {
            Some(worst) => {
                let both = |worst: &mut [bool], other: &[bool]| {
                    worst.iter_mut().zip(other).for_each(|(right, other)| *right &= other);
                };
                both(&mut worst.right, &point.right);
                both(&mut worst.int8_right, &point.int8_right);
            }
            None => found.push(Point { attack: "worst of all".into(), accuracy_seen: None, ..point.clone() }),
        }
    }
    for worst in &mut found {
        worst.accuracy = share(&worst.right);
        worst.int8_accuracy = worst.int8_accuracy.map(|_| share(&worst.int8_right));
        worst.interval = interval(&worst.right);
    }
    found
}

/// Signs of masked gradients (Athalye et al. 2018), in words: the transfer does better than the gradients
/// themselves, or more room for the attack does not help.
#[must_use]
pub fn masked_gradients(points: &[Point]) -> Vec<String> {
    let mut signs = Vec::new();
    let white_box = ["fgsm", "pgd", "apgd-ce", "apgd-dlr"];
    for point in points.iter().filter(|point| point.attack == "transfer" && point.method != Method::Plain) {
        let own = points.iter().filter(|other| {
            (other.method, other.eps) == (point.method, point.eps)
                && white_box.contains(&other.attack.as_str())
        });
        let strongest = own.map(|other| other.accuracy).fold(f64::INFINITY, f64::min);
        if strongest.is_finite() && point.interval.1 < strongest {
            signs.push(format!(
                "{} at eps {}: the transfer leaves {:.3} right, its own gradients {strongest:.3}",
                point.method, point.eps, point.accuracy
            ));
        }
    }
    for point in points.iter().filter(|point| white_box.contains(&point.attack.as_str())) {
        let smaller = points.iter().find(|other| {
            (other.method, &other.attack) == (point.method, &point.attack)
                && other.eps < point.eps
                && other.interval.1 < point.interval.0
        });
        if let Some(smaller) = smaller {
            signs.push(format!(
                "{} under {}: more right at eps {} ({:.3}) than at {} ({:.3})",
                point.method, point.attack, point.eps, point.accuracy, smaller.eps, smaller.accuracy
            ));
        }
    }
    signs
}

#[cfg(test)]
mod tests;
