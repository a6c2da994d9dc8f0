//! `stf` on real targets and on autoencoders, from training to prediction, as a user calls it.

mod command;

use command::{fails, json, ok};
use serde_json::Value;
use std::fmt::Write as _;
use std::path::Path;
use tempfile::TempDir;

#[test]
fn a_log_of_a_classifier_gives_its_figures() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_string();
    let (run, model, log) = (at("run"), at("model.stf"), at("log.csv"));
    ok(&["train", "--arch", "mlp-small", "--data", "digits", "--epochs", "2", "--plain", "--out", &run]);
    ok(&["export", &run, "--out", &model, "--no-calibrate"]);
    let eval = ["eval", &model, "--data", "digits", "--json", "--log-out", &log];
    let direct = json(&eval);
    let logged = json(&["eval", "--log", &log, &log, "--by", "class", "--json"]);
    assert_eq!(logged["n"].as_u64().unwrap(), 2 * direct["n"].as_u64().unwrap());
    let once = json(&["eval", "--log", &log, "--json"]);
    for figure in ["n", "accuracy", "nll", "brier", "ece", "mce", "mean_passes"] {
        assert_eq!(once[figure], direct[figure], "{figure}");
        assert!(
            figure == "n" || (number(&logged[figure]) - number(&direct[figure])).abs() < 1e-12,
            "{figure}"
        );
    }
    assert!(logged["groups"].as_array().unwrap().len() > 3, "{logged}");
    assert!(ok(&["eval", "--log", &log]).contains("accuracy"));
    assert!(fails(&["eval", "--log", &model]).contains("kind of log"));
    assert_eq!(command::run(&["eval", "--json"]).status.code(), Some(2), "neither a model nor a log");
    let page = at("page.html");
    for option in [["--report", &page], ["--ood", "digits"], ["--limit", "3"], ["--corrupt", "blur:3"]] {
        let refused = command::run(&[&["eval", "--log", &log][..], &option].concat());
        let message = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(2) && message.contains(option[0]), "{message}");
    }
    assert!(!Path::new(&page).exists(), "what would not be written is refused, not passed over");
}

/// Ids of the plots of a report, its figures and the page; every plot is on the page and in a file of its own.
fn report(dir: &TempDir, args: &[&str]) -> (Vec<String>, Value, String) {
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_string();
    let (page, files) = (at("page.html"), at("files"));
    let written = json(&[&["report"][..], args, &["--json", "--out", &page, "--files", &files]].concat());
    let list =
        |value: &Value| value.as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_string()).collect();
    let plots: Vec<String> = list(&written["plots"]);
    let html = std::fs::read_to_string(&page).unwrap();
    for plot in &plots {
        assert_eq!(html.matches(&format!("id=\"{plot}\"")).count(), 1, "{plot}");
        let svg = std::fs::read_to_string(Path::new(&files).join(format!("{plot}.svg"))).unwrap();
        assert!(svg.starts_with("<svg") && !svg.contains("NaN"), "{plot}");
    }
    assert!(!html.contains("<script") && !html.contains("src=\"http"));
    let figures = std::fs::read_to_string(Path::new(&files).join("figures.json")).unwrap();
    (plots, serde_json::from_str(&figures).unwrap(), html)
}

/// The page of a regression says what `eval` says, and its figures agree with each other.
fn reported_targets(dir: &TempDir, model: &str, data: &str, evaluation: &Value) {
    let (plots, figures, html) = report(dir, &[model, "--data", data]);
    let expected =
        ["predicted-observed", "pit", "error-sigma", "coverage", "cost-nll", "cost-time", "memory"];
    assert_eq!(plots, expected);
    assert_eq!(figures["evaluation"], *evaluation);
    assert!(html.contains("Least likely values") && html.contains("flow"));
    let (target, flow) = (&figures["targets"][0], &evaluation["targets"][0]);
    let numbers = |value: &Value| value.as_array().unwrap().iter().map(number).collect::<Vec<_>>();
    assert!((numbers(&target["pit"]).iter().sum::<f64>() - 1.0).abs() < 1e-9);
    let (low, high) = (number(&target["rmse_interval"][0]), number(&target["rmse_interval"][1]));
    assert!(low < number(&flow["rmse"]) && number(&flow["rmse"]) < high);
    // Groups of all examples: their squared errors are the whole's.
    let groups = target["sigma_groups"].as_array().unwrap();
    let sum = |value: &dyn Fn(&Value) -> f64| groups.iter().map(value).sum::<f64>();
    let squares = sum(&|group| number(&group["n"]) * number(&group["rmse"]).powi(2));
    assert_eq!(sum(&|group| number(&group["n"])), 300.0);
    assert!(((squares / 300.0).sqrt() - number(&flow["rmse"])).abs() < 1e-4, "{target}");
    let rows = target["coverage"].as_array().unwrap();
    assert!(rows.len() == 30 && rows.is_sorted_by(|a, b| number(&a["gaussian"]) >= number(&b["gaussian"])));
    for row in rows {
        // 150 examples judge what 150 others fitted.
        assert!((number(&row["conformal"]) - (1.0 - number(&row["alpha"]))).abs() < 0.15, "{row}");
    }
}

