#!/usr/bin/env bash
# moocore 0.3.2 (`is_nondominated`), fast-pareto 1.0.4 (`is_pareto_front`) and paretoset 1.2.5: a table of costs
# with one run that failed.
#
# Guess: a row with NaN is left out or complained of, and the others are on the front as without it.
# What happens: paretoset leaves that row out. In moocore and fast-pareto it also takes away a sound row that comes
#   behind it: of (1, 2), (2, NaN) and (3, 1) only (1, 2) is left, though nothing is better than (3, 1). No
#   warning is given.
# Who is hurt: fronts of sweeps in which one run has no accuracy: the best setting can be missing, and which one is
#   depends on the failed run's cost.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet paretoset==1.2.5 fast-pareto==1.0.4 moocore==0.3.2 numpy==2.3.5
cat > "$folder/run.py" <<'PY'
import sys
import warnings
from importlib.metadata import version

import moocore
import numpy as np
from fast_pareto import is_pareto_front
from paretoset import paretoset

FRONTS = {
    "paretoset": lambda table: paretoset(table, sense=["min", "min"]),
    "moocore": moocore.is_nondominated,
    "fast-pareto": is_pareto_front,
}
sound = np.array([[1.0, 2.0], [3.0, 1.0]])  # cost, share of wrong answers
failed = np.array([[1.0, 2.0], [2.0, np.nan], [3.0, 1.0]])
seen = {}
for name, front in FRONTS.items():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        seen[name] = [np.asarray(front(table)).tolist() for table in (sound, failed)]
    print(f"{name} {version(name)}: the sound rows {seen[name][0]}, with (2, NaN) between them {seen[name][1]}")
kept, lost = [True, False, True], [True, False, False]
sys.exit(
    seen
    != {"paretoset": [[True, True], kept], "moocore": [[True, True], lost], "fast-pareto": [[True, True], lost]}
)
PY
"$folder/env/bin/python" "$folder/run.py"
