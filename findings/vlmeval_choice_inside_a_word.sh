#!/usr/bin/env bash
# nvidia-vlmeval 26.3 and ms-vlmeval 0.0.20, two packages of VLMEvalKit: `can_infer`, where an answer names no
# letter.
#
# Guess: an answer that holds the text of one choice, as a word, is that choice; others go to the judge model.
# What happens: characters are enough. Among 1, 2 and 3 the answer "10" is the choice 1, and "300" the choice
#   3; among red, blue and green "The road is covered" is red; "unmarried" is married. The judge is not asked.
# Who is hurt: counting and reading of numbers, colours and opposites: wrong answers are right where the key is in
#   them, and misses that a judge would have read as none of them are an answer.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --no-deps --target "$folder/nvidia-vlmeval" nvidia-vlmeval==26.3
"$folder/env/bin/pip" install --quiet --no-deps --target "$folder/ms-vlmeval" ms-vlmeval==0.0.20
cat > "$folder/run.py" <<'PY'
import ast
import copy
import logging
import os
import re
import string
import sys
from pathlib import Path

WANTED = ("can_infer_option", "can_infer_text", "can_infer")
NUMBERS, COLOURS = {"A": "1", "B": "2", "C": "3"}, {"A": "red", "B": "blue", "C": "green"}
ASKED = (
    ("2", NUMBERS, "B"), ("10", NUMBERS, "A"), ("300", NUMBERS, "C"), ("7", NUMBERS, False),
    ("The road is covered", COLOURS, "A"), ("It is yellow", COLOURS, False),
    ("He is unmarried", {"A": "married", "B": "single"}, "A"),
)
os.environ.pop("VERBOSE", None)
seen = {}
for package in ("nvidia-vlmeval", "ms-vlmeval"):
    # The functions that count here, out of a file that imports all of the framework.
    path = Path(sys.argv[1], package, "vlmeval/utils/matching_util.py")
    tree = ast.parse(path.read_text())
    tree.body = [part for part in tree.body if isinstance(part, ast.FunctionDef) and part.name in WANTED]
    theirs: dict = {"os": os, "cp": copy, "string": string, "re": re, "logger": logging.getLogger(),
                    "get_logger": logging.getLogger}
    exec(compile(tree, str(path), "exec"), theirs)
    seen[package] = [theirs["can_infer"](answer, dict(choices)) for answer, choices, _ in ASKED]
    for (answer, choices, _), letter in zip(ASKED, seen[package], strict=True):
        print(f"{package}: {answer!r} among {', '.join(choices.values())}: "
              f"{choices[letter] if letter else 'none, ask the judge'}")
sys.exit([*seen.values()] != [[letter for *_, letter in ASKED]] * 2)
PY
"$folder/env/bin/python" "$folder/run.py" "$folder"
