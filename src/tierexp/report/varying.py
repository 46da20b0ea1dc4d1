"""By what runs differ, besides their crop policies.

In: results of runs. Out: the settings that are not the same for all, by name, and a label for each
run. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tierexp.config.settings import flat, measured_by
from tierexp.results.older import OlderResults
from tierexp.results.schema import EvaluationResults

_FACTS = ("dataset", "model", "score", "top_k", "num_active_blocks")
"""What results say of themselves, whatever the settings were called."""
_ELSEWHERE = (
    "latency.", "seed", "data.batch_size", "data.on_error", "model.name", "model.top_k",
    "model.num_active_blocks", "model.knobs.",
)  # fmt: skip
"""Settings that are facts already, that have places of their own, or that no answer depends on."""
_SHORT = {"top_k": "top {}", "num_active_blocks": "{} blocks"}

_UNSAID = "-"

Run = EvaluationResults | OlderResults
Runs = Sequence[Run]


def varying(runs: Runs) -> dict[str, list[str]]:
    """The settings that differ between runs: name to what it is in each of them.

    Args:
        runs: In any order; what a run does not say of itself is `-`, and no difference.
    """
    columns = {name: [_fact(run, name) for run in runs] for name in _FACTS}
    names = [name for run in runs for name in _other_knobs(run)]
    columns |= {
        name: [str(_other_knobs(run).get(name, "none")) for run in runs]
        for name in dict.fromkeys(names)
    }
    settings = [_settings(run) for run in runs]
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


def _fact(run: Run, name: str) -> str:
    value = getattr(run, name)
    # None is a value of its own where it says that a model has no experts.
    return _UNSAID if value is None and isinstance(run, OlderResults) else str(value)


def _other_knobs(run: Run) -> Mapping[str, object]:
    return {} if isinstance(run, OlderResults) else run.other_knobs


def _settings(run: Run) -> Mapping[str, object]:
    return {} if isinstance(run, OlderResults) else flat(measured_by(run.provenance.config))


def comparable(runs: Runs) -> bool:
    """Whether runs differ in nothing but their crop policies, all of them different."""
    return not varying(runs) and len({run.tier for run in runs}) == len(runs)


def run_labels(runs: Runs) -> list[str]:
    """For each run its tier, and whatever else differs between them."""
    columns = varying(runs)
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
