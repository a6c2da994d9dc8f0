//! Tables of numbers with a header line: comma-separated, every column but the targets an input.

use super::{Dataset, Inputs, Targets, extension};
use crate::error::{Error, Result};
use crate::graph::Shape;
use std::path::Path;

/// What is expected where a table is not.
pub(super) const TARGETS_ONLY: &str = "classes; a table has real targets, for `stf train --task regression`";

/// The file and the names of the targets, if a spec is a table: `file.csv` or `file.csv:NAME,NAME`.
pub(super) fn split(spec: &str) -> Option<(&Path, Option<&str>)> {
    let is_table = |path: &str| extension(Path::new(path)).as_deref() == Some("csv");
    if is_table(spec) {
        return Some((Path::new(spec), None));
    }
    // Lower case of ASCII letters keeps the places.
    let end = spec.to_ascii_lowercase().rfind(".csv:")? + 4;
    Some((Path::new(&spec[..end]), Some(&spec[end + 1..])))
}

/// Reads a table. `targets`: names of the columns to predict, separated by commas; without them it is the last.
///
/// # Errors
/// If the file cannot be read, a column is missing, or a value is no finite number: line and column are named.
pub fn read(name: &str, path: &Path, targets: Option<&str>) -> Result<Dataset> {
    read_columns(name, path, &|header| target_columns(path, header, targets))
}

/// Reads a table whose columns are all inputs.
///
/// # Errors
/// As [`read`].
pub(super) fn read_inputs(path: &Path) -> Result<Dataset> {
    read_columns(&path.display().to_string(), path, &|_| Ok(Vec::new()))
}

fn read_columns(
    name: &str,
    path: &Path,
    target_columns: &dyn Fn(&[String]) -> Result<Vec<usize>>,
) -> Result<Dataset> {
    let failed = |error: csv::Error| match error.is_io_error() {
        true => Error::io(path, "read")(error.into()),
        false => Error::malformed(path, "table", error, "lines of as many values as the header"),
    };
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path).map_err(failed)?;
    let header: Vec<String> = reader.headers().map_err(failed)?.iter().map(str::to_string).collect();
    let target_columns = target_columns(&header)?;
    let input_columns: Vec<usize> = (0..header.len()).filter(|c| !target_columns.contains(c)).collect();
    if input_columns.is_empty() {
        return Err(Error::malformed(path, "columns", header.len(), "at least one besides the targets"));
    }
    let (mut inputs, mut values, mut rows) = (Vec::new(), Vec::new(), 0);
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(failed)? {
        let number = |&column: &usize| number(path, &record, &header, column);
        inputs.extend(input_columns.iter().map(number).collect::<Result<Vec<f32>>>()?);
        values.extend(target_columns.iter().map(number).collect::<Result<Vec<f32>>>()?);
        rows += 1;
    }
    let names = target_columns.iter().map(|&column| header[column].clone()).collect();
    Dataset {
        name: name.to_string(),
        shape: Shape::vector(input_columns.len()),
        inputs: Inputs::F32(inputs),
        labels: vec![0; rows],
        class_names: vec!["all".to_string()],
        targets: Targets { names, values },
    }
    .checked(path)
}

fn target_columns(path: &Path, header: &[String], targets: Option<&str>) -> Result<Vec<usize>> {
    let Some(names) = targets else { return Ok(vec![header.len().saturating_sub(1)]) };
    let column = |name: &str| {
        header.iter().position(|column| column == name.trim()).ok_or_else(|| {
            Error::malformed(path, "target", name, format!("one of the columns {}", header.join(", ")))
        })
    };
    let columns = names.split(',').map(column).collect::<Result<Vec<usize>>>()?;
    let repeated = (1..columns.len()).find(|&i| columns[..i].contains(&columns[i]));
    repeated.map_or(Ok(()), |i| {
        Err(Error::malformed(path, "target", format!("{} twice", header[columns[i]]), "different columns"))
    })?;
    Ok(columns)
}

fn number(path: &Path, record: &csv::StringRecord, header: &[String], column: usize) -> Result<f32> {
    let text = record.get(column).unwrap_or_default();
    text.parse().ok().filter(|value: &f32| value.is_finite()).ok_or_else(|| {
        let line = record.position().map_or(0, csv::Position::line);
        Error::malformed(
            path,
            format!("line {line}, column {}", header[column]),
            format!("{text:?}"),
            "a finite number",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::testing::write;
    use crate::data::{Content, Loaded, load, load_with};

    #[test]
    fn the_last_column_or_named_ones_are_targets() {
        let dir = tempfile::tempdir().unwrap();
        let path = write(dir.path(), "t.csv", b"a, b,c\n1,2,3\n4,5.5,-6e1\n");
        let read = |spec: &str| load_with(spec, None, Content::Targets).map(Loaded::into_evaluation);
        let set = read(path.to_str().unwrap()).unwrap();
        assert_eq!((set.shape, set.inputs), (Shape::vector(2), Inputs::F32(vec![1.0, 2.0, 4.0, 5.5])));
        assert_eq!((set.targets.names, set.targets.values), (vec!["c".to_string()], vec![3.0, -60.0]));
        let set = read(&format!("{}:c,a", path.display())).unwrap();
        assert_eq!((set.inputs, set.targets.of(1)), (Inputs::F32(vec![2.0, 5.5]), &[-60.0, 4.0][..]));
        let upper = write(dir.path(), "T.CSV", b"a,b\n1,2\n");
        assert_eq!(read(&format!("{}:a", upper.display())).unwrap().targets.values, [1.0]);
        assert!(load(path.to_str().unwrap(), None).unwrap_err().to_string().contains("--task regression"));
    }

    #[test]
    fn bad_tables_are_named() {
        let dir = tempfile::tempdir().unwrap();
        for (text, columns, expected) in [
            ("a,b\n1,2\n3,x\n", "", "line 3, column b: found \"x\""),
            ("a,b\n1,nan\n", "", "line 2, column b"),
            ("a,b\n1\n", "", "table"),
            ("a,b\n1,2\n", ":z", "target: found z"),
            ("a,b\n1,2\n", ":a,a", "target: found a twice"),
            ("a,b\n1,2\n", ":a,b", "at least one besides the targets"),
            ("a,b\n", "", "at least one example"),
        ] {
            let path = write(dir.path(), "t.csv", text.as_bytes());
            let spec = format!("{}{columns}", path.display());
            let message = load_with(&spec, None, Content::Targets).unwrap_err().to_string();
            assert!(message.contains(expected), "{expected}: {message}");
        }
        let missing = dir.path().join("none.csv");
        let message = load_with(missing.to_str().unwrap(), None, Content::Targets).unwrap_err().to_string();
        assert!(message.contains("none.csv: cannot read: "), "{message}");
        let message = load_with("digits", None, Content::Targets).unwrap_err().to_string();
        assert!(message.contains("data of a regression"), "{message}");
    }
}
