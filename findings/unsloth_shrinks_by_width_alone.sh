#!/usr/bin/env bash
# unsloth-zoo 2026.10.9, `UnslothVisionDataCollator` at its defaults, with the configuration and the image processor of
# Qwen2.5-VL in transformers 5.24.0.
#
# Guess: "Auto resize images to save VRAM" brings what is too large to the model's size, whichever way up it is; at
#   the most a setting says by which side.
# What happens: that setting, `resize_dimension`, is 0: the width alone is looked at and brought to 512 (the model
#   names no size). 2000 x 500 becomes 512 x 128, 90 tokens; turned upright, 500 x 2000, it stays as it is, 1,278
#   tokens, fourteen times as many. A page of 1700 x 2200 is 432 tokens, on its side 252. `resize_dimension="max"`
#   treats both alike, `resize="max"` leaves them as they are.
# Who is hurt: data sets of pages, screens of telephones and charts: how finely a picture is trained on depends on
#   which way up it is. Wide ones are seen at a fifteenth of their pixels, which is not what the model is served with;
#   long ones at full size, which is where memory runs out.
# The parts that count here, out of a file that imports all of the package.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet transformers==5.24.0 numpy==2.3.5 pillow==12.0.0
"$folder/env/bin/pip" install --quiet --no-deps unsloth-zoo==2026.10.9
cat > "$folder/run.py" <<'PY'
import ast
import math
import sys
from importlib.metadata import distribution, version
from pathlib import Path
from types import SimpleNamespace

from PIL import Image
from transformers import Qwen2_5_VLConfig, Qwen2VLImageProcessorPil

path = distribution("unsloth-zoo").locate_file("unsloth_zoo/vision_utils.py")
tree = ast.parse(Path(path).read_text())
collator = next(part for part in tree.body if getattr(part, "name", "") == "UnslothVisionDataCollator")
methods = {part.name: part for part in collator.body if isinstance(part, ast.FunctionDef)}
first, resize = methods["__init__"], methods["_resize_images_inplace"]
# Of what makes the collator, only the two statements that read `resize` and `resize_dimension`.
first.body = [part for part in first.body if isinstance(part, ast.If) and ast.unparse(part.test).startswith("resize")]
theirs = {"math": math, "LANCZOS": Image.Resampling.LANCZOS, "MAX_RATIO": 200, "_WARNED_DEGENERATE_ASPECT": False}
exec(compile(ast.Module([first, resize], []), str(path), "exec"), theirs)
model = SimpleNamespace(config=Qwen2_5_VLConfig())
processor = Qwen2VLImageProcessorPil()


def trained_on(size: tuple[int, int], **options: object) -> tuple[tuple[int, int], int]:
    collator = SimpleNamespace(snap_to_patch_size=False)
    theirs["__init__"](collator, model, None, **options)
    (picture,) = theirs["_resize_images_inplace"](collator, [Image.new("RGB", size)])
    ((_, rows, columns),) = processor([picture])["image_grid_thw"]
    return picture.size, int(rows * columns) // 4


seen = {}
for options in ({}, {"resize_dimension": "max"}):
    for size in ((2000, 500), (500, 2000), (1700, 2200), (2200, 1700)):
        shown, tokens = seen[*options.values(), size] = trained_on(size, **options)
        print(f"unsloth-zoo {version('unsloth-zoo')}, {options or 'defaults'}: {size[0]} x {size[1]} is trained on as "
              f"{shown[0]} x {shown[1]}, {tokens} tokens")
wanted = [((512, 128), 90), ((500, 2000), 1278), ((512, 663), 432), ((512, 396), 252),
          ((512, 128), 90), ((128, 512), 90), ((396, 512), 252), ((512, 396), 252)]
sys.exit([*seen.values()] != wanted)
PY
"$folder/env/bin/python" "$folder/run.py"
