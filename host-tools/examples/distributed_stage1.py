"""Stage 1 of an `mlp` or `lenet5` run on several processes or machines, by PyTorch's DistributedDataParallel.

    stf train --arch lenet5 --data set.npz --out run --epochs 0 --bayes-epochs 5    # settings and first weights; its stage 2 is thrown away
    torchrun --nproc-per-node 2 host-tools/examples/distributed_stage1.py run set.npz --epochs 3
    stf train --resume --out run                                                    # stage 2, as usual

Reads the run's network (stage1.safetensors) and normalisation (config.json), trains on `x_train, y_train` (or
`x, y`) of the archive, and leaves a checkpoint at the end of stage 1. One process prints the accuracy on
`x_test, y_test` if there are such arrays. Needs torch and numpy; gloo on CPUs, NCCL on GPUs. Several machines: the same
command on each with torchrun's --nnodes and --rdzv-endpoint.
"""

import argparse
import json
import pathlib
import struct

import numpy as np
import torch
import torch.distributed as dist
import torch.nn as nn
import torch.nn.functional as F


def read_tensors(path):
    """Names and arrays of a safetensors file of f32."""
    data = pathlib.Path(path).read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header, body = json.loads(data[8 : 8 + size]), data[8 + size :]
    header.pop("__metadata__", None)
    part = lambda t: np.frombuffer(body[slice(*t["data_offsets"])], "<f4").reshape(t["shape"])
    return {name: part(t) for name, t in header.items()}


def write_tensors(path, tensors, meta):
    header, at = {"__metadata__": {"meta": json.dumps(meta)}}, 0
    for name, array in sorted(tensors.items()):
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [at, at + array.nbytes]}
        at += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    body = b"".join(np.ascontiguousarray(array, "<f4").tobytes() for _, array in sorted(tensors.items()))
    pathlib.Path(path).write_bytes(struct.pack("<Q", len(text)) + text + body)


class Network(nn.Module):
    """The run's layers in order; kernels keep the names and layouts of the checkpoint."""

    def __init__(self, architecture, tensors):
        super().__init__()
        self.architecture = architecture
        names = {name.removeprefix("params/").removesuffix("/weight") for name in tensors if name.endswith("/weight")}
        self.names = layers = sorted(names, key=order)
        pair = lambda name: nn.ParameterList(
            [nn.Parameter(torch.tensor(tensors[f"params/{name}/{part}"].copy())) for part in ("weight", "bias")]
        )
        self.layers = nn.ModuleList([pair(name) for name in layers])

    def forward(self, x):  # [n, h, w, c], normalised
        last = len(self.layers) - 1
        if self.architecture == "lenet5":
            x = x.permute(0, 3, 1, 2)
            for weight, bias in list(self.layers)[:2]:
                pad = weight.shape[1] // 2 if weight is self.layers[0][0] or x.shape[2] < 12 else 0
                x = F.max_pool2d(F.relu(F.conv2d(x, weight.permute(0, 3, 1, 2), bias, padding=pad)), 2)
            x = x.permute(0, 2, 3, 1)
        x = x.reshape(len(x), -1)
        for index, (weight, bias) in enumerate(self.layers):
            if weight.dim() == 2:
                x = F.linear(x, weight, bias)
                x = x if index == last else F.relu(x)
        return x

    def tensors(self):
        parts = zip(self.names, self.layers)
        return {f"params/{n}/{p}": t.detach().numpy() for n, pair in parts for p, t in zip(("weight", "bias"), pair)}


def order(name):
    """Convolutions before dense layers, each by number: conv1, conv2, dense1 ..."""
    return (0 if name.startswith("conv") else 1, int("".join(filter(str.isdigit, name)) or 0))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=pathlib.Path)
    parser.add_argument("data")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=64, help="of each process")
    parser.add_argument("--lr", type=float, default=1e-3)
    args = parser.parse_args()
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    config = json.loads((args.run / "config.json").read_text())
    assert config["architecture"] in ("mlp", "lenet5"), config["architecture"]
    saved = read_tensors(args.run / "stage1.safetensors")
    network = Network(config["architecture"], saved)
    model = nn.parallel.DistributedDataParallel(network)
    arrays = np.load(args.data)
    mean, std = (np.float32(config["preprocessing"][key]) for key in ("mean", "std"))

    def part(inputs, labels):
        shape = [config["input"][key] for key in ("height", "width", "channels")]
        x = (arrays[inputs].reshape(-1, *shape).astype(np.float32) - mean) / std
        return torch.tensor(x), torch.tensor(arrays[labels].astype(np.int64))

    x, y = part("x_train", "y_train") if "x_train" in arrays else part("x", "y")
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)
    for epoch in range(args.epochs):
        indices = torch.randperm(len(x), generator=torch.Generator().manual_seed(epoch))[rank::world]
        indices = indices[: len(x) // world]  # as many steps in each process
        total = 0.0
        for batch in indices.split(args.batch_size):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x[batch]), y[batch])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
        if rank == 0:
            print(f"epoch {epoch + 1}: loss {total / len(indices):.4f} (process 0 of {world})", flush=True)
    if rank == 0:
        if "x_test" in arrays:
            test_x, test_y = part("x_test", "y_test")
            with torch.no_grad():
                print(f"test accuracy {(network(test_x).argmax(1) == test_y).float().mean().item():.4f}")
        # The end of a stage 1 of no epochs: resuming goes on with stage 2.
        meta = {"stage": 1, "epoch": 0, "optimizer_step": 0}
        write_tensors(args.run / "checkpoint", network.tensors(), meta)
        for name in ("stage1.safetensors", "stage2.safetensors"):
            (args.run / name).unlink(missing_ok=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
