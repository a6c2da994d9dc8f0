"""Makes the small ONNX files of `tests/import.rs` and what ONNX Runtime makes of them.

    pip install onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6 torch==2.15.0 onnxscript
    python host-tools/tests/onnx_models/make_models.py

Each NAME.onnx has a NAME.json beside it: the shape of one example (height, width, channels), an input in
the file's own order, and ONNX Runtime's output. `torch_*.onnx` are written by PyTorch's exporter with a
dynamic batch; without PyTorch they stay as they are.
"""

import json
import pathlib

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

HERE = pathlib.Path(__file__).parent
RANDOM = np.random.default_rng(7)


class Net:
    """Nodes and initializers under construction; every method returns the name of its result."""

    def __init__(self):
        self.nodes, self.tensors, self.count = [], [], 0

    def constant(self, values, name="c"):
        self.count += 1
        name = f"{name}{self.count}"
        self.tensors.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def weight(self, *shape, scale=1.0):
        fan_in = max(1, int(np.prod(shape[1:])))
        values = RANDOM.normal(size=shape) * scale / np.sqrt(fan_in)
        return self.constant(values.astype(np.float32), "w")

    def op(self, kind, *inputs, outputs=1, **attributes):
        self.count += 1
        names = [f"{kind.lower()}{self.count}" for _ in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, name=names[0], **attributes))
        return names[0]

    def conv(self, x, out, inputs, kernel, **attributes):
        return self.op("Conv", x, self.weight(out, inputs, *kernel), self.weight(out), **attributes)

    def gemm(self, x, out, inputs):
        return self.op("Gemm", x, self.weight(out, inputs), self.weight(out), transB=1)

    def ints(self, *values):
        return self.constant(np.array(values, np.int64), "i")

    def floats(self, *values):
        return self.constant(np.array(values, np.float32), "f")


def write(name, net, output, shape, dims, opset=17, batch="N"):
    """`dims`: the input's dimensions behind the batch, in the file's order."""
    graph = helper.make_graph(
        net.nodes,
        name,
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [batch, *dims])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        net.tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], producer_name="tests")
    model.ir_version = 8
    onnx.save(model, HERE / f"{name}.onnx")
    golden(name, shape, dims)


def golden(name, shape, dims):
    session = onnxruntime.InferenceSession(str(HERE / f"{name}.onnx"), providers=["CPUExecutionProvider"])
    x = RANDOM.normal(size=(1, *dims)).astype(np.float32)
    y = session.run(None, {session.get_inputs()[0].name: x})[0]
    round_trip = lambda a: [float(v) for v in a.ravel()]
    (HERE / f"{name}.json").write_text(
        json.dumps({"shape": shape, "input": round_trip(x), "output": round_trip(y)}) + "\n"
    )


def geometry():
    """Asymmetric and automatic padding, dilation, groups, pooling of every kind."""
    n = Net()
    x = n.conv("input", 6, 3, (3, 2), pads=[0, 1, 2, 0], strides=[1, 2])
    x = n.op("Relu", x)
    x = n.conv(x, 6, 3, (3, 3), group=2, pads=[2, 2, 2, 2], dilations=[2, 2])
    x = n.op("AveragePool", x, kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)
    x = n.conv(x, 6, 1, (2, 2), group=6, auto_pad="SAME_LOWER")
    x = n.op("MaxPool", x, kernel_shape=[3, 2], strides=[2, 2], ceil_mode=1)
    x = n.op("AveragePool", x, kernel_shape=[2, 2], pads=[1, 0, 0, 1])
    x = n.op("Pad", x, n.ints(0, 0, 1, 0, 0, 0, 0, 2))
    x = n.conv(x, 5, 6, (2, 2), auto_pad="SAME_UPPER", strides=[2, 1])
    x = n.op("Flatten", x)
    dims = (3, 9, 10)
    probe = size_of(n, x, dims)
    write("geometry", n, n.gemm(x, 4, probe), [9, 10, 3], dims)


