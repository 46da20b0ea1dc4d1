#!/usr/bin/env bash
# lmms-eval 0.7.3, MathVista (as in the benchmark's own code): `normalize_extracted_answer`, questions of choices.
#
# Guess: what names no choice is no answer, and wrong.
# What happens: it becomes the choice with the smallest edit distance. For no text at all, which is a model that
#   says nothing or a judge that cannot be reached, that is the shortest one: of Yes and No it is No, of 8, 12
#   and 24 it is 8. A letter with a full stop, "B.", is not read as a letter, and becomes the first of several
#   numbers; "I cannot tell." becomes the choice whose length suits it.
# Who is hurt: whoever reads the score of a run whose judge failed, or whose answers were cut off: it is above
#   zero and looks like a weak model's; baselines without the picture.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet Levenshtein==0.27.1
"$folder/env/bin/pip" install --quiet --no-deps lmms-eval==0.7.3
cat > "$folder/run.py" <<'PY'
import ast
import re
import sys
from importlib.metadata import distribution, version
from pathlib import Path

from Levenshtein import distance

# The methods that count here, out of a file that imports all of the framework.
path = Path(distribution("lmms-eval").locate_file("lmms_eval/tasks/mathvista/mathvista_evals.py"))
evaluator = next(part for part in ast.parse(path.read_text()).body
                 if isinstance(part, ast.ClassDef) and part.name == "MathVistaEvaluator")
wanted = ("extract_answer", "get_most_similar", "normalize_extracted_answer")
evaluator.body = [part for part in evaluator.body
                  if isinstance(part, ast.FunctionDef) and part.name in wanted]
theirs = {"re": re, "distance": distance}
exec(compile(ast.Module([evaluator], []), str(path), "exec"), theirs)
judge = theirs["MathVistaEvaluator"]()

YES, NUMBERS = ["Yes", "No"], ["24", "12", "8"]
ASKED = (
    ("", YES, "No"), ("", NUMBERS, "8"), ("(A)", NUMBERS, "24"), ("A", NUMBERS, "24"), ("A.", NUMBERS, "24"),
    ("B.", ["24", "8", "6"], "24"), ("I cannot tell.", ["blue", "light green", "red"], "light green"),
)
seen = []
for said, choices, _ in ASKED:
    problem = {"question_type": "multi_choice", "answer_type": "text", "choices": choices, "query": "?"}
    # An empty response is handed on as it is; the others are what the judge model extracted.
    extracted = judge.extract_answer(said, problem) if not said else said
    seen.append(judge.normalize_extracted_answer(extracted, choices, "multi_choice", "text", 0))
    print(f"lmms-eval {version('lmms-eval')}: {said!r} among {choices} is {seen[-1]!r}")
sys.exit(seen != [choice for *_, choice in ASKED])
PY
"$folder/env/bin/python" "$folder/run.py"
