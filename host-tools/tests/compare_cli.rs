//! `stf compare` as a user meets it.

mod command;

use command::{fails, json, run};
use serde_json::Value;
use std::fs;
use tempfile::TempDir;

/// A quick comparison on the embedded digits.
fn args<'a>(out: &'a str, methods: &'a str) -> Vec<&'a str> {
    let fixed = "compare --arch lenet5 --data digits --epochs 4 --bayes-epochs 2 -k 4 --members 2 --temperatures .5,1 \
                 --full-temperatures .1 --ood digits --corruption-examples 8 --limit 100 --train-examples 400 --json";
    let mut args: Vec<&str> = fixed.split_whitespace().collect();
    args.extend(["--out", out, "--methods", methods]);
    args
}

fn rows<'a>(found: &'a Value, method: &str) -> Vec<&'a Value> {
    found["rows"].as_array().unwrap().iter().filter(|row| row["method"] == method).collect()
}

#[test]
fn every_method_has_its_figures() {
    let dir = TempDir::new().unwrap();
    let out = dir.path().join("compare");
    let found = json(&[args(out.to_str().unwrap(), "all"), vec!["--seeds", "1"]].concat());
    let methods =
        ["plain", "stf", "block", "last-layer", "full-map", "full", "dropout", "ensemble", "laplace"];
    for method in methods {
        let rows = rows(&found, method);
        let forms = if ["plain", "stf"].contains(&method) { 3 } else { 2 };
        assert_eq!(rows.len(), forms, "{method}");
        for row in rows {
            let accuracy = row["accuracy"]["mean"].as_f64().unwrap();
            assert!((0.1..=1.0).contains(&accuracy), "{method}: {accuracy}");
            for field in ["nll", "ece", "brier", "corrupted_nll", "corrupted_accuracy", "own_seconds"] {
                assert!(row[field]["mean"].as_f64().unwrap().is_finite(), "{method} {field}");
            }
            assert_eq!(row["ood"][0]["mutual_information"].is_null(), method == "plain", "{method}");
        }
    }
    let passes = |method| rows(&found, method)[0]["passes"].as_u64().unwrap();
    assert_eq!((passes("plain"), passes("stf"), passes("ensemble")), (1, 4, 2));
    let kept = |method| rows(&found, method)[0]["parameters"].as_u64().unwrap();
    assert_eq!((kept("stf") - kept("plain"), kept("ensemble")), (150, 2 * kept("plain")));
    let table = fs::read_to_string(out.join("results.md")).unwrap();
    assert!(
        table.contains("| STF-BNN | int8 |") && table.contains("temperature of the posterior"),
        "{table}"
    );
}

/// Finished units are read, not trained anew, and a unit that lost its record is made again, the same.
#[test]
fn an_interrupted_comparison_goes_on() {
    let dir = TempDir::new().unwrap();
    let out = dir.path().join("compare");
    let all = [args(out.to_str().unwrap(), "plain,stf"), vec!["--seeds", "2"]].concat();
    let whole = json(&all);
    assert!(rows(&whole, "stf")[0]["nll"]["half_width"].is_number());
    let record = out.join("stf/seed-1/record.json");
    let kept = fs::metadata(out.join("plain/seed-1/record.json")).unwrap().modified().unwrap();
    fs::remove_file(&record).unwrap();
    let again = json(&all);
    for figure in ["accuracy", "nll", "ece", "brier", "corrupted_nll"] {
        for form in 0..3 {
            // A figure that was read from JSON may differ in its last digit.
            let mean = |found: &Value| rows(found, "stf")[form][figure]["mean"].as_f64().unwrap();
            assert!((mean(&whole) - mean(&again)).abs() < 1e-12, "{figure}");
        }
    }
    assert_eq!(fs::metadata(out.join("plain/seed-1/record.json")).unwrap().modified().unwrap(), kept);
    fs::write(&record, "{").unwrap();
    assert!(fails(&all).contains("record.json"));
}

#[test]
fn bad_settings_are_named() {
    let dir = TempDir::new().unwrap();
    let out = dir.path().join("compare");
    let out = out.to_str().unwrap();
    let with = |methods, extra: &[&'static str]| fails(&[args(out, methods), extra.to_vec()].concat());
    assert!(with("stf,magic", &[]).contains("magic"));
    assert!(with("stf", &["--dropout-rate", "1.5"]).contains("dropout"));
    assert!(with("stf", &["--full-prior-sigma", "0"]).contains("prior sigma"));
    let wrong = [args(out, "stf"), vec!["--seeds", "0"]].concat();
    assert_eq!(run(&wrong).status.code(), Some(2));
}

/// Here, where no other test of the process takes memory or starts a measurement of its own.
#[cfg(target_os = "linux")]
#[test]
fn time_and_memory_of_work_are_seen() {
    let (sum, usage) = stf_host::compare::usage::measure(|| {
        let used = vec![1u8; 48 << 20];
        let started = std::time::Instant::now();
        let mut sum = 0u64;
        while started.elapsed().as_millis() < 60 {
            sum += used.iter().step_by(64).map(|&b| u64::from(b)).sum::<u64>();
        }
        sum
    });
    assert!(sum > 0 && usage.seconds >= 0.06 && usage.cpu_seconds.unwrap() > 0.0);
    assert!(usage.memory_bytes.is_none_or(|bytes| bytes > 40 << 20), "{usage:?}");
}
