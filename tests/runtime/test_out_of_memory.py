"""Batches that do not fit into memory: halved, answered all the same, and said so."""

from __future__ import annotations

import gc
import json
import logging
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.command_line import run_on_fakes, timeless
from tests.support.fakes import MEMORY, TableModel
from tests.support.molmo_models import prompt, small_engine
from tierexp.errors.machine import lacks_memory, machine_trouble
from tierexp.models.molmo.model_inputs import ModelInputs
from tierexp.models.threads import torch_threads
from tierexp.runtime.out_of_memory import SplitOnOutOfMemory

CUDA = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nmore advice")


def batch(rows: int) -> ModelInputs:
    return prompt([5 + number for number in range(rows)])


class Memory:
    """Answers so many rows at once, with their lengths; remembers what it was asked."""

    def __init__(self, most: int, error: BaseException = CUDA) -> None:
        self.most, self.error = most, error
        self.asked: list[int] = []

    def __call__(self, inputs: ModelInputs) -> list[int]:
        rows = len(inputs.input_ids)
        self.asked.append(rows)
        if rows > self.most:
            raise self.error
        return inputs.attention_mask.sum(dim=1).tolist()


@pytest.mark.parametrize("rows", range(1, 10))
@pytest.mark.parametrize("most", range(1, 10))
def test_every_row_is_answered_once_and_in_order(
    rows: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gc.collect", lambda: 0)  # another test tells that memory is freed
    memory = Memory(most)
    parts = SplitOnOutOfMemory(memory)
    found = list(parts(batch(rows)))
    assert [row for part, _ in found for row in part] == list(range(rows))
    assert [length for _, answer in found for length in answer or ()] == [
        5 + row for row in range(rows)
    ]
    assert parts.halved == (rows > most)


def test_what_did_not_fit_once_is_not_tried_again() -> None:
    memory = Memory(3)
    parts = SplitOnOutOfMemory(memory)
    list(parts(batch(8)))
    assert memory.asked == [8, 4, 2, 2, 4, 2, 2]
    memory.asked.clear()
    list(parts(batch(8)))
    assert memory.asked == [2, 2, 2, 2]
    assert parts.halved == 2


def test_a_row_that_does_not_fit_alone_has_no_answer() -> None:
    parts = SplitOnOutOfMemory(Memory(0))
    assert list(parts(batch(3))) == [(range(n, n + 1), None) for n in range(3)]


def test_a_defect_is_no_lack_of_memory() -> None:
    memory = Memory(0, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="mat1"):
        list(SplitOnOutOfMemory(memory)(batch(4)))
    assert memory.asked == [4]


def test_memory_is_free_before_the_next_try() -> None:
    """Nothing holds on to what was computed before it failed: neither the exception, whose
    traceback refers to the frames, nor a cycle, as PyTorch's own code makes them."""
    alive: list[weakref.ref[torch.Tensor]] = []

    def answer(inputs: ModelInputs) -> int:
        assert [tensor for tensor in alive if tensor() is not None] == []
        activations = torch.zeros(10)
        alive.append(weakref.ref(activations))
        cycle: list[Any] = [activations]
        cycle.append(cycle)
        if len(inputs.input_ids) > 1:
            try:
                raise RuntimeError("CUDA out of memory.")
            except RuntimeError as error:
                raise torch.OutOfMemoryError("CUDA out of memory.") from error
        del cycle
        gc.collect()
        return 1

    gc.disable()
    try:
        assert sum(answer or 0 for _, answer in SplitOnOutOfMemory(answer)(batch(4))) == 4
    finally:
        gc.enable()
    assert len(alive) == 7  # 4, 2, 1, 1, 2, 1, 1


def test_it_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    parts = SplitOnOutOfMemory(Memory(2))
    with caplog.at_level(logging.WARNING):
        list(parts(batch(8)))
        list(parts(batch(7)))
        list(SplitOnOutOfMemory(Memory(0))(batch(1)))  # nothing to halve
    (message,) = caplog.messages
    assert "a batch of 8 with 2 views each does not fit into memory and is halved" in message
    assert message.endswith("(CUDA out of memory. Tried to allocate 20.00 GiB.)")


def test_the_many_words_for_it() -> None:
    with pytest.raises(RuntimeError) as of_torch:
        torch.empty(1 << 60, dtype=torch.uint8)
    for error in (
        of_torch.value,
        CUDA,
        MemoryError(),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("std::bad_alloc"),
    ):
        assert lacks_memory(error)
        assert str(machine_trouble(error)).startswith("not enough memory: ")
    assert machine_trouble(CUDA) == (
        "not enough memory: CUDA out of memory. Tried to allocate 20.00 GiB."
    )
    for error in (ValueError("out of memory"), RuntimeError("a defect"), KeyError("x")):
        assert not lacks_memory(error)
        assert machine_trouble(error) is None


def test_a_molmo_that_runs_out_of_memory_half_way() -> None:
    """After its vision tokens are there, in the second block of its decoder."""
    model, inputs = small_engine("mixture"), prompt([9, 12, 14, 10, 11])
    expected = model.generate(inputs, 6)

    def too_large(_: object, given: tuple[torch.Tensor, ...]) -> None:
        if len(given[0]) > 2:
            torch.empty(1 << 60, dtype=torch.uint8)

    model.decoder_blocks[1].register_forward_pre_hook(too_large)
    with torch_threads(1):  # several would answer parts of a batch side by side
        parts = list(SplitOnOutOfMemory(lambda part: model.generate(part, 6))(inputs))
    assert [len(part) for part, _ in parts] == [2, 1, 2]
    answers = torch.cat([answer for _, answer in parts if answer is not None])
    assert torch.equal(answers, expected)


# Whole runs

SAMPLES = [[[480, 640], f"q{n}", [f"a{n}"], f"t{n % 2}"] for n in range(10)]
SAMPLES += [[[900, 300], f"q{n}", [f"a{n}"], "t1"] for n in range(10, 14)]
SAMPLES[3][0] = [-480, 640]  # breaks once it is decoded
TABLE = {f"q{n}": f"a{n}" if n % 3 else "wrong" for n in range(14)}
ARGUMENTS = ("logger=csv", "trainer=cpu", "data.batch_size=8")


def results_of(folder: Path) -> dict[str, Any]:
    (file,) = (folder / "out").glob("*_tier-*.json")
    content: dict[str, Any] = json.loads(file.read_text())
    return content


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("whole")
    assert run_on_fakes(folder, SAMPLES, TABLE, *ARGUMENTS).code == 0
    assert results_of(folder)["provenance"]["halved_batches"] == 0
    return timeless(folder / "out")


@pytest.mark.whole
@pytest.mark.parametrize("most", [1, 3])
def test_a_run_on_too_small_a_machine_has_the_same_results(
    most: int, tmp_path: Path, whole: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MEMORY, str(most * 7 * 144))
    outcome = run_on_fakes(tmp_path, SAMPLES, TABLE, *ARGUMENTS)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.count("does not fit into memory and is halved") == 1
    assert timeless(tmp_path / "out") == whole
    # Batches of 7 (one of the 8 breaks), 2 and, with four views, 4.
    halved = results_of(tmp_path)["provenance"]["halved_batches"]
    assert halved == {1: 3, 2: 2, 3: 1, 5: 1}[most]
    rows = (tmp_path / "out" / "csv" / "metrics.csv").read_text().splitlines()
    logged = dict(zip(rows[0].split(","), rows[1].split(","), strict=True))
    assert float(logged["test/accuracy"]) == pytest.approx(whole["accuracy"])


@pytest.mark.slow
def test_samples_that_do_not_fit_alone_are_counted_or_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MEMORY, str(5 * 144))
    outcome = run_on_fakes(tmp_path, SAMPLES, TABLE, *ARGUMENTS)
    assert (outcome.code, outcome.err) == (0, "")
    content = results_of(tmp_path)
    assert (content["num_samples"], content["num_failed"]) == (4, 10)
    reasons = {failure["reason"] for failure in content["failures"]}
    too_large = "with 6 crops it does not fit into memory, not even alone"
    assert reasons == {"the pixels are truncated", too_large}
    (tmp_path / "raise").mkdir()
    samples = [sample for sample in SAMPLES if sample[0][0] > 0]
    outcome = run_on_fakes(
        tmp_path / "raise", samples, TABLE, *ARGUMENTS, "data.on_error=raise", "logger=none"
    )
    assert outcome.code == 1
    kept = f"what was measured is kept: output_dir={tmp_path / 'raise' / 'out'} resume=true goes on"
    assert outcome.err == f"error: sample s0: {too_large}; {kept}\n"
    # On a machine with more memory it goes on.
    monkeypatch.delenv(MEMORY)
    again = ("data.on_error=raise", "logger=none", "resume=true")
    assert run_on_fakes(tmp_path / "raise", samples, TABLE, *ARGUMENTS, *again).code == 0
    assert results_of(tmp_path / "raise")["num_samples"] == 13


