"""What an answer will cost, before it is given: stage by stage, from what is known of a sample.

In: timed results. Out: predicted milliseconds, or operations, of any question at any point. Per
stage a linear model whose weights are at least 0: vision grows with the views, prefill with the
tokens of the prompt and their square (attention), decode with the tokens of the answer; both with
the blocks that run and the experts per token. On another machine the stages are scaled anew from a
few samples. Imports no torch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tierexp.errors import DataError
from tierexp.policies.costs import Unit
from tierexp.policies.questions import Questions
from tierexp.policies.sweep import STAGES, Sweep
from tierexp.tiers.geometry import CropGeometry

Floats = NDArray[np.float64]
RECALIBRATION_SAMPLES = 25
"""Questions, at every point, from which another machine's scales are taken."""

_GLOBAL_VIEWS = CropGeometry().global_views
"""Results tell crops. In a model without a global view the weight of 1 takes up the difference."""


@dataclass(frozen=True)
class CostModel:
    """Weights of each stage's columns, see `_columns`.

    Args:
        unit: `latency_ms` or `flops`.
        vision: Weights of (1, views).
        prefill: Weights of (1, blocks x tokens, blocks x tokens squared, blocks x experts x tokens,
            blocks x characters of the question).
        decode_per_token: Weights of (1, blocks, blocks x experts, blocks x tokens).
        new_tokens: Mean length of an answer, the end of text included.
        scales: (vision, prefill, decode) of this machine, 1 on the one of the fitting.
    """

    unit: Unit
    vision: tuple[float, ...]
    prefill: tuple[float, ...]
    decode_per_token: tuple[float, ...]
    new_tokens: float
    scales: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def stages(self, asked: Questions) -> tuple[Floats, Floats, Floats]:
        """(N, P) of vision, prefill and decode."""
        vision, prefill, decode = _columns(asked)
        return (
            self.scales[0] * (vision @ np.array(self.vision)),
            self.scales[1] * (prefill @ np.array(self.prefill)),
            self.scales[2] * (self.new_tokens - 1) * (decode @ np.array(self.decode_per_token)),
        )

    def predict(self, asked: Questions) -> Floats:
        """(N, P) of the whole answer."""
        vision, prefill, decode = self.stages(asked)
        return vision + prefill + decode


@dataclass(frozen=True)
class CostModelError:
    """Errors of predictions for settings that the model was not fitted on.

    Args:
        point: That was held out.
        mean_absolute_percentage: Mean absolute error, in percent, of the single answers.
        p95_percentage: What 95 % of the single answers' errors do not exceed.
        mean_percentage: Error, in percent, of the mean over all answers, signed.
    """

    point: str
    mean_absolute_percentage: float
    p95_percentage: float
    mean_percentage: float


def fit_cost_model(sweep: Sweep, unit: Unit) -> CostModel:
    """Least squares of relative errors, stage by stage.

    Raises:
        DataError: The results were not timed.
    """
    measured = [_measured(sweep, stage) for stage in STAGES[unit]]
    vision, prefill, decode = _columns(sweep.asked)
    new_tokens = _measured(sweep, "new_tokens")
    longer = new_tokens > 1
    per_token = measured[2][longer] / (new_tokens[longer] - 1)
    return CostModel(
        unit,
        _weights(vision.reshape(-1, vision.shape[2]), measured[0].reshape(-1)),
        _weights(prefill.reshape(-1, prefill.shape[2]), measured[1].reshape(-1)),
        _weights(decode[longer], per_token) if longer.any() else (0.0,) * decode.shape[2],
        float(new_tokens.mean()),
    )


def recalibrated(model: CostModel, sweep: Sweep) -> CostModel:
    """The same model on another machine: each stage scaled to a few timed questions.

    Args:
        model: Model of any machine.
        sweep: Timed on this one; `RECALIBRATION_SAMPLES` of its questions are read, evenly spread,
            or all.
    """
    count = min(RECALIBRATION_SAMPLES, len(sweep))
    few = sweep.select(np.linspace(0, len(sweep) - 1, count).round().astype(np.int64))
    scales = []
    for before, stage, predicted in zip(
        model.scales, STAGES[model.unit], model.stages(few.asked), strict=True
    ):
        total = float(predicted.sum())
        scales.append(before * float(_measured(few, stage).sum()) / total if total else before)
    return CostModel(
        model.unit, model.vision, model.prefill, model.decode_per_token, model.new_tokens,
        (scales[0], scales[1], scales[2]),
    )  # fmt: skip


def timed_units(sweep: Sweep) -> tuple[Unit, ...]:
    """In which a sweep tells what every stage of every answer took."""
    return tuple(
        unit
        for unit, names in STAGES.items()
        if all(name in sweep.stages for name in (*names, "new_tokens"))
        and "llm_vision_tokens" in sweep.costs
    )


def held_out_errors(sweep: Sweep, unit: Unit) -> tuple[CostModelError, ...]:
    """How wrong the model is about a point that it was not fitted on, for every point."""
    found = []
    for column, point in enumerate(sweep.points):
        others = [name for name in sweep.points if name != point]
        if len(others) < 2:
            return ()
        model = fit_cost_model(sweep.choose(others), unit)
        predicted, measured = model.predict(sweep.asked)[:, column], sweep.cost(unit)[:, column]
        errors = 100 * np.abs(predicted / measured - 1)
        found.append(
            CostModelError(
                point,
                float(errors.mean()),
                float(np.percentile(errors, 95)),
                float(100 * (predicted.mean() / measured.mean() - 1)),
            )
        )
    return tuple(found)


def _columns(asked: Questions) -> tuple[Floats, Floats, Floats]:
    """(N, P, C) of each stage, see `CostModel`."""
    tokens = asked.llm_vision_tokens
    one = np.ones_like(tokens)
    experts = np.broadcast_to(asked.top_k, tokens.shape)
    blocks = np.broadcast_to(asked.num_active_blocks, tokens.shape)
    letters = np.array([[float(len(text))] for text in asked.texts]) * one
    views = asked.tilings.prod(axis=2) + _GLOBAL_VIEWS
    return (
        np.stack([one, views], axis=2),
        np.stack(
            [one, blocks * tokens, blocks * tokens**2, blocks * experts * tokens, blocks * letters],
            axis=2,
        ),
        np.stack([one, blocks, blocks * experts, blocks * tokens], axis=2),
    )


def _measured(sweep: Sweep, stage: str) -> Floats:
    if stage not in sweep.stages:
        raise DataError(f"these results do not hold {stage} of every answer: latency=on has it")
    return sweep.stages[stage]


def _weights(columns: Floats, measured: Floats) -> tuple[float, ...]:
    """(C,) of relative least squares, at least 0, for (M, C) columns and (M,) above 0."""
    from scipy.optimize import nnls

    scale = np.maximum(columns.max(axis=0), 1e-12)
    kept = measured > 0
    relative = (columns / scale)[kept] / measured[kept, None]
    weights, _ = nnls(relative, np.ones(int(kept.sum())))
    return tuple(map(float, weights / scale))
