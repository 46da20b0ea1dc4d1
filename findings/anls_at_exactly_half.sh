#!/usr/bin/env bash
# ANLS in three packages: anls 0.0.2, anls-star 1.0.1 and lmms-eval 0.7.3.
#
# Guess: the metric of DocVQA is one metric: an answer of which half is wrong gets the same score.
# What happens: the definition gives 0 where the normalised distance is not below 0.5. anls follows it;
#   anls-star and lmms-eval give 0.5 at exactly 0.5. "13" for "12" is worth nothing or a half.
# Who is hurt: whoever compares figures on answers of two or four characters: years, counts, page numbers.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet anls==0.0.2 anls-star==1.0.1 Levenshtein==0.27.1
"$folder/env/bin/pip" install --quiet --no-deps lmms-eval==0.7.3
cat > "$folder/run.py" <<'PY'
import ast
import sys
from importlib.metadata import distribution

import anls
import anls_star

# The two functions that count here, out of a file whose other imports are not installed.
path = distribution("lmms-eval").locate_file("lmms_eval/api/metrics.py")
wanted = ("levenshtein_distance", "anls")
tree = ast.parse(path.read_text())
tree.body = [part for part in tree.body if isinstance(part, ast.FunctionDef) and part.name in wanted]
for part in tree.body:
    part.decorator_list = []
theirs: dict = {}
exec(compile(tree, str(path), "exec"), theirs)

seen = {}
for gold, answer in (("12", "13"), ("2019", "2025"), ("2019", "2018")):
    seen[gold, answer] = (
        anls.anls_score(prediction=answer, gold_labels=[gold], threshold=0.5),
        anls_star.anls_score(gold, answer),
        theirs["anls"]([gold], [answer])["anls"],
    )
    print(f"{answer!r} for {gold!r}: anls, anls-star, lmms-eval {seen[gold, answer]}")
sys.exit([*seen.values()] != [(0.0, 0.5, 0.5), (0.0, 0.5, 0.5), (0.75, 0.75, 0.75)])
PY
"$folder/env/bin/python" "$folder/run.py"
