//! `stf attack`, `privacy`, `optima`, `bound` and `cost` as a user meets them.

mod command;

use command::{fails, json, ok, run};
use std::fs;
use tempfile::TempDir;

/// A comparison of plain and STF-BNN on the embedded digits.
fn comparison(dir: &TempDir) -> String {
    let out = dir.path().join("compare").to_str().unwrap().to_string();
    let fixed = "compare --arch lenet5 --data digits --methods plain,stf --seeds 1 --epochs 6 --bayes-epochs 2 -k 4 \
                 --temperatures 1 --corruption-examples 0 --train-examples 400 --limit 100 --out";
    let mut args: Vec<&str> = fixed.split_whitespace().collect();
    args.push(&out);
    ok(&args);
    out
}

#[test]
fn attacks_give_a_curve_and_go_on_where_they_stopped() {
    let dir = TempDir::new().unwrap();
    let out = comparison(&dir);
    let fixed = "attack --limit 40 --eot 4 --steps 4 --restarts 1 -k 4 --eps 0.02,0.3 --json";
    let args: Vec<&str> = fixed.split_whitespace().chain([out.as_str()]).collect();
    let found = json(&args);
    let points = found["points"].as_array().unwrap();
    // Clean, and four attacks at two eps; the transfer for STF-BNN alone.
    assert_eq!(points.len(), 1 + 8 + 1 + 10);
    let accuracy = |method: &str, attack: &str, eps: f64| {
        let is = |p: &&serde_json::Value| p["method"] == method && p["attack"] == attack && p["eps"] == eps;
        points.iter().find(is).unwrap()["accuracy"].as_f64().unwrap()
    };
    for method in ["plain", "stf"] {
        let clean = accuracy(method, "clean", 0.0);
        assert!(accuracy(method, "pgd", 0.3) < clean - 0.3, "{method}: {clean}");
        assert!(accuracy(method, "apgd-ce", 0.3) <= accuracy(method, "apgd-ce", 0.02));
    }
    assert!(points.iter().all(|point| point["int8_accuracy"].is_number() && point["interval"].is_array()));
    assert_eq!(found["worst"].as_array().unwrap().len(), 4);
    let file = format!("{out}/attack-seed-0.json");
    let kept: serde_json::Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    let mut cut = kept.clone();
    cut["points"].as_array_mut().unwrap().truncate(5);
    fs::write(&file, cut.to_string()).unwrap();
    assert_eq!(json(&args), found, "the rest is made again, the same");
    assert!(
        ok(&args[..args.len() - 2].iter().copied().chain([out.as_str()]).collect::<Vec<_>>())
            .contains("| STF-BNN | pgd |")
    );
    assert!(fails(&["attack", &out, "--methods", "dropout"]).contains("stf compare --methods dropout"));
    assert!(fails(&["attack", &out, "--eps", "2"]).contains("eps"));
    assert!(fails(&["attack", &out, "--attacks", "magic"]).contains("apgd-dlr"));
}

#[test]
fn privacy_has_its_rates_and_reads_the_shadows_that_are_there() {
    let dir = TempDir::new().unwrap();
    let out = comparison(&dir);
    let args = ["privacy", &out, "--methods", "plain,stf", "--shadows", "4", "--pool", "200", "--json"];
    let found = json(&args);
    for method in found["methods"].as_array().unwrap() {
        let attacks = method["attacks"].as_array().unwrap();
        assert_eq!(attacks.len(), 3);
        for attack in attacks {
            let auc = attack["auc"]["mean"].as_f64().unwrap();
            assert!((0.3..=1.0).contains(&auc) && attack["auc"]["n"] == 4, "{attack}");
            let (low, high) = (&attack["tpr_at_001"]["mean"], &attack["tpr_at_01"]["mean"]);
            assert!(low.as_f64().unwrap() <= high.as_f64().unwrap());
        }
    }
    // Shadows of the posterior's temperature: no other networks are taken for them.
    let chosen = fs::read_to_string(format!("{out}/stf/chosen.json")).unwrap();
    let chosen: serde_json::Value = serde_json::from_str(&chosen).unwrap();
    let record =
        format!("{out}/privacy-200-0/stf-{}/shadow-3/record.json", chosen["temperature"].as_f64().unwrap());
    fs::remove_file(&record).unwrap();
    assert_eq!(json(&args), found);
    assert!(fails(&["privacy", &out, "--shadows", "2"]).contains("shadow models"));
    assert!(fails(&["privacy", &out, "--pool", "100000"]).contains("pool"));
}

#[test]
fn bounds_and_optima_and_costs_have_their_figures() {
    let dir = TempDir::new().unwrap();
    let bound = [
        "bound",
        "--arch",
        "lenet5",
        "--data",
        "digits",
        "--epochs",
        "8",
        "--bayes-epochs",
        "2",
        "--draws",
        "20",
    ];
    let found = json(&[&bound[..], &["--json"]].concat());
    assert!(found["seeger"].as_f64() <= found["mcallester"].as_f64() && found["vacuous"].is_boolean());
    assert!(ok(&bound).contains("- The examples of the second part"));
    assert!(fails(&[&bound[..], &["--prior-share", "1.5"]].concat()).contains("share"));

    let picture = dir.path().join("optima.svg");
    let fixed = "optima --arch lenet5 --data digits --epochs 4 --layers conv1,dense3 --starts 2 --layer-epochs 2 \
                 --points 3 --train-examples 300 --limit 100 --json --plot";
    let args: Vec<&str> = fixed.split_whitespace().chain([picture.to_str().unwrap()]).collect();
    assert_eq!(json(&args)["layers"].as_array().unwrap().len(), 2);
    assert!(fs::read_to_string(&picture).unwrap().starts_with("<svg"));

    let found =
        json(&["cost", "--arch", "mlp", "--input", "8x8x1", "--batch", "4", "--steps", "2", "--json"]);
    let kinds: Vec<&str> =
        found["rows"].as_array().unwrap().iter().map(|row| row["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["stage1", "stage2", "fully-bayesian"]);
    assert_eq!(run(&["cost", "--input", "8x8"]).status.code(), Some(2));
}
