#!/usr/bin/env bash
# lmms-eval 0.7.3, POPE: `pope_process_results` and its aggregates.
#
# Guess: "Yes." and "Yes, there is a dog." are yes. (The benchmark's own script looks for no or not among
#   the words of the first sentence, and takes everything else as yes.)
# What happens: an answer is right where it is the bare word, whatever its case. "Yes." is wrong, and
#   neither yes nor no: it lowers the share of yes that POPE is read for, and leaves precision alone.
# Who is hurt: models that answer in sentences: no hallucination and no accuracy is what is reported.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --no-deps lmms-eval==0.7.3
cat > "$folder/run.py" <<'PY'
import importlib.util
import sys
from importlib.metadata import distribution, version

path = distribution("lmms-eval").locate_file("lmms_eval/tasks/pope/utils.py")
spec = importlib.util.spec_from_file_location("pope_utils", path)
utils = importlib.util.module_from_spec(spec)
spec.loader.exec_module(utils)

seen = {}
for answer in ("YES", "Yes.", "Yes, there is a dog.", "There is one, yes"):
    results = [
        utils.pope_process_results({"question_id": 0, "answer": gold}, [answer])["pope_accuracy"]
        for gold in ("yes", "no")
    ]
    seen[answer] = (utils.pope_aggregate_accuracy(results), utils.pope_aggregate_yes_ratio(results))
    print(f"lmms-eval {version('lmms-eval')}: {answer!r} to a yes and a no question: "
          f"accuracy {seen[answer][0]}")
sys.exit([accuracy for accuracy, _ in seen.values()] != [0.5, 0.0, 0.0, 0.0])
PY
"$folder/env/bin/python" "$folder/run.py"
