#!/usr/bin/env bash
# llamafactory 0.9.5: `_preprocess_image`, which brings every picture of a fine-tuning set to `image_max_pixels`
# (768 x 768 by default).
#
# Guess: one picture becomes the same training picture as a PNG with a palette and as one without.
# What happens: it is shrunk before it is converted to RGB, and Pillow shrinks palettes and black-and-white by
#   dropping pixels. Of lines one pixel wide on a page of 1600 x 1200, nearly half are gone from the palette's
#   file, while the same page in RGB keeps every one, in grey.
# Who is hurt: charts, diagrams and scanned pages, which are stored with palettes or as 1-bit: print and thin
#   lines are in tatters in training, and whole where a server converts first.
# The one method that counts here, out of a file that imports all of the framework.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet pillow==12.0.0 numpy==2.3.5
"$folder/env/bin/pip" install --quiet --no-deps llamafactory==0.9.5
cat > "$folder/run.py" <<'PY'
import ast
import math
import sys
from importlib.metadata import distribution, version
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

path = Path(distribution("llamafactory").locate_file("llamafactory/data/mm_plugin.py"))
mixin = next(part for part in ast.parse(path.read_text()).body
             if isinstance(part, ast.ClassDef) and part.name == "MMPluginMixin")
method = next(part for part in mixin.body
              if isinstance(part, ast.FunctionDef) and part.name == "_preprocess_image")
theirs = {"math": math}
exec(compile(ast.Module([method], []), str(path), "exec"), theirs)

page = Image.new("RGB", (1600, 1200), "white")
LINES = range(10, 1600, 20)
for x in LINES:
    ImageDraw.Draw(page).line((x, 0, x, 1199), fill="black")
seen = {}
for mode, picture in (("RGB", page), ("P", page.quantize(4)), ("1", page.convert("1"))):
    assert (np.asarray(picture.convert("RGB")) == np.asarray(page)).all()  # the same pixels in each
    made = theirs["_preprocess_image"](None, picture, image_max_pixels=768 * 768, image_min_pixels=32 * 32)
    row = np.asarray(made.convert("L")).astype(int)[made.height // 2]
    seen[mode] = sum(int(row[i] < 250 and row[i] < row[i - 1] and row[i] <= row[i + 1])
                     for i in range(1, made.width - 1))
    print(f"llamafactory {version('llamafactory')}: {len(LINES)} lines in a file of mode {mode}: "
          f"{seen[mode]} are left at {made.width} x {made.height}")
sys.exit(not (seen["RGB"] == len(LINES) and seen["P"] == seen["1"] < 0.6 * len(LINES)))
PY
"$folder/env/bin/python" "$folder/run.py"
