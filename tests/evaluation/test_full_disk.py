"""A disk that is full when a run writes: one line, nothing that was measured is lost, and the run
goes on once there is space. `RLIMIT_FSIZE` is such a disk to every file of this process: the write
that reaches it is cut short, and the next one fails."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.loggers import CSVLogger

from tests.support.command_line import (
    ARGUMENTS,
    Outcome,
    run_command,
    run_eval,
    run_on_fakes,
    timeless,
)
from tests.support.fakes import TableModel
from tests.support.parameters import slow
from tierexp.errors import MachineError
from tierexp.errors.machine import LogFile
from tierexp.evaluation.journal import FILE_NAME, Journal
from tierexp.report import compare_command
from tierexp.results.files import sample_lines, write_text

SAMPLES = [[[480, 640 + n], f"q{n}", [f"a{n}"], "t"] for n in range(24)]
SAMPLES[5][0] = [-480, 640]  # breaks once it is decoded
TABLE = {f"q{n}": f"a{n}" if n % 3 else "wrong" for n in range(24)}
BATCHES = 12


@contextlib.contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file can grow beyond so many bytes. Python ignores the signal that this also sends, and
    that bytecode of what is first imported here was cut short, which later imports stumble over.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    writes_none, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        sys.dont_write_bytecode = writes_none


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], int]:
    """The results of an undisturbed run, and the size of its journal before it is removed."""
    folder = tmp_path_factory.mktemp("whole")
    sizes = []
    remove = Journal.remove

    def weighed(self: Journal) -> None:
        sizes.append(self.path.stat().st_size)
        remove(self)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Journal, "remove", weighed)
        assert run_on_fakes(folder, SAMPLES, TABLE, *ARGUMENTS).code == 0
    return timeless(folder / "out"), sizes[0]


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by the rows of every batch that the model is given."""
    rows: list[int] = []
    generate = TableModel.generate

    def counted(self: TableModel, inputs: Any, *rest: Any, **more: Any) -> Any:
        rows.append(len(inputs.input_ids))
        return generate(self, inputs, *rest, **more)

    monkeypatch.setattr(TableModel, "generate", counted)
    return rows


def one_line(outcome: Outcome) -> str:
    assert outcome.code == 1
    assert outcome.err.startswith("error: ")
    assert outcome.err.endswith("\n")
    assert outcome.err.count("\n") == 1
    assert "Traceback" not in outcome.out
    return outcome.err


@pytest.mark.whole
@pytest.mark.parametrize("size", [9_000, slow(12_001), 18_000])
def test_the_journal_fills_the_disk(
    size: int, tmp_path: Path, whole: tuple[dict[str, Any], int], answered: list[int]
) -> None:
    journal, goes_on = tmp_path / "out" / FILE_NAME, f"output_dir={tmp_path / 'out'} resume=true"
    with room_for(size):
        outcome = run_on_fakes(tmp_path, SAMPLES, TABLE, *ARGUMENTS)
        assert f"{journal} cannot be written: File too large" in one_line(outcome)
        assert goes_on in outcome.err
        content = journal.read_bytes()
        assert len(content) == size  # its last line was cut
        whole_lines = content[: content.rindex(b"\n")].splitlines()
        # And again, while there is still no space: nothing gets worse.
        outcome = run_on_fakes(tmp_path, SAMPLES, TABLE, *ARGUMENTS, "resume=true")
        assert goes_on in one_line(outcome)
        assert journal.read_bytes().splitlines()[: len(whole_lines)] == whole_lines
    assert not list((tmp_path / "out").glob("*.json"))
    kept = sum(b'"samples":{"' in line for line in journal.read_bytes().splitlines()[:-1])
    answered.clear()
    assert run_on_fakes(tmp_path, SAMPLES, TABLE, *ARGUMENTS, "resume=true").code == 0
    assert 0 < len(answered) == BATCHES - kept < BATCHES
    assert timeless(tmp_path / "out") == whole[0]
    assert not journal.exists()


