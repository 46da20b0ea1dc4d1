"""The columns of results, each declared once: name, unit, meaning, aggregates, names in tables.

In: what was measured of an image, or of an answer. Out: the values of the declared columns, and
their aggregates. Results files, runs without a model, W&B, the console, the report, frames and the
records of lmms-eval read these declarations; a new column is a new entry of `BUILT_IN`, or an
option of the group `metric` that lies anywhere a configuration may lie. Imports no torch.
"""

from __future__ import annotations

import dataclasses
import keyword
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from tierexp.errors import ConfigError
from tierexp.imaging.measurements import AnyImages, ManyImages, OneImage

Number = int | float
Statistic = Literal["mean", "std", "p5", "p95"]
"""Standard deviations are those of the population, percentiles are interpolated linearly."""
Tables = Literal["all", "page", "summary"]
"""Where a column stands: also in the narrow table of the console's comparison, on the report's page
and in the summary of its run, or in the summary alone.
"""
FRACTION = "fraction"
"""The unit of values in [0, 1], which people read as percentages."""

_COMPUTE: dict[str, Callable[[NDArray[Any]], Any]] = {
    "mean": np.mean,
    "std": np.std,
    "p5": lambda values: np.percentile(values, 5),
    "p95": lambda values: np.percentile(values, 95),
}
_IN_WORDS = {"p5": "at the 5th percentile", "p95": "at the 95th percentile"}


@dataclass(frozen=True)
class Metric:
    """A column of results, declared.

    Args:
        name: Name of the field of a sample in a results file; its aggregates are
            `<name>_<statistic>`.
        unit: Such as `tokens` or `ms`; `fraction` is shown as a percentage.
        description: What it is, in a sentence.
        statistics: Its aggregates; without any it is recorded of samples and shown nowhere.
        label: Its name in tables; empty: the name, with blanks.
        note: What stands behind the mean in a run's summary.
        digits: Behind the decimal point, where people read it.
        logged_as: Stem of its names in W&B, `test/<stem>_<statistic>`; empty: the name. Standard
            deviations are not logged.
        tables: Where it is shown.

    Raises:
        ConfigError: A name that is none, an unknown statistic, or another table.
    """

    name: str
    unit: str
    description: str
    statistics: tuple[Statistic, ...] = ("mean",)
    label: str = ""
    note: str = ""
    digits: int = 1
    logged_as: str = ""
    tables: Tables = "page"

    def __post_init__(self) -> None:
        key = f"metric.{self.name}"
        if not str(self.name).isidentifier() or keyword.iskeyword(self.name):
            raise ConfigError("metric.name", self.name, "a name of letters, digits and _")
        # A configuration has lists.
        object.__setattr__(self, "statistics", tuple(self.statistics))
        known = get_args(Statistic)
        if not set(self.statistics) <= set(known):
            allowed = f"some of {', '.join(known)}"
            raise ConfigError(f"{key}.statistics", list(self.statistics), allowed)
        if self.tables not in get_args(Tables):
            allowed = f"one of {', '.join(get_args(Tables))}"
            raise ConfigError(f"{key}.tables", self.tables, allowed)

    @property
    def title(self) -> str:
        """Its name in tables."""
        return self.label or self.name.replace("_", " ")

    @property
    def stem(self) -> str:
        """Its name in W&B, without a statistic."""
        return self.logged_as or self.name

    def field(self, statistic: Statistic) -> str:
        """The name of an aggregate in results."""
        return f"{self.name}_{statistic}"

    def logged(self, aggregates: Mapping[str, float | None]) -> dict[str, float]:
        """What W&B keeps of its aggregates."""
        found = {
            f"test/{self.stem}_{statistic}": aggregates[self.field(statistic)]
            for statistic in self.statistics
            if statistic != "std"
        }
        return {name: value for name, value in found.items() if value is not None}

    def text(self, value: float | None) -> str:
        """A value for people; a dash where there is none."""
        return percent_text(value) if self.unit == FRACTION else number_text(value, self.digits)

    def summary(self, aggregates: Mapping[str, float | None]) -> str:
        """All its aggregates in a line, such as `0.093 mean, 0.190 at the 95th percentile`."""
        texts = {s: self.text(aggregates.get(self.field(s))) for s in self.statistics}
        first = " ± ".join(texts[s] for s in ("mean", "std") if s in texts)
        others = [f"{text} {_IN_WORDS[s]}" for s, text in texts.items() if s in _IN_WORDS]
        return ", ".join([f"{first} {self.note}".strip(), *others] if first else others)

    def declaration(self) -> Metric:
        """The same without what only a run needs, as results keep it."""
        fields = dataclasses.fields(Metric)
        return Metric(**{field.name: getattr(self, field.name) for field in fields})


