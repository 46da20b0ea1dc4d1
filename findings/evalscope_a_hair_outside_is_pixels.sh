#!/usr/bin/env bash
# evalscope 1.14.1, RefCOCO's boxes (`bbox_rec`): the prompt asks for corners between 0 and 1.
#
# Guess: a box whose edge lies at 1.01, a hair outside the picture, scores a hair less than one at 1.0.
# What happens: one number above 1 makes all four pixels: they are divided by the picture's sides, and the box is
#   a point in the corner. Its IoU is 0 in place of 0.98. A box in thousandths of the sides, which many models
#   write, is divided by the sides as well: right only where the picture is about 1,000 pixels wide and high.
# Who is hurt: models that are sure of themselves at the edge, where many of COCO's boxes end: whole hits are
#   counted as misses; models that write thousandths, by the size of the pictures.
# The methods that count here, out of files that import all of the framework.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --no-deps evalscope==1.14.1
cat > "$folder/run.py" <<'PY'
import ast
import logging
import re
import sys
import typing
from importlib.metadata import distribution, version
from pathlib import Path
from types import SimpleNamespace

package = Path(distribution("evalscope").locate_file("evalscope/benchmarks/refcoco"))


def function(file: str, name: str, given: dict):
    tree = ast.parse((package / file).read_text())
    found = next(part for part in ast.walk(tree) if isinstance(part, ast.FunctionDef) and part.name == name)
    made = dict(given)
    exec(compile(ast.Module([found], []), file, "exec"), made)
    return made[name]


given = {"re": re, "logger": logging.getLogger(), "EvalMode": SimpleNamespace(BBOX_REC="bbox_rec"),
         "TaskState": object} | {name: getattr(typing, name) for name in ("List", "Union")}
extract = function("refcoco_adapter.py", "extract_answer", given)
score = function("evaluation_lib.py", "bbox_rec_score_result", {})

GOLD, SIZE = [0.5, 0.2, 1.0, 0.9], (640, 480)
ASKED = {
    "the gold box": ("[0.5, 0.2, 1.0, 0.9]", 1.0),
    "a hair inside": ("[0.5, 0.2, 0.99, 0.9]", 0.98),
    "a hair outside": ("[0.5, 0.2, 1.01, 0.9]", 0.0),
    "in pixels": ("[320, 96, 640, 432]", 1.0),
    "in thousandths": ("[500, 200, 1000, 900]", 0.08),
}
seen = {}
state = SimpleNamespace(metadata={"eval_mode": "bbox_rec", "image_size": SIZE})
for name, (answer, _) in ASKED.items():
    seen[name] = round(score(extract(None, answer, state), {"bbox": GOLD})["IoU"], 2)
    print(f"evalscope {version('evalscope')}: {name}, {answer}: IoU {seen[name]}")
sys.exit(seen != {name: iou for name, (_, iou) in ASKED.items()})
PY
"$folder/env/bin/python" "$folder/run.py"
