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
from tierexp.results.intervals import combined_interval
from tierexp.results.schema import EvaluationResults, SampleResult

ANSWERED = 0.5
"""The score from which on a sample counts as answered."""
Runs = Sequence[EvaluationResults]


@dataclass(frozen=True)
class Difference:
    """What one run gains over another on the samples of both.

    Args:
        mean: Of the scores' differences.
        ci95: Its paired bootstrap interval, images drawn as a whole.
        num_samples: Of both.
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
        method: Of the reduction.
        reduced_tier: The tier that was reduced.
        tier: Without a reduction, the closest in tokens.
        tokens: What is left to the language model, on average.
        tier_tokens: The same of the tier.
        accuracy: Of the reduced run.
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
    group = run.provenance.config.get("reduction")
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
        runs: Of one data set and model. Empty without a run of either kind.
    """
    plain = plain_runs(runs)
    found = [run for run in runs if run.accuracy is not None and method_of(run) != "none"]
    if not plain:
        return []
    beside = [
        _beside(run, min(plain, key=lambda tier: abs(tokens_of(tier) - tokens_of(run))), plain[0])
        for run in found
    ]
    kept = [rival for rival in beside if rival is not None]
    return sorted(kept, key=lambda rival: (rival.tier_tokens, -rival.accuracy))


def _beside(
    run: EvaluationResults, tier: EvaluationResults, smallest: EvaluationResults
) -> Rival | None:
    """None where the runs share no sample."""
    pairs = _pairs(tier, run)
    if not pairs:
        return None
    answered = {s.sample_id: s.accuracy >= ANSWERED for s in smallest.per_sample_results}
    easy, hard = (
        [s.accuracy for s in run.per_sample_results if answered.get(s.sample_id) is kind]
        for kind in (True, False)
    )
    tasks = sorted({sample.task for _, sample in pairs})
    return Rival(
        method=method_of(run),
        reduced_tier=run.tier,
        tier=tier.tier,
        tokens=tokens_of(run),
        tier_tokens=tokens_of(tier),
        accuracy=run.accuracy or 0.0,
        difference=_difference(pairs),
        by_task={task: _difference([p for p in pairs if p[1].task == task]) for task in tasks},
        easy=float(np.mean(easy)) if easy else None,
        hard=float(np.mean(hard)) if hard else None,
    )


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
    plain, found = plain_runs(runs), rivals(runs)
    if not found:
        return []
    rows: list[tuple[str, ...]] = []
    for tier in plain:
        answered = "100.0 %", "0.0 %"
        beside = answered if tier is plain[0] else _split(tier, plain[0])
        name = f"tier {tier.tier}"
        rows.append((name, f"{tokens_of(tier):.0f}", _percent(tier.accuracy), "", *beside))
        rows += [
            (
                f"{one.method} of {one.reduced_tier}", f"{one.tokens:.0f}", _percent(one.accuracy),
                one.difference.points, _percent(one.easy), _percent(one.hard),
            )
            for one in found
            if one.tier == tier.tier
        ]  # fmt: skip
    return rows


def _split(run: EvaluationResults, smallest: EvaluationResults) -> tuple[str, str]:
    rival = _beside(run, run, smallest)
    return ("-", "-") if rival is None else (_percent(rival.easy), _percent(rival.hard))


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"
