#!/usr/bin/env bash
# torchmetrics 1.9.0 (`binary_calibration_error`) and netcal 1.4.0 (`ECE`): calibration error, ten equal bins.
#
# Guess: it is one figure.
# What happens: a confidence on the edge of two bins belongs to the lower one in torchmetrics and to the upper
#   one in netcal. For confidences that a model writes out ("0.7", "80 %") every one is on an edge: which are
#   averaged together is another choice in each, and the same 200 answers are off by 4.7 % in one and by
#   3.2 % in the other. Confidences with many digits agree.
# Who is hurt: figures of spoken or rounded confidences taken with different tools; claims of a better
#   calibration by a point or two.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet torch==2.13.0 numpy==2.3.5 scipy==1.17.1 \
  scikit-learn==1.9.1 tqdm==4.70.1 packaging==26.3 lightning-utilities==0.15.3
"$folder/env/bin/pip" install --quiet --no-deps torchmetrics==1.9.0 netcal==1.4.0
cat > "$folder/run.py" <<'PY'
import sys
from importlib.metadata import version

import numpy as np
import torch
from netcal.metrics import ECE
from torchmetrics.functional.classification import binary_calibration_error

draw = np.random.default_rng(0)
exact, chance = draw.uniform(0.5, 1, 200), draw.uniform(size=200)
seen = {}
for name, confidence in (("many digits", exact), ("one digit", exact.round(1))):
    right = (chance < confidence).astype(int)
    seen[name] = (
        float(binary_calibration_error(torch.tensor(confidence), torch.tensor(right), n_bins=10)),
        float(ECE(10).measure(confidence, right)),
    )
    print(f"{name}: torchmetrics {version('torchmetrics')} {seen[name][0]:.4f}, "
          f"netcal {version('netcal')} {seen[name][1]:.4f}")
alike, apart = (abs(one - other) for one, other in seen.values())
sys.exit(not (alike < 1e-6 and apart > 0.01))
PY
"$folder/env/bin/python" "$folder/run.py"
