//! Logs of both kinds and forms, whole, in parts and damaged.

use super::*;
use crate::data::testing::write;
use stf_bnn::Classification;
use stf_bnn::uncertainty::{Calibration, Gaussian};
use stf_device_protocol::log::LogWriter;

/// Awkward probabilities: their digits must come back.
fn probabilities(i: u32) -> Vec<f32> {
    let p = (0.5 + f32::sin(i as f32) / 2.0) / 3.0;
    vec![p, 1.0 - p - 1e-9, 1e-9]
}

fn class_log(format: LogFormat, rows: std::ops::Range<u32>) -> Vec<u8> {
    let mut log = LogWriter::new(Vec::new(), format);
    for i in rows {
        let c = Classification {
            class: 1,
            confidence: 0.5,
            predictive_entropy: 0.1,
            expected_entropy: 0.1,
            mutual_information: 0.0,
        };
        let label = (i % 10 != 9).then_some(i % 3);
        log.class(i.into(), label, &probabilities(i), (8, 9), &c).unwrap();
    }
    log.finish().unwrap()
}

fn figures(evaluation: &LogEvaluation) -> &stf_device_protocol::log::ClassFigures {
    match &evaluation.figures {
        LogFigures::Classes(figures) => figures,
        LogFigures::Targets(_) => panic!("classes"),
    }
}

#[test]
fn both_forms_give_the_bits_of_the_accumulator() {
    let dir = tempfile::tempdir().unwrap();
    let mut expected = Calibration::new();
    (0..200).filter(|i| i % 10 != 9).for_each(|i| {
        expected.push(&probabilities(i), i as usize % 3);
    });
    for (name, format) in [("a.csv", LogFormat::Csv), ("a.jsonl", LogFormat::JsonLines)] {
        let path = write(dir.path(), name, &class_log(format, 0..200));
        let evaluation = evaluate_logs(&[path], None).unwrap();
        let found = figures(&evaluation);
        assert_eq!((found.n, found.unlabelled, found.rejected, found.mean_passes), (180, 20, 0, Some(9.0)));
        let figures = [found.nll, found.brier, found.ece, found.accuracy, found.mce];
        let bits = [expected.nll(), expected.brier(), expected.ece(), expected.accuracy(), expected.mce()];
        assert_eq!(figures, bits.map(Some));
    }
}

#[test]
fn files_merge_in_their_order_and_a_cut_line_is_rejected() {
    let dir = tempfile::tempdir().unwrap();
    let whole = write(dir.path(), "whole.csv", &class_log(LogFormat::Csv, 0..300));
    let first = write(dir.path(), "first.csv", &class_log(LogFormat::Csv, 0..100));
    let rest = write(dir.path(), "rest.jsonl", &class_log(LogFormat::JsonLines, 100..300));
    let (one, several) =
        (evaluate_logs(&[whole], None).unwrap(), evaluate_logs(&[first, rest], None).unwrap());
    assert_eq!(figures(&one).n, figures(&several).n);
    let nll = |found: &LogEvaluation| figures(found).nll.unwrap();
    assert!((nll(&one) - nll(&several)).abs() < 1e-12);
    for (name, format) in [("cut.csv", LogFormat::Csv), ("cut.jsonl", LogFormat::JsonLines)] {
        let mut bytes = class_log(format, 0..5);
        bytes.truncate(bytes.len() - 4);
        let cut = evaluate_logs(&[write(dir.path(), name, &bytes)], None).unwrap();
        assert_eq!((figures(&cut).n, figures(&cut).rejected), (4, 1), "{name}");
    }
}

#[test]
fn targets_with_and_without_intervals() {
    let dir = tempfile::tempdir().unwrap();
    let g = Gaussian { mean: 1.25, aleatoric_variance: 0.5, epistemic_variance: 0.25 };
    for (name, format) in [("t.csv", LogFormat::Csv), ("t.jsonl", LogFormat::JsonLines)] {
        let mut log = LogWriter::new(Vec::new(), format);
        for i in 0..10_u8 {
            let y = (i > 0).then_some(f32::from(i) / 4.0);
            log.target(i.into(), "flow, \"hot\"", y, &g, (8, 8), None).unwrap();
        }
        let path = write(dir.path(), name, &log.finish().unwrap());
        let found = evaluate_logs(std::slice::from_ref(&path), Some("target")).unwrap();
        let LogFigures::Targets(figures) = &found.figures else { panic!("targets") };
        let mut expected = stf_bnn::uncertainty::Regression::new();
        (1..10_u8).for_each(|i| assert!(expected.push(&g, f32::from(i) / 4.0)));
        assert_eq!((figures.n, figures.unlabelled, figures.intervals), (9, 1, None));
        assert_eq!([figures.rmse, figures.nll], [expected.rmse(), expected.nll()].map(Some));
        assert_eq!((found.groups.len(), found.groups[0].group.as_str()), (1, "flow, \"hot\""));
    }
    let text =
        b"y,mean,aleatoric_variance,epistemic_variance,low,high\n1,1,1,0,0,2\n5,1,1,0,0,2\n5,1,1,0,,\n";
    let found = evaluate_logs(&[write(dir.path(), "i.csv", text)], None).unwrap();
    let LogFigures::Targets(figures) = found.figures else { panic!("targets") };
    let row = figures.intervals.unwrap();
    assert_eq!((row.n, row.coverage, row.mean_width), (2, 0.5, 2.0));
}

