#!/usr/bin/env bash
# lmms-eval 0.7.3 (and MMMU's own evaluation code, which it follows): `parse_open_response`.
#
# Guess: an open answer's sentences are looked at one by one, since the code splits at a full stop
#   that a capital letter follows.
# What happens: the response is lower-cased one line before it is split, so there is never a capital:
#   only line breaks part sentences. The words behind the last "is" of the whole line are the answer.
#   "The answer is 42. The reason is simple" is read as "simple", and 42 is wrong; the same two
#   sentences on two lines are read as 42, and right.
# Who is hurt: models that explain themselves in one paragraph, in every MMMU figure of that code.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --no-deps lmms-eval==0.7.3
"$folder/env/bin/pip" install --quiet numpy==2.3.5 loguru==0.7.3 pyyaml==6.0.3 requests==2.32.5 \
  pillow==12.0.0 tqdm==4.67.1
cat > "$folder/run.py" <<'PY'
import importlib.util
import sys
import types
from importlib.metadata import distribution, version

# The file and its neighbours alone: the packages around them import all of the framework.
path = distribution("lmms-eval").locate_file("lmms_eval/tasks/mmmu/utils.py")
for name, folder in (("lmms_eval", path.parents[2]), ("lmms_eval.tasks", path.parents[1]),
                     ("lmms_eval.tasks._task_utils", path.parents[1] / "_task_utils")):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [str(folder)]
for name in ("lmms_eval.tasks._task_utils.file_utils", "lmms_eval.llm_judge"):
    sys.modules[name] = types.ModuleType(name)  # writing files and asking a judge: not used
sys.modules["lmms_eval.tasks._task_utils.file_utils"].generate_submission_file = None
sys.modules["lmms_eval.llm_judge"].ServerConfig = None
sys.modules["lmms_eval.llm_judge"].get_server = lambda *arguments, **named: None
spec = importlib.util.spec_from_file_location("mmmu_utils", path)
utils = importlib.util.module_from_spec(spec)
spec.loader.exec_module(utils)

seen = {}
for response in ("The answer is 42. The reason is simple", "The answer is 42\nThe reason is simple"):
    read = utils.parse_open_response(response)
    seen[response] = bool(utils.eval_open("42", read))
    print(f"lmms-eval {version('lmms-eval')}: {response!r} is read as {sorted(map(str, read))}: "
          f"{'right' if seen[response] else 'wrong'}")
sys.exit([*seen.values()] != [False, True])
PY
"$folder/env/bin/python" "$folder/run.py"
