"""Several processes evaluate what one would, each sample once, whatever the remainder and however
the run was interrupted; an end of one of them is the end of all, said in one line."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import FAKES, Outcome, run_command, run_eval, run_on_fakes
from tests.support.fakes import ANSWERED_IN, DEFECT_AT
from tierexp.errors import ConfigError
from tierexp.evaluation.journal import FILE_NAME, Journal
from tierexp.training.run import train

ROOT = Path(__file__).parents[2]
SECOND = "unfinished.rank1.jsonl"
LANDSCAPE = [480, 640]
# All weigh the same: one by one, two processes take turns.
SAMPLES = [[LANDSCAPE, f"q{n}", [f"a{n}"], f"t{n % 2}"] for n in range(9)]
TABLE = {f"q{n}": f"a{n}" if n % 3 else "wrong" for n in range(9)}
ALONE = ("logger=csv", "trainer=cpu", "data.num_workers=0", "data.batch_size=1")
SHARED = (*ALONE, "trainer.devices=2")


def figures(folder: Path) -> dict[str, Any]:
    """A results file without what time and place change."""
    (file,) = folder.glob("*_tier-*.json")
    content: dict[str, Any] = json.loads(file.read_text())
    del content["samples_per_second"]
    for changed in ("config", "command", "date"):
        del content["provenance"][changed]
    return {"file": file.name} | rounded(content)


SURE = {"confidence", "first_margin", "confidence_mean", "first_margin_mean"}


def rounded(content: Any) -> Any:
    """Log-probabilities differ in the last digits with the shape of a batch: five are the same."""
    if isinstance(content, list):
        return [rounded(part) for part in content]
    if isinstance(content, dict):
        return {
            key: round(float(value), 5)
            if key.removeprefix("test/") in SURE and value not in (None, "")
            else rounded(value)
            for key, value in content.items()
        }
    return content


def metrics(folder: Path) -> dict[str, str]:
    """What was logged at the end, but for the speed; how a long run is doing is on lines before."""
    with (folder / "csv" / "metrics.csv").open() as file:
        (row,) = (row for row in csv.DictReader(file) if row["test/accuracy"])
    progress = ("progress/", "test/samples_per_second", "step")
    kept = {name: value for name, value in row.items() if not name.startswith(progress)}
    return rounded(kept)  # type: ignore[no-any-return]


def _helpers() -> list[int]:
    """The processes that this one has started to help it, and that live."""
    tasks = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    started = [int(number) for task in tasks for number in task.read_text().split()]
    commands = {number: Path(f"/proc/{number}/cmdline").read_bytes() for number in started}
    return [number for number, command in commands.items() if b"evaluation.helper" in command]


def left_behind(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("unfinished*"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of one process."""
    folder = tmp_path_factory.mktemp("whole")
    outcome = run_on_fakes(folder, SAMPLES, TABLE, *ALONE)
    assert (outcome.code, outcome.err) == (0, "")
    return folder / "out"


@pytest.fixture
def answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Counter[str]]:
    """How often each question was answered, by any process."""
    file = tmp_path / "answered.txt"
    file.touch()
    monkeypatch.setenv(ANSWERED_IN, str(file))
    return lambda: Counter(file.read_text().splitlines())


def assert_same(folder: Path, whole: Path) -> None:
    assert figures(folder) == figures(whole)
    assert metrics(folder) == metrics(whole)
    assert left_behind(folder) == []
    assert _helpers() == []


# What comes out


