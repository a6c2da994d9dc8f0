"""Runs ONNX models with ONNX Runtime on raw little-endian tensors.

usage: run_onnx.py jobs.json
jobs.json: [{"model": path, "inputs": [{"name", "file", "dtype", "shape"}], "out": folder}, ...]
Each output NAME becomes the file out/NAME.bin.
"""

import json
import pathlib
import sys

import numpy
import onnxruntime

for job in json.load(open(sys.argv[1])):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(job["model"], options, providers=["CPUExecutionProvider"])
    feed = {
        entry["name"]: numpy.fromfile(entry["file"], entry["dtype"]).reshape(entry["shape"])
        for entry in job["inputs"]
    }
    out = pathlib.Path(job["out"])
    out.mkdir(parents=True, exist_ok=True)
    for meta, value in zip(session.get_outputs(), session.run(None, feed)):
        value.tofile(out / f"{meta.name}.bin")
