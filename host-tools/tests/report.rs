//! `stf report` and `stf eval --report`: the page needs nothing else, and its figures are those of `stf eval`.

mod command;

use base64::Engine as _;
use command::{fails, json, ok, run};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A short run on the embedded digits, exported.
fn model(dir: &TempDir, extra: &[&str]) -> String {
    let (folder, model) = (path(dir, "run"), path(dir, "model.stf"));
    let train = ["train", "--arch", "lenet5", "--data", "digits", "--eval-samples", "4", "--out", &folder];
    ok(&[&train[..], &["--epochs", "3", "--bayes-epochs", "2"], extra].concat());
    ok(&["export", &folder, "--out", &model, "--no-adaptive"]);
    model
}

fn path(dir: &TempDir, name: &str) -> String {
    dir.path().join(name).to_str().unwrap().to_string()
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

#[test]
fn a_report_is_one_page_with_plots_as_files_and_the_figures_of_eval() {
    let dir = TempDir::new().unwrap();
    let (model, page, files) = (model(&dir, &[]), path(&dir, "page.html"), path(&dir, "made/files"));
    let about = [&model[..], "--data", "digits", "--ood", "digits", "--corrupt", "noise:5", "--json"];
    let written = json(&[&["report"][..], &about, &["--out", &page, "--files", &files]].concat());

    let plots: Vec<&str> =
        written["plots"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
    assert_eq!(
        plots,
        [
            "reliability",
            "risk-coverage",
            "predictive-entropy",
            "mutual-information",
            "coverage",
            "set-size",
            "drift",
            "cost-nll",
            "cost-time",
            "memory"
        ]
    );
    let html = read(&page);
    needs_nothing_else(&html);
    for plot in &plots {
        assert_eq!(html.matches(&format!("id=\"{plot}\"")).count(), 1, "{plot}");
        let svg = read(Path::new(&files).join(format!("{plot}.svg")));
        needs_nothing_else(&svg);
        nested(&svg);
        assert!(svg.contains("<style>"), "{plot}");
        let paths = svg.split(" d=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
        let number = |c: char| c.is_ascii_digit() || "MLHVZmlhvaz .-".contains(c);
        paths.for_each(|path| assert!(path.chars().all(number), "{plot}: {path}"));
    }
    nested(html.split("<body>").nth(1).unwrap().split("</body>").next().unwrap());
    pictures(&html);

    let figures: Value = serde_json::from_str(&read(Path::new(&files).join("figures.json"))).unwrap();
    let evaluation = json(&[&["eval"][..], &about].concat());
    assert_eq!(figures["evaluation"], evaluation, "a report says what eval says");
    consistent(&figures);
    sound_memory(&figures["memory"]);

    // From `eval` the same page; what it prints is what it prints without one.
    let other = path(&dir, "other.html");
    let reported = json(&[&["eval"][..], &about, &["--report", &other, "--files", &files]].concat());
    assert_eq!(reported, evaluation);
    assert_eq!(html.len() / 1000, read(&other).len() / 1000, "times apart, the pages are the same");
}

/// No script and no address but the name of the SVG language.
fn needs_nothing_else(text: &str) {
    let text = text.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
    for bad in ["<script", "<link rel=\"stylesheet\"", "@import", "//", "javascript:"] {
        // Base64 has slashes, too.
        let found = text.split("base64,").map(|part| part.split_once('"').map_or(part, |(_, rest)| rest));
        assert!(!text.starts_with(bad) && found.clone().skip(1).all(|part| !part.contains(bad)), "{bad}");
        assert!(!text.split("base64,").next().unwrap().contains(bad), "{bad}");
    }
    assert_eq!(text.matches("url(").count(), text.matches("url(#").count());
    assert_eq!(text.matches("src=").count(), text.matches("src=\"data:image/png;base64,").count());
}

/// Every element that is opened is closed, in order.
fn nested(markup: &str) {
    let mut open = Vec::new();
    for tag in markup.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').unwrap_or_else(|| panic!("unfinished: {tag}"));
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "</{name}>");
        } else if !tag.ends_with('/') && !["img", "br"].contains(&name) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

/// Digits are 8 by 8 pixels; there are at most eight examples of each of three kinds.
fn pictures(html: &str) {
    let found: Vec<&str> =
        html.split("base64,").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert!((16..=24).contains(&found.len()), "{}", found.len());
    for picture in found {
        let bytes = base64::engine::general_purpose::STANDARD.decode(picture).unwrap();
        let picture = image::load_from_memory(&bytes).unwrap();
        assert_eq!((picture.width(), picture.height()), (8, 8));
    }
}

/// Different figures of the same predictions agree.
fn consistent(figures: &Value) {
    let (n, accuracy) =
        (figures["evaluation"]["n"].as_f64().unwrap(), figures["evaluation"]["accuracy"].as_f64().unwrap());
    let classes = figures["classes"].as_array().unwrap();
    let sum = |value: fn(&Value) -> f64| classes.iter().map(value).sum::<f64>();
    assert_eq!(sum(|class| class["n"].as_f64().unwrap()), n);
    let found = sum(|class| class["n"].as_f64().unwrap() * class["recall"].as_f64().unwrap());
    assert!((found / n - accuracy).abs() < 1e-9);
    let nll = sum(|class| class["n"].as_f64().unwrap() * class["nll"].as_f64().unwrap()) / n;
    assert!((nll - figures["evaluation"]["nll"].as_f64().unwrap()).abs() < 1e-6);

    for curve in figures["risk_coverage"].as_array().unwrap() {
        let last = curve["points"].as_array().unwrap().last().unwrap();
        assert_eq!(last["coverage"], 1.0);
        assert!((last["risk"].as_f64().unwrap() - (1.0 - accuracy)).abs() < 1e-9, "{last}");
    }
    for set in figures["histograms"].as_array().unwrap().iter().flat_map(|h| h["sets"].as_array().unwrap()) {
        assert!((numbers(&set["shares"]).iter().sum::<f64>() - 1.0).abs() < 1e-9, "{set}");
    }
    for curve in figures["coverage"]["curves"].as_array().unwrap() {
        let points = curve["points"].as_array().unwrap();
        let sizes: Vec<f64> = points.iter().map(|point| point["mean_size"].as_f64().unwrap()).collect();
        assert!(sizes.is_sorted_by(|a, b| a >= b), "a greater alpha never needs larger sets: {curve}");
        for point in points {
            let (alpha, interval) = (point["alpha"].as_f64().unwrap(), numbers(&point["interval"]));
            // Half of the digits judge what the other half fitted: a loose bound on chance.
            assert!(interval[0] - 0.1 < 1.0 - alpha && 1.0 - alpha < interval[1] + 0.1, "{point}");
        }
    }
    let drift = &figures["drift"];
    for stream in drift["streams"].as_array().unwrap() {
        let level = drift["level"].as_f64().unwrap();
        let first = numbers(&stream["evidence"]).iter().position(|&evidence| evidence >= level);
        assert_eq!(stream["alarm_after"].as_u64(), first.map(|at| at as u64 + 1), "{stream}");
    }
    let samples: Vec<u64> = figures["cost"]["samples"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["num_samples"].as_u64().unwrap())
        .collect();
    assert_eq!(samples, [0, 1, 2, 4, 8, 16, 32]);
    assert_eq!(figures["examples"]["least_certain"].as_array().unwrap().len(), 8);
}

/// No two tensors that are alive at one time share a byte, and none lies outside the arena.
fn sound_memory(memory: &Value) {
    let number = |place: &Value, name: &str| place[name].as_u64().unwrap();
    let places = memory["tensors"].as_array().unwrap();
    let range = |place: &Value| number(place, "offset")..number(place, "offset") + number(place, "bytes");
    for (i, a) in places.iter().enumerate() {
        assert!(range(a).end <= number(memory, "arena_bytes"), "{a}");
        for b in &places[i + 1..] {
            let together =
                number(a, "read") >= number(b, "written") && number(a, "written") <= number(b, "read");
            let in_place = number(a, "read") == number(b, "written") && range(a) == range(b);
            let overlap = range(a).start < range(b).end && range(b).start < range(a).end;
            assert!(!(together && overlap) || in_place, "{a} and {b}");
        }
    }
    assert!(number(memory, "lower_bound_bytes") <= number(memory, "arena_bytes"));
}

#[test]
fn a_plain_network_and_one_that_promises_nothing_have_reports_too() {
    let dir = TempDir::new().unwrap();
    let (run, model, page) = (path(&dir, "run"), path(&dir, "plain.stf"), path(&dir, "plain.html"));
    ok(&["train", "--arch", "mlp", "--data", "digits", "--plain", "--epochs", "1", "--out", &run]);
    ok(&["export", &run, "--plain", "--no-calibrate", "--out", &model]);
    let written = json(&["report", &model, "--data", "digits", "--limit", "40", "--out", &page, "--json"]);
    assert_eq!(written["files"].as_array().unwrap().len(), 0);
    let html = read(&page);
    needs_nothing_else(&html);
    for missing in ["mutual-information", "drift", "cost-nll"] {
        assert!(!html.contains(&format!("id=\"{missing}\"")), "{missing}");
    }
    // One example is not enough for curves, but for a page.
    ok(&["report", &model, "--data", "digits", "--limit", "1", "--out", &page]);
    nested(read(&page).split("<body>").nth(1).unwrap().split("</body>").next().unwrap());
}

#[test]
fn what_cannot_be_written_is_named() {
    let dir = TempDir::new().unwrap();
    let (run_folder, model) = (path(&dir, "run"), path(&dir, "plain.stf"));
    ok(&["train", "--arch", "mlp", "--data", "digits", "--plain", "--epochs", "1", "--out", &run_folder]);
    ok(&["export", &run_folder, "--plain", "--no-calibrate", "--out", &model]);
    let nowhere: PathBuf = dir.path().join("no/such/page.html");
    let short = ["--data", "digits", "--limit", "20"];
    let message = fails(&[&["report", &model, "--out", nowhere.to_str().unwrap()][..], &short].concat());
    assert!(message.contains("no/such/page.html"), "{message}");
    let page = path(&dir, "page.html");
    let message = fails(&[&["report", &model, "--out", &page, "--files", &model][..], &short].concat());
    assert!(message.contains("plain.stf"), "{message}");
    let alone = run(&[&["eval", &model, "--files", "plots"][..], &short].concat());
    assert_eq!(alone.status.code(), Some(2), "--files goes with --report");
}
