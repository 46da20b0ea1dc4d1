"""Which blocks run: the policies, the model without the others, and what blocks are worth."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.command_line import run_command, run_eval
from tests.support.molmo_models import KINDS, prompt, row_of, small_engine, small_model
from tierexp.errors import ConfigError, DataError
from tierexp.evaluation.block_importance import measure_block_importance
from tierexp.models.block_importance import BlockImportance
from tierexp.models.knobs.active_blocks import ActiveBlocks, choose_blocks, read_importance
from tierexp.models.molmo.cache import KeyValueCache
from tierexp.models.molmo.checkpoint import MolmoCheckpoint

TINY = str(Path(__file__).parents[2] / "src" / "tierexp" / "assets" / "tiny")


@pytest.mark.parametrize(
    ("policy", "num_active", "expected"),
    [
        ("first", 3, (0, 1, 2)),
        ("first", 16, tuple(range(16))),
        ("last_skipped", 14, (*range(13), 15)),
        ("last_skipped", 1, (15,)),
        ("uniform", 1, (0,)),
        ("uniform", 2, (0, 15)),
        ("uniform", 4, (0, 5, 10, 15)),
        ("uniform", 3, (0, 8, 15)),  # 7.5 is rounded up
        ("importance", 4, (0, 3, 7, 15)),
    ],
)
def test_policies(policy: Any, num_active: int, expected: tuple[int, ...]) -> None:
    scores = [0.1] * 16
    for block, score in {0: 0.9, 15: 0.8, 7: 0.3, 3: 0.2}.items():
        scores[block] = score
    assert choose_blocks(16, num_active, policy, scores) == expected


@pytest.mark.parametrize("policy", ["first", "last_skipped", "uniform", "importance"])
@pytest.mark.parametrize("total", range(1, 20))
def test_as_many_blocks_as_asked_for_each_once_in_order(policy: Any, total: int) -> None:
    for number in range(1, total + 1):
        chosen = choose_blocks(total, number, policy, [0.0] * total)
        assert len(chosen) == number
        assert all(one < other for one, other in pairwise(chosen))
        assert 0 <= chosen[0] <= chosen[-1] < total
    assert choose_blocks(total, total, policy, [0.0] * total) == tuple(range(total))


def test_uniform_gaps_differ_by_one_block_at_most() -> None:
    for total in range(2, 40):
        for number in range(2, total + 1):
            gaps = {b - a for a, b in pairwise(choose_blocks(total, number, "uniform"))}
            assert max(gaps) - min(gaps) <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_skipped_blocks_are_as_good_as_gone(kind: str) -> None:
    """A model that skips a block, and the same model built without it."""
    long, inputs = small_engine(kind), prompt([9, 14])
    blocks = list(long.decoder_blocks)
    long.active_blocks = (1,)
    short = small_engine(kind)
    short.network.transformer.blocks = torch.nn.ModuleList(blocks[1:])
    short.active_blocks = (0,)
    short.network.load_state_dict(
        {
            name: value
            for name, value in long.network.state_dict().items()
            if "transformer.blocks" not in name
        },
        strict=False,
    )
    assert long.num_active_blocks == 1
    assert torch.equal(long.generate(inputs, 5), short.generate(inputs, 5))


def test_a_skipped_block_takes_no_room_in_the_cache() -> None:
    config, cpu = small_model("dense").config.decoder, torch.device("cpu")
    whole, part = (
        KeyValueCache(config, 2, 7, [cpu] * len(blocks), torch.float32, blocks)
        for blocks in (range(2), (1,))
    )
    keys = torch.rand(2, config.num_kv_heads, 3, config.head_dim)
    assert whole.num_bytes == 2 * part.num_bytes
    assert torch.equal(part.extend(1, keys, keys)[0], keys)
    with pytest.raises(KeyError):
        part.extend(0, keys, keys)


@pytest.mark.whole
def test_the_knob_reaches_the_model_and_the_results(tmp_path: Path) -> None:
    outcome = run_eval(
        "logger=none", "trainer=cpu", "data.max_samples=6", "data.num_workers=0", "tier=fixed_288",
        "model.num_active_blocks=2", f"output_dir={tmp_path}",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    (file,) = tmp_path.glob("*.json")
    assert file.name.endswith("_blocks2.json")
    content = json.loads(file.read_text())
    assert content["num_active_blocks"] == 2
    assert "2 blocks" in outcome.out
    assert content["knobs"] == {"top_k": 2, "num_active_blocks": 2}
    assert ActiveBlocks(2).blocks(4) == (0, 3)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"num_active_blocks": 0}, "model.num_active_blocks"),
        ({"num_active_blocks": 5}, "model.num_active_blocks"),
        ({"num_active_blocks": 1.5}, "model.num_active_blocks"),
        ({"block_policy": "best"}, "model.block_policy"),
        ({"block_policy": "importance"}, "model.block_importance"),
        ({"block_importance": "scores.json"}, "model.block_importance"),
        (
            {"block_policy": "importance", "block_importance": "/nowhere.json"},
            "model.block_importance",
        ),
    ],
)
def test_impossible_settings(settings: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as error:
        MolmoCheckpoint(TINY).with_knobs(settings)
    assert error.value.key == key


@pytest.mark.parametrize("content", ["{", "[1]", "{}", '{"block_importance": ["a"]}'])
def test_a_file_that_holds_no_scores(content: str, tmp_path: Path) -> None:
    file = tmp_path / "scores.json"
    file.write_text(content)
    with pytest.raises(DataError, match=r"scores\.json"):
        read_importance(file, 2)


def test_scores_of_another_model_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "scores.json"
    file.write_text('{"block_importance": [1, 2]}')
    assert read_importance(file, 2) == (1.0, 2.0)
    with pytest.raises(ConfigError, match=r"3 blocks.*the file has 2"):
        read_importance(file, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_importance_is_one_minus_the_mean_cosine(kind: str) -> None:
    """Against the stream recorded prompt by prompt, which has no padding to leave out."""
    model, lengths = small_engine(kind), [9, 14]
    inputs = prompt(lengths)
    measured = BlockImportance(model)
    with pytest.raises(ValueError, match="at least one"):
        _ = measured.scores
    measured.update(inputs)
    assert measured.num_tokens == sum(lengths)

    changes: list[list[torch.Tensor]] = [[], []]
    streams: list[torch.Tensor] = []
    for block in model.decoder_blocks:
        block.register_forward_hook(lambda _m, given, after: streams.extend([given[0], after]))
    for row in range(2):
        streams.clear()
        with torch.inference_mode():
            model.network(row_of(inputs, row))
        for number in range(2):
            before, after = streams[2 * number][0], streams[2 * number + 1][0]  # (T, C)
            cosines = (before * after).sum(-1) / before.norm(dim=-1) / after.norm(dim=-1)
            changes[number].extend(1 - cosines)
    expected = [float(torch.stack(of_block).mean()) for of_block in changes]
    assert measured.scores == pytest.approx(expected, rel=1e-4)


def test_a_block_that_does_nothing_matters_nothing() -> None:
    model = small_engine("dense")
    idle = model.decoder_blocks[1]
    for name, parameter in idle.named_parameters():
        if "attn_out" in name or "ff_out" in name:
            torch.nn.init.zeros_(parameter)
    measured = BlockImportance(model)
    model.active_blocks = (0,)  # measured all the same
    measured.update(prompt([9]))
    assert measured.scores[1] == pytest.approx(0, abs=1e-6)
    assert measured.scores[0] > 0.01


@pytest.mark.whole
def test_the_command_writes_what_the_knob_reads(tmp_path: Path) -> None:
    arguments = (
        "trainer=cpu", "data.max_samples=6", "data.num_workers=0", "tier=fixed_288",
        f"output_dir={tmp_path}",
    )  # fmt: skip
    outcome = run_command(measure_block_importance, "block_importance", *arguments)
    assert outcome.code == 0, outcome.err
    content = json.loads((tmp_path / "block_importance.json").read_text())
    scores = content["block_importance"]
    assert (len(scores), content["num_samples"], content["dataset"]) == (4, 6, "tierqa")
    scored = ActiveBlocks(1, "importance", str(tmp_path / "block_importance.json"))
    assert scored.blocks(4) == (max(range(4), key=scores.__getitem__),)
    refused = run_command(measure_block_importance, "block_importance", *arguments, "+logger=none")
    assert refused.code == 2


def test_no_model_has_no_blocks(tmp_path: Path) -> None:
    arguments = ("model=none", f"output_dir={tmp_path}")
    refused = run_command(measure_block_importance, "block_importance", *arguments)
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "model='none' is not possible: a Molmo" in refused.err
