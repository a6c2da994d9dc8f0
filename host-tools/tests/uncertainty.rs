//! Metrics equal scikit-learn's and the written-out definitions; prediction sets equal MAPIE's.
//! `golden/make_uncertainty.py` says how the expected values were made.

use serde_json::Value;
use stf_bnn::uncertainty::{
    BINS, Bin, Calibration, Classwise, Penalty, Ranking, Scored, Selective, SetMethod, conformal_score,
    equal_mass_ece,
};
use stf_host::calibrate::Share;
use stf_host::calibrate::conformal::{Example, thresholds};

fn golden() -> Value {
    serde_json::from_str(include_str!("golden/uncertainty.json")).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().unwrap().iter()
}

/// Rows of whole numbers over `unit`: exact in f32.
fn rows(value: &Value, unit: f64) -> Vec<Vec<f32>> {
    items(value).map(|row| items(row).map(|p| (number(p) / unit) as f32).collect()).collect()
}

fn indices(value: &Value) -> Vec<usize> {
    items(value).map(|index| index.as_u64().unwrap() as usize).collect()
}

#[test]
fn metrics_equal_their_references() {
    for (name, case) in golden()["metrics"].as_object().unwrap() {
        let probabilities = rows(&case["probabilities"], number(&case["unit"]));
        let labels = indices(&case["labels"]);
        let classes = probabilities[0].len();
        let (mut calibration, mut bins) = (Calibration::new(), vec![Bin::default(); classes * BINS]);
        let mut classwise = Classwise::new(&mut bins).unwrap();
        let (mut right, mut wrong) = (Vec::new(), Vec::new());
        for (row, &label) in probabilities.iter().zip(&labels) {
            assert!(calibration.push(row, label) && classwise.push(row, label));
            let scored = Scored::new(row, label).unwrap();
            right.push((scored.confidence, scored.correct));
            wrong.push((1.0 - scored.confidence, !scored.correct));
        }
        let ranking = Ranking::of_scores(&mut wrong).unwrap();
        let selective = Selective::of_scores(&mut wrong).unwrap();
        let found = [
            ("accuracy", calibration.accuracy()),
            ("nll", calibration.nll()),
            ("brier", calibration.brier()),
            ("ece", calibration.ece()),
            ("mce", calibration.mce()),
            ("classwise_ece", classwise.ece()),
            ("adaptive_ece", equal_mass_ece(&mut right, BINS)),
            ("auroc", ranking.auroc()),
            ("aupr", ranking.aupr()),
            ("fpr95", ranking.fpr95()),
            ("aurc", selective.aurc()),
            ("augrc", selective.augrc()),
        ];
        assert_eq!(found.len(), case["expected"].as_object().unwrap().len());
        for (metric, value) in found {
            let expected = number(&case["expected"][metric]);
            assert!((value - expected).abs() < 1e-6, "{name}: {metric}: found {value}, expected {expected}");
        }
    }
}

/// Sets by the definition: every class whose score is at most the threshold, for each alpha.
fn sets(case: &Value, method: SetMethod, share: impl Fn(usize) -> f32) -> Vec<Vec<Vec<usize>>> {
    let unit = number(&case["unit"]);
    let (calibration, test) = (rows(&case["calibration"], unit), rows(&case["test"], unit));
    let labels = indices(&case["labels"]);
    let rank = case["raps_rank"].as_u64().unwrap() as u16;
    let penalty = Penalty { lambda: number(&case["raps_lambda"]) as f32, rank };
    let alphas: Vec<Share> = items(&case["alphas"]).map(|a| a.to_string().parse().unwrap()).collect();
    let examples: Vec<Example> = calibration
        .iter()
        .zip(&labels)
        .enumerate()
        .map(|(i, (row, &label))| Example { probabilities: row, label, share: share(i) })
        .collect();
    let thresholds = thresholds(&examples, method, penalty, &alphas, false).unwrap();
    let set = |i: usize, row: &[f32], threshold: f32| -> Vec<usize> {
        let score = |class| conformal_score(method, penalty, row, class, share(labels.len() + i)).unwrap();
        (0..row.len()).filter(|&class| score(class) <= threshold).collect()
    };
    thresholds
        .iter()
        .map(|&threshold| test.iter().enumerate().map(|(i, row)| set(i, row, threshold)).collect())
        .collect()
}

fn expected_sets(case: &Value, name: &str) -> Vec<Vec<Vec<usize>>> {
    items(&case["sets"][name]).map(|alpha| items(alpha).map(indices).collect()).collect()
}

#[test]
fn prediction_sets_equal_mapie() {
    let golden = golden();
    let case = &golden["conformal"];
    let shares: Vec<f32> = indices(&case["u_256ths"]).iter().map(|&u| u as f32 / 256.0).collect();
    assert_eq!(sets(case, SetMethod::Lac, |_| 0.0), expected_sets(case, "lac"));
    assert_eq!(sets(case, SetMethod::Aps, |_| 0.0), expected_sets(case, "aps"));
    assert_eq!(sets(case, SetMethod::Aps, |i| shares[i]), expected_sets(case, "aps_randomized"));

    // MAPIE replaces an empty set by the likeliest class there.
    let test = rows(&case["test"], number(&case["unit"]));
    let mut raps = sets(case, SetMethod::Raps, |_| 1.0);
    for sets in &mut raps {
        for (set, row) in sets.iter_mut().zip(&test).filter(|(set, _)| set.is_empty()) {
            set.extend((0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])));
        }
    }
    assert_eq!(raps, expected_sets(case, "raps_own_mass"));
}
