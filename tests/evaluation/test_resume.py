"""Runs that are broken off and go on: nothing is lost, nothing is measured twice, and what comes
out is what an uninterrupted run gives."""

from __future__ import annotations

import json
import random
import signal
import threading
import time
import zlib
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import ARGUMENTS, run_on_fakes, timeless
from tests.support.fakes import DEFECT_AT, TableModel
from tests.support.forked import forked
from tests.support.parameters import slow
from tierexp.errors import ConfigError, DataError
from tierexp.evaluation.journal import FILE_NAME, Journal
from tierexp.results.files import sample_lines

SIZES = [[480, 640], [640, 480], [512, 512], [300, 900]]
SAMPLES = [[SIZES[n % 4], f"q{n}", [f"a{n}"], f"t{n % 2}"] for n in range(12)]
SAMPLES[5][0] = [0, 1]  # no image
SAMPLES[6][0] = [-480, 640]  # one that breaks once it is decoded
TABLE = {f"q{n}": f"a{n}" if n % 3 else "wrong" for n in range(12)}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("whole")
    assert run_on_fakes(folder, SAMPLES, TABLE, *ARGUMENTS).code == 0
    assert not (folder / "out" / FILE_NAME).exists()
    return timeless(folder / "out")


@pytest.mark.whole
@pytest.mark.parametrize("question", [0, 11, *map(slow, (1, 2, 3, 4, 7, 8, 9, 10))])
def test_a_crash_anywhere_costs_nothing(
    question: int, tmp_path: Path, whole: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setenv(DEFECT_AT, f"q{question}")
        with pytest.raises(RuntimeError, match="a defect"):
            run_on_fakes(tmp_path, SAMPLES, TABLE, *ARGUMENTS)
    assert not list((tmp_path / "out").glob("*.json"))
    before = len((tmp_path / "out" / FILE_NAME).read_text().splitlines()) - 1

    batches: list[int] = []
    generate = TableModel.generate

    def counted(self: TableModel, inputs: Any, *rest: Any, **more: Any) -> Any:
        batches.append(len(inputs.input_ids))
        return generate(self, inputs, *rest, **more)

    monkeypatch.setattr(TableModel, "generate", counted)
    outcome = run_on_fakes(tmp_path, SAMPLES, TABLE, *ARGUMENTS, "resume=true")
    assert (outcome.code, outcome.err) == (0, "")
    assert timeless(tmp_path / "out") == whole
    assert not (tmp_path / "out" / FILE_NAME).exists()
    # 12 samples in batches of two and fewer, of which so many were finished before.
    assert sum(batches) < 10 or before == 0
    metrics = (tmp_path / "out" / "csv" / "metrics.csv").read_text().splitlines()
    logged = dict(zip(metrics[0].split(","), metrics[1].split(","), strict=True))
    assert float(logged["test/accuracy"]) == pytest.approx(whole["accuracy"])
    for task in ("t0", "t1"):
        expected = whole["accuracy_by_task"][task]["accuracy"]
        assert float(logged[f"test/accuracy_{task}"]) == pytest.approx(expected)


@pytest.mark.whole
@pytest.mark.parametrize("kills", [1, slow(2)])
def test_a_kill_at_any_moment_costs_nothing(
    kills: int, tmp_path: Path, whole: dict[str, Any]
) -> None:
    def run() -> object:
        return run_on_fakes(tmp_path, SAMPLES, TABLE, *ARGUMENTS, "resume=true")

    rng, journal = random.Random(0), tmp_path / "out" / FILE_NAME
    for _ in range(kills):
        lines = _lines(journal)
        process = forked(run, {"TIEREXP_TEST_SLOW": "0.2"})
        while _lines(journal) <= lines + 1 and process.is_alive():
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.3))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        assert _lines(journal) > lines
    done = run_on_fakes(tmp_path, SAMPLES, TABLE, *ARGUMENTS, "resume=true")
    assert (done.code, done.err) == (0, "")
    assert timeless(tmp_path / "out") == whole


def _lines(file: Path) -> int:
    return file.read_bytes().count(b"\n") if file.exists() else 0


