//! The Gaussian loss equals PyTorch's, figures NumPy's and SciPy's, intervals MAPIE's.
//! `golden/make_regression.py` says how the expected values were made.

use serde_json::Value;
use stf_bnn::uncertainty::{Gaussian, IntervalFigures, Regression};
use stf_host::calibrate::Share;
use stf_host::calibrate::conformal::threshold;
use stf_host::train::loss::gaussian_nll;

fn golden() -> Value {
    serde_json::from_str(include_str!("golden/regression.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn floats(value: &Value) -> Vec<f32> {
    numbers(value).into_iter().map(|x| x as f32).collect()
}

#[test]
fn the_loss_and_its_gradient_equal_pytorch() {
    for case in golden()["loss"].as_array().unwrap() {
        let count = case["targets"].as_u64().unwrap() as usize;
        let (loss, gradient) = gaussian_nll(&floats(&case["outputs"]), &floats(&case["y"]), count);
        let expected = case["loss"].as_f64().unwrap();
        assert!((loss - expected).abs() < 1e-5 * expected.abs(), "{loss} {expected}");
        for (found, expected) in gradient.iter().zip(numbers(&case["gradient"])) {
            let found = f64::from(*found);
            assert!((found - expected).abs() < 1e-5 * expected.abs().max(1.0), "{found} {expected}");
        }
    }
}

#[test]
fn figures_equal_numpy_and_intervals_equal_mapie() {
    for case in golden()["intervals"].as_array().unwrap() {
        let n = case["n"].as_u64().unwrap() as usize;
        let [mean, aleatoric, epistemic, y] =
            ["mean", "aleatoric", "epistemic", "y"].map(|k| floats(&case[k]));
        let gaussian = |i: usize| Gaussian {
            mean: mean[i],
            aleatoric_variance: aleatoric[i],
            epistemic_variance: epistemic[i],
        };
        let mut scores: Vec<f32> = (0..n).map(|i| gaussian(i).residual(y[i])).collect();
        let (mut figures, mut covered) = (Regression::new(), IntervalFigures::new());
        for (level, alpha) in numbers(&case["alphas"]).iter().enumerate() {
            let alpha: Share = alpha.to_string().parse().unwrap();
            let factor = threshold(&mut scores, alpha, "in all").unwrap();
            for i in n..mean.len() {
                let (g, bounds) = (gaussian(i), numbers(&case["bounds"][level][i - n]));
                let half = factor * g.sigma();
                for (found, expected) in [g.mean - half, g.mean + half].into_iter().zip(&bounds) {
                    assert!((f64::from(found) - expected).abs() < 1e-5 * expected.abs().max(1.0));
                }
                if level == 0 {
                    assert!(figures.push(&g, y[i]));
                    covered.push_bounds(g.mean - half, g.mean + half, g.residual(y[i]) <= factor);
                }
            }
        }
        let found = [
            ("rmse", figures.rmse()),
            ("mae", figures.mae()),
            ("nll", figures.nll()),
            ("coverage", covered.coverage()),
            ("mean_width", covered.mean_width()),
        ];
        for (name, found) in found {
            let expected = case["figures"][name].as_f64().unwrap();
            assert!((found - expected).abs() < 1e-6 * expected.abs().max(1.0), "{name}: {found} {expected}");
        }
    }
}
