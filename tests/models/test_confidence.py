"""How sure an answer is: beside probabilities recomputed without a cache, and no answer changed."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from tests.support.command_line import run_eval
from tests.support.molmo_models import KINDS, prompt, row_of, small_engine
from tierexp.models.confidence import Confidence, ConfidenceMeter
from tierexp.results.files import load_results

LENGTHS = [14, 10, 12]
NEW_TOKENS = 6


def test_two_tokens_by_hand() -> None:
    """0.5, then 0.8; the second row ends with its first token, of probability 0.25."""
    meter = ConfidenceMeter()
    first = torch.tensor([[0.5, 0.3, 0.2], [0.25, 0.25, 0.5]]).log()
    meter.chosen(first, torch.tensor([0, 1]), None)
    second = torch.tensor([[0.1, 0.8, 0.1], [0.1, 0.1, 0.8]]).log()
    meter.chosen(second, torch.tensor([1, 2]), torch.tensor([True, False]))
    one, other = meter.answers or []
    assert one.mean_log_probability == pytest.approx((math.log(0.5) + math.log(0.8)) / 2)
    assert one.first_margin == pytest.approx(0.2)
    assert other.mean_log_probability == pytest.approx(math.log(0.25))
    assert other.first_margin == pytest.approx(0.25)


def test_who_is_told_nothing_says_nothing() -> None:
    assert ConfidenceMeter().answers is None


def test_weights_that_are_no_numbers_have_no_confidence() -> None:
    meter = ConfidenceMeter()
    meter.chosen(torch.full((1, 3), float("nan")), torch.tensor([0]), None)
    assert meter.answers == [Confidence(None, None)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ends", [False, True])
def test_confidence_is_that_of_full_recomputation(kind: str, ends: bool) -> None:
    inputs = prompt(LENGTHS)
    free = small_engine(kind).generate(inputs, NEW_TOKENS)
    end = int(free[1, 2]) if ends else None
    model, meter = small_engine(kind, end_of_text_id=end), ConfidenceMeter()
    generated = model.generate(inputs, NEW_TOKENS, observer=meter)
    assert meter.answers is not None
    for row, found in enumerate(meter.answers):
        alone = row_of(inputs, row)
        with torch.inference_mode():
            features = model.network.vision_features(alone.pixels, alone.patch_mask)
            ids, logs, margin = alone.input_ids, [], None
            for token in generated[row].tolist():
                logits = model.network.decode(ids, features, alone.image_input_idx)[0, -1]
                probabilities = logits.double().softmax(dim=-1)
                if margin is None:
                    top = probabilities.sort(descending=True).values
                    margin = float(top[0] - top[1])
                logs.append(math.log(float(probabilities[token])))
                ids = torch.cat([ids, torch.tensor([[token]])], dim=1)
                if token == end:
                    break
        assert found.mean_log_probability == pytest.approx(sum(logs) / len(logs), abs=1e-4)
        assert found.first_margin == pytest.approx(margin, abs=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_watching_changes_no_answer(kind: str) -> None:
    inputs = prompt(LENGTHS)
    before = small_engine(kind).generate(inputs, NEW_TOKENS)
    watched = small_engine(kind).generate(inputs, NEW_TOKENS, observer=ConfidenceMeter())
    assert torch.equal(before, watched)


@pytest.mark.whole
@pytest.mark.parametrize("latency", ["off", "on"])
def test_every_run_records_it(latency: str, tmp_path: Path) -> None:
    once = ["latency.passes=one", "data.batch_size=1"] if latency == "on" else []
    outcome = run_eval(
        "tier=fixed_288", "data.max_samples=2", "data.num_workers=0", "logger=none", "trainer=cpu",
        f"latency={latency}", *once, f"output_dir={tmp_path}",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    (file,) = tmp_path.glob("*_tier-fixed_288_*.json")
    samples = load_results(file).per_sample_results
    assert len(samples) == 2
    for sample in samples:
        assert sample.number("confidence") < 0
        assert 0 <= sample.number("first_margin") <= 1
