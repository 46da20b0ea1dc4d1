"""The same questions at every operating point: what policies are fitted to and replayed on.

In: results files of static runs, this project's or of the older naming. Out: arrays, a row a
question and a column a point. Runs no model, opens no image, imports no torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tierexp.errors import ConfigError, DataError
from tierexp.models.knobs.knob import KnobValue
from tierexp.models.knobs.reduction.point import KEY as REDUCTION
from tierexp.models.knobs.reduction.settings import recorded_reduction
from tierexp.policies.costs import UNITS, Unit, column, sample_cost, shared_cost
from tierexp.policies.questions import Questions
from tierexp.results.files import complete_results, load_results, runs_in
from tierexp.results.older import PATTERN, OlderResults, OlderSample, read_older_results
from tierexp.results.schema import EvaluationResults, Provenance, SampleResult

Floats = NDArray[np.float64]
Run = EvaluationResults | OlderResults
_SHOWN = 3
KNOBS = ("top_k", "num_active_blocks")
"""Knobs that every model has; older results know them, too."""

STAGES: Mapping[Unit, tuple[str, str, str]] = {
    "latency_ms": ("T_vision_total", "T_LLM_prefill", "T_LLM_decode"),
    "flops": ("flops_vision", "flops_prefill", "flops_decode"),
}
"""Names of the stages, vision, prefill, decode, in timed results."""
_TIMED = (*(name for names in STAGES.values() for name in names), "new_tokens")


@dataclass(frozen=True)
class Sweep:
    """N questions at P points, the cheapest point first; what results do not say is not a number.

    Args:
        points: (P) names.
        dataset: Name of the data set.
        model: Name of the model; None where older results do not say.
        sample_ids: (N) names of the questions.
        images: (N) keys of the images; questions about one image share it.
        questions: (N) as put to the model.
        sizes: (N, 2) (height, width) in pixels of the images.
        accuracy: (N, P) score in [0, 1].
        mismatch: (N, P) of aspect ratios.
        tilings: (N, P, 2) rows and columns of crops.
        confidence: (N, P) mean log-probability of the answers' tokens.
        first_margin: (N, P) of the first token.
        costs: By unit that all runs hold: (N, P) of one pass.
        shared: By unit: (N, P) the part of it that a later pass does not pay again.
        stages: By name of timed results: (N, P), where all runs were timed.
        top_k: (P) experts per token; 1 for a dense model.
        num_active_blocks: (P) decoder blocks that ran; 1 where the decoder is no stack of them.
        inputs: By point: digests of weights, samples and checkpoint, where results say them.
        config: Resolved configuration of the first run; None of older results.
        left_out: How many questions some run has no answer to.
        folder: The results are in; None where they are not in one.
    """

    points: tuple[str, ...]
    dataset: str
    model: str | None
    sample_ids: tuple[str, ...]
    images: tuple[str, ...]
    questions: tuple[str, ...]
    sizes: Floats
    accuracy: Floats
    mismatch: Floats
    tilings: Floats
    confidence: Floats
    first_margin: Floats
    costs: Mapping[Unit, Floats]
    shared: Mapping[Unit, Floats]
    stages: Mapping[str, Floats]
    top_k: Floats
    num_active_blocks: Floats
    inputs: Mapping[str, Mapping[str, str]]
    config: Mapping[str, Any] | None
    left_out: int
    folder: Path | None = None

    def __len__(self) -> int:
        return len(self.sample_ids)

    def cost(self, unit: Unit) -> Floats:
        """(N, P) in a unit.

        Raises:
            ConfigError: The results do not hold it.
        """
        if unit not in self.costs:
            hint = "; latency=on measures it" if unit in ("flops", "latency_ms") else ""
            allowed = f"the results hold {', '.join(self.costs)} for every answer{hint}"
            raise ConfigError("policy.unit", unit, allowed)
        return self.costs[unit]

    @cached_property
    def asked(self) -> Questions:
        """What of the questions is known before anything is encoded."""
        unknown = np.full(self.accuracy.shape, np.nan)
        return Questions(
            self.questions, self.images, self.sizes, self.tilings, self.mismatch,
            self.costs.get("llm_vision_tokens", unknown),
            self.costs.get("selected_vision_tokens", unknown),
            self.top_k, self.num_active_blocks,
        )  # fmt: skip

    def point(self, name: str) -> int:
        """The column of a point."""
        return self.points.index(name)

    def choose(self, points: Sequence[str] | None) -> Sweep:
        """The same sweep with only these points, cheapest first; None keeps all.

        Raises:
            ConfigError: The results lack one, or fewer than two are named.
        """
        if points is None:
            return self
        for name in points:
            if name not in self.points:
                allowed = f"the results hold the points {', '.join(self.points)}"
                raise ConfigError("policy.points", name, allowed)
        if len(set(points)) < 2:
            raise ConfigError("policy.points", list(points), "two points or more, each once")
        kept = [n for n, name in enumerate(self.points) if name in points]
        of_points = ("accuracy", "mismatch", "tilings", "confidence", "first_margin")
        return replace(
            self,
            points=tuple(self.points[n] for n in kept),
            **{name: getattr(self, name)[:, kept] for name in of_points},
            costs={unit: cost[:, kept] for unit, cost in self.costs.items()},
            shared={unit: cost[:, kept] for unit, cost in self.shared.items()},
            stages={name: times[:, kept] for name, times in self.stages.items()},
            top_k=self.top_k[kept],
            num_active_blocks=self.num_active_blocks[kept],
            inputs={self.points[n]: self.inputs[self.points[n]] for n in kept},
        )

    def select(self, rows: NDArray[np.int64]) -> Sweep:
        """The same sweep with only these questions."""
        of_rows = ("sizes", "accuracy", "mismatch", "tilings", "confidence", "first_margin")
        return replace(
            self,
            sample_ids=tuple(self.sample_ids[n] for n in rows),
            images=tuple(self.images[n] for n in rows),
            questions=tuple(self.questions[n] for n in rows),
            **{name: getattr(self, name)[rows] for name in of_rows},
            costs={unit: cost[rows] for unit, cost in self.costs.items()},
            shared={unit: cost[rows] for unit, cost in self.shared.items()},
            stages={name: times[rows] for name, times in self.stages.items()},
        )


def read_sweep(folder: Path) -> Sweep:
    """Every complete run in a folder or below it, of this project or of the older naming.

    Args:
        folder: Folder of a multirun, or of several runs.

    Raises:
        DataError: No folder, fewer than two points, two runs of one point, runs of different data
            sets or models, or questions that no two runs share.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder with results of a static sweep")
    runs: list[Run] = []
    for below in runs_in(folder):
        runs += [load_results(file) for file in complete_results(below)]
    runs += [read_older_results(file) for file in sorted(folder.rglob(PATTERN))]
    if len(runs) < 2:
        raise DataError(
            f"{folder} holds {len(runs)} results files; a sweep takes two points or more"
        )
    return replace(sweep_of(runs, str(folder)), folder=folder)


