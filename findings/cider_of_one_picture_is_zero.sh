#!/usr/bin/env bash
# pycocoevalcap 1.2: CIDEr.
#
# Guess: a caption's score depends on the caption and its references, and a perfect one has the full score.
# What happens: words are weighed by how few of the *evaluated* pictures have them in their references. With
#   one picture every weight is the logarithm of one: a perfect caption scores 0, with two it scores 10. The
#   same caption with the same references scores otherwise in every subset.
# Who is hurt: dry runs on a few samples, scores by sample, by task or by shard, routers that are fitted on a
#   sample's score, and whoever compares a subset's figure with a paper's.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --no-deps pycocoevalcap==1.2
"$folder/env/bin/pip" install --quiet numpy==2.3.5
cat > "$folder/run.py" <<'PY'
import sys
from importlib.metadata import version

from pycocoevalcap.cider.cider import Cider

GOLD = ["a dog runs on the beach", "two cats sleep on a red sofa", "a dog rides a bike",
        "a plate of food on a table", "people wait for the train"]


def scores(answers: list[str]) -> list[float]:
    gold = {at: [caption] for at, caption in enumerate(GOLD[: len(answers)])}
    each = Cider().compute_score(gold, {at: [answer] for at, answer in enumerate(answers)})[1]
    return [round(float(score), 2) for score in each]


perfect = {count: scores(GOLD[:count])[0] for count in (1, 2, 5)}
near = {count: scores(["a dog walks on the beach", *GOLD[1:count]])[0] for count in (1, 2, 3, 5)}
print(f"pycocoevalcap {version('pycocoevalcap')}: a perfect caption, by pictures evaluated: {perfect}")
print(f"'a dog walks on the beach' for {GOLD[0]!r}, by pictures evaluated: {near}")
sys.exit(perfect != {1: 0.0, 2: 10.0, 5: 10.0} or near[1] != 0.0 or len({*near.values()}) != 4)
PY
"$folder/env/bin/python" "$folder/run.py"
