#!/usr/bin/env bash
# lmms-eval 0.7.3, HallusionBench (`hallusion_bench_image`): its aggregates aAcc, qAcc and fAcc, by a judge model.
#
# Guess: the figures of a run are those of the answers that it was given.
# What happens: the judge's verdicts are kept in two files of the output folder, and whatever lies there is used in place
#   of the answers at hand, in their number and order: a second model or setting with the same `--output_path` gets the
#   first one's figures, to the last digit, and the judge is not asked. All right, then all wrong: 100 and 100. A run
#   whose judge could not be reached leaves "unclear" behind, which stays so for good.
# Who is hurt: sweeps over token budgets into one folder: the curve is flat, and hallucination does not seem to depend
#   on what the model sees.
# The judge is played here: correct where the answer is the reference.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet loguru==0.7.3 numpy==2.3.4 requests==2.32.5 tqdm==4.67.1
"$folder/env/bin/pip" install --quiet --no-deps lmms-eval==0.7.3
cat > "$folder/run.py" <<'PY'
import importlib.util
import sys
import types
from importlib.metadata import distribution, version
from pathlib import Path

# The two files alone: the packages around them import all of the framework.
for name in ("lmms_eval", "lmms_eval.tasks", "lmms_eval.tasks.hallusion_bench"):
    sys.modules[name] = types.ModuleType(name)
theirs = {}
for file in ("utils", "evaluate_hb"):
    name = f"lmms_eval.tasks.hallusion_bench.{file}"
    path = distribution("lmms-eval").locate_file(f"lmms_eval/tasks/hallusion_bench/{file}.py")
    spec = importlib.util.spec_from_file_location(name, path)
    theirs[file] = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(theirs[file])

asked = 0


def judge(address, headers, json, timeout):
    """Correct where the prediction is the reference."""
    global asked
    asked += 1
    text = json["messages"][0]["content"]
    reference, prediction = (
        text.split(begin)[1].split("\n")[0].strip() for begin in ("Reference answer:", "Prediction answer:")
    )
    said = "correct" if reference == prediction else "incorrect"
    content = {"choices": [{"message": {"content": said}}]}
    return types.SimpleNamespace(raise_for_status=lambda: None, json=lambda: content)


theirs["utils"].requests.post = judge
DOCS = [
    {"category": category, "subcategory": "chart", "set_id": str(group), "figure_id": "1", "question_id": str(number),
     "question": "Is the bar higher?", "gt_answer_details": "yes", "gt_answer": "1", "visual_input": "1"}
    for category in ("VD", "VS") for group in range(5) for number in range(2)
]


def evaluate(output: Path, answer: str) -> tuple[dict[str, float], int]:
    """The three figures of a run in which each question gets `answer`, and how often the judge was asked."""
    before = asked
    scored = [theirs["evaluate_hb"].hb_process_results(doc, [answer]) for doc in DOCS]
    figures = {}
    for metric in ("aAcc", "qAcc", "fAcc"):
        call = getattr(theirs["evaluate_hb"], f"hb_aggregation_result_{metric}")
        figures[metric] = float(call([row[metric] for row in scored], types.SimpleNamespace(output_path=str(output))))
    return figures, asked - before


one, other = Path(sys.argv[1], "one"), Path(sys.argv[1], "other")
seen = [evaluate(one, "yes"), evaluate(one, "no"), evaluate(other, "no")]
for name, (figures, times) in zip(("all right", "all wrong, same folder", "all wrong, another"), seen, strict=True):
    print(f"lmms-eval {version('lmms-eval')}: {name}: {figures}, the judge asked {times} times")
everything, nothing = (dict.fromkeys(("aAcc", "qAcc", "fAcc"), value) for value in (100.0, 0.0))
sys.exit(seen != [(everything, 20), (everything, 0), (nothing, 20)])
PY
"$folder/env/bin/python" "$folder/run.py" "$folder" 2> "$folder/log" || { tail -5 "$folder/log"; exit 1; }
