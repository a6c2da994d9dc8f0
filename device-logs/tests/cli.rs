//! `stf-logs` on Parquet, JSON lines and CSV: the figures of the tally that `stf eval --log` uses.

use datafusion::arrow::array::{ArrayRef, Float32Array, Int64Array, ListArray, RecordBatch, StringArray};
use datafusion::arrow::datatypes::Float32Type;
use datafusion::execution::FunctionRegistry;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::physical_plan::displayable;
use serde_json::Value;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use stf_bnn::uncertainty::Gaussian;
use stf_device_protocol::log::{ClassTally, TargetTally};
use stf_logs::aggregate::Rows;
use stf_logs::classification::Classification;
use stf_logs::query::{Limits, aggregate, register, session};

fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_stf-logs")).args(args).output().unwrap()
}

fn json(args: &[&str]) -> Value {
    let output = run(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn parquet(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true))).unwrap();
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

/// Everything that is expected is there; numbers may differ by rounding, as parts are merged in any order.
fn assert_near(found: &Value, expected: &Value) {
    match (found, expected) {
        (_, Value::Object(expected)) => {
            expected.iter().for_each(|(name, expected)| assert_near(&found[name], expected));
        }
        (Value::Array(found), Value::Array(expected)) => {
            assert_eq!(found.len(), expected.len());
            found.iter().zip(expected).for_each(|(found, expected)| assert_near(found, expected));
        }
        (Value::Number(found), Value::Number(expected)) => {
            let (found, expected) = (found.as_f64().unwrap(), expected.as_f64().unwrap());
            assert!((found - expected).abs() <= 1e-12 * expected.abs().max(1.0), "{found} {expected}");
        }
        _ => assert_eq!(found, expected),
    }
}

#[test]
fn parquet_json_and_csv_give_the_figures_of_the_tally() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_string();
    let (mut tally, mut lines, mut csv) =
        (ClassTally::default(), String::new(), "label,passes,p0,p1,p2\n".to_string());
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
    let column =
        |f: &dyn Fn(usize) -> Option<f32>| Arc::new(Float32Array::from_iter((0..3000).map(f))) as ArrayRef;
    let y = |i: usize| (!i.is_multiple_of(7)).then(|| value(i, 0.3));
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
        let gaussian =
            Gaussian { mean, aleatoric_variance: 1.0 + value(i, 0.1) / 2.0, epistemic_variance: 0.25 };
        tally.push(y(i), &gaussian, Some((mean - 1.0, mean + 1.0)));
    }
    let expected = serde_json::to_value(tally.figures()).unwrap();
    assert!(expected["intervals"]["coverage"].as_f64() > Some(0.3), "{expected}");
    let found = json(&[path.to_str().unwrap()]);
    assert_near(&found, &expected);
}

