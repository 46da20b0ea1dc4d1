"""Scores as metrics: one mean however the questions are dealt out to batches and processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed
import torch.multiprocessing

from tierexp.scores.metric import MmePairs, ScoreMetric
from tierexp.scores.registry import QUESTION_SCORES, SCORES

PREDICTIONS = ["stop", "hexxo", "xyz", "pepsi"]
ANSWERS = [["stop"], ["hello"], ["hello"], ["coca cola", "pepsy"]]
ANLS = (1 + 3 / 5 + 0 + 4 / 5) / 4

# Five images: both right, one, one, none, both. Rights are 2 + 1 + 1 + 0 + 2 of 10.
SAID = ["yes", "no", "yes", "yes", "no", "no", "no", "yes", "Yes.", "No."]
MEANT = [["yes"], ["no"], ["yes"], ["no"], ["yes"], ["no"], ["yes"], ["no"], ["yes"], ["no"]]
IMAGES = [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
MME = {"accuracy": 0.6, "accuracy_plus": 0.4, "score": 100.0}


def figures(metric: MmePairs) -> dict[str, float]:
    return {name: value.item() for name, value in metric.compute().items()}


@pytest.mark.parametrize("cuts", [[], [1], [2], [1, 3], [0, 4]])
def test_batches_do_not_matter(cuts: list[int]) -> None:
    metric = ScoreMetric(SCORES["anls"])
    for start, end in zip([0, *cuts], [*cuts, 4], strict=True):
        metric.update(PREDICTIONS[start:end], ANSWERS[start:end])
    assert metric.compute().item() == pytest.approx(ANLS)
    metric.reset()
    metric.update(["stop"], [["stop"]])
    assert metric.compute().item() == 1.0


def test_no_question_has_no_mean() -> None:
    metric = ScoreMetric(SCORES["anls"])
    metric.update([], [])
    assert metric.compute().isnan()


def test_every_prediction_needs_its_answers() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ScoreMetric(SCORES["anls"]).update(["stop"], [])
    with pytest.raises(ValueError, match="shorter"):
        MmePairs().update(["yes"], [["yes"]], [])


@pytest.mark.parametrize("order", [range(10), range(9, -1, -1), [0, 2, 4, 6, 8, 1, 3, 5, 7, 9]])
def test_pairs_are_found_in_any_order(order: list[int]) -> None:
    metric = MmePairs()
    for index in order:
        metric.update([SAID[index]], [MEANT[index]], [IMAGES[index]])
    assert figures(metric) == pytest.approx(MME)


def test_an_image_has_two_answers() -> None:
    metric = MmePairs()
    metric.update([], [], [])
    with pytest.raises(ValueError, match="no images"):
        metric.compute()
    metric.update(["yes"] * 3, [["yes"]] * 3, [7, 7, 7])
    with pytest.raises(ValueError, match="image 7 has 3 answers"):
        metric.compute()


def of_process(rank: int, folder: str) -> None:
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2
    )
    # Uneven shares, and every pair torn apart.
    questions = [0] if rank == 0 else [1, 2, 3]
    metric = ScoreMetric(SCORES["anls"])
    metric.update([PREDICTIONS[i] for i in questions], [ANSWERS[i] for i in questions])
    mine = range(rank, 10, 2)
    pairs = MmePairs()
    pairs.update([SAID[i] for i in mine], [MEANT[i] for i in mine], [IMAGES[i] for i in mine])
    torch.save((metric.compute().item(), figures(pairs)), Path(folder) / f"{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_agree_on_the_whole(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(of_process, (str(tmp_path),), nprocs=2)
    for rank in range(2):
        mean, pairs = torch.load(tmp_path / f"{rank}.pt")
        assert mean == pytest.approx(ANLS)
        assert pairs == pytest.approx(MME)


def test_every_score_has_a_name_and_stays_between_0_and_1() -> None:
    assert set(SCORES) == {
        "exact_match", "vqa", "anls", "relaxed", "multiple_choice", "count", "mme",
    }  # fmt: skip
    assert set(QUESTION_SCORES) == set(SCORES) - {"mme"}
    answers = {"vqa": ["1"] * 10, "mme": ["yes"]}
    for name, score in SCORES.items():
        right = answers.get(name, ["1", "1"])
        assert score(right[0], right) == 1.0
        assert score("purple", right) == 0.0


def test_scores_work_without_torch() -> None:
    code = "import sys, tierexp.scores.registry; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
