"""The results of one configuration: their schema, and the JSON file that holds them.

In: what was measured of every sample. Out: the same with its aggregates, on disk. Knows nothing
about models or Lightning; a reader of results needs no torch.

Sizes keep the order of the schema: an `original_image_size` is [width, height], a
`target_resolution` is [height, width]. Standard deviations are those of the population.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import tempfile
import types
import typing
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from tierexp.errors import DataError
from tierexp.machine import writing
from tierexp.results.intervals import wilson_interval
from tierexp.results.latency import LatencyResults, SampleLatency
from tierexp.results.targets.check import Check
from tierexp.results.targets.run_checks import check_run
from tierexp.scores.mme import MmeTotals, add_up

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Results = TypeVar("Results", bound=DataclassInstance)

SCHEMA_VERSION = 4

KnobValue = int | float | str | bool | None
"""What is recorded of a knob."""
_WITH_COLUMNS = ("top_k", "num_active_blocks")
"""Knobs that are columns of their own, too."""


@dataclass(frozen=True)
class TierRange:
    """The crop counts a tier may select, both ends included."""

    min_crops: int
    max_crops: int


@dataclass(frozen=True)
class EarlierPass:
    """An answer to a sample that was given up for another operating point's.

    Args:
        point: Name of the operating point.
        selected_crops: As in `SampleResult`, like the others.
        selected_vision_tokens: See there.
        llm_vision_tokens: See there.
        prediction: See there.
        confidence: See there.
        first_margin: See there.
        latency: See there.
    """

    point: str
    selected_crops: int
    selected_vision_tokens: int
    llm_vision_tokens: int
    prediction: str
    confidence: float | None
    first_margin: float | None
    latency: SampleLatency | None


@dataclass(frozen=True)
class SampleResult:
    """What was measured of one sample.

    Args:
        sample_id: Of the sample.
        tier: Name of the tier.
        tier_range: Crop counts it may select.
        selected_crops: Crops, the global view not counted.
        selected_tiling: (rows, cols) of the crops.
        aspect_ratio_mismatch: |cols / rows - a|, a the image's aspect ratio less the margins.
        selected_vision_tokens: The budget, the global view's included.
        actual_vision_tokens: Of those, the tokens that see a pixel of the image.
        llm_vision_tokens: What the language model receives; where it reduces them on the way
            (`reduction`), what is left.
        original_image_size: (width, height) in pixels, as displayed.
        original_aspect_ratio: Width / height.
        target_resolution: (height, width) in pixels of the tiling's windows.
        target_aspect_ratio: Width / height of those.
        resize_to_fill: Whether the crops were filled rather than padded or stretched.
        content_kept: Share of the image's area left after cropping to the canvas.
        padding_fraction: Share of the canvas's area that is padding.
        top_k: Experts per token; None for a dense model.
        num_active_blocks: Decoder blocks that ran; None where the decoder is no stack of them.
        question: As put to the model.
        prediction: What it answered.
        answers: Every accepted answer.
        accuracy: Score of the prediction in [0, 1].
        task: What the question tests.
        actual_crop_tokens: `actual_vision_tokens` without the global view's.
        chance: Score of the best guess without the image; None where the data set knows none.
        latency: What the sample took; None where it was not timed.
        image_key: Of the image; several samples may share it.
        confidence: Mean log-probability of the answer's tokens; None where the model did not tell,
            as of the next.
        first_margin: Probability of the answer's first token less that of its closest rival.
        point: Name of the operating point that has answered; None where no policy chose it.
        earlier_passes: Answers of other points before, in order. `latency` is of all passes
            together, everything else of the last.
        knobs: What every knob came to, by name; `top_k` and `num_active_blocks` among them.
        is_parsed: Whether the prediction says what it chooses, how many, yes or no; None where the
            score takes any text.
        unreduced_vision_tokens: What `llm_vision_tokens` would be without a reduction; None in
            results from before there were any.
    """

    sample_id: str
    tier: str
    tier_range: TierRange
    selected_crops: int
    selected_tiling: tuple[int, int]
    aspect_ratio_mismatch: float
    selected_vision_tokens: int
    actual_vision_tokens: int
    llm_vision_tokens: int
    original_image_size: tuple[int, int]
    original_aspect_ratio: float
    target_resolution: tuple[int, int]
    target_aspect_ratio: float
    resize_to_fill: bool
    content_kept: float
    padding_fraction: float
    top_k: int | None
    num_active_blocks: int | None
    question: str
    prediction: str
    answers: tuple[str, ...]
    accuracy: float
    task: str
    actual_crop_tokens: int
    chance: float | None
    latency: SampleLatency | None
    image_key: str
    confidence: float | None = None
    first_margin: float | None = None
    point: str | None = None
    earlier_passes: tuple[EarlierPass, ...] = ()
    knobs: dict[str, KnobValue] = dataclasses.field(default_factory=dict)
    is_parsed: bool | None = None
    unreduced_vision_tokens: int | None = None

    @property
    def utilization(self) -> float:
        """Share of the token budget that sees the image."""
        return self.actual_vision_tokens / self.selected_vision_tokens

    @property
    def crop_utilization(self) -> float:
        """The same of the crops alone, without the global view."""
        per_crop = self.selected_vision_tokens // (self.selected_crops + 1)
        return self.actual_crop_tokens / (self.selected_crops * per_crop)


@dataclass(frozen=True)
class Failure:
    """A sample that could not be evaluated, and why."""

    sample_id: str
    reason: str


@dataclass(frozen=True)
class TaskAccuracy:
    """Mean score of one task's samples, its 95 % interval, how many they are, and what the best
    guesses without the image would score.
    """

    accuracy: float
    accuracy_ci95: tuple[float, float]
    num_samples: int
    chance: float | None


@dataclass(frozen=True)
class Provenance:
    """Where results come from.

    Args:
        config: The resolved configuration.
        git_commit: Of the checkout the code ran from; None for an installed package.
        git_dirty: Whether that checkout had uncommitted changes.
        versions: Of Python and the packages that can change a result.
        seed: Of everything random; None where nothing is.
        device: The model ran on.
        inputs: Digests of the weights and the samples, which can change while their names in the
            configuration stay: what a run that is resumed must share.
        halved_batches: How many batches of an evaluation did not fit into memory and were answered
            in parts.
    """

    config: dict[str, Any]
    git_commit: str | None
    git_dirty: bool | None
    versions: dict[str, str]
    seed: int | None
    device: str
    inputs: dict[str, str] = dataclasses.field(default_factory=dict)
    halved_batches: int = 0


@dataclass(frozen=True)
class RunFacts:
    """What holds for every sample of a run.

    Args:
        dataset: Name of the data set.
        model: Name of the model.
        tier: Name of the tier.
        tier_range: Crop counts it may select.
        resize_to_fill: Whether the crops were filled.
        knobs: What every knob of the model came to, by name; a policy's points may differ.
        score: Name of what accuracy is the mean of.
    """

    dataset: str
    model: str
    tier: str
    tier_range: TierRange
    resize_to_fill: bool
    knobs: Mapping[str, KnobValue]
    score: str


@dataclass(frozen=True)
class EvaluationResults:
    """One configuration's results; aggregates are over the `num_samples` scored samples, and None
    where there are none. `num_failed` samples come on top. `score` names what `accuracy` is the
    mean of; where that is `mme`, `mme` holds the official figures. `num_unparsed` of the samples
    have a prediction that does not say what it chooses, and count as wrong; None where the score
    takes any text.
    """

    schema_version: int
    tier: str
    tier_range: TierRange
    selected_crops_distribution: dict[int, int]
    selected_crops_mean: float | None
    selected_crops_std: float | None
    selected_vision_tokens_mean: float | None
    selected_vision_tokens_std: float | None
    actual_vision_tokens_mean: float | None
    utilization_mean: float | None
    aspect_ratio_mismatch_mean: float | None
    aspect_ratio_mismatch_std: float | None
    top_k: int | None
    num_active_blocks: int | None
    accuracy: float | None
    accuracy_std: float | None
    accuracy_ci95: tuple[float, float] | None
    chance: float | None
    num_samples: int
    num_failed: int
    resize_to_fill: bool
    dataset: str
    model: str
    score: str
    llm_vision_tokens_mean: float | None
    crop_utilization_mean: float | None
    aspect_ratio_mismatch_p95: float | None
    content_kept_mean: float | None
    padding_fraction_mean: float | None
    accuracy_by_task: dict[str, TaskAccuracy]
    mme: MmeTotals | None
    samples_per_second: float | None
    latency: LatencyResults | None
    validation: tuple[Check, ...]
    failures: tuple[Failure, ...]
    per_sample_results: tuple[SampleResult, ...]
    provenance: Provenance
    knobs: dict[str, KnobValue] = dataclasses.field(default_factory=dict)
    num_unparsed: int | None = None

    @property
    def other_knobs(self) -> dict[str, KnobValue]:
        """The knobs that have no column of their own and are not left alone."""
        return {k: v for k, v in self.knobs.items() if k not in _WITH_COLUMNS and v is not None}

    @property
    def file_name(self) -> str:
        """`<task>_tier-<tier>_crops<int(mean)>_topk<k>_blocks<n>.json`, and `_<knob>-<value>` for
        every other knob that is not left alone.
        """
        mean = self.selected_crops_mean
        crops = "none" if mean is None else int(mean)
        top_k = "none" if self.top_k is None else self.top_k
        task = self.dataset.replace("_", "-")
        blocks = "none" if self.num_active_blocks is None else self.num_active_blocks
        name = f"{task}_tier-{self.tier}_crops{crops}_topk{top_k}_blocks{blocks}"
        for knob, value in self.other_knobs.items():
            name += f"_{knob}-{value}"
        return re.sub(r"[^\w.-]", "-", name) + ".json"


def aggregate(
    samples: Sequence[SampleResult],
    failures: Sequence[Failure],
    facts: RunFacts,
    seconds: float | None,
    provenance: Provenance,
    latency: LatencyResults | None = None,
) -> EvaluationResults:
    """The results of a run from what was measured of its samples.

    Args:
        samples: In the data set's order.
        failures: In the data set's order.
        facts: What holds for every sample.
        seconds: The evaluation took, model loading excluded; None where that says nothing.
        provenance: Where the results come from.
        latency: Of the samples; None where nothing was timed.
    """

    def column(name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
        return np.array([getattr(sample, name) for sample in samples], dtype=np.float64)

    def mean(name: str) -> float | None:
        return float(column(name).mean()) if samples else None

    def std(name: str) -> float | None:
        return float(column(name).std()) if samples else None

    overall = task_accuracy(samples) if samples else None
    mismatch = column("aspect_ratio_mismatch")
    tasks = sorted({sample.task for sample in samples})
    return EvaluationResults(
        schema_version=SCHEMA_VERSION,
        tier=facts.tier,
        tier_range=facts.tier_range,
        selected_crops_distribution=dict(
            sorted(Counter(s.selected_crops for s in samples).items())
        ),
        selected_crops_mean=mean("selected_crops"),
        selected_crops_std=std("selected_crops"),
        selected_vision_tokens_mean=mean("selected_vision_tokens"),
        selected_vision_tokens_std=std("selected_vision_tokens"),
        actual_vision_tokens_mean=mean("actual_vision_tokens"),
        utilization_mean=mean("utilization"),
        aspect_ratio_mismatch_mean=mean("aspect_ratio_mismatch"),
        aspect_ratio_mismatch_std=std("aspect_ratio_mismatch"),
        top_k=whole(facts.knobs, "top_k"),
        num_active_blocks=whole(facts.knobs, "num_active_blocks"),
        knobs=dict(facts.knobs),
        accuracy=overall.accuracy if overall else None,
        accuracy_std=std("accuracy"),
        accuracy_ci95=overall.accuracy_ci95 if overall else None,
        chance=overall.chance if overall else None,
        num_samples=len(samples),
        num_failed=len(failures),
        resize_to_fill=facts.resize_to_fill,
        dataset=facts.dataset,
        model=facts.model,
        score=facts.score,
        llm_vision_tokens_mean=mean("llm_vision_tokens"),
        crop_utilization_mean=mean("crop_utilization"),
        aspect_ratio_mismatch_p95=float(np.percentile(mismatch, 95)) if samples else None,
        content_kept_mean=mean("content_kept"),
        padding_fraction_mean=mean("padding_fraction"),
        accuracy_by_task={
            task: task_accuracy([sample for sample in samples if sample.task == task])
            for task in tasks
        },
        mme=mme_totals(samples) if facts.score == "mme" and samples else None,
        samples_per_second=len(samples) / seconds if samples and seconds else None,
        latency=latency,
        validation=check_run(samples),
        failures=tuple(failures),
        per_sample_results=tuple(samples),
        provenance=provenance,
        num_unparsed=num_unparsed(samples),
    )


def whole(knobs: Mapping[str, KnobValue], name: str) -> int | None:
    """A knob that is a whole number; None where the model has none of that name.

    Args:
        knobs: Values by name.
        name: Of the knob.
    """
    value = knobs.get(name)
    return value if isinstance(value, int) else None


def num_unparsed(samples: Sequence[SampleResult]) -> int | None:
    """How many predictions do not say what they choose; None where their score takes any text."""
    read = [sample.is_parsed for sample in samples if sample.is_parsed is not None]
    return read.count(False) if read else None


def task_accuracy(samples: Sequence[SampleResult]) -> TaskAccuracy:
    """The mean score of samples, at least one, and its 95 % Wilson interval."""
    accuracy = float(np.mean([sample.accuracy for sample in samples]))
    guesses = [sample.chance for sample in samples if sample.chance is not None]
    chance = float(np.mean(guesses)) if len(guesses) == len(samples) else None
    return TaskAccuracy(accuracy, wilson_interval(accuracy, len(samples)), len(samples), chance)


def mme_totals(samples: Sequence[SampleResult]) -> MmeTotals:
    """MME's official figures, of samples scored by `mme`."""
    return add_up((s.task, s.image_key, s.accuracy == 1.0) for s in samples)


