"""Where metrics go: W&B without ever asking for a key, and what an offline run holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra.types import RunMode

from tests.support.command_line import run_on_fakes
from tests.support.wandb_records import records
from tierexp import CropGeometry
from tierexp.cli.overrides import sweep_group
from tierexp.errors import ConfigError
from tierexp.imaging.resize import ResizeMode
from tierexp.report.command import main as report
from tierexp.report.tiling_figure import draw_tiling
from tierexp.report.wandb_logging import logged_in, wandb_mode

SAMPLES = [[[480, 640], f"q{index}", ["yes", "ja"], "read"] for index in range(3)]
TABLE = {"q0": "yes", "q1": "no", "q2": "ja"}


@pytest.fixture(autouse=True)
def stranger(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A user whom W&B does not know."""
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL", "WANDB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "data"))


def test_a_stranger_stays_offline() -> None:
    assert not logged_in()
    assert wandb_mode("auto") == "offline"


def test_a_login_goes_online(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine api.wandb.ai login user password key\n")
    assert logged_in()
    assert wandb_mode("auto") is None
    assert wandb_mode("online") == "online"
    assert wandb_mode("offline") == "offline"
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org")
    assert not logged_in()
    netrc.write_text("this is not a netrc file")
    assert not logged_in()
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    assert logged_in()


def test_the_environment_decides_where_the_configuration_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert wandb_mode("auto") == "disabled"
    assert wandb_mode("offline") == "offline"
    monkeypatch.setenv("WANDB_MODE", "sometimes")
    with pytest.raises(ConfigError, match=r"WANDB_MODE='sometimes'.*online, offline"):
        wandb_mode("auto")


def test_online_without_a_login_is_refused_rather_than_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(ConfigError, match=r"logger\.mode='online'.*wandb login"):
        wandb_mode("online")
    monkeypatch.setenv("WANDB_MODE", "online")
    with pytest.raises(ConfigError, match=r"WANDB_MODE='online'.*wandb login"):
        wandb_mode("auto")


def exit_codes(folder: Path) -> list[int]:
    """Of the only offline run in a folder."""
    (path,) = folder.glob("wandb/offline-run-*/*.wandb")
    return [record.exit.exit_code for record in records(path) if record.HasField("exit")]


def keyed(items: Any) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def test_an_offline_run_holds_config_metrics_and_samples(tmp_path: Path) -> None:
    outcome = run_on_fakes(
        tmp_path, SAMPLES, TABLE, "trainer=cpu", "logger=wandb", "logger.table_samples=2"
    )
    assert (outcome.code, outcome.err) == (0, "")
    assert "wandb sync" in outcome.out
    (path,) = (tmp_path / "out").glob("wandb/offline-run-*/*.wandb")
    config: dict[str, Any] = {}
    metrics: dict[str, Any] = {}
    exits = []
    for record in records(path):
        if record.HasField("run"):
            assert (record.run.project, record.run.display_name) == ("tierexp", "plain_medium")
            config |= keyed(record.run.config.update)
        config |= keyed(record.config.update)
        metrics |= keyed(record.summary.update)
        if record.HasField("exit"):
            exits.append(record.exit.exit_code)
    # Flat, so that runs can be filtered by any of them.
    assert config["tier/preferred_crops"] == [4, 6, 8]
    assert config["output_dir"] == str(tmp_path / "out")
    assert config["tier_ordered"] == "01008 medium"
    assert not any(isinstance(value, dict) for key, value in config.items() if key != "_wandb")
    assert not any("_target_" in key for key in config)
    assert metrics["test/accuracy"] == pytest.approx(2 / 3)
    assert metrics["test/mismatch_mean"] == pytest.approx(3 / 46)
    assert metrics["test/selected_vision_tokens_mean"] == 1008
    assert exits == [0]

    assert (metrics["samples/_type"], metrics["samples/nrows"]) == ("table-file", 2)
    content = json.loads((path.parent / "files" / metrics["samples/path"]).read_text())
    rows = [dict(zip(content["columns"], row, strict=True)) for row in content["data"]]
    assert [(row["question"], row["prediction"], row["accuracy"]) for row in rows] == [
        ("q0", "yes", 1),
        ("q1", "no", 0),
    ]
    assert rows[0]["answers"] == "yes | ja"


def test_two_runs_of_a_multirun_are_two_runs_of_wandb(tmp_path: Path) -> None:
    outcome = run_on_fakes(
        tmp_path, SAMPLES, TABLE, "trainer=cpu", "logger=wandb", "-m", "tier=low,medium"
    )
    assert (outcome.code, outcome.err) == (0, "")
    runs = sorted((tmp_path / "out").glob("*/wandb/offline-run-*/*.wandb"))
    assert [run.parents[2].name for run in runs] == ["0_tier-low", "1_tier-medium"]


def logged(path: Path) -> tuple[Any, dict[str, Any], dict[str, Any], list[Any]]:
    """(run, config, summary, artifacts) of a `.wandb` file."""
    run, config, summary, artifacts = None, {}, {}, []
    for record in records(path):
        if record.HasField("run"):
            run = record.run
            config |= keyed(record.run.config.update)
        config |= keyed(record.config.update)
        summary |= keyed(record.summary.update)
        request = record.request
        if record.HasField("artifact"):
            artifacts.append(record.artifact)
        if record.HasField("request") and request.HasField("log_artifact"):
            artifacts.append(request.log_artifact.artifact)
    return run, config, summary, artifacts


def test_the_runs_of_a_sweep_are_a_group_and_tell_each_other_apart(tmp_path: Path) -> None:
    outcome = run_on_fakes(
        tmp_path, SAMPLES, TABLE, "trainer=cpu", "logger=wandb", "-m", "tier=low,high",
        "model.top_k=1,2",
    )  # fmt: skip
    assert (outcome.code, outcome.err) == (0, "")
    found = [
        logged(path) for path in sorted((tmp_path / "out").glob("*/wandb/offline-run-*/*.wandb"))
    ]
    assert [run.display_name for run, *_ in found] == [
        "plain_low_top_k-1", "plain_low_top_k-2", "plain_high_top_k-1", "plain_high_top_k-2",
    ]  # fmt: skip
    assert {run.run_group for run, *_ in found} == {"out"}
    assert [config["model/top_k"] for _, config, *_ in found] == [1, 2, 1, 2]
    assert sorted({config["tier_ordered"] for _, config, *_ in found}) == [
        "00432 low", "01872 high",
    ]  # fmt: skip
    names = [{name for name in summary if name.startswith("test/")} for _, _, summary, _ in found]
    assert names[0] >= {"test/accuracy", "test/mismatch_mean", "test/utilization_mean"}
    assert all(of_run == names[0] for of_run in names)


def test_a_run_of_its_own_has_no_group(tmp_path: Path) -> None:
    assert run_on_fakes(tmp_path, SAMPLES, TABLE, "trainer=cpu", "logger=wandb").code == 0
    (path,) = (tmp_path / "out").glob("wandb/offline-run-*/*.wandb")
    assert logged(path)[0].run_group == ""


def test_results_and_report_are_artifacts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = run_on_fakes(
        tmp_path, SAMPLES, TABLE, "trainer=cpu", "logger=wandb", "-m", "tier=low,medium"
    )
    assert outcome.code == 0
    for path in (tmp_path / "out").glob("*/wandb/offline-run-*/*.wandb"):
        (results,) = path.parents[2].glob("*_tier-*.json")
        kept = [a for a in logged(path)[3] if a.type == "results"]
        assert [(a.name, [f.path for f in a.manifest.contents]) for a in kept] == [
            (results.stem, [results.name])
        ]
    report([str(tmp_path / "out"), "--wandb"])
    assert "wandb sync" in capsys.readouterr().out
    (path,) = (tmp_path / "out").glob("wandb/offline-run-*/*.wandb")
    run, _, summary, artifacts = logged(path)
    assert (run.display_name, run.run_group, run.project) == ("report out", "out", "tierexp")
    assert {a.type for a in artifacts} >= {"report", "comparison"}
    assert summary["runs/nrows"] == 2
    assert summary["report/_type"] == "html-file"


def test_a_report_on_runs_without_wandb_is_not_logged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_on_fakes(tmp_path, SAMPLES, TABLE, "trainer=cpu", "logger=none").code == 0
    with pytest.raises(SystemExit) as end:
        report([str(tmp_path / "out"), "--wandb"])
    assert end.value.code == 2
    assert "were not logged to W&B: logger=wandb does that" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("mode", "folder", "group"),
    [
        ("RUN", "outputs/sweep", None),
        ("MULTIRUN", "outputs/sweep", "sweep"),
        ("MULTIRUN", "outputs/2026-11-24/18-30-00", "2026-11-24_18-30-00"),
        ("MULTIRUN", "sweep", "sweep"),
        ("MULTIRUN", ".", Path.cwd().name),
    ],
)
def test_a_group_is_called_like_the_folder(mode: str, folder: str, group: str | None) -> None:
    assert sweep_group(RunMode[mode], folder) == group
    assert sweep_group(None, folder) is None


