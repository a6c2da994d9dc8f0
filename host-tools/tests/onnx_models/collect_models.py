"""Collects real ONNX files for `tests/import.rs`, with what ONNX Runtime makes of them.

    pip install onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6 qonnx rapidocr-onnxruntime
    python host-tools/tests/onnx_models/collect_models.py OUT [FILE.onnx:HxWxC ...]
    STF_ONNX_MODELS=OUT cargo test -p stf-host --test import collected -- --nocapture

The operator models of the `onnx` package have no layer that could be Bayesian and take their weights as
inputs: each gets an identity convolution or product before it, a batch of 1, and its other inputs as
constants. Files named on the command line (with the shape of one example) are taken as they are.
"""

import importlib.util
import json
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

OPERATORS = set(
    "Add AveragePool BatchNormalization Clip Concat Conv Div Dropout Elu Flatten Gelu Gemm GlobalAveragePool "
    "GlobalMaxPool HardSigmoid HardSwish Identity LeakyRelu LogSoftmax MatMul MaxPool Mul PRelu Pad ReduceMean Relu "
    "Reshape Sigmoid Softmax Squeeze Sub Tanh Transpose Unsqueeze".split()
)
OUT = pathlib.Path(sys.argv[1])
OUT.mkdir(parents=True, exist_ok=True)
RANDOM = np.random.default_rng(3)


def golden(name, model, dims, shape):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = RANDOM.normal(size=(1, *dims)).astype(np.float32)
    y = session.run(None, {session.get_inputs()[0].name: x})[0]
    kinds = [node.op_type for node in model.graph.node]
    numbers = lambda a: [float(v) for v in np.asarray(a).ravel()]
    last = kinds[-1] if kinds[-1] in ("Softmax", "LogSoftmax") else ""
    if kinds[-1] == "Identity" and "Softmax" in kinds:
        last = "Softmax"
    record = {"shape": shape, "input": numbers(x), "output": numbers(y), "last": last}
    onnx.save(model, OUT / f"{name}.onnx")
    (OUT / f"{name}.json").write_text(json.dumps(record) + "\n")


def wrapped(model, constants):
    """The operator behind an identity layer; `None` where its input is no batch of examples."""
    graph = model.graph
    first = graph.input[0]
    dims = [d.dim_value for d in first.type.tensor_type.shape.dim]
    if not 2 <= len(dims) <= 4 or first.type.tensor_type.elem_type != TensorProto.FLOAT or 0 in dims:
        return None
    dims = dims[1:]
    channels = dims[0]
    if len(dims) == 1:
        identity = numpy_helper.from_array(np.eye(channels, dtype=np.float32), "identity")
        node = helper.make_node("MatMul", ["x0", "identity"], [first.name], name="first")
    else:
        eye = np.eye(channels, dtype=np.float32).reshape(channels, channels, *[1] * (len(dims) - 1))
        identity = numpy_helper.from_array(eye, "identity")
        node = helper.make_node("Conv", ["x0", "identity"], [first.name], name="first")

    def build(nodes, output, tensors):
        new = helper.make_graph(
            [node, *graph.node, *nodes],
            graph.name,
            [helper.make_tensor_value_info("x0", TensorProto.FLOAT, ["N", *dims])],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
            [identity, *graph.initializer, *constants, *tensors],
        )
        result = helper.make_model(new, opset_imports=model.opset_import)
        result.ir_version = min(model.ir_version, 10)
        return result

    output = graph.output[0].name
    result = build([], output, [])
    if graph.node[-1].op_type in ("Softmax", "LogSoftmax"):
        return result, dims
    # Behind it a dense layer, which shows in which order values are.
    session = onnxruntime.InferenceSession(result.SerializeToString(), providers=["CPUExecutionProvider"])
    size = session.run([output], {"x0": np.zeros((1, *dims), np.float32)})[0].size
    last = numpy_helper.from_array(RANDOM.normal(size=(size, 3)).astype(np.float32), "last")
    flatten = helper.make_node("Flatten", [output], ["flat"], name="flatten", axis=1)
    dense = helper.make_node("MatMul", ["flat", "last"], ["result"], name="last_product")
    return build([flatten, dense], "result", [last]), dims


def shape_of(dims):
    if len(dims) == 1:
        return [1, 1, dims[0]]
    return [1, dims[1], dims[0]] if len(dims) == 2 else [dims[1], dims[2], dims[0]]


def operator_models():
    from onnx.backend.test.case.node import collect_testcases

    for case in sorted(collect_testcases(None), key=lambda case: case.name):
        model = case.model
        nodes = model.graph.node
        if len(nodes) != 1 or nodes[0].op_type not in OPERATORS or nodes[0].domain not in ("", "ai.onnx"):
            continue
        if not model.graph.input or not case.data_sets:
            continue
        values = case.data_sets[0][0]
        if not all(isinstance(value, np.ndarray) for value in values):
            continue
        names = [value.name for value in model.graph.input]
        constants = [numpy_helper.from_array(v, name) for v, name in zip(values[1:], names[1:])]
        try:
            result = wrapped(model, constants)
            if result is None:
                continue
            golden(case.name, result[0], result[1], shape_of(result[1]))
        except Exception as error:  # ONNX Runtime refuses it, often for the batch of 1
            print(f"{case.name}: {str(error).splitlines()[0][:90]}", file=sys.stderr)


def pytorch_models():
    """Small files that PyTorch's exporter wrote, in the package."""
    for folder in sorted((pathlib.Path(onnx.__file__).parent / "backend/test/data").glob("pytorch-*/*")):
        model = onnx.load(folder / "model.onnx")
        known = {tensor.name for tensor in model.graph.initializer}
        inputs = [value for value in model.graph.input if value.name not in known]
        if len(inputs) != 1 or any(node.op_type not in OPERATORS | {"Constant"} for node in model.graph.node):
            continue
        del model.graph.input[:]
        model.graph.input.extend(inputs)
        try:
            result = wrapped(model, [])
            if result is None:
                continue
            golden(f"{folder.parent.name}_{folder.name}", result[0], result[1], shape_of(result[1]))
        except Exception as error:
            print(f"{folder.name}: {str(error).splitlines()[0][:90]}", file=sys.stderr)


def file(path, shape, name=None):
    model = onnx.load(path)
    rank = len(model.graph.input[0].type.tensor_type.shape.dim)
    dims = (shape[2], shape[0], shape[1]) if rank == 4 else (int(np.prod(shape)),)
    golden(name or pathlib.Path(path).stem, model, dims, list(shape))


def packaged(package, path, shape):
    spec = importlib.util.find_spec(package)
    if spec is None:
        print(f"SKIPPED: no package {package}", file=sys.stderr)
        return
    path = pathlib.Path(spec.origin).parent / path
    file(path, shape, f"{package}_{path.parent.name}_{path.stem}")


operator_models()
pytorch_models()
packaged("qonnx", "data/onnx/mnist-conv/model.onnx", (28, 28, 1))
packaged("rapidocr_onnxruntime", "models/ch_ppocr_mobile_v2.0_cls_infer.onnx", (48, 192, 3))
for argument in sys.argv[2:]:
    path, shape = argument.rsplit(":", 1)
    file(path, tuple(int(size) for size in shape.split("x")))
