"""Runs that are broken off and go on: nothing is lost, nothing is measured twice, and what comes
out is what an uninterrupted run gives."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import ARGUMENTS, FAKES, run_on_fakes, timeless
from tests.support.fakes import DEFECT_AT, TableModel
from tests.support.parameters import slow
from tierexp.errors import ConfigError, DataError
from tierexp.evaluation.journal import FILE_NAME, Journal

ROOT = Path(__file__).parents[2]
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


@pytest.mark.parametrize("question", [0, 3, 11, *map(slow, (1, 2, 4, 7, 8, 9, 10))])
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


@pytest.mark.parametrize("kills", [1, slow(2)])
def test_a_kill_at_any_moment_costs_nothing(
    kills: int, tmp_path: Path, whole: dict[str, Any]
) -> None:
    (tmp_path / "samples.json").write_text(json.dumps(SAMPLES))
    (tmp_path / "table.json").write_text(json.dumps(TABLE))
    command = [
        sys.executable, "eval.py", *FAKES, f"data.path={tmp_path / 'samples.json'}",
        f"model.table={tmp_path / 'table.json'}", f"model.loaded={tmp_path / 'loaded'}",
        f"output_dir={tmp_path / 'out'}", *ARGUMENTS, "resume=true",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TIEREXP_TEST_SLOW": "0.2"}
    rng, journal = random.Random(0), tmp_path / "out" / FILE_NAME
    for _ in range(kills):
        lines = _lines(journal)
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        while _lines(journal) <= lines + 1 and process.poll() is None:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert process.returncode == -signal.SIGKILL
        assert _lines(journal) > lines
    done = run_on_fakes(tmp_path, SAMPLES, TABLE, *ARGUMENTS, "resume=true")
    assert (done.code, done.err) == (0, "")
    assert timeless(tmp_path / "out") == whole


def _lines(file: Path) -> int:
    return file.read_bytes().count(b"\n") if file.exists() else 0


def test_a_run_that_was_killed_before_its_results_were_written(
    tmp_path: Path, whole: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("tierexp.evaluation.engine.write_results", _power_cut)
        with pytest.raises(KeyError, match="power cut"):
            run_on_fakes(tmp_path, SAMPLES, TABLE, *ARGUMENTS)
    outcome = run_on_fakes(tmp_path, SAMPLES, TABLE, *ARGUMENTS, "resume=true")
    assert (outcome.code, outcome.err) == (0, "")
    assert timeless(tmp_path / "out") == whole


def _power_cut(*_: object) -> None:
    raise KeyError("power cut")


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
    more = Journal(journal.parent, json.loads(before.splitlines()[0][9:])["settings"], resume=True)
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


def test_a_finished_run_with_other_inputs_is_another_run(tmp_path: Path) -> None:
    def accuracy() -> float:
        (file,) = (tmp_path / "out").glob("*_tier-*.json")
        return float(json.loads(file.read_text())["accuracy"])

    assert run_on_fakes(tmp_path, SAMPLES, TABLE, *ARGUMENTS).code == 0
    assert accuracy() == 0.7
    better = TABLE | {"q0": "a0"}
    assert run_on_fakes(tmp_path, SAMPLES, better, *ARGUMENTS, "resume=true").code == 0
    assert accuracy() == 0.8


def test_a_finished_run_is_as_strict_as_the_command_that_takes_it_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_on_fakes(tmp_path, SAMPLES, TABLE, *ARGUMENTS, "tier=low").code == 0
    monkeypatch.setattr(TableModel, "generate", None)  # nothing is answered again
    strict = (*ARGUMENTS, "tier=low", "resume=true", "validate.strict=true")
    assert run_on_fakes(tmp_path, SAMPLES, TABLE, *strict).code == 3
    assert run_on_fakes(tmp_path, SAMPLES, TABLE, *strict[:-1]).code == 0


def test_a_multirun_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = (*ARGUMENTS, "-m", "tier=low,medium,high")
    answered: list[str] = []
    generate = TableModel.generate

    def in_medium(self: TableModel, inputs: Any, *rest: Any, **more: Any) -> Any:
        if inputs.crops.shape[1] in (9, 7, 5):
            raise RuntimeError("a defect")
        return generate(self, inputs, *rest, **more)

    with monkeypatch.context() as patched:
        patched.setattr(TableModel, "generate", in_medium)
        with pytest.raises(RuntimeError, match="a defect"):
            run_on_fakes(tmp_path, SAMPLES, TABLE, *sweep)

    def counted(self: TableModel, inputs: Any, *rest: Any, **more: Any) -> Any:
        answered.append(str(inputs.crops.shape[1]))
        return generate(self, inputs, *rest, **more)

    monkeypatch.setattr(TableModel, "generate", counted)
    outcome = run_on_fakes(tmp_path, SAMPLES, TABLE, *sweep, "resume=true")
    assert (outcome.code, outcome.err) == (0, "")
    assert not {"2", "3", "4"} & set(answered)  # 1 to 3 crops and a view
    runs = json.loads((tmp_path / "out" / "comparison.json").read_text())["runs"]
    assert [run["tier"] for run in runs] == ["low", "medium", "high"]


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


def test_a_line_that_was_changed_is_noticed(tmp_path: Path) -> None:
    journal = Journal(tmp_path, {"a": 1}, resume=False)
    for number in range(3):
        journal.append({"n": number})
    journal.close()
    content = journal.path.read_bytes()
    journal.path.write_bytes(content.replace(b'"n": 1', b'"n": 7'))
    with pytest.raises(DataError, match="line 3 is damaged"):
        Journal(tmp_path, {"a": 1}, resume=True)


def test_other_settings_are_named(tmp_path: Path) -> None:
    journal = Journal(tmp_path, {"tier": {"name": "low"}, "seed": 0}, resume=False)
    journal.append({"n": 1})
    journal.close()
    with pytest.raises(ConfigError, match=r"tier\.name='high' is not possible: 'low'"):
        Journal(tmp_path, {"tier": {"name": "high"}, "seed": 0}, resume=True)
