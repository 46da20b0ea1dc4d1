#!/usr/bin/env bash
# crfm-helm 0.5.16: `quasi_prefix_exact_match`, the main metric of its VQAv2, VizWiz, GQA and POPE.
#
# Guess: an answer is right that is the gold answer, or begins with it as a word: "Yes, there is" for "yes".
# What happens: it is enough to begin with its letters. For a gold "1" the answers "12" and "100" are right, for
#   "2" is "25", for "no" are "not sure", "north" and "nothing", for "red" is "reddish brown". Points and signs
#   are dropped before: "35" is right for "3.5", "5 degrees" for "-5".
# Who is hurt: how-many and yes-or-no questions, which are most of them: a model that counts wrong by ten or does
#   not want to say has them right; comparisons with figures of the official metric.
# The functions that count here, out of a file that imports more of the framework.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --no-deps crfm-helm==0.5.16
cat > "$folder/run.py" <<'PY'
import ast
import re
import string
import sys
from importlib.metadata import distribution, version
from pathlib import Path

package = Path(distribution("crfm-helm").locate_file("helm/benchmark"))
path = package / "metrics/evaluate_reference_metrics.py"
tree = ast.parse(path.read_text())
wanted = ("normalize_text", "quasi_prefix_exact_match")
tree.body = [part for part in tree.body if isinstance(part, ast.FunctionDef) and part.name in wanted]
theirs = {"re": re, "string": string}
exec(compile(tree, str(path), "exec"), theirs)

mains = {
    name: 'main_metric="quasi_prefix_exact_match"'
    in (package / f"scenarios/vision_language/{name}_scenario.py").read_text()
    for name in ("vqa", "viz_wiz", "gqa", "pope")
}
print(f"crfm-helm {version('crfm-helm')}: the main metric of {', '.join(mains)}: {all(mains.values())}")
ASKED = (
    ("yes", "Yes, there is.", 1), ("1", "3", 0), ("1", "12", 1), ("1", "100", 1), ("2", "25", 1),
    ("no", "Not sure", 1), ("no", "north", 1), ("red", "reddish brown", 1), ("3.5", "35", 1),
    ("-5", "5 degrees", 1), ("12", "1", 0),
)
seen = [theirs["quasi_prefix_exact_match"](gold, answer) for gold, answer, _ in ASKED]
for (gold, answer, _), score in zip(ASKED, seen, strict=True):
    print(f"gold {gold!r}, answer {answer!r}: {score}")
sys.exit(not all(mains.values()) or seen != [score for *_, score in ASKED])
PY
"$folder/env/bin/python" "$folder/run.py"
