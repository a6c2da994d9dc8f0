#!/usr/bin/env python3
"""Gradients of every operator by PyTorch, for tests/gradients.rs.

    python3 host-tools/tests/golden/make_gradients.py > host-tools/tests/golden/gradients.json

Made with torch 2.15.0, in f64. Networks and starting numbers are repeated in the test: input 7x6x3, a
1x1 convolution `stem` to 4 channels, the operator of the case, a dense `head` to 5 outputs; three
examples. All numbers come from one formula, tensor after tensor, in NHWC order. The loss is the sum of
c * y + y * y / 2 over the outputs y, with c from the same formula.
"""
import json

import numpy as np
import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
N, HEIGHT, WIDTH, CHANNELS, STEM, OUTPUTS = 3, 7, 6, 3, 4, 5


def uniform(seed, count):
    """Uniform in -1..1, by SplitMix64 of (seed, index), rounded to f32."""
    with np.errstate(over="ignore"):
        u = np.uint64
        z = u(seed << 32) + np.arange(count, dtype=u) + u(0x9E3779B97F4A7C15)
        z = (z ^ (z >> u(30))) * u(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> u(27))) * u(0x94D049BB133111EB)
        z = z ^ (z >> u(31))
    return (z >> u(40)).astype(np.float64) / float(1 << 23) - 1.0


