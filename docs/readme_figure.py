"""Draw the README's picture from the results files of a real run.

    python eval.py -m tier=low,medium,high output_dir=outputs/readme
    python docs/readme_figure.py outputs/readme docs/tiers.png

One picture of the test split, tiled by each tier, with a question about it and what the model
answered at that tier: the picture on which the tiers differ most.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from tierexp.data.tierqa import TierQA
from tierexp.data.tierqa.questions import PER_PICTURE
from tierexp.report.tiling_figure import draw_tiling
from tierexp.results.files import load_results
from tierexp.results.schema import EvaluationResults, SampleResult
from tierexp.tiers.geometry import CropGeometry

PANEL, MARGIN, LINE = 430, 18, 25
RIGHT, WRONG, INK = (22, 128, 60), (200, 40, 40), (30, 30, 36)


def main(folder: str, target: str) -> None:
    """Read the results of the three tiers below `folder` and write `target`."""
    runs = [
        load_results(path)
        for tier in ("low", "medium", "high")
        for path in Path(folder).rglob(f"tierqa_tier-{tier}_*.json")
    ]
    index = most_telling_picture(runs)
    panels = [panel(run, index) for run in runs]
    width = sum(panel.width for panel in panels) + MARGIN * (len(panels) + 1)
    figure = Image.new("RGB", (width, max(p.height for p in panels) + 2 * MARGIN), "white")
    left = MARGIN
    for drawn in panels:
        figure.paste(drawn, (left, MARGIN))
        left += drawn.width + MARGIN
    figure.save(target, optimize=True)


def most_telling_picture(runs: Sequence[EvaluationResults]) -> int:
    """The picture for which the most answers turn from wrong to right as tokens are added."""

    def gains(picture: int) -> int:
        correct = [[s.accuracy for s in samples_of(run, picture)] for run in runs]
        rising = [list(column) for column in zip(*correct, strict=True)]
        return sum(column == sorted(column) and column[0] < column[-1] for column in rising) - sum(
            column != sorted(column) for column in rising
        )

    pictures = {int(s.sample_id.split("-")[1]) for s in runs[0].per_sample_results}
    return max(sorted(pictures), key=gains)


def samples_of(run: EvaluationResults, picture: int) -> list[SampleResult]:
    """The questions about one picture."""
    by_picture = groupby(run.per_sample_results, key=lambda s: int(s.sample_id.split("-")[1]))
    return next(list(samples) for number, samples in by_picture if number == picture)


def panel(run: EvaluationResults, picture: int) -> Image.Image:
    """The picture as one tier tiles it, and what was asked and answered."""
    samples = samples_of(run, picture)
    dataset = TierQA("test")
    image = dataset.image(picture * PER_PICTURE)
    rows, cols = tiling = samples[0].selected_tiling
    drawing = Image.fromarray(draw_tiling(image, tiling, "fill", CropGeometry(), PANEL))
    head, font = ImageFont.load_default(19), ImageFont.load_default(15)
    drawn = Image.new("RGB", (PANEL, drawing.height + LINE * (2 * len(samples) + 3)), "white")
    pen = ImageDraw.Draw(drawn)
    crops = rows * cols
    counted = f"{crops} crop" if crops == 1 else f"{crops} crops"
    pen.text((0, 0), f"{run.tier}: {counted} ({rows} x {cols})", INK, head)
    tokens = f"{samples[0].selected_vision_tokens} vision tokens"
    pen.text((0, LINE), f"{tokens}, mismatch {samples[0].aspect_ratio_mismatch:.2f}", INK, font)
    drawn.paste(drawing, (0, 2 * LINE + 4))
    top = drawing.height + 2 * LINE + 14
    for sample in samples:
        pen.text((0, top), sample.question, INK, font)
        said = f"{sample.prediction}" + ("" if sample.accuracy else f"  (is {sample.answers[0]})")
        pen.text((14, top + LINE - 6), said, RIGHT if sample.accuracy else WRONG, font)
        top += 2 * LINE - 4
    return drawn


if __name__ == "__main__":
    main(*sys.argv[1:])
