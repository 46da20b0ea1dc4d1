"""Policies at work: what decides while an evaluation runs, as `tierexp.tiers.policy` asks for it.

In: samples as a policy may see them. Out: the number of the point of each, and whether another one
is asked after an answer. Each option of `conf/policy` is a function here; fitting and replaying
read its settings, an evaluation lets it decide. Decides as the replay does, sample by sample.
Imports no torch.
"""

from __future__ import annotations

from ast import literal_eval
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tierexp.errors import ConfigError, ImageDecodeError
from tierexp.imaging.preprocessing import Preprocessing
from tierexp.models.knobs.reduction.point import reduction_of
from tierexp.policies.cascade import Cascade, Chain
from tierexp.policies.costs import Unit, parse_budget
from tierexp.policies.detail import HUES, Regions, regions, thumbnail_side
from tierexp.policies.features import GROUPS, Group
from tierexp.policies.packages import DECIDING, require
from tierexp.policies.policy_file import PolicyFile, Target, matched, policy_from, read_policy
from tierexp.policies.questions import Questions
from tierexp.policies.replay import check_budget_between
from tierexp.policies.router import Router
from tierexp.policies.settings import (
    CascadeSettings,
    FittedSettings,
    LookupSettings,
    MixtureSettings,
    OracleSettings,
    PolicySettings,
    RouterSettings,
)
from tierexp.policies.static import Lookup, Mixture
from tierexp.policies.timed import on_this_machine
from tierexp.tiers.files import load_tier
from tierexp.tiers.policy import OperatingPoint, PointAnswer, SampleView
from tierexp.tiers.selection import SelectionArrays

_NOTHING: Regions = dict.fromkeys(HUES, ())


