"""The main job today beside an older commit: what a user waits for, from enter to results.

    git worktree add --detach ../before 44dde4c
    python benchmarks/main_job.py ../before --samples 504 --rounds 2

Runs `python eval.py tier=TIER` of both trees in turns, with the same interpreter and everything at
its defaults, so that what the machine does meanwhile meets both alike. Of each it takes questions
per second (the run's own figure, without start and results), seconds from enter to the end, and
seconds to the first line; the best of the rounds counts. The answers must be the same, question by
question. Arguments behind `--` go to today's command alone (`-- model.backend=openvino`).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from older_commit import checkout

HERE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Outcome:
    """One run of the command.

    Args:
        first_line: Seconds from enter to the first line on the screen.
        whole: Seconds from enter to the end.
        per_second: Questions, as the results file says.
        processor: Seconds of processor time, of all its processes: what is left to compare where
            other work is going on beside.
        predictions: By question.
    """

    first_line: float
    whole: float
    per_second: float
    processor: float
    predictions: dict[str, str]


def run(tree: Path, tier: str, samples: int, further: Sequence[str]) -> Outcome:
    """The command in a tree, with what it imports taken from that tree."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, "eval.py", f"tier={tier}", f"data.max_samples={samples}",
            f"output_dir={folder}/out", *further,
        ]  # fmt: skip
        environment = {**os.environ, "PYTHONPATH": str(tree / "src"), "PYTHONUNBUFFERED": "1"}
        start, before = time.perf_counter(), processor_seconds()
        with subprocess.Popen(
            command, cwd=tree, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            lines = [process.stdout.readline()]
            first_line = time.perf_counter() - start
            lines += process.stdout
        whole = time.perf_counter() - start
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} in {tree} failed:\n{''.join(lines)}")
        (path,) = Path(folder, "out").glob("*.json")
        results = json.loads(path.read_text(encoding="utf-8"))
    predictions = {s["sample_id"]: s["prediction"] for s in results["per_sample_results"]}
    spent = processor_seconds() - before
    return Outcome(first_line, whole, results["samples_per_second"], spent, predictions)


def processor_seconds() -> float:
    """Of all processes that this one has started and that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def row(tier: str, old: Sequence[Outcome], new: Sequence[Outcome]) -> str:
    """A tier's figures, the best of the rounds."""
    speed = [max(o.per_second for o in outcomes) for outcomes in (old, new)]
    whole = [min(o.whole for o in outcomes) for outcomes in (old, new)]
    first = [min(o.first_line for o in outcomes) for outcomes in (old, new)]
    cpu = [min(o.processor for o in outcomes) for outcomes in (old, new)]
    same = sum(new[0].predictions.get(k) == v for k, v in old[0].predictions.items())
    pairs = [(speed, "8.1f"), (whole, "8.1f"), (cpu, "8.1f"), (first, "8.2f")]
    columns = [
        f"{before:{form}} {today:{form}} {today / before:6.2f}" for (before, today), form in pairs
    ]
    return f"{tier:7} {' '.join(columns)}  {same} of {len(old[0].predictions)}"


def main() -> None:
    """Print a table, a line a tier."""
    parser = argparse.ArgumentParser()
    parser.add_argument("before", type=Path, nargs="?", help="folder of the older commit")
    parser.add_argument("--tiers", default="low,medium,high")
    parser.add_argument("--samples", type=int, default=504)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("further", nargs="*", help="arguments of today's command alone")
    arguments = parser.parse_args()
    if arguments.before is None:
        print("nothing to compare with: give the folder of an older commit, checked out")
        return
    before = checkout(arguments.before)
    titles = ("questions/s", "enter to result, s", "processor, s", "first line, s")
    print(" " * 7, " ".join(f"{title:^24}" for title in titles))
    print(f"{'tier':7}", f"{'before':>8} {'today':>8} {'ratio':>6} " * len(titles), "same answers")
    for tier in arguments.tiers.split(","):
        old, new = [], []
        for _ in range(arguments.rounds):
            old.append(run(before, tier, arguments.samples, ()))
            new.append(run(HERE, tier, arguments.samples, arguments.further))
        print(row(tier, old, new), flush=True)


if __name__ == "__main__":
    main()