@pytest.mark.whole
def test_two_processes_measure_what_one_does(tmp_path: Path) -> None:
    """The model in the box, an odd number of samples, other batches and other workers."""
    run = ("logger=csv", "tier=low", "data.max_samples=9")
    one = run_eval(*run, "trainer=cpu", "data.batch_size=3", f"output_dir={tmp_path / 'one'}")
    more = (f"output_dir={tmp_path / 'two'}", "data.batch_size=2", "data.num_workers=1")
    two = run_eval(*run, "trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", *more)
    assert (one.code, one.err, two.code, two.err) == (0, "", 0, "")
    assert_same(tmp_path / "two", tmp_path / "one")
    assert two.out.count("accuracy (exact match)") == 1
    before = os.environ.get("OMP_NUM_THREADS"), "LOCAL_RANK" in os.environ
    assert before == (os.environ.get("OMP_NUM_THREADS"), False)


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 2, 4, 5])
def test_fewer_or_hardly_more_batches_than_processes(
    number: int, tmp_path: Path, answered: Callable[[], Counter[str]]
) -> None:
    samples = SAMPLES[:number]
    outcome = run_on_fakes(tmp_path, samples, TABLE, *ALONE, "trainer.devices=3")
    assert (outcome.code, outcome.err) == (0, "")
    assert answered() == dict.fromkeys([question for _, question, *_ in samples], 1)
    one = run_on_fakes(tmp_path, samples, TABLE, *ALONE, f"output_dir={tmp_path / 'one'}")
    assert one.code == 0
    assert_same(tmp_path / "out", tmp_path / "one")


@pytest.mark.slow
def test_no_setting_of_loading_or_sharing_changes_a_figure(tmp_path: Path) -> None:
    """The model in the box, over batch sizes, workers, processes and an interruption."""
    run = ("logger=csv", "trainer=cpu", "data.max_samples=23")
    choices = [(1, 0, 1), (8, 2, 1), (3, 0, 2), (8, 2, 2), (5, 1, 3)]
    folders = []
    for batch_size, workers, devices in choices:
        folders.append(tmp_path / f"{batch_size}-{workers}-{devices}")
        settings = f"data.batch_size={batch_size}", f"data.num_workers={workers}"
        more = (*settings, f"trainer.devices={devices}", f"output_dir={folders[-1]}")
        assert run_eval(*run, *more).code == 0
    for folder in folders[1:]:
        assert_same(folder, folders[0])


# What goes on


@pytest.mark.slow
def test_a_run_goes_on_with_more_processes_than_samples_are_left(
    tmp_path: Path, whole: Path, answered: Callable[[], Counter[str]], monkeypatch: Any
) -> None:
    with monkeypatch.context() as patched:
        patched.setenv(DEFECT_AT, "q8")
        with pytest.raises(RuntimeError, match="a defect"):
            run_on_fakes(tmp_path, SAMPLES, TABLE, *ALONE)
    outcome = run_on_fakes(tmp_path, SAMPLES, TABLE, *SHARED, "resume=true")
    assert (outcome.code, outcome.err) == (0, "")
    assert answered() == dict.fromkeys(TABLE, 1)
    assert_same(tmp_path / "out", whole)


@pytest.mark.slow
def test_a_run_goes_on_with_any_number_of_processes(
    tmp_path: Path, whole: Path, answered: Callable[[], Counter[str]], monkeypatch: Any
) -> None:
    with monkeypatch.context() as patched:
        patched.setenv("TIEREXP_TEST_SLOW", "0.2")
        for devices, question in ((3, "q5"), (1, "q8")):  # the last two of the third process
            patched.setenv(DEFECT_AT, question)
            devices_and = (f"trainer.devices={devices}", "resume=true")
            with contextlib.suppress(RuntimeError):  # where the first process has it
                assert run_on_fakes(tmp_path, SAMPLES, TABLE, *ALONE, *devices_and).code == 1
            assert question not in answered()
    assert left_behind(tmp_path / "out") == [FILE_NAME, SECOND, "unfinished.rank2.jsonl"]
    outcome = run_on_fakes(tmp_path, SAMPLES, TABLE, *SHARED, "resume=true")
    assert (outcome.code, outcome.err) == (0, "")
    assert answered() == dict.fromkeys(TABLE, 1)
    assert_same(tmp_path / "out", whole)


# How it ends


@contextlib.contextmanager
def once_both_have_measured(folder: Path, action: Callable[[], None]) -> Iterator[None]:
    """Act when each of two processes has finished a sample."""

    def wait() -> None:
        files = [folder / FILE_NAME, folder / SECOND]
        until = time.monotonic() + 60
        while time.monotonic() < until:
            if all(file.exists() and file.read_bytes().count(b"\n") > 1 for file in files):
                action()
                return
            time.sleep(0.02)

    thread = threading.Thread(target=wait)
    thread.start()
    try:
        yield
    finally:
        thread.join()


