"""Samples worth looking at: how well images were tiled, and what runs disagree about.

In: results of runs with the folders that hold their thumbnails. Out: captions and pictures as data
URLs. Needs neither data set nor model: what a run has not kept a picture of is shown without one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tierexp.report.thumbnails import fitting_samples, thumbnail_url
from tierexp.results.columns import column, numbers, shared_places
from tierexp.results.schema import EvaluationResults, SampleResult
from tierexp.tiers.geometry import Tiling


@dataclass(frozen=True)
class StoredRun:
    """A run as it lies on disk.

    Args:
        results: Results of the run.
        label: That tells it from the others of a report.
        folder: Its results file and its thumbnails lie in.
    """

    results: EvaluationResults
    label: str
    folder: Path

    def picture(self, sample: SampleResult, caption: str) -> Picture:
        """The image of a sample, as this run has resized and tiled it."""
        return Picture(self.url(sample.image_key, sample.selected_tiling), caption)

    def url(self, image_key: str, tiling: Tiling) -> str | None:
        """The picture of an image, as `thumbnail_url`."""
        resize = self.results.provenance.config.get("resize")
        mode = resize.get("crops") if isinstance(resize, dict) else None
        return thumbnail_url(image_key, tiling, str(mode), self.folder)

    def pictured(self) -> set[str]:
        """Keys of the images that it has kept pictures of."""
        samples = self.results.per_sample_results
        keys, tilings = (column(samples, name) for name in ("image_key", "selected_tiling"))
        images = dict(zip(keys, tilings, strict=True))
        return {key for key, tiling in images.items() if self.url(key, tuple(tiling)) is not None}


@dataclass(frozen=True)
class Picture:
    """One image with its tiling drawn over it.

    Args:
        url: A data URL; None where the run has kept no picture of it.
        caption: What it shows.
    """

    url: str | None
    caption: str


@dataclass(frozen=True)
class Case:
    """A question, and what runs answered.

    Args:
        question: As put to the model.
        answers: Accepted ones.
        picture: The image, as one of the runs tiles it.
        said: (run, prediction, score), in the order of the runs.
    """

    question: str
    answers: tuple[str, ...]
    picture: Picture
    said: tuple[tuple[str, str, float], ...]


def fitting_pictures(run: StoredRun) -> list[Picture]:
    """The images that fit best, worst, and in the middle."""
    return [
        run.picture(
            sample,
            f"{name}: {sample.selected_tiling[0]} x {sample.selected_tiling[1]} crops, mismatch "
            f"{sample.number('aspect_ratio_mismatch'):.3f}, "
            f"{sample.number('content_kept'):.0%} of the image kept",
        )
        for name, sample in fitting_samples(run.results.per_sample_results).items()
    ]


def answered(run: StoredRun, most: int) -> list[Case]:
    """Some samples of a run: as many wrong as right answers, if there are, wrong ones first.

    Args:
        run: With samples.
        most: How many at most; no image comes twice as long as there are others.
    """
    shown: dict[str, SampleResult] = {}
    samples = run.results.per_sample_results
    images, kept = column(samples, "image_key"), run.pictured()
    ranked = np.argsort(numbers(samples, "accuracy"), kind="stable").tolist()
    pictured = [place for place in ranked if images[place] in kept] or ranked
    # From both ends: the worst, the best, the second worst, ...
    for number in range(len(pictured)):
        place = pictured[number // 2] if number % 2 == 0 else pictured[-1 - number // 2]
        if images[place] not in shown:
            shown[images[place]] = samples[place]
        if len(shown) == most:
            break
    ordered = sorted(shown.values(), key=lambda sample: sample.accuracy)
    return [
        Case(
            sample.question,
            sample.answers,
            run.picture(sample, _tiled(sample)),
            ((run.label, sample.prediction, sample.accuracy),),
        )
        for sample in ordered
    ]


def disagreements(runs: Sequence[StoredRun], most: int) -> list[Case]:
    """Questions whose score differs between runs, the largest differences first, those with a
    picture before others.

    Args:
        runs: At least two, on the same samples, as far as they go.
        most: How many at most; no image comes twice.
    """
    tokens = [run.results.aggregates["selected_vision_tokens_mean"] or 0.0 for run in runs]
    largest = max(range(len(runs)), key=lambda number: tokens[number])
    every = [run.results.per_sample_results for run in runs]
    places = _of_all(every)
    accuracies = [numbers(samples, "accuracy") for samples in every]
    scores = np.array([scores[at] for scores, at in zip(accuracies, places, strict=True)])
    spread = np.ptp(scores, axis=0) if scores.size else np.zeros(0)
    images, kept = column(every[largest], "image_key"), runs[largest].pictured()
    found: dict[str, int] = {}
    without: dict[str, int] = {}
    for number in np.argsort(-spread, kind="stable").tolist():
        if len(found) == most or not spread[number]:
            break
        image = images[places[largest][number]]
        (found if image in kept else without).setdefault(image, number)
    return [
        _disagreement(runs, [int(of_run[number]) for of_run in places], largest)
        for number in [*found.values(), *without.values()][:most]
    ]


def _of_all(every: Sequence[Sequence[SampleResult]]) -> list[NDArray[np.intp]]:
    """Where the samples are that all runs have, in each of them, in the first one's order."""
    places = [np.arange(len(every[0]))]
    for samples in every[1:]:
        here, there = shared_places(every[0], samples)
        at = np.full(len(every[0]), -1)
        at[here] = there
        places.append(at)
    shared = np.all([at >= 0 for at in places], axis=0)
    return [at[shared] for at in places]


def _disagreement(runs: Sequence[StoredRun], places: Sequence[int], largest: int) -> Case:
    """A question, by its place in each of the runs."""
    samples = [
        run.results.per_sample_results[place] for run, place in zip(runs, places, strict=True)
    ]
    sample = samples[largest]
    caption = f"{_tiled(sample)}, as {runs[largest].label} tiles it"
    said = tuple(
        (run.label, one.prediction, one.accuracy) for run, one in zip(runs, samples, strict=True)
    )
    return Case(sample.question, sample.answers, runs[largest].picture(sample, caption), said)


def _tiled(sample: SampleResult) -> str:
    rows, cols = sample.selected_tiling
    return f"{sample.task}, {rows} x {cols} crops"
