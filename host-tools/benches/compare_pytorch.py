"""Training speed and peak memory beside PyTorch, the two in turn on the same cores.

    python3 -m venv venv && venv/bin/pip install torch numpy
    cargo bench --bench train --no-run          # prints the path of the benchmark's binary
    venv/bin/python host-tools/benches/compare_pytorch.py PATH_OF_THE_BINARY [--rounds 3] [--seconds 4]

`--realtime` (Linux, root) gives both sides real-time priority while they are measured, for machines that
are never quiet.

Each figure is the best of its rounds, images a second at batch 64; memory is the peak of the process.
PyTorch runs channels last, its faster layout here, with plain SGD as our benchmark does. `frozen`
trains the first kernel alone, without noise; `flipout` is our stage 2, which PyTorch has no counterpart of.
"""

import argparse
import os
import re
import subprocess
import sys
import time

BATCH = 64
NETWORKS = ["lenet", "dscnn", "resnet20", "mlp"]


def build(name):
    import torch.nn as nn
    import torch.nn.functional as F

    def conv_bn(inputs, outputs, kernel, stride=1, padding=0, groups=1):
        conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
        return nn.Sequential(conv, nn.BatchNorm2d(outputs))

    class Residual(nn.Module):
        def __init__(self, inputs, outputs, stride):
            super().__init__()
            self.body = nn.Sequential(
                conv_bn(inputs, outputs, 3, stride, 1), nn.ReLU(), conv_bn(outputs, outputs, 3, 1, 1)
            )
            self.skip = conv_bn(inputs, outputs, 1, stride) if stride > 1 else nn.Identity()

        def forward(self, x):
            return F.relu(self.body(x) + self.skip(x))

    pool = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    if name == "lenet":
        layers = [nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU()]
        layers += [nn.MaxPool2d(2), nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(84, 10)), (1, 28, 28), 10
    if name == "mlp":
        layers = [nn.Flatten(), nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 400), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(400, 10)), (1, 28, 28), 10
    if name == "dscnn":
        layers = [conv_bn(1, 64, (10, 4), 2, (4, 1)), nn.ReLU()]
        for _ in range(4):
            layers += [conv_bn(64, 64, 3, 1, 1, groups=64), nn.ReLU(), conv_bn(64, 64, 1), nn.ReLU()]
        return nn.Sequential(*layers, *pool, nn.Linear(64, 12)), (1, 49, 10), 12
    layers, channels = [conv_bn(3, 16, 3, 1, 1), nn.ReLU()], 16
    for stage, outputs in enumerate((16, 32, 64)):
        for block in range(3):
            layers.append(Residual(channels, outputs, 2 if stage and not block else 1))
            channels = outputs
    return nn.Sequential(*layers, *pool, nn.Linear(64, 10)), (3, 32, 32), 10


def prefer():
    """Real-time priority for this process and the threads that it starts."""
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))


def worker(name, mode, seconds, realtime):
    import torch
    import torch.nn.functional as F

    if realtime:
        prefer()  # before torch starts its threads
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.manual_seed(0)
    net, shape, classes = build(name)
    x = torch.rand(BATCH, *shape) * 2 - 1
    y = torch.arange(BATCH) % classes
    net, x = net.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    if mode == "frozen":
        net.eval()
        first = next(p for p in net.parameters() if p.dim() > 1)
        for p in net.parameters():
            p.requires_grad_(p is first)
    optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=1e-3, momentum=0.9)
    best, end = float("inf"), None
    while end is None or time.perf_counter() < end:
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(net(x), y).backward()
        optimizer.step()
        if end is None:
            end = time.perf_counter() + seconds  # the first step builds things
        else:
            best = min(best, time.perf_counter() - start)
    peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    print(f"best {BATCH / best:.0f} memory_mb {int(peak.split()[1]) / 1024:.0f}")


def ours(binary, name, mode, seconds, realtime):
    call = [binary, name, mode, str(seconds)]
    before = prefer if realtime else None
    return subprocess.run(call, check=True, capture_output=True, text=True, preexec_fn=before).stdout


def figures(text):
    best = float(re.search(r"best[ =]+([\d.]+)", text).group(1))
    memory = float(re.search(r"(?:memory_mb|rss_mb|peak_mb)[ =]+([\d.]+)", text).group(1))
    return best, memory


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--realtime", action="store_true")
    arguments = parser.parse_args()
    print(f"{'network':<10} {'mode':<8} {'ours':>8} {'PyTorch':>8} {'ratio':>6} {'MB ours':>8} {'MB PyTorch':>10}")
    for name in NETWORKS:
        for mode in ["train", "frozen", "flipout"]:
            mine, theirs = [], []
            for _ in range(arguments.rounds):
                mine.append(figures(ours(arguments.binary, name, mode, arguments.seconds, arguments.realtime)))
                if mode != "flipout":
                    call = [sys.executable, __file__, "--worker", name, mode, str(arguments.seconds)]
                    call += ["realtime"] if arguments.realtime else []
                    theirs.append(figures(subprocess.run(call, check=True, capture_output=True, text=True).stdout))
            (best, memory) = (max(b for b, _ in mine), max(m for _, m in mine))
            row = f"{name:<10} {mode:<8} {best:>8.0f}"
            if theirs:
                other, peak = max(b for b, _ in theirs), max(m for _, m in theirs)
                row += f" {other:>8.0f} {best / other:>6.2f} {memory:>8.0f} {peak:>10.0f}"
            else:
                row += f" {'-':>8} {'-':>6} {memory:>8.0f} {'-':>10}"
            print(row, flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] == "--worker":
        worker(sys.argv[2], sys.argv[3], float(sys.argv[4]), len(sys.argv) > 5)
    else:
        main()
