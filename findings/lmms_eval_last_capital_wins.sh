#!/usr/bin/env bash
# lmms-eval 0.7.3: `extract_mcq_answer`, the shared reader of letters: MMStar, RealWorldQA, MMBench, Video-MME,
# ERQA and a dozen more.
#
# Guess: in "The answer is B, because the sign says CLOSED" the letter right behind the phrase is meant.
# What happens: behind such a phrase each choice's letter is looked for as a character, in words as well, and the
#   one that stands furthest back wins: it is D, out of CLOSED. "The correct answer is A. Both cars are red." is
#   B, and "The answer is B since Alice waves" is A. Where the phrase is missing, it is read: "Answer: B". A
#   sentence that begins with the article A is A: "A dog is shown, so the answer is B".
# Who is hurt: models that give a reason, which is what they are trained to do: right answers are wrong, by
#   names, signs and sentences that begin with A to D. Bare letters are unharmed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --no-deps lmms-eval==0.7.3
cat > "$folder/run.py" <<'PY'
import importlib.util
import sys
from importlib.metadata import distribution, version

# The file alone: the package around it imports all of the framework.
path = distribution("lmms-eval").locate_file("lmms_eval/tasks/_task_utils/mcq_extract.py")
spec = importlib.util.spec_from_file_location("mcq_extract", path)
reader = importlib.util.module_from_spec(spec)
spec.loader.exec_module(reader)

ASKED = {
    "B": "B", "Answer: B": "B", "The answer is B.": "B", "The answer is B. The sign says STOP.": "B",
    "The answer is B, because the sign says CLOSED": "D", "The answer is B since Alice waves": "A",
    "The correct answer is A. Both cars are red.": "B", "I choose C: Because it is red": "B",
    "A dog is shown, so the answer is B": "A",
}
seen = {answer: reader.extract_mcq_answer(answer, ["A", "B", "C", "D"]) for answer in ASKED}
for answer, letter in seen.items():
    print(f"lmms-eval {version('lmms-eval')}: {answer!r} is read as {letter}")
sys.exit(seen != ASKED)
PY
"$folder/env/bin/python" "$folder/run.py"
