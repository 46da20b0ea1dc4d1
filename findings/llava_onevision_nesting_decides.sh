#!/usr/bin/env bash
# transformers 5.24.0, LLaVA-OneVision's image processor: two pictures in one list, or in a list of lists.
#
# Guess: the same two pictures give the same crops; the brackets only say which prompt they belong to, and
#   a second picture doubles the cost of a prompt.
# What happens: [a, b] are cut into 13 crops each; [[a, b]], which is how two pictures of one prompt are
#   said, gives one each, squashed to 384 x 384. A second picture makes a prompt cheaper by far, and its
#   first picture coarse. With a prompt of one picture beside it in the batch, the same pair keeps its one
#   crop each and the other its 13.
# Who is hurt: few-shot prompts and comparisons of pictures, whose small print is gone; counts of tokens
#   that were added up picture by picture; batches that are flattened on the way, which change the input.
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
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
    LlavaOnevisionImageProcessorPil,
)

noise = np.random.default_rng(0).integers(0, 255, (2, 1000, 1400, 3), dtype=np.uint8)
a, b = map(Image.fromarray, noise)
processor = LlavaOnevisionImageProcessorPil()


def crops(images: list) -> list[int]:
    """Per picture, those that are not padding."""
    pixels = np.asarray(processor(images, return_tensors="np")["pixel_values"])
    return [int(sum(bool(np.any(crop)) for crop in picture)) for picture in pixels]


seen = {"[a, b]": crops([a, b]), "[[a], [b]]": crops([[a], [b]]), "[[a, b]]": crops([[a, b]]),
        "[[a, b], [a]]": crops([[a, b], [a]])}
for nesting, numbers in seen.items():
    print(f"transformers {transformers.__version__}: {nesting}: crops of each picture {numbers}")
sys.exit([*seen.values()] != [[13, 13], [13, 13], [1, 1], [1, 1, 13]])
PY
"$folder/env/bin/python" "$folder/run.py"
