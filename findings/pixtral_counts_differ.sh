#!/usr/bin/env bash
# mistral-common 1.13.1 and transformers 5.24.0: the image tokens of one Pixtral picture.
#
# Guess: the maker's own tokenizer package and the library's processor cut a picture into the same
#   patches, as both read `max_image_size` 1024 and patches of 16.
# What happens: a picture above the limit is shrunk to a rounded side by the one and to a side rounded
#   down by the other. Where the fraction lies between, the grid differs by a row or a column: 1953 x 2312
#   is 55 x 64 patches there and 54 x 64 here. 543 of 20,000 seeded sizes differ (2.7 %), for the settings
#   of Mistral 3 (1540, 14 pixels, merged by two) 245.
# Who is hurt: whoever plans tokens with one package and serves with the other; embeddings that are
#   spliced by a count from the wrong one do not fit.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet transformers==5.24.0 mistral-common==1.13.1 torch==2.13.0 \
  numpy==2.3.5 pillow==12.0.0
cat > "$folder/run.py" <<'PY'
import random
import sys
from importlib.metadata import version

import numpy as np
from mistral_common.tokens.tokenizers.image import ImageConfig, ImageEncoder, SpecialImageIDs
from PIL import Image
from transformers.models.pixtral.image_processing_pil_pixtral import (
    PixtralImageProcessorPil,
    get_resize_output_image_size,
)

ids = SpecialImageIDs(img=10, img_break=12, img_end=13)


def differing(longest: int, patch: int, merge: int) -> int:
    encoder = ImageEncoder(
        ImageConfig(image_patch_size=patch, max_image_size=longest, spatial_merge_size=merge), ids
    )
    cell, draw, count = patch * merge, random.Random(0), 0
    for _ in range(20_000):
        width, height = draw.randint(20, 3000), draw.randint(20, 3000)
        picture = Image.new("1", (width, height))
        pixels = np.broadcast_to(np.zeros((3, 1, 1), np.uint8), (3, height, width))
        rows, columns = get_resize_output_image_size(pixels, (longest, longest), (cell, cell))
        count += encoder._image_to_num_tokens(picture) != (columns // cell, rows // cell)
    return count


picture = Image.new("RGB", (1953, 2312))
encoder = ImageEncoder(ImageConfig(16, 1024, 1), ids)
theirs = encoder._image_to_num_tokens(picture)
processor = PixtralImageProcessorPil(size={"longest_edge": 1024}, patch_size={"height": 16, "width": 16})
height, width = processor(picture, return_tensors="np")["image_sizes"][0]
ours = (int(width) // 16, int(height) // 16)
counts = differing(1024, 16, 1), differing(1540, 14, 2)
print(f"1953 x 2312: mistral-common {version('mistral-common')} {theirs}, "
      f"transformers {version('transformers')} {ours} (columns, rows)")
print(f"sizes that differ, of 20,000: Pixtral {counts[0]}, Mistral 3 {counts[1]}")
sys.exit((theirs, ours, counts) != ((55, 64), (54, 64), (543, 245)))
PY
"$folder/env/bin/python" "$folder/run.py"
