"""Runs in a process of its own, because lmms-eval changes a few things in the one it is imported
into: evaluates tasks of a folder with the model `tierexp`, each as `python -m lmms_eval` would, and
writes down what came of it."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any

from lmms_eval.evaluator import simple_evaluate
from lmms_eval.tasks import TaskManager


def run(task: str, tasks: str, model_args: str) -> dict[str, Any]:
    manager = TaskManager("ERROR", tasks, include_defaults=False, model_name="tierexp")
    out, err = io.StringIO(), io.StringIO()
    results = None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            results = simple_evaluate(
                "tierexp", model_args, tasks=[task], task_manager=manager, batch_size="4"
            )
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
    return {
        "code": code,
        "out": out.getvalue(),
        "err": err.getvalue(),
        "scores": results and results["results"][task],
        "answers": results and [sample["filtered_resps"][0] for sample in results["samples"][task]],
    }


if __name__ == "__main__":
    _, folder, model_args, *names = sys.argv
    outcomes = {name: run(name, folder, model_args) for name in names}
    (Path(folder) / "outcomes.json").write_text(json.dumps(outcomes))