@pytest.mark.slow
def test_a_killed_process_ends_the_run_in_a_line_and_costs_nothing_measured(
    tmp_path: Path, whole: Path, answered: Callable[[], Counter[str]], monkeypatch: Any
) -> None:
    def kill() -> None:
        (other,) = _helpers()
        os.kill(other, signal.SIGKILL)

    with monkeypatch.context() as patched:
        patched.setenv("TIEREXP_TEST_SLOW", "0.5")
        with once_both_have_measured(tmp_path / "out", kill):
            outcome = run_on_fakes(tmp_path, SAMPLES, TABLE, *SHARED)
    kept = "what was measured is kept, resume=true goes on"
    line = f"error: process 2 of 2 ended by SIGKILL; {kept}\n"
    assert (outcome.code, outcome.err) == (1, line)
    assert left_behind(tmp_path / "out") == [FILE_NAME, SECOND]
    assert not list((tmp_path / "out").glob("*.json"))
    refused = run_on_fakes(tmp_path, SAMPLES, TABLE, *ALONE)
    assert (refused.code, "resume=true" in refused.err) == (2, True)

    in_journals = Journal(tmp_path / "out", _settings(tmp_path / "out"), resume=True).records
    before = {int(index) for record in in_journals for index in record["samples"]}
    assert {0, 1} <= before
    counted = answered()
    assert run_on_fakes(tmp_path, SAMPLES, TABLE, *ALONE, "resume=true").code == 0
    again = answered() - counted
    assert again == {f"q{n}": 1 for n in range(len(SAMPLES)) if n not in before}
    assert_same(tmp_path / "out", whole)


def _settings(folder: Path) -> dict[str, Any]:
    """What the journal in a folder depends on."""
    line = (folder / FILE_NAME).read_text().splitlines()[0]
    settings: dict[str, Any] = json.loads(line[line.index("{") :])["settings"]
    return settings


@pytest.mark.slow
def test_a_defect_of_another_process_is_named(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv(DEFECT_AT, "q7")
    outcome = run_on_fakes(tmp_path, SAMPLES, TABLE, *SHARED)
    assert outcome.code == 1
    assert outcome.err.startswith("error: process 2 of 2 ended with RuntimeError: a defect; what")
    assert outcome.err.count("\n") == 1


@pytest.mark.slow
def test_a_mistake_that_another_process_meets_is_one_line(tmp_path: Path) -> None:
    broken = [list(sample) for sample in SAMPLES]
    broken[3][0] = [-480, 640]  # once it is decoded
    outcome = run_on_fakes(tmp_path, broken, TABLE, *SHARED, "data.on_error=raise")
    assert outcome.code == 2
    assert outcome.err == "error: sample s3: the pixels are truncated\n"


@pytest.mark.slow
def test_nobody_outlives_the_first_process(tmp_path: Path) -> None:
    for name, content in (("samples", SAMPLES), ("table", TABLE)):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    out = tmp_path / "out"
    more = ("data.num_workers=1", "resume=true", f"output_dir={out}")
    command = [sys.executable, "eval.py", *_files(tmp_path), *SHARED, *more]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "TIEREXP_TEST_SLOW": "0.5"}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, start_new_session=True
    )
    with once_both_have_measured(out, process.kill):
        assert process.wait() == -signal.SIGKILL
    until = time.monotonic() + 15  # a data worker looks after its parent every five seconds
    while _alive_in_session(process.pid) and time.monotonic() < until:
        time.sleep(0.2)
    assert _alive_in_session(process.pid) == []


def _alive_in_session(number: int) -> list[int]:
    alive = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, _, _, session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            if int(session) == number and state != "Z":
                alive.append(int(folder.name))
    return alive