def sweep_of(runs: Sequence[Run], where: str) -> Sweep:
    """The questions that all runs have answered.

    Args:
        runs: At least two, at different points.
        where: They come from, for complaints.

    Raises:
        DataError: See `read_sweep`.
    """
    for name in ("dataset", "model"):
        values = {str(getattr(run, name)) for run in runs}
        if len(values) > 1:
            raise DataError(f"{where}: its runs differ in {name}: {', '.join(sorted(values))}")
    names = point_names(runs)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{where} holds point {twice[0]} {names.count(twice[0])} times")
    tables = [_by_id(run, f"{where}, point {name}") for run, name in zip(runs, names, strict=True)]
    common = [key for key in tables[0] if all(key in table for table in tables)]
    if not common:
        raise DataError(f"{where}: its runs have no question in common")
    every = {key for table in tables for key in table}
    lacking = {
        name: sorted(every - table.keys())
        for name, table in zip(names, tables, strict=True)
        if every - table.keys()
    }
    # A sample that failed everywhere but once is a failure; half a data set is another run.
    for name, missing in lacking.items():
        if len(missing) > 0.05 * len(every):
            shown = ", ".join(missing[:_SHOWN])
            raise DataError(
                f"{where}: point {name} lacks {len(missing)} of {len(every)} samples: {shown}, ..."
            )
    return _arrays(
        runs,
        names,
        [[table[key] for key in common] for table in tables],
        common,
        len(every) - len(common),
    )


def point_names(runs: Sequence[Run]) -> list[str]:
    """A name for each run: its tier, the knobs that differ between the runs, and its reduction, as
    in `low top_k=1` or `high reduction=diverse:357`.
    """
    every = dict.fromkeys([*KNOBS, *(name for run in runs for name in _other_knobs(run))])
    differing = [name for name in every if len({_knob(run, name) for run in runs}) > 1]
    return [
        " ".join([
            run.tier,
            *(f"{name}={_knob(run, name)}" for name in differing),
            *(f"{REDUCTION}={written}" for written in _reductions(run)),
        ])
        for run in runs
    ]  # fmt: skip