def test_fixed_counts_can_be_swept(tmp_path: Path) -> None:
    outcome = run_on_fakes(
        tmp_path, SAMPLES, TABLE, "trainer=cpu", "logger=none", "-m", "tier=fixed_432,native"
    )
    assert (outcome.code, outcome.err) == (0, "")
    runs = sorted((tmp_path / "out").glob("*/*.json"))
    assert [run.parent.name for run in runs] == ["0_tier-fixed_432", "1_tier-native"]


def test_a_run_in_which_every_sample_fails_is_marked_as_failed(tmp_path: Path) -> None:
    samples = [[[0, 1], "q0", ["yes"], "read"]]
    outcome = run_on_fakes(tmp_path, samples, TABLE, "trainer=cpu", "logger=wandb")
    assert outcome.code == 1
    assert exit_codes(tmp_path / "out") == [1]


def test_what_is_refused_beforehand_starts_no_run(tmp_path: Path) -> None:
    samples = [[[0, 1], "q0", ["yes"], "read"]]
    outcome = run_on_fakes(tmp_path, samples, TABLE, "trainer=cpu", "data.on_error=raise")
    assert outcome.code == 2
    assert not (tmp_path / "out" / "wandb").exists()


def test_a_run_that_breaks_off_is_marked_as_failed(tmp_path: Path) -> None:
    samples = [[[-480, 640], "q0", ["yes"], "read"]]  # breaks once it is decoded
    outcome = run_on_fakes(tmp_path, samples, TABLE, "trainer=cpu", "data.on_error=raise")
    assert outcome.code == 2
    assert exit_codes(tmp_path / "out") == [1]


