"""The settings of the group `policy`, one class an option; `conf/policy` holds their defaults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, ClassVar

from tierexp.config.checks import MAX_SEED, flag, number, path, text, whole_number
from tierexp.errors import ConfigError
from tierexp.policies.chance import Boosting
from tierexp.policies.costs import Unit, check_unit, parse_budget
from tierexp.policies.features import Group, check_groups

SHIPPED = {"tiny": "assets/tiny/router.json"}
"""Policies in the package: fitted by `experiment=policies` for the model in the box."""


@dataclass(frozen=True)
class PolicySettings:
    """What all policies have.

    Args:
        points: To choose from, by name; None takes all that the results hold.
        budget: Mean cost per question, a number or a share such as `0.6x` of the dearest point's.
        unit: Unit of the cost.

    Raises:
        ConfigError: A value that cannot work, as of every class here.
    """

    points: Sequence[str] | None = None
    budget: Any = "0.6x"
    unit: Unit = "llm_vision_tokens"
    name: ClassVar[str]
    fitted: ClassVar[bool] = True
    """Whether `fit_policy.py` makes it, so that `file` is needed."""

    def __post_init__(self) -> None:
        check_unit(self.unit)
        parse_budget(self.budget, 1.0)
        if self.points is not None:
            if isinstance(self.points, str) or len(set(self.points)) < 2:
                allowed = "a list of two points or more, such as [low,medium,high]"
                raise ConfigError("policy.points", self.points, allowed)
            for point in self.points:
                text("policy.points", point)


@dataclass(frozen=True)
class FittedSettings(PolicySettings):
    """What those have that are fitted.

    Args:
        file: That `fit_policy.py` wrote.
        other_data: Go on where it was fitted for another model, other weights, other knobs or
            another data set.
    """

    file: str | None = None
    other_data: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        flag("policy.other_data", self.other_data)

    @property
    def path(self) -> Path:
        """Path of the file.

        Raises:
            ConfigError: None is named, or it is not there.
        """
        if self.file is None:
            allowed = f"the file of: python fit_policy.py policy={self.name} results=DIR"
            raise ConfigError("policy.file", None, allowed)
        return policy_path("policy.file", self.file)


@dataclass(frozen=True)
class LookupSettings(FittedSettings):
    """The best point for the budget in earlier results."""

    name = "lookup"


@dataclass(frozen=True)
class MixtureSettings(FittedSettings):
    """A random mixture of two points.

    Args:
        random_state: Seed of the draw.
    """

    random_state: int = 0
    name = "mixture"

    def __post_init__(self) -> None:
        super().__post_init__()
        whole_number("policy.random_state", self.random_state, 0, MAX_SEED)


@dataclass(frozen=True)
class RouterSettings(FittedSettings):
    """Predicted chances, the budget spent best.

    Args:
        features: Groups of `tierexp.policies.features`; read when fitting.
        trees: How many; when fitting.
        depth: Depth of each tree; when fitting.
        rate: Share of each tree that counts; when fitting.
        random_state: Seed of the fitting.
        timed: Folder of results of latency=on on this machine, to which times are scaled; read
            when replaying and in an evaluation.
    """

    features: Sequence[Group] = field(default=("words", "sizes", "points", "detail"))
    trees: int = 300
    depth: int = 4
    rate: float = 0.03
    random_state: int = 0
    timed: str | None = None
    name = "router"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_groups(self.features)
        whole_number("policy.trees", self.trees, 1)
        whole_number("policy.depth", self.depth, 1, 12)
        if number("policy.rate", self.rate, 0) == 0:
            raise ConfigError("policy.rate", self.rate, "a number above 0")
        whole_number("policy.random_state", self.random_state, 0, MAX_SEED)
        if self.timed is not None:
            path("policy.timed", self.timed)

    @property
    def boosting(self) -> Boosting:
        """How its trees are grown."""
        return Boosting(trees=self.trees, depth=self.depth, rate=self.rate, seed=self.random_state)


@dataclass(frozen=True)
class CascadeSettings(FittedSettings):
    """Cheap first, on while in doubt.

    Args:
        thresholds: Thresholds of the mean log-probability, one fewer than points; None takes those
            of the file that fit the budget.
    """

    thresholds: Sequence[float] | None = None
    name = "cascade"

    def __post_init__(self) -> None:
        super().__post_init__()
        given: object = self.thresholds
        if given is None:
            return
        numbers = (
            list(given) if isinstance(given, Sequence) and not isinstance(given, str) else [""]
        )
        if not all(type(threshold) in (int, float) for threshold in numbers):
            allowed = "a list of mean log-probabilities, such as [-0.1,-0.05]"
            raise ConfigError("policy.thresholds", given, allowed)


@dataclass(frozen=True)
class OracleSettings(PolicySettings):
    """The bound."""

    name = "oracle"
    fitted = False


def policy_path(key: str, file: object) -> Path:
    """Where a fitted policy lies.

    Args:
        key: Key of the configuration.
        file: As configured there; `tiny` is the router in the box.

    Raises:
        ConfigError: No such file.
    """
    if isinstance(file, str) and file in SHIPPED:
        return Path(str(files("tierexp"))) / SHIPPED[file]
    found = path(key, file)
    if found.is_dir():
        raise ConfigError(key, file, "a file that fit_policy.py has written, not its folder")
    if not found.is_file():
        allowed = "a file that fit_policy.py has written, or tiny: there is none"
        raise ConfigError(key, file, allowed)
    return found
