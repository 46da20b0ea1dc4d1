#!/usr/bin/env bash
# lmms-eval 0.7.3, SEED-Bench (`seed_process_result`) and V* (`extract_answer_letter`): the letter of a choice.
#
# Guess: "Answer: D" is D; V*'s code lists that form among those that it reads.
# What happens: it is A, the first letter of "Answer". SEED-Bench takes the first character of whatever comes;
#   V* first asks whether the text begins with a letter from A to D, with no end of the word behind it. So
#   "Based on the sign, it is C" is B in both, "Clearly B" is C. "D" and "D. red" are D.
# Who is hurt: models that say "Answer:" or begin with a word: wrong answers count as right where A is the
#   key, right ones as wrong elsewhere, and a model can score by chance alone.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --no-deps lmms-eval==0.7.3
cat > "$folder/run.py" <<'PY'
import ast
import re
import sys
from importlib.metadata import distribution, version


def function(file: str, name: str):
    """One function out of a file whose other imports are not installed."""
    path = distribution("lmms-eval").locate_file(f"lmms_eval/tasks/{file}")
    tree = ast.parse(path.read_text())
    tree.body = [part for part in tree.body if isinstance(part, ast.FunctionDef) and part.name == name]
    theirs: dict = {"re": re}
    exec(compile(tree, str(path), "exec"), theirs)
    return theirs[name]


seed = function("seedbench/utils.py", "seed_process_result")
star = function("vstar_bench/utils.py", "extract_answer_letter")
doc = {"answer": "D", "data_type": "image", "question_id": 0}
seen = {}
for answer in ("D", "D. red", "Answer: D", "Based on the sign, it is C", "Clearly B"):
    seen[answer] = (seed(doc, [answer])["seed_all"]["pred"], star(answer))
    print(f"lmms-eval {version('lmms-eval')}: {answer!r}: SEED-Bench {seen[answer][0]}, V* {seen[answer][1]}")
sys.exit([*seen.values()] != [("D", "D"), ("D", "D"), ("A", "A"), ("B", "B"), ("C", "C")])
PY
"$folder/env/bin/python" "$folder/run.py"
