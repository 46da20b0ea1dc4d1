"""A policy at work decides what its replay decided, sample by sample."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.policy_sweeps import POINTS, sweep
from tierexp.data.tierqa import TierQA
from tierexp.errors import ConfigError, ImageDecodeError
from tierexp.imaging.preprocessing import Preprocessing
from tierexp.imaging.resize import Resize
from tierexp.models.molmo.checkpoint import IN_THE_BOX, MolmoCheckpoint
from tierexp.models.plans.preprocessing import FamilyPreprocessing
from tierexp.models.qwen3_vl.geometry import FAMILY as QWEN3_VL
from tierexp.policies import live
from tierexp.policies.chance import Boosting
from tierexp.policies.features import GROUPS
from tierexp.policies.fitting import fit_policy
from tierexp.policies.images import scaled_down
from tierexp.policies.policy_file import (
    PointKnobs,
    Target,
    matched,
    policy_of,
    read_policy,
    target_of,
    write_policy,
)
from tierexp.policies.replay import replay
from tierexp.policies.sweep import Sweep
from tierexp.tiers.files import load_tier
from tierexp.tiers.policy import PointAnswer, Policy
from tierexp.tiers.threshold import Threshold

UNIT = "llm_vision_tokens"
FITTED_ON, IMAGES = 10, 6
"""Pictures."""
PREPROCESSING = Preprocessing(tier=load_tier("medium"))


class View:
    """What an evaluation shows of a sample."""

    def __init__(self, dataset: TierQA, index: int) -> None:
        self._dataset, self._index = dataset, index
        self.question = dataset[index].question
        self.image_key = dataset.image_key(index)
        self.image_size = dataset.image_size(index)

    def thumbnail(self, side: int) -> NDArray[np.uint8]:
        return scaled_down(self._dataset.image(self._index), side)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fitted")
    fitting = sweep(images=FITTED_ON)
    for name in ("lookup", "mixture", "router", "cascade"):
        file, _ = fit_policy(name, fitting, GROUPS, Boosting(trees=10))  # type: ignore[arg-type]
        write_policy(file, folder / f"{name}.json")
    return folder


@pytest.fixture(scope="module")
def unseen() -> Sweep:
    return sweep(split="test", images=IMAGES)


@pytest.fixture(scope="module")
def views() -> list[View]:
    dataset = TierQA("test", max_samples=7 * IMAGES)
    return [View(dataset, index) for index in range(len(dataset))]


def working(name: str, files: Path, **settings: Any) -> Policy:
    made: Policy = getattr(live, name)(
        file=str(files / f"{name}.json"), preprocessing=PREPROCESSING, **settings
    )
    return made


def ask(policy: Policy, views: list[View], answered: Sweep) -> list[list[int]]:
    """The points that are run for every sample, in order, with the sweep's own answers."""
    runs = []
    for row, first in enumerate(policy.choose(views)):
        passes = [first]
        while True:
            answers = [
                PointAnswer(point, "", float(answered.confidence[row, point]), None)
                for point in passes
            ]
            point = policy.again(views[row], answers)
            if point is None:
                break
            passes.append(point)
        runs.append(passes)
    return runs


@pytest.mark.parametrize("name", ["lookup", "mixture", "router", "cascade"])
@pytest.mark.parametrize("budget", [450, "0.6x", 1000])
def test_it_runs_what_the_replay_ran(
    name: str, budget: object, files: Path, unseen: Sweep, views: list[View]
) -> None:
    policy = working(name, files, budget=budget)
    file = read_policy(files / f"{name}.json")
    if name in ("router",):
        dearest = float(unseen.cost(UNIT).mean(axis=0).max())
    else:
        dearest = max(figures.mean_cost[UNIT] for figures in file.figures)
    amount = 0.6 * dearest if budget == "0.6x" else float(str(budget))
    decision = replay(policy_of(file, unseen), unseen, UNIT).plan(amount)
    runs = ask(policy, views, unseen)
    assert [passes[-1] for passes in runs] == decision.final.tolist()
    for passes, expected in zip(runs, decision.passes, strict=True):
        assert sorted(passes) == np.flatnonzero(expected).tolist()