#[test]
fn groups_sum_to_the_whole() {
    let dir = tempfile::tempdir().unwrap();
    let csv = b"device,label,p0,p1\na,0,0.75,0.25\nb,1,0.75,0.25\na,1,0.5,0.5\n";
    let json = b"{\"device\":\"b\",\"label\":0,\"probabilities\":[1.0,0.0]}\n{\"device\":7,\"label\":0,\"probabilities\":[1,0]}\n";
    let files = [write(dir.path(), "g.csv", csv), write(dir.path(), "g.json", json)];
    let found = evaluate_logs(&files, Some("device")).unwrap();
    let counts: Vec<(&str, u64)> = found
        .groups
        .iter()
        .map(|group| match &group.figures {
            LogFigures::Classes(figures) => (group.group.as_str(), figures.n),
            LogFigures::Targets(_) => panic!("classes"),
        })
        .collect();
    assert_eq!((counts, figures(&found).n), (vec![("7", 1), ("a", 2), ("b", 2)], 5));
}

#[test]
fn what_is_no_log_is_named() {
    let dir = tempfile::tempdir().unwrap();
    for (name, text, expected) in [
        ("a.txt", "", "kind of log"),
        ("a.csv", "label,q\n1,2\n", "expected label and p0"),
        ("b.csv", "p0,p1\n0.5,0.5\n", "expected label among them"),
        ("c.csv", "label,p0\n0,x\n", "line 2, column p0: found x"),
        ("d.csv", "label,p0\n0,1.0,3\n", "line 2, values: found 3"),
        ("e.csv", "label,p0\n", "no row"),
        ("k.csv", "label,p0,p2\n0,0.5,0.5\n", "expected p1 among them"),
        ("l.csv", "label,p0,p1,p3\n0,0.5,0.25,0.25\n", "expected p2 among them"),
        ("f.csv", "label,p0\n-1,1.0\n", "column label: found -1"),
        ("g.jsonl", "{\"label\":1}\n", "line 1: found other members"),
        ("h.jsonl", "\n{\"label\":\n", "line 2"),
        (
            "i.jsonl",
            "{\"label\":0,\"probabilities\":[1]}\n{\"mean\":1,\"aleatoric_variance\":1,\"epistemic_variance\":0}\n",
            "one kind",
        ),
    ] {
        let path = write(dir.path(), name, text.as_bytes());
        let message = evaluate_logs(&[path], None).unwrap_err().to_string();
        assert!(message.contains(expected), "{name}: {message}");
    }
    let path = write(dir.path(), "j.csv", b"label,p0,p1\n0,1.0,0.0\n5,1.0,0.0\n0,2.0,-1.0\n");
    let found = evaluate_logs(std::slice::from_ref(&path), None).unwrap();
    assert_eq!((figures(&found).n, figures(&found).rejected), (1, 2));
    assert!(evaluate_logs(&[path], Some("device")).unwrap_err().to_string().contains("device among them"));
}

#[test]
fn without_a_labelled_row_there_are_no_figures() {
    let dir = tempfile::tempdir().unwrap();
    for (name, text, figures) in [
        ("a.csv", &b"label,p0,p1\n,0.5,0.5\n"[..], &["accuracy", "nll", "brier", "ece", "mce", "aurc"][..]),
        (
            "b.csv",
            b"y,mean,aleatoric_variance,epistemic_variance\n,1,1,0\n",
            &["rmse", "mae", "nll", "aleatoric", "epistemic"],
        ),
    ] {
        let found = evaluate_logs(&[write(dir.path(), name, text)], None).unwrap();
        let json = serde_json::to_value(&found).unwrap();
        assert_eq!((&json["n"], &json["unlabelled"]), (&0.into(), &1.into()));
        for figure in figures {
            assert!(json.get(figure).is_some_and(serde_json::Value::is_null), "{figure}: {json}");
        }
        assert!(found.to_string().contains(" -") && !found.to_string().contains("0.0"), "{found}");
    }
}
