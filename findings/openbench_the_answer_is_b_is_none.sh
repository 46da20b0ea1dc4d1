#!/usr/bin/env bash
# openbench 0.5.3: `extract_mcq_answer`, the shared reader of letters: MMMU, MMMU-Pro, GPQA, MMLU and others.
#
# Guess: of more than a dozen patterns, in many languages, one reads "The answer is B" and "B. red".
# What happens: none does: both are no answer, and wrong; "Answer: B" and "(B)" are read. The pattern of the highest rank
#   takes the first letter behind a line's "Answer", of a word as well: "Answer: The correct option is B" is T, "Answer
#   choice B" is C, "Answering the question: (B)" is I. In brackets the first letter counts: "Both (A) and (C) are wrong,
#   so B" is A.
# Who is hurt: small models and fine-tuned ones, which do not keep to the asked last line: they are below chance with the
#   right answers, and a figure tells how a model phrases.
# The functions that count here, out of files that import all of the framework.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --no-deps openbench==0.5.3
cat > "$folder/run.py" <<'PY'
import ast
import re
import string
import sys
from importlib.metadata import distribution, version
from typing import Optional

NAMES = {"strip_md_latex", "normalize_mcq_answer", "MULTILINGUAL_ANSWER_PATTERN_TEMPLATE",
         "MULTILINGUAL_ANSWER_REGEXES", "MCQ_PATTERNS", "MULTILINGUAL_PATTERNS", "extract_mcq_answer"}


def name_of(part: ast.stmt) -> str | None:
    if isinstance(part, ast.FunctionDef):
        return part.name
    if isinstance(part, ast.Assign):
        return getattr(part.targets[0], "id", None)
    return "MULTILINGUAL_PATTERNS" if isinstance(part, ast.For) else None


theirs = {"re": re, "Optional": Optional, "ascii_uppercase": string.ascii_uppercase}
for file in ("utils/text", "scorers/mcq"):
    path = distribution("openbench").locate_file(f"openbench/{file}.py")
    tree = ast.parse(path.read_text())
    tree.body = [part for part in tree.body if name_of(part) in NAMES]
    exec(compile(tree, str(path), "exec"), theirs)

ASKED = {
    "Answer: B": "B",
    "(B)": "B",
    "B": "B",
    "The answer is B": None,
    "The correct answer is B.": None,
    "B. red": None,
    "B, because it is red": None,
    "Answer: The correct option is B": "T",
    "Answer choice B": "C",
    "Answering the question: (B)": "I",
    "Both (A) and (C) are wrong, so B": "A",
}
seen = {answer: theirs["extract_mcq_answer"](answer) for answer in ASKED}
for answer, letter in seen.items():
    print(f"openbench {version('openbench')}: {answer!r} is {letter}")
sys.exit(seen != ASKED)
PY
"$folder/env/bin/python" "$folder/run.py"
