#!/usr/bin/env python3
"""Metrics by scikit-learn and NumPy, prediction sets by MAPIE, for tests/uncertainty.rs.

    python3 -m venv ~/.cache/stf-bnn/goldens-uncertainty
    ~/.cache/stf-bnn/goldens-uncertainty/bin/pip install numpy==2.4.6 scikit-learn==1.9.1 mapie==1.6.0
    ~/.cache/stf-bnn/goldens-uncertainty/bin/python host-tools/tests/golden/make_uncertainty.py \
        > host-tools/tests/golden/uncertainty.json

Probabilities are whole numbers over a power of two, exact in f32, and so are their sums.

Definitions that have no library function are written out here: ECE, MCE and classwise ECE as in netcal
and torchmetrics but with bins (low, high], so that a confidence of exactly 1 is in the last bin; the
adaptive ECE with np.array_split; AURC as the mean over all orders of tied predictions; AUGRC by trapezia
over the distinct thresholds.

MAPIE: LAC as it is. APS with its random number fixed to 1 when calibrating and include_last_label=True is
the score "mass of the likelier classes"; with random numbers given, include_last_label="randomized" with
1 - u is the randomized score. RAPS with the random number 0 and include_last_label=False is the score that
counts the class's own probability; MAPIE never gives an empty set there.
"""
import json
import sys

import numpy as np
from mapie.classification import SplitConformalClassifier
from mapie.conformity_scores import APSConformityScore, LACConformityScore, RAPSConformityScore
from mapie.conformity_scores.sets import aps
from mapie.utils import _compute_classification_quantile
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import accuracy_score, average_precision_score, log_loss, roc_auc_score, roc_curve

BINS = 15
ALPHAS = [0.05, 0.1, 0.2]
LAMBDA, RANK = 0.0625, 2


