"""Runs that could meet in a folder: one writes there and the others are told; whatever is killed
leaves nothing that is in the way, and nobody who goes on measuring."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import FAKES, assert_refused, run_eval, run_on_fakes
from tests.support.forked import forked
from tierexp.config.names import launch_id, run_folder
from tierexp.evaluation.journal import FILE_NAME
from tierexp.runtime.folder_lock import folder_lock

ROOT = Path(__file__).parents[2]
SAMPLES = [[[480, 640], f"q{n}", ["a"], "read"] for n in range(12)]
TABLE = {f"q{n}": "a" for n in range(12)}
ARGUMENTS = ("logger=none", "trainer=cpu", "data.batch_size=1")


def started(folder: Path, seconds: float, *arguments: str) -> subprocess.Popen[bytes]:
    """The run of `run_on_fakes` as a process of its own, with so many seconds for an answer."""
    (folder / "samples.json").write_text(json.dumps(SAMPLES))
    (folder / "table.json").write_text(json.dumps(TABLE))
    command = [
        sys.executable, "eval.py", *FAKES, f"data.path={folder / 'samples.json'}",
        f"model.table={folder / 'table.json'}", f"model.loaded={folder / 'loaded'}",
        f"output_dir={folder / 'out'}", *ARGUMENTS, *arguments,
    ]  # fmt: skip
    modules = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    environment = {**os.environ, "PYTHONPATH": modules, "TIEREXP_TEST_SLOW": str(seconds)}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)


def wait_for_lines(process: subprocess.Popen[bytes], *journals: Path) -> None:
    while any(_lines(file) < 2 for file in journals):
        assert process.poll() is None
        time.sleep(0.02)


def _lines(file: Path) -> int:
    return file.read_bytes().count(b"\n") if file.exists() else 0


def below(process: int) -> set[int]:
    """The processes that a process has started, and those that these have, and so on."""
    found: set[int] = set()
    for file in Path(f"/proc/{process}/task").glob("*/children"):
        for child in map(int, file.read_text().split()):
            found |= {child} | below(child)
    return found


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.whole
def test_one_run_at_a_time_in_a_folder(tmp_path: Path) -> None:
    """Refused while the first one lives, and after `kill -9` at once welcome."""
    journal = tmp_path / "out" / FILE_NAME

    def run() -> object:
        return run_on_fakes(tmp_path, SAMPLES, TABLE, *ARGUMENTS, "data.num_workers=1")

    process = forked(run, {"TIEREXP_TEST_SLOW": "1"})
    try:
        while _lines(journal) < 2:
            assert process.is_alive()
            time.sleep(0.02)
        config = (tmp_path / "out" / ".hydra" / "overrides.yaml").read_text()
        for more in ("resume=true", "overwrite=true"):
            second = run_on_fakes(tmp_path, SAMPLES, TABLE, *ARGUMENTS, more)
            assert (second.code, second.err.count("\n")) == (2, 1)
            assert f"another run (process {process.pid} on " in second.err
        assert (tmp_path / "out" / ".hydra" / "overrides.yaml").read_text() == config
        assert process.is_alive()
    finally:
        process.kill()
        process.join()
    measured = journal.read_bytes().count(b"\n") - 1
    assert 1 <= measured < len(SAMPLES)
    # Its worker may live a moment longer, and holds nothing.
    after = run_on_fakes(tmp_path, SAMPLES, TABLE, *ARGUMENTS, "resume=true")
    assert (after.code, after.err) == (0, "")
    (results,) = (tmp_path / "out").glob("*_tier-*.json")
    assert json.loads(results.read_text())["num_samples"] == len(SAMPLES)


def test_a_folder_that_another_run_holds_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with (tmp_path / "out" / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        refused = run_on_fakes(tmp_path, SAMPLES[:1], TABLE, *ARGUMENTS)
    assert_refused(refused, ["a folder of its own while another run ("])
    assert not (tmp_path / "out" / ".hydra").exists()


@pytest.mark.whole
def test_a_file_of_the_same_name_by_another_model_stays(tmp_path: Path) -> None:
    """Results files tell data, tier and knobs; what else differs would give the same name."""
    first = run_on_fakes(tmp_path, SAMPLES[:1], TABLE, *ARGUMENTS)
    assert first.code == 0, first.err
    (file,) = (tmp_path / "out").glob("*_tier-*.json")
    content = file.read_bytes()
    other = f"model.loaded={tmp_path / 'other'}"
    for more, words in ([], "overwrite=true replaces them"), (["resume=true"], "model.loaded"):
        second = run_on_fakes(tmp_path, SAMPLES[:1], TABLE, *ARGUMENTS, other, *more)
        assert (second.code, second.err.count("\n")) == (2, 1)
        assert words in second.err
        assert list((tmp_path / "out").glob("*_tier-*.json")) == [file]
        assert file.read_bytes() == content


@pytest.mark.whole
def test_no_worker_of_joblib_outlives_the_launcher(tmp_path: Path) -> None:
    """Of a task that would go on for a minute."""
    arguments = ("-m", "tier=low,medium", "hydra/launcher=joblib", f"output_dir={tmp_path}")
    modules = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    process = subprocess.Popen(
        [sys.executable, "-c", _LINGER, *arguments], env={**os.environ, "PYTHONPATH": modules}
    )
    try:
        while len(files := list(tmp_path.glob("*/process.json"))) < 2:
            assert process.poll() is None
            time.sleep(0.02)
        workers = {json.loads(file.read_text())["pid"] for file in files}
        assert process.pid not in workers
        assert len(workers) == 2
    finally:
        process.kill()
        process.wait()
    _assert_soon_gone(workers)


_LINGER = """
from tests.support.launched_tasks import linger
from tierexp.cli.launch import launch
launch(linger, "eval")
"""


def _assert_soon_gone(workers: set[int]) -> None:
    patience = time.monotonic() + 5
    while any(map(alive, workers)):
        assert time.monotonic() < patience
        time.sleep(0.05)


@pytest.mark.slow
def test_no_worker_of_joblib_outlives_the_command(tmp_path: Path) -> None:
    process = started(
        tmp_path, 0.3, "-m", "tier=low,medium", "hydra/launcher=joblib", "data.num_workers=1"
    )
    journals = [tmp_path / "out" / name / FILE_NAME for name in ("0_tier-low", "1_tier-medium")]
    try:
        wait_for_lines(process, *journals)
        workers = below(process.pid)
        assert len(workers) >= 4  # two runs, each with a process that loads
    finally:
        process.kill()
        process.wait()
    _assert_soon_gone(workers)
    sizes = [file.stat().st_size for file in journals]
    time.sleep(0.7)  # two answers
    assert [file.stat().st_size for file in journals] == sizes


def test_the_process_that_holds_a_folder_may_enter_it_again(tmp_path: Path) -> None:
    with folder_lock(tmp_path):
        with folder_lock(tmp_path / "." / "sub" / ".."):
            pass
        held = subprocess.run(
            [sys.executable, "-c", _TRY, str(tmp_path)], capture_output=True, text=True, check=False
        )
        assert held.stdout == "held\n"
    free = subprocess.run(
        [sys.executable, "-c", _TRY, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert free.stdout == "free\n"


_TRY = """
import fcntl, sys
file = open(f"{sys.argv[1]}/.lock", "r+")
try:
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    print("free")
except BlockingIOError:
    print("held")
