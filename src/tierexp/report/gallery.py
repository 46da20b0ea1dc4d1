"""Samples worth looking at: how well images were tiled, and what runs disagree about.

In: results of runs with the folders that hold their thumbnails. Out: captions and pictures as data
URLs. Needs neither data set nor model: what a run has not kept a picture of is shown without one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tierexp.report.thumbnails import fitting_samples, thumbnail_url
from tierexp.results.schema import EvaluationResults, SampleResult


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
        resize = self.results.provenance.config.get("resize")
        mode = resize.get("crops") if isinstance(resize, dict) else None
        return Picture(thumbnail_url(sample, str(mode), self.folder), caption)


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
    ranked = sorted(run.results.per_sample_results, key=lambda sample: sample.accuracy)
    pictured = [s for s in ranked if run.picture(s, "").url is not None] or ranked
    # From both ends: the worst, the best, the second worst, ...
    for number in range(len(pictured)):
        sample = pictured[number // 2] if number % 2 == 0 else pictured[-1 - number // 2]
        shown.setdefault(sample.image_key, sample)
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
    by_id = [{s.sample_id: s for s in run.results.per_sample_results} for run in runs]
    tokens = [run.results.aggregates["selected_vision_tokens_mean"] or 0.0 for run in runs]
    largest = max(range(len(runs)), key=lambda number: tokens[number])
    spreads = {}
    for key in by_id[0]:
        if all(key in samples for samples in by_id):
            scores = [samples[key].accuracy for samples in by_id]
            spreads[key] = max(scores) - min(scores)
    found: dict[str, Case] = {}
    without: dict[str, Case] = {}
    for key in sorted((key for key in spreads if spreads[key]), key=lambda key: -spreads[key]):
        sample = by_id[largest][key]
        if len(found) == most:
            break
        if sample.image_key in found or sample.image_key in without:
            continue
        caption = f"{_tiled(sample)}, as {runs[largest].label} tiles it"
        case = Case(
            sample.question,
            sample.answers,
            runs[largest].picture(sample, caption),
            tuple(
                (run.label, samples[key].prediction, samples[key].accuracy)
                for run, samples in zip(runs, by_id, strict=True)
            ),
        )
        (found if case.picture.url is not None else without)[sample.image_key] = case
    return [*found.values(), *without.values()][:most]


def _tiled(sample: SampleResult) -> str:
    rows, cols = sample.selected_tiling
    return f"{sample.task}, {rows} x {cols} crops"
