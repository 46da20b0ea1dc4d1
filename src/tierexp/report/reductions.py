"""Vision tokens thrown away against vision tokens never made: methods of reduction beside the tiers
with as many tokens.

In: results of tiers, and of a tier that was reduced. Out: for each reduced run what it gains over
the tier closest to it in tokens, paired, in all and by task; and how it does on the samples that
the smallest tier answers and on those that it does not: "Are We Using the Right Benchmark"
(2510.07143) found that only the latter tell methods apart. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tierexp.models.knobs.reduction import settings
from tierexp.report.compared import compared
from tierexp.report.varying import run_labels
from tierexp.results.intervals import combined_interval
from tierexp.results.schema import EvaluationResults, SampleResult

GROUP = "reduction"
"""The group of a configuration, and the knob of results."""
ANSWERED = 0.5
"""The score from which on a sample counts as answered."""
Runs = Sequence[EvaluationResults]


@dataclass(frozen=True)
class Difference:
    """What one run gains over another on the samples of both.

    Args:
        mean: Mean of the scores' differences.
        ci95: Its paired bootstrap interval, images drawn as a whole.
        num_samples: Num samples of both.
    """

    mean: float
    ci95: tuple[float, float]
    num_samples: int

    @property
    def points(self) -> str:
        """In points of a hundred, with the interval: `+6.6 (5.0 to 8.3)`."""
        low, high = (100 * bound for bound in self.ci95)
        return f"{100 * self.mean:+.1f} ({low:+.1f} to {high:+.1f})"


@dataclass(frozen=True)
class Rival:
    """A reduced run beside a tier.

    Args:
        method: Method of the reduction.
        reduced_tier: The tier that was reduced, and other knobs where runs differ in them.
        tier: Without a reduction, the closest in tokens of those whose other knobs are the same.
        tokens: What is left to the language model, on average.
        tier_tokens: The same of the tier.
        accuracy: Accuracy of the reduced run.
        difference: To the tier.
        by_task: The same by task.
        easy: Accuracy on the samples that the tier with the fewest tokens answers; None where there
            are none.
        hard: On the others.
    """

    method: str
    reduced_tier: str
    tier: str
    tokens: float
    tier_tokens: float
    accuracy: float
    difference: Difference
    by_task: dict[str, Difference]
    easy: float | None
    hard: float | None


def method_of(run: EvaluationResults) -> str:
    """The method of reduction of a run; `none` where its settings name none."""
    group = run.provenance.config.get(GROUP)
    target = str(group.get("_target_", "")) if isinstance(group, dict) else ""
    kind = getattr(settings, target.rpartition(".")[2], None)
    if isinstance(kind, type) and issubclass(kind, settings.Reduction):
        return kind.method
    return "none"


def plain_runs(runs: Runs) -> list[EvaluationResults]:
    """Those without a reduction, the fewest tokens first."""
    plain = [run for run in runs if run.accuracy is not None and method_of(run) == "none"]
    return sorted(plain, key=tokens_of)


def rivals(runs: Runs) -> list[Rival]:
    """Every reduced run beside the tier closest to it in tokens, by tokens and then by accuracy.

    Args:
        runs: Runs of one data set and model. Empty without a run of either kind.
    """
    shown = [run for run in runs if run.accuracy is not None]
    labels = run_labels([compared(run) for run in shown], besides=GROUP)
    plain = [(run, label) for run, label in zip(shown, labels, strict=True) if _is_plain(run)]
    found = []
    for run, label in zip(shown, labels, strict=True):
        alike = [entry for entry in plain if _other_knobs(entry[0]) == _other_knobs(run)]
        if not _is_plain(run) and alike:
            found.append(_beside(run, label, alike))
    kept = [rival for rival in found if rival is not None]
    return sorted(kept, key=lambda rival: (rival.tier_tokens, rival.tier, -rival.accuracy))


def _is_plain(run: EvaluationResults) -> bool:
    return method_of(run) == "none"


def one_setting(runs: Runs) -> bool:
    """Whether the model's other knobs are the same in all runs."""
    return len({repr(_other_knobs(run)) for run in runs}) == 1


def _other_knobs(run: EvaluationResults) -> tuple[object, ...]:
    """What the model was set to, besides the reduction."""
    others = {name: value for name, value in run.other_knobs.items() if name != GROUP}
    return run.top_k, run.num_active_blocks, others


