#!/usr/bin/env bash
# unitxt 1.26.10: its ANLS, the metric of DocVQA and InfographicVQA there.
#
# Guess: blanks and line ends around an answer count for nothing: they are taken off before the two are compared.
# What happens: the distance is taken between the stripped texts, and is divided by the length of the text with
#   its blanks. A line end makes a wrong answer better: "12" for "13" scores 0.5, with one behind it 0.67, with
#   three 0.8. "2005" for "1998", of which not a character is right, scores 0, and 0.83 with twenty blanks.
# Who is hurt: models whose answers end in line ends or are padded to a width: they look better than they are,
#   and by more the longer the blanks; short answers most, which are years, counts and page numbers.
# The class that counts here, out of a file that imports all of the framework.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --no-deps unitxt==1.26.10
cat > "$folder/run.py" <<'PY'
import ast
import sys
import typing
from functools import lru_cache
from importlib.metadata import distribution, version
from pathlib import Path

path = Path(distribution("unitxt").locate_file("unitxt/metrics.py"))
anls = next(part for part in ast.parse(path.read_text()).body
            if isinstance(part, ast.ClassDef) and part.name == "ANLS")
anls.bases = []
theirs = {"lru_cache": lru_cache} | {name: getattr(typing, name) for name in ("Any", "Dict", "List")}
exec(compile(ast.Module([anls], []), str(path), "exec"), theirs)
metric = theirs["ANLS"]()

ASKED = (("13", "13", 1.0), ("13", "13\n\n", 1.0), ("13", "12", 0.5), ("13", "12\n", 0.67),
         ("13", "12\n\n\n", 0.8), ("1998", "2005", 0.0), ("1998", "2005" + " " * 20, 0.83))
seen = [round(metric.compute([gold], answer, [])["anls"], 2) for gold, answer, _ in ASKED]
for (gold, answer, _), score in zip(ASKED, seen, strict=True):
    print(f"unitxt {version('unitxt')}: gold {gold!r}, answer {answer!r}: {score}")
sys.exit(seen != [score for *_, score in ASKED])
PY
"$folder/env/bin/python" "$folder/run.py"
