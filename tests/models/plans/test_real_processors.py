"""Plans, and the sizes that tiers ask for, against `transformers`' own processors."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest

from tests.support.parameters import slow
from tests.support.processor_reference import Answer, Question, ask
from tests.support.size_draw import draw_sizes
from tierexp.models.plans.plan import ImagePlans
from tierexp.models.plans.registry import preset, presets
from tierexp.models.plans.token_tiers import TierChoice, UnreachableTierError, family_tier
from tierexp.tiers.files import load_tier
from tierexp.tiers.tier import Tier

FAMILIES = sorted(set(presets()) - {"molmo", "deepseek_ocr"})
"""Molmo's processor is this project's own, and transformers has none for the other."""
TIERS = ("low", "medium", "high")


def in_words(plans: ImagePlans, family: str) -> list[list[int] | None]:
    """The plans as the reference answers; None where an image is refused."""
    tokens, marks = plans.vision_tokens, plans.marks
    if family == "mllama":  # its one placeholder stands for the states of the tiles
        tokens, marks = np.ones_like(tokens), marks - 1
    columns = np.stack([tokens, marks, plans.images, *plans.grids.T], axis=-1).tolist()
    return [None if no else line for line, no in zip(columns, plans.refused, strict=True)]


def differences(family: str, sizes: Sequence[Sequence[int]], answers: list[Answer]) -> list[object]:
    heights, widths = np.array(sizes).T
    ours = in_words(preset(family).geometry.plan_many(heights, widths), family)
    return [
        (size, plan, answer)
        for size, plan, answer in zip(sizes, ours, answers, strict=True)
        if plan != (None if isinstance(answer, str) else answer)
    ]


def offered(family: str, name: str) -> tuple[TierChoice, ...]:
    tier = load_tier(name)
    assert isinstance(tier, Tier)
    try:
        return family_tier(preset(family).geometry, tier).choices
    except UnreachableTierError:
        return ()


def wanted(most: int) -> dict[tuple[str, str], list[TierChoice]]:
    """At most so many choices of every family and tier, by the settings that they need."""
    choices: dict[tuple[str, str], list[TierChoice]] = {}
    for family in FAMILIES:
        for name in TIERS:
            for choice in _spread(offered(family, name), most):
                choices.setdefault((family, json.dumps(dict(choice.settings))), []).append(choice)
    return choices


@pytest.mark.whole
@pytest.mark.parametrize(("first", "last", "most"), [(8, 12, 1), slow(0, 2000, 60)])
def test_processors_do_what_plans_say(first: int, last: int, most: int) -> None:
    """An image of any size as planned, and one of the size that a tier asks for comes out as the
    grid that the tier means; asked in one process, which takes long to begin.
    """
    sizes = draw_sizes(last)[first:].tolist()
    of_tiers = wanted(most)
    questions: list[Question] = [(family, {}, sizes) for family in FAMILIES]
    questions += [
        (family, json.loads(settings), [choice.size for choice in choices])
        for (family, settings), choices in of_tiers.items()
    ]
    answers = ask(questions)
    for family, answer in zip(FAMILIES, answers, strict=False):
        assert not differences(family, sizes, answer), family
    for ((family, _), choices), answered in zip(
        of_tiers.items(), answers[len(FAMILIES) :], strict=True
    ):
        for choice, answer in zip(choices, answered, strict=True):
            assert not isinstance(answer, str), (family, choice, answer)
            assert tuple(answer[3:]) == choice.grid, (family, choice)
            assert answer[2] == choice.plan.images
            assert family == "mllama" or answer[0] == choice.plan.vision_tokens


def _spread(choices: tuple[TierChoice, ...], most: int) -> list[TierChoice]:
    """At most so many, from all over the list."""
    places = np.unique(np.linspace(0, len(choices) - 1, min(most, len(choices))).astype(int))
    return [choices[place] for place in places]
