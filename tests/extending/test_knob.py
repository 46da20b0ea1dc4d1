"""A knob of one's own, plugged in through a folder of configuration alone."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.command_line import ARGUMENTS, assert_refused, run_eval
from tests.support.molmo_models import prompt, small_engine
from tierexp.config.settings import logged_settings
from tierexp.models.knobs.active_blocks import ActiveBlocks
from tierexp.models.knobs.knob import ModelFacts
from tierexp.models.knobs.top_k import TopK
from tierexp.report.varying import labels_of
from tierexp.results.files import load_results
from tierexp.results.schema import EvaluationResults

MY = Path(__file__).parent / "my"
FEW = (
    "--config-dir", str(MY), "model=tiny", "data=tierqa", "tier=fixed_288", "data.max_samples=1",
    *ARGUMENTS,
)  # fmt: skip


def every_second() -> Any:
    spec = importlib.util.spec_from_file_location("every_second", MY / "every_second.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where a dataclass looks its module up
    spec.loader.exec_module(module)
    return module.EverySecond


def results(folder: Path) -> EvaluationResults:
    (path,) = folder.glob("*_tier-*.json")
    return load_results(path)


@pytest.mark.whole
def test_it_is_set_recorded_and_told_apart(tmp_path: Path) -> None:
    dropped, plain = tmp_path / "dropped", tmp_path / "plain"
    timed = ("latency=on", "latency.repeats=1", "latency.warmup=0")
    outcome = run_eval(*FEW, *timed, "+knob=every_second", f"output_dir={dropped}")
    assert (outcome.code, outcome.err) == (0, "")
    outcome = run_eval(*FEW, *timed, f"output_dir={plain}")
    assert (outcome.code, outcome.err) == (0, "")
    with_knob, without = results(dropped), results(plain)
    assert with_knob.knobs == {"top_k": 2, "num_active_blocks": 4, "drop": "every 2"}
    assert without.knobs == {"top_k": 2, "num_active_blocks": 4}
    assert with_knob.file_name.endswith("_topk2_blocks4_drop-every-2.json")
    assert labels_of([with_knob, without]) == [
        "fixed_288 \u00b7 drop every 2", "fixed_288 \u00b7 drop none",
    ]  # fmt: skip
    assert logged_settings(with_knob.provenance.config, "x", 1)["model/drop_every"] == 2
    # What dropping costs is not known; without the knob it is.
    assert with_knob.latency is not None
    assert without.latency is not None
    assert with_knob.latency.flops_mean == {}
    assert set(without.latency.flops_mean) == {"flops_vision", "flops_prefill", "flops_decode"}


def test_the_tokens_are_gone() -> None:
    """The knob gives the answers of prompts from which the tokens were taken by hand."""
    engine, knob = small_engine("mixture"), every_second()(2)
    inputs = prompt([12, 10])
    undo = knob.apply(engine, ModelFacts())
    answers = engine.generate(inputs, 6, fixed_length=True)
    undo()
    assert engine.own_reduction is None
    for row in range(len(inputs.input_ids)):
        ids, places = inputs.input_ids[row], inputs.image_input_idx[row]
        seen = sorted(place for place in places.flatten().tolist() if place >= 0)
        gone = set(seen[1::2])
        kept = [i for i in range(len(ids)) if i not in gone and bool(inputs.attention_mask[row, i])]
        moved = {old: new for new, old in enumerate(kept)}
        by_hand = torch.tensor([[moved.get(int(p), -100) for p in places.flatten()]])
        features = engine.vision_features(inputs.pixels, inputs.patch_mask)
        image = features[inputs.image_index[row]][None]
        sequence = ids[kept][None]
        alone: list[int] = []
        for _ in range(6):
            logits = engine.network.decode(sequence, image, by_hand.view_as(places)[None])
            alone.append(int(logits[0, -1].argmax()))
            sequence = torch.cat([sequence, torch.tensor([[alone[-1]]])], dim=1)
        assert answers[row].tolist() == alone


def test_knobs_are_set_back_before_others_are_set() -> None:
    engine = small_engine("mixture")
    before = engine.top_k, tuple(engine.active_blocks)
    facts = ModelFacts(len(before[1]), 6, before[0])
    undone = [TopK(1).apply(engine, facts), ActiveBlocks(1).apply(engine, facts)]
    assert (engine.top_k, len(engine.active_blocks)) == (1, 1)
    for undo in undone:
        assert undo is not None
        undo()
    assert (engine.top_k, tuple(engine.active_blocks)) == before


@pytest.mark.whole
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["+knob=every_second", "model.drop_every=1"], ["model.drop_every=1", ">= 2"]),
        (["model.drop_every=2"], ["model.drop_every=2", "no such key"]),
        (["+knob=no_method"], ["model.knobs.broken", "lacks apply, value"]),
        (["+knob=no_package"], ["model.knobs.broken", "a_package_nobody_has"]),
        (["+knob=no_settings"], ["model.knobs.broken", "a dataclass"]),
    ],
)
def test_a_wrong_knob_costs_one_line(
    tmp_path: Path, arguments: list[str], words: list[str]
) -> None:
    outcome = run_eval(*FEW, f"output_dir={tmp_path}", *arguments)
    assert_refused(outcome, words)


@pytest.mark.whole
def test_a_model_that_takes_no_knobs_is_refused(tmp_path: Path) -> None:
    mine = ("--config-dir", str(MY), "model=none", "+knob=every_second", f"output_dir={tmp_path}")
    assert_refused(run_eval(*mine), ["model._target_", "something that takes knobs"])
