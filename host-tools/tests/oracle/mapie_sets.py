#!/usr/bin/env python3
"""Prediction sets of MAPIE on the probabilities that `guarantees --dump FOLDER` wrote: as many classes?

    ~/.cache/stf-bnn/goldens-uncertainty/bin/python host-tools/tests/oracle/mapie_sets.py FOLDER

The environment is that of ../golden/make_uncertainty.py, whose definitions are used. Prints, for each
method and alpha, the classes in all sets of all resplits by us and by MAPIE. MAPIE adds 1e-8 of tolerance
and sums in f64 where the device sums in f32, so single classes may differ.
"""
import json
import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "golden"))
import make_uncertainty as golden  # noqa: E402

folder = pathlib.Path(sys.argv[1])
meta = json.loads((folder / "splits.json").read_text())
p = np.fromfile(folder / "probabilities.f32", "<f4").reshape(meta["n"], meta["classes"]).astype(np.float64)
labels = np.fromfile(folder / "labels.u32", "<u4").astype(np.int64)
golden.ALPHAS = meta["alphas"]
# MAPIE wants rows that sum to 1 within 1e-5 and labels of every class.
for method, score, include in [
    ("lac", golden.LACConformityScore, None),
    ("aps", golden.APSConformityScore, True),
]:
    ours, theirs = np.zeros(len(meta["alphas"]), int), np.zeros(len(meta["alphas"]), int)
    for split in meta["splits"]:
        a, b = np.array(split["calibrating"]), np.array(split["judging"])
        sets = golden.mapie_sets(score(), (np.ones(len(a)), np.ones(len(b))), include, p[a], labels[a], p[b])
        theirs += [sum(map(len, of_alpha)) for of_alpha in sets]
        ours += split["classes"][method]
    for alpha, mine, mapie in zip(meta["alphas"], ours, theirs):
        print(f"{method} alpha {alpha}: {mine} classes, MAPIE {mapie}")
