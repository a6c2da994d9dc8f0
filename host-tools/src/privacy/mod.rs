//! What a network gives away about who was in its training data: membership inference by loss, by
//! entropy and by the likelihood ratio of shadow models (LiRA, Carlini et al. 2022).
//!
//! Every shadow model trains on a random half of a pool of examples. Each of them is attacked in turn:
//! its half are the members, the rest the others, and the remaining models are its shadows.

mod attacks;
mod roc;

pub use attacks::{Observation, Rates, lira, rates};
pub use roc::{Curve, TPR_AT};

use crate::compare::{Comparison, Mean, Seeded, Training, keep, read_json, write_json};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::train::methods::{Logits, Method, Net, logits};
use crate::train::{Purpose, Random};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How the attack is run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Shadow models; at least 4, so that every example has some that saw it and some that did not.
    pub shadows: usize,
    /// Examples of the pool, from the training part.
    pub pool: usize,
    /// Of halves, weights and draws.
    pub seed: u64,
}

/// What one shadow model says of the pool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Shadow {
    members: Vec<bool>,
    observations: Vec<Observation>,
    train_accuracy: f64,
    other_accuracy: f64,
}

/// Figures of one method.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MethodPrivacy {
    /// The method.
    pub method: Method,
    /// Accuracy of the shadow models on their own half and on the other.
    pub train_accuracy: Mean,
    /// The same on examples that were not trained on.
    pub other_accuracy: Mean,
    /// By attack: `loss`, `entropy`, `lira`; means over the attacked models.
    pub attacks: Vec<AttackFigures>,
}

/// Success of one attack; 95 % t-intervals over the attacked models, which share their shadows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttackFigures {
    /// Name of the attack.
    pub attack: String,
    /// Area under the ROC curve; one half is guessing.
    pub auc: Mean,
    /// True positive rate at a false positive rate of 0.1 %.
    pub tpr_at_001: Mean,
    /// True positive rate at a false positive rate of 1 %.
    pub tpr_at_01: Mean,
}

/// Trains the shadow models of a method that are not there yet, and attacks them.
///
/// # Errors
/// If settings cannot be used, training fails, or the disk refuses.
pub fn attack_method(
    comparison: &Comparison,
    seeded: &Seeded,
    method: Method,
    settings: Settings,
) -> Result<MethodPrivacy> {
    check(settings, seeded)?;
    let pool = seeded.splits.train.select(&pool(settings, seeded.splits.train.len()))?;
    let shadows = (0..settings.shadows)
        .map(|index| shadow(comparison, seeded, &pool, method, settings, index))
        .collect::<Result<Vec<_>>>()?;
    let members: Vec<Vec<bool>> = shadows.iter().map(|shadow| shadow.members.clone()).collect();
    let said: Vec<Vec<Observation>> = shadows.iter().map(|shadow| shadow.observations.clone()).collect();
    let of = |figure: &dyn Fn(&Shadow) -> f64| {
        Mean::of(&shadows.iter().map(figure).collect::<Vec<_>>()).ok_or_else(|| none("shadow models"))
    };
    let found: Vec<Rates> = (0..shadows.len()).map(|target| rates(&members, &said, target)).collect();
    let attacks = ["loss", "entropy", "lira"].iter().enumerate().map(|(which, attack)| {
        let mean = |figure: &dyn Fn(&Curve) -> f64| {
            Mean::of(&found.iter().map(|rates| figure(&rates.0[which])).collect::<Vec<_>>())
                .ok_or_else(|| none("attacked models"))
        };
        Ok(AttackFigures {
            attack: (*attack).to_string(),
            auc: mean(&|curve| curve.auc)?,
            tpr_at_001: mean(&|curve| curve.tpr[0])?,
            tpr_at_01: mean(&|curve| curve.tpr[1])?,
        })
    });
    Ok(MethodPrivacy {
        method,
        train_accuracy: of(&|shadow| shadow.train_accuracy)?,
        other_accuracy: of(&|shadow| shadow.other_accuracy)?,
        attacks: attacks.collect::<Result<_>>()?,
    })
}

fn none(what: &str) -> Error {
    Error::invalid(what, "none", "at least one")
}

fn check(settings: Settings, seeded: &Seeded) -> Result<()> {
    if settings.shadows < 4 {
        return Err(Error::invalid("shadow models", settings.shadows, "at least 4"));
    }
    if settings.pool < 20 || settings.pool > seeded.splits.train.len() {
        let expected = format!("20 to {}, the training examples", seeded.splits.train.len());
        return Err(Error::invalid("examples of the pool", settings.pool, expected));
    }
    Ok(())
}

