#!/usr/bin/env bash
# lmms-eval 0.7.3, `--baseline`: the paired t-test of a run against the samples that another run has logged.
#
# Guess: both sides are scored alike: a run against its own samples differs by nothing. A task that cannot be compared
#   says so.
# What happens: the score of the run at hand is the task's own, the judge's for MM-Vet and ActivityNet-QA; that of the
#   samples is worked out anew, as whether the answer *is* the gold text. MM-Vet with a judge's mean of 0.75 is 75 points
#   above itself, p of 0.0000, and the baseline is reported as 0. ActivityNet-QA, whose judge gives 0 to 5, is 375 points
#   above itself. VideoMME, for which it was made, agrees. DocVQA, ChartQA and whatever has no field whose name
#   ends in "score" is left out, with a word in the debug log alone.
# Who is hurt: whoever shows with it that fewer tokens lose nothing: with a judge any run beats any baseline.
# The block that compares, out of a file that imports all of the framework; samples of the fields that the tasks log.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet scipy==1.16.3 numpy==2.3.4
"$folder/env/bin/pip" install --quiet --no-deps lmms-eval==0.7.3
cat > "$folder/run.py" <<'PY'
import ast
import importlib.util
import json
import logging
import math
import sys
import types
import typing
from importlib.metadata import distribution, version
from pathlib import Path

package = Path(distribution("lmms-eval").locate_file("lmms_eval"))


def load(name: str, file: str):
    spec = importlib.util.spec_from_file_location(name, package / file)
    sys.modules[name] = made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def function(file: str, name: str, given: dict):
    tree = ast.parse((package / file).read_text())
    found = [part for part in tree.body if isinstance(part, ast.FunctionDef) and part.name == name]
    made = given | {name: getattr(typing, name) for name in ("Any", "Dict", "List")}
    exec(compile(ast.Module(found, []), file, "exec"), made)
    return made[name]


for name in ("lmms_eval", "lmms_eval.baselines"):
    sys.modules[name] = types.ModuleType(name)
load("lmms_eval.baselines.registry", "baselines/registry.py")
loader = load("lmms_eval.baselines.loader", "baselines/loader.py")
paired = function("api/metrics.py", "paired_ttest", {"math": math})
compare = function("evaluator_utils.py", "compute_baseline_comparison", {"paired_ttest": paired})
tree = ast.parse((package / "evaluator.py").read_text())
block = next(part for part in ast.walk(tree) if isinstance(part, ast.If) and ast.unparse(part.test) == "baseline")
code = compile(ast.Module([block], []), "evaluator.py", "exec")


def mm_vet(number: int) -> dict:
    score = {"question_id": f"v1_{number}", "gt_answer": "a red car", "pred_answer": "The car is red.",
             "score": (0.5, 1.0)[number % 2], "capabilities": ["rec"], "question": "What is it?"}
    return {"target": "a red car", "filtered_resps": ["The car is red."], "gpt_eval_score": score}


def activitynet(number: int) -> dict:
    score = {"question_id": str(number), "answer": "running", "pred": "A man is running.", "Correctness": "yes",
             "score": (3, 4, 4, 4)[number % 4], "video_name": "v", "type": "0", "question": "?"}
    return {"target": "running", "filtered_resps": ["A man is running."], "gpt_eval_score": score}


def videomme(number: int) -> dict:
    said = "AB"[number % 2]
    score = {"question_id": str(number), "pred_answer": said, "answer": "A", "score": float(said == "A"),
             "videoID": "v"}
    return {"target": "A", "filtered_resps": [f"{said}."], "videomme_perception_score": score}


def docvqa(number: int) -> dict:
    return {"target": ["exit"], "filtered_resps": ["exit"], "anls": float(number % 2)}


def itself(task: str, samples: list[dict]) -> tuple[float, float] | None:
    """Points of the baseline and its p, of a run against its own samples; nothing where it is not compared."""
    path = Path(sys.argv[1], "20260101_samples.jsonl")
    path.write_text("\n".join(map(json.dumps, samples)))
    results = {"results": {task: {}}, "samples": {task: samples}}
    exec(code, {
        "baseline": str(path), "results": results, "load_baseline": loader.load_baseline,
        "get_baseline_display_name": Path, "eval_logger": logging.getLogger(), "compute_baseline_comparison": compare,
    })
    row = results["results"][task]
    if "paired_pvalue" not in row:
        return None
    middle = (row["paired_ci_lower"] + row["paired_ci_upper"]) / 2
    return round(float(row["paired_baseline_score"]), 2), round(float(middle), 2), round(float(row["paired_pvalue"]), 4)


WANTED = {"mmvet": (0.0, 75.0, 0.0), "activitynetqa": (0.0, 375.0, 0.0), "videomme": (50.0, 0.0, 1.0), "docvqa_val": None}
makers = (mm_vet, activitynet, videomme, docvqa)
seen = {
    task: itself(task, [{"doc_id": number} | make(number) for number in range(40)])
    for task, make in zip(WANTED, makers, strict=True)
}
for task, row in seen.items():
    said = "not compared" if row is None else f"baseline {row[0]}, difference {row[1]}, p {row[2]}"
    print(f"lmms-eval {version('lmms-eval')}: {task} against itself: {said}")
sys.exit(seen != WANTED)
PY
"$folder/env/bin/python" "$folder/run.py" "$folder"
