"""Samples worth looking at: how well images were tiled, and what tiers disagree about.

In: results of runs, and the data set they are of. Out: captions and JPEG pictures as data URLs.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from tierexp.data.sample import QuestionDataset
from tierexp.errors import TierexpError
from tierexp.imaging.resize import ResizeMode
from tierexp.report.tiling_figure import draw_tiling
from tierexp.results.schema import EvaluationResults, SampleResult
from tierexp.tiers.geometry import CropGeometry

_PICTURE_SIDE = 300


@dataclass(frozen=True)
class Picture:
    """One image with its tiling drawn over it.

    Args:
        url: A data URL; None where the image cannot be read any more.
        caption: What it shows.
    """

    url: str | None
    caption: str


@dataclass(frozen=True)
class Disagreement:
    """A question that runs answer differently well.

    Args:
        question: As put to the model.
        answers: Accepted ones.
        picture: The image, as the run with the most tokens tiles it.
        said: (run, prediction, score), in the order of the runs.
    """

    question: str
    answers: tuple[str, ...]
    picture: Picture
    said: tuple[tuple[str, str, float], ...]


class Pictures:
    """The images of a data set, drawn with their tilings.

    Args:
        dataset: That the results are of; None where it is not at hand.
        geometry: Of the model's crops.
    """

    def __init__(self, dataset: QuestionDataset | None, geometry: CropGeometry) -> None:
        self._dataset = dataset
        self._geometry = geometry
        self._places: dict[str, int] = {}
        if dataset is not None:
            for index in range(len(dataset)):
                self._places.setdefault(dataset.image_key(index), index)

    def draw(self, sample: SampleResult, run: EvaluationResults, caption: str) -> Picture:
        """The image of a sample, as a run has resized and tiled it."""
        mode: ResizeMode = run.provenance.config["resize"]["crops"]
        place = self._places.get(sample.image_key)
        if self._dataset is None or place is None:
            return Picture(None, caption)
        try:
            pixels = self._dataset.image(place)
        except TierexpError as error:
            return Picture(None, f"{caption}: {error}")
        drawn = draw_tiling(pixels, sample.selected_tiling, mode, self._geometry, _PICTURE_SIDE)
        file = io.BytesIO()
        Image.fromarray(drawn).save(file, "JPEG", quality=82)
        return Picture(
            f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}", caption
        )


def fitting_pictures(run: EvaluationResults, pictures: Pictures) -> list[Picture]:
    """The images that fit best, worst, and in the middle."""
    by_image = {sample.image_key: sample for sample in reversed(run.per_sample_results)}
    ordered = sorted(by_image.values(), key=lambda sample: sample.aspect_ratio_mismatch)
    if not ordered:
        return []
    chosen = {"best": ordered[0], "median": ordered[len(ordered) // 2], "worst": ordered[-1]}
    return [
        pictures.draw(
            sample,
            run,
            f"{name}: {sample.selected_tiling[0]} x {sample.selected_tiling[1]} crops, mismatch "
            f"{sample.aspect_ratio_mismatch:.3f}, {sample.content_kept:.0%} of the image kept",
        )
        for name, sample in chosen.items()
    ]


def disagreements(
    runs: Sequence[EvaluationResults], labels: Sequence[str], pictures: Pictures, most: int
) -> list[Disagreement]:
    """Questions whose score differs between runs, the largest differences first.

    Args:
        runs: On the same samples, as far as they go.
        labels: Of the runs.
        pictures: Of the data set.
        most: How many at most; no image comes twice.
    """
    by_id = [{s.sample_id: s for s in run.per_sample_results} for run in runs]
    shared = [key for key in by_id[0] if all(key in samples for samples in by_id)]

    def spread(key: str) -> float:
        scores = [samples[key].accuracy for samples in by_id]
        return max(scores) - min(scores)

    largest = max(range(len(runs)), key=lambda n: runs[n].selected_vision_tokens_mean or 0)
    found: dict[str, Disagreement] = {}
    for key in sorted(shared, key=spread, reverse=True):
        sample = by_id[largest][key]
        if len(found) == most or spread(key) == 0:
            break
        if sample.image_key in found:
            continue
        found[sample.image_key] = Disagreement(
            sample.question,
            sample.answers,
            pictures.draw(sample, runs[largest], f"{sample.task}, as {labels[largest]} tiles it"),
            tuple(
                (label, samples[key].prediction, samples[key].accuracy)
                for label, samples in zip(labels, by_id, strict=True)
            ),
        )
    return list(found.values())
