#!/usr/bin/env bash
# lighteval 0.13.0: `helm_normalizer`, for quasi exact matches.
#
# Guess: numbers that are equal become equal: its inner function says that 1.0 and 1 do.
# What happens: punctuation is taken out first, the point and the minus with it, and what is left is read as a
#   number. 1.0 becomes 10.0, which is not 1 and is 10; 3.5 becomes 35; -5 becomes 5. So "1.0" is wrong for
#   "1", and "35" right for "3.5".
# Who is hurt: answers that are read off charts, gauges, tables and bills, in both directions.
# The function that counts here, out of a file that imports more of the framework.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --no-deps lighteval==0.13.0
cat > "$folder/run.py" <<'PY'
import ast
import re
import string
import sys
from importlib.metadata import distribution, version
from pathlib import Path

path = Path(distribution("lighteval").locate_file("lighteval/metrics/normalizations.py"))
tree = ast.parse(path.read_text())
tree.body = [part for part in tree.body
             if isinstance(part, ast.FunctionDef) and part.name == "helm_normalizer"]
theirs = {"re": re, "string": string}
exec(compile(tree, str(path), "exec"), theirs)

ASKED = (("1", "1.0", False), ("10", "1.0", True), ("3.5", "35", True), ("-5", "5", True),
         ("1,000", "1000", True), ("2.50", "2.5", False))
seen = []
for gold, answer, _ in ASKED:
    made = [theirs["helm_normalizer"](text) for text in (gold, answer)]
    seen.append(made[0] == made[1])
    print(f"lighteval {version('lighteval')}: gold {gold!r} is read as {made[0]!r}, answer {answer!r} as "
          f"{made[1]!r}: {'right' if seen[-1] else 'wrong'}")
sys.exit(seen != [right for *_, right in ASKED])
PY
"$folder/env/bin/python" "$folder/run.py"