def size_of(net, output, dims):
    """Number of values of `output`, found by running the net so far."""
    graph = helper.make_graph(
        net.nodes,
        "probe",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, *dims])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        net.tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"input": np.zeros((1, *dims), np.float32)})[0].size


def activations():
    """Every element-wise function on a branch of its own, joined along channels."""
    n = Net()
    x = n.conv("input", 2, 2, (3, 3), pads=[1, 1, 1, 1])
    scaled = n.op("Mul", x, n.floats(3.0))
    branches = [
        n.op("Relu", scaled),
        n.op("LeakyRelu", scaled, alpha=0.2),
        n.op("Clip", scaled, n.constant(np.float32(0)), n.constant(np.float32(6))),
        n.op("Clip", scaled, n.constant(np.float32(-1)), n.constant(np.float32(2.5))),
        n.op("HardSigmoid", scaled),
        n.op("HardSigmoid", scaled, alpha=1 / 6, beta=0.5),
        n.op("HardSwish", scaled),
        n.op("Sigmoid", scaled),
        n.op("Tanh", scaled),
        n.op("Elu", scaled, alpha=1.3),
        n.op("PRelu", scaled, n.constant(np.array([[[0.1]], [[0.3]]], np.float32))),
        n.op("Mul", scaled, n.op("Sigmoid", scaled)),
    ]
    shifted = n.op("Clip", n.op("Add", scaled, n.floats(3.0)), n.constant(np.float32(0)), n.constant(np.float32(6)))
    branches.append(n.op("Div", n.op("Mul", scaled, shifted), n.floats(6.0)))
    x = n.op("Concat", *branches, axis=1)
    x = n.op("GlobalAveragePool", x)
    x = n.op("Reshape", x, n.ints(0, -1))
    write("activations", n, n.op("Softmax", n.gemm(x, 5, 26), axis=1), [6, 5, 2], (2, 6, 5))


def joints():
    """Squeeze-and-excite, difference and product of activations, padding that no convolution takes."""
    n = Net()
    x = n.conv("input", 4, 1, (3, 3), pads=[1, 1, 1, 1])
    x = n.op("Relu", x)
    s = n.op("ReduceMean", x, axes=[2, 3], keepdims=1)
    s = n.op("Relu", n.conv(s, 3, 4, (1, 1)))
    s = n.op("HardSigmoid", n.conv(s, 4, 3, (1, 1)))
    gated = n.op("Mul", x, s)
    y = n.conv(gated, 4, 4, (3, 3), pads=[1, 1, 1, 1])
    d = n.op("Sub", y, gated)
    p = n.op("Mul", d, y)
    c = n.op("Concat", p, d, axis=2)
    c = n.op("Pad", c, n.ints(0, 0, 1, 2, 0, 0, 0, 1))
    c = n.op("MaxPool", c, kernel_shape=[2, 2], strides=[2, 2])
    x = n.op("Squeeze", n.op("GlobalMaxPool", c), n.ints(2, 3))
    x = n.op("Sub", n.floats(1.0), x)
    write("joints", n, n.op("LogSoftmax", n.gemm(x, 3, 4)), [8, 7, 1], (1, 8, 7))


def normalised():
    """Normalisation before the first layer, batch norm that is not folded, arithmetic on shapes."""
    n = Net()
    mean = n.constant(np.array([0.5, 0.4, 0.3], np.float32).reshape(1, 3, 1, 1))
    std = n.constant(np.array([0.2, 0.3, 0.25], np.float32).reshape(3, 1, 1))
    x = n.op("Div", n.op("Sub", n.op("Mul", "input", n.floats(0.5)), mean), std)
    x = n.op("Conv", x, n.op("Transpose", n.weight(3, 3, 3, 8), perm=[3, 2, 0, 1]))
    bn = [n.constant(RANDOM.uniform(0.5, 1.5, 8).astype(np.float32)) for _ in range(4)]
    x = n.op("BatchNormalization", x, *bn, epsilon=1e-3)
    x = n.op("Relu", n.op("Add", x, n.constant(RANDOM.normal(size=(8, 1, 1)).astype(np.float32))))
    x = n.op("Dropout", n.op("Identity", x))
    shape = n.op("Shape", x)
    batch = n.op("Unsqueeze", n.op("Gather", shape, n.constant(np.int64(0)), axis=0), n.ints(0))
    rest = n.op("Slice", shape, n.ints(1), n.ints(2**62))
    product = n.op("ReduceProd", rest, keepdims=1)
    x = n.op("Reshape", x, n.op("Concat", batch, product, axis=0))
    x = n.op("Add", n.op("MatMul", x, n.weight(8 * 5 * 4, 6)), n.weight(6))
    write("normalised", n, n.gemm(n.op("Relu", x), 4, 6), [7, 6, 3], (3, 7, 6))


