"""By what runs differ, besides their crop policies.

In: results of runs. Out: the settings that are not the same for all, by name, and a label for each
run. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tierexp.report.compared import FACTS, ComparedRun, as_compared
from tierexp.results.model_free import ModelFreeResults
from tierexp.results.schema import EvaluationResults

_ELSEWHERE = (
    "latency.", "seed", "data.batch_size", "data.on_error", "model.name", "model.top_k",
    "model.num_active_blocks", "model.knobs.", "reduction.keep", "reduction.tokens",
    "reduction.match",
)  # fmt: skip
"""Settings that are facts already, that have places of their own, or that no answer depends on."""
_SHORT = {"top_k": "top {}", "num_active_blocks": "{} blocks"}

_UNSAID = "-"

Runs = Sequence[ComparedRun]


def varying(runs: Runs) -> dict[str, list[str]]:
    """The settings that differ between runs: name to what it is in each of them.

    Args:
        runs: In any order; what a run does not say of itself is `-`, and no difference.
    """
    columns = {name: [run.facts.get(name, _UNSAID) for run in runs] for name in FACTS}
    names = [name for run in runs for name in run.other_knobs]
    columns |= {
        name: [str(run.other_knobs.get(name, "none")) for run in runs]
        for name in dict.fromkeys(names)
    }
    settings = [run.settings for run in runs]
    keys = dict.fromkeys(key for of_run in settings for key in of_run)
    for key in keys:
        if key.startswith("tier.") and not _differs_within_a_tier(key, runs, settings):
            continue
        if not key.startswith(_ELSEWHERE) and not key.endswith("_target_"):
            columns[key] = [str(of_run.get(key, _UNSAID)) for of_run in settings]
    return {name: values for name, values in columns.items() if len({*values} - {_UNSAID}) > 1}


def _differs_within_a_tier(key: str, runs: Runs, settings: Sequence[Mapping[str, object]]) -> bool:
    """Whether tiers of one name are not the same tier."""
    seen: dict[str, set[str]] = {}
    for run, of_run in zip(runs, settings, strict=True):
        if key in of_run:
            seen.setdefault(run.tier, set()).add(str(of_run[key]))
    return any(len(values) > 1 for values in seen.values())


def comparable(runs: Runs) -> bool:
    """Whether runs differ in nothing but their crop policies, all of them different."""
    return not varying(runs) and len({run.tier for run in runs}) == len(runs)


def labels_of(runs: Sequence[EvaluationResults | ModelFreeResults]) -> list[str]:
    """`run_labels` of results."""
    return run_labels([as_compared(run) for run in runs])


def comparable_results(runs: Sequence[EvaluationResults]) -> bool:
    """`comparable` of results."""
    return comparable([as_compared(run) for run in runs])


def run_labels(runs: Runs, besides: str = "") -> list[str]:
    """For each run its tier, and whatever else differs between them.

    Args:
        runs: In any order.
        besides: A knob that is told elsewhere, with its settings.
    """
    columns = {
        name: values
        for name, values in varying(runs).items()
        if not besides or name.partition(".")[0] != besides
    }
    return [
        " · ".join(
            [run.tier]
            + [
                _SHORT[name].format(values[number])
                if name in _SHORT
                else f"{name} {values[number]}"
                for name, values in columns.items()
            ]
        )
        for number, run in enumerate(runs)
    ]
