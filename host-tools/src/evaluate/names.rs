//! Which of a model's classes and targets the data mean: by name, where both have names.

use crate::data::{Dataset, numbered_classes, unnamed_target};
use crate::error::{Error, Result};
use stf_bnn::Model;
use stf_bnn::artifact::Task;

/// Most names that a message lists.
const LISTED: usize = 20;

/// The data with the model's number of each class in place of their own: a folder with only `dog` in it would
/// else mean the model's first class. Numbers in place of names say nothing: those classes keep their places.
///
/// # Errors
/// If a class that has examples is none of the model's; names it.
pub fn with_classes_of(model: &Model<'_>, data: Dataset) -> Result<Dataset> {
    let Some(places) = places(model, &data) else { return Ok(data) };
    let place = |&label: &u32| {
        let class = label as usize;
        places[class].ok_or_else(|| unknown(model, &data, class))
    };
    let labels = data.labels.iter().map(place).collect::<Result<_>>()?;
    let class_names = names(model).into_iter().map(str::to_string).collect();
    Ok(Dataset { labels, class_names, ..data })
}

/// Every label must be one of the model's classes, and mean that class.
///
/// # Errors
/// If one is not, or there is none; [`with_classes_of`] puts classes into the model's order.
pub fn require_classes(model: &Model<'_>, data: &Dataset) -> Result<()> {
    super::require_labels(data, model.manifest().outputs)?;
    let Some(places) = places(model, data) else { return Ok(()) };
    let Some(&label) = data.labels.iter().find(|&&label| places[label as usize] != Some(label)) else {
        return Ok(());
    };
    let class = label as usize;
    match (places[class], names(model).get(class)) {
        (Some(_), Some(known)) => {
            let what = format!("class {class} of {}", data.name);
            Err(Error::invalid(what, &data.class_names[class], format!("{known}, the model's")))
        }
        _ => Err(unknown(model, data, class)),
    }
}

/// Only a Gaussian regression with the targets of the data has figures on them.
///
/// # Errors
/// If the model is none, has other targets, or there is no example.
pub fn require_targets(model: &Model<'_>, data: &Dataset) -> Result<()> {
    if data.is_empty() {
        return Err(Error::invalid(format!("data {}", data.name), "no example", "at least one"));
    }
    let manifest = model.manifest();
    let what = format!("targets of {}", data.name);
    match manifest.task.targets(manifest.outputs) {
        Some(targets) if usize::from(targets) == data.targets.len() => require_names(model, data),
        Some(targets) => Err(Error::invalid(what, data.targets.len(), format!("{targets}, the model's"))),
        None => Err(Error::invalid(what, data.targets.len(), "none: the model is no regression")),
    }
}

/// The columns of an array have no names.
fn require_names(model: &Model<'_>, data: &Dataset) -> Result<()> {
    for (target, name) in data.targets.names.iter().enumerate() {
        let Some(known) = model.class_name(target) else { continue };
        let unnamed = unnamed_target(target);
        if name != known && *name != unnamed && known != unnamed {
            let what = format!("target {target} of {}", data.name);
            return Err(Error::invalid(what, name, format!("{known}, the model's")));
        }
    }
    Ok(())
}

/// For each class of the data its number in the model; `None` where classes keep their places.
fn places(model: &Model<'_>, data: &Dataset) -> Option<Vec<Option<u32>>> {
    let known = names(model);
    let are_numbers = |names: &[&str]| numbered_classes(names.len()) == names;
    let found: Vec<&str> = data.class_names.iter().map(String::as_str).collect();
    if known.is_empty() || found == known || are_numbers(&found) {
        return None;
    }
    let place = |name: &&str| known.iter().position(|class| class == name).map(|class| class as u32);
    let places: Vec<Option<u32>> = found.iter().map(place).collect();
    // An imported network with more outputs than its data had classes has numbers for names.
    if are_numbers(&known) && places.iter().all(Option::is_none) { None } else { Some(places) }
}

/// A regression has the names of its targets in their place.
fn names<'m>(model: &Model<'m>) -> Vec<&'m str> {
    let manifest = model.manifest();
    match manifest.class_names {
        names if manifest.task == Task::Classification && !names.is_empty() => names.split('\n').collect(),
        _ => Vec::new(),
    }
}

fn unknown(model: &Model<'_>, data: &Dataset, class: usize) -> Error {
    let known = names(model);
    let expected = match known.len() {
        0..=LISTED => format!("one of the model's classes {}", known.join(", ")),
        count => format!("one of the model's {count} classes"),
    };
    Error::invalid(format!("class {class} of {}", data.name), &data.class_names[class], expected)
}