@pytest.mark.whole
def test_the_results_file_fills_the_disk(
    tmp_path: Path, whole: tuple[dict[str, Any], int], answered: list[int]
) -> None:
    with room_for(whole[1] + 100):
        outcome = run_on_fakes(tmp_path, SAMPLES, TABLE, *ARGUMENTS)
    assert ".json cannot be written: File too large; what was measured is kept" in one_line(outcome)
    left = {path.name for path in (tmp_path / "out").iterdir() if path.is_file()}
    assert left == {FILE_NAME, "eval.log", ".lock"}  # no part of a results file
    answered.clear()
    assert run_on_fakes(tmp_path, SAMPLES, TABLE, *ARGUMENTS, "resume=true").code == 0
    assert len(answered) <= 1  # Lightning logs nothing of a run without batches
    assert timeless(tmp_path / "out") == whole[0]


def test_the_disk_was_full_before(tmp_path: Path) -> None:
    """Hydra is the first to write."""
    (tmp_path / "sizes.csv").write_text("height,width\n480,640\n")
    with room_for(500):
        outcome = run_eval(
            "model=none", "data=sizes", f"data.path={tmp_path / 'sizes.csv'}",
            f"output_dir={tmp_path / 'out'}",
        )  # fmt: skip
    assert "File too large" in one_line(outcome)


