#!/usr/bin/env bash
# mlx-vlm 0.7.10, its MMMU (`mlx_vlm.evals.mmmu`): the options of a question, which the data set keeps as the text of a
# Python list.
#
# Guess: four options are four options, A to D, as the gold letter means them.
# What happens: brackets and quotes are taken out and the text is cut at each ", ": an option with a comma of its own
#   becomes two, and all behind it get another letter. Of "red, then green", "blue" and "white" the gold B, blue, is
#   shown as C, and B is "then green". Lists of names, intervals (2, 5) and sums of money with a blank are such options;
#   apostrophes and brackets are gone from all.
# Who is hurt: a model that is right is wrong by its letter, the more so in subjects with long options; figures beside
#   those of any other tool.
# The function that counts here, out of a file that imports all of the framework.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --no-deps mlx-vlm==0.7.10
cat > "$folder/run.py" <<'PY'
import ast
import re
import sys
from importlib.metadata import distribution, version

path = distribution("mlx-vlm").locate_file("mlx_vlm/evals/mmmu.py")
tree = ast.parse(path.read_text())
tree.body = [part for part in tree.body if isinstance(part, ast.FunctionDef) and part.name == "process_question"]
theirs: dict = {"re": re}
exec(compile(tree, str(path), "exec"), theirs)

OPTIONS = {
    ("red, then green", "blue", "white", "black"): ["A. red", "B. then green", "C. blue", "D. white", "E. black"],
    ("(2, 5)", "(3, 4)"): ["A. (2", "B. 5)", "C. (3", "D. 4)"],
    ("Vermeer's [1665]", "Hals"): ["A. Vermeers 1665", "B. Hals"],
    ("blue", "white"): ["A. blue", "B. white"],
}
seen = {}
for options in OPTIONS:
    shown = theirs["process_question"]({"question": "Which?", "options": str(list(options))})
    seen[options] = shown.split("Options:\n")[1].splitlines()
    print(f"mlx-vlm {version('mlx-vlm')}: {options} is shown as {seen[options]}")
sys.exit(seen != OPTIONS)
PY
"$folder/env/bin/python" "$folder/run.py"
