#!/usr/bin/env bash
# transformers 5.24.0, Gemma 3's image processor with pan and scan at the published settings (crops of 256
# pixels or more, at most 4, from a shape of 1.2 on). Each crop is squashed into a square and costs 256 tokens.
#
# Guess: crops are closer to a square than the whole picture is, the more so the longer the picture.
# What happens: never fewer than two are cut, so a 4:3 photo becomes two crops of 2:3: what was 1.33 times as
#   wide as high is now 1.5 times as high as wide, for 768 tokens in place of 256. That is so for shapes
#   from 1.2 to 1.41, which is most photos. And the longest pictures are not cut at all: 5000 x 200 has less
#   than 256 pixels on its shorter side, and is squashed by 25.
# Who is hurt: whoever turns it on for photos: three times the tokens, and more distortion; whoever has it on
#   for lines of text.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet transformers==5.24.0 numpy==2.3.5 pillow==12.0.0
cat > "$folder/run.py" <<'PY'
import sys

import numpy as np
import transformers
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil

processor = Gemma3ImageProcessorPil()
seen = {}
for width, height in ((640, 480), (1200, 900), (1920, 1080), (2000, 500), (5000, 200)):
    crops = processor.pan_and_scan(
        np.broadcast_to(np.zeros((3, 1, 1), np.uint8), (3, height, width)),
        pan_and_scan_min_crop_size=256,
        pan_and_scan_max_num_crops=4,
        pan_and_scan_min_ratio_to_activate=1.2,
    )
    stretch = [max(crop.shape[1:]) / min(crop.shape[1:]) for crop in crops]
    seen[width, height] = (len(crops), round(max(stretch, default=width / height), 2))
    print(f"transformers {transformers.__version__}: {width} x {height}: the whole is off a square by "
          f"{width / height:.2f}, its {len(crops)} crops by {[round(one, 2) for one in stretch]}")
sys.exit([*seen.values()] != [(2, 1.5), (2, 1.5), (2, 1.12), (4, 1.0), (0, 25.0)])
PY
"$folder/env/bin/python" "$folder/run.py"
