#!/usr/bin/env bash
# nvidia-vlmeval 26.3 and ms-vlmeval 0.0.20, two packages of VLMEvalKit: `can_infer`, which reads the letter
# out of an answer to a question of choices.
#
# Guess: the environment variable VERBOSE changes what is logged.
# What happens: it changes the letter. An answer of four words or more that has an "A" is refused where
#   VERBOSE is set, so "The answer is A" is no answer; the same sentence with B, C or D is read. Where it
#   is not set, "A cat is shown here" is read as A. VERBOSE=0 counts as set.
# Who is hurt: whoever turns logging on to look into a score: every right "The answer is A" is gone, or goes
#   to a judge model, and the share of A falls.
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
CHOICES = {"A": "red", "B": "green", "C": "blue", "D": "grey"}
seen = {}
for package in ("nvidia-vlmeval", "ms-vlmeval"):
    # The functions that count here, out of a file that imports all of the framework.
    path = Path(sys.argv[1], package, "vlmeval/utils/matching_util.py")
    tree = ast.parse(path.read_text())
    tree.body = [part for part in tree.body if isinstance(part, ast.FunctionDef) and part.name in WANTED]
    theirs: dict = {"os": os, "cp": copy, "string": string, "re": re, "logger": logging.getLogger(),
                    "get_logger": logging.getLogger}
    exec(compile(tree, str(path), "exec"), theirs)
    for answer in ("The answer is A", "The answer is B", "A cat is here"):
        read = []
        for verbose in (None, "0", "1"):
            os.environ.pop("VERBOSE", None)
            if verbose is not None:
                os.environ["VERBOSE"] = verbose
            read.append(theirs["can_infer"](answer, dict(CHOICES)))
        seen[package, answer] = read
        print(f"{package}: {answer!r}: without VERBOSE {read[0]}, VERBOSE=0 {read[1]}, VERBOSE=1 {read[2]}")
sys.exit([*seen.values()] != [["A", False, False], ["B", "B", "B"], ["A", False, False]] * 2)
PY
"$folder/env/bin/python" "$folder/run.py" "$folder"
