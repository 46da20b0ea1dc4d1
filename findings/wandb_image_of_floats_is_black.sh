#!/usr/bin/env bash
# wandb 0.31.0, beside 0.19.11: `wandb.Image` of an array of floats between 0 and 1.
#
# Guess: it is shown from black to white, as it was for years: 0.19 multiplies it by 255.
# What happens: 0.31 expects 0 to 255 and cuts the fraction off without a word: everything below 1 is 0. A map of
#   attention, a mask or a processor's pixels are logged as a black picture, and the file is saved as such.
# Who is hurt: runs whose pictures are floats, on the day of the upgrade: what was logged cannot be had back.
#   Multiply by 255 before; a map then looks the same in both.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/run.py" <<'PY'
import os
import sys

os.environ["WANDB_MODE"] = "offline"
import numpy as np
import wandb
from PIL import Image

ramp = np.tile(np.linspace(0, 0.99, 100, dtype=np.float32), (50, 1))  # a map of importance
brightest = {}
for name, data in (("0 to 0.99", ramp), ("0 to 252", ramp * 255)):
    stored = np.asarray(Image.open(wandb.Image(data)._path))
    brightest[name] = int(stored.max())
    print(f"wandb {wandb.__version__}: floats from {name}: the brightest stored pixel is {stored.max()}")
sys.exit(brightest["0 to 0.99"] != int(sys.argv[1]) or brightest["0 to 252"] < 250)
PY
for pair in 0.19.11:252 0.31.0:0; do
  python3 -m venv "$folder/${pair%:*}"
  "$folder/${pair%:*}/bin/pip" install --quiet wandb=="${pair%:*}" pillow==12.0.0 numpy==2.3.5
  (cd "$folder" && "$folder/${pair%:*}/bin/python" run.py "${pair#*:}")
done