class Case:
    """Makes tensors in the order of the graph's nodes and keeps those that are trained."""

    def __init__(self):
        self.seed = 10
        self.tensors = {}

    def tensor(self, name, shape, scale=0.5, shift=0.0, trained=True):
        values = uniform(self.seed, int(np.prod(shape))).astype(np.float32) * np.float32(scale) + np.float32(shift)
        self.seed += 1
        tensor = torch.tensor(values.astype(np.float64).reshape(shape), requires_grad=trained)
        if trained:
            self.tensors[name] = tensor
        return tensor

    def conv(self, name, x, out, kernel, groups=1, bias=True, stride=(1, 1), dilation=(1, 1), pad=((0, 0), (0, 0))):
        weight = self.tensor(f"{name}/weight", (out, *kernel, x.shape[1] // groups)).permute(0, 3, 1, 2)
        bias = self.tensor(f"{name}/bias", (out,)) if bias else None
        (top, left), (bottom, right) = pad
        x = F.pad(x, (left, right, top, bottom))
        return F.conv2d(x, weight, bias, stride=stride, dilation=dilation, groups=groups)

    def dense(self, name, x, out):
        x = x.permute(0, 2, 3, 1).flatten(1)
        weight = self.tensor(f"{name}/weight", (out, x.shape[1]))
        return F.linear(x, weight, self.tensor(f"{name}/bias", (out,)))

    def batch_norm(self, name, x):
        channels = (x.shape[1],)
        gamma = self.tensor(f"{name}/gamma", channels, 0.4, 1.0)
        beta = self.tensor(f"{name}/beta", channels)
        mean = self.tensor(f"{name}/running_mean", channels, trained=False)
        var = self.tensor(f"{name}/running_var", channels, 0.4, 1.0, trained=False)
        return F.batch_norm(x, mean, var, gamma, beta, training=True, momentum=0.1, eps=float(np.float32(1e-5)))


def average(x, padded):
    x = F.pad(x, (1, 1, 1, 1))
    if padded:
        return F.avg_pool2d(x, 3, 2)
    ones = F.pad(torch.ones(1, 1, HEIGHT, WIDTH), (1, 1, 1, 1))
    return F.avg_pool2d(x, 3, 2) / F.avg_pool2d(ones, 3, 2)


def max_pool(x):
    return F.max_pool2d(F.pad(x, (0, 1, 1, 0), value=-torch.inf), (3, 2), (2, 1))


OPERATORS = {
    "conv3x3": lambda c, x: c.conv("op", x, 6, (3, 3), pad=((1, 1), (1, 1))),
    "conv3x2_stride2": lambda c, x: c.conv("op", x, 20, (3, 2), stride=(2, 2), pad=((1, 0), (0, 1)), bias=False),
    "conv_dilated": lambda c, x: c.conv("op", x, 3, (2, 3), dilation=(2, 2), pad=((1, 1), (1, 2))),
    "conv_grouped": lambda c, x: c.conv("op", x, 6, (3, 3), groups=2, pad=((1, 1), (1, 1))),
    "conv1x1_stride2": lambda c, x: c.conv("op", x, 16, (1, 1), stride=(2, 2)),
    "depthwise": lambda c, x: c.conv("op", x, 4, (3, 3), groups=4, stride=(2, 1), pad=((1, 1), (1, 1))),
    "batch_norm": lambda c, x: c.batch_norm("op", x),
    "max_pool": lambda c, x: max_pool(x),
    "avg_pool": lambda c, x: average(x, False),
    "avg_pool_padded": lambda c, x: average(x, True),
    "global_avg_pool": lambda c, x: x.mean((2, 3), keepdim=True),
    "add": lambda c, x: x + c.conv("op", x, 4, (1, 1)),
    "sub": lambda c, x: x - c.conv("op", x, 4, (1, 1)),
    "mul": lambda c, x: x * c.conv("op", x, 4, (1, 1)),
    "mul_channels": lambda c, x: x * torch.sigmoid(c.conv("op", x.mean((2, 3), keepdim=True), 4, (1, 1))),
    "concat_rows": lambda c, x: torch.cat((x, c.conv("op", x, 4, (3, 1))), 2),
    "concat_columns": lambda c, x: torch.cat((c.conv("op", x, 4, (1, 2)), x), 3),
    "concat_channels": lambda c, x: torch.cat((x, c.conv("op", x, 3, (1, 1))), 1),
    "pad": lambda c, x: F.pad(x, (2, 1, 0, 3)),
    "relu": lambda c, x: F.relu(x),
    "relu6": lambda c, x: F.relu6(x),
    "leaky_relu": lambda c, x: F.leaky_relu(x, float(np.float32(0.1))),
    "sigmoid": lambda c, x: torch.sigmoid(x),
    "tanh": lambda c, x: torch.tanh(x),
    "hard_sigmoid": lambda c, x: F.hardsigmoid(x),
    "hard_swish": lambda c, x: F.hardswish(x),
    "elu": lambda c, x: F.elu(x, float(np.float32(1.3))),
    "gelu": lambda c, x: F.gelu(x),
    "clip": lambda c, x: x.clamp(float(np.float32(-0.3)), float(np.float32(0.4))),
    "ramp": lambda c, x: (float(np.float32(0.7)) * x + float(np.float32(0.4))).clamp(0, 1),
    "swish": lambda c, x: F.silu(x),
    "erf": lambda c, x: torch.erf(x),
}


def run(operator):
    case = Case()
    x = torch.tensor(uniform(1, N * HEIGHT * WIDTH * CHANNELS).reshape(N, HEIGHT, WIDTH, CHANNELS))
    x = case.conv("stem", x.permute(0, 3, 1, 2), STEM, (1, 1))
    y = case.dense("head", operator(case, x), OUTPUTS)
    c = torch.tensor(uniform(2, N * OUTPUTS).reshape(N, OUTPUTS))
    loss = (c * y + y * y / 2).sum()
    loss.backward()
    result = {name: [float(f"{v:.9g}") for v in tensor.grad.flatten().tolist()] for name, tensor in case.tensors.items()}
    return {"loss": float(f"{loss.item():.12g}"), "gradients": result}


if __name__ == "__main__":
    print("{")
    names = list(OPERATORS)
    for name in names:
        comma = "" if name == names[-1] else ","
        print(f'"{name}": {json.dumps(run(OPERATORS[name]))}{comma}')
    print("}")
