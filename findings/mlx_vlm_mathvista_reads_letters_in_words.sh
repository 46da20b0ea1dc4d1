#!/usr/bin/env bash
# mlx-vlm 0.7.10, its MathVista (`mlx_vlm.evals.math_vista`): `normalize_answer`.
#
# Guess: an answer that is one of the choices, word for word, is that choice; the code says so. A number in a sentence is
#   that number.
# What happens: before it is compared with the choices, the last letters of whatever was said are read as choices, words
#   or not: "red" ends with D, the fourth choice; "blue" has a B. "Yes" and "No" have no letter that is a choice, and are
#   right. Of whole numbers the last run of digits *or commas* is taken: "5 apples, I think" ends in a comma, and is no
#   number at all; "12.5" is 5.
# Who is hurt: models that answer with the text of a choice or in a sentence: about as many right as wrong, by the
#   spelling of the choice.
# The functions that count here, out of a file that imports all of the framework.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --no-deps mlx-vlm==0.7.10
cat > "$folder/run.py" <<'PY'
import ast
import re
import sys
from importlib.metadata import distribution, version
from typing import Optional

path = distribution("mlx-vlm").locate_file("mlx_vlm/evals/math_vista.py")
tree = ast.parse(path.read_text())
tree.body = [part for part in tree.body if isinstance(part, ast.FunctionDef) and part.name == "normalize_answer"]
theirs: dict = {"re": re, "Optional": Optional}
exec(compile(tree, str(path), "exec"), theirs)

COLOURS, SIDES = ["blue", "red", "green", "white"], ["Yes", "No"]
CHOICES = {"red": "white", "blue": "red", "green": "green", "white": "white", "The answer is B": "red"}
NUMBERS = {"There are 5": "5", "5 apples, I think": "5 apples, I think", "It is 12.5": "5", "5": "5"}
seen = {}
for answer in CHOICES:
    problem = {"question_type": "multi_choice", "answer_type": "text", "choices": COLOURS}
    seen[answer] = theirs["normalize_answer"](answer, problem)
    print(f"mlx-vlm {version('mlx-vlm')}: {answer!r} among {COLOURS} is {seen[answer]!r}")
for answer in SIDES:
    problem = {"question_type": "multi_choice", "answer_type": "text", "choices": SIDES}
    seen[answer] = theirs["normalize_answer"](answer, problem)
for answer in NUMBERS:
    problem = {"question_type": "free_form", "answer_type": "integer", "choices": None}
    seen[answer] = theirs["normalize_answer"](answer, problem)
    print(f"mlx-vlm {version('mlx-vlm')}: {answer!r} as a whole number is {seen[answer]!r}")
sys.exit(seen != CHOICES | NUMBERS | {side: side for side in SIDES})
PY
"$folder/env/bin/python" "$folder/run.py"
