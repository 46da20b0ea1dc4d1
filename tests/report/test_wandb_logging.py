"""Where metrics go: W&B without ever asking for a key, and what an offline run holds."""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import pytest
import wandb
from hydra.types import RunMode

from tests.support.command_line import Outcome, assert_refused, run_on_fakes
from tests.support.wandb_records import records
from tierexp import CropGeometry
from tierexp.config.names import sweep_group
from tierexp.errors import ConfigError
from tierexp.evaluation import running_metrics
from tierexp.imaging.resize import ResizeMode
from tierexp.report.command import main as report
from tierexp.report.lean_wandb import lean_start
from tierexp.report.tiling_figure import draw_tiling
from tierexp.report.wandb_logging import TierWandbLogger
from tierexp.report.wandb_settings import logged_in, wandb_mode

SAMPLES = [[[480, 640], f"q{index}", ["yes", "ja"], "read"] for index in range(3)]
TABLE = {"q0": "yes", "q1": "no", "q2": "ja"}


KEY = "0123456789abcdef" * 2 + "01234567"


@pytest.fixture(autouse=True)
def stranger(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A user whom W&B does not know."""
    become_a_stranger(monkeypatch, tmp_path)


def become_a_stranger(patch: pytest.MonkeyPatch, folder: Path) -> None:
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        patch.delenv(name)
    patch.setenv("NETRC", str(folder / "netrc"))
    patch.setenv("WANDB_CONFIG_DIR", str(folder / "config"))
    patch.chdir(folder)


def login(tmp_path: Path, machine: str) -> None:
    """What `wandb login` leaves behind."""
    (tmp_path / "netrc").write_text(f"machine {machine}\n  login user\n  password {KEY}\n")


def settings_file(tmp_path: Path, key: str, value: str) -> None:
    """What `wandb login --host`, which writes for all folders, and `wandb offline` and `wandb
    disabled`, which write for this one, leave behind, by W&B's own writer.
    """
    settings = wandb.Settings(settings_system=str(tmp_path / "config" / "settings"))
    written = settings.read_system_settings()
    written.set(key, value, globally=key == "base_url")
    written.save()


def test_a_stranger_stays_offline() -> None:
    assert not logged_in()
    assert wandb_mode("auto") == "offline"


def test_the_host_that_wandb_login_writes_by_default_is_found(tmp_path: Path) -> None:
    """Not a name of ours: whatever the installed W&B takes for its server."""
    login(tmp_path, urlsplit(wandb.Settings().base_url).netloc)
    assert logged_in()
    assert wandb_mode("auto") == "online"
    assert wandb_mode("online") == "online"
    assert wandb_mode("offline") == "offline"


@pytest.mark.parametrize(
    ("base_url", "machine", "found"),
    [
        ("https://wandb.example.org", "wandb.example.org", True),
        ("https://wandb.example.org:8443", "wandb.example.org:8443", True),
        ("https://wandb.example.org:8443", "wandb.example.org", False),
        ("http://localhost:8080", "localhost:8080", True),
        ("https://wandb.example.org", "other.example.org", False),
    ],
)
@pytest.mark.parametrize("by", ["environment", "settings"])
def test_a_login_to_ones_own_server_is_followed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    base_url: str,
    machine: str,
    found: bool,
    by: str,
) -> None:
    login(tmp_path, machine)
    if by == "environment":
        monkeypatch.setenv("WANDB_BASE_URL", base_url)
    else:
        settings_file(tmp_path, "base_url", base_url)
    assert logged_in() == found
    assert wandb_mode("auto") == ("online" if found else "offline")


def test_a_key_in_the_environment_is_a_login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    assert logged_in()


def test_what_cannot_be_a_key_is_refused_unrepeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "planted")
    with pytest.raises(ConfigError, match=r"WANDB_API_KEY invalid") as refused:
        logged_in()
    assert "planted" not in str(refused.value)


def test_a_netrc_file_that_cannot_be_read_is_no_login(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "netrc").write_text("this is not a netrc file")
    assert wandb_mode("auto") == "offline"
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("asked", "started"),
    [
        ("offline", "offline"),
        ("dryrun", "offline"),
        ("disabled", "disabled"),
        ("online", "online"),
        ("run", "online"),
        ("shared", "shared"),
    ],
)
def test_wandbs_own_mode_decides_where_the_configuration_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str, started: str
) -> None:
    monkeypatch.setenv("WANDB_MODE", asked)
    if started in ("online", "shared"):
        with pytest.raises(ConfigError, match=rf"WANDB_MODE='{asked}'.*wandb login"):
            wandb_mode("auto")
    login(tmp_path, urlsplit(wandb.Settings().base_url).netloc)
    assert wandb_mode("auto") == started
    assert wandb_mode("offline") == "offline"


@pytest.mark.parametrize("mode", ["offline", "disabled"])
def test_wandb_offline_and_wandb_disabled_are_followed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], mode: str
) -> None:
    login(tmp_path, urlsplit(wandb.Settings().base_url).netloc)
    settings_file(tmp_path, "mode", mode)
    capsys.readouterr()
    assert wandb_mode("auto") == mode
    assert wandb_mode("online") == "online"
    assert capsys.readouterr().err == ""


@pytest.mark.whole
@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("WANDB_MODE", "sometimes", "'offline', 'shared'"),
        ("WANDB_BASE_URL", "nowhere", "URL"),
        ("WANDB_RUN_ID", "a/b", "cannot contain"),
        ("WANDB_PROJECT", "a/b", "none of them"),
    ],
)
def test_a_variable_that_wandb_refuses_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str
) -> None:
    monkeypatch.setenv(variable, value)
    outcome = run_on_fakes(tmp_path, SAMPLES, TABLE, "trainer=cpu", "logger=wandb")
    named = "logger.project" if variable == "WANDB_PROJECT" else variable
    assert_refused(outcome, [f"{named}='{value}'", words])


def test_online_without_a_login_is_refused_rather_than_asked() -> None:
    with pytest.raises(ConfigError, match=r"logger\.mode='online'.*wandb login"):
        wandb_mode("online")
    with pytest.raises(ConfigError, match=r"logger\.mode='now'.*one of auto, online"):
        wandb_mode("now")


def exit_codes(folder: Path) -> list[int]:
    """Of the only offline run in a folder."""
    (path,) = folder.glob("wandb/offline-run-*/*.wandb")
    return [record.exit.exit_code for record in records(path) if record.HasField("exit")]


def keyed(items: Any) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    """The folder of a run by itself, which says how it is doing after every sample; of a user whom
    W&B does not know, and whose home is `home` beside it."""
    folder = tmp_path_factory.mktemp("single")
    with pytest.MonkeyPatch.context() as patched:
        become_a_stranger(patched, folder)
        patched.setenv("HOME", str(folder / "home"))
        patched.setenv("XDG_DATA_HOME", str(folder / "home" / "data"))
        patched.setattr(running_metrics, "SECONDS", 0.0)
        outcome = run_on_fakes(
            folder, SAMPLES, TABLE, "trainer=cpu", "logger=wandb", "logger.table_samples=2",
            "data.batch_size=1",
        )  # fmt: skip
    assert (outcome.code, outcome.err) == (0, "")
    return folder / "out", outcome


@pytest.mark.whole
def test_an_offline_run_holds_config_metrics_and_samples(single: tuple[Path, Outcome]) -> None:
    out, _ = single
    (path,) = out.glob("wandb/offline-run-*/*.wandb")
    run, config, metrics, _ = logged(path)
    assert (run.project, run.display_name, run.run_group) == ("tierexp", "plain_medium", "")
    # Flat, so that runs can be filtered by any of them.
    assert config["tier/preferred_crops"] == [4, 6, 8]
    assert config["output_dir"] == str(out)
    assert config["tier_ordered"] == "01008 medium"
    assert not any(isinstance(value, dict) for key, value in config.items() if key != "_wandb")
    assert not any("_target_" in key for key in config)
    assert metrics["test/accuracy"] == pytest.approx(2 / 3)
    assert metrics["test/mismatch_mean"] == pytest.approx(3 / 46)
    assert metrics["test/selected_vision_tokens_mean"] == 1008
    assert exit_codes(out) == [0]

    assert (metrics["samples/_type"], metrics["samples/nrows"]) == ("table-file", 2)
    content = json.loads((path.parent / "files" / metrics["samples/path"]).read_text())
    rows = [dict(zip(content["columns"], row, strict=True)) for row in content["data"]]
    assert [(row["question"], row["prediction"], row["accuracy"]) for row in rows] == [
        ("q0", "yes", 1),
        ("q1", "no", 0),
    ]
    assert rows[0]["answers"] == "yes | ja"


@pytest.mark.whole
def test_an_offline_run_does_without_what_nobody_asks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W&B's launcher, pandas, and what tells W&B's server, even offline, how W&B is doing."""
    monkeypatch.setitem(sys.modules, "pandas", None)  # to import it is an error now
    launcher = [name for name in sys.modules if name.startswith("wandb.sdk.launch")]
    for name in launcher:
        monkeypatch.delitem(sys.modules, name)
    outcome = run_on_fakes(tmp_path, SAMPLES, TABLE, "trainer=cpu", "logger=wandb")
    assert (outcome.code, outcome.err) == (0, "")
    assert not [name for name in sys.modules if name.startswith("wandb.sdk.launch")]
    assert not [thread.name for thread in threading.enumerate() if "Otel" in thread.name]
    (log,) = (tmp_path / "out").glob("wandb/offline-run-*/logs/debug.log")
    assert "ERROR" not in log.read_text()


@pytest.mark.whole
def test_a_release_of_wandb_that_has_moved_its_parts_starts_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr("wandb.util.pd_available")
    for name in (
        "sdk.lib.service.service_port_file",
        "analytics.opentelemetry.opentelemetry_proxy",
    ):
        monkeypatch.setitem(sys.modules, f"wandb.{name}", None)
    monkeypatch.delitem(sys.modules, "wandb.sdk.launch.inputs.internal", raising=False)
    with lean_start(offline=True):
        from wandb.sdk.launch.inputs.internal import handle_config_file_input
    assert not hasattr(wandb.util, "pd_available")
    assert handle_config_file_input.__module__ == "wandb.sdk.launch.inputs.internal"


@pytest.mark.whole
def test_a_frame_is_logged_as_a_table(tmp_path: Path) -> None:
    logger = TierWandbLogger(tmp_path, "tierexp", mode="offline")
    try:
        logger.log_media({"frame": pd.DataFrame({"a": [1, 2, 3]})})
    finally:
        logger.finish(0)
    (path,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    summary: dict[str, Any] = {}
    for record in records(path):
        summary |= keyed(record.summary.update)
    assert (summary["frame/_type"], summary["frame/nrows"]) == ("table-file", 3)


@pytest.mark.whole
def test_a_run_that_goes_on_says_how_it_is_doing(single: tuple[Path, Outcome]) -> None:
    (path,) = single[0].glob("wandb/offline-run-*/*.wandb")
    rows = [keyed(record.history.item) for record in records(path) if record.HasField("history")]
    rows = [row for row in rows if "progress/accuracy" in row]
    # q0 and q2 are answered right.
    assert [row["progress/accuracy"] for row in rows] == pytest.approx([1, 1 / 2, 2 / 3])
    assert [row["trainer/global_step"] for row in rows] == [1, 2, 3]
    assert {row["progress/selected_vision_tokens_mean"] for row in rows} == {1008}
    for row in rows:
        speed, tokens = row["progress/samples_per_second"], row["progress/llm_vision_tokens_mean"]
        assert row["progress/vision_tokens_per_second"] == pytest.approx(speed * tokens)
        assert speed > 0


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four runs, of a user whom W&B does not know."""
    folder = tmp_path_factory.mktemp("sweep")
    with pytest.MonkeyPatch.context() as patched:
        become_a_stranger(patched, folder)
        outcome = run_on_fakes(
            folder, SAMPLES, TABLE, "trainer=cpu", "logger=wandb", "-m", "tier=low,high",
            "model.top_k=1,2",
        )  # fmt: skip
    assert (outcome.code, outcome.err) == (0, "")
    return folder / "out"


@pytest.mark.whole
def test_runs_of_a_multirun_are_as_many_runs_of_wandb(sweep: Path) -> None:
    runs = sorted(sweep.glob("*/wandb/offline-run-*/*.wandb"))
    assert [run.parents[2].name for run in runs] == [
        "0_model.top_k-1_tier-low", "1_model.top_k-2_tier-low",
        "2_model.top_k-1_tier-high", "3_model.top_k-2_tier-high",
    ]  # fmt: skip


def logged(path: Path) -> tuple[Any, dict[str, Any], dict[str, Any], list[Any]]:
    """(run, config, summary, artifacts) of a `.wandb` file."""
    run, artifacts = None, []
    config: dict[str, Any] = {}
    summary: dict[str, Any] = {}
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


@pytest.mark.whole
def test_the_runs_of_a_sweep_are_a_group_and_tell_each_other_apart(sweep: Path) -> None:
    found = [logged(path) for path in sorted(sweep.glob("*/wandb/offline-run-*/*.wandb"))]
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


@pytest.mark.whole
@pytest.mark.usefixtures("without_figures")
def test_results_and_report_are_artifacts(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in sweep.glob("*/wandb/offline-run-*/*.wandb"):
        (results,) = path.parents[2].glob("*_tier-*.json")
        kept = [a for a in logged(path)[3] if a.type == "results"]
        assert [(a.name, [f.path for f in a.manifest.contents]) for a in kept] == [
            (results.stem, [results.name])
        ]
    report([str(sweep), "--wandb"])
    assert "wandb sync" in capsys.readouterr().out
    (path,) = sweep.glob("wandb/offline-run-*/*.wandb")
    run, _, summary, artifacts = logged(path)
    assert (run.display_name, run.run_group, run.project) == ("report out", "out", "tierexp")
    assert {a.type for a in artifacts} >= {"report", "comparison"}
    assert summary["runs/nrows"] == 4
    assert summary["report/_type"] == "html-file"


@pytest.mark.whole
@pytest.mark.usefixtures("without_figures")
def test_a_report_on_runs_without_wandb_is_not_logged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_on_fakes(tmp_path, SAMPLES, TABLE, "trainer=cpu", "logger=none").code == 0
    with pytest.raises(SystemExit) as end:
        report([str(tmp_path / "out"), "--wandb"])
    assert end.value.code == 2
    assert "were not logged to W&B: logger=wandb does that" in capsys.readouterr().err


@pytest.mark.whole
def test_environment_and_configuration_name_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PROJECT", "NAME", "RUN_GROUP", "ENTITY", "NOTES", "JOB_TYPE"):
        monkeypatch.setenv(f"WANDB_{name}", f"my-{name.lower()}")
    monkeypatch.setenv("WANDB_TAGS", "one,two")
    folders = tmp_path / "followed", tmp_path / "written"
    written = [
        "logger.project=p", "logger.name=n", "logger.group=g", "logger.entity=e",
        "logger.notes='what for'", "logger.job_type=j", "logger.tags=[a,b]",
    ]  # fmt: skip
    runs = []
    for folder, overrides in zip(folders, [[], written], strict=True):
        folder.mkdir()
        outcome = run_on_fakes(folder, SAMPLES, TABLE, "trainer=cpu", "logger=wandb", *overrides)
        assert (outcome.code, outcome.err) == (0, "")
        (path,) = (folder / "out").glob("wandb/offline-run-*/*.wandb")
        run = logged(path)[0]
        runs.append(
            [run.project, run.display_name, run.run_group, run.entity, run.notes, run.job_type,
             list(run.tags)]
        )  # fmt: skip
    assert runs == [
        ["my-project", "my-name", "my-run_group", "my-entity", "my-notes", "my-job_type",
         ["one", "two"]],
        ["p", "n", "g", "e", "what for", "j", ["a", "b"]],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("logger.mode=never", "one of auto, online, offline, shared, disabled"),
        ("logger.table_samples=-1", "logger.table_samples=-1"),
    ],
)
def test_what_wandb_would_not_take_is_one_line(tmp_path: Path, override: str, words: str) -> None:
    outcome = run_on_fakes(tmp_path, SAMPLES, TABLE, "trainer=cpu", "logger=wandb", override)
    assert_refused(outcome, [words])
    assert not (tmp_path / "out" / "wandb").exists()


@pytest.mark.whole
@pytest.mark.usefixtures("without_figures")
def test_one_run_id_serves_one_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_RUN_ID", "mine")
    sweep = run_on_fakes(
        tmp_path, SAMPLES, TABLE, "trainer=cpu", "logger=wandb", "-m", "tier=low,high"
    )
    assert (sweep.code, sweep.err.count("\n")) == (2, 1)
    assert "WANDB_RUN_ID='mine' is not possible: unset in a multirun" in sweep.err
    single = run_on_fakes(tmp_path, SAMPLES, TABLE, "trainer=cpu", "logger=wandb", "resume=true")
    assert (single.code, single.err) == (0, "")
    (path,) = (tmp_path / "out").glob("wandb/offline-run-*/run-mine.wandb")
    assert logged(path)[0].run_id == "mine"
    report([str(tmp_path / "out")])
    with pytest.raises(SystemExit) as end:
        report([str(tmp_path / "out"), "--wandb"])
    assert end.value.code == 2


@pytest.mark.whole
def test_an_offline_run_can_be_moved(single: tuple[Path, Outcome], tmp_path: Path) -> None:
    """All files that `wandb sync` opens lie in the run's folder, and are named from there."""
    out, outcome = single
    assert f"cd {out} && wandb sync wandb/offline-run-" in outcome.out
    left = [path for path in (out.parent / "home").rglob("*") if path.is_file()]
    assert {path.suffix for path in left} <= {".log"}  # W&B's own
    (there,) = out.glob("wandb/offline-run-*/*.wandb")
    assert logged(there)[3]  # all is written
    elsewhere = tmp_path / "another" / "machine"
    shutil.copytree(out, elsewhere)
    (path,) = elsewhere.glob("wandb/offline-run-*/*.wandb")
    *_, summary, artifacts = logged(path)
    named = [entry for a in artifacts for entry in a.manifest.contents]
    assert {a.type for a in artifacts} == {"results", "run_table"}
    assert len(named) >= 1 + 1 + 1  # the results, the table, and its picture: the same one twice
    for entry in named:
        assert not Path(entry.local_path).is_absolute()
        assert (elsewhere / entry.local_path).stat().st_size == entry.size
    assert (path.parent / "files" / summary["samples/path"]).exists()


@pytest.mark.whole
def test_a_folder_that_the_user_names_is_wandbs_to_fill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "mine"))
    assert run_on_fakes(tmp_path, SAMPLES, TABLE, "trainer=cpu", "logger=wandb").code == 0
    (path,) = (tmp_path / "out").glob("wandb/offline-run-*/*.wandb")
    for artifact in logged(path)[3]:
        for entry in artifact.manifest.contents:
            assert Path(entry.local_path).is_relative_to(tmp_path / "mine")


