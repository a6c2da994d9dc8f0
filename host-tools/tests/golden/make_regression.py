#!/usr/bin/env python3
"""Gaussian loss by PyTorch, figures by NumPy and SciPy, intervals by MAPIE, for tests/regression.rs.

    python3 -m venv ~/.cache/stf-bnn/goldens-regression
    ~/.cache/stf-bnn/goldens-regression/bin/pip install numpy==2.4.6 scikit-learn==1.9.1 mapie==1.6.0 torch
    ~/.cache/stf-bnn/goldens-regression/bin/python host-tools/tests/golden/make_regression.py \
        > host-tools/tests/golden/regression.json

The loss is torch.nn.GaussianNLLLoss(full=True, reduction="none") of variances exp(s), summed over targets and
averaged over examples; its gradient with respect to means and s is autograd's, in f64. Intervals are those of
MAPIE's split conformal regression with ResidualNormalisedScore, whose predicted residuals are the standard
deviations: the same mean and sigma of every example, the same calibration examples. Inputs are rounded to f32.
"""
import json
import sys

import numpy as np
import torch
from mapie.conformity_scores import ResidualNormalisedScore
from mapie.regression import SplitConformalRegressor
from scipy.stats import norm
from sklearn.base import BaseEstimator, RegressorMixin

ALPHAS = [0.05, 0.1, 0.3]


def f32(x):
    return np.asarray(x, dtype=np.float32).astype(np.float64)


def loss(n, targets, seed):
    rng = np.random.default_rng(seed)
    outputs = f32(rng.normal(size=(n, 2 * targets)) * 2.0)
    y = f32(rng.normal(size=(n, targets)) * 2.0)
    out = torch.tensor(outputs, requires_grad=True)
    mean, log_var = out[:, :targets], out[:, targets:]
    each = torch.nn.GaussianNLLLoss(full=True, reduction="none", eps=1e-30)
    value = each(mean, torch.tensor(y), log_var.exp()).sum(dim=1).mean()
    value.backward()
    return {
        "targets": targets,
        "outputs": outputs.ravel().tolist(),
        "y": y.ravel().tolist(),
        "loss": value.item(),
        "gradient": out.grad.numpy().ravel().tolist(),
    }


class Column(RegressorMixin, BaseEstimator):
    """Predicts one column of its input."""

    def __init__(self, column=0):
        self.column = column
        self.fitted_ = True

    def fit(self, X, y):
        return self

    def predict(self, X):
        return np.asarray(X)[:, self.column]

    def __sklearn_is_fitted__(self):
        return True


def intervals(n, tests, seed):
    rng = np.random.default_rng(seed)
    mean = f32(rng.normal(size=n + tests) * 3.0 + 20.0)
    aleatoric, epistemic = f32(rng.uniform(0.05, 2.0, n + tests)), f32(rng.uniform(0.0, 0.5, n + tests))
    sigma = np.sqrt(aleatoric + epistemic)
    # Wider tails than the Gaussians say.
    y = f32(mean + sigma * rng.standard_t(4, n + tests))
    X = np.stack([mean, sigma], axis=1)
    found = []
    for alpha in ALPHAS:
        score = ResidualNormalisedScore(residual_estimator=Column(1), prefit=True)
        model = SplitConformalRegressor(
            estimator=Column(0), confidence_level=1.0 - alpha, conformity_score=score, prefit=True
        )
        model.conformalize(X[:n], y[:n])
        _, bounds = model.predict_interval(X[n:])
        found.append(bounds[:, :, 0].tolist())
    test = slice(n, None)
    low, high = (np.array(found[0])[:, side] for side in (0, 1))
    distance = y[test] - mean[test]
    return {
        "n": n,
        "alphas": ALPHAS,
        "mean": mean.tolist(),
        "aleatoric": aleatoric.tolist(),
        "epistemic": epistemic.tolist(),
        "y": y.tolist(),
        "bounds": found,
        "figures": {
            "rmse": float(np.sqrt(np.mean(distance**2))),
            "mae": float(np.mean(np.abs(distance))),
            "nll": float(-norm.logpdf(y[test], mean[test], sigma[test]).mean()),
            "coverage": float(np.mean((y[test] >= low) & (y[test] <= high))),
            "mean_width": float(np.mean(high - low)),
        },
    }


def main():
    golden = {
        "loss": [loss(5, 1, 1), loss(7, 3, 2)],
        "intervals": [intervals(99, 40, 3), intervals(150, 40, 4)],
    }
    json.dump(golden, sys.stdout, indent=None, separators=(",", ":"))
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
