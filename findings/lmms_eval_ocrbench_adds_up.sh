#!/usr/bin/env bash
# lmms-eval 0.7.3, OCRBench: `ocrbench_aggregate_accuracy`.
#
# Guess: a benchmark's figure depends on the results that are handed in.
# What happens: points are added to a table that belongs to the module and is never set back. The second
#   evaluation in one process starts with the points of the first: a model that has every question right
#   has 100 % more than is there, one that has none right gets its predecessor's score.
# Who is hurt: sweeps that evaluate several settings in one process.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --no-deps lmms-eval==0.7.3
"$folder/env/bin/pip" install --quiet loguru==0.7.3
cat > "$folder/run.py" <<'PY'
import importlib.util
import os
import sys
import types
from importlib.metadata import distribution, version

# The file alone: the packages around it import all of the framework. Where it writes is given here.
path = distribution("lmms-eval").locate_file("lmms_eval/tasks/ocrbench/utils.py")
for name in ("lmms_eval", "lmms_eval.tasks", "lmms_eval.tasks._task_utils"):
    sys.modules[name] = types.ModuleType(name)
writing = types.ModuleType("lmms_eval.tasks._task_utils.file_utils")
writing.generate_submission_file = lambda *arguments, **named: os.devnull
sys.modules[writing.__name__] = writing
spec = importlib.util.spec_from_file_location("ocrbench_utils", path)
utils = importlib.util.module_from_spec(spec)
spec.loader.exec_module(utils)


def evaluate(prediction: str) -> float:
    """100 questions whose answer is "exit"."""
    doc = {"answer": ["exit"], "dataset": "any", "question_type": "Scene Text-centric VQA"}
    scored = utils.ocrbench_process_results(doc, [prediction])["ocrbench_accuracy"]
    return utils.ocrbench_aggregate_accuracy([scored] * 100, None)


first, second, third = evaluate("exit"), evaluate("exit"), evaluate("stop")
print(f"lmms-eval {version('lmms-eval')}: all right {first}, the same once more {second}, "
      f"all wrong afterwards {third}")
sys.exit((first, second, third) != (0.1, 0.2, 0.2))
PY
"$folder/env/bin/python" "$folder/run.py" 2> "$folder/log"
