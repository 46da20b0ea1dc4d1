"""`eval.py` and its siblings run in this process: arguments in, exit code and output out."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tierexp.cli.launch import launch
from tierexp.cli.multirun import Job
from tierexp.evaluation.check import EvaluationCheck
from tierexp.evaluation.run import evaluate
from tierexp.report.comparison import finish

TESTS = Path(__file__).parents[1]
FAKES = ["--config-dir", str(TESTS / "conf"), "model=table", "data=plain"]


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


def run_eval(*arguments: str) -> Outcome:
    """Run `python eval.py ARGUMENTS`; a defect's exception passes through."""
    check = EvaluationCheck()
    return run_command(evaluate, "eval", *arguments, finish=finish, check=check, resumes=True)


def run_command(job: Job, name: str, *arguments: str, **how: Any) -> Outcome:
    """Run `python NAME.py ARGUMENTS`, which launches `job`; how is up to `launch`."""
    out, err = io.StringIO(), io.StringIO()
    root = logging.getLogger()
    kept = sys.argv, os.environ.get("HYDRA_FULL_ERROR"), root.handlers[:], root.level
    interrupt = signal.getsignal(signal.SIGINT)
    sys.argv = [f"{name}.py", *arguments]
    code = 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                launch(job, name, **how)
            except SystemExit as end:
                if isinstance(end.code, str):
                    err.write(f"{end.code}\n")
                code = 1 if isinstance(end.code, str) else int(end.code or 0)
    finally:
        sys.argv, full_error, root.handlers[:], level = kept
        root.setLevel(level)
        signal.signal(signal.SIGINT, interrupt)
        os.environ.pop("HYDRA_FULL_ERROR", None)
        if full_error is not None:
            os.environ["HYDRA_FULL_ERROR"] = full_error
    return Outcome(code, out.getvalue(), err.getvalue())


def run_on_fakes(
    folder: Path, samples: list[Any], table: dict[str, str], *arguments: str
) -> Outcome:
    """Run it on `PlainImages` and a `TableModel`, into `folder / "out"`.

    Args:
        folder: For the files of the run.
        samples: Rows of `tests.support.fakes.PlainImages`.
        table: Question to answer.
        arguments: More overrides.
    """
    (folder / "samples.json").write_text(json.dumps(samples))
    (folder / "table.json").write_text(json.dumps(table))
    return run_eval(
        *FAKES,
        f"data.path={folder / 'samples.json'}",
        f"model.table={folder / 'table.json'}",
        f"model.loaded={folder / 'loaded'}",
        f"output_dir={folder / 'out'}",
        *arguments,
    )


ARGUMENTS = ("logger=csv", "trainer=cpu", "data.num_workers=0")


def timeless(folder: Path) -> dict[str, Any]:
    """A results file without what time and place change."""
    (file,) = folder.glob("*_tier-*.json")
    assert not file.name.startswith("interrupted_")
    content: dict[str, Any] = json.loads(file.read_text())
    del content["provenance"], content["samples_per_second"]
    return content


def assert_refused(outcome: Outcome, words: list[str]) -> None:
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1, outcome.err
    assert outcome.err.startswith("error: ")
    for word in words:
        assert word in outcome.err, outcome.err
    # What is loaded may have been said: a line, and nothing else.
    assert outcome.out.count("\n") <= 1