def predictions(seed, n, classes, unit, sharpness):
    """Whole numbers that sum to `unit` in each row, and labels drawn from a blunter version of them."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, classes)) * sharpness * rng.uniform(0.2, 2.0, size=(n, 1))
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    whole = np.floor(p * unit).astype(np.int64)
    whole[np.arange(n), whole.argmax(axis=1)] += unit - whole.sum(axis=1)
    blunt = np.exp(0.6 * logits)
    blunt /= blunt.sum(axis=1, keepdims=True)
    labels = np.array([rng.choice(classes, p=row) for row in blunt])
    return whole, labels


def bin_gaps(confidence, correct):
    """Weight and gap of every bin (i/15, (i+1)/15] that is not empty."""
    edges = np.arange(1, BINS) / BINS
    index = np.searchsorted(edges, confidence, side="left")
    gaps = []
    for b in range(BINS):
        inside = index == b
        if inside.any():
            gaps.append((inside.mean(), abs(correct[inside].mean() - confidence[inside].mean())))
    return gaps


def ece(confidence, correct):
    return sum(weight * gap for weight, gap in bin_gaps(confidence, correct))


def adaptive_ece(confidence, correct):
    """Bins by np.array_split; correctness of tied confidences is spread evenly over them."""
    order = np.argsort(confidence, kind="stable")
    confidence, correct = confidence[order], correct[order].astype(float)
    for value in np.unique(confidence):
        correct[confidence == value] = correct[confidence == value].mean()
    parts = zip(np.array_split(confidence, BINS), np.array_split(correct, BINS))
    return sum(abs(c.sum() - a.sum()) for c, a in parts) / len(confidence)


def aurc(uncertainty, wrong):
    """E over orders of ties of mean_k risk(k): position k of a tie group sees its mean error rate."""
    order = np.argsort(uncertainty, kind="stable")
    uncertainty, wrong = uncertainty[order], wrong[order].astype(float)
    for value in np.unique(uncertainty):
        wrong[uncertainty == value] = wrong[uncertainty == value].mean()
    return float((np.cumsum(wrong) / np.arange(1, len(wrong) + 1)).mean())


def augrc(uncertainty, wrong):
    thresholds = np.unique(uncertainty)
    coverage = [0.0] + [(uncertainty <= t).mean() for t in thresholds]
    joint = [0.0] + [((uncertainty <= t) & wrong).mean() for t in thresholds]
    return float(np.trapezoid(joint, coverage))


def fpr95(positive, score):
    fpr, tpr, _ = roc_curve(positive, score, drop_intermediate=False)
    return float(fpr[np.argmax(tpr >= 0.95)])


def metrics(seed, n, classes, unit, sharpness):
    whole, labels = predictions(seed, n, classes, unit, sharpness)
    p = whole / unit
    top = p.argmax(axis=1)
    confidence, correct = p.max(axis=1), top == labels
    one_hot = np.eye(classes)[labels]
    wrong, uncertainty = ~correct, 1.0 - confidence
    floored = np.maximum(p[np.arange(n), labels], 2.0**-52)
    if (p > 0).all():
        assert abs(log_loss(labels, p, labels=range(classes)) + np.log(floored).mean()) < 1e-9
    expected = {
        "accuracy": float(accuracy_score(labels, top)),
        "nll": float(-np.log(floored).mean()),
        "brier": float(((p - one_hot) ** 2).sum(axis=1).mean()),
        "ece": ece(confidence, correct),
        "mce": max(gap for _, gap in bin_gaps(confidence, correct)),
        "classwise_ece": float(np.mean([ece(p[:, c], labels == c) for c in range(classes)])),
        "adaptive_ece": adaptive_ece(confidence, correct),
        "auroc": float(roc_auc_score(wrong, uncertainty)),
        "aupr": float(average_precision_score(wrong, uncertainty)),
        "fpr95": fpr95(wrong, uncertainty),
        "aurc": aurc(uncertainty, wrong),
        "augrc": augrc(uncertainty, wrong),
    }
    return {"unit": unit, "probabilities": whole.tolist(), "labels": labels.tolist(), "expected": expected}


class Given(ClassifierMixin, BaseEstimator):
    """A fitted classifier whose inputs are its probabilities."""

    def __init__(self, classes=1):
        self.classes = classes
        self.classes_ = np.arange(classes)
        self.is_fitted_ = True

    def fit(self, x, y):
        return self

    def predict_proba(self, x):
        return np.asarray(x)

    def predict(self, x):
        return np.asarray(x).argmax(axis=1)


class Fixed(np.random.RandomState):
    """Gives the numbers it was made with."""

    def __init__(self, values):
        super().__init__(0)
        self.values = values

    def uniform(self, low=0.0, high=1.0, size=None):
        return np.broadcast_to(np.reshape(self.values, (-1,) if np.ndim(size) == 0 else (-1, 1)), size).copy()


class FixedRaps(RAPSConformityScore):
    """RAPS with the penalty given instead of tuned on a part of the data."""

    def __init__(self):
        super().__init__(size_raps=0.5)

    def split_data(self, X, y, y_enc, sample_weight=None, groups=None):
        self.n_samples_ = len(y_enc)
        return X, y, y_enc, sample_weight, groups

    def get_conformity_scores(self, y, y_pred, y_enc=None, **kwargs):
        return APSConformityScore.get_conformity_scores(self, y, y_pred, y_enc=y_enc, **kwargs)

    def get_conformity_score_quantiles(self, conformity_scores, alpha_np, cv, agg_scores="mean", **kwargs):
        self.k_star = np.full(len(alpha_np), RANK)
        self.lambda_star = LAMBDA
        scores = self._regularize_conformity_score(self.k_star, LAMBDA, conformity_scores, self.cutoff)
        return _compute_classification_quantile(scores, alpha_np)


def mapie_sets(score, random_numbers, include, calibration, labels, test):
    """Sets as lists of classes, for each alpha."""
    classifier = SplitConformalClassifier(
        Given(calibration.shape[1]), confidence_level=[1 - a for a in ALPHAS], conformity_score=score, prefit=True
    )
    calibrating, predicting = random_numbers
    aps.check_random_state = lambda _: Fixed(calibrating)
    classifier.conformalize(calibration, labels)
    aps.check_random_state = lambda _: Fixed(predicting)
    params = {} if include is None else {"include_last_label": include}
    _, sets = classifier.predict_set(test, conformity_score_params=params)
    return [[np.flatnonzero(row).tolist() for row in sets[:, :, a]] for a in range(len(ALPHAS))]


def conformal(seed):
    unit, classes, n, m = 1 << 20, 6, 150, 80
    whole, labels = predictions(seed, n + m, classes, unit, 1.5)
    assert (whole > 0).all()
    p = whole / unit
    calibration, known, test = p[:n], labels[:n], p[n:]
    rng = np.random.default_rng(seed + 1)
    u = rng.integers(0, 1 << 8, size=n + m) / float(1 << 8)
    ones, zeros = np.ones(n), np.zeros(n)
    sets = {
        "lac": mapie_sets(LACConformityScore(), (ones, np.ones(m)), None, calibration, known, test),
        "aps": mapie_sets(APSConformityScore(), (ones, np.ones(m)), True, calibration, known, test),
        "aps_randomized": mapie_sets(
            APSConformityScore(), (1 - u[:n], 1 - u[n:]), "randomized", calibration, known, test
        ),
        "raps_own_mass": mapie_sets(FixedRaps(), (zeros, np.zeros(m)), False, calibration, known, test),
    }
    return {
        "unit": unit,
        "alphas": ALPHAS,
        "raps_lambda": LAMBDA,
        "raps_rank": RANK,
        "calibration": whole[:n].tolist(),
        "labels": known.tolist(),
        "test": whole[n:].tolist(),
        "u_256ths": (u * 256).astype(int).tolist(),
        "sets": sets,
    }


def main():
    cases = {
        "continuous": metrics(1, 200, 5, 1 << 22, 1.5),
        "tied": metrics(2, 150, 4, 16, 1.5),
        "certain": metrics(3, 120, 3, 8, 4.0),
        "many_classes": metrics(4, 60, 12, 1 << 20, 2.0),
    }
    certain = np.array(cases["certain"]["probabilities"])
    assert (certain == 8).any(), "a confidence of exactly 1"
    json.dump({"metrics": cases, "conformal": conformal(5)}, sys.stdout, separators=(",", ":"))
    print()


if __name__ == "__main__":
    main()
