"""Cached, batched, padded generation against recomputing everything for one sample."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.support.molmo_models import KINDS, prompt, row_of, small_engine, small_model
from tierexp.models.molmo.cache import KeyValueCache
from tierexp.models.molmo.engine import MolmoEngine
from tierexp.models.molmo.model import Molmo
from tierexp.models.molmo.model_inputs import ModelInputs
from tierexp.models.protocol import VisionLanguageModel

LENGTHS = [14, 10, 12]
NEW_TOKENS = 6


@torch.inference_mode()
def answer_without_cache(model: Molmo, inputs: ModelInputs, new_tokens: int) -> list[int]:
    """The answer to the only sample of `inputs`, which has no padding."""
    features = model.vision_features(inputs.pixels, inputs.patch_mask)
    ids, answer = inputs.input_ids, []
    for _ in range(new_tokens):
        logits = model.decode(ids, features, inputs.image_input_idx)
        answer.append(int(logits[0, -1].argmax()))
        ids = torch.cat([ids, torch.tensor([[answer[-1]]])], dim=1)
    return answer


def test_molmo_serves_the_protocol() -> None:
    model: VisionLanguageModel = small_engine("mixture")
    assert (model.top_k, model.num_active_blocks) == (2, 2)


@pytest.mark.parametrize("kind", KINDS)
def test_generation_equals_full_recomputation(kind: str) -> None:
    model, inputs = small_engine(kind), prompt(LENGTHS)
    generated = model.generate(inputs, NEW_TOKENS)
    assert generated.dtype == torch.int64
    expected = [
        answer_without_cache(model.network, row_of(inputs, i), NEW_TOKENS) for i in range(3)
    ]
    assert generated.tolist() == expected


@pytest.mark.parametrize("kind", KINDS)
def test_logits_do_not_depend_on_padding(kind: str) -> None:
    model, inputs = small_model(kind), prompt(LENGTHS)
    with torch.inference_mode():
        together = model(inputs)
        for i, length in enumerate(LENGTHS):
            alone = model(row_of(inputs, i))[0]
            torch.testing.assert_close(together[i, -length:], alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("split", [1, 5, 9])
def test_a_prompt_can_be_read_in_two_parts(split: int) -> None:
    model, inputs = small_model("dense"), prompt(LENGTHS)
    ids, mask = inputs.input_ids, inputs.attention_mask
    config, blocks = model.config.decoder, range(2)
    cache = KeyValueCache(config, 3, max(LENGTHS), [torch.device("cpu")] * 2, torch.float32, blocks)
    with torch.inference_mode():
        whole = model.decode(ids, attention_mask=mask)
        model.decode(ids[:, :split], attention_mask=mask[:, :split], cache=cache)
        assert cache.length == split
        rest = model.decode(ids[:, split:], attention_mask=mask, cache=cache)
        torch.testing.assert_close(rest, whole[:, split:], rtol=1e-4, atol=1e-4)


def test_after_the_end_of_text_a_row_holds_nothing_else() -> None:
    inputs = prompt(LENGTHS)
    free = small_engine("mixture").generate(inputs, NEW_TOKENS)
    end = int(free[1, 2])
    ended = small_engine("mixture", end_of_text_id=end).generate(inputs, NEW_TOKENS)

    def cut(row: Tensor) -> list[int]:
        tokens = row.tolist()
        ends = tokens.index(end) if end in tokens else len(tokens)
        return tokens[:ends]

    assert [cut(row) for row in ended] == [cut(row) for row in free]
    for row in ended:
        assert set(row[len(cut(row)) :].tolist()) <= {end}


def test_generation_stops_when_every_row_has_ended() -> None:
    inputs = row_of(prompt(LENGTHS), 0)
    first = int(small_engine("dense").generate(inputs, 1)[0, 0])
    model = small_engine("dense", end_of_text_id=first)
    assert model.generate(inputs, NEW_TOKENS).tolist() == [[first]]


@pytest.mark.parametrize("fixed_length", [False, True])
def test_an_answer_of_no_tokens_has_none(fixed_length: bool) -> None:
    answers = small_engine("dense").generate(prompt(LENGTHS), 0, fixed_length=fixed_length)
    assert (answers.shape, answers.dtype) == ((3, 0), torch.int64)


def test_wanted_logits_are_those_of_all() -> None:
    model, inputs = small_model("mixture"), prompt(LENGTHS)
    wanted = torch.tensor([[13, 2], [5, 5], [0, 1]])
    everywhere = model.decode(inputs.input_ids)
    some = model.decode(inputs.input_ids, logits_at=wanted)
    for row in range(3):
        torch.testing.assert_close(some[row], everywhere[row, wanted[row]])


def test_a_mask_of_all_pairs_replaces_the_causal_one() -> None:
    model, inputs = small_model("dense"), prompt([12])
    ids = inputs.input_ids
    causal = torch.ones(1, 1, 12, 12, dtype=torch.bool).tril()
    torch.testing.assert_close(model.decode(ids), model.decode(ids, attention_mask=causal))
    # Two questions after a shared start, packed into one sequence, as if each stood alone.
    shared, first, second = ids[:, :6], ids[:, 6:9], ids[:, 9:]
    packed = causal.clone()
    packed[..., 9:, 6:9] = False
    positions = torch.tensor([[*range(9), 6, 7, 8]])
    together = model.decode(ids, attention_mask=packed, position_ids=positions)
    for question, place in ((first, slice(6, 9)), (second, slice(9, 12))):
        alone = model.decode(torch.cat([shared, question], dim=1))
        torch.testing.assert_close(together[:, place], alone[:, 6:], rtol=1e-4, atol=1e-4)


def test_skipped_blocks_change_nothing_else() -> None:
    model, inputs = small_model("dense"), prompt([12])
    with torch.no_grad():
        for parameter in model.transformer.blocks[0].parameters():
            parameter.zero_()
    everything = model.decode(inputs.input_ids)
    torch.testing.assert_close(model.decode(inputs.input_ids, active_blocks=[1]), everything)
    engine = MolmoEngine(model)
    answer = engine.generate(inputs, 3)
    engine.active_blocks = [1]
    assert engine.num_active_blocks == 1
    assert torch.equal(engine.generate(inputs, 3), answer)


def test_features_are_added_where_they_belong() -> None:
    model, inputs = small_model("dense"), prompt(LENGTHS)
    ids, positions = inputs.input_ids, inputs.image_input_idx
    features = torch.randn(3, 2, 4, 32)
    embedded = model.transformer.wte(ids).clone()
    for b in range(3):
        for n in range(2):
            for k in range(4):
                if positions[b, n, k] >= 0:
                    embedded[b, positions[b, n, k]] += features[b, n, k]
    hidden = model.transformer(
        embedded, torch.arange(14).expand(3, -1), None, active_blocks=range(2)
    )
    torch.testing.assert_close(
        model.decode(ids, features, positions), model.lm_head(hidden), rtol=1e-4, atol=1e-4
    )


def test_extra_ids_are_embedded_by_the_second_table() -> None:
    wte = small_model("dense").transformer.wte
    joined = torch.cat([wte.embedding, wte.new_embedding])
    ids = torch.arange(48).view(2, 24)
    torch.testing.assert_close(wte(ids), joined[ids])


@pytest.mark.parametrize("kind", KINDS)
def test_generation_under_autocast_equals_recomputation(kind: str) -> None:
    model, inputs = small_engine(kind), row_of(prompt(LENGTHS), 0)
    with torch.autocast("cpu", torch.bfloat16):
        first = model.generate(inputs, 1)
        assert first.tolist() == [answer_without_cache(model.network, inputs, 1)]
        assert model.generate(inputs, NEW_TOKENS).shape == (1, NEW_TOKENS)
