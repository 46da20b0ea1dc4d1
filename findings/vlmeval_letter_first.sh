#!/usr/bin/env bash
# nvidia-vlmeval 26.3 and ms-vlmeval 0.0.20, two packages that both call themselves VLMEvalKit: `can_infer`.
#
# Guess: the same answer is the same letter in both.
# What happens: ms-vlmeval takes a letter only among the last four words. "B, because the sign is green and
#   says go" is B in one and no answer in the other, where a judge model or a miss decides. Short answers
#   and those that end with the letter agree.
# Who is hurt: whoever compares figures that were taken with the two: a model that gives its letter first
#   and reasons afterwards loses in one of them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --no-deps --target "$folder/nvidia-vlmeval" nvidia-vlmeval==26.3
"$folder/env/bin/pip" install --quiet --no-deps --target "$folder/ms-vlmeval" ms-vlmeval==0.0.20
cat > "$folder/run.py" <<'PY'
import ast
import copy
import os
import string
import sys
from pathlib import Path

WANTED = ("can_infer_option", "can_infer_text", "can_infer")
CHOICES = {"A": "stop", "B": "walk", "C": "turn", "D": "wait"}
ANSWERS = ("B", "B. walk", "The sign is green and says go, so it is B",
           "B, because the sign is green and says go", "(B) The sign is green and says go")
os.environ.pop("VERBOSE", None)
theirs = {}
for package in ("nvidia-vlmeval", "ms-vlmeval"):
    # The functions that count here, out of a file that imports all of the framework.
    path = Path(sys.argv[1], package, "vlmeval/utils/matching_util.py")
    tree = ast.parse(path.read_text())
    tree.body = [part for part in tree.body if isinstance(part, ast.FunctionDef) and part.name in WANTED]
    names: dict = {"os": os, "cp": copy, "string": string}
    exec(compile(tree, str(path), "exec"), names)
    theirs[package] = names["can_infer"]
seen = [tuple(read(answer, dict(CHOICES)) for read in theirs.values()) for answer in ANSWERS]
for answer, (nvidia, ms) in zip(ANSWERS, seen, strict=True):
    print(f"{answer!r}: nvidia-vlmeval {nvidia}, ms-vlmeval {ms}")
sys.exit(seen != [("B", "B")] * 3 + [("B", False)] * 2)
PY
"$folder/env/bin/python" "$folder/run.py" "$folder"
