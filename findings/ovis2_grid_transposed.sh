#!/usr/bin/env bash
# transformers 5.24.0, Ovis2's image processor with `crop_to_patches=True`.
#
# Guess: a picture five times as wide as high is cut into crops that stand side by side.
# What happens: the best grid is found as (rows, columns) and then read as (columns, rows). A
#   1000 x 200 picture becomes three flat strips on top of one another, each squashed from 1000 to 448
#   pixels across and blown up from 67 to 448 down; an upright one is cut side by side. The number of
#   crops and of tokens is right, so nothing but the pictures shows it.
# Who is hurt: whoever asks Ovis2 about wide or tall pictures, or plans its crops.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet transformers==5.24.0 torch==2.13.0 numpy==2.3.5 pillow==12.0.0
cat > "$folder/run.py" <<'PY'
import sys

import numpy as np
import transformers
from PIL import Image
from transformers.models.ovis2.image_processing_pil_ovis2 import Ovis2ImageProcessorPil

# A ramp from dark to bright, from left to right: crops side by side would each have a part of it.
ramp = np.broadcast_to(np.linspace(0, 255, 1000)[None, :, None], (200, 1000, 3)).astype(np.uint8)
processor = Ovis2ImageProcessorPil(size={"height": 448, "width": 448})
pixels = processor(
    Image.fromarray(ramp), crop_to_patches=True, min_patches=1, max_patches=9, return_tensors="np"
)["pixel_values"]
crops = pixels[1:]  # the whole picture comes first
spans = [float(crop[0, :, -1].mean() - crop[0, :, 0].mean()) for crop in crops]
whole = float(pixels[0][0, :, -1].mean() - pixels[0][0, :, 0].mean())
print(f"transformers {transformers.__version__}: {len(crops)} crops of 1000 x 200; brightness from the "
      f"left edge to the right: whole picture {whole:.2f}, crops {[round(span, 2) for span in spans]}")
print("each crop spans the whole width: they are stacked, not side by side"
      if all(abs(span - whole) < 0.1 for span in spans) else "the crops stand side by side")
sys.exit(not (len(crops) == 3 and all(abs(span - whole) < 0.1 for span in spans)))
PY
"$folder/env/bin/python" "$folder/run.py"
