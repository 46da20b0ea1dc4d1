"""Training steps per second of the pinned recipe beside an older commit, phase by phase.

    git worktree add --detach ../before 44dde4c
    python benchmarks/training.py ../before --steps 6 --threads 2

Both trees train the model in the box from the same random weights on the same batches, each in a
process of its own, step by step in turns, so that what the machine does meanwhile meets both alike.
Batches are those of evenly spaced steps of every phase. Each is trained on twice and the second
time counts: in bfloat16 torch makes a kernel for every new shape, which a whole run does once.
Beside a step's seconds stands what its batch takes to make, which a process of its own does
meanwhile (`recipe.num_workers`); crowded crops that were shown before are at hand, as in a run.

Times are of processor time, over all threads, and of the clock, which is the one to read on a
quiet machine. The losses of both sides stand beside: equal, or how far apart.

    python benchmarks/training.py ../before --run --steps 16 --threads 2

Steps as they follow one another in a run, by the clock, on a machine that must be quiet: each tree
alone, phase by phase in turns, its batches made as its own recipe says, beside the steps or between
them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from older_commit import checkout
from omegaconf import OmegaConf

HERE = Path(__file__).resolve().parent.parent

# Older commits kept some modules elsewhere.
COMMON = """
import json, sys, time, warnings
from pathlib import Path
from types import SimpleNamespace
warnings.filterwarnings("ignore")
import torch
from lightning import Callback, Trainer, seed_everything
from omegaconf import OmegaConf
from tierexp.imaging.resize import Resize
from tierexp.models.molmo.checkpoint import MolmoCheckpoint
from tierexp.models.molmo.config import MolmoConfig
from tierexp.training import batches as made
from tierexp.training.kept_memory import keep_freed_memory
from tierexp.training.module import MolmoTraining
from tierexp.training.recipe import Recipe
try:
    from tierexp.tiers.files import load_tier
except ModuleNotFoundError:
    from tierexp.loading import load_tier

steps, threads = json.loads(sys.argv[1]), int(sys.argv[2])
torch.set_num_threads(threads)
keep_freed_memory()
seed_everything(0, verbose=False)
values = OmegaConf.to_container(OmegaConf.load("conf/recipe/tiny.yaml"))
values.pop("_target_")
recipe = Recipe(**values)
read = getattr(MolmoConfig, "from_sizes", MolmoConfig.from_checkpoint_json)
architecture = read(OmegaConf.to_container(OmegaConf.load("conf/architecture/tiny.yaml")))
tokenizer = MolmoCheckpoint(checkpoint="src/tierexp/assets/tiny").tokenizer()
tiers = {name: load_tier(name) for phase in recipe.phases for name in phase.tiers}
batches = made.TrainingBatches(recipe.phases, tiers, 0, architecture, Resize(), tokenizer)

def answer(**values):
    print(json.dumps(values), flush=True)

def clocks():
    return time.process_time(), time.perf_counter()

def between(start):
    return [now - then for now, then in zip(clocks(), start)]

