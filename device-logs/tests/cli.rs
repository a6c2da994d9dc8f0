//! `stf-logs` on Parquet, JSON lines and CSV: the figures of the tally that `stf eval --log` uses.

use datafusion::arrow::array::{ArrayRef, Float32Array, Int64Array, ListArray, RecordBatch, StringArray};
use datafusion::arrow::datatypes::Float32Type;
use datafusion::parquet::arrow::ArrowWriter;
use serde_json::Value;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use stf_bnn::uncertainty::Gaussian;
use stf_device_protocol::log::{ClassTally, TargetTally};

fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_stf-logs")).args(args).output().unwrap()
}

fn json(args: &[&str]) -> Value {
    let output = run(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn parquet(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true))).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// Some labels are missing, some are no class.
fn row(i: i64) -> (Option<i64>, [f32; 3]) {
    let p = (0.5 + (i as f32).sin() / 2.0) / 3.0;
    let label = (i % 10 != 9).then_some(if i % 13 == 0 { 7 } else { i % 3 });
    (label, [p, 0.7 - p, 0.3])
}

fn assert_near(found: &Value, expected: &Value) {
    for (name, expected) in expected.as_object().unwrap() {
        match (found[name].as_f64(), expected.as_f64()) {
            (Some(found), Some(expected)) => {
                assert!((found - expected).abs() <= 1e-12 * expected.abs().max(1.0), "{name}: {found} {expected}");
            }
            _ if expected.is_array() => {
                let pairs = found[name].as_array().unwrap().iter().zip(expected.as_array().unwrap());
                pairs.for_each(|(found, expected)| assert_near(found, expected));
            }
            _ => assert_eq!(found[name], *expected, "{name}"),
        }
    }
}

#[test]
fn parquet_json_and_csv_give_the_figures_of_the_tally() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_string();
    let (mut tally, mut lines, mut csv) = (ClassTally::default(), String::new(), "label,passes,p0,p1,p2\n".to_string());
    for i in 0..5000 {
        let (label, p) = row(i);
        tally.push(label.map(|l| l as u32), &p, Some(8));
        let text = label.map_or(String::new(), |l| l.to_string());
        csv += &format!("{text},8,{:?},{:?},{:?}\n", p[0], p[1], p[2]);
        let text = if text.is_empty() { "null".to_string() } else { text };
        lines += &format!("{{\"label\":{text},\"passes\":8,\"probabilities\":{p:?}}}\n");
    }
    std::fs::write(at("a.jsonl"), lines).unwrap();
    std::fs::write(at("a.csv"), csv).unwrap();
    // Two files, of which the partitions are read side by side.
    for (name, rows) in [("a.parquet", 0..1234), ("b.parquet", 1234..5000)] {
        let lists = rows.clone().map(|i| Some(row(i).1.map(Some).to_vec()));
        parquet(
            &dir.path().join(name),
            vec![
                ("label", Arc::new(Int64Array::from_iter(rows.clone().map(|i| row(i).0)))),
                ("passes", Arc::new(Int64Array::from_iter_values(rows.clone().map(|_| 8)))),
                ("probabilities", Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(lists))),
                ("device", Arc::new(StringArray::from_iter_values(rows.map(|i| format!("d{}", i % 2))))),
            ],
        );
    }
    let expected = serde_json::to_value(tally.figures()).unwrap();
    assert!(expected["unlabelled"] == 500 && expected["rejected"].as_u64() > Some(300), "{expected}");
    let (a, b) = (at("a.parquet"), at("b.parquet"));
    assert_near(&json(&[&a, &b]), &expected);
    assert_near(&json(&[&a, &b, "--threads", "1"]), &expected);
    assert_near(&json(&[&at("a.jsonl")]), &expected);
    assert_near(&json(&[&at("a.csv")]), &expected);

    let grouped = json(&[&a, &b, "--by", "device"]);
    let groups = grouped["groups"].as_array().unwrap();
    let count = |value: &Value| value["n"].as_u64().unwrap();
    assert_eq!(groups.iter().map(|g| g["group"].as_str().unwrap()).collect::<Vec<_>>(), ["d0", "d1"]);
    assert_eq!(groups.iter().map(count).sum::<u64>(), count(&expected));

    let query = "SELECT device, stf_classification(label, passes, probabilities) AS figures FROM logs WHERE label = 1 \
                 GROUP BY device ORDER BY device";
    let output = run(&[&a, &b, "--sql", query]);
    let text = String::from_utf8(output.stdout).unwrap();
    let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    let figures: Value = serde_json::from_str(first["figures"].as_str().unwrap()).unwrap();
    assert!(first["device"] == "d0" && figures["n"].as_u64() > Some(0), "{text}");
}

#[test]
fn regressions_with_intervals() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("r.parquet");
    let value = |i: usize, k: f32| (i as f32 * k).cos();
    let column = |f: &dyn Fn(usize) -> Option<f32>| Arc::new(Float32Array::from_iter((0..3000).map(f))) as ArrayRef;
    let y = |i: usize| (i % 7 > 0).then(|| value(i, 0.3));
    parquet(
        &path,
        vec![
            ("y", column(&y)),
            ("mean", column(&|i| Some(value(i, 0.31)))),
            ("aleatoric_variance", column(&|i| Some(1.0 + value(i, 0.1) / 2.0))),
            ("epistemic_variance", column(&|_| Some(0.25))),
            ("low", column(&|i| Some(value(i, 0.31) - 1.0))),
            ("high", column(&|i| Some(value(i, 0.31) + 1.0))),
        ],
    );
    let mut tally = TargetTally::default();
    for i in 0..3000 {
        let mean = value(i, 0.31);
        let gaussian = Gaussian { mean, aleatoric_variance: 1.0 + value(i, 0.1) / 2.0, epistemic_variance: 0.25 };
        tally.push(y(i), &gaussian, Some((mean - 1.0, mean + 1.0)));
    }
    let expected = serde_json::to_value(tally.figures()).unwrap();
    assert!(expected["intervals"]["coverage"].as_f64() > Some(0.3), "{expected}");
    let found = json(&[path.to_str().unwrap()]);
    assert_near(&found, &expected);
    assert_near(&found["intervals"], &expected["intervals"]);
}

#[test]
fn what_is_no_log_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_string();
    std::fs::write(at("a.csv"), "x\n1\n").unwrap();
    std::fs::write(at("a.parquet"), "not one").unwrap();
    for (args, expected) in [
        (vec![at("none.parquet")], "none.parquet"),
        (vec![at("a.parquet")], "arquet"),
        (vec![at("a.csv")], "expected label"),
        (vec![at("a.csv"), at("a.parquet")], "one kind"),
        (vec![at("a.txt")], "expected .parquet"),
    ] {
        let output = run(&args.iter().map(String::as_str).collect::<Vec<_>>());
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && message.contains(expected), "{args:?}: {message}");
    }
    assert_eq!(run(&[]).status.code(), Some(2));
}
