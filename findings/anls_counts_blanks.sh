#!/usr/bin/env bash
# unitxt 1.26.10, nvidia-vlmeval 26.3 and ms-vlmeval 0.0.20 (both VLMEvalKit): ANLS, the metric of DocVQA and
# InfographicVQA.
#
# Guess: blanks and line ends around an answer count for nothing: they are taken off before the two are compared.
# What happens: in all three the distance is taken between the stripped texts, and is divided by the length of the
#   text with its blanks. A line end makes a wrong answer better: "12" for "13" scores 0.5, with one behind it
#   0.67, with three 0.8. "2005" for "1998", of which not a character is right, scores 0, and 0.83 with twenty
#   blanks.
# Who is hurt: figures of models whose answers end in line ends or are padded: they look better than they are, and by
#   more the longer the blanks; short answers most, which are years, counts and page numbers.
# The parts that count here, out of files that import all of the frameworks.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
for package in unitxt==1.26.10 nvidia-vlmeval==26.3 ms-vlmeval==0.0.20; do
  "$folder/env/bin/pip" install --quiet --no-deps --target "$folder/${package%%==*}" "$package"
done
cat > "$folder/run.py" <<'PY'
import ast
import sys
import typing
from functools import lru_cache
from pathlib import Path

FOLDER = Path(sys.argv[1])
GIVEN = {"lru_cache": lru_cache} | {name: getattr(typing, name) for name in ("Any", "Dict", "List")}


def parts(path: Path, names: tuple[str, ...]) -> dict:
    body = [part for part in ast.parse(path.read_text()).body if getattr(part, "name", None) in names]
    for part in body:
        if isinstance(part, ast.ClassDef):
            part.bases = []
    theirs = dict(GIVEN)
    exec(compile(ast.Module(body, []), str(path), "exec"), theirs)
    return theirs


def of_vlmeval(package: str):
    theirs = parts(FOLDER / package / "vlmeval/dataset/utils/vqa_eval.py",
                   ("levenshtein_distance", "anls_compute", "hit_calculate", "listinstr"))
    minimum = type("np", (), {"min": staticmethod(min)})  # of one reference
    contains = {"listinstr": lambda names, name: any(one in name for one in names), "np": minimum}
    theirs["hit_calculate"].__globals__.update(contains)
    return lambda gold, answer: theirs["hit_calculate"](
        [{"match": [theirs["anls_compute"](gold, answer)]}], "DocVQA"
    )[0]


unitxt = parts(FOLDER / "unitxt/unitxt/metrics.py", ("ANLS",))["ANLS"]()
METRICS = {
    "unitxt": lambda gold, answer: unitxt.compute([gold], answer, [])["anls"],
    "nvidia-vlmeval": of_vlmeval("nvidia-vlmeval"),
    "ms-vlmeval": of_vlmeval("ms-vlmeval"),
}
ASKED = (("13", "13", 1.0), ("13", "13\n\n", 1.0), ("13", "12", 0.5), ("13", "12\n", 0.67),
         ("13", "12\n\n\n", 0.8), ("1998", "2005", 0.0), ("1998", "2005" + " " * 20, 0.83))
seen = {name: [round(metric(gold, answer), 2) for gold, answer, _ in ASKED] for name, metric in METRICS.items()}
for index, (gold, answer, _) in enumerate(ASKED):
    print(f"gold {gold!r}, answer {answer!r}: "
          + ", ".join(f"{scores[index]} in {name}" for name, scores in seen.items()))
sys.exit(any(scores != [score for *_, score in ASKED] for scores in seen.values()))
PY
"$folder/env/bin/python" "$folder/run.py" "$folder"
