#!/usr/bin/env bash
# torch 2.13.0 on a CPU: `AdamW(..., fused=True)` and gradients whose numbers lie in memory in another order than their
# parameter's.
#
# Guess: `fused=True` is the same optimiser, faster: equal steps but for rounding, whatever the strides.
# What happens: the parameter, its state and the gradient are walked through as memory, each in its own order. Where
#   orders differ, every number gets the step of another one. Nothing is said. Adam, SGD and Adagrad do the same.
#   `backward()` lays gradients out as their parameters lie and is right; a gradient that was assigned is not laid
#   out anew, so what comes back from numpy, from another process's average or from `torch.autograd.grad` and
#   arithmetic on it is wrong wherever the parameter is not contiguous.
# Who is hurt: training with weights kept transposed for the sake of the product (stacked experts), or in
#   channels_last (the patch embedding of a vision tower), beside gradients that are averaged, clipped or projected by
#   hand: the loss falls more slowly, as if the recipe were worse. Without `fused`, and with `foreach=True`, all is well.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet torch==2.13.0 numpy==2.3.5
cat > "$folder/run.py" <<'PY'
import sys

import torch
from torch import nn, optim

start = torch.randn(16, 3, 14, 14, generator=torch.Generator().manual_seed(0))
pull = torch.randn(start.shape, generator=torch.Generator().manual_seed(1))


def stepped(kind, how, memory_format):
    """A patch embedding's weight, in a memory format, after a step on a gradient that came from numpy."""
    weight = nn.Parameter(start.clone(memory_format=memory_format))
    optimiser = kind([weight], lr=0.1, **how)
    weight.grad = torch.from_numpy(pull.numpy().copy())
    optimiser.step()
    return weight.detach()


wrong = {}
for kind in (optim.AdamW, optim.Adam, optim.SGD, optim.Adagrad):
    for name, memory_format in (("as", torch.contiguous_format), ("not as", torch.channels_last)):
        plain, fused = (stepped(kind, {"fused": on}, memory_format) for on in (False, True))
        moved = (plain - start).abs()
        wrong[kind.__name__, name] = ((fused - plain).abs() > 0.1 * moved.mean()).float().mean().item()
        print(
            f"torch {torch.__version__}, {kind.__name__}, gradient {name} its parameter lies: "
            f"{wrong[kind.__name__, name]:.0%} of the weights elsewhere than without fused"
        )
each = [stepped(optim.AdamW, {"foreach": on}, torch.channels_last) for on in (False, True)]
same = torch.allclose(*each)
print("with foreach=True:", "the same" if same else "different")
right = all(share == 0 for (_, name), share in wrong.items() if name == "as")
hurt = all(share > 0.3 for (_, name), share in wrong.items() if name == "not as")
sys.exit(0 if right and hurt and same else 1)
PY
"$folder/env/bin/python" "$folder/run.py"
