#!/usr/bin/env bash
# lmms-eval 0.7.3: the tasks `mmmu_val_reasoning` (MMMU) and `mmvetv2` (MM-Vet v2).
#
# Guess: a name is one task: one form of the pictures, one metric, one length of the answers, on every machine.
# What happens: two files each have these names, and whichever is listed last is the task; nothing is said. For MMMU that
#   is the one in the inner folder: up to 49,152 tokens, compared by rules, "acc_score". The file beside MMMU's others,
#   with a judge model, up to 16,384 tokens and the tag by which collections call it, is never read: the tag runs the
#   other one. For MM-Vet v2 the order is the file system's: each picture by itself, or all of them in one picture,
#   1,008 pixels high or wide, and small ones blown up.
# Who is hurt: figures of one command on two machines; whoever changes the file that is found by its name, and sees the
#   limit of tokens or the metric stay.
# The methods that read the files, out of a module that imports all of the framework; the order of listing is set here.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet pyyaml==6.0.3
"$folder/env/bin/pip" install --quiet --no-deps lmms-eval==0.7.3
cat > "$folder/run.py" <<'PY'
import ast
import collections
import logging
import os
import sys
from importlib.metadata import distribution, version
from pathlib import Path
from types import SimpleNamespace

import yaml

tasks = Path(distribution("lmms-eval").locate_file("lmms_eval/tasks"))
yaml.add_constructor("!function", lambda loader, node: node.value)
found = [
    part for part in ast.walk(ast.parse((tasks / "__init__.py").read_text()))
    if isinstance(part, ast.FunctionDef) and (part.name == "_get_task_and_group" or part.name.startswith("_config_is"))
]


def read(path: str) -> dict:
    """The file itself, and what it includes."""
    config = yaml.full_load(Path(path).read_bytes())
    if isinstance(included := config.pop("include", []), str):
        included = [included]
    for name in included:
        config = read(str(Path(path).parent / name)) | config
    return config


def listed(backwards: bool) -> dict:
    """Their index, where folders are listed in alphabetical order or the other way round."""

    def walk(top: str):
        for root, folders, files in os.walk(top):
            folders.sort(reverse=backwards)
            yield root, folders, sorted(files, reverse=backwards)

    theirs = {"collections": collections, "Dict": dict, "utils": SimpleNamespace(
        load_yaml_config=lambda path, mode: read(path)), "os": SimpleNamespace(walk=walk, path=os.path)}
    exec(compile(ast.Module(found, []), "tasks", "exec"), theirs)
    manager = SimpleNamespace(logger=logging.getLogger())
    for part in found[1:] + found[:1]:
        setattr(manager, part.name, theirs[part.name].__get__(manager))
    index = {}
    for name in ("mmvetv2", "mmmu"):
        index |= manager._get_task_and_group(str(tasks / name))
    return index


seen = {}
for backwards in (False, True):
    index = listed(backwards)
    for name in ("mmvetv2", "mmmu_val_reasoning"):
        path = index[name]["yaml_path"]
        config = read(path)
        seen[name, backwards] = (config["doc_to_visual"].split(".")[-1], config["generation_kwargs"]["max_new_tokens"],
                                 config["metric_list"][0]["metric"])
        print(f"lmms-eval {version('lmms-eval')}: {name} is {Path(path).relative_to(tasks)}: {seen[name, backwards]}")
unread = read(str(tasks / "mmmu/mmmu_val_reasoning.yaml"))
print(f"not read: mmmu/mmmu_val_reasoning.yaml: {unread['generation_kwargs']['max_new_tokens']}, {unread['metric_list'][0]}")
own = (unread["task"], unread["generation_kwargs"]["max_new_tokens"], unread["metric_list"][0]["metric"])
sys.exit(own != ("mmmu_val_reasoning", 16384, "llm_as_judge_eval") or seen != {
    ("mmvetv2", False): ("mmvet_group_img_doc_to_visual", 1024, "gpt_eval_score"),
    ("mmvetv2", True): ("mmvet_doc_to_visual", 1024, "gpt_eval_score"),
    ("mmmu_val_reasoning", False): ("mmmu_doc_to_visual", 49152, "acc_score"),
    ("mmmu_val_reasoning", True): ("mmmu_doc_to_visual", 49152, "acc_score"),
})
PY
"$folder/env/bin/python" "$folder/run.py"