@pytest.mark.whole
def test_a_run_that_was_killed_before_its_results_were_written(
    tmp_path: Path, whole: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("tierexp.evaluation.lead.write_results", _power_cut)
        with pytest.raises(KeyError, match="power cut"):
            run_on_fakes(tmp_path, SAMPLES, TABLE, *ARGUMENTS)
    cut = threading.Event()

    def late(*samples: Any) -> Any:
        assert cut.wait(60)
        return sample_lines(*samples)

    def first(*_: object) -> None:
        cut.set()
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("tierexp.evaluation.lead.sample_lines", late)
        patched.setattr("tierexp.evaluation.lead.aggregate", first)
        wanted = "resume=true", "results.columns=parquet"
        assert run_on_fakes(tmp_path, SAMPLES, TABLE, *ARGUMENTS, *wanted).code == 130
    assert not list((tmp_path / "out").glob(".samples.*"))
    (tmp_path / "out" / ".samples.killed").mkdir()
    outcome = run_on_fakes(tmp_path, SAMPLES, TABLE, *ARGUMENTS, "resume=true")
    assert (outcome.code, outcome.err) == (0, "")
    assert not list((tmp_path / "out").glob(".samples.*"))
    assert timeless(tmp_path / "out") == whole


def _power_cut(*_: object) -> None:
    raise KeyError("power cut")


@pytest.mark.whole
def test_the_latency_pass_goes_on_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    timed = (*ARGUMENTS, "latency=on", "latency.repeats=1", "latency.warmup=0")
    calls: list[int] = []
    generate = TableModel.generate

    def until_the_third(self: TableModel, *rest: Any, clock: Any = None, **more: Any) -> Any:
        if clock is not None:
            calls.append(1)
            if len(calls) == 3:
                raise RuntimeError("a defect")
        return generate(self, *rest, **more)

    with monkeypatch.context() as patched:
        patched.setattr(TableModel, "generate", until_the_third)
        with pytest.raises(RuntimeError, match="a defect"):
            run_on_fakes(tmp_path, SAMPLES, TABLE, *timed)
    before = (tmp_path / "out" / FILE_NAME).read_text()
    assert before.count('{"timed"') == 2
    journal = tmp_path / "out" / FILE_NAME
    header = json.loads(before.splitlines()[0][18:])
    more = Journal(journal.parent, header["settings"], True, versions=header["versions"])
    more.append({"peak_memory_bytes": 1 << 50})  # more than this process will ever take
    more.close()
    clocked: list[int] = []

    def counted(self: TableModel, *rest: Any, clock: Any = None, **more: Any) -> Any:
        clocked.extend([1] if clock is not None else [])
        return generate(self, *rest, **more)

    monkeypatch.setattr(TableModel, "generate", counted)
    outcome = run_on_fakes(tmp_path, SAMPLES, TABLE, *timed, "resume=true")
    assert (outcome.code, outcome.err) == (0, "")
    assert len(clocked) == 8  # of 10, two were timed before
    assert timeless(tmp_path / "out")["latency"]["peak_memory_bytes"] == 1 << 50
    content = timeless(tmp_path / "out")
    assert content["latency"]["num_samples"] == content["num_samples"] == 10


@pytest.mark.whole
def test_finished_results_are_kept_unless_they_may_go(tmp_path: Path) -> None:
    few = SAMPLES[:4]

    def accuracy() -> float:
        (file,) = (tmp_path / "out").glob("*_tier-*.json")
        return float(json.loads(file.read_text())["accuracy"])

    assert run_on_fakes(tmp_path, few, TABLE, *ARGUMENTS).code == 0
    assert accuracy() == 0.5
    better = TABLE | {"q0": "a0"}
    again = run_on_fakes(tmp_path, few, better, *ARGUMENTS)
    assert (again.code, again.err.count("\n")) == (2, 1)
    assert "a folder without results (" in again.err
    # The same names for other weights.
    other = run_on_fakes(tmp_path, few, better, *ARGUMENTS, "resume=true")
    assert (other.code, other.err.count("\n")) == (2, 1)
    assert "inputs.weights=" in other.err
    both = run_on_fakes(tmp_path, few, better, *ARGUMENTS, "resume=true", "overwrite=true")
    assert "overwrite=True is not possible" in both.err
    assert accuracy() == 0.5
    assert run_on_fakes(tmp_path, few, better, *ARGUMENTS, "overwrite=true").code == 0
    assert accuracy() == 0.75
    # Of another name; what was there is gone.
    low = (*ARGUMENTS, "overwrite=true", "tier=low")
    assert run_on_fakes(tmp_path, few, TABLE, *low).code == 0
    assert accuracy() == 0.5


@pytest.mark.whole
@pytest.mark.parametrize("key", ["accuracy", "selected_crops_mean"])
def test_results_that_contradict_their_samples_are_measured_again(
    key: str, tmp_path: Path, whole: dict[str, Any]
) -> None:
    assert run_on_fakes(tmp_path, SAMPLES, TABLE, *ARGUMENTS).code == 0
    (file,) = (tmp_path / "out").glob("*_tier-*.json")
    changed = json.loads(file.read_text()) | {key: 0.75}
    file.write_text(json.dumps(changed))
    outcome = run_on_fakes(tmp_path, SAMPLES, TABLE, *ARGUMENTS, "resume=true")
    assert (outcome.code, outcome.err) == (0, "")
    assert f"measured again: its {key} is 0.75, its samples give {whole[key]}" in outcome.out
    assert timeless(tmp_path / "out") == whole
    (aside,) = (tmp_path / "out").glob("*.untrusted")
    assert json.loads(aside.read_text()) == changed


@pytest.mark.whole
def test_a_finished_run_is_as_strict_as_the_command_that_takes_it_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = SAMPLES[:2]
    assert run_on_fakes(tmp_path, few, TABLE, *ARGUMENTS, "tier=low").code == 0
    monkeypatch.setattr(TableModel, "generate", None)  # nothing is answered again
    strict = (*ARGUMENTS, "tier=low", "resume=true", "validate.strict=true")
    assert run_on_fakes(tmp_path, few, TABLE, *strict).code == 3
    assert run_on_fakes(tmp_path, few, TABLE, *strict[:-1]).code == 0


@pytest.mark.whole
def test_a_multirun_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep, few = (*ARGUMENTS, "-m", "tier=low,medium"), SAMPLES[:3]
    answered: list[str] = []
    generate = TableModel.generate

    def in_medium(self: TableModel, inputs: Any, *rest: Any, **more: Any) -> Any:
        if inputs.pixels.shape[1] in (9, 7, 5):
            raise RuntimeError("a defect")
        return generate(self, inputs, *rest, **more)

    with monkeypatch.context() as patched:
        patched.setattr(TableModel, "generate", in_medium)
        with pytest.raises(RuntimeError, match="a defect"):
            run_on_fakes(tmp_path, few, TABLE, *sweep)

    def counted(self: TableModel, inputs: Any, *rest: Any, **more: Any) -> Any:
        answered.append(str(inputs.pixels.shape[1]))
        return generate(self, inputs, *rest, **more)

    monkeypatch.setattr(TableModel, "generate", counted)
    outcome = run_on_fakes(tmp_path, few, TABLE, *sweep, "resume=true")
    assert (outcome.code, outcome.err) == (0, "")
    assert not {"2", "3", "4"} & set(answered)  # 1 to 3 crops and a view
    runs = json.loads((tmp_path / "out" / "comparison.json").read_text())["runs"]
    assert [run["tier"] for run in runs] == ["low", "medium"]


@pytest.mark.whole
def test_an_unfinished_run_is_neither_lost_nor_mixed_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setenv(DEFECT_AT, "q9")
        with pytest.raises(RuntimeError, match="a defect"):
            run_on_fakes(tmp_path, SAMPLES, TABLE, *ARGUMENTS)
    again = run_on_fakes(tmp_path, SAMPLES, TABLE, *ARGUMENTS)
    assert again.code == 2
    assert "resume=true goes on with it" in again.err
    other = run_on_fakes(tmp_path, SAMPLES, TABLE, *ARGUMENTS, "resume=true", "tier.max_crops=9")
    assert other.code == 2
    assert "tier.max_crops=9 is not possible: 8" in other.err
    # The same names for other weights, and for other samples.
    other = run_on_fakes(tmp_path, SAMPLES, TABLE | {"q0": "new"}, *ARGUMENTS, "resume=true")
    assert other.code == 2
    assert "inputs.weights=" in other.err
    renamed = [[*SAMPLES[0][:1], "another question", *SAMPLES[0][2:]], *SAMPLES[1:]]
    other = run_on_fakes(tmp_path, renamed, TABLE, *ARGUMENTS, "resume=true")
    assert other.code == 2
    assert "inputs.samples=" in other.err
    assert (tmp_path / "out" / FILE_NAME).exists()


# The file


def test_a_run_that_measured_nothing_is_in_nobody_s_way(tmp_path: Path) -> None:
    Journal(tmp_path, {"a": 1}, resume=False).close()
    for resume in (False, True):
        journal = Journal(tmp_path, {"a": 2}, resume)
        assert journal.records == []
        journal.close()


def test_records_come_back_as_they_were(tmp_path: Path) -> None:
    journal = Journal(tmp_path, {"a": (1, 2)}, resume=False)
    records = [{"x": 0.1 + 0.2, "é": "\n\u2028"}, {"y": [None, True]}]
    for record in records:
        journal.append(record)
    journal.close()
    assert Journal(tmp_path, {"a": (1, 2)}, resume=True).records == records


def test_a_line_that_was_cut_short_is_dropped(tmp_path: Path) -> None:
    journal = Journal(tmp_path, {"a": 1}, resume=False)
    journal.append({"n": 1})
    whole = journal.path.stat().st_size
    journal.append({"n": 2})
    journal.close()
    content = journal.path.read_bytes()
    for length in range(len(content)):
        journal.path.write_bytes(content[:length])
        resumed = Journal(tmp_path, {"a": 1}, resume=True)
        expected = [{"n": 1}] if length >= whole else []
        assert resumed.records == expected
        resumed.append({"n": 3})
        resumed.close()
        assert Journal(tmp_path, {"a": 1}, resume=True).records == [*expected, {"n": 3}]


def test_a_flipped_byte_costs_its_line_and_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal(tmp_path, {"a": 1}, resume=False)
    records = [{"n": number} for number in range(3)]
    for record in records:
        journal.append(record)
    journal.close()
    content = journal.path.read_bytes()
    starts = [0, *(index + 1 for index, byte in enumerate(content) if byte == ord("\n"))]
    for index in range(len(content)):
        changed = bytearray(content)
        changed[index] ^= 1 << index % 8
        journal.path.write_bytes(changed)
        caplog.clear()
        resumed = Journal(tmp_path, {"a": 1}, resume=True)
        resumed.close()
        line = sum(start <= index for start in starts) - 1  # the first is the header
        assert resumed.records == [r for number, r in enumerate(records, 1) if number != line]
        # The end of the last line is what a crash leaves out as well.
        assert ("1 damaged lines" in caplog.text) == (index < len(content) - 1)


def test_records_without_their_first_line_belong_to_nobody_else(tmp_path: Path) -> None:
    journal = Journal(tmp_path, {"a": 1}, resume=False)
    journal.append({"n": 1})
    journal.close()
    journal.path.write_bytes(journal.path.read_bytes().partition(b"\n")[2])
    with pytest.raises(ConfigError, match="one of a run with these settings"):
        Journal(tmp_path, {"a": 2}, resume=True)
    assert Journal(tmp_path, {"a": 1}, resume=True).records == [{"n": 1}]


def test_a_file_of_an_earlier_version_is_refused(tmp_path: Path) -> None:
    text = b'{"settings": {"a": 1}}'
    line = b"%08x %s\n" % (zlib.crc32(text), text)
    (tmp_path / FILE_NAME).write_bytes(line + line)
    with pytest.raises(DataError, match="schema version 1, this tierexp goes on with 2"):
        Journal(tmp_path, {"a": 1}, resume=True)


def test_other_versions_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    journal = Journal(tmp_path, {}, False, versions={"torch": "1", "numpy": "2"})
    journal.append({"n": 1})
    journal.close()
    Journal(tmp_path, {}, True, versions={"torch": "1", "numpy": "2"}).close()
    assert caplog.messages == []
    Journal(tmp_path, {}, True, versions={"torch": "3", "numpy": "2"}).close()
    (message,) = caplog.messages
    assert message.endswith("measured: torch 1, now 3")


def test_other_settings_are_named(tmp_path: Path) -> None:
    journal = Journal(tmp_path, {"tier": {"name": "low"}, "seed": 0}, resume=False)
    journal.append({"n": 1})
    journal.close()
    with pytest.raises(ConfigError, match=r"tier\.name='high' is not possible: 'low'"):
        Journal(tmp_path, {"tier": {"name": "high"}, "seed": 0}, resume=True)