@pytest.mark.slow
def test_ctrl_c_writes_what_both_have_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIEREXP_TEST_SLOW", "1")
    # Where pytest runs in a shell's background, Ctrl-C is ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with once_both_have_measured(tmp_path / "out", lambda: os.kill(os.getpid(), signal.SIGINT)):
            outcome = run_on_fakes(tmp_path, SAMPLES, TABLE, *SHARED)
    finally:
        signal.signal(signal.SIGINT, before)
    assert (outcome.code, outcome.err[:23]) == (130, "interrupted\nto go on:  ")
    (file,) = (tmp_path / "out").glob("interrupted_*.json")
    measured = {
        sample["sample_id"] for sample in json.loads(file.read_text())["per_sample_results"]
    }
    assert measured >= {"s0", "s1"}
    assert len(measured) < len(SAMPLES)
    assert left_behind(tmp_path / "out") == [FILE_NAME, SECOND]
    assert _helpers() == []


# Who starts them


def _files(folder: Path) -> list[str]:
    paths = f"data.path={folder / 'samples.json'}", f"model.table={folder / 'table.json'}"
    return [*FAKES, *paths, f"model.loaded={folder / 'loaded'}"]


@pytest.mark.slow
def test_the_runs_of_a_multirun_share_nothing_but_the_first_process(
    tmp_path: Path, answered: Callable[[], Counter[str]]
) -> None:
    sweep = (*ALONE, "-m", "tier=low,medium", "trainer.devices=2,1")
    outcome = run_on_fakes(tmp_path, SAMPLES, TABLE, *sweep)
    assert (outcome.code, outcome.err) == (0, "")
    assert answered() == dict.fromkeys(TABLE, 4)
    # Sub-folders are named by everything that varies.
    two, one = (next((tmp_path / "out").glob(f"{number}_*")) for number in (2, 3))
    assert_same(two, one)


def _side_by_side(commands: list[list[str]], variables: list[dict[str, str]]) -> list[Outcome]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    processes = [
        subprocess.Popen(
            command, cwd=ROOT, env=environment | more,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for command, more in zip(commands, variables, strict=True)
    ]  # fmt: skip
    spoken = [process.communicate(timeout=120) for process in processes]
    return [
        Outcome(process.returncode, out, err)
        for process, (out, err) in zip(processes, spoken, strict=True)
    ]


def _slurm(rank: int, tasks: int) -> dict[str, str]:
    """What srun tells the tasks of a job on one node."""
    common = {"JOB_ID": str(os.getpid()), "JOB_NAME": "tierexp", "NODELIST": "localhost"}
    numbers = {"NTASKS": tasks, "NTASKS_PER_NODE": tasks, "NNODES": 1, "NODEID": 0}
    of_task = {"PROCID": rank, "LOCALID": rank}
    return {f"SLURM_{k}": str(v) for k, v in (common | numbers | of_task).items()}


@pytest.mark.slow
def test_tasks_of_slurm_share_a_run(
    tmp_path: Path, whole: Path, answered: Callable[[], Counter[str]]
) -> None:
    for name, content in (("samples", SAMPLES), ("table", TABLE)):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    run = [sys.executable, "eval.py", *_files(tmp_path), *SHARED, "trainer=ddp"]
    run += [f"output_dir={tmp_path / 'out'}", "trainer.accelerator=cpu"]
    first, second = _side_by_side([run, run], [_slurm(rank, 2) for rank in range(2)])
    assert (first.code, first.err, second.code, second.err) == (0, "", 0, "")
    assert "results" in first.out
    assert second.out == ""
    assert answered() == dict.fromkeys(TABLE, 1)
    assert_same(tmp_path / "out", whole)

    other = [f"output_dir={tmp_path / 'other'}", "trainer.devices=3"]
    for outcome in _side_by_side([run + other] * 2, [_slurm(rank, 2) for rank in range(2)]):
        assert (outcome.code, outcome.err.count("\n")) == (2, 1)
        assert "--ntasks-per-node=2" in outcome.err
    assert not (tmp_path / "other" / FILE_NAME).exists()


@pytest.mark.slow
def test_a_mistake_that_only_a_task_of_slurm_meets_ends_the_others(tmp_path: Path) -> None:
    broken = [list(sample) for sample in SAMPLES]
    broken[3][0] = [-480, 640]
    for name, content in (("samples", broken), ("table", TABLE)):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    run = [sys.executable, "eval.py", *_files(tmp_path), *SHARED, "data.on_error=raise"]
    run += [f"output_dir={tmp_path / 'out'}"]
    first, second = _side_by_side([run, run], [_slurm(rank, 2) for rank in range(2)])
    assert (first.code, first.err) == (2, "error: sample s3: the pixels are truncated\n")
    assert (second.code, second.err) == (2, "")


@pytest.mark.slow
def test_workers_of_torchrun_share_a_multirun(
    tmp_path: Path, answered: Callable[[], Counter[str]]
) -> None:
    for name, content in (("samples", SAMPLES), ("table", TABLE)):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    run += ["eval.py", *_files(tmp_path), *SHARED, "-m", "tier=low,medium"]
    (outcome,) = _side_by_side([[*run, f"output_dir={tmp_path / 'out'}"]], [{}])
    assert outcome.code == 0, outcome.err
    assert answered() == dict.fromkeys(TABLE, 2)
    assert outcome.out.count("comparison.json") == 1
    runs = json.loads((tmp_path / "out" / "comparison.json").read_text())["runs"]
    assert [run["tier"] for run in runs] == ["low", "medium"]


# What is refused


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("trainer.devices=2", "latency=on"), ["latency='on'", "one device"]),
        (
            ("trainer.devices=2", "+trainer.num_nodes=2"),
            ["trainer.num_nodes=2", "srun or torchrun"],
        ),
        (
            ("trainer.devices=2", "+trainer.strategy=ddp_spawn"),
            ["trainer.strategy=", "auto or ddp"],
        ),
        (("trainer.devices=0",), ["trainer.devices=0"]),
    ],
)
def test_what_cannot_work_is_refused(
    tmp_path: Path, arguments: tuple[str, ...], words: list[str]
) -> None:
    outcome = run_on_fakes(tmp_path, SAMPLES, TABLE, "logger=none", "trainer=cpu", *arguments)
    assert outcome.code == 2
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    assert all(word in outcome.err for word in words)
    assert not (tmp_path / "loaded").exists()