@pytest.mark.whole
def test_a_logger_fills_the_disk(
    tmp_path: Path, whole: tuple[dict[str, Any], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    save = CSVLogger.save

    def full(self: CSVLogger) -> None:
        if self.experiment.metrics:  # not yet where the settings are logged
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "metrics.csv")
        save(self)

    with monkeypatch.context() as patched:
        patched.setattr(CSVLogger, "save", full)
        outcome = run_on_fakes(tmp_path, SAMPLES, TABLE, *ARGUMENTS)
    assert "metrics.csv: No space left on device; what was measured is kept" in one_line(outcome)
    assert run_on_fakes(tmp_path, SAMPLES, TABLE, *ARGUMENTS, "resume=true").code == 0
    assert timeless(tmp_path / "out") == whole[0]


@pytest.mark.whole
def test_ctrl_c_on_a_full_disk(tmp_path: Path, whole: tuple[dict[str, Any], int]) -> None:
    """What there is cannot be written as a results file; it stays in the journal."""
    with room_for(14_000), pytest.MonkeyPatch.context() as patched:
        patched.setattr(TableModel, "generate", _until_ctrl_c())
        outcome = run_on_fakes(tmp_path, SAMPLES, TABLE, *ARGUMENTS)
    assert "interrupted_" in one_line(outcome)
    assert run_on_fakes(tmp_path, SAMPLES, TABLE, *ARGUMENTS, "resume=true").code == 0
    assert timeless(tmp_path / "out") == whole[0]


def _until_ctrl_c() -> Any:
    generate, given = TableModel.generate, []

    def some(self: TableModel, *rest: Any, **more: Any) -> Any:
        given.append(1)
        if len(given) == 7:
            raise KeyboardInterrupt
        return generate(self, *rest, **more)

    return some


@pytest.mark.whole
def test_a_run_of_a_multirun(tmp_path: Path, whole: tuple[dict[str, Any], int]) -> None:
    sweep = (*ARGUMENTS, "-m", "tier=medium,low")
    with room_for(17_001):
        assert "resume=true" in one_line(run_on_fakes(tmp_path, SAMPLES, TABLE, *sweep))
    assert not (tmp_path / "out" / "1_tier-low").exists()  # there is no space for it either
    assert run_on_fakes(tmp_path, SAMPLES, TABLE, *sweep, "resume=true").code == 0
    assert timeless(tmp_path / "out" / "0_tier-medium") == whole[0]


def test_without_a_model(tmp_path: Path) -> None:
    (tmp_path / "sizes.csv").write_text("height,width\n" + "480,640\n" * 9)
    with room_for(1000), pytest.MonkeyPatch.context() as patched:
        patched.setattr("hydra.core.utils._save_config", lambda *_: None)
        outcome = run_eval(
            "model=none", "data=sizes", f"data.path={tmp_path / 'sizes.csv'}",
            f"output_dir={tmp_path / 'out'}",
        )  # fmt: skip
    assert ".json cannot be written: File too large\n" in one_line(outcome)


def test_other_exceptions_are_defects(tmp_path: Path) -> None:
    def task(*_: object) -> None:
        raise FileNotFoundError(errno.ENOENT, "no such file", "a file of this package")

    with pytest.raises(FileNotFoundError):
        run_command(task, "eval", f"output_dir={tmp_path / 'out'}")


# The files


def test_a_file_is_as_it_was_where_the_new_one_cannot_be_written(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    write_text("old", file)
    with room_for(10), pytest.raises(MachineError, match=r"results\.json cannot be written"):
        write_text("a longer text", file)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]
    refused = pytest.raises(MachineError, match="cannot be written")
    with room_for(10), refused, sample_lines([{"longer": 1}, {"longer": 2}], tmp_path):
        pass
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("room", range(1, 60, 7))
def test_a_record_that_was_cut_is_the_only_one_that_is_lost(room: int, tmp_path: Path) -> None:
    journal = Journal(tmp_path, {"a": 1}, resume=False)
    journal.append({"n": 1})
    with room_for(journal.path.stat().st_size + room), pytest.raises(MachineError):
        journal.append({"n": 2, "long": "x" * 100})
    journal.close()
    resumed = Journal(tmp_path, {"a": 1}, resume=True)
    assert resumed.records == [{"n": 1}]
    resumed.append({"n": 3})
    resumed.close()
    assert Journal(tmp_path, {"a": 1}, resume=True).records == [{"n": 1}, {"n": 3}]


@pytest.mark.whole
def test_a_comparison_that_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("one", "two"):
        overrides = ("logger=none", "trainer=cpu", f"output_dir={tmp_path / folder}")
        assert run_on_fakes(tmp_path, SAMPLES[:2], TABLE, *overrides).code == 0
    file = tmp_path / "compared.json"
    with room_for(10), pytest.raises(SystemExit) as end:
        compare_command.main([str(tmp_path), "--output", str(file)])
    assert end.value.code == 1
    assert capsys.readouterr().err == f"error: {file} cannot be written: File too large\n"


def test_a_record_is_on_the_disk_or_the_run_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that reports a failure late reports it to fsync."""

    def broken(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    for seconds in (0.0, 1000.0):  # with every record; when the file is closed
        monkeypatch.setattr("tierexp.evaluation.journal.SYNC_SECONDS", seconds)
        journal = Journal(tmp_path / str(seconds), {"a": 1}, resume=False)
        journal.append({"n": 1})
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", broken)
            said = pytest.raises(MachineError, match=r"Input/output error; .*resume=true goes on")
            with said, journal:
                journal.append({"n": 2})


def test_records_are_on_the_disk_a_second_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, synced = [100.0], list[float]()
    monkeypatch.setattr("tierexp.evaluation.journal.monotonic", lambda: now[0])
    monkeypatch.setattr(os, "fsync", lambda _: synced.append(now[0]))
    journal = Journal(tmp_path, {"a": 1}, resume=False)
    for later in (0.4, 0.4, 0.4, 0.1):
        now[0] += later
        journal.append({"n": now[0]})
    journal.close()
    assert synced == pytest.approx([100.0, 101.2, 101.3])


def test_a_log_file_that_cannot_be_written_is_worth_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot be formatted still is."""
    handler = LogFile("/dev/full")
    record = logging.LogRecord("n", logging.INFO, "p", 1, "message", (), None)
    handler.handle(record)
    with contextlib.suppress(OSError):
        handler.close()
    assert capsys.readouterr().err == ""
    handler = LogFile(tmp_path / "log")
    handler.handle(logging.LogRecord("n", logging.INFO, "p", 1, "%d", ("no number",), None))
    handler.close()
    assert "TypeError" in capsys.readouterr().err
