#!/usr/bin/env bash
# lmms-eval 0.7.3, TextVQA: `textvqa_doc_to_text`.
#
# Guess: the model is asked the question as the data set has it; at most its first letter is made a
#   capital.
# What happens: everything behind the first letter is lower-cased. "What does the NASA sign say?" is asked
#   as "What does the nasa sign say?": names and acronyms, which is what the pictures show, are lost.
# Who is hurt: every TextVQA figure taken with it, beside one taken with the published questions.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --no-deps lmms-eval==0.7.3
"$folder/env/bin/pip" install --quiet loguru==0.7.3
cat > "$folder/run.py" <<'PY'
import importlib.util
import sys
import types
from importlib.metadata import distribution, version

# The file alone: the packages around it import all of the framework; nothing is scored or written.
path = distribution("lmms-eval").locate_file("lmms_eval/tasks/textvqa/utils.py")
for name in ("lmms_eval", "lmms_eval.tasks", "lmms_eval.tasks._task_utils",
             "lmms_eval.tasks._task_utils.file_utils", "lmms_eval.tasks._task_utils.vqa_eval_metric"):
    sys.modules[name] = types.ModuleType(name)
sys.modules["lmms_eval.tasks._task_utils.file_utils"].generate_submission_file = None
sys.modules["lmms_eval.tasks._task_utils.vqa_eval_metric"].EvalAIAnswerProcessor = None
spec = importlib.util.spec_from_file_location("textvqa_utils", path)
utils = importlib.util.module_from_spec(spec)
spec.loader.exec_module(utils)

question = "what does the NASA sign say?"
asked = utils.textvqa_doc_to_text({"question": question}, {"pre_prompt": "", "post_prompt": ""})
print(f"lmms-eval {version('lmms-eval')}: {question!r} is asked as {asked!r}")
sys.exit(asked != "What does the nasa sign say?")
PY
"$folder/env/bin/python" "$folder/run.py"