@dataclass(frozen=True)
class LivePolicy:
    """An option of `conf/policy`.

    Args:
        settings: Settings of the option.
        preprocessing: Preprocessing of the evaluation that it decides in; None where it is fitted
            or replayed.
    """

    settings: PolicySettings
    preprocessing: Preprocessing | None = None

    @property
    def name(self) -> str:
        """Name of the option."""
        return self.settings.name

    @cached_property
    def file(self) -> PolicyFile:
        """That was fitted.

        Raises:
            ConfigError: None is named, it holds another policy or other points, or `policy.timed`
                does not fit it.
            DataError: It cannot be read.
        """
        if not isinstance(self.settings, FittedSettings):
            allowed = "one that does not know the answers beforehand; the oracle is for replay.py"
            raise ConfigError("policy", self.name, allowed)
        file = read_policy(self.settings.path)
        if file.policy != self.name:
            allowed = f"the file holds a policy {file.policy}: policy={file.policy}"
            raise ConfigError("policy.file", self.settings.file, allowed)
        if self.settings.points is not None and set(self.settings.points) != set(file.points):
            allowed = f"the points it was fitted for, {', '.join(file.points)}"
            raise ConfigError("policy.points", list(self.settings.points), allowed)
        return on_this_machine(file, self.settings)

    @cached_property
    def points(self) -> tuple[OperatingPoint, ...]:
        """Those that it was fitted for, the cheapest first.

        Raises:
            ConfigError: A cascade by hand without points, or with another number of thresholds.
        """
        if self._by_hand is None:
            return tuple(operating_point(name) for name in self.file.points)
        names, thresholds = self.settings.points, self._by_hand
        if names is None:
            raise ConfigError("policy.points", None, "a list, with policy.thresholds beside it")
        if len(thresholds) != len(names) - 1:
            allowed = f"{len(names) - 1} of them, one fewer than the points"
            raise ConfigError("policy.thresholds", list(thresholds), allowed)
        return tuple(operating_point(name) for name in names)

    @property
    def _by_hand(self) -> Sequence[float] | None:
        """Thresholds that need no file."""
        return self.settings.thresholds if isinstance(self.settings, CascadeSettings) else None

    @cached_property
    def _chain(self) -> Chain | None:
        if self._by_hand is not None:
            return Chain(tuple(range(len(self.points))), tuple(self._by_hand))
        policy = policy_from(self.file, None)
        if not isinstance(policy, Cascade):
            return None
        budget = self.budget(())
        assert budget is not None
        return policy.chain_within(self.settings.unit, budget)

    @property
    def asks_again(self) -> bool:
        """Whether an answer may be given up for another point's."""
        return self._chain is not None

    @property
    def needs_confidence(self) -> bool:
        """Whether it asks again by how sure an answer is: a model that does not tell is refused
        before it is asked.
        """
        return self.asks_again

    def choose(self, samples: Sequence[SampleView]) -> Sequence[int]:
        """The number of the first point of every sample, see `tierexp.tiers.policy.Policy`.

        Raises:
            ConfigError: A budget below the cheapest point's mean cost, or above the dearest's.
        """
        if not samples:
            return []
        if self._chain is not None:
            return [self._chain.points[0]] * len(samples)
        budget, unit = self.budget(samples), self.settings.unit
        assert budget is not None
        looks = self.file.router is not None and "detail" in self.file.router.space.groups
        policy = policy_from(self.file, _look(samples) if looks else None, self._seed)
        if isinstance(policy, Router | Lookup | Mixture):
            chosen = policy.chooser(self._questions(samples), unit)(budget)
            return [int(point) for point in chosen]
        raise ConfigError("policy", self.name, "one that chooses before it asks")

    def budget(self, samples: Sequence[SampleView]) -> float | None:
        """Mean cost per question that it may spend; None of a cascade whose thresholds are given.

        Args:
            samples: Those of the run; no image is opened.

        Raises:
            ConfigError: A budget below the cheapest point's mean cost, or above the dearest's, or
                in a unit that the policy was fitted without.
        """
        if self._by_hand is not None:
            return None
        unit, policy = self.settings.unit, policy_from(self.file, None, self._seed)
        if isinstance(policy, Router) and samples:
            self._check_unit(policy.parameters.units)
            asked = self._questions(samples)
            means = [float(m) for m in policy.planned_cost(asked, unit).mean(axis=0)]
        else:
            means = self._means()
        budget = parse_budget(self.settings.budget, max(means))
        check_budget_between(budget, self.settings.budget, self.file.points, means, unit)
        return budget

    @property
    def own_ms(self) -> float:
        """Milliseconds a question that the deciding took where it was fitted."""
        if self._by_hand is not None or self.file.router is None:
            return 0.0
        return self.file.router.own_ms

    def differs(self, target: Target) -> tuple[str, ...]:
        """In what a run differs from what the policy was fitted on: lines to say.

        Args:
            target: The run.

        Raises:
            ConfigError: It is another model's or data set's, and `policy.other_data` is false.
        """
        if self._by_hand is not None or not isinstance(self.settings, FittedSettings):
            return ()
        named, anyway = ("policy.file", self.settings.file), self.settings.other_data
        return matched(self.file, self.name, target, named, anyway)

    def again(self, sample: SampleView, answers: Sequence[PointAnswer]) -> int | None:  # noqa: ARG002
        """The number of the point to ask next, see `tierexp.tiers.policy.Policy`.

        Raises:
            ConfigError: The model does not tell how sure it is.
        """
        chain = self._chain
        if chain is None:
            return None
        step, confidence = len(answers) - 1, answers[-1].confidence
        if step >= len(chain.thresholds):
            return None
        if confidence is None:
            raise ConfigError("policy", self.name, "with a model that tells its confidence")
        return chain.points[step + 1] if confidence < chain.thresholds[step] else None

    @property
    def _seed(self) -> int:
        return self.settings.random_state if isinstance(self.settings, MixtureSettings) else 0

    def _means(self) -> list[float]:
        """Mean cost of every point on the questions of the fitting."""
        for figures in self.file.figures:
            self._check_unit(figures.mean_cost)
        return [figures.mean_cost[self.settings.unit] for figures in self.file.figures]

    def _check_unit(self, known: Iterable[str]) -> None:
        units = list(known)
        if self.settings.unit not in units:
            hint = "; latency=on measures others" if "latency_ms" not in units else ""
            allowed = f"the policy was fitted on results with {', '.join(units)}{hint}"
            raise ConfigError("policy.unit", self.settings.unit, allowed)

    def _questions(self, samples: Sequence[SampleView]) -> Questions:
        """What is known of samples before anything is encoded."""
        if self.preprocessing is None:
            raise ValueError("a policy decides in an evaluation alone")
        heights, widths = np.array([sample.image_size for sample in samples]).T
        rules = [replace(self.preprocessing, tier=point.tier) for point in self.points]
        chosen = [rule.select_many(heights, widths) for rule in rules]
        costs = [
            _tokens(*of_point, heights, widths) for of_point in zip(rules, chosen, strict=True)
        ]
        selected = [of_point[0] for of_point in costs]
        received = [
            [reduction.count(tokens) for tokens in of_point[1]]
            for of_point, reduction in zip(costs, map(reduction_of, self.points), strict=True)
        ]
        knobs = np.array([[k.top_k, k.num_active_blocks] for k in self.file.knobs], dtype=float)
        return Questions(
            texts=tuple(sample.question for sample in samples),
            images=tuple(sample.image_key for sample in samples),
            sizes=np.stack([heights, widths], axis=1).astype(np.float64),
            tilings=np.stack([c.tilings for c in chosen], axis=1).astype(np.float64),
            mismatch=np.stack([c.mismatch for c in chosen], axis=1),
            llm_vision_tokens=np.array(received, dtype=np.float64).T,
            selected_vision_tokens=np.array(selected, dtype=np.float64).T,
            top_k=knobs[:, 0],
            num_active_blocks=knobs[:, 1],
        )


