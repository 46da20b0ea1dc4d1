#!/usr/bin/env bash
# mlx-vlm 0.7.10, its MMMU (`MMMU_eval`) on MMMU-Pro, which it offers: "standard (10 options)", letters A to J.
#
# Guess: a letter is read in one way from A to J.
# What happens: A to F and I count as letters; G, H and J are taken as answers in words, which are right where they stand
#   anywhere in what the model said: nearly any sentence has a "g" or an "h", "The answer is B, the light" is right for
#   G, for H and for B. I is looked for among A to F and can never be right, not even as the bare letter.
# Who is hurt: MMMU-Pro with it: two in ten questions are given away to whoever writes sentences, one is lost, so the
#   figure depends on how much a model says; a setting with shorter answers looks worse.
# The function that counts here, out of a file that imports all of the framework.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --no-deps mlx-vlm==0.7.10
cat > "$folder/run.py" <<'PY'
import ast
import contextlib
import csv
import io
import json
import logging
import re
import sys
from importlib.metadata import distribution, version

path = distribution("mlx-vlm").locate_file("mlx_vlm/evals/mmmu.py")
tree = ast.parse(path.read_text())
wanted = ("MMMU_eval", "normalize_number")
tree.body = [part for part in tree.body if isinstance(part, ast.FunctionDef) and part.name in wanted]
theirs: dict = {"re": re, "csv": csv, "dump": json.dump, "logging": logging}
exec(compile(tree, str(path), "exec"), theirs)


def right_for(answer: str) -> str:
    """The gold letters from A to J for which `answer` is right."""
    rows = [{"prediction": answer, "answer": gold} for gold in "ABCDEFGHIJ"]
    with contextlib.redirect_stdout(io.StringIO()):
        theirs["MMMU_eval"](rows, f"{sys.argv[1]}/any_MMMU_any.csv")
    return "".join(row["answer"] for row in rows if row["score"])


ASKED = {
    "The answer is B, the light": "BGH",
    "B": "B",
    "(C) just enough light": "CGHJ",
    "G": "G",
    "The answer is G": "GH",
    "I": "",
    "The answer is I": "H",
}
seen = {answer: right_for(answer) for answer in ASKED}
for answer, golds in seen.items():
    print(f"mlx-vlm {version('mlx-vlm')}: {answer!r} is right for a gold {list(golds)}")
sys.exit(seen != ASKED)
PY
"$folder/env/bin/python" "$folder/run.py" "$folder"