@dataclass(frozen=True, kw_only=True)
class ImageMetric(Metric):
    """A column that follows from how an image was tiled; runs without a model have it, too.

    Args:
        measure: From one image to a number, and from N images to an array of shape (N,) or to one
            number for all.
    """

    measure: Callable[[AnyImages], Any]


@dataclass(frozen=True)
class Answer:
    """An answer that was scored.

    Args:
        prediction: What the model said.
        answers: Accepted ones.
        score: Score of the prediction, in [0, 1].
        confidence: Mean log-probability of its tokens; None where the model did not tell.
        first_margin: Probability of its first token less that of the closest rival; None likewise.
        billed_tokens: What a server bills for the image; None where there is none, or it does not
            say.
    """

    prediction: str
    answers: tuple[str, ...]
    score: float
    confidence: float | None = None
    first_margin: float | None = None
    billed_tokens: int | None = None


@dataclass(frozen=True, kw_only=True)
class AnswerMetric(Metric):
    """A column that follows from an answer; runs without a model do not have it.

    Args:
        measure: From an answer to a number; None where there is none for it.
    """

    measure: Callable[[Answer], Number | None]


AnyMetric = ImageMetric | AnswerMetric
AnyMetrics = Sequence[AnyMetric]

BUILT_IN: tuple[AnyMetric, ...] = (
    ImageMetric(
        "selected_crops", "crops", "Crops, the global view not counted.", ("mean", "std"),
        label="crops", note="", measure=lambda image: image.crops,
    ),
    ImageMetric(
        "selected_vision_tokens", "tokens", "The budget, the global view's included.",
        ("mean", "std"), label="tokens", tables="all",
        measure=lambda image: image.selected_vision_tokens,
    ),
    ImageMetric(
        "actual_vision_tokens", "tokens",
        "Of the budget, the tokens that see at least one pixel of the image.",
        label="tokens actual", note="that see the image", tables="summary",
        measure=lambda image: image.actual_vision_tokens,
    ),
    ImageMetric(
        "actual_crop_tokens", "tokens", "The same of the crops alone, without the global view.", (),
        measure=lambda image: image.actual_crop_tokens,
    ),
    ImageMetric(
        "llm_vision_tokens", "tokens",
        "What the language model receives, and keeps where it reduces them on the way.",
        label="to the LLM", note="without overlap",
        measure=lambda image: image.llm_vision_tokens,
    ),
    ImageMetric(
        "unreduced_vision_tokens", "tokens",
        "What the language model would receive if it reduced no tokens on the way.", (),
        measure=lambda image: image.unreduced_vision_tokens,
    ),
    ImageMetric(
        "utilization", FRACTION, "Fraction of the token budget that sees the image.",
        label="utilization", note="mean", tables="all",
        measure=lambda image: image.actual_vision_tokens / image.selected_vision_tokens,
    ),
    ImageMetric(
        "crop_utilization", FRACTION, "The same of the crops alone, without the global view.",
        label="of the crops", note="mean", tables="summary",
        measure=lambda image: image.actual_crop_tokens / image.selected_crop_tokens,
    ),
    ImageMetric(
        "aspect_ratio_mismatch", "ratio",
        "|cols / rows - a|, a the image's aspect ratio less the margins.",
        ("mean", "std", "p95"), label="mismatch", note="mean", digits=3, tables="all",
        logged_as="mismatch", measure=lambda image: image.mismatch,
    ),
    ImageMetric(
        "content_kept", FRACTION, "Fraction of the image's area left after cropping.",
        label="image kept", note="of the image's area", tables="summary",
        measure=lambda image: image.content_kept,
    ),
    ImageMetric(
        "padding_fraction", FRACTION, "Fraction of the canvas's area that is padding.",
        label="canvas padded", note="of the canvas's area", tables="summary",
        measure=lambda image: image.padding_fraction,
    ),
    AnswerMetric(
        "confidence", "nats", "Mean log-probability of the answer's tokens.", note="mean", digits=3,
        tables="summary", measure=lambda answer: answer.confidence,
    ),
    AnswerMetric(
        "first_margin", "probability",
        "Probability of the answer's first token less that of its closest rival.", note="mean",
        digits=3, tables="summary", measure=lambda answer: answer.first_margin,
    ),
    AnswerMetric(
        "billed_tokens", "tokens",
        "What the server bills for the image: the request's tokens less those of the same question "
        "without it.", label="tokens billed", note="for the image, with its marks",
        tables="summary", measure=lambda answer: answer.billed_tokens,
    ),
)  # fmt: skip
"""Every run's columns, in the order of tables. The score is none of them: it has an interval, tasks
and a chance of its own, and its name is `accuracy` in every file."""