"""


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_said(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refused)
    with folder_lock(tmp_path):
        pass
    (message,) = caplog.messages
    assert message.endswith("without locks: a second run there would not be noticed")


# Names


def test_default_folders_differ_though_the_second_is_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert len({launch_id() for _ in range(50)}) == 50
    # What srun and torchrun start is one run.
    for variables in (
        {"SLURM_NTASKS": "2", "SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0"},
        {"WORLD_SIZE": "2", "MASTER_PORT": "29500", "TORCHELASTIC_RUN_ID": "none"},
    ):
        with monkeypatch.context() as patched:
            for name, value in variables.items():
                patched.setenv(name, value)
            assert launch_id() == launch_id()
            assert re.fullmatch("[0-9a-f]{6}", launch_id())


@pytest.mark.parametrize(
    ("varied", "name"),
    [
        ("", "3"),
        ("tier-low", "3_tier-low"),
        ("data.path-/a b/c.jsonl_tier-[1,2]", "3_data.path-a-b-c.jsonl_tier-1-2"),
        ("data.path-" + "x" * 300, "3_data.path-" + "x" * 70),
    ],
)
def test_a_run_s_folder_says_what_varies(varied: str, name: str) -> None:
    assert run_folder(3, varied) == name


# Sweeps


@pytest.mark.whole
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("model.top_k=1,99",), ["model.top_k=99"]),
        (("tier=low,medium", "threshold.value=0.1,-1"), ["threshold.value=-1"]),
        (("tier=low,high", "hydra.sweep.subdir=same"), ["hydra.sweep.subdir", "share"]),
        (("model=tiny,none", "data.batch_size=2"), ["data.batch_size=2", "model=none"]),
        (("data.name=" + "x" * 300 + ",y",), ["data.name", "at most"]),
    ],
)
def test_a_sweep_is_refused_before_its_first_run(
    arguments: tuple[str, ...], words: list[str], tmp_path: Path
) -> None:
    data = ("data=folder", f"data.path={_one_question(tmp_path)}") * ("data.name" in arguments[0])
    outcome = run_eval("-m", *data, *arguments, "logger=none", f"output_dir={tmp_path / 'out'}")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert all(word in outcome.err for word in words), outcome.err
    assert not [path for path in (tmp_path / "out").glob("*") if path.is_dir()]


def _one_question(folder: Path) -> Path:
    from PIL import Image

    Image.new("RGB", (8, 8)).save(folder / "a.png")
    line: dict[str, Any] = {"id": "a", "image": "a.png", "question": "?", "answers": ["a"]}
    (folder / "samples.jsonl").write_text(json.dumps(line) + "\n")
    return folder / "samples.jsonl"


@pytest.mark.whole
def test_finished_runs_of_a_sweep_are_refused_before_its_first_run(tmp_path: Path) -> None:
    sweep = ("-m", "model=none", "data.max_samples=2", f"output_dir={tmp_path}")
    assert run_eval(*sweep, "tier=high").code == 0
    assert [path.parent.name for path in tmp_path.glob("*/*_tier-*.json")] == ["0"]
    again = run_eval(*sweep, "tier=low,high")
    assert again.code == 0  # folders of other names: 0 for one that nothing tells apart
    outcome = run_eval(*sweep, "tier=low,high")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "0_tier-low" in outcome.err
    assert "overwrite=true" in outcome.err
    # Those that are finished are kept, and what is missing is measured.
    kept = {file: file.read_bytes() for file in tmp_path.glob("*_tier-*/*_tier-*.json")}
    next(iter(kept)).unlink()
    resumed = run_eval(*sweep, "tier=low,high", "resume=true")
    assert (resumed.code, resumed.err) == (0, "")
    assert [file.read_bytes() == before for file, before in kept.items()] == [False, True]
    other = run_eval(*sweep, "tier=low,high", "resume=true", "data.max_samples=3")
    assert (other.code, other.err.count("\n")) == (2, 1)
    assert "data.max_samples=3 is not possible: 2, as in the run" in other.err
