#!/usr/bin/env bash
# mlx-vlm 0.7.10, its MMMU (`MMMU_eval`) and MMStar (`extract_answer`): the letter of a choice in a sentence.
#
# Guess: "The answer is (B). It is a sign." is B: there is one letter in brackets, behind the usual phrase.
# What happens: for MMStar "it is a" says A, and weighs more than the bracket, which no phrase takes. For MMMU, where no
#   phrase or bracket is found, the first word of one letter counts: "It shows a red car. B" is A.
# Who is hurt: models that explain themselves: every A is theirs, and the others are lost; more tokens of reasoning make
#   accuracy fall.
# The functions that count here, out of files that import all of the framework.
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


def functions(file: str, *wanted: str) -> dict:
    path = distribution("mlx-vlm").locate_file(f"mlx_vlm/evals/{file}.py")
    tree = ast.parse(path.read_text())
    tree.body = [part for part in tree.body if isinstance(part, ast.FunctionDef) and part.name in wanted]
    made: dict = {"re": re, "csv": csv, "dump": json.dump, "logging": logging}
    exec(compile(tree, str(path), "exec"), made)
    return made


evaluate = functions("mmmu", "MMMU_eval", "normalize_number")["MMMU_eval"]
extract = functions("mmstar", "extract_answer")["extract_answer"]


def mmmu(answer: str) -> str:
    rows = [{"prediction": answer, "answer": gold} for gold in "ABCD"]
    with contextlib.redirect_stdout(io.StringIO()):
        evaluate(rows, f"{sys.argv[1]}/any_MMMU_any.csv")
    return "".join(row["answer"] for row in rows if row["score"])


def mmstar(answer: str) -> str:
    return "".join(gold for gold in "ABCD" if extract(answer, gold))


ASKED = {
    "B": ("B", "B"),
    "The answer is B": ("B", "B"),
    "The answer is (B). It is a sign.": ("B", "A"),
    "It shows a red car. B": ("A", ""),
    "A man holds a sign, so it is C": ("A", "C"),
    "Since it would be a red light: (D)": ("D", "A"),
}
seen = {answer: (mmmu(answer), mmstar(answer)) for answer in ASKED}
for answer, (one, other) in seen.items():
    print(f"mlx-vlm {version('mlx-vlm')}: {answer!r}: MMMU {one or None}, MMStar {other or None}")
sys.exit(seen != ASKED)
PY
"$folder/env/bin/python" "$folder/run.py" "$folder"
