"""Worker processes of the data loader that are killed: replaced, or one line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import DataLoader, get_worker_info
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from tests.support.command_line import FAKES, run_on_fakes, timeless
from tests.support.fakes import KILL
from tierexp.data.loader import SurvivingLoader, _tells_of_a_death
from tierexp.errors import MachineError
from tierexp.evaluation.journal import FILE_NAME

pytestmark = pytest.mark.whole

ROOT = Path(__file__).parents[2]
SAMPLES = [[[480, 640], f"q{n}", [f"a{n}"], "t"] for n in range(24)]
TABLE = {f"q{n}": f"a{n}" if n % 3 else "wrong" for n in range(24)}
ARGUMENTS = ("logger=csv", "trainer=cpu")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch looks after its workers every five seconds; here, more often."""
    monkeypatch.setattr(_MultiProcessingDataLoaderIter._try_get_data, "__defaults__", (0.2,))


class Suicidal:
    """Indices as samples; those of `deadly` kill the worker that prepares them, every time or, with
    a folder, once each."""

    def __init__(self, deadly: set[int], once: Path | None = None) -> None:
        self.deadly, self.once = deadly, once

    def __len__(self) -> int:
        return 20

    def __getitem__(self, index: int) -> int:
        time.sleep(0.02)  # long enough for the batch before to be on its way
        if index in self.deadly and get_worker_info() is not None and self._first(index):
            os.kill(os.getpid(), signal.SIGKILL)
        return index

    def _first(self, index: int) -> bool:
        if self.once is None:
            return True
        killed = self.once / f"killed_{index}"
        if killed.exists():
            return False
        killed.touch()
        return True


def loader_of(preparer: Any, num_workers: int) -> SurvivingLoader:
    batches = [[n, n + 1] for n in range(0, 20, 2)]
    as_it_is: Any = list
    return SurvivingLoader(preparer, batches, as_it_is, num_workers)


@pytest.mark.parametrize("num_workers", [0, 1, 2])
def test_batches_come_in_order(num_workers: int) -> None:
    loader = loader_of(Suicidal(set()), num_workers)
    assert len(loader) == 10
    for _ in range(2):
        assert list(loader) == [[n, n + 1] for n in range(0, 20, 2)]


