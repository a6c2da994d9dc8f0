//! What a network's outputs become where they are no classes, as a value that a program links by need.

use super::input::Input;
use super::summary::{self, MAX_LOG_VAR, Prediction, Summary};
use crate::artifact::{GaussianHead, Model, Task};
use crate::number;

/// The head of any task. A program without it takes every output for classes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    /// One draw's outputs, from the network's to those that are averaged. Returns their entropy, if they are
    /// probabilities.
    pub(super) draw: fn(&Model<'_>, &mut [f32]) -> f32,
    /// The averages in the units of the targets, and what the task has beside them.
    pub(super) finish: for<'a> fn(Summary<'a>, &Model<'_>, Input<'_>) -> Prediction<'a>,
}

impl Head {
    pub(crate) const ANY: Self = Self { draw, finish };

    /// What a task needs.
    pub(crate) const fn of(task: &Task) -> Option<Self> {
        match task {
            Task::Classification => None,
            Task::Regression | Task::Gaussian(_) | Task::Reconstruction(_) => Some(Self::ANY),
        }
    }
}

fn draw(model: &Model<'_>, outputs: &mut [f32]) -> f32 {
    match model.manifest().task {
        Task::Classification => return summary::probabilities(model, outputs),
        Task::Gaussian(_) => {
            let targets = outputs.len() / 2;
            for log_var in outputs.iter_mut().skip(targets) {
                *log_var = number::exp(log_var.clamp(-MAX_LOG_VAR, MAX_LOG_VAR));
            }
        }
        Task::Regression | Task::Reconstruction(_) => {}
    }
    0.0
}

fn finish<'a>(summary: Summary<'a>, model: &Model<'_>, input: Input<'_>) -> Prediction<'a> {
    match model.manifest().task {
        Task::Classification => summary.classify(),
        Task::Regression => summary.values(),
        Task::Gaussian(head) => {
            to_target_units(model, &head, summary.mean, summary.spread);
            let targets = summary.mean.len() / 2;
            Prediction { targets, ..summary.values() }
        }
        Task::Reconstruction(_) => {
            let prediction = summary.values();
            let reconstruction_error = Some(input.squared_error(model, prediction.mean));
            Prediction { reconstruction_error, ..prediction }
        }
    }
}

/// Brings means and variances of a Gaussian regression from the units of training into those of its targets.
fn to_target_units(model: &Model<'_>, head: &GaussianHead, mean: &mut [f32], spread: &mut [f32]) {
    let targets = mean.len() / 2;
    let (means, variances) = mean.split_at_mut(targets.min(mean.len()));
    let (spreads, variance_spreads) = spread.split_at_mut(targets.min(spread.len()));
    let units = model.f32s(head.target_mean).iter().zip(model.f32s(head.target_std));
    let values = means.iter_mut().zip(variances).zip(spreads.iter_mut().zip(variance_spreads));
    for ((&target_mean, &std), ((mean, variance), (spread, variance_spread))) in units.zip(values) {
        *mean = *mean * std + target_mean;
        *spread *= std;
        *variance *= std * std;
        *variance_spread *= std * std;
    }
}