def test_no_logger_leaves_the_results_file_alone(tmp_path: Path) -> None:
    assert run_on_fakes(tmp_path, SAMPLES, TABLE, "trainer=cpu", "logger=none").code == 0
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert len(left) == 4
    assert left > {".hydra", "eval.log", "thumbnails"}


def test_a_filled_tiling_shades_what_is_cut_away() -> None:
    """400 x 400 pixels on the canvas of 1 x 2 crops, 336 x 560: the middle 240 rows are kept."""
    image = np.full((400, 400, 3), 200, np.uint8)
    figure = draw_tiling(image, (1, 2), "fill", CropGeometry(), max_side=400)
    assert figure.shape == (400, 400, 3)
    assert (figure[:79] == 60).all()
    assert (figure[321:] == 60).all()
    assert (figure[100:300, 50:150] == 200).all()
    red = (figure[200] == (255, 60, 60)).all(axis=-1)
    assert set(np.flatnonzero(red)) == {0, 1, 200, 201, 398, 399}


@pytest.mark.parametrize("size", [(1, 2000), (3100, 3), (1, 1)])
@pytest.mark.parametrize("mode", ["fill", "letterbox", "stretch"])
def test_extreme_images_can_be_drawn(size: tuple[int, int], mode: ResizeMode) -> None:
    image = np.zeros((*size, 3), np.uint8)
    assert max(draw_tiling(image, (2, 2), mode, CropGeometry(), max_side=64).shape[:2]) == 64


def test_a_padded_tiling_shows_the_padding() -> None:
    """400 x 400 pixels on the same canvas: as wide again as two thirds of the image."""
    image = np.full((400, 400, 3), 200, np.uint8)
    figure = draw_tiling(image, (1, 2), "letterbox", CropGeometry(), max_side=560)
    assert figure.shape == (336, 560, 3)
    shown = (figure[100] == 200).all(axis=-1)
    assert shown[115:275].all()
    assert not shown[:112].any()
    assert not shown[448:].any()
