"""The group `reduction`: how many tokens are kept, and what cannot be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hydra.utils import get_class
from omegaconf import OmegaConf

from tests.support.command_line import assert_refused, run_eval, run_on_fakes
from tierexp.config.location import config_dir
from tierexp.errors import ConfigError
from tierexp.imaging.preprocessing import Preprocessing
from tierexp.models.knobs.reduction import settings
from tierexp.results.files import load_results
from tierexp.tiers.files import load_tier
from tierexp.tiers.geometry import CropGeometry

SIZES = [(480, 640), (640, 480), (300, 1500), (512, 512)]


def preprocessing(tier: str) -> Preprocessing:
    return Preprocessing(load_tier(tier))


def test_every_method_has_an_option_of_its_name() -> None:
    options = {path.stem: path for path in (config_dir() / "reduction").glob("*.yaml")}
    assert set(options) == {*settings.METHODS}
    for name, path in options.items():
        assert get_class(OmegaConf.load(path)["_target_"]).method == name


@pytest.mark.parametrize("tier", ["low", "medium"])
def test_match_is_the_mean_of_the_tier_over_the_images(tier: str) -> None:
    geometry = CropGeometry()
    rule = preprocessing(tier)
    means = np.mean([geometry.llm_vision_tokens(rule.select(*size).tiling) for size in SIZES])
    settled = settings.RandomTokens(match=tier).settled(lambda: SIZES, preprocessing("high"))
    assert settled == settings.RandomTokens(tokens=round(float(means)))
    assert settled.count(5000) == round(float(means))


def test_a_share_asks_for_no_sizes() -> None:
    kept = settings.RandomTokens(keep=0.3)

    def asked() -> list[tuple[int, int]]:
        raise AssertionError

    assert settings.NoReduction().settled(asked, preprocessing("low")).count(9) == 9
    assert kept.settled(lambda: SIZES, preprocessing("low")) is kept


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["reduction=fast"], ["reduction='fast'", "fastv", "vision_zip"]),
        (["reduction=fastv"], ["reduction='fastv'", "exactly one", "reduction.keep=0.5"]),
        (
            ["reduction=fastv", "reduction.keep=0.5", "reduction.match=low"],
            ["exactly one", "keep and match"],
        ),
        (["reduction=merge", "reduction.keep=0"], ["reduction.keep=0", "above 0"]),
        (["reduction=merge", "reduction.keep=1.1"], ["reduction.keep=1.1", "at most 1"]),
        (["reduction=merge", "reduction.keep=half"], ["reduction.keep='half'"]),
        (["reduction=merge", "reduction.tokens=0"], ["reduction.tokens=0"]),
        (["reduction=merge", "reduction.match=lo"], ["reduction.match='lo'", "low, medium"]),
        (["reduction=merge", "reduction.tokens=9999"], ["reduction.tokens=9999", "at most"]),
        (["reduction=merge", "reduction.match=high"], ["reduction.match='high'", "at most"]),
        (["reduction=none", "reduction.keep=0.5"], ["reduction.keep=0.5", "reduction=none"]),
        (
            ["reduction=text", "reduction.keep=0.5", "reduction.block=4"],
            ["reduction.block=4", "at most 3"],
        ),
        (
            ["reduction=fastv", "reduction.keep=0.5", "model.num_active_blocks=2"],
            ["reduction.block=2", "at most 1"],
        ),
        (
            ["reduction=fastv", "reduction.keep=0.5", "reduction.received_from=me"],
            ["'me'", "last, all"],
        ),
        (
            ["reduction=vision_zip", "reduction.keep=0.5", "reduction.contextual=1"],
            ["reduction.contextual=1", "below 1"],
        ),
        (["reduction=random", "reduction.keep=0.5", "reduction.seed=-1"], ["reduction.seed=-1"]),
        (
            ["model=none", "reduction=random", "reduction.keep=0.5"],
            ["reduction='random'", "model=none"],
        ),
    ],
)
def test_what_cannot_be_is_one_line(tmp_path: Path, overrides: list[str], words: list[str]) -> None:
    outcome = run_eval(
        "tier=low", "data.max_samples=7", f"output_dir={tmp_path}", "logger=none", *overrides
    )
    assert_refused(outcome, words)


@pytest.mark.whole
def test_a_model_that_cannot_says_so(tmp_path: Path) -> None:
    samples = [[[480, 640], "which?", ["this"], "read"]]
    outcome = run_on_fakes(
        tmp_path, samples, {}, "reduction=random", "reduction.keep=0.5", "logger=none"
    )
    assert_refused(outcome, ["reduction='random'", "none: model=table"])


@pytest.mark.whole
def test_a_run_counts_what_is_left(tmp_path: Path) -> None:
    outcome = run_eval(
        "tier=low", "data.max_samples=7", f"output_dir={tmp_path}", "logger=none",
        "trainer=cpu", "data.num_workers=0", "reduction=stride", "reduction.tokens=100",
        "latency=on", "latency.repeats=1", "latency.warmup=0",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    (path,) = tmp_path.glob("tierqa_tier-low_*.json")
    results = load_results(path)
    assert results.llm_vision_tokens_mean == 100
    geometry = CropGeometry()
    config = OmegaConf.load(config_dir() / "architecture" / "tiny.yaml")
    for sample in results.per_sample_results:
        assert sample.llm_vision_tokens == 100
        whole = geometry.llm_vision_tokens(sample.selected_tiling)
        assert sample.unreduced_vision_tokens == whole > 100
        assert sample.latency is not None
        # Keys and values of every token in four blocks, 160 channels of four bytes each.
        blocks, width = config.n_layers, config.d_model
        tokens, rest = divmod(sample.latency.cache_bytes or 0, 2 * 4 * blocks * width)
        assert rest == 0
        assert 100 < tokens - sample.latency.new_tokens < 100 + 120  # text, and ends of rows


def test_settings_say_what_they_are() -> None:
    assert settings.FastV(keep=0.25).label == "fastv 25 %"
    assert settings.MergedTokens(tokens=357).label == "merge 357"
    assert settings.PooledTokens(match="low").label == "pool as low"
    assert settings.NoReduction().label == "none"
    with pytest.raises(ValueError, match="once the images are"):
        settings.PooledTokens(match="low").count(100)
    with pytest.raises(ConfigError, match="at most 50"):
        settings.PooledTokens(tokens=51).count(50)


@pytest.mark.parametrize(
    ("text", "reduction"),
    [
        ("diverse:357", settings.DiverseTokens(tokens=357)),
        ("merge:12.5%", settings.MergedTokens(keep=0.125)),
        (
            "fastv:low,block=3,received_from=all",
            settings.FastV(match="low", block=3, received_from="all"),
        ),
        ("vision_zip:9,contextual=0.5", settings.VisionZip(tokens=9, contextual=0.5)),
    ],
)
def test_points_write_reductions(text: str, reduction: settings.Reduction) -> None:
    assert settings.reduction_written(text) == reduction
    assert reduction.written == text


def test_results_say_what_a_point_is_called() -> None:
    config = {"_target_": "x.FastV", "match": "low", "keep": None, "tokens": None, "block": 3}
    assert settings.recorded_reduction(config, "fastv 357") == settings.FastV(tokens=357, block=3)
    assert settings.recorded_reduction(None, "merge 50 %") == settings.MergedTokens(keep=0.5)
    assert settings.recorded_reduction(config, None) == settings.NO_REDUCTION


@pytest.mark.parametrize("text", ["", "diverse", "perhaps:7", "pool:7,block=2", "fastv:7,block=x"])
def test_what_is_no_reduction_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ConfigError, match="diverse:357, the method one of random"):
        settings.reduction_written(text)