@pytest.mark.whole
def test_a_halved_batch_that_is_interrupted_goes_on(
    tmp_path: Path, whole: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No part of a batch is answered again. What an interruption has left of one is a batch, too,
    and counts where it is halved."""
    monkeypatch.setenv(MEMORY, str(2 * 7 * 144))
    answered: list[int] = []
    generate = TableModel.generate

    def until_the_third(self: TableModel, inputs: Any, *rest: Any, **more: Any) -> Any:
        if len(answered) == 3 and not again:
            raise ValueError("a defect")
        tokens = generate(self, inputs, *rest, **more)
        answered.append(len(tokens))
        return tokens

    monkeypatch.setattr(TableModel, "generate", until_the_third)
    again: list[str] = []
    with pytest.raises(ValueError, match="a defect"):
        run_on_fakes(tmp_path, SAMPLES, TABLE, *ARGUMENTS)
    again.append("resume=true")
    assert run_on_fakes(tmp_path, SAMPLES, TABLE, *ARGUMENTS, *again).code == 0
    assert sum(answered) == 13
    assert timeless(tmp_path / "out") == whole
    assert results_of(tmp_path)["provenance"]["halved_batches"] == 3


@pytest.mark.whole
def test_what_is_timed_is_never_halved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample alone that does not fit while it is timed: one line, and the answers are kept."""
    generate = TableModel.generate

    def timed(self: TableModel, *rest: Any, clock: Any = None, **more: Any) -> Any:
        if clock is not None:
            raise CUDA
        return generate(self, *rest, **more)

    monkeypatch.setattr(TableModel, "generate", timed)
    latency = ("latency=on", "latency.repeats=1", "latency.warmup=0")
    outcome = run_on_fakes(tmp_path, SAMPLES, TABLE, *ARGUMENTS, *latency)
    assert outcome.code == 1
    assert outcome.err.startswith("error: not enough memory: CUDA out of memory. Tried to allocate")
    assert outcome.err.count("\n") == 1
    assert "resume=true goes on" in outcome.err
    monkeypatch.setattr(TableModel, "generate", generate)
    outcome = run_on_fakes(tmp_path, SAMPLES, TABLE, *ARGUMENTS, *latency, "resume=true")
    assert (outcome.code, outcome.err) == (0, "")
    assert results_of(tmp_path)["latency"]["num_samples"] == 13


def test_weights_that_do_not_fit_end_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_: object) -> None:
        torch.empty(1 << 60, dtype=torch.uint8)

    monkeypatch.setattr("tests.support.fakes.TableSource.load", load)
    table = TABLE | {"other": "weights"}  # not those that this process has loaded
    outcome = run_on_fakes(tmp_path, SAMPLES, table, *ARGUMENTS)
    assert outcome.code == 1
    assert outcome.err.startswith("error: not enough memory: ")
    assert outcome.err.count("\n") == 1
    assert "resume" not in outcome.err