def write_results(results: DataclassInstance, path: Path) -> None:
    """Write results as JSON so that a reader finds the old file, or none, or the complete new one.

    Args:
        results: What to write: an `EvaluationResults`, or another schema's data class.
        path: Of the file; its folder is made where it is missing.

    Raises:
        MachineError: It cannot be written; the old one is still there.
    """
    text = json.dumps(dataclasses.asdict(results), indent=2, ensure_ascii=False, allow_nan=False)
    write_text(text + "\n", path)


def write_text(text: str, path: Path) -> None:
    """Write a file of which a reader finds the old one, or none, or the complete new one.

    Args:
        text: All of it.
        path: Of the file; its folder is made where it is missing.

    Raises:
        MachineError: It cannot be written; the old one is still there.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            # mkstemp is private to the user; results are to be read like any other file.
            umask = os.umask(0)
            os.umask(umask)
            Path(temporary).chmod(0o666 & ~umask)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def complete_results(folder: Path) -> list[Path]:
    """The results files of a folder, not below: of runs that were finished, with a model."""
    return [
        file
        for file in sorted(folder.glob("*_tier-*.json"))
        if not file.name.startswith("interrupted_") and not file.stem.endswith("_model-none")
    ]


def load_results(path: Path | str) -> EvaluationResults:
    """Read what `write_results` wrote.

    Args:
        path: Of the file.

    Raises:
        DataError: It is missing, not JSON, of another schema version, or lacks a field.
    """
    return read_results(EvaluationResults, SCHEMA_VERSION, path)


def read_results(schema: type[Results], schema_version: int, path: Path | str) -> Results:
    """Read a results file of any schema.

    Args:
        schema: The data class that was written.
        schema_version: That its fields belong to.
        path: Of the file.

    Raises:
        DataError: It is missing, not JSON, of another schema version, or lacks a field.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise DataError(f"{path} is not a results file: {error}") from error
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != schema_version:
        raise DataError(f"{path} has schema version {version}, this tierexp reads {schema_version}")
    try:
        results: Results = decoded(schema, content)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} does not have the fields of its schema: {error}") from error
    return results


def decoded(kind: Any, value: Any) -> Any:
    """JSON to the Python of a type annotation: data classes, tuples and whole-number keys.

    A field that is missing takes its default, if it has one.
    """
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        hints = typing.get_type_hints(kind)
        optional = {
            field.name
            for field in dataclasses.fields(kind)
            if field.default is not dataclasses.MISSING
            or field.default_factory is not dataclasses.MISSING
        }
        return kind(
            **{
                name: decoded(hint, value[name])
                for name, hint in hints.items()
                if name in value or name not in optional
            }
        )
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:
        return None if value is None else decoded(arguments[0], value)
    if origin is tuple:
        kinds = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
        return tuple(decoded(k, v) for k, v in zip(kinds, value, strict=True))
    if origin is dict:
        return {arguments[0](k): decoded(arguments[1], v) for k, v in value.items()}
    return value
