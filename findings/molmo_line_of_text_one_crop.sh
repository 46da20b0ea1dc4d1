#!/usr/bin/env bash
# mlx-vlm 0.7.10, its processor for Molmo, which follows the rule of the published one (crops of 336 pixels whose
# neighbours share 112, at most 12 of them, and one of the whole picture).
#
# Guess: a long line of text is cut into a row of crops; a few more pixels of height change next to nothing.
# What happens: both margins, 112 pixels, are taken off each side before the tiling is chosen, so a picture that
#   is less than 112 high has less than no height left, and 1 x 1 is the best of the tilings that are looked at.
#   1500 x 100 gets one crop and the whole picture, which are the same pixels: 1500 shrunk to 336, twice, 288
#   tokens. 1500 x 120 gets seven crops in a row and 864 tokens. Upright it is the same.
# Who is hurt: lines of text, formulas and banners, which cannot be read; a border of white around them mends it.
# The file alone: the package around it asks for all that serving needs.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet transformers==5.24.0 numpy==2.3.5 pillow==12.0.0 "mlx[cpu]==0.32.4"
"$folder/env/bin/pip" install --quiet --no-deps mlx-vlm==0.7.10
cat > "$folder/run.py" <<'PY'
import importlib.util
import sys
import types
from importlib.metadata import distribution, version
from unittest.mock import MagicMock

import numpy as np

for name in ("mlx_vlm", "mlx_vlm.models"):
    sys.modules[name] = types.ModuleType(name)
sys.modules["mlx_vlm.models.base"] = MagicMock()
path = distribution("mlx-vlm").locate_file("mlx_vlm/models/molmo/processing_molmo.py")
spec = importlib.util.spec_from_file_location("mlx_vlm.models.molmo.processing_molmo", path)
molmo = importlib.util.module_from_spec(spec)
spec.loader.exec_module(molmo)

PATCH, COLUMN, START, END = range(4)
processor, seen = molmo.MolmoImageProcessor(), {}
for width, height in ((1500, 100), (1500, 120), (100, 1500), (120, 1500)):
    ramp = np.broadcast_to(np.linspace(0, 255, width)[None, :, None], (height, width, 3)).astype(np.uint8)
    crops, tokens, *_ = processor.preprocess(ramp, PATCH, COLUMN, START, END)
    same = len(crops) == 2 and bool((crops[0] == crops[1]).all())
    seen[width, height] = len(crops) - 1, int((tokens == PATCH).sum()), same
    print(f"mlx-vlm {version('mlx-vlm')}: {width} x {height}: {len(crops) - 1} crops beside the whole picture, "
          f"{seen[width, height][1]} vision tokens"
          + (", the crop is the whole picture again" if same else ""))
sys.exit([*seen.values()] != [(1, 288, True), (7, 864, False)] * 2)
PY
"$folder/env/bin/python" "$folder/run.py"
