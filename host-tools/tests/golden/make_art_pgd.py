"""PGD and FGSM by the Adversarial Robustness Toolbox on a small averaged network, as a golden file.

    pip install adversarial-robustness-toolbox torch
    python host-tools/tests/golden/make_art_pgd.py > host-tools/tests/golden/art_pgd.json

The network is the mean of the softmax outputs of three small dense networks (six by six by two inputs,
five tanh units, three classes): the draws of a prediction, the same at every step. Written with ART 1.20.1
and PyTorch 2.15; host-tools/src/attack/tests.rs holds its own attacks against it.
"""

import json

import numpy as np
import torch
from art.attacks.evasion import FastGradientMethod, ProjectedGradientDescent
from art.estimators.classification import PyTorchClassifier

MEAN, STD, EPS, STEP, STEPS, N = 0.4, 0.25, 0.1, 0.025, 12, 24
rng = np.random.default_rng(5)


def numbers(*shape):
    return np.round(rng.normal(size=shape) * 0.5, 5).astype(np.float32)


members = [
    {"w1": numbers(5, 72), "b1": numbers(5), "w2": numbers(3, 5) * 3, "b2": numbers(3)} for _ in range(3)
]


class Averaged(torch.nn.Module):
    """Logarithm of the mean probabilities: its softmax is that mean."""

    def forward(self, x):
        x = (x.reshape(len(x), -1) - MEAN) / STD
        probabilities = []
        for m in members:
            t = {name: torch.from_numpy(value) for name, value in m.items()}
            hidden = torch.tanh(x @ t["w1"].T + t["b1"])
            probabilities.append(torch.softmax(hidden @ t["w2"].T + t["b2"], dim=1))
        return torch.log(torch.stack(probabilities).mean(0))


x = np.round(rng.uniform(size=(N, 72)), 5).astype(np.float32)
model = Averaged()
y = model(torch.from_numpy(x)).argmax(1).numpy()
classifier = PyTorchClassifier(
    model, loss=torch.nn.CrossEntropyLoss(), input_shape=(72,), nb_classes=3, clip_values=(0.0, 1.0)
)
labels = np.eye(3, dtype=np.float32)[y]
pgd = ProjectedGradientDescent(
    classifier, norm=np.inf, eps=EPS, eps_step=STEP, max_iter=STEPS, num_random_init=0, batch_size=N, verbose=False
)
fgsm = FastGradientMethod(classifier, norm=np.inf, eps=EPS, batch_size=N)
lists = lambda array: [round(float(value), 6) for value in np.asarray(array).ravel()]
print(
    json.dumps(
        {
            "mean": MEAN, "std": STD, "eps": EPS, "step": STEP, "steps": STEPS,
            "members": [{name: lists(value) for name, value in m.items()} for m in members],
            "inputs": lists(x),
            "labels": [int(value) for value in y],
            "pgd": lists(pgd.generate(x, y=labels)),
            "fgsm": lists(fgsm.generate(x, y=labels)),
        }
    )
)
