#!/usr/bin/env bash
# transformers 5.24.0, Gemma 4's image processor and its `max_soft_tokens` (70, 140, 280, 560 or 1,120 tokens a picture).
#
# Guess: a smaller budget makes a picture smaller and keeps its shape: what works the size out is called
#   `get_aspect_ratio_preserving_size`, and the tokens are about the budget.
# What happens: each side is cut down to whole tokens of 48 pixels by itself, which takes most from the short one. A line
#   of 2000 x 100 is 20 times as wide as high; with 280 tokens it becomes 24.7, with 70 tokens 37 times, its letters
#   nearly twice as wide, and takes 37 tokens of 70. 10:1 becomes 13:1 with 70. A photo of 4:3 is within 5 % in each.
# Who is hurt: curves of accuracy over budgets on lines, receipts, banners and forms: the smallest point is stretched as
#   well as coarse; and costs that are counted as the budget.
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
from transformers.models.gemma4.image_processing_pil_gemma4 import Gemma4ImageProcessorPil


def stretched(width: int, height: int, budget: int) -> tuple[int, float]:
    """Tokens, and how much wider for its height the picture has become."""
    processor = Gemma4ImageProcessorPil(max_soft_tokens=budget)
    made = processor(Image.new("RGB", (width, height)))
    columns, rows = np.asarray(made["image_position_ids"][0]).max(axis=0) + 1
    return int(made["num_soft_tokens_per_image"][0]), round(float(columns / rows / (width / height)), 2)


WANTED = {
    (2000, 100): {70: (37, 1.85), 280: (222, 1.23), 1120: (1043, 1.06)},
    (2000, 200): {70: (52, 1.3), 280: (260, 1.04), 1120: (1050, 1.05)},
    (1600, 1200): {70: (63, 0.96), 280: (266, 1.02), 1120: (1064, 1.02)},
}
seen = {
    size: {budget: stretched(*size, budget) for budget in budgets} for size, budgets in WANTED.items()
}
for size, budgets in seen.items():
    for budget, (tokens, factor) in budgets.items():
        print(f"transformers {transformers.__version__}: {size} with {budget}: {tokens} tokens, {factor} times as wide")
sys.exit(seen != WANTED)
PY
"$folder/env/bin/python" "$folder/run.py" 2>"$folder/log" || { tail -3 "$folder/log"; exit 1; }