def remember(number, step):
    phase = recipe.phases[number]
    crops = phase.rehearsed_crops if phase.tiers else phase.crops_per_batch
    for place in range(-(-crops // made._USES)):
        for age in range(1, made._USES):
            seed = f"0/{step - age * made._REUSED_AFTER}/{place}"
            made._crowded_crop(seed, architecture.geometry)

def trainer(steps, *callbacks):
    return Trainer(
        accelerator="cpu", devices=1, max_steps=steps, precision="bf16-mixed",
        gradient_clip_val=recipe.gradient_clip, logger=False, callbacks=[*callbacks],
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )

def learner():
    return MolmoTraining(architecture, recipe, tokenizer, [])

def loader(dataset, workers=0):
    return torch.utils.data.DataLoader(
        dataset, batch_size=None, num_workers=workers, collate_fn=lambda batch: batch,
        multiprocessing_context="fork" if workers else None,
    )
"""

# One step at a time, when the other side waits.
TRAIN = (
    COMMON
    + """
def make(number, step):
    remember(number, step)
    sys.stdin.readline()
    start = clocks()
    batch = batches[step]
    answer(make=between(start))
    return batch

class Turns(Callback):
    def on_train_batch_start(self, trainer, module, batch, index):
        sys.stdin.readline()
        self.start = clocks()

    def on_train_batch_end(self, trainer, module, outputs, batch, index):
        spent = between(self.start)
        answer(train=spent, loss=float(outputs["loss"]))

twice = [batch for number, step in steps for batch in [make(number, step)] * 2]
trainer(len(twice), Turns()).fit(learner(), loader(twice))
"""
)

WARM = 4
"""Steps at the beginning of a row that do not count: torch makes kernels for new shapes."""

# Rows of steps, as in a run.
RUN = (
    COMMON
    + """
warm = int(sys.argv[3])

class Row(Callback):
    def on_train_batch_end(self, trainer, module, outputs, batch, index):
        if index + 1 == warm:
            self.start = time.perf_counter()

for number, first, count in steps:
    row = range(first, first + warm + count)
    for step in row:
        remember(number, step)
    sys.stdin.readline()
    clock = Row()
    dataset = torch.utils.data.Subset(batches, row)
    trainer(len(row), clock).fit(learner(), loader(dataset, recipe.num_workers))
    answer(row=(time.perf_counter() - clock.start) / count)
"""
)


class Tree:
    """A commit's checkout, in a process that trains when it is told to."""

    def __init__(self, folder: Path, program: str, *arguments: object) -> None:
        self._words = tempfile.TemporaryFile("w+")  # noqa: SIM115  # lives as long as the process
        self._process = subprocess.Popen(
            [sys.executable, "-c", program, *map(json.dumps, arguments)], cwd=folder, text=True,
            env={**os.environ, "PYTHONPATH": str(folder / "src")},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._words,
        )  # fmt: skip

    def next(self, key: str) -> dict[str, Any]:
        """Do what comes next, and say what it took."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith("{") and key in (said := json.loads(line)):
                found: dict[str, Any] = said
                return found
        self._words.seek(0)
        raise SystemExit(f"training stopped:\n{self._words.read()}")


def spaced(steps_per_phase: list[int], wanted: int, phases: list[int]) -> list[tuple[int, int]]:
    """(phase, step) of `wanted` evenly spaced steps of each of the phases."""
    ends = list(accumulate(steps_per_phase))
    return [
        (number, ends[number] - steps_per_phase[number] + round(place))
        for number in phases
        for place in (np.arange(wanted) + 0.5) * steps_per_phase[number] / wanted
    ]


def measured(
    trees: list[Tree], steps: list[tuple[int, int]]
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """`make` and `train`, (steps, trees, 2): seconds of the processor and of the clock; and losses,
    (steps, trees).
    """
    seconds = {
        "make": np.array([[tree.next("make")["make"] for tree in trees] for _ in steps]),
        "train": np.zeros((len(steps), len(trees), 2)),
    }
    losses = np.zeros((len(steps), len(trees)))
    for place in range(2 * len(steps)):
        # Whoever comes second finds the other's data in the cache.
        for side in range(len(trees))[:: 1 if place % 4 < 2 else -1]:
            said = trees[side].next("train")
            seconds["train"][place // 2, side] = said["train"]
            losses[place // 2, side] = said["loss"]
    return seconds, losses


def rows(
    folders: tuple[Path, Path], counts: list[int], phases: list[int], steps: int, threads: int
) -> None:
    """Print what a step takes where they follow one another, in the middle of each phase."""
    ends = list(accumulate(counts))
    places = [(number, ends[number] - counts[number] // 2, steps) for number in phases]
    trees = [Tree(folder, RUN, places, threads, WARM) for folder in folders]
    print("phase  seconds a step of a run, before and now, and how many times as fast")
    whole = np.zeros(2)
    for number in phases:
        seconds = np.array([tree.next("row")["row"] for tree in trees])
        whole += seconds * counts[number]
        print(f"{number + 1:5}  {seconds[0]:.3f}  {seconds[1]:.3f}  {seconds[0] / seconds[1]:.2f}")
    hours = whole / 3600
    print(f"all steps of these phases, h: {hours[0]:.2f} before, {hours[1]:.2f} now, "
          f"{hours[0] / hours[1]:.2f} times as fast")  # fmt: skip


def main() -> None:
    """Print a line a phase."""
    parser = argparse.ArgumentParser()
    parser.add_argument("before", type=Path, nargs="?", help="folder of the older commit")
    parser.add_argument("--steps", type=int, default=6, help="of every phase")
    parser.add_argument("--phases", default="1,2,3,4,5")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--run", action="store_true", help="rows of steps, as in a run")
    given = parser.parse_args()
    if given.before is None:
        print("nothing to compare with: give the folder of an older commit, checked out")
        return
    recipe = OmegaConf.load(HERE / "conf/recipe/tiny.yaml")
    counts = [phase.steps for phase in recipe.phases]
    steps = spaced(counts, given.steps, [int(number) - 1 for number in given.phases.split(",")])
    folders = checkout(given.before), HERE
    if given.run:
        rows(folders, counts, sorted({number for number, _ in steps}), given.steps, given.threads)
        return
    trees = [Tree(folder, TRAIN, steps, given.threads) for folder in folders]
    seconds, losses = measured(trees, steps)
    print("seconds of the processor (of the clock), before and now")
    print(f"phase {'a step':^32} ratio  {'its batch':^32}  losses differ by")
    whole = np.zeros((2, 2))
    for number in sorted({number for number, _ in steps}):
        here = [place for place, (phase, _) in enumerate(steps) if phase == number]
        step, batch = (seconds[name][here].mean(0) for name in ("train", "make"))
        whole += step * counts[number]
        apart = np.abs(np.diff(losses[here]) / losses[here][:, :1]).max()
        columns = [
            "   ".join(f"{processor:6.3f} ({clock:6.3f})" for processor, clock in side)
            for side in (step, batch)
        ]
        ratio = step[0] / step[1]
        print(
            f"{number + 1:5} {columns[0]} {ratio[0]:.2f} ({ratio[1]:.2f})  {columns[1]}"
            f"  {apart:.1e}"
        )
    hours = whole / 3600
    print(f"all steps of these phases, h: {hours[0, 0]:.2f} ({hours[0, 1]:.2f}) before, "
          f"{hours[1, 0]:.2f} ({hours[1, 1]:.2f}) now")  # fmt: skip


if __name__ == "__main__":
    main()
