#!/usr/bin/env bash
# hydra-optuna-sweeper 1.3.0 (hydra-core 1.3.2, optuna 2.10.1): `range(...)` on the command line.
#
# Guess: the same words sweep the same values: range(1,5) is 1 to 4, as in Hydra's own sweeper and in Python.
# What happens: it depends on the sweeper and on its sampler. The default sampler tries 5, too; the grid sampler
#   stops at 4. range(1,6,2) is 1, 3 and 5 in Hydra's sweeper, and 1 and 3 in the grid, which leaves the last
#   value out and says only how many runs it makes.
# Who is hurt: sweeps of counts (crops, experts, blocks): the grid lacks its largest setting, and an upper limit
#   that was to be kept is gone beyond: a run that was to stay below 5 crops has 5.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet hydra-core==1.3.2 hydra-optuna-sweeper==1.3.0 optuna==2.10.1
cat > "$folder/run.py" <<'PY'
from pathlib import Path

import hydra


@hydra.main(version_base=None)
def run(config) -> float:
    with Path(config.seen).open("a") as file:
        print(config.crops, file=file)
    return float(config.crops)


run()
PY
cat > "$folder/check.py" <<'PY'
import subprocess
import sys
from pathlib import Path

folder = Path(sys.argv[1])
OPTUNA = ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=60"]
SWEEPERS = {
    "Hydra": [],
    "Optuna": [*OPTUNA, "hydra.sweeper.sampler.seed=1"],
    "Optuna's grid": [*OPTUNA, "hydra/sweeper/sampler=grid"],
}
found = {}
for words in ("range(1,5)", "range(1,6,2)"):
    for name, options in SWEEPERS.items():
        seen = folder / f"seen{len(found)}"
        subprocess.run(
            [sys.executable, folder / "run.py", "-m", *options, f"hydra.sweep.dir={folder}/runs",
             f"+seen={seen}", f"+crops={words}"],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        found[words, name] = sorted({int(line) for line in seen.read_text().split()})
        print(f"+crops={words}: {name} runs {found[words, name]}")
sys.exit([*found.values()] != [[1, 2, 3, 4], [1, 2, 3, 4, 5], [1, 2, 3, 4], [1, 3, 5], [1, 3, 5], [1, 3]])
PY
"$folder/env/bin/python" "$folder/check.py" "$folder"