def _other_knobs(run: Run) -> list[str]:
    if not isinstance(run, EvaluationResults):
        return []
    return [name for name in run.knobs if name not in (*KNOBS, REDUCTION)]


def _knob(run: Run, name: str) -> KnobValue:
    if name in KNOBS or not isinstance(run, EvaluationResults):
        value: KnobValue = getattr(run, name, None)
        return value
    return run.knobs.get(name)


def _reductions(run: Run) -> Iterator[str]:
    """As a point's name has it, where there is one."""
    if isinstance(run, EvaluationResults) and REDUCTION in run.knobs:
        config = run.provenance.config.get(REDUCTION)
        yield recorded_reduction(config, run.knobs[REDUCTION]).written


def _by_id(run: Run, where: str) -> dict[str, SampleResult | OlderSample]:
    table: dict[str, SampleResult | OlderSample] = {}
    samples: Sequence[SampleResult | OlderSample] = run.per_sample_results
    for number, sample in enumerate(samples):
        key = str(number) if sample.sample_id is None else sample.sample_id
        if key in table:
            raise DataError(f"{where}: two samples are called {key}")
        if sample.accuracy is None:
            raise DataError(f"{where}: sample {key} has no accuracy")
        table[key] = sample
    return table


def _arrays(
    runs: Sequence[Run],
    names: Sequence[str],
    columns: Sequence[Sequence[SampleResult | OlderSample]],
    ids: Sequence[str],
    left_out: int,
) -> Sweep:
    def table(name: str) -> Floats:
        return np.array([[_number(column(s, name)) for s in of_point] for of_point in columns]).T

    costs: dict[Unit, Floats] = {}
    for unit in UNITS:
        values = [[sample_cost(sample, unit) for sample in of_point] for of_point in columns]
        if all(value is not None for of_point in values for value in of_point):
            costs[unit] = np.array(values, dtype=np.float64).T
    if not costs:
        raise DataError("these results do not say what an answer costs, in any unit")
    # Points of one cost, as `medium` and `medium top_k=1`, are in the order of their names.
    means = next(iter(costs.values())).mean(axis=0)
    order = sorted(range(len(names)), key=lambda n: (means[n], names[n]))
    first = columns[0]
    sizes = [getattr(s, "original_image_size", None) or (np.nan, np.nan) for s in first]
    tilings = [[s.selected_tiling or (np.nan, np.nan) for s in columns[n]] for n in order]
    run = runs[0]
    return Sweep(
        points=tuple(names[n] for n in order),
        dataset=str(run.dataset),
        model=run.model,
        sample_ids=tuple(ids),
        images=tuple(
            sample.image_key if isinstance(sample, SampleResult) else key
            for sample, key in zip(first, ids, strict=True)
        ),
        questions=tuple(sample.question or "" for sample in first),
        sizes=np.array(sizes, dtype=np.float64)[:, ::-1],
        accuracy=table("accuracy")[:, order],
        mismatch=table("aspect_ratio_mismatch")[:, order],
        tilings=np.array(tilings, dtype=np.float64).transpose(1, 0, 2),
        confidence=table("confidence")[:, order],
        first_margin=table("first_margin")[:, order],
        costs={unit: cost[:, order] for unit, cost in costs.items()},
        shared={
            unit: np.array([[shared_cost(s, unit) for s in columns[n]] for n in order]).T
            for unit in costs
        },
        stages=_stages(columns, order),
        top_k=np.array([float(runs[n].top_k or 1) for n in order]),
        num_active_blocks=np.array([float(runs[n].num_active_blocks or 1) for n in order]),
        inputs={
            name: _inputs(run.provenance) if isinstance(run, EvaluationResults) else {}
            for name, run in zip(names, runs, strict=True)
        },
        config=run.provenance.config if isinstance(run, EvaluationResults) else None,
        left_out=left_out,
    )


def _inputs(provenance: Provenance) -> dict[str, str]:
    known = {} if provenance.checkpoint is None else {"checkpoint": provenance.checkpoint}
    return provenance.inputs | known


def _stages(
    columns: Sequence[Sequence[SampleResult | OlderSample]], order: Sequence[int]
) -> dict[str, Floats]:
    found = {}
    for name in _TIMED:
        table = [[_number(_timed(sample, name)) for sample in columns[n]] for n in order]
        if np.isfinite(table).all():
            found[name] = np.array(table).T
    return found


def _timed(sample: SampleResult | OlderSample, name: str) -> object:
    if isinstance(sample, OlderSample):
        return sample.new_tokens if name == "new_tokens" else sample.times.get(name)
    return None if sample.latency is None else getattr(sample.latency, name)


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")
