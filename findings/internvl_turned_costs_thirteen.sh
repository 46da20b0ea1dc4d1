#!/usr/bin/env bash
# transformers 5.24.0, the crops of InternVL (the processor of GOT-OCR 2, crops of 448, at most 12) and of
# Granite-Docling, which follow InternVL's published rule.
#
# Guess: a picture and the same picture turned by a quarter are cut into as many crops.
# What happens: the grid is the one whose width by height is nearest to the picture's, and a difference of such
#   ratios is not the same upside down: 2:3 to 1:1 is 0.33, 3:2 to 1:1 is 0.5. 575 x 498 is one crop, 498 x 575
#   is 13 (the whole picture included): 256 tokens and 3,328. Of 20,000 seeded sizes 6.1 % cost otherwise when they
#   are turned. Granite-Docling cuts 820 x 750 into 5 and 750 x 820 into 31.
# Who is hurt: nearly square pages, tables and posters: cost, time and detail hang on which way up they are stored;
#   budgets that were measured on photos lying on their side.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet transformers==5.24.0 numpy==2.3.5 pillow==12.0.0
cat > "$folder/run.py" <<'PY'
import random
import sys

from PIL import Image
from transformers import __version__
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import (
    GotOcr2ImageProcessorPil,
    get_optimal_tiled_canvas,
)
from transformers.models.granite_docling.image_processing_pil_granite_docling import (
    GraniteDoclingImageProcessorPil,
)

internvl = GotOcr2ImageProcessorPil(crop_to_patches=True, size={"height": 448, "width": 448})
granite = GraniteDoclingImageProcessorPil()
COUNTS = {
    "InternVL": lambda size: int(internvl([Image.new("RGB", size)], return_tensors="np")["num_patches"][0]),
    "Granite-Docling": lambda size: granite([Image.new("RGB", size)], return_tensors="np")["pixel_values"].shape[1],
}
seen = {}
for name, sizes in {"InternVL": ((575, 498), (800, 690), (640, 480)), "Granite-Docling": ((820, 750),)}.items():
    for width, height in sizes:
        seen[name, width] = COUNTS[name]((width, height)), COUNTS[name]((height, width))
        print(f"transformers {__version__}, {name}: {width} x {height}: {seen[name, width][0]} crops, turned "
              f"{seen[name, width][1]}")
draw, differing = random.Random(0), 0
for _ in range(20_000):
    sides = draw.randint(100, 2000), draw.randint(100, 2000)
    first, second = (get_optimal_tiled_canvas(pair, (448, 448), 1, 12) for pair in (sides, sides[::-1]))
    differing += first[0] * first[1] != second[0] * second[1]
print(f"InternVL: {differing} of 20,000 sizes have another number of crops when they are turned")
wanted = {("InternVL", 575): (1, 13), ("InternVL", 800): (5, 13), ("InternVL", 640): (13, 13),
          ("Granite-Docling", 820): (5, 31)}
sys.exit(seen != wanted or differing != 1220)
PY
"$folder/env/bin/python" "$folder/run.py"
