"""Targets: figures by hand, intervals against a plain bootstrap and against theory."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from tests.support.results import FACTS, LANDSCAPE, PROVENANCE, with_metrics
from tierexp.results.aggregate import aggregate
from tierexp.results.check import Check
from tierexp.results.intervals import (
    Quantile,
    combined_interval,
    intervals,
    mean_interval,
)
from tierexp.results.schema import EvaluationResults, SampleResult, TierRange
from tierexp.results.targets.run_checks import check_run
from tierexp.results.targets.sweep_checks import check_sweep, raw_mismatch


def names(count: int) -> list[str]:
    return [f"image-{number}" for number in range(count)]


def plain_bootstrap(values: np.ndarray, images: list[str], statistic: object) -> tuple[float, ...]:
    """Image by image, draw by draw, with another generator."""
    assert callable(statistic)
    rng = np.random.default_rng(12345)
    by_image: dict[str, list[float]] = {}
    for value, image in zip(values, images, strict=True):
        by_image.setdefault(image, []).append(value)
    groups = list(by_image.values())
    figures = []
    for _ in range(3000):
        drawn = rng.integers(len(groups), size=len(groups))
        figures.append(statistic(np.concatenate([groups[number] for number in drawn])))
    return tuple(np.percentile(figures, [2.5, 97.5]))


def test_interval_of_a_mean_is_that_of_the_normal_distribution() -> None:
    values = np.random.default_rng(1).normal(5, 2, 400)
    low, high = mean_interval(values, names(400))
    spread = 1.96 * values.std() / math.sqrt(400)
    assert low == pytest.approx(values.mean() - spread, abs=0.1 * spread)
    assert high == pytest.approx(values.mean() + spread, abs=0.1 * spread)


def test_images_are_drawn_with_all_their_questions() -> None:
    """100 images with the same value 16 times are no more evidence than 100 values."""
    values = np.random.default_rng(2).uniform(0, 1, 100)
    once = mean_interval(values, names(100))
    repeated = mean_interval(np.repeat(values, 16), sorted(names(100) * 16, key=names(100).index))
    assert repeated == pytest.approx(once)
    apart = mean_interval(np.repeat(values, 16), names(1600))
    assert apart[1] - apart[0] == pytest.approx((once[1] - once[0]) / 4, rel=0.15)


@pytest.mark.parametrize("quantile", [0.05, 0.95])
def test_interval_of_a_quantile_is_that_of_a_plain_bootstrap(quantile: float) -> None:
    rng = np.random.default_rng(3)
    images = [f"image-{number}" for number in rng.integers(60, size=300)]
    values = rng.gamma(2.0, 1.0, 300)
    expected = plain_bootstrap(values, images, lambda drawn: np.quantile(drawn, quantile))
    found = intervals([Quantile(values, quantile)], images)[0]
    assert found == pytest.approx(expected, rel=0.12)


def test_a_paired_interval_knows_of_the_pairs() -> None:
    """The same noise in both columns cancels; the difference is certain."""
    noise = np.random.default_rng(4).normal(0, 10, 200)
    low, high = combined_interval(
        [noise, noise + 1], names(200), lambda before, after: after - before
    )
    assert (low, high) == pytest.approx((1, 1))


def test_one_value_has_an_interval_of_its_own() -> None:
    assert mean_interval(np.array([3.0]), ["a"]) == (3, 3)
    assert intervals([Quantile(np.array([3.0]), 0.95)], ["a"])[0] == (3, 3)


def samples(values: list[float], **changes: object) -> list[SampleResult]:
    return [
        with_metrics(
            dataclasses.replace(
                LANDSCAPE, sample_id=f"s{number}", image_key=f"i{number}", **changes
            ),
            aspect_ratio_mismatch=value,
        )
        for number, value in enumerate(values)
    ]  # fmt: skip


def test_checks_of_a_run_by_hand() -> None:
    mismatches = [0.1] * 90 + [0.5] * 8 + [0.7] * 2
    found = {check.name: check for check in check_run(samples(mismatches))}
    assert found["mismatch_mean"].figure == pytest.approx(0.144)
    assert found["mismatch_p95"].figure == pytest.approx(0.5)
    assert found["mismatch_p99"].figure == pytest.approx(0.7)
    # 972 of 1008 tokens each.
    assert found["utilization_mean"].figure == pytest.approx(972 / 1008)
    assert found["utilization_p5"].figure == pytest.approx(972 / 1008)
    met = {name: check.met for name, check in found.items()}
    assert met == {
        "mismatch_mean": True, "mismatch_p95": False, "mismatch_p99": False,
        "utilization_mean": True, "utilization_p5": True,
    }  # fmt: skip
    for check in found.values():
        assert check.ci95[0] - 1e-9 <= check.figure <= check.ci95[1] + 1e-9
        assert (check.num_samples, check.num_images) == (100, 100)


def test_padding_is_not_called_waste() -> None:
    checks = check_run(samples([0.1], resize_to_fill=False))
    assert [check.name for check in checks] == ["mismatch_mean", "mismatch_p95", "mismatch_p99"]
    assert check_run([]) == ()


def test_a_figure_on_the_bound_misses_it() -> None:
    for above in (True, False):
        assert not Check("x", 0.5, (0, 1), 0.5, above, 1, 1).met
    assert Check("x", 0.6, (0, 1), 0.5, True, 1, 1).met
    assert Check("x", 0.4, (0, 1), 0.5, False, 1, 1).met


def run(
    tier: str, accuracies: list[float], counts: tuple[int, int] = (1, 3), **changes: object
) -> EvaluationResults:
    facts = dataclasses.replace(FACTS, tier=tier, tier_range=TierRange(*counts))
    of_run = [
        dataclasses.replace(sample, accuracy=accuracy)
        for sample, accuracy in zip(
            samples([0.1] * len(accuracies), tier=tier, **changes), accuracies, strict=True
        )
    ]
    return aggregate(of_run, [], facts, 1.0, PROVENANCE)


def test_what_more_tokens_buy() -> None:
    low, medium = [0.0] * 60 + [1.0] * 40, [0.0] * 50 + [1.0] * 50
    checks = check_sweep(
        [run("medium", medium, (4, 8)), run("low", low), run("high", medium, (9, 15))]
    )
    found = {check.name: check for check in checks}
    assert set(found) == {"accuracy_low_to_medium", "accuracy_medium_to_high"}
    step = found["accuracy_low_to_medium"]
    assert step.figure == pytest.approx(0.1)
    # Ten of a hundred answers change: the difference of pairs has their standard error.
    assert step.ci95[0] == pytest.approx(0.1 - 1.96 * math.sqrt(0.09 / 100), abs=0.015)
    assert step.met
    assert not found["accuracy_medium_to_high"].met
    assert found["accuracy_medium_to_high"].ci95 == (0, 0)
    # A step is from one tier to the next.
    assert check_sweep([run("low", low), run("high", medium)]) == ()


def test_only_shared_samples_are_compared() -> None:
    few = run("low", [0.0, 0.0])
    many = run("medium", [1.0, 0.0, 0.0, 0.0], (4, 8))
    (check,) = check_sweep([few, many])
    assert (check.figure, check.num_samples) == (0.5, 2)
    others = dataclasses.replace(
        many,
        per_sample_results=tuple(
            dataclasses.replace(sample, sample_id=f"other-{sample.sample_id}")
            for sample in many.per_sample_results
        ),
    )
    assert check_sweep([few, others]) == ()


def test_what_tiers_spare_of_mismatch() -> None:
    """The design's example: 640 x 480, four fixed crops against 2 x 3: 0.33 to 0.17."""
    fixed = run("fixed_720", [1.0] * 3, (4, 4), selected_tiling=(2, 2))
    tier = run("medium", [1.0] * 3, (4, 8), selected_tiling=(2, 3))
    assert raw_mismatch(fixed.per_sample_results)[0] == pytest.approx(1 / 3)
    assert raw_mismatch(tier.per_sample_results)[0] == pytest.approx(1 / 6)
    (check,) = check_sweep([fixed, tier])
    assert check.name == "mismatch_reduction_fixed_720_to_medium"
    assert check.figure == pytest.approx(0.5)
    assert check.met
    # 9 crops are none that the medium tier could have chosen.
    assert check_sweep([run("fixed_1440", [1.0], (9, 9)), tier]) == ()
    flat = run("fixed_720", [1.0], (4, 4), selected_tiling=(3, 4), original_aspect_ratio=4 / 3)
    perfect = run("medium", [1.0], (4, 8), selected_tiling=(3, 4), original_aspect_ratio=4 / 3)
    assert check_sweep([flat, perfect])[0].figure == 0