@pytest.mark.parametrize("num_workers", [1, 2])
def test_a_worker_that_is_killed_is_replaced(
    num_workers: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    loader = loader_of(Suicidal({7}, tmp_path), num_workers)
    assert list(loader) == [[n, n + 1] for n in range(0, 20, 2)]
    (message,) = caplog.messages
    assert message.startswith("a worker process of the data loader was killed (")
    assert message.endswith("; another one does its work again")


def test_deaths_over_other_batches_are_other_deaths(tmp_path: Path) -> None:
    loader = loader_of(Suicidal({0, 5, 11, 19}, tmp_path), 1)
    assert list(loader) == [[n, n + 1] for n in range(0, 20, 2)]
    assert len(list(tmp_path.iterdir())) == 4


def test_an_image_that_kills_every_worker_ends_the_run() -> None:
    given: list[Any] = []
    with pytest.raises(MachineError, match=r"\), 3 times over batch 4 of 10 or one of the"):
        given.extend(loader_of(Suicidal({7}), 1))
    assert given == [[0, 1], [2, 3], [4, 5]]


def test_workers_begin_before_they_are_asked(tmp_path: Path) -> None:
    class Noted(Suicidal):
        def __getitem__(self, index: int) -> int:
            (tmp_path / str(index)).touch()
            return index

    loader = loader_of(Noted(set()), 1)
    others = children()
    with loader.begun():
        (worker,) = children() - others
        deadline = time.monotonic() + 30
        while not (tmp_path / "3").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert {file.name for file in tmp_path.iterdir()} >= {"0", "1", "2", "3"}
        iter(loader)  # as Lightning does, to see that it can be iterated
        batches = iter(loader)
        assert next(batches) == [0, 1]
        assert children() - others == {worker}
        assert [batch[0] for batch in batches] == list(range(2, 20, 2))
    assert len(list(loader)) == 10  # and once more


def test_workers_that_nobody_has_asked_are_gone() -> None:
    others, before = children(), signal.getsignal(signal.SIGCHLD)
    with pytest.raises(ValueError, match="refused"), loader_of(Suicidal(set()), 2).begun():
        raise ValueError("refused")
    assert children() == others
    assert signal.getsignal(signal.SIGCHLD) == before


def test_a_death_does_not_interrupt_what_the_run_is_doing() -> None:
    """PyTorch's handler raises its exception wherever the main process is."""
    others = children()
    batches: Iterator[Any] = iter(loader_of(Suicidal(set()), 1))
    next(batches)
    (worker,) = children() - others
    os.kill(worker, signal.SIGKILL)
    deadline = time.monotonic() + 0.3
    while time.monotonic() < deadline:
        time.sleep(0.01)  # an answer, or a line of the journal
    assert [batch[0] for batch in batches] == list(range(2, 20, 2))


def children() -> set[int]:
    """Of this process."""
    task = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    return {int(pid) for pid in task.read_text().split()}


@pytest.mark.parametrize("found", [signal.SIG_DFL, lambda *_: None])
def test_the_signal_handler_is_as_it_was(found: Any) -> None:
    before = signal.signal(signal.SIGCHLD, found)
    try:
        assert len(list(DataLoader(range(4), num_workers=1))) == 4  # type: ignore[arg-type]
        now = signal.getsignal(signal.SIGCHLD)  # perhaps PyTorch's
        iterator = iter(loader_of(Suicidal(set()), 1))
        next(iterator)
        assert signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL
        del iterator
        assert signal.getsignal(signal.SIGCHLD) == now
    finally:
        signal.signal(signal.SIGCHLD, before)


class Broken(Suicidal):
    def __init__(self, error: Exception) -> None:
        super().__init__(set())
        self.error = error

    def __getitem__(self, index: int) -> int:
        raise self.error


@pytest.mark.parametrize("num_workers", [0, 1])
@pytest.mark.parametrize("error", [RuntimeError("a defect"), FileNotFoundError("a defect")])
def test_exceptions_of_a_worker_are_its_own(error: Exception, num_workers: int) -> None:
    with pytest.raises(type(error), match="a defect") as raised:
        list(loader_of(Broken(error), num_workers))
    # PyTorch's frames hold on to the error and to the workers, whom the garbage collector would
    # wait for in vain for five seconds.
    traceback.clear_frames(raised.tb)


# Whole runs


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("whole")
    assert run_on_fakes(folder, SAMPLES, TABLE, *ARGUMENTS).code == 0
    return timeless(folder / "out")


def test_a_run_ends_in_a_line_and_goes_on(
    tmp_path: Path, whole: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = (*ARGUMENTS, "data.num_workers=2")
    with monkeypatch.context() as patched:
        patched.setenv(KILL, "15")
        outcome = run_on_fakes(tmp_path, SAMPLES, TABLE, *workers)
    assert outcome.code == 1
    assert outcome.err.startswith("error: a worker process of the data loader was killed (")
    assert outcome.err.count("\n") == 1
    assert f"output_dir={tmp_path / 'out'} resume=true goes on" in outcome.err
    assert 1 < (tmp_path / "out" / FILE_NAME).read_bytes().count(b"\n") <= 1 + 7
    assert run_on_fakes(tmp_path, SAMPLES, TABLE, *workers, "resume=true").code == 0
    assert timeless(tmp_path / "out") == whole


@pytest.mark.slow
def test_a_run_survives_kill_9_of_its_workers(tmp_path: Path, whole: dict[str, Any]) -> None:
    run_on_fakes(tmp_path, SAMPLES, TABLE, *ARGUMENTS, "--cfg", "job")  # writes the files
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "TIEREXP_TEST_SLOW": "0.2"}
    process = subprocess.Popen(
        [
            sys.executable, "eval.py", *FAKES, f"data.path={tmp_path / 'samples.json'}",
            f"model.table={tmp_path / 'table.json'}", f"output_dir={tmp_path / 'out'}", *ARGUMENTS,
            "data.num_workers=2",
        ],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    journal = tmp_path / "out" / FILE_NAME
    while process.poll() is None and not (journal.exists() and b"q0" in journal.read_bytes()):
        time.sleep(0.01)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) == 2
    os.kill(int(children[0]), signal.SIGKILL)
    out, err = process.communicate()
    assert (process.returncode, err) == (0, ""), err
    assert out.count("; another one does its work again") == 1
    assert timeless(tmp_path / "out") == whole


def test_what_pytorch_says_of_a_death_is_understood() -> None:
    """It depends on what it was doing: waiting, or fetching what the worker had sent."""
    loader = DataLoader(Suicidal({1}), num_workers=1)  # type: ignore[arg-type]
    with pytest.raises((RuntimeError, OSError, EOFError)) as caught:
        list(loader)
    assert _tells_of_a_death(caught.value)