def channels_last():
    """As Keras exports: NHWC input, transposes around convolutions, a product over rows of features."""
    n = Net()
    x = n.op("Transpose", "input", perm=[0, 3, 1, 2])
    x = n.op("Relu", n.conv(x, 4, 2, (3, 3), strides=[2, 2]))
    x = n.op("Transpose", x, perm=[0, 2, 3, 1])
    x = n.op("Add", n.op("MatMul", x, n.weight(4, 6)), n.weight(6))
    x = n.op("Reshape", n.op("Tanh", x), n.ints(-1, 3 * 4 * 6))
    write("channels_last", n, n.gemm(x, 3, 72), [7, 9, 2], (7, 9, 2), batch=1)


def one_dimensional():
    """1-D convolutions and pools, and a mean over time."""
    n = Net()
    x = n.op("Relu", n.conv("input", 5, 2, (5,), pads=[2, 2], strides=[2]))
    x = n.op("MaxPool", x, kernel_shape=[2], strides=[2])
    x = n.conv(x, 6, 5, (3,), dilations=[2], auto_pad="VALID")
    x = n.op("ReduceMean", x, axes=[2], keepdims=0)
    write("one_dimensional", n, n.gemm(x, 3, 6), [1, 40, 2], (2, 40))


def vector():
    """A dense network whose output is as large as its input."""
    n = Net()
    x = n.op("Relu", n.gemm("input", 7, 12))
    write("vector", n, n.gemm(x, 12, 7), [1, 1, 12], (12,))


def digits():
    """For the 8x8 digits that the tool carries, untrained."""
    n = Net()
    x = n.op("Relu", n.conv("input", 4, 1, (3, 3), strides=[2, 2], pads=[1, 1, 1, 1]))
    write("digits", n, n.gemm(n.op("Flatten", x), 10, 64), [8, 8, 1], (1, 8, 8))


def torch_models():
    import torch
    from torch import nn

    torch.manual_seed(0)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.features = nn.Sequential(
                nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.SiLU(),
                nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False), nn.BatchNorm2d(8), nn.Hardswish(),
                nn.Conv2d(8, 12, 1), nn.ReLU6(), nn.MaxPool2d(3, 2, 1), nn.GELU(),
            )
            self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(12 * 4 * 4, 16), nn.PReLU(), nn.Linear(16, 5))

        def forward(self, x):
            x = self.features(x)
            return self.head(x.view(x.size(0), -1))

    net = Net().eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.normal_(module.running_mean, 0, 0.3)
    x = torch.zeros(2, 3, 8, 8)
    for name, options in {
        "torch_legacy": dict(dynamo=False, dynamic_axes={"input": {0: "n"}}, do_constant_folding=False, opset_version=17),
        "torch_dynamo": dict(dynamo=True, dynamic_shapes=({0: torch.export.Dim("n")},), external_data=False, opset_version=20),
    }.items():
        torch.onnx.export(net, (x,), str(HERE / f"{name}.onnx"), input_names=["input"], **options)
        golden(name, [8, 8, 3], (3, 8, 8))


for make in (geometry, activations, joints, normalised, channels_last, one_dimensional, vector, digits):
    make()
try:
    torch_models()
except ImportError as error:
    print(f"SKIPPED: {error}")