/// The page of an autoencoder says what `eval` says, and its alarms are those of `eval`.
fn reported_anomalies(dir: &TempDir, model: &str, evaluation: &Value) {
    let (plots, figures, html) = report(dir, &[model, "--data", "digits#!8,9", "--ood", "digits#8,9"]);
    let expected = ["error", "roc", "false-alarms", "alarms", "cost-error", "cost-time", "memory"];
    assert_eq!(plots, expected);
    assert_eq!(figures["evaluation"], *evaluation);
    assert_eq!(html.matches("<img ").count(), 24, "eight of each of three kinds");
    let anomaly = &figures["anomaly"];
    let at = |curve: usize, alpha: f64| {
        let points = anomaly["alarms"][curve]["points"].as_array().unwrap();
        points.iter().find(|point| (number(&point["alpha"]) - alpha).abs() < 1e-6).unwrap()["rate"].clone()
    };
    for row in 0..3 {
        let (own, other) = (&evaluation["alarms"][row], &evaluation["ood"][0]["alarms"][row]);
        let alpha = (number(&own["alpha"]) * 1e6).round() / 1e6;
        assert_eq!((&at(0, alpha), &at(1, alpha)), (&own["rate"], &other["rate"]), "{alpha}");
    }
    let curve = anomaly["roc"][0]["points"].as_array().unwrap();
    let area = |pair: &[Value]| {
        (number(&pair[1][0]) - number(&pair[0][0])) * (number(&pair[1][1]) + number(&pair[0][1])) / 2.0
    };
    let area: f64 = curve.windows(2).map(area).sum();
    assert!((area - number(&evaluation["ood"][0]["auroc"])).abs() < 0.01, "{area}");
    let most = figures["examples"][0]["examples"].as_array().unwrap();
    assert!(most.is_sorted_by(|a, b| number(&a["error"]) >= number(&b["error"])), "{most:?}");
}

/// A made-up sensor: two inputs, a target whose noise grows with the first.
fn table(path: &Path, rows: usize) {
    let mut state = 1_u64;
    let mut unit = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / (1_u64 << 24) as f64
    };
    let mut text = "a,b,flow\n".to_string();
    for _ in 0..rows {
        let (a, b) = (unit(), unit());
        let noise: f64 = (0..12).map(|_| unit()).sum::<f64>() - 6.0;
        let flow = 50.0 + 8.0 * (3.0 * a).sin() + 4.0 * b + (0.3 + a) * noise;
        writeln!(text, "{a},{b},{flow}").unwrap();
    }
    std::fs::write(path, text).unwrap();
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

