#!/usr/bin/env bash
# torchinfo 1.8.0: `total_mult_adds` of linear layers that read a sequence.
#
# Guess: a linear layer over 512 tokens multiplies 512 times as much as over one token.
# What happens: both are counted alike, batch times weights. The tokens' axis counts for convolutions
#   only. A decoder reads the same figure at 144 vision tokens and at 2,304.
# Who is hurt: whoever reads the table's "mult-adds" to compare token counts: there is no difference.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet torch==2.13.0 numpy==2.3.5 torchinfo==1.8.0
cat > "$folder/run.py" <<'PY'
import sys

import torch
import torchinfo

layer = torch.nn.Linear(64, 64, bias=False)
seen = {
    shape: torchinfo.summary(layer, input_size=shape, verbose=0).total_mult_adds
    for shape in ((1, 64), (1, 144, 64), (1, 2304, 64), (2, 144, 64))
}
for shape, count in seen.items():
    print(f"torchinfo {torchinfo.__version__}: input {shape}: {count}, "
          f"by hand {shape[0] * (shape[1] if len(shape) == 3 else 1) * 64 * 64}")
sys.exit([*seen.values()] != [4096, 4096, 4096, 8192])
PY
"$folder/env/bin/python" "$folder/run.py"
