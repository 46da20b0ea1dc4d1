"""How much of tierqa can be answered without looking: the model in the box on grey pictures.

Run `python benchmarks/blind.py`. The same questions about grey pictures of the same sizes, beside
chance (the best guesses without the picture). What lies above chance would be leaked by the
questions.
"""

from __future__ import annotations

from collections import defaultdict
from importlib.resources import files

import numpy as np
import torch
from numpy.typing import NDArray

from tierexp.data.plan import plan_evaluation
from tierexp.data.prepare import PreparedRow, SamplePreparer
from tierexp.data.sample import Sample
from tierexp.data.scores.exact_match import exact_match
from tierexp.data.tierqa import TierQA
from tierexp.imaging.preprocessing import Preprocessing
from tierexp.models.molmo.checkpoint import MolmoCheckpoint
from tierexp.results.intervals import wilson_interval
from tierexp.tiers.files import load_tier

QUESTIONS, BATCH = 2450, 14


class GreyPictures(TierQA):
    """The questions of the test split; every picture is grey."""

    def image(self, index: int) -> NDArray[np.uint8]:
        """A picture of the right size that shows nothing."""
        return np.full((*self.image_size(index), 3), 200, np.uint8)


def main() -> None:
    """Print one line per task."""
    dataset = GreyPictures("test", max_samples=QUESTIONS)
    source = MolmoCheckpoint(str(files("tierexp") / "assets" / "tiny"))
    tokenizer, answering = source.tokenizer(), source.load(torch.device("cpu"))
    preprocessing = Preprocessing(load_tier("low"), geometry=source.geometry)
    plan = plan_evaluation(dataset, preprocessing, BATCH)
    builder = source.inputs()
    preparer = SamplePreparer(dataset, plan, preprocessing, builder)
    right: dict[str, list[float]] = defaultdict(list)
    guessed: dict[str, list[float]] = defaultdict(list)
    for batch in plan:
        rows = [row for row in map(preparer.__getitem__, batch) if isinstance(row, PreparedRow)]
        ids = answering.generate(
            builder.collate([row.inputs for row in rows]), source.max_new_tokens
        )
        for row, answer in zip(rows, ids.tolist(), strict=True):
            sample: Sample = row.prepared.sample
            assert sample.blind_guess is not None
            for task in (sample.task, "all"):
                right[task].append(exact_match(tokenizer.decode(answer), sample.answers))
                guessed[task].append(exact_match(sample.blind_guess, sample.answers))
    print(f"{'task':8} {'n':>5} {'grey pictures':>14} {'95 % interval':>16} {'chance':>8}")
    for task, scores in right.items():
        low, high = wilson_interval(float(np.mean(scores)), len(scores))
        print(
            f"{task:8} {len(scores):5} {np.mean(scores):14.1%} {low:7.1%} to {high:.1%}"
            f" {np.mean(guessed[task]):8.1%}"
        )


if __name__ == "__main__":
    main()