#[test]
fn a_regression_from_training_to_prediction() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_string();
    let (data, run, model) = (at("sensor.csv"), at("run"), at("model.stf"));
    table(Path::new(&data), 1500);
    let train = ["train", "--task", "regression", "--arch", "mlp-small", "--data", &data, "--out", &run];
    let trained = json(&[&train[..], &["--epochs", "15", "--bayes-epochs", "3", "--json"]].concat());
    let rmse = number(&trained["stage2"]["validation"]["rmse"]);
    assert!(rmse < 0.6, "the target's standard deviation is the unit: {trained}");
    // A resumed run is the same run.
    ok(&["train", "--resume", "--out", &run]);

    let exported = json(&["export", &run, "--out", &model, "--json"]);
    assert_eq!(exported["calibration"], Value::Null);
    let factors = exported["intervals"]["factors"].as_array().unwrap();
    let alphas: Vec<f64> = factors.iter().map(|row| number(&row["alpha"])).collect();
    assert_eq!(alphas, [0.05, 0.1], "60 examples certify, .01 takes 99: {exported}");
    assert!(factors[0]["target"] == "flow" && number(&factors[0]["factor"]) > number(&factors[1]["factor"]));

    let evaluation = json(&["eval", &model, "--data", &data, "--json"]);
    assert_eq!(evaluation["n"], 300);
    let flow = &evaluation["targets"][0];
    assert!(number(&flow["rmse"]) < 2.0 && number(&flow["aleatoric"]) > 0.3, "{flow}");
    for row in flow["intervals"].as_array().unwrap() {
        let (nominal, coverage) = (number(&row["nominal"]), number(&row["coverage"]));
        // 60 calibration and 300 test examples.
        assert!((coverage - nominal).abs() < 0.12, "{row}");
    }
    reported_targets(&dir, &model, &data, &evaluation);
    let mean = json(&["eval", &model, "--data", &data, "--baseline", "mean", "--json"]);
    assert_eq!(mean["sampled_as_calibrated"], false);
    assert_eq!(number(&mean["targets"][0]["epistemic"]), 0.0);

    // A log of the predictions gives the same figures without the model.
    for name in ["flow.csv", "flow.jsonl"] {
        let log = at(name);
        ok(&["eval", &model, "--data", &data, "--log-out", &log]);
        let again = json(&["eval", "--log", &log, "--json"]);
        for figure in ["rmse", "mae", "nll", "aleatoric", "epistemic"] {
            assert_eq!(again[figure], flow[figure], "{figure}");
        }
        let (widest, logged) = (&flow["intervals"][0], &again["intervals"]);
        assert_eq!((&logged["n"], &logged["mean_width"]), (&Value::from(300), &widest["mean_width"]));
    }

    // Other alphas, and one that the examples do not suffice for.
    let again = at("again.stf");
    let calibrate = ["calibrate", &model, "--data", &data, "--out", &again];
    ok(&[&calibrate[..], &["--alpha", "0.2"]].concat());
    let inspected = json(&["inspect", &again, "--json"]);
    assert_eq!(inspected["task"], "gaussian", "{inspected}");
    let text = ok(&["inspect", &again]);
    assert!(text.contains("target flow") && text.contains("probability 0.8"), "{text}");
    let message = fails(&[&calibrate[..], &["--alpha", "0.001"]].concat());
    assert!(message.contains("alpha 0.001: found 60, expected at least 999"), "{message}");

    let rows = at("rows.csv");
    std::fs::write(&rows, "a,b\n0.1,0.5\n0.9,0.5\n").unwrap();
    let lines = ok(&["predict", &model, &rows, "--json"]);
    let sigmas: Vec<f64> = lines
        .lines()
        .map(|line| {
            let record: Value = serde_json::from_str(line).unwrap();
            let target = &record["targets"][0];
            let interval = &target["intervals"][0];
            assert!(number(&interval["low"]) < number(&target["mean"]));
            assert!(number(&target["mean"]) < number(&interval["high"]));
            number(&target["sigma"])
        })
        .collect();
    assert!(sigmas.len() == 2 && sigmas[1] > sigmas[0], "noise grows with a: {sigmas:?}");

    for (args, expected) in [
        (vec!["eval", &model, "--data", "digits"], "data of a regression"),
        (vec!["eval", &model, "--data", &data, "--ood", "digits"], "--ood"),
        (vec!["eval", &model, "--data", &data, "--adaptive"], "adaptive"),
        (vec!["export", &run, "--out", &again, "--format", "onnx-mc"], "onnx-mc"),
        (vec!["train", "--arch", "mlp", "--data", &data, "--out", &again], "--task regression"),
    ] {
        let message = fails(&args);
        assert!(message.contains(expected), "{args:?}: {message}");
    }
}

#[test]
fn an_autoencoder_knows_what_it_was_trained_on() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_string();
    let (run, model) = (at("run"), at("model.stf"));
    let train = ["train", "--arch", "autoencoder", "--data", "digits#!8,9", "--out", &run];
    ok(&[&train[..], &["--epochs", "12", "--bayes-epochs", "1"]].concat());
    let exported = json(&["export", &run, "--out", &model, "--json"]);
    let examples = number(&exported["anomaly"]["examples"]);
    assert!(examples > 50.0, "{exported}");
    let eval = ["eval", &model, "--data", "digits#!8,9", "--ood", "digits#8,9", "--json"];
    let evaluation = json(&eval);
    let (alarms, found) = (evaluation["alarms"].as_array().unwrap(), &evaluation["ood"][0]);
    // 287 test examples, and a reference of about 60.
    assert!(alarms.len() == 3 && number(&alarms[2]["rate"]) < 0.25, "{evaluation}");
    let auroc = number(&found["auroc"]);
    let (low, high) = (number(&found["auroc_interval"][0]), number(&found["auroc_interval"][1]));
    assert!(low <= auroc && auroc <= high && auroc > 0.6, "{evaluation}");
    assert!(ok(&["inspect", &model]).contains("normal examples"));
    reported_anomalies(&dir, &model, &evaluation);
    let calibrated = ok(&["calibrate", &model, "--data", "digits#!8,9", "-k", "4"]);
    assert!(calibrated.contains("4 samples"), "{calibrated}");
    assert_eq!(json(&eval)["sampled_as_calibrated"], false);
    assert!(fails(&["eval", &model, "--data", "digits", "--corruptions"]).contains("--corrupt"));
}
