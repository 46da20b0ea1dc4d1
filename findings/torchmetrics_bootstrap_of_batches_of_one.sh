#!/usr/bin/env bash
# torchmetrics 1.9.0: `BootStrapper` with `sampling_strategy="multinomial"`, which its description calls the true
# bootstrap (the default, "poisson", it calls an approximation).
#
# Guess: the spread is that of the questions: with 71 % of 400 answers right, 2.3 points, however the questions
#   came in.
# What happens: each batch is drawn from by itself. From a batch of one question only that question can be drawn,
#   so every resample is the data itself and the spread is exactly 0; in batches of two it is too small by the
#   root of two. It is right where all questions are one batch. "poisson" has 2.3 points at any size of batch.
# Who is hurt: evaluations of vision-language models, which go question by question or in small batches: intervals
#   that are too narrow or have no width, so that every difference looks certain.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet torch==2.13.0 numpy==2.3.5 packaging==26.3 lightning-utilities==0.15.3
"$folder/env/bin/pip" install --quiet --no-deps torchmetrics==1.9.0
cat > "$folder/run.py" <<'PY'
import sys
from importlib.metadata import version

import torch
from torchmetrics import MeanMetric
from torchmetrics.wrappers import BootStrapper

right = (torch.rand(400, generator=torch.Generator().manual_seed(0)) < 0.7).float()
share = right.mean().item()
truth = (share * (1 - share) / len(right)) ** 0.5
print(f"{share:.1%} of {len(right)} right: the spread is {truth:.4f}")
found = {}
for strategy in ("multinomial", "poisson"):
    for size in (1, 2, len(right)):
        torch.manual_seed(1)
        metric = BootStrapper(MeanMetric(), num_bootstraps=400, sampling_strategy=strategy)
        for batch in right.split(size):
            metric.update(batch)
        found[strategy, size] = metric.compute()["std"].item()
        print(f"torchmetrics {version('torchmetrics')}, {strategy}, batches of {size}: {found[strategy, size]:.4f}")


def near(strategy: str, size: int, share: float) -> bool:
    return abs(found[strategy, size] / truth - share) < 0.15


sys.exit(not (
    found["multinomial", 1] == 0 and near("multinomial", 2, 0.5**0.5) and near("multinomial", 400, 1)
    and all(near("poisson", size, 1) for size in (1, 2, 400))
))
PY
"$folder/env/bin/python" "$folder/run.py"