class SharedColumns(Mapping[str, Number | None]):
    """The columns of one sample, by name, of which those of its image are shared by all samples
    about it: a dictionary of its own would be half of what a run keeps in memory of a sample.

    Args:
        of_image: As from `values_of_image`.
        of_answer: As from `values_of_answer`.
    """

    __slots__ = ("_of_answer", "_of_image", "_places")

    def __init__(
        self, of_image: dict[str, Number | None], of_answer: Mapping[str, Number | None]
    ) -> None:
        self._of_image = of_image
        self._of_answer = tuple(of_answer.values())
        self._places = _places(*of_answer)

    def __getitem__(self, name: str) -> Number | None:
        if name in self._of_image:
            return self._of_image[name]
        return self._of_answer[self._places[name]]

    @override
    def get(self, name: str, default: Any = None) -> Any:
        """As a dictionary's; a run asks for every column of every sample."""
        if name in self._of_image:
            return self._of_image[name]
        place = self._places.get(name)
        return default if place is None else self._of_answer[place]

    def __iter__(self) -> Iterator[str]:
        yield from self._of_image
        yield from self._places

    def __len__(self) -> int:
        return len(self._of_image) + len(self._places)

    def __or__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        return {**({} | self), **other}

    def __ror__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        return {**other, **self._of_image, **dict(zip(self._places, self._of_answer, strict=True))}

    def __repr__(self) -> str:
        return repr({} | self)


@cache
def _places(*names: str) -> dict[str, int]:
    return {name: place for place, name in enumerate(names)}


Columns = dict[str, Number | None] | SharedColumns
"""Columns of a sample, by name."""


def values_of_image(metrics: AnyMetrics, image: OneImage) -> dict[str, Number | None]:
    """The columns of one image, by name; those of answers are left out.

    Args:
        metrics: Metrics of the run.
        image: That was tiled.
    """
    return {m.name: number(m, m.measure(image)) for m in metrics if isinstance(m, ImageMetric)}


def values_of_answer(metrics: AnyMetrics, answer: Answer) -> dict[str, Number | None]:
    """The columns of one answer, by name; those of images are left out.

    Args:
        metrics: Metrics of the run.
        answer: That was scored.
    """
    return {m.name: number(m, m.measure(answer)) for m in metrics if isinstance(m, AnswerMetric)}


def columns_of_images(metrics: AnyMetrics, images: ManyImages) -> dict[str, NDArray[Any]]:
    """The columns of N images, (N,) each; those of answers are left out.

    Args:
        metrics: Metrics of the run.
        images: That were tiled.

    Raises:
        ConfigError: A metric gives no numbers, or not one for every image.
    """
    shape = images.height.shape
    columns = {}
    for metric in metrics:
        if isinstance(metric, ImageMetric):
            column = np.asarray(metric.measure(images))
            if column.dtype.kind not in "biuf" or column.shape not in ((), shape):
                allowed = "a number for every image, or an array of them for arrays"
                raise ConfigError(f"metric.{metric.name}.measure", str(column)[:60], allowed)
            columns[metric.name] = np.broadcast_to(column, shape)
    return columns


def number(metric: Metric, value: object) -> Number | None:
    """A measured value as JSON can hold it.

    Raises:
        ConfigError: It is no finite number.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None:
        return None
    if not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
        raise ConfigError(f"metric.{metric.name}.measure", repr(value)[:60], "a finite number")
    return int(value) if isinstance(value, bool) else value


def aggregated(
    metrics: Iterable[Metric], columns: Mapping[str, Sequence[Number | None] | NDArray[Any]]
) -> dict[str, float | None]:
    """The aggregates of columns, by the names that results have for them; None where a column has
    no value. A value that is None, or not a number in an array, is left out.

    Args:
        metrics: Whose aggregates.
        columns: Columns of every metric, by name.
    """
    found: dict[str, float | None] = {}
    for metric in metrics:
        column = columns[metric.name]
        if not isinstance(column, np.ndarray):
            column = np.array([v for v in column if v is not None], dtype=np.float64)
        elif column.dtype.kind == "f":
            column = column[~np.isnan(column)]
        for statistic in metric.statistics:
            value = float(_COMPUTE[statistic](column)) if len(column) else None
            found[metric.field(statistic)] = value
    return found


def logged_metrics(
    metrics: Iterable[Metric], aggregates: Mapping[str, float | None]
) -> dict[str, float]:
    """What W&B keeps of a run's columns.

    Args:
        metrics: Metrics of the run.
        aggregates: As from `aggregated`.
    """
    return {name: value for m in metrics for name, value in m.logged(aggregates).items()}


def number_text(value: float | None, digits: int = 1) -> str:
    """A number to so many digits, or a dash where there is none."""
    return "-" if value is None else f"{value:.{digits}f}"


def percent_text(value: float | None) -> str:
    """A fraction as a percentage, or a dash where there is none."""
    return "-" if value is None else f"{value:.1%}"


def declared(metrics: Iterable[Metric]) -> tuple[Metric, ...]:
    """What results keep of the metrics they hold."""
    return tuple(metric.declaration() for metric in metrics)