@pytest.mark.parametrize(
    ("mode", "folder", "group"),
    [
        ("RUN", "outputs/sweep", None),
        ("MULTIRUN", "outputs/sweep", "sweep"),
        ("MULTIRUN", "outputs/2026-11-24/18-30-00", "2026-11-24_18-30-00"),
        ("MULTIRUN", "sweep", "sweep"),
        ("MULTIRUN", ".", "sweep"),
    ],
)
def test_a_group_is_called_like_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, folder: str, group: str | None
) -> None:
    (tmp_path / "sweep").mkdir()
    monkeypatch.chdir(tmp_path / "sweep")
    assert sweep_group(RunMode[mode], folder) == group
    assert sweep_group(None, folder) is None


@pytest.mark.whole
def test_a_run_in_which_every_sample_fails_is_marked_as_failed(tmp_path: Path) -> None:
    samples = [[[0, 1], "q0", ["yes"], "read"]]
    outcome = run_on_fakes(tmp_path, samples, TABLE, "trainer=cpu", "logger=wandb")
    assert outcome.code == 1
    assert exit_codes(tmp_path / "out") == [1]


@pytest.mark.whole
def test_what_is_refused_beforehand_starts_no_run(tmp_path: Path) -> None:
    samples = [[[0, 1], "q0", ["yes"], "read"]]
    outcome = run_on_fakes(tmp_path, samples, TABLE, "trainer=cpu", "data.on_error=raise")
    assert outcome.code == 2
    assert not (tmp_path / "out" / "wandb").exists()


@pytest.mark.whole
def test_a_run_that_breaks_off_is_marked_as_failed(tmp_path: Path) -> None:
    samples = [[[-480, 640], "q0", ["yes"], "read"]]  # breaks once it is decoded
    outcome = run_on_fakes(tmp_path, samples, TABLE, "trainer=cpu", "data.on_error=raise")
    assert outcome.code == 2
    assert exit_codes(tmp_path / "out") == [1]


@pytest.mark.whole
def test_no_logger_leaves_the_results_file_alone(tmp_path: Path) -> None:
    assert run_on_fakes(tmp_path, SAMPLES, TABLE, "trainer=cpu", "logger=none").code == 0
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert len(left - {".lock"}) == 4
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