def test_the_points_are_tiers(files: Path) -> None:
    policy = working("router", files)
    assert [point.name for point in policy.points] == list(POINTS)
    assert [point.tier for point in policy.points] == [load_tier(name) for name in POINTS]
    point = live.operating_point("low top_k=1 num_active_blocks=3")
    assert point.knobs == {"top_k": 1, "num_active_blocks": 3}
    of_others = live.operating_point("low heat=0.5 cold=None wet=True way=up")
    assert of_others.knobs == {"heat": 0.5, "cold": None, "wet": True, "way": "up"}


def test_a_point_that_throws_tokens_away_is_planned_with_those_it_keeps(
    files: Path, views: list[View]
) -> None:
    fitted = read_policy(files / "router.json")
    points = ("high reduction=diverse:300", "high reduction=merge:50%", "high")
    write_policy(replace(fitted, points=points), files / "reducing.json")
    policy = live.router(file=str(files / "reducing.json"), preprocessing=PREPROCESSING)
    fixed, half, whole = policy._questions(views).llm_vision_tokens.T
    assert set(fixed) == {300}
    assert half.tolist() == [int(0.5 * tokens + 0.5) for tokens in whole]
    for name in (
        "high reduction=perhaps:300",
        "high reduction=diverse",
        "high reduction=fastv:9,x=1",
    ):
        with pytest.raises(ConfigError, match=r"diverse:357, the method one of random"):
            live.operating_point(name)


def test_a_family_is_planned_with_its_own_tokens(files: Path, views: list[View]) -> None:
    (preset,) = QWEN3_VL.presets
    preprocessing = FamilyPreprocessing.of(
        preset, load_tier("medium"), Threshold(), Resize(crops="fill")
    )
    policy = live.lookup(file=str(files / "lookup.json"), preprocessing=preprocessing)
    questions = policy._questions(views)
    for point, name in enumerate(POINTS):
        rule = replace(preprocessing, tier=load_tier(name))
        for row, view in enumerate(views):
            # The picture at the size that the tier brings it to, counted by the family's own rule.
            height, width = rule.target_resolution(rule.select(*view.image_size), view.image_size)
            own = preset.geometry.plan(height, width)
            assert own.vision_tokens == height // 32 * (width // 32)
            assert questions.llm_vision_tokens[row, point] == own.vision_tokens


def test_a_cascade_by_hand_needs_no_file(views: list[View], unseen: Sweep) -> None:
    policy = live.cascade(points=["low", "high"], thresholds=[-0.03], preprocessing=PREPROCESSING)
    assert set(policy.choose(views)) == {0}
    sure, unsure = (PointAnswer(0, "", c, None) for c in (-0.03, -0.031))
    assert policy.again(views[0], [sure]) is None
    assert policy.again(views[0], [unsure]) == 1
    assert policy.again(views[0], [unsure, PointAnswer(1, "", -9.0, None)]) is None
    with pytest.raises(ConfigError, match="tells its confidence"):
        policy.again(views[0], [PointAnswer(0, "", None, None)])


def test_an_image_that_cannot_be_decoded_does_not_end_the_run(
    files: Path, views: list[View]
) -> None:
    class Broken(View):
        def thumbnail(self, side: int) -> NDArray[np.uint8]:
            raise ImageDecodeError("broken")

    dataset = TierQA("test", max_samples=7 * IMAGES)
    broken = [Broken(dataset, index) for index in range(7)]
    assert len(working("router", files).choose([*broken, *views[7:]])) == len(views)


def test_what_cannot_work_is_said_before_anything_runs(files: Path, views: list[View]) -> None:
    with pytest.raises(ConfigError, match=r"replay\.py"):
        live.oracle(preprocessing=PREPROCESSING)
    with pytest.raises(ConfigError, match=r"policy\.file=None"):
        live.router(preprocessing=PREPROCESSING)
    with pytest.raises(ConfigError, match="policy=cascade"):
        live.router(file=str(files / "cascade.json"), preprocessing=PREPROCESSING)
    with pytest.raises(ConfigError, match="fitted for, low, medium, high"):
        working("router", files, points=["low", "high"])
    with pytest.raises(ConfigError, match=r"policy\.points=None"):
        live.cascade(thresholds=[-1.0], preprocessing=PREPROCESSING)
    for budget in (10, 5000):
        for name in ("router", "lookup", "cascade"):
            with pytest.raises(ConfigError, match="of low, to"):
                working(name, files, budget=budget).choose(views)
    for name in ("lookup", "router", "cascade"):
        with pytest.raises(ConfigError, match="fitted on results with llm_vision_tokens, sel"):
            working(name, files, unit="latency_ms").budget(views)  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match="there is none"):
        live.router(file=str(files / "nothing.json"), preprocessing=PREPROCESSING)
    with pytest.raises(ConfigError, match="not its folder"):
        live.router(file=str(files), preprocessing=PREPROCESSING)


