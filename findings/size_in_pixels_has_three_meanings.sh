#!/usr/bin/env bash
# transformers 5.24.0: `size={"shortest_edge": ..., "longest_edge": ...}`, which holds the least and the most
# pixels of a picture in the image processors of Qwen2-VL, GLM-4V (GLM-4.1V, GLM-4.6V) and GLM-5 (`glm5_next`).
#
# Guess: the same numbers give the same number of patches, or are refused.
# What happens: Qwen2-VL reads pixels of the picture. GLM-4V counts each picture as two frames, so the same
#   numbers give half as many patches: with 78,400 (100 tokens of 28 x 28) a 1120 x 1120 picture is 400
#   patches (100 tokens) in one and 196 (49) in the other. GLM-5's processor takes `size` and ignores it:
#   6,400 patches with it and without; its limits are `min_image_tokens` and `max_image_tokens`.
# Who is hurt: comparisons at an equal budget that hand one `size` to several families.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet transformers==5.24.0 numpy==2.3.5 pillow==12.0.0
cat > "$folder/run.py" <<'PY'
import sys

import numpy as np
import transformers
from PIL import Image
from transformers.models.glm4v.image_processing_pil_glm4v import Glm4vImageProcessorPil
from transformers.models.glm5_next.image_processing_pil_glm5_next import Glm5NextImageProcessorPil
from transformers.models.glm46v.image_processing_pil_glm46v import Glm46VImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

picture = Image.new("RGB", (1120, 1120))
budget = {"shortest_edge": 28 * 28 * 4, "longest_edge": 28 * 28 * 100}
seen = {}
for kind in (Qwen2VLImageProcessorPil, Glm4vImageProcessorPil, Glm46VImageProcessorPil,
             Glm5NextImageProcessorPil):
    seen[kind.__name__] = tuple(
        int(np.prod(kind()(picture, return_tensors="np", **settings)["image_grid_thw"][0]))
        for settings in ({}, {"size": budget})
    )
    print(f"transformers {transformers.__version__}: {kind.__name__}, 1120 x 1120: patches at the "
          f"defaults {seen[kind.__name__][0]}, with size for 400 {seen[kind.__name__][1]}")
sys.exit([*seen.values()] != [(4900, 400), (6400, 196), (6400, 196), (6400, 6400)])
PY
"$folder/env/bin/python" "$folder/run.py"
