"""Prefill of images that several prompts share against reading every prompt alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.support.molmo_models import IMAGE_END, KINDS, prompt, row_of, sharing, small_engine
from tierexp.models.molmo.cache import KeyValueCache
from tierexp.models.molmo.engine import MolmoEngine
from tierexp.models.molmo.model_inputs import ModelInputs
from tierexp.models.molmo.prefill import prefill

CPU = torch.device("cpu")
LENGTHS = [14, 10, 12, 14, 11]


@torch.inference_mode()
def tokens_read(model: MolmoEngine, inputs: ModelInputs) -> list[int]:
    """Tokens, padding included, of each pass through the decoder that a prefill takes."""
    passes: list[int] = []
    hook = model.decoder_blocks[0].register_forward_hook(
        lambda _, args, __: passes.append(args[0].shape[:2].numel())
    )
    features = model.vision_features(inputs.pixels, inputs.patch_mask)
    prefill(model.network, inputs, features, new_tokens=1, knobs=model.knobs)
    hook.remove()
    return passes


def logits_of(model: MolmoEngine, inputs: ModelInputs) -> torch.Tensor:
    """Of every position, in one pass."""
    return model.network.decode(
        inputs.input_ids,
        model.network.image_features(inputs),
        inputs.image_input_idx,
        attention_mask=inputs.attention_mask,
        active_blocks=model.active_blocks,
        top_k=model.top_k,
    )


@torch.inference_mode()
def check(model: MolmoEngine, inputs: ModelInputs) -> None:
    """Logits and answers are those of every prompt alone, without padding and in one pass."""
    features = model.vision_features(inputs.pixels, inputs.patch_mask)
    generated = model.generate(inputs, 5)
    for pack in (False, True):
        logits = prefill(model.network, inputs, features, 1, model.knobs, pack=pack).logits
        for row in range(len(inputs.input_ids)):
            alone = row_of(inputs, row)
            expected = logits_of(model, alone)[0, -1]
            torch.testing.assert_close(logits[row], expected, rtol=1e-4, atol=1e-4)
            assert generated[row].tolist() == model.generate(alone, 5)[0].tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_prompts_that_share_an_image(kind: str) -> None:
    check(small_engine(kind), sharing(LENGTHS, [0, 0, 1, 1, 1], [0, 0]))


def test_beginnings_of_unequal_length() -> None:
    check(small_engine("mixture"), sharing(LENGTHS, [0, 0, 1, 1, 2], [0, 3, 1]))


def test_images_that_begin_at_different_places_are_read_one_by_one() -> None:
    inputs = sharing([14, 10, 12], [0, 0, 1], [0, 3])
    lengths = [IMAGE_END, IMAGE_END + 3, 3 * (14 - IMAGE_END)]
    assert tokens_read(small_engine("dense"), inputs) == lengths


def test_what_memory_held_before_an_image_is_not_seen() -> None:
    """Not a number times nothing is not a number."""
    model = small_engine("dense")
    cache = KeyValueCache(model.network.config.decoder, 2, 5, [CPU, CPU], torch.float32, (0, 1))
    cache.count(5)
    for tensor in cache.of(0):
        tensor.fill_(torch.nan)
    row = cache.row(1, 2)
    row.extend(0, torch.ones(1, 2, 3, 8), torch.ones(1, 2, 3, 8))
    assert row.lengths == (3, 0)
    for tensor in cache.of(0):
        assert tensor[1].mean(dim=(0, 2)).tolist() == [0, 0, 1, 1, 1]
        assert tensor[0].isnan().all()


def test_questions_of_equal_length() -> None:
    check(small_engine("dense"), sharing([12, 12, 12], [0, 0, 0], [0]))


def test_images_in_any_order() -> None:
    check(small_engine("mixture"), sharing(LENGTHS, [1, 0, 1, 2, 0], [2, 0, 0]))


def test_an_image_is_read_once() -> None:
    inputs = sharing([14, 10, 12], [0, 0, 1], [0, 0])
    assert tokens_read(small_engine("dense"), inputs) == [2 * IMAGE_END, 3 * (14 - IMAGE_END)]


def test_images_that_are_not_shared_save_the_mask_alone() -> None:
    """Of equal length they are read first and the questions behind them; otherwise all at once."""
    model = small_engine("dense")
    for before, expected in (([0, 0], [2 * IMAGE_END, 2 * (14 - IMAGE_END)]), ([0, 3], [2 * 14])):
        inputs = sharing([14, 10], [0, 1], before)
        assert tokens_read(model, inputs) == expected
        check(model, inputs)


@pytest.mark.parametrize("lengths", [[14, IMAGE_END, 10], [IMAGE_END] * 3])
def test_prompts_that_end_with_their_image(lengths: list[int]) -> None:
    check(small_engine("dense"), sharing(lengths, [0, 0, 0], [0]))


@pytest.mark.parametrize(("block", "top_k"), [(0, 1), (1, 3)])
def test_the_knobs_hold_for_both_parts(block: int, top_k: int) -> None:
    model = small_engine("mixture")
    model.active_blocks, model.top_k = (block,), top_k
    check(model, sharing(LENGTHS, [0, 0, 1, 1, 1], [0, 2]))


def test_a_prompt_alone_is_read_in_one_pass() -> None:
    assert tokens_read(small_engine("dense"), prompt([12])) == [12]


def test_prompts_that_begin_differently_are_read_whole() -> None:
    inputs = sharing([14, 10, 12], [0, 0, 0], [0])
    inputs.input_ids[1, -10] = (inputs.input_ids[1, -10] + 1) % 40
    model = small_engine("mixture")
    assert tokens_read(model, inputs) == [3 * 14]
    check(model, inputs)


def test_prompts_without_a_place_for_their_image() -> None:
    inputs = sharing(LENGTHS, [0, 0, 1, 1, 1], [0, 0])
    check(
        small_engine("dense"),
        replace(inputs, image_input_idx=torch.full_like(inputs.image_input_idx, -100)),
    )
