"""The same configuration gives the same predictions and the same results file, times aside, however
the work is cut up: by batches, by workers, by interruptions, by the memory there is. With the model
in the box, whose answers are computed and not looked up."""

from __future__ import annotations

import copy
import itertools
import random
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.command_line import Outcome, run_eval, timeless
from tests.support.parameters import slow
from tierexp.evaluation.journal import FILE_NAME, Journal
from tierexp.models.molmo.engine import MolmoEngine
from tierexp.models.molmo.model import Molmo

pytestmark = pytest.mark.whole
ARGUMENTS = ("tier=low", "data.max_samples=14", "logger=csv", "trainer=cpu", "data.num_workers=0")


def run(folder: Path, *arguments: str) -> Outcome:
    return run_eval(*ARGUMENTS, f"output_dir={folder / 'out'}", *arguments)


def measured(folder: Path, *arguments: str) -> dict[str, Any]:
    outcome = run(folder, *arguments)
    assert (outcome.code, outcome.err) == (0, "")
    return timeless(folder / "out")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    content = measured(tmp_path_factory.mktemp("whole"))
    answers = [sample["prediction"] for sample in content["per_sample_results"]]
    assert len(set(answers)) > 6
    assert 0.3 < content["accuracy"] < 1
    return content


@pytest.mark.parametrize("batch_size", [slow(1), slow(5), 14])
def test_any_batch_size(batch_size: int, tmp_path: Path, whole: dict[str, Any]) -> None:
    assert_same(measured(tmp_path, f"data.batch_size={batch_size}"), whole)


@pytest.mark.parametrize("num_workers", [slow(1), 2])
def test_any_number_of_workers(num_workers: int, tmp_path: Path, whole: dict[str, Any]) -> None:
    assert_same(measured(tmp_path, f"data.num_workers={num_workers}"), whole)


@pytest.mark.parametrize("seed", [0, slow(1), slow(2)])
def test_any_history_of_interruptions(
    seed: int, tmp_path: Path, whole: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken off three times, while a batch is answered or when its record is half written; each
    part with its own number of workers."""
    rng = random.Random(seed)
    append = Journal.append
    answer = MolmoEngine.generate
    for _ in range(3):
        countdown, in_the_record = itertools.count(), rng.random() < 0.5
        last = rng.randint(1, 2)

        def broken(self: Journal, record: Any, last: int = last, count: Any = countdown) -> None:
            append(self, record)
            if next(count) == last:
                size = self.path.stat().st_size
                with self.path.open("r+b") as file:
                    file.truncate(size - rng.randint(1, 200))
                raise KeyError("power cut")

        def late(
            self: MolmoEngine, *rest: Any, last: int = last, count: Any = countdown, **more: Any
        ) -> Any:
            if next(count) == last:
                raise KeyError("power cut")
            return answer(self, *rest, **more)

        with monkeypatch.context() as patched:
            if in_the_record:
                patched.setattr(Journal, "append", broken)
            else:
                patched.setattr(MolmoEngine, "generate", late)
            with pytest.raises(KeyError, match="power cut"):
                run(
                    tmp_path,
                    "resume=true",
                    "data.batch_size=2",
                    f"data.num_workers={rng.randint(0, 1)}",
                )
        assert (tmp_path / "out" / FILE_NAME).exists()
    assert_same(measured(tmp_path, "resume=true", "data.batch_size=2"), whole)


@pytest.mark.parametrize("most", [slow(1), slow(2), 5])
def test_any_memory(
    most: int, tmp_path: Path, whole: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = Molmo.decode

    def too_large(self: Molmo, input_ids: torch.Tensor, *rest: Any, **more: Any) -> torch.Tensor:
        if len(input_ids) > most:
            torch.empty(1 << 60, dtype=torch.uint8)
        return decode(self, input_ids, *rest, **more)

    monkeypatch.setattr(Molmo, "decode", too_large)
    assert_same(measured(tmp_path), whole)


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Everything is equal; confidence up to the rounding of a batch of another shape."""
    told = ("confidence", "first_margin")
    one, other = (copy.deepcopy(results) for results in (found, expected))
    for key in told:
        sure = [
            [sample.pop(key) for sample in results["per_sample_results"]]
            for results in (one, other)
        ]
        assert sure[0] == pytest.approx(sure[1], abs=1e-4)
        means = [results.pop(f"{key}_mean") for results in (one, other)]
        assert means[0] == pytest.approx(means[1], abs=1e-4)
    assert one == other
