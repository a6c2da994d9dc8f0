//! Some classes of a data set: `SPEC#CLASS,CLASS`, or all others: `SPEC#!CLASS,CLASS`.

use super::{Dataset, Loaded};
use crate::error::{Error, Result};

/// The source and the classes of a spec that names some.
pub(super) fn split(spec: &str) -> Option<(&str, &str)> {
    // A path that has the sign in it is a path.
    if std::path::Path::new(spec).exists() { None } else { spec.rsplit_once('#') }
}

/// The examples of these classes in all parts; the names of all classes stay.
///
/// # Errors
/// If a class is none of the data's, or no example is left.
pub(super) fn select(loaded: Loaded, spec: &str, classes: &str) -> Result<Loaded> {
    let (names, others) = classes.strip_prefix('!').map_or((classes, false), |names| (names, true));
    let one = |set: Dataset| {
        let wanted = indices(&set, names)?;
        let keep = |&example: &usize| wanted.contains(&set.labels[example]) != others;
        let kept: Vec<usize> = (0..set.len()).filter(keep).collect();
        if kept.is_empty() {
            let what = format!("{spec}: examples of {classes}");
            return Err(Error::invalid(what, 0, "at least 1"));
        }
        Ok(Dataset { name: format!("{}#{classes}", set.name), ..set.select(&kept)? })
    };
    Ok(match loaded {
        Loaded::Official { train, test } => Loaded::Official { train: one(train)?, test: one(test)? },
        Loaded::Whole(whole) => Loaded::Whole(one(whole)?),
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
    use crate::data::load;

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
}