@pytest.mark.whole
def test_processes_that_nobody_has_started_are_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("tierexp.runtime.processes.run.APPOINTMENT", timedelta(seconds=0.2))
    outcome = run_on_fakes(tmp_path, SAMPLES, TABLE, *SHARED)
    assert outcome.code == 2
    assert "the 2 processes of the run have not met at 127.0.0.1:" in outcome.err
    assert outcome.err.count("\n") == 1


@pytest.mark.whole
def test_training_has_one_device(tmp_path: Path) -> None:
    output = f"output_dir={tmp_path}"
    more = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "logger=none")
    outcome = run_command(train, "train", *more, output)
    assert outcome.code == 2
    assert "trainer.devices=2 is not possible: 1: only an evaluation" in outcome.err


# The files


def test_every_process_reads_all_files_and_writes_its_own(tmp_path: Path) -> None:
    settings = {"a": 1}
    files = [Journal(tmp_path, settings, resume=False, rank=rank) for rank in range(3)]
    for rank, journal in enumerate(files):
        assert journal.records == []
        journal.append({"n": rank})
        journal.close()
    again = Journal(tmp_path, settings, resume=True)
    assert again.records == [{"n": 0}, {"n": 1}, {"n": 2}]
    second = Journal(tmp_path, settings, resume=True, rank=1)
    assert second.records == again.records
    second.append({"n": 3})
    assert again.others() == [{"n": 3}]
    with pytest.raises(ConfigError, match="resume=true goes on"):
        Journal(tmp_path, settings, resume=False)
    with pytest.raises(ConfigError, match="a=2"):
        Journal(tmp_path, {"a": 2}, resume=True)
    second.close()
    again.remove()
    assert left_behind(tmp_path) == []


def test_another_s_file_may_be_cut_short(tmp_path: Path) -> None:
    Journal(tmp_path, {}, resume=False).close()
    second = Journal(tmp_path, {}, resume=False, rank=1)
    second.append({"n": 1})
    second.append({"n": 2})
    second.close()
    second.path.write_bytes(second.path.read_bytes()[:-5])
    assert Journal(tmp_path, {}, resume=True).records == [{"n": 1}]


def test_processes_without_a_common_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="all processes share"):
        Journal(tmp_path, {}, resume=False, rank=1)
