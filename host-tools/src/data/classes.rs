//! Some classes of a data set: `SPEC#CLASS,CLASS`, or all others: `SPEC#!CLASS,CLASS`.

use super::{Dataset, Loaded, Origin, is_there};
use crate::error::{Error, Result};

/// The source and the classes of a spec that names some.
pub(super) fn split(spec: &str) -> Option<(&str, &str)> {
    if is_there(spec) { None } else { spec.rsplit_once('#') }
}

/// The examples of these classes in all parts; the names of all classes stay. Of an undivided set, it is known
/// which examples they are: it is divided first.
///
/// # Errors
/// If a class is none of the data's, or no example is left.
pub(super) fn select(loaded: Loaded, spec: &str, classes: &str) -> Result<Loaded> {
    let (names, others) = classes.strip_prefix('!').map_or((classes, false), |names| (names, true));
    let chosen = |set: &Dataset| {
        let wanted = indices(set, names)?;
        let keep = |&example: &usize| wanted.contains(&set.labels[example]) != others;
        let kept: Vec<usize> = (0..set.len()).filter(keep).collect();
        if kept.is_empty() {
            let what = format!("{spec}: examples of {classes}");
            return Err(Error::invalid(what, 0, "at least 1"));
        }
        let some = Dataset { name: format!("{}#{classes}", set.name), ..set.select(&kept)? };
        Ok((some, kept))
    };
    Ok(match loaded {
        Loaded::Official { train, test } => {
            Loaded::Official { train: chosen(&train)?.0, test: chosen(&test)?.0 }
        }
        Loaded::Whole(whole) => {
            let (set, indices) = chosen(&whole)?;
            Loaded::Chosen { set, origin: Origin { labels: whole.labels, indices } }
        }
        Loaded::Chosen { set, origin } => {
            let (set, kept) = chosen(&set)?;
            let indices = kept.iter().map(|&index| origin.indices[index]).collect();
            Loaded::Chosen { set, origin: Origin { indices, ..origin } }
        }
    })
}

/// Classes by name, or else by number.
fn indices(set: &Dataset, names: &str) -> Result<Vec<u32>> {
    let index = |name: &str| {
        let by_name = set.class_names.iter().position(|class| class == name);
        let by_number = || name.parse().ok().filter(|&number| number < set.class_names.len());
        by_name.or_else(by_number).map(|index| index as u32).ok_or_else(|| {
            Error::invalid(
                format!("{}: class", set.name),
                name,
                format!("one of {}", set.class_names.join(", ")),
            )
        })
    };
    names.split(',').map(index).collect()
}

#[cfg(test)]
mod tests {
    use crate::data::{Dataset, Splits, load, splits};

    #[test]
    fn classes_are_chosen_by_name_and_left_out() {
        let set = |spec: &str| load(spec, None).unwrap().into_evaluation();
        let (all, some, others) = (set("digits"), set("digits#3,7"), set("digits#!3,7"));
        assert!(some.labels.iter().all(|label| [3, 7].contains(label)) && some.name == "digits#3,7");
        assert_eq!(some.class_names, all.class_names);
        assert_eq!(some.len() + others.len(), all.len());
        for (spec, expected) in [("digits#x", "found x"), ("digits#10", "found 10"), ("digits#", "found ,")] {
            let message = load(spec, None).unwrap_err().to_string();
            assert!(message.contains(expected) || spec == "digits#", "{message}");
        }
        let none = load("digits#!0,1,2,3,4,5,6,7,8,9", None).unwrap_err().to_string();
        assert!(none.contains("at least 1"), "{none}");
    }

    #[test]
    fn a_choice_is_divided_as_the_whole_is() {
        let parts = |spec: &str| {
            let Splits { train, validation, calibration, test } =
                splits(load(spec, None).unwrap(), 3).unwrap();
            [train, validation, calibration, test]
        };
        let chosen = |part: &Dataset, classes: &[u32]| {
            let keep: Vec<usize> = (0..part.len()).filter(|&i| classes.contains(&part.labels[i])).collect();
            part.select(&keep).unwrap().inputs
        };
        let whole = parts("digits");
        for (spec, classes) in [("digits#3", &[3][..]), ("digits#3,5,7#!5", &[3, 7])] {
            for (some, all) in parts(spec).iter().zip(&whole) {
                assert_eq!(some.inputs, chosen(all, classes), "{spec}");
                assert!(!some.is_empty() && some.name == spec);
            }
        }
    }
}
