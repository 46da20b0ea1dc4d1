#!/usr/bin/env bash
# sglang 0.5.23 and transformers 5.24.0: the crops that InternVL cuts a picture into, at most 12.
#
# Guess: a server that has a rule of its own for them follows the published one: of grids with the same shape the
#   larger is taken only for a picture that has more than half of its pixels, so that an icon stays one crop.
# What happens: the largest is taken, whatever the picture's size. Every square is cut into 3 x 3 and a whole one: an
#   icon of 32 x 32 is 10 crops and 2,560 tokens for 256, as is 448 x 448, which is one crop's own size. 2 to 1 is
#   always 9 crops, where 448 x 224 is 3. Other shapes agree: 640 x 480 is 13 in both.
# Who is hurt: icons, thumbnails, satellite tiles and crops that a detector cut out, ten times the encoder's work and
#   the prompt; pictures that were brought to 448 x 448 to be cheap; figures beside those of the library.
# The function that counts here, out of a file that imports all of the server.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet transformers==5.24.0 torch==2.13.0 numpy==2.3.5 pillow==12.0.0
"$folder/env/bin/pip" download --quiet --no-deps --dest "$folder" --only-binary :all: --python-version 3.11 \
  --platform manylinux_2_34_x86_64 sglang==0.5.23
cat > "$folder/run.py" <<'PY'
import ast
import sys
import zipfile
from pathlib import Path

import torch
from transformers import __version__
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import get_optimal_tiled_canvas

(wheel,) = Path(sys.argv[1]).glob("sglang-*.whl")
source = zipfile.ZipFile(wheel).read("sglang/srt/multimodal/processors/internvl.py").decode()
cut = next(part for part in ast.walk(ast.parse(source)) if getattr(part, "name", "") == "dynamic_preprocess")
cut.decorator_list = []
theirs = {"torch": torch, "IMAGE_MAX_NUM": 12}
exec(compile(ast.Module([cut], []), "internvl.py", "exec"), theirs)


def published(width: int, height: int) -> int:
    columns, rows = get_optimal_tiled_canvas((height, width), (448, 448), 1, 12)
    return columns * rows + (columns * rows > 1)


seen = {}
for width, height in ((32, 32), (448, 448), (1024, 1024), (448, 224), (1792, 896), (640, 480)):
    crops = theirs["dynamic_preprocess"](torch.zeros(3, height, width), use_thumbnail=True)
    seen[width, height] = len(crops), published(width, height)
    print(f"{wheel.name.split('-cp')[0]}: {width} x {height} is {len(crops)} crops, {len(crops) * 256} tokens; "
          f"transformers {__version__}: {seen[width, height][1]}")
sys.exit([*seen.values()] != [(10, 1), (10, 1), (10, 10), (9, 3), (9, 9), (13, 13)])
PY
"$folder/env/bin/python" "$folder/run.py" "$folder"
