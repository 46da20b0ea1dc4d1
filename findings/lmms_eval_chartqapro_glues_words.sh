#!/usr/bin/env bash
# lmms-eval 0.7.3, ChartQAPro (as in the benchmark's own code): answers that are lists.
#
# Guess: a model that answers with the gold answer, character by character, scores 1.
# What happens: a gold list whose words have no quotes gets them around each *word*, and words that stand side by side
#   become one: [United States, China] is read as "UnitedStates" and "China". What the model says is read as a list only
#   with quotes, which the prompt does not ask for ("with a short phrase"): the gold answer itself is one text against
#   two items, and scores 0.27, or nothing: [Red, Blue] for [Red, Blue] is 0. With quotes they are 0.96 and 1.
# Who is hurt: every model on questions of several answers, the more so one that answers as it is asked to; a gain of
#   more tokens on such charts cannot be seen.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet anls==0.0.2 Levenshtein==0.27.1 pillow==12.0.0
"$folder/env/bin/pip" install --quiet --no-deps lmms-eval==0.7.3
cat > "$folder/run.py" <<'PY'
import importlib.util
import sys
from importlib.metadata import distribution, version

# The file alone: the packages around it import all of the framework.
path = distribution("lmms-eval").locate_file("lmms_eval/tasks/chartqapro/utils.py")
spec = importlib.util.spec_from_file_location("chartqapro_utils", path)
utils = importlib.util.module_from_spec(spec)
spec.loader.exec_module(utils)

ASKED = {
    ("[United States, China]", "[United States, China]"): 0.27,
    ("[United States, China]", "United States, China"): 0.3,
    ("[United States, China]", "['United States', 'China']"): 0.96,
    ("['United States', 'China']", "['United States', 'China']"): 1.0,
    ("[Red, Blue]", "[Red, Blue]"): 0.0,
    ("[Red, Blue]", "['Red', 'Blue']"): 1.0,
    ("United States", "United States"): 1.0,
}
seen = {}
for gold, answer in ASKED:
    doc = {"Answer": [gold], "Question Type": "Factoid", "Year": ["NO"]}
    seen[gold, answer] = round(utils.chartqapro_process_results(doc, [answer])["relaxed_overall"], 2)
    print(f"lmms-eval {version('lmms-eval')}: {answer} for {gold}: {seen[gold, answer]}")
sys.exit(seen != ASKED)
PY
"$folder/env/bin/python" "$folder/run.py"