def _tokens(
    preprocessing: Preprocessing,
    chosen: SelectionArrays,
    heights: NDArray[np.int64],
    widths: NDArray[np.int64],
) -> tuple[list[int], list[int]]:
    """(selected, received by the language model) vision tokens of images, as the run's own
    preprocessing has them: a family's plans differ from Molmo's.
    """
    selected, received = [], []
    for row, size in enumerate(zip(heights.tolist(), widths.tolist(), strict=True)):
        selection = chosen.of_image(row)
        selected.append(preprocessing.selected_vision_tokens(selection, size))
        received.append(preprocessing.llm_vision_tokens(selection, size))
    return selected, received


def operating_point(name: str) -> OperatingPoint:
    """A point by its name in a sweep: `low`, `low top_k=1`, `high reduction=diverse:357`.

    Raises:
        ConfigError: There is no such tier, or no such reduction.
    """
    tier, *settings = name.split()
    written = (setting.partition("=") for setting in settings)
    knobs = {key: _value(text) for key, _, text in written}
    point = OperatingPoint(name, load_tier(tier, key="policy.points"), knobs)
    reduction_of(point)
    return point


def _value(text: str) -> object:
    """A knob's value as names have it, `str` of what it was."""
    try:
        return literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _look(samples: Sequence[SampleView]) -> Mapping[str, Regions]:
    """Regions by image; none of an image that cannot be decoded, whose samples fail later."""
    found: dict[str, Regions] = {}
    for sample in samples:
        if sample.image_key in found:
            continue
        size = sample.image_size
        try:
            found[sample.image_key] = regions(sample.thumbnail(thumbnail_side(*size)), size)
        except ImageDecodeError:
            found[sample.image_key] = _NOTHING
    return found


def lookup(
    points: Sequence[str] | None = None, budget: Any = "0.6x", unit: Unit = "llm_vision_tokens",
    file: str | None = None, other_data: bool = False,
    preprocessing: Preprocessing | None = None,
) -> LivePolicy:  # fmt: skip
    """The option of that name, see `LookupSettings`."""
    return _made(LookupSettings(points, budget, unit, file, other_data), preprocessing)


def mixture(
    points: Sequence[str] | None = None, budget: Any = "0.6x", unit: Unit = "llm_vision_tokens",
    file: str | None = None, other_data: bool = False, random_state: int = 0,
    preprocessing: Preprocessing | None = None,
) -> LivePolicy:  # fmt: skip
    """The option of that name, see `MixtureSettings`."""
    settings = MixtureSettings(points, budget, unit, file, other_data, random_state)
    return _made(settings, preprocessing)


def router(
    points: Sequence[str] | None = None, budget: Any = "0.6x", unit: Unit = "llm_vision_tokens",
    file: str | None = None, other_data: bool = False, features: Sequence[Group] = GROUPS,
    trees: int = 300, depth: int = 4, rate: float = 0.03, random_state: int = 0,
    timed: str | None = None, preprocessing: Preprocessing | None = None,
) -> LivePolicy:  # fmt: skip
    """The option of that name, see `RouterSettings`."""
    if preprocessing is not None:
        require(DECIDING, "router")
    settings = RouterSettings(
        points, budget, unit, file, other_data, features, trees, depth, rate, random_state, timed
    )
    return _made(settings, preprocessing)


def cascade(
    points: Sequence[str] | None = None, budget: Any = "0.6x", unit: Unit = "llm_vision_tokens",
    file: str | None = None, other_data: bool = False, thresholds: Sequence[float] | None = None,
    preprocessing: Preprocessing | None = None,
) -> LivePolicy:  # fmt: skip
    """The option of that name, see `CascadeSettings`."""
    settings = CascadeSettings(points, budget, unit, file, other_data, thresholds)
    return _made(settings, preprocessing)


def oracle(
    points: Sequence[str] | None = None, budget: Any = "0.6x", unit: Unit = "llm_vision_tokens",
    preprocessing: Preprocessing | None = None,
) -> LivePolicy:  # fmt: skip
    """The option of that name, see `OracleSettings`."""
    return _made(OracleSettings(points, budget, unit), preprocessing)


def _made(settings: PolicySettings, preprocessing: Preprocessing | None) -> LivePolicy:
    policy = LivePolicy(settings, preprocessing)
    if preprocessing is not None:
        _ = policy.points  # what cannot work is said before anything runs
    return policy