def test_the_router_in_the_box_fits_the_model_and_the_benchmark_in_the_box(
    views: list[View], unseen: Sweep
) -> None:
    policy = live.router(file="tiny", budget=606, preprocessing=PREPROCESSING)
    names = tuple(point.name for point in policy.points)
    assert names == ("fixed_288", "low", "medium", "fixed_1440", "high")
    inputs = {name: {"weights": "wherever it lies", "samples": "others"} for name in names}
    target = Target(
        names, "tierqa", {"_target_": "tierexp.data.tierqa.TierQA"}, "tiny", inputs, "this run is",
        (PointKnobs(top_k=2, num_active_blocks=4),) * 5,
    )  # fmt: skip
    assert policy.differs(target) == ()
    own = {"checkpoint": MolmoCheckpoint(str(IN_THE_BOX)).checkpoint_digest}
    assert policy.differs(replace(target, inputs=dict.fromkeys(names, own))) == ()
    other = replace(target, inputs={name: {"checkpoint": "another"} for name in names})
    with pytest.raises(ConfigError, match="other weights of the model tiny"):
        policy.differs(other)
    chosen = policy.choose(views)
    costs = policy._questions(views).llm_vision_tokens
    assert 560 < np.mean([costs[row, point] for row, point in enumerate(chosen)]) <= 606
    assert live.router(file="tiny").settings.path.stat().st_size < 500_000  # type: ignore[attr-defined]


def test_a_run_is_told_where_it_differs_from_the_fitting(files: Path, unseen: Sweep) -> None:
    same = target_of(unseen)
    policy, forced = (
        live.router(file=str(files / "router.json"), other_data=other, preprocessing=PREPROCESSING)
        for other in (False, True)
    )
    assert policy.differs(same) == ()
    model = replace(same, model="molmo", called="this run is")
    with pytest.raises(ConfigError, match="for the model tiny, this run is of molmo; policy"):
        policy.differs(model)
    data = replace(same, data={"_target_": "photos"}, dataset="photos")
    with pytest.raises(ConfigError, match="data set tierqa_validation, these results are of pho"):
        policy.differs(data)
    one_expert = replace(same.knobs[1], top_k=1)
    knobs = replace(same, knobs=(same.knobs[0], one_expert, *same.knobs[2:]))
    with pytest.raises(ConfigError, match=r"with top_k=2 num.*, these results are of top_k=1 num"):
        policy.differs(knobs)
    assert [len(forced.differs(target)) for target in (model, data, knobs)] == [1, 1, 1]
    weights = replace(same, inputs={name: {"weights": "other"} for name in same.points})
    assert "weights of another digest" in policy.differs(weights)[0]
    checkpoint = {name: {"weights": "w", "checkpoint": "one"} for name in same.points}
    at_one = replace(policy.file, fitted_on=replace(policy.file.fitted_on, inputs=checkpoint))
    elsewhere = {name: {"weights": "moved", "checkpoint": "one"} for name in same.points}
    named = ("policy.file", "mine.json")
    assert matched(at_one, "router", replace(same, inputs=elsewhere), named, False) == ()
    other = replace(same, inputs={name: {"checkpoint": "two"} for name in same.points})
    with pytest.raises(ConfigError, match="other weights of the model tiny; policy"):
        matched(at_one, "router", other, named, False)
    assert matched(at_one, "router", other, named, True) == (
        "fitted for other weights of the model tiny",
    )
    seen = replace(same, inputs=sweep(images=FITTED_ON).inputs)
    assert "these very questions" in policy.differs(seen)[0]
    by_hand = live.cascade(points=["low", "high"], thresholds=[-0.03], preprocessing=PREPROCESSING)
    assert by_hand.differs(model) == ()
    assert by_hand.budget(()) is None