/// A random choice of the training part.
fn pool(settings: Settings, n: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    shuffle(&mut order, &mut Random::new(settings.seed, Purpose::Order, &[n as u64]));
    order.truncate(settings.pool);
    order.sort_unstable();
    order
}

fn shuffle<T>(values: &mut [T], random: &mut Random) {
    for last in (1..values.len()).rev() {
        values.swap(last, random.below(last + 1));
    }
}

/// Who is in the half of a shadow model. Models come in pairs of complementary halves: every example is
/// in as many as it is out of.
fn half(settings: Settings, index: usize) -> Vec<bool> {
    let mut members: Vec<bool> = (0..settings.pool).map(|i| i < settings.pool / 2).collect();
    shuffle(&mut members, &mut Random::new(settings.seed, Purpose::Order, &[u64::MAX, index as u64 / 2]));
    members.into_iter().map(|member| member != (index % 2 == 1)).collect()
}

/// Models of one method share its posterior's temperature, which may be chosen between two runs.
fn folder(comparison: &Comparison, settings: Settings, method: Method, index: usize) -> Result<PathBuf> {
    let Settings { pool, seed, .. } = settings;
    let name = match method.is_variational() {
        true => format!("{method}-{}", comparison.posterior_temperature(method)?),
        false => method.to_string(),
    };
    Ok(comparison.path().join(format!("privacy-{pool}-{seed}")).join(name).join(format!("shadow-{index}")))
}

/// A shadow model's view of the pool: read if it is there, else trained.
fn shadow(
    comparison: &Comparison,
    seeded: &Seeded,
    pool: &Dataset,
    method: Method,
    settings: Settings,
    index: usize,
) -> Result<Shadow> {
    let folder = folder(comparison, settings, method, index)?;
    let record = folder.join("record.json");
    if record.is_file() {
        return read_json(&record);
    }
    let members = half(settings, index);
    let net = shadow_net(comparison, seeded, pool, method, settings, index, &members)?;
    let num_samples = comparison.settings.num_samples;
    let drawn = logits(&net, pool, &seeded.preprocessing, num_samples, settings.seed)?;
    let observations: Vec<Observation> = observe(&drawn, &pool.labels);
    let accuracy = |wanted: bool| {
        let chosen: Vec<&Observation> = observations
            .iter()
            .zip(&members)
            .filter(|(_, member)| **member == wanted)
            .map(|(o, _)| o)
            .collect();
        chosen.iter().filter(|o| o.right).count() as f64 / chosen.len().max(1) as f64
    };
    let found =
        Shadow { train_accuracy: accuracy(true), other_accuracy: accuracy(false), members, observations };
    write_json(&record, &found)?;
    Ok(found)
}

fn shadow_net(
    comparison: &Comparison,
    seeded: &Seeded,
    pool: &Dataset,
    method: Method,
    settings: Settings,
    index: usize,
    members: &[bool],
) -> Result<Net> {
    let folder = folder(comparison, settings, method, index)?;
    let file = folder.join("net.safetensors");
    if file.is_file() {
        keep::clear(&folder)?;
        return Net::load(&file);
    }
    let stage1 = match method.needs_stage1() {
        true => Some(shadow_net(comparison, seeded, pool, Method::Plain, settings, index, members)?),
        false => None,
    };
    let indices: Vec<usize> = (0..pool.len()).filter(|&i| members[i]).collect();
    let mine = Seeded {
        // Far from the seeds of other units.
        seed: settings.seed.wrapping_add(((index + 1) as u64) << 40),
        splits: crate::data::Splits { train: pool.select(&indices)?, ..seeded.splits.clone() },
        preprocessing: seeded.preprocessing.clone(),
        graph: seeded.graph.clone(),
    };
    let training =
        Training { settings: &comparison.settings, seeded: &mine, stage1: stage1.as_ref().map(Net::center) };
    let net = training.run(method, comparison.posterior_temperature(method)?, Some(&folder))?.net;
    net.save(&file)?;
    keep::clear(&folder)?;
    Ok(net)
}

/// What a network says of labelled examples.
fn observe(drawn: &Logits, labels: &[u32]) -> Vec<Observation> {
    crate::compare::outcomes_of(drawn, 1.0)
        .iter()
        .zip(labels)
        .map(|(outcome, &label)| {
            let probability = f64::from(outcome.mean[label as usize]);
            let others: f64 = outcome
                .mean
                .iter()
                .enumerate()
                .filter(|(class, _)| *class != label as usize)
                .map(|(_, p)| f64::from(*p))
                .sum();
            let entropy = outcome.classification.map_or(0.0, |c| f64::from(c.predictive_entropy));
            let right = outcome.classification.is_some_and(|c| u32::from(c.class) == label);
            Observation::new(probability, others, entropy, right)
        })
        .collect()
}

#[cfg(test)]
mod tests;
