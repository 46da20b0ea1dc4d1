"""Latency: stages against a clock whose time is known, cost against torch's own counter."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.command_line import run_eval, run_on_fakes
from tests.support.flop_counter import Counter
from tests.support.molmo_models import KINDS, prompt, row_of, small_engine
from tierexp.data.tierqa import TierQA
from tierexp.errors import ConfigError
from tierexp.evaluation import latency_meter
from tierexp.evaluation.latency_meter import LatencyMeter, StageTimes
from tierexp.models.confidence import UNOBSERVED, AnswerObserver
from tierexp.models.molmo import attention
from tierexp.models.molmo.checkpoint import MolmoCheckpoint
from tierexp.models.molmo.engine import MolmoEngine
from tierexp.models.molmo.model_inputs import ModelInputs
from tierexp.models.stages import UNTIMED, Stage, StageClock, StageFlops
from tierexp.results.files import load_results
from tierexp.results.latency import (
    TIMES,
    LatencySettings,
    SampleLatency,
    aggregate_latency,
    latency_metrics,
)

CPU = torch.device("cpu")
TINY = str(Path(__file__).parents[2] / "src" / "tierexp" / "assets" / "tiny")
SQUARE = [512, 512]


# Cost


@pytest.fixture
def as_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Experts without padding, as of a single thread; views and attention whole, as on a GPU."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    monkeypatch.setattr(MolmoEngine, "_received", lambda *_: None)
    monkeypatch.setattr(attention, "_KEYS", 0)


@pytest.mark.whole
@pytest.mark.usefixtures("as_estimated")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("length", "new_tokens"), [(9, 1), (14, 6)])
def test_estimated_cost_is_what_torch_counts(kind: str, length: int, new_tokens: int) -> None:
    model, inputs = small_engine(kind), row_of(prompt([length]), 0)
    for top_k in (1, 2, 5) if kind == "mixture" else (None,):
        model.top_k = top_k
        for blocks in ((0, 1), (1,)):
            model.active_blocks = blocks
            counter = Counter()
            model.generate(inputs, new_tokens, clock=counter, fixed_length=True)
            estimated = model.stage_flops(inputs, new_tokens)
            for stage, counted in counter.flops.items():
                assert getattr(estimated, stage) == pytest.approx(counted, rel=0.02), stage


@pytest.mark.whole
@pytest.mark.usefixtures("as_estimated")
def test_estimated_cost_of_the_model_in_the_box() -> None:
    source = MolmoCheckpoint(TINY)
    model, geometry = source.load(CPU), source.geometry
    views, length = 3, 500
    ids = torch.full((1, length), 300)
    places = torch.arange(views * geometry.tokens_per_crop).view(1, views, -1)
    side = geometry.crop_size
    inputs = ModelInputs(
        ids,
        torch.ones(1, length, dtype=torch.bool),
        torch.zeros(1, views, side, side, 3, dtype=torch.uint8),
        torch.ones(1, views, geometry.patches_per_crop),
        torch.where(places < length, places, -100),
        torch.zeros(1, dtype=torch.long),
    )
    counter = Counter()
    model.generate(inputs, 4, clock=counter, fixed_length=True)
    estimated = model.stage_flops(inputs, 4)
    for stage, counted in counter.flops.items():
        assert getattr(estimated, stage) == pytest.approx(counted, rel=0.02), stage


# Time


class ScriptedModel:
    """Takes, in seconds of a clock of its own, what a script says."""

    top_k, num_active_blocks = None, 1

    def __init__(self, script: list[tuple[float, float, float]]) -> None:
        self.script = list(script)
        self.time = 0.0
        self.calls: list[tuple[int, bool]] = []

    def generate(
        self,
        inputs: ModelInputs,
        max_new_tokens: int,
        *,
        clock: StageClock = UNTIMED,
        fixed_length: bool = False,
        observer: AnswerObserver = UNOBSERVED,
    ) -> torch.Tensor:
        self.calls.append((max_new_tokens, fixed_length))
        stages: tuple[Stage, ...] = ("vision", "prefill", "decode")
        seconds = self.script.pop(0) if clock is not UNTIMED else (9.0, 9.0, 9.0)
        for stage, spent in zip(stages, seconds, strict=True):
            with clock.stage(stage):
                self.time += spent
            self.time += 0.25  # between the stages, of the total alone
        return torch.zeros(1, max_new_tokens, dtype=torch.long)

    def stage_flops(self, inputs: ModelInputs, new_tokens: int) -> StageFlops:
        return StageFlops(inputs.pixels.shape[1], inputs.input_ids.shape[1], new_tokens)


def test_a_sample_is_timed_stage_by_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    model = ScriptedModel([(1, 2, 3), (4, 5, 6), (2, 9, 4), (7, 7, 7), (7, 7, 7), (7, 7, 7)])
    monkeypatch.setattr(latency_meter, "perf_counter", lambda: model.time)
    meter = LatencyMeter(LatencySettings(warmup=2, repeats=3), model, CPU)
    inputs = row_of(prompt([9]), 0)
    tokens, latency = meter.measure(inputs, 5)
    assert tokens.shape == (1, 5)
    # The medians of three answers, in milliseconds; four tokens after the first.
    assert latency == SampleLatency(2000, 5000, 4000, 1000, 15750, 5, 2, 9, 5)
    assert len(model.calls) == 2 + 3
    meter.measure(inputs, 5)
    assert len(model.calls) == 2 + 3 + 3  # of this crop count, warm already
    assert set(model.calls) == {(5, False)}


def test_the_answer_can_be_of_a_fixed_length() -> None:
    model = ScriptedModel([(1, 2, 3)])
    settings = LatencySettings(warmup=0, repeats=1, output_tokens=1)
    _, latency = LatencyMeter(settings, model, CPU).measure(row_of(prompt([9]), 0), 5)
    assert model.calls == [(1, True)]
    assert (latency.new_tokens, latency.T_decode_per_token) == (1, None)


def test_samples_are_timed_alone() -> None:
    meter = LatencyMeter(LatencySettings(), ScriptedModel([]), CPU)
    with pytest.raises(ValueError, match="2 samples"):
        meter.measure(prompt([9, 9]), 5)


def test_a_fixed_length_does_not_change_the_answer() -> None:
    inputs = row_of(prompt([9]), 0)
    free = small_engine("mixture").generate(inputs, 8)[0]
    model = small_engine("mixture", end_of_text_id=int(free[2]))
    ended, fixed = model.generate(inputs, 8), model.generate(inputs, 8, fixed_length=True)
    assert ended.shape[1] < fixed.shape[1] == 8
    assert torch.equal(fixed[:, : ended.shape[1]], ended)
    assert set(fixed[0, ended.shape[1] :].tolist()) == {model.end_of_text_id}


def test_stages_of_a_real_model_add_up() -> None:
    times = StageTimes(CPU)
    start = times.now()
    small_engine("dense").generate(row_of(prompt([9]), 0), 4, clock=times)
    total = times.now() - start
    assert all(seconds > 0 for seconds in times.seconds.values())
    assert sum(times.seconds.values()) <= total


# Results


def sample(total: float, per_token: float | None) -> SampleLatency:
    return SampleLatency(1.0, 2.0, 3.0, per_token, total, 4, 10, 20, 30)


def test_statistics() -> None:
    totals = [float(value) for value in range(1, 101)]
    settings = LatencySettings(passes="one", output_tokens=4)
    samples = [sample(total, None if total > 50 else total) for total in totals]
    results = aggregate_latency(settings, samples, 12345)
    assert (results.passes, results.output_tokens, results.batch_size) == ("one", 4, 1)
    assert (results.num_samples, results.new_tokens_mean) == (100, 4.0)
    assert results.peak_memory_bytes == 12345
    assert set(results.stages) == set(TIMES)
    whole = results.stages["T_total"]
    assert (whole.mean, whole.p50) == (50.5, 50.5)
    assert (whole.p95, whole.p99) == pytest.approx((95.05, 99.01))
    assert whole.std == pytest.approx(np.sqrt((100**2 - 1) / 12))
    assert results.stages["T_decode_per_token"].mean == 25.5  # of those that have it
    assert results.flops_mean == {"flops_vision": 10, "flops_prefill": 20, "flops_decode": 30}
    logged = latency_metrics(results)
    assert logged["test/T_total_p95"] == whole.p95
    assert logged["test/flops_prefill_mean"] == 20
    nobody = aggregate_latency(settings, [sample(1.0, None)], 0)
    assert "T_decode_per_token" not in nobody.stages


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"passes": "three"}, "latency.passes"),
        ({"warmup": -1}, "latency.warmup"),
        ({"repeats": 0}, "latency.repeats"),
        ({"output_tokens": 0}, "latency.output_tokens"),
    ],
)
def test_impossible_settings(settings: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as error:
        LatencySettings(**settings)
    assert error.value.key == key


SAMPLES = [[SQUARE, "q0", ["a"], "read"], [[0, 1], "q1", ["a"], "read"], [SQUARE, "q2", ["a"], "x"]]


@pytest.mark.whole
@pytest.mark.parametrize(
    "passes", [("latency.passes=two",), ("latency.passes=one", "data.batch_size=1")]
)
def test_a_run_that_is_timed(passes: tuple[str, ...], tmp_path: Path) -> None:
    table = {"q0": "a", "q2": "b"}
    outcome = run_on_fakes(
        tmp_path, SAMPLES, table, "logger=csv", "trainer=cpu", "latency=on", *passes
    )
    assert (outcome.code, outcome.err) == (0, "")
    (file,) = (tmp_path / "out").glob("*.json")
    results = load_results(file)
    assert results.accuracy == 0.5  # as without a clock
    assert results.latency is not None
    assert (results.latency.num_samples, results.num_failed) == (2, 1)
    assert results.latency.passes == passes[0].partition("=")[2]
    # Of answers that are given several times, speed would be that of the clock's repeats.
    assert (results.samples_per_second is None) == (results.latency.passes == "one")
    for timed in results.per_sample_results:
        assert timed.latency is not None
        assert timed.latency.new_tokens == 16
    assert "latency in ms, one sample at a time" in outcome.out
    with (tmp_path / "out" / "csv" / "metrics.csv").open() as rows:
        logged = {key: value for row in csv.DictReader(rows) for key, value in row.items() if value}
    assert float(logged["test/accuracy"]) == 0.5
    mean = results.latency.stages["T_total"].mean
    assert float(logged["test/T_total_mean"]) == pytest.approx(mean)


@pytest.mark.whole
def test_nothing_is_timed_unless_asked(tmp_path: Path) -> None:
    outcome = run_on_fakes(tmp_path, SAMPLES, {}, "logger=none", "trainer=cpu")
    (file,) = (tmp_path / "out").glob("*.json")
    content = json.loads(file.read_text())
    assert content["latency"] is None
    assert content["per_sample_results"][0]["latency"] is None
    assert "latency" not in outcome.out


def test_one_pass_needs_samples_alone(tmp_path: Path) -> None:
    arguments = ("logger=none", "latency=on", "latency.passes=one")
    outcome = run_on_fakes(tmp_path, SAMPLES, {}, *arguments)
    assert outcome.code == 2
    assert "data.batch_size=2" in outcome.err
    assert "latency.passes=one" in outcome.err


def test_answers_that_are_scored_have_the_length_they_have(tmp_path: Path) -> None:
    arguments = ("logger=none", "latency=on", "latency.passes=one", "data.batch_size=1")
    outcome = run_on_fakes(tmp_path, SAMPLES, {}, *arguments, "latency.output_tokens=3")
    assert outcome.code == 2
    assert "latency.output_tokens=3 is not possible: null with latency.passes=one" in outcome.err


@pytest.mark.whole
def test_the_model_in_the_box_can_be_timed(tmp_path: Path) -> None:
    assert len(TierQA("test", max_samples=3)) == 3
    outcome = run_eval(
        "latency=on", "latency.repeats=1", "latency.output_tokens=3", "logger=none", "trainer=cpu",
        "tier=fixed_288", "data.max_samples=3", "data.num_workers=0", f"output_dir={tmp_path}",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    (file,) = tmp_path.glob("*.json")
    latency = load_results(file).latency
    assert latency is not None
    assert latency.new_tokens_mean == 3
    times = {name: statistics.mean for name, statistics in latency.stages.items()}
    parts = times["T_vision_total"] + times["T_LLM_prefill"] + times["T_LLM_decode"]
    assert 0.9 * times["T_total"] < parts <= 1.1 * times["T_total"]
    assert latency.peak_memory_bytes > 50e6
