#!/usr/bin/env bash
# nvidia-vlmeval 26.3 and ms-vlmeval 0.0.20 (both VLMEvalKit), ChartQA: `process_line`, `relaxed_accuracy`.
#
# Guess: a number is right within 5 % of the gold answer, as the benchmark and the function's own words say.
# What happens: nvidia-vlmeval hands the two arguments over the wrong way round, so that the 5 % are of the
#   model's answer: for a gold of 100, 95 is wrong (5 is 5.3 % of 95) and 105.2 right, from 95.24 to 105.26
#   in place of 95 to 105. ms-vlmeval has them right.
# Who is hurt: ChartQA figures beside those of other tools, or of the other package, at the edge of the
#   tolerance.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --no-deps --target "$folder/nvidia-vlmeval" nvidia-vlmeval==26.3
"$folder/env/bin/pip" install --quiet --no-deps --target "$folder/ms-vlmeval" ms-vlmeval==0.0.20
cat > "$folder/run.py" <<'PY'
import ast
import sys
from pathlib import Path
from typing import Optional

seen = {}
for package in ("nvidia-vlmeval", "ms-vlmeval"):
    # The functions that count here, out of a file that imports all of the framework.
    path = Path(sys.argv[1], package, "vlmeval/dataset/utils/vqa_eval.py")
    tree = ast.parse(path.read_text())
    wanted = ("relaxed_correctness", "process_line")
    tree.body = [part for part in tree.body if isinstance(part, ast.FunctionDef) and part.name in wanted]
    theirs: dict = {"Optional": Optional, "istype": lambda text, kind: False}  # one gold answer
    exec(compile(tree, str(path), "exec"), theirs)
    for answer in ("94", "95", "100", "105", "105.2", "106"):
        line = {"answer": "100", "prediction": answer}
        handed = theirs["process_line"](line, method="relaxed_accuracy")["match"][0]
        alone = theirs["relaxed_correctness"](target="100", prediction=answer)
        seen[package, answer] = (alone, handed)
        print(f"{package}: {answer} for 100: the function by its names {alone}, "
              f"a line of ChartQA {handed}")
named = [False, True, True, True, False, False]
swapped = [False, False, True, True, True, False]
sys.exit([*seen.values()] != [*zip(named, swapped, strict=True), *zip(named, named, strict=True)])
PY
"$folder/env/bin/python" "$folder/run.py" "$folder"
