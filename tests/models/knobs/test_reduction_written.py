"""A reduction as keys and values: what is recorded can be written, and what is written is built."""

from __future__ import annotations

import pytest

from tierexp.errors import ConfigError
from tierexp.models.knobs.reduction import settings
from tierexp.models.knobs.reduction.written import (
    kinds,
    method_in,
    parted,
    reduction_of,
    written_settings,
)


def test_every_method_has_settings() -> None:
    assert set(kinds()) == {*settings.METHODS}


@pytest.mark.parametrize(
    "reduction",
    [
        settings.NO_REDUCTION,
        settings.DiverseTokens(keep=0.5),
        settings.RandomTokens(tokens=7, seed=3),
        settings.VisionZip(match="low", contextual=0.0),
        settings.FastV(tokens=357, block=3, received_from="all"),
    ],
)
def test_what_is_recorded_is_built_again(reduction: settings.Reduction) -> None:
    group = {"_target_": f"{settings.__name__}.{type(reduction).__name__}"} | vars(reduction)
    assert method_in(group) == reduction.method
    assert reduction_of(written_settings(group)) == reduction


def test_defaults_need_not_be_written() -> None:
    group = {"_target_": f"{settings.__name__}.FastV"} | vars(settings.FastV(keep=0.5))
    assert written_settings(group) == {"reduction": "fastv", "reduction.keep": 0.5}
    assert written_settings(None) == {"reduction": "none"}


def test_settings_of_a_point_are_parted() -> None:
    knobs = {"top_k": 1, "reduction": "diverse", "reduction.keep": 0.5}
    assert parted(knobs) == ({"top_k": 1}, {"reduction": "diverse", "reduction.keep": 0.5})


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ({"reduction": "fast"}, "fastv"),
        ({"reduction.keep": 0.5}, "vision_zip"),
        ({"reduction": "diverse", "reduction.kep": 0.5}, "reduction.keep"),
        ({"reduction": "diverse", "reduction.block": 2}, "reduction.block"),
        ({"reduction": "diverse", "reduction.keep": 1.5}, "at most 1"),
        ({"reduction": "none", "reduction.keep": 0.5}, "reduction=none"),
    ],
)
def test_what_cannot_be_is_refused(written: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        reduction_of(written)