/// What an engine does with the functions, here or on other machines: it finds them by their names, and merges the
/// bytes of partial states.
#[test]
fn functions_are_found_by_name_and_their_states_merge_as_bytes() {
    let context = session(Limits { threads: 3, memory: 1 << 28 }).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.csv");
    let rows = |range: std::ops::Range<i64>| {
        range.map(|i| format!("{},{:?},{:?},0.3\n", i % 3, row(i).1[0], row(i).1[1])).collect::<String>()
    };
    std::fs::write(&path, format!("label,p0,p1,p2\n{}", rows(0..100))).unwrap();
    for name in ["stf_classification", "stf_regression"] {
        assert_eq!(context.state().udaf(name).unwrap().name(), name);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let plan = runtime.block_on(async {
        let files = [path.to_str().unwrap().to_string()];
        let schema = register(&context, &files).await.unwrap();
        let query = format!("SELECT {} FROM logs", aggregate(&schema).unwrap());
        let plan = context.sql(&query).await.unwrap().create_physical_plan().await.unwrap();
        displayable(plan.as_ref()).indent(false).to_string()
    });
    assert!(plan.contains("mode=Partial") && plan.contains("mode=Final"), "{plan}");

    let (mut whole, mut parts) = (ClassTally::default(), Vec::new());
    for part in [0..40, 40..41, 41..100] {
        let mut tally = ClassTally::default();
        for i in part {
            let (_, p) = row(i);
            [&mut tally, &mut whole].into_iter().for_each(|t| t.push(Some(i as u32 % 3), &p, None));
        }
        parts.push(tally.to_bytes());
    }
    let mut merged = <Classification as Rows>::from_bytes(&parts[0]).unwrap();
    parts[1..].iter().for_each(|part| merged.merge(&Classification::from_bytes(part).unwrap()));
    let merged: Value = serde_json::from_str(&merged.json()).unwrap();
    assert_near(&merged, &serde_json::to_value(whole.figures()).unwrap());
    assert!(Classification::from_bytes(&parts[0][1..]).is_none());
    assert!(parts[2].len() < 1 << 15, "a state is a few kilobytes: {}", parts[2].len());
}

/// `cargo xtask logs-test` builds the host tool and says where it is.
#[test]
#[ignore = "needs the host tool: cargo xtask logs-test"]
fn the_same_csv_gives_the_figures_of_stf_eval() {
    let tool = std::env::var("STF_TOOL").expect("STF_TOOL: path of stf");
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_string();
    let mut classes = "device,label,passes,p0,p1,p2\n".to_string();
    let mut targets = "device,y,mean,aleatoric_variance,epistemic_variance,low,high\n".to_string();
    for i in 0..4000 {
        let (label, p) = row(i);
        let label = label.map_or(String::new(), |l| l.to_string());
        classes += &format!("d{},{label},{},{:?},{:?},{:?}\n", i % 3, 1 + i % 9, p[0], p[1], p[2]);
        let mean = (i as f32 * 0.31).cos();
        let y = if i % 7 > 0 { format!("{:?}", (i as f32 * 0.3).cos()) } else { String::new() };
        let variance = 1.0 + (i as f32 * 0.1).sin() / 2.0;
        targets += &format!("d{},{y},{mean:?},{variance:?},0.25,{:?},{:?}\n", i % 3, mean - 1.0, mean + 1.0);
    }
    for (name, text) in [("classes.csv", classes), ("targets.csv", targets)] {
        let log = at(name);
        std::fs::write(&log, text).unwrap();
        let output =
            Command::new(&tool).args(["eval", "--log", &log, "--by", "device", "--json"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let expected: Value = serde_json::from_slice(&output.stdout).unwrap();
        for threads in ["1", "2"] {
            let found = json(&[&log, "--by", "device", "--threads", threads]);
            assert_eq!(
                found.as_object().unwrap().len(),
                expected.as_object().unwrap().len(),
                "the same names"
            );
            assert_near(&found, &expected);
        }
    }
}

#[test]
fn what_is_no_log_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_string();
    std::fs::write(at("a.csv"), "x\n1\n").unwrap();
    std::fs::write(at("a.parquet"), "not one").unwrap();
    let rows = |row: &str| format!("label,passes,p0,p1\n1,1,0.5,0.5\n{row}\n");
    std::fs::write(at("empty.csv"), "label,passes,p0,p1\n").unwrap();
    std::fs::write(at("word.csv"), rows("cat,1,0.5,0.5")).unwrap();
    std::fs::write(at("negative.csv"), rows("-1,1,0.5,0.5")).unwrap();
    std::fs::write(at("passes.csv"), rows("1,70000,0.5,0.5")).unwrap();
    std::fs::write(at("short.csv"), rows("1,1,0.5")).unwrap();
    std::fs::write(at("half.jsonl"), "{\"label\":1.5,\"probabilities\":[0.5,0.5]}\n").unwrap();
    std::fs::write(at("text.jsonl"), "{\"label\":1,\"probabilities\":[\"a\",\"b\"]}\n").unwrap();
    for (args, expected) in [
        (vec![at("none.parquet")], "none.parquet"),
        (vec![at("a.parquet")], "arquet"),
        (vec![at("a.csv")], "expected label"),
        (vec![at("a.csv"), at("a.parquet")], "one kind"),
        (vec![at("a.txt")], "expected .parquet"),
        (vec![at("empty.csv")], "no row"),
        (vec![at("word.csv")], "cat"),
        (vec![at("negative.csv")], "column label: found -1"),
        (vec![at("passes.csv")], "column passes: found 70000"),
        (vec![at("short.csv")], "line"),
        (vec![at("half.jsonl")], "column label: found 1.5"),
        (vec![at("text.jsonl")], "column probabilities"),
        (vec![at("passes.csv"), "--by".into(), "device".into()], "device"),
    ] {
        let output = run(&args.iter().map(String::as_str).collect::<Vec<_>>());
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && message.contains(expected), "{args:?}: {message}");
    }
    assert_eq!(run(&[]).status.code(), Some(2));
}
