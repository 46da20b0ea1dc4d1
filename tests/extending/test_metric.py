"""A user's own metric plugs in through a configuration folder alone, and stands everywhere."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from tests.support.command_line import Outcome, assert_refused, run_eval, run_on_fakes
from tierexp.errors import ConfigError
from tierexp.report.command import main as report
from tierexp.report.compare_command import main as compare
from tierexp.report.frames import load_model_free_runs, load_runs, runs_frame, samples_frame
from tierexp.results.metrics import BUILT_IN, ImageMetric, number
from tierexp.results.own_metrics import combined

HERE = Path(__file__).parent
SAMPLES = [
    [[480, 640], "q0", ["a b"], "read"], [[1000, 2000], "q1", ["c"], "read"],
    [[300, 300], "q2", ["c"], "read"],
]  # fmt: skip
TABLE = {"q0": "a b", "q1": "c", "q2": ""}
MEGAPIXELS = [0.3072, 2.0, 0.09]
MEAN = sum(MEGAPIXELS) / 3
P95 = 0.3072 + 0.9 * (2.0 - 0.3072)
"""Position 0.95 x 2 = 1.9 of the three in ascending order."""


def run(folder: Path, *arguments: str) -> Outcome:
    return run_on_fakes(
        folder, SAMPLES, TABLE, f"hydra.searchpath=[file://{HERE}]", "trainer=cpu",
        "data.num_workers=0", "metric=megapixels", *arguments,
    )  # fmt: skip


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("own")
    outcome = run(folder, "logger=csv", "-m", "tier=low,medium")
    assert (outcome.code, outcome.err) == (0, "")
    return folder / "out", outcome.out


@pytest.mark.whole
def test_results_hold_it_under_its_name(sweep: tuple[Path, str]) -> None:
    file = next(sweep[0].glob("*/*_tier-medium_*.json"))
    content = json.loads(file.read_text())
    assert [s["megapixels"] for s in content["per_sample_results"]] == pytest.approx(MEGAPIXELS)
    assert [s["answer_words"] for s in content["per_sample_results"]] == [2, 1, None]
    assert content["megapixels_mean"] == pytest.approx(MEAN)
    assert content["megapixels_p95"] == pytest.approx(P95)
    assert content["answer_words_mean"] == 1.5
    declared = {metric["name"]: metric for metric in content["metrics"]}
    assert declared["megapixels"]["unit"] == "megapixels"
    assert set(declared) == {m.name for m in BUILT_IN} | {"megapixels", "answer_words"}


@pytest.mark.whole
def test_loggers_console_and_comparison_have_it(sweep: tuple[Path, str]) -> None:
    folder, out = sweep
    (row,) = csv.DictReader(next(folder.glob("0_*/**/metrics.csv")).open())
    assert float(row["test/megapixels_mean"]) == pytest.approx(MEAN)
    assert float(row["test/megapixels_p95"]) == pytest.approx(P95)
    assert float(row["test/answer_words_mean"]) == 1.5
    assert f"{MEAN:.2f}, {P95:.2f} at the 95th percentile" in " ".join(out.split())
    comparison = out[out.index("comparison") :]
    assert "megapixels" in comparison
    runs = json.loads((folder / "comparison.json").read_text())["runs"]
    assert [run["megapixels_mean"] for run in runs] == pytest.approx([MEAN, MEAN])


@pytest.mark.whole
@pytest.mark.usefixtures("without_figures")
def test_frames_and_the_page_have_it(
    sweep: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = sweep
    runs = load_runs(folder)
    assert runs_frame(runs)["megapixels_mean"].tolist() == pytest.approx([MEAN, MEAN])
    assert samples_frame(runs[:1])["megapixels"].tolist() == pytest.approx(MEGAPIXELS)
    report([str(folder)])
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert '<th scope="col">megapixels</th>' in page
    assert f"<td>{MEAN:.2f}</td>" in page


@pytest.mark.whole
def test_runs_without_a_model_have_those_of_images(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = tmp_path / "some.csv"
    sizes.write_text("height,width\n480,640\n1000,2000\n300,300\n")
    outcome = run_eval(
        "--config-dir", str(HERE), "model=none", "data=sizes", f"data.path={sizes}",
        "metric=megapixels", f"output_dir={tmp_path / 'out'}", "-m", "tier=low,medium",
    )  # fmt: skip
    assert (outcome.code, outcome.err) == (0, "")
    assert "comparison" in outcome.out
    runs = load_model_free_runs(tmp_path / "out")
    for run in runs:
        assert run.aggregates["megapixels_mean"] == pytest.approx(MEAN)
        assert run.aggregates["megapixels_p95"] == pytest.approx(P95)
        assert "answer_words_mean" not in run.aggregates
    assert runs_frame(runs)["megapixels_mean"].tolist() == pytest.approx([MEAN, MEAN])
    compare([str(tmp_path / "out"), "--output", str(tmp_path / "c.json")])
    assert "megapixels" in capsys.readouterr().out
    report([str(tmp_path / "out")])
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert '<th scope="col">megapixels</th>' in page
    assert page.count("<svg") == 2


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("{_target_: tests.extending.own_metrics.nothing}", "ImageMetric or an AnswerMetric"),
        ("{_target_: tests.extending.nowhere.nothing}", "the path of a class or function"),
        ("{_target_: tierexp.results.metrics.ImageMetric, name: x, unit: u, description: d}",
         "metric.mine.measure=None"),
        ("{_target_: tierexp.results.metrics.ImageMetric, name: x, unit: u, description: d, "
         "measure: {_target_: tests.extending.own_metrics.negative, _partial_: true}}",
         "no such sensor"),
        ("{_target_: tierexp.results.metrics.ImageMetric, name: x, unit: u, description: d, "
         "measure: {_target_: tests.extending.own_metrics.wordy, _partial_: true}}",
         "a finite number"),
        ("{_target_: tierexp.results.metrics.ImageMetric, name: x, unit: u, description: d, "
         "measure: {_target_: tests.extending.nowhere.f, _partial_: true}}", "nowhere"),
        ("{_target_: tierexp.results.metrics.ImageMetric, name: accuracy, unit: u, "
         "description: d, measure: {_target_: tests.extending.own_metrics.megapixels, "
         "_partial_: true}}", "a name that no column has yet"),
        ("{_target_: tierexp.results.metrics.ImageMetric, name: x, unit: u, description: d, "
         "statistics: [median], measure: {_target_: tests.extending.own_metrics.megapixels, "
         "_partial_: true}}", "some of mean, std"),
    ],
)  # fmt: skip
def test_a_wrong_metric_is_one_line(tmp_path: Path, entry: str, words: str) -> None:
    (tmp_path / "metric").mkdir()
    (tmp_path / "metric" / "wrong.yaml").write_text(f"mine: {entry}\n")
    sizes = tmp_path / "some.csv"
    sizes.write_text("height,width\n480,640\n")
    outcome = run_eval(
        "--config-dir", str(tmp_path), "model=none", "data=sizes", f"data.path={sizes}",
        "metric=wrong", f"output_dir={tmp_path / 'out'}",
    )  # fmt: skip
    assert_refused(outcome, [words])


def test_no_metric_can_take_the_name_of_a_field() -> None:
    for name in ("tier_range", "point", "run", "utilization"):
        mine = ImageMetric(name=name, unit="u", description="d", measure=lambda image: image.height)
        with pytest.raises(ConfigError, match="a name that no column has yet"):
            combined([mine])


def test_a_yes_is_1_and_more_than_a_number_holds_is_refused() -> None:
    metric = next(of for of in BUILT_IN if isinstance(of, ImageMetric))
    for value, measured in ((True, "1"), (np.bool_(False), "0"), (2**70, str(2**70))):
        assert repr(number(metric, value)) == measured
    for value in (10**400, float("inf"), float("nan")):
        with pytest.raises(ConfigError, match=r"measure=.*a finite number"):
            number(metric, value)