def _beside(
    run: EvaluationResults, label: str, tiers: Sequence[tuple[EvaluationResults, str]]
) -> Rival | None:
    """None where the runs share no sample.

    Args:
        run: Any.
        label: Its name in tables.
        tiers: Without a reduction, with their names.
    """
    tier, name = min(tiers, key=lambda entry: abs(tokens_of(entry[0]) - tokens_of(run)))
    pairs = _pairs(tier, run)
    if not pairs:
        return None
    smallest, _ = min(tiers, key=lambda entry: tokens_of(entry[0]))
    easy, hard = _split(run, smallest)
    tasks = sorted({sample.task for _, sample in pairs})
    return Rival(
        method=method_of(run),
        reduced_tier=label,
        tier=name,
        tokens=tokens_of(run),
        tier_tokens=tokens_of(tier),
        accuracy=run.accuracy or 0.0,
        difference=_difference(pairs),
        by_task={task: _difference([p for p in pairs if p[1].task == task]) for task in tasks},
        easy=easy,
        hard=hard,
    )


def _split(
    run: EvaluationResults, smallest: EvaluationResults
) -> tuple[float | None, float | None]:
    """Accuracy on the samples that the smallest tier answers, and on the others."""
    answered = {s.sample_id: s.accuracy >= ANSWERED for s in smallest.per_sample_results}
    parts = [
        [s.accuracy for s in run.per_sample_results if answered.get(s.sample_id) is kind]
        for kind in (True, False)
    ]
    easy, hard = (float(np.mean(scores)) if scores else None for scores in parts)
    return easy, hard


def _pairs(
    before: EvaluationResults, after: EvaluationResults
) -> list[tuple[SampleResult, SampleResult]]:
    known = {sample.sample_id: sample for sample in before.per_sample_results}
    every = after.per_sample_results
    return [(known[s.sample_id], s) for s in every if s.sample_id in known]


def _difference(pairs: Sequence[tuple[SampleResult, SampleResult]]) -> Difference:
    before, after = (np.array([pair[n].accuracy for pair in pairs], float) for n in (0, 1))
    images = [sample.image_key for sample, _ in pairs]
    ci95 = combined_interval([before, after], images, lambda one, other: other - one)
    return Difference(float((after - before).mean()), ci95, len(pairs))


def tokens_of(run: EvaluationResults) -> float:
    """What the language model is left with, on average."""
    return run.aggregates.get("llm_vision_tokens_mean") or 0.0


HEAD = (
    "method", "tokens", "accuracy", "against the tier, points", "where the smallest tier is right",
    "where it is wrong",
)  # fmt: skip


def rival_rows(runs: Runs) -> list[tuple[str, ...]]:
    """The cells of a table, under `HEAD`: tiers and the methods that are compared with them."""
    found = rivals(runs)
    if not found:
        return []
    shown = [run for run in runs if run.accuracy is not None]
    labels = run_labels([compared(run) for run in shown], besides=GROUP)
    plain = [(run, label) for run, label in zip(shown, labels, strict=True) if _is_plain(run)]
    rows: list[tuple[str, ...]] = []
    for tier, label in sorted(plain, key=lambda entry: (tokens_of(entry[0]), entry[1])):
        alike = [run for run, _ in plain if _other_knobs(run) == _other_knobs(tier)]
        split = map(_percent, _split(tier, min(alike, key=tokens_of)))
        rows.append(
            (f"tier {label}", f"{tokens_of(tier):.0f}", _percent(tier.accuracy), "", *split)
        )
        rows += [
            (
                f"{one.method} of {one.reduced_tier}", f"{one.tokens:.0f}", _percent(one.accuracy),
                one.difference.points, _percent(one.easy), _percent(one.hard),
            )
            for one in found
            if one.tier == label
        ]  # fmt: skip
    return rows


def task_rows(runs: Runs) -> list[tuple[str, ...]]:
    """Each method's difference to the tier, by task; the head first, empty without a method."""
    found = rivals(runs)
    if not found:
        return []
    tasks = sorted({task for one in found for task in one.by_task})
    return [
        ("method", "tokens", *tasks),
        *(
            (
                f"{one.method} of {one.reduced_tier}", f"{one.tokens:.0f}",
                *(one.by_task[task].points if task in one.by_task else "-" for task in tasks),
            )
            for one in found
        ),
    ]  # fmt: skip


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"
