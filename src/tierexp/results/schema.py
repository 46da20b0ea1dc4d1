"""The results of one configuration: what is in them, and nothing of how it came there.

A sample's columns are those that `tierexp.results.metrics` declares; they lie in `metrics`, by
name, and on disk beside the other fields. They can be read like fields, too: in a notebook
`sample.padding_fraction` is `sample.metrics["padding_fraction"]`, and `run.utilization_mean` is
`run.aggregates["utilization_mean"]`. Knows nothing about models, files or Lightning.

Sizes keep the order of the schema: an `original_image_size` is [width, height], a
`target_resolution` is [height, width].
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from tierexp.data.scores.mme import MmeTotals
from tierexp.models.knobs.knob import KnobValue
from tierexp.results.check import Check
from tierexp.results.codec import BESIDE, UNCHECKED
from tierexp.results.latency import LatencyResults, SampleLatency
from tierexp.results.metrics import BUILT_IN, Columns, Metric
from tierexp.results.policy_record import PolicyRecord

SCHEMA_VERSION = 5

_WITH_COLUMNS = ("top_k", "num_active_blocks")
"""Knobs that are columns of their own, too."""


RUN = "run"
"""What tables of several runs call the column that tells them apart."""


class ReadColumns:
    """Columns of a record read like fields, for notebooks."""

    __slots__ = ()

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            for columns in ("metrics", "aggregates"):
                try:
                    held = object.__getattribute__(self, columns)
                except AttributeError:
                    continue
                if isinstance(held, Mapping) and name in held:
                    return held[name]
            raise AttributeError(f"{type(self).__name__} has no {name}")


@dataclass(frozen=True, slots=True)
class TierRange:
    """The crop counts a tier may select, both ends included."""

    min_crops: int
    max_crops: int


@dataclass(frozen=True)
class EarlierPass:
    """An answer to a sample that was given up for another operating point's.

    Args:
        point: Name of the operating point.
        selected_crops: Crops, without the global view.
        selected_vision_tokens: Tokens of the views that were encoded.
        llm_vision_tokens: Tokens that the language model received.
        prediction: The answer that was given up.
        confidence: Mean log-probability of its tokens; None where the model tells none.
        first_margin: Probability of its first token less that of the closest rival; None likewise.
        latency: What this pass took; None where it was not timed.
    """

    point: str
    selected_crops: int
    selected_vision_tokens: int
    llm_vision_tokens: int
    prediction: str
    confidence: float | None
    first_margin: float | None
    latency: SampleLatency | None


@dataclass(frozen=True, slots=True)
class SampleResult(ReadColumns):
    """What was measured of one sample.

    Args:
        sample_id: Id of the sample.
        tier: Name of the tier.
        tier_range: Crop counts it may select.
        selected_tiling: (rows, cols) of the crops.
        original_image_size: (width, height) in pixels, as displayed.
        original_aspect_ratio: Width / height.
        target_resolution: (height, width) in pixels of the tiling's windows.
        target_aspect_ratio: Width / height of those.
        resize_to_fill: Whether the crops were filled rather than padded or stretched.
        top_k: Experts per token; None for a dense model.
        num_active_blocks: Decoder blocks that ran; None where the decoder is no stack of them.
        question: As put to the model.
        prediction: What it answered.
        answers: Every accepted answer.
        accuracy: Score of the prediction in [0, 1].
        task: What the question tests.
        chance: Score of the best guess without the image; None where the data set knows none.
        latency: What the sample took; None where it was not timed.
        image_key: Key of the image; several samples may share it.
        point: Name of the operating point that has answered; None where no policy chose it.
        earlier_passes: Answers of other points before, in order. `latency` is of all passes
            together, everything else of the last.
        reused_vision_tokens: That later passes did not encode again: the global view's, where the
            model keeps it from pass to pass.
        knobs: What every knob came to, by name; `top_k` and `num_active_blocks` among them.
        is_parsed: Whether the prediction says what it chooses, how many, yes or no; None where the
            score takes any text.
        metrics: The declared columns, by name.
    """

    sample_id: str
    tier: str
    tier_range: TierRange
    selected_tiling: tuple[int, int]
    original_image_size: tuple[int, int]
    original_aspect_ratio: float
    target_resolution: tuple[int, int]
    target_aspect_ratio: float
    resize_to_fill: bool
    top_k: int | None
    num_active_blocks: int | None
    question: str
    prediction: str
    answers: tuple[str, ...]
    accuracy: float
    task: str
    chance: float | None
    latency: SampleLatency | None
    image_key: str
    point: str | None = None
    earlier_passes: tuple[EarlierPass, ...] = ()
    reused_vision_tokens: int = 0
    knobs: dict[str, KnobValue] = dataclasses.field(default_factory=dict)
    is_parsed: bool | None = None
    metrics: Annotated[Columns, UNCHECKED] = field(default_factory=dict, metadata=BESIDE)

    def number(self, name: str) -> float:
        """The value of a column that every sample has.

        Raises:
            KeyError: There is no such column, or it has no value here.
        """
        value = self.metrics[name]
        if value is None:
            raise KeyError(name)
        return value


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
        git_commit: Commit of the checkout the code ran from; None for an installed package.
        git_dirty: Whether that checkout had uncommitted changes.
        versions: Versions of Python and the packages that can change a result.
        seed: Seed of everything random; None where nothing is.
        device: The model ran on.
        inputs: Digests of the weights and the samples, which can change while their names in the
            configuration stay: what a run that is resumed must share.
        halved_batches: How many batches of an evaluation did not fit into memory and were answered
            in parts.
        date: When the run ended, ISO 8601 in UTC; None in files that do not say.
        command: That started it, without what a shell would need quoted; None as with `date`.
        checkpoint: Digest of what the weight files hold, wherever they lie; None where no files are
            read, and in files that do not say.
        server: What was found out about the server that answered, before it was asked; empty
            without one.
    """

    config: dict[str, Any]
    git_commit: str | None
    git_dirty: bool | None
    versions: dict[str, str]
    seed: int | None
    device: str
    inputs: dict[str, str] = dataclasses.field(default_factory=dict)
    halved_batches: int = 0
    server: dict[str, Any] = dataclasses.field(default_factory=dict)
    date: str | None = None
    command: str | None = None
    checkpoint: str | None = None


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
        metrics: The columns of its samples.
    """

    dataset: str
    model: str
    tier: str
    tier_range: TierRange
    resize_to_fill: bool
    knobs: Mapping[str, KnobValue]
    score: str
    metrics: tuple[Metric, ...] = BUILT_IN


@dataclass(frozen=True)
class EvaluationResults(ReadColumns):
    """One configuration's results; aggregates are over the `num_samples` scored samples, and None
    where there are none. `num_failed` samples come on top. `score` names what `accuracy` is the
    mean of; where that is `mme`, `mme` holds the official scores. `num_unparsed` of the samples
    have a prediction that does not say what it chooses, and count as wrong; None where the score
    takes any text. `policies` says what the policy that chose the points had to spend and what it
    spent; empty without one, or where its unit was not measured. `over_budget` is, of a budget of
    time, the fraction of answers that took longer. `metrics` declares the columns of the samples,
    and `aggregates` holds their `<name>_<statistic>`.
    """

    schema_version: int
    tier: str
    tier_range: TierRange
    selected_crops_distribution: dict[int, int]
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
    accuracy_by_task: dict[str, TaskAccuracy]
    mme: MmeTotals | None
    samples_per_second: float | None
    latency: LatencyResults | None
    validation: tuple[Check, ...]
    failures: tuple[Failure, ...]
    per_sample_results: Sequence[SampleResult]
    provenance: Provenance
    metrics: tuple[Metric, ...]
    knobs: dict[str, KnobValue] = dataclasses.field(default_factory=dict)
    num_unparsed: int | None = None
    policies: tuple[PolicyRecord, ...] = ()
    over_budget: float | None = None
    aggregates: Annotated[dict[str, float | None], UNCHECKED] = field(
        default_factory=dict, metadata=BESIDE
    )

    @property
    def other_knobs(self) -> dict[str, KnobValue]:
        """The knobs that have no column of their own and are not left alone."""
        return {k: v for k, v in self.knobs.items() if k not in _WITH_COLUMNS and v is not None}

    @property
    def file_name(self) -> str:
        """`<task>_tier-<tier>_crops<int(mean)>_topk<k>_blocks<n>.json`, and `_<knob>-<value>` for
        every other knob that is not left alone.
        """
        mean = self.aggregates["selected_crops_mean"]
        crops = "none" if mean is None else int(mean)
        top_k = "none" if self.top_k is None else self.top_k
        task = self.dataset.replace("_", "-")
        blocks = "none" if self.num_active_blocks is None else self.num_active_blocks
        name = f"{task}_tier-{self.tier}_crops{crops}_topk{top_k}_blocks{blocks}"
        for knob, value in self.other_knobs.items():
            name += f"_{knob}-{value}".replace(" %", "pct")
        return re.sub(r"[^\w.-]+", "-", name) + ".json"


def whole(knobs: Mapping[str, KnobValue], name: str) -> int | None:
    """A knob that is a whole number; None where the model has none of that name.

    Args:
        knobs: Values by name.
        name: Name of the knob.
    """
    value = knobs.get(name)
    return value if isinstance(value, int) else None
