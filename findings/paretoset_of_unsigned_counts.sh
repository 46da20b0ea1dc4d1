#!/usr/bin/env bash
# paretoset 1.2.5: `paretoset(table, sense=["min", "max"])` on counts.
#
# Guess: the front is that of the numbers, whatever their type.
# What happens: what is to be maximised is negated in its own type. In unsigned counts (a column of right
#   answers as uint16, as Arrow tables and C readers give them) nought stays nought, which is then less than
#   every other: a setting that answers nothing right is on the front, and what costs more than it is not.
# Who is hurt: fronts of tokens against right answers where one setting has none right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet paretoset==1.2.5 numpy==2.3.5 pandas==2.3.3
cat > "$folder/run.py" <<'PY'
import sys
from importlib.metadata import version

import numpy as np
from paretoset import paretoset

settings = [[391, 63], [1011, 0], [1980, 85], [2500, 85], [3000, 86]]  # tokens, right answers
seen = {}
for kind in (np.float64, np.int64, np.uint16):
    mask = paretoset(np.array(settings, dtype=kind), sense=["min", "max"])
    seen[kind.__name__] = [pair for pair, kept in zip(settings, mask, strict=True) if kept]
    print(f"paretoset {version('paretoset')}, {kind.__name__}: {seen[kind.__name__]}")
right = [[391, 63], [1980, 85], [3000, 86]]
sys.exit([*seen.values()] != [right, right, [[391, 63], [1011, 0]]])
PY
"$folder/env/bin/python" "$folder/run.py"
