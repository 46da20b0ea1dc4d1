#!/usr/bin/env bash
# lmms-eval 0.7.3, its models `qwen2_vl`, `qwen2_5_vl` and `qwen3_vl`, with transformers 5.24.0's processor.
#
# Guess: a model is evaluated with its checkpoint's limits of pixels, or three generations with the same.
# What happens: each file has limits of its own, and none is the checkpoint's (from 3,136 to 12,845,056, for
#   Qwen3-VL from 65,536 to 16,777,216). A page of 1700 x 2200 is 744 tokens for Qwen2-VL, 1,989 for
#   Qwen2.5-VL and 1,530 for Qwen3-VL; with the checkpoints' limits it is 4,819, 4,819 and 3,657. An icon of
#   100 x 100 is 16 tokens for the first and 256 for the second.
# Who is hurt: tables of one family, in which a gain from one generation to the next is also a gain of nearly three
#   times the tokens; DocVQA and InfographicVQA, whose print is at a sixth to a half of the pixels; cost by tokens.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet transformers==5.24.0 numpy==2.3.5 pillow==12.0.0
"$folder/env/bin/pip" install --quiet --no-deps lmms-eval==0.7.3
cat > "$folder/run.py" <<'PY'
import ast
import sys
from importlib.metadata import distribution, version
from pathlib import Path

from PIL import Image
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

CHECKPOINTS = {"qwen2_vl": (3136, 12845056), "qwen2_5_vl": (3136, 12845056), "qwen3_vl": (65536, 16777216)}


def limits(model: str) -> tuple[int, int]:
    """The defaults in the signature of a file that imports all of the framework."""
    path = Path(distribution("lmms-eval").locate_file(f"lmms_eval/models/simple/{model}.py"))
    for part in ast.walk(ast.parse(path.read_text())):
        if isinstance(part, ast.FunctionDef) and part.name == "__init__":
            names = [one.arg for one in part.args.args][-len(part.args.defaults):]
            defaults = dict(zip(names, part.args.defaults, strict=True))
            if "max_pixels" in defaults:
                return tuple(eval(ast.unparse(defaults[name])) for name in ("min_pixels", "max_pixels"))
    raise SystemExit(f"no limits in {path}")


def tokens(model: str, least: int, most: int, size: tuple[int, int]) -> int:
    processor = Qwen2VLImageProcessorPil(
        patch_size=16 if model == "qwen3_vl" else 14, size={"shortest_edge": least, "longest_edge": most}
    )
    _, rows, columns = processor([Image.new("RGB", size)], return_tensors="np")["image_grid_thw"][0]
    return int(rows * columns) // 4


seen = {}
for model, checkpoint in CHECKPOINTS.items():
    given = limits(model)
    seen[model] = [tokens(model, *pair, size) for size in ((1700, 2200), (100, 100)) for pair in (given, checkpoint)]
    page, page_there, icon, icon_there = seen[model]
    print(f"lmms-eval {version('lmms-eval')}, {model}: from {given[0]:,} to {given[1]:,} pixels: a page is {page} "
          f"tokens ({page_there} with the checkpoint's limits), an icon {icon} ({icon_there})")
sys.exit(
    seen
    != {"qwen2_vl": [744, 4819, 16, 16], "qwen2_5_vl": [1989, 4819, 256, 16], "qwen3_vl": [1530, 3657, 196, 64]}
)
PY
"$folder/env/bin/python" "$folder/run.py"
