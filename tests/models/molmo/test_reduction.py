"""Molmo with fewer vision tokens, against the whole prompt with the others hidden by a mask."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.support.flop_counter import Counter
from tests.support.molmo_models import KINDS, prompt, row_of, sharing, small_engine
from tests.support.parameters import slow
from tierexp.errors import ConfigError
from tierexp.models.knobs.reduction import settings
from tierexp.models.knobs.reduction.settings import DecoderReduction, Reduction
from tierexp.models.molmo.engine import MolmoEngine
from tierexp.models.molmo.model_inputs import ModelInputs
from tierexp.models.molmo.prefill import Prefilled
from tierexp.models.molmo.pruned_prefill import sequences
from tierexp.models.molmo.reduction import LOOKS_AT_ENCODER, reduced

VISION = 7
"""Vision tokens of `prompt`: two views of four, one of which is dropped."""
LENGTHS = [14, 10, 12]
BEFORE_DECODER: dict[str, Any] = {
    "random": settings.RandomTokens,
    "stride": settings.StridedTokens,
    "pool": settings.PooledTokens,
    "cls_attention": settings.ClassAttention,
    "vision_zip": settings.VisionZip,
    "merge": settings.MergedTokens,
    "diverse": settings.DiverseTokens,
}
IN_DECODER: dict[str, Any] = {
    "text": lambda **how: settings.TextRelevance(block=1, **how),
    "fastv": lambda **how: settings.FastV(block=1, **how),
    "fastv from all": lambda **how: settings.FastV(block=1, received_from="all", **how),
}
METHODS = BEFORE_DECODER | IN_DECODER


@torch.inference_mode()
def prefilled(model: MolmoEngine, inputs: ModelInputs, reduction: Reduction) -> Prefilled:
    model.token_reduction = reduction
    return model._prefill(inputs, model.encoded(inputs), 4)


def blocks_read(model: MolmoEngine, inputs: ModelInputs, reduction: Reduction) -> list[int]:
    """The length of every sequence that a block was given."""
    lengths: list[int] = []
    hooks = [
        block.register_forward_hook(lambda _, args, __: lengths.append(args[0].shape[1]))
        for block in model.decoder_blocks
    ]
    prefilled(model, inputs, reduction)
    for hook in hooks:
        hook.remove()
    return lengths


def test_every_method_is_here() -> None:
    served = {make(keep=0.5).method for make in METHODS.values()}
    assert served == {*settings.METHODS} - {"none"}


def assert_rounded_alike(actual: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)


def assert_same_bits(actual: torch.Tensor, expected: torch.Tensor) -> None:
    assert torch.equal(actual, expected)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("kind", "how"),
    [("dense", {"tokens": VISION}), ("mixture", {"keep": 1.0}), ("olmo", {"keep": 1.0})],
)
def test_keeping_all_is_none_bit_by_bit(kind: str, method: str, how: dict[str, Any]) -> None:
    """But for rounding where the encoder is looked at, and so computes tokens that nobody reads."""
    equal = assert_rounded_alike if method in LOOKS_AT_ENCODER else assert_same_bits
    model, inputs = small_engine(kind), prompt(LENGTHS)
    plain = prefilled(model, inputs, settings.NoReduction())
    same = prefilled(model, inputs, METHODS[method](**how))
    equal(same.logits, plain.logits)
    assert same.cache.lengths == plain.cache.lengths
    assert same.cache.num_bytes == plain.cache.num_bytes
    for block in range(2):
        equal(same.cache.of(block)[0], plain.cache.of(block)[0])
    answers = model.generate(inputs, 3)
    model.token_reduction = settings.NoReduction()
    assert torch.equal(answers, model.generate(inputs, 3))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("count", [1, 3, 6])
def test_so_many_are_kept_in_every_layer_and_in_the_cache(method: str, count: int) -> None:
    model, inputs = small_engine("dense"), row_of(prompt([14]), 0)
    reduction = METHODS[method](tokens=count)
    left = 14 - VISION + count
    early = 14 if isinstance(reduction, DecoderReduction) else left
    assert blocks_read(model, inputs, reduction) == [early, left]
    cache = prefilled(model, inputs, reduction).cache
    assert cache.lengths == (early, left)
    config = model.network.config.decoder
    per_token = 2 * config.num_kv_heads * config.head_dim * 4
    assert cache.num_bytes == (early + left + 2 * 4) * per_token


@pytest.mark.parametrize(("keep", "kept"), [(0.5, 4), (0.36, 3), (0.35, 2), (0.01, 1)])
def test_a_share_is_rounded_half_up_and_never_nothing(keep: float, kept: int) -> None:
    assert settings.StridedTokens(keep=keep).count(VISION) == kept


@pytest.mark.parametrize("method", BEFORE_DECODER)
def test_all_text_stays_wherever_it_stands(method: str) -> None:
    """Image tokens are told by where features are added, not by a place or an id."""
    inputs = sharing([20, 16, 19], [0, 0, 1], before=[3, 5])
    model = small_engine("dense")
    model.token_reduction = BEFORE_DECODER[method](tokens=2)
    short = reduced(inputs, model.encoded(inputs), model.token_reduction).inputs
    for row in range(3):
        real = inputs.attention_mask[row].clone()
        places = inputs.image_input_idx[row]
        real[places[places >= 0]] = False
        after = short.attention_mask[row].clone()
        places = short.image_input_idx[row]
        assert (places >= 0).sum() == 2
        after[places[places >= 0]] = False
        assert short.input_ids[row][after].tolist() == inputs.input_ids[row][real].tolist()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["dense", "mixture", slow("olmo")])
def test_a_batch_answers_as_every_sample_alone(kind: str, method: str) -> None:
    """Whatever is padded, and also where prompts share an image: each keeps tokens of its own."""
    model = small_engine(kind)
    model.token_reduction = METHODS[method](tokens=3)
    for inputs in (prompt(LENGTHS), sharing([14, 12, 13, 11], [0, 0, 1, 1], before=[0, 2])):
        answers = model.generate(inputs, 3)
        logits = prefilled(model, inputs, model.token_reduction).logits
        for row in range(len(answers)):
            alone = row_of(inputs, row)
            expected = prefilled(model, alone, model.token_reduction).logits
            assert torch.allclose(logits[row], expected[0], atol=1e-4)
            assert answers[row].tolist() == model.generate(alone, 3)[0].tolist()


# What was kept, hidden behind a mask


@pytest.mark.parametrize("method", ["random", "stride", "cls_attention", "diverse"])
@torch.inference_mode()
def test_a_shorter_prompt_is_the_whole_one_with_the_others_hidden(method: str) -> None:
    model, inputs = small_engine("mixture"), row_of(prompt([14]), 0)
    reduction = BEFORE_DECODER[method](tokens=4)
    found = prefilled(model, inputs, reduction)
    encoded = model.encoded(inputs)
    short = reduced(inputs, encoded, reduction)
    features = encoded.features.flatten(0, 2)
    kept = [
        next(i for i, whole in enumerate(features) if torch.equal(whole, token))
        for token in short.features[0, 0]
    ]
    places = inputs.image_input_idx.flatten()
    visible = torch.ones(1, 14, dtype=torch.bool)
    visible[0, places[places >= 0]] = False
    visible[0, places[kept]] = True
    sees = torch.ones(14, 14, dtype=torch.bool).tril() & (visible[0] | torch.eye(14).bool())
    logits = model.network.decode(
        inputs.input_ids,
        encoded.features,
        inputs.image_input_idx,
        attention_mask=sees[None, None],
        position_ids=(visible.long().cumsum(1) - 1).clamp(min=0),
        top_k=model.top_k,
    )
    assert torch.allclose(found.logits, logits[:, -1], atol=1e-4)


def reference(model: MolmoEngine, inputs: ModelInputs, answer: Tensor, hidden: Tensor) -> Tensor:
    """Logits of the last token of one whole prompt and answer, read at once: block 1 does not see
    the tokens at `hidden`.
    """
    network = model.network
    ids = torch.cat([inputs.input_ids, answer], dim=1)
    length = ids.shape[1]
    sees = torch.ones(length, length, dtype=torch.bool).tril()
    fewer = sees.clone()
    fewer[:, hidden] = False
    fewer |= torch.eye(length).bool()
    block = network.transformer.blocks[1]
    forward = block.forward

    def masked(x: Tensor, angles: Any, mask: Any, *rest: Any) -> Tensor:
        del mask
        return forward(x, angles, fewer[None, None], *rest)  # type: ignore[no-any-return]

    block.forward = masked  # type: ignore[method-assign]
    try:
        features = network.image_features(inputs)
        logits = network.decode(
            ids, features, inputs.image_input_idx, attention_mask=sees[None, None],
            top_k=model.top_k,
        )  # fmt: skip
    finally:
        block.forward = forward  # type: ignore[method-assign]
    return logits[:, -1]


def attention_maps(model: MolmoEngine, inputs: ModelInputs) -> Tensor:
    """(H, T, T): what block 0 attends to in one prompt, all of it."""
    seen: list[Tensor] = []
    attention = model.decoder_blocks[0].attn.attention
    hook = attention.register_forward_hook(lambda _, args, __: seen.extend(args[:2]))
    model.network(inputs)
    hook.remove()
    queries, keys = seen[0][0], seen[1][0]
    keys = keys.repeat_interleave(len(queries) // len(keys), dim=0)
    scores = queries @ keys.mT / queries.shape[-1] ** 0.5
    return scores.masked_fill(~torch.ones(scores.shape[-2:]).tril().bool(), -torch.inf).softmax(-1)


def relevance(model: MolmoEngine, inputs: ModelInputs, method: str) -> Tensor:
    """(T,): the score of every token of one prompt, from whole attention maps."""
    maps = attention_maps(model, inputs).mean(0)
    if method == "fastv":
        return maps[-1]
    if method == "fastv from all":
        return maps.mean(0)
    network = model.network
    embedded = network.embed(
        inputs.input_ids, network.image_features(inputs), inputs.image_input_idx
    )[0]
    where = sequences(inputs.attention_mask, inputs.image_input_idx)
    question = where.asks[0].nonzero().squeeze(1)
    shares = (embedded[where.vision[0]] @ embedded[question].T).softmax(1).mean(0)
    return maps[question[shares >= shares.mean()]].mean(0)


@pytest.mark.parametrize("method", IN_DECODER)
@pytest.mark.parametrize("kind", KINDS)
@torch.inference_mode()
def test_what_leaves_in_the_decoder_is_hidden_from_later_blocks(kind: str, method: str) -> None:
    model, inputs = small_engine(kind, seed=3), row_of(prompt([15]), 0)
    reduction = IN_DECODER[method](tokens=3)
    places = inputs.image_input_idx.flatten()
    places = places[places >= 0]
    scores = relevance(model, inputs, method)[places]
    hidden = places[scores.argsort(descending=True)[3:]]
    found = prefilled(model, inputs, reduction)
    nothing = inputs.input_ids[:, :0]
    assert torch.allclose(found.logits, reference(model, inputs, nothing, hidden), atol=1e-4)
    answer = model.generate(inputs, 4)
    for length in range(4):
        logits = reference(model, inputs, answer[:, :length], hidden)
        assert int(logits.argmax()) == int(answer[0, length])


@torch.inference_mode()
def test_the_question_is_all_that_follows_the_image() -> None:
    inputs = prompt([14, 11])
    where = sequences(inputs.attention_mask, inputs.image_input_idx)
    assert where.vision.sum(1).tolist() == [VISION, VISION]
    assert where.asks[0].nonzero().squeeze(1).tolist() == list(range(9, 14))
    assert where.asks[1].nonzero().squeeze(1).tolist() == list(range(12, 14))


@pytest.mark.parametrize("method", IN_DECODER)
def test_two_questions_about_one_image_keep_tokens_of_their_own(method: str) -> None:
    model = small_engine("dense", seed=1)
    inputs = sharing([15, 15], [0, 0], before=[0])
    for row in range(2):
        alone = row_of(inputs, row)
        reduction = IN_DECODER[method](tokens=2)
        together = prefilled(model, inputs, reduction).logits[row]
        assert torch.allclose(together, prefilled(model, alone, reduction).logits[0], atol=1e-4)


@pytest.mark.parametrize("method", IN_DECODER)
def test_blocks_that_see_every_token_read_a_shared_image_once(method: str) -> None:
    model = small_engine("dense")
    inputs = sharing([14, 14, 14, 14], [0, 0, 0, 1], before=[0, 0])
    passes: list[list[int]] = [[], []]
    for block, seen in zip(model.decoder_blocks, passes, strict=True):
        block.register_forward_hook(
            lambda _, args, __, seen=seen: seen.append(args[0].shape[:2].numel())
        )
    prefilled(model, inputs, IN_DECODER[method](tokens=2))
    # Two images of nine tokens and four questions of five; then four prompts of fourteen less five.
    assert passes == [[2 * 9, 4 * 5], [4 * 9]]


# Sizes in attention (2210.09461, equation 1)


@pytest.mark.parametrize("kind", KINDS)
@torch.inference_mode()
def test_a_merged_token_counts_as_often_as_its_size(kind: str) -> None:
    """A token of size s is read as s copies of it at one position would be."""
    model, inputs = small_engine(kind), row_of(prompt([14]), 0)
    reduction = settings.MergedTokens(tokens=3)
    found = prefilled(model, inputs, reduction)
    short = reduced(inputs, model.encoded(inputs), reduction)
    assert short.sizes is not None
    sizes = [int(size) for size in short.sizes.flatten()]
    assert sum(sizes) == VISION
    assert max(sizes) > 1
    places = short.inputs.image_input_idx.flatten().tolist()
    copies = [1] * short.inputs.input_ids.shape[1]
    for place, size in zip(places, sizes, strict=True):
        copies[place] = size
    repeat = torch.tensor(copies)
    position = torch.arange(len(copies)).repeat_interleave(repeat)  # of every copy
    embedded = model.network.embed(
        short.inputs.input_ids, short.features, short.inputs.image_input_idx
    )
    hidden = model.network.transformer(
        embedded.repeat_interleave(repeat, dim=1),
        position[None],
        (position[None, :] <= position[:, None])[None, None],
        active_blocks=(0, 1),
        top_k=model.top_k,
    )
    logits = model.network.lm_head(hidden[:, -1])
    assert torch.allclose(found.logits, logits, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@torch.inference_mode()
def test_answers_after_merging_are_those_of_the_prompt_read_again(kind: str) -> None:
    model, inputs = small_engine(kind, seed=2), row_of(prompt([14]), 0)
    model.token_reduction = settings.MergedTokens(tokens=2)
    answer = model.generate(inputs, 4)
    for length in range(1, 4):
        longer = ModelInputs(
            torch.cat([inputs.input_ids, answer[:, :length]], dim=1),
            torch.ones(1, 14 + length, dtype=torch.bool),
            inputs.pixels, inputs.patch_mask, inputs.image_input_idx, inputs.image_index,
        )  # fmt: skip
        logits = prefilled(model, longer, model.token_reduction).logits
        assert int(logits.argmax()) == int(answer[0, length])


# Cost


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["dense", "mixture", slow("olmo")])
def test_the_cost_is_what_torch_counts(
    kind: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MolmoEngine, "_received", lambda *_: None)  # whole views are estimated
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)  # experts without padding
    model, inputs = small_engine(kind), row_of(prompt([14]), 0)
    model.token_reduction = METHODS[method](tokens=3)
    counter = Counter()
    model.generate(inputs, 3, clock=counter, fixed_length=True)
    estimated = model.stage_flops(inputs, 3)
    for stage, counted in counter.flops.items():
        assert getattr(estimated, stage) == pytest.approx(counted, rel=0.02), stage


@pytest.mark.parametrize("method", [*METHODS, "none"])
def test_the_cache_takes_what_is_said(method: str) -> None:
    model, inputs = small_engine("dense"), row_of(prompt([14]), 0)
    model.token_reduction = (
        settings.NoReduction() if method == "none" else METHODS[method](tokens=3)
    )
    with torch.inference_mode():
        cache = model._prefill(inputs, model.encoded(inputs), 5).cache
    assert model.cache_bytes(inputs, 6) == cache.num_bytes


def test_more_tokens_than_there_are_is_refused() -> None:
    model, inputs = small_engine("dense"), prompt(LENGTHS)
    for make in METHODS.values():
        model.token_reduction = make(tokens=VISION + 1)
        with pytest.raises(ConfigError, match=r"reduction\.tokens=8 .*at most 7"):
            model.generate(inputs, 1)


# Encoded once


def test_remembered_images_are_the_same_bits_and_encoded_once() -> None:
    model, inputs = small_engine("mixture"), prompt(LENGTHS)
    other = prompt(LENGTHS, seed=1)
    expected = {}
    for method, make in METHODS.items():
        model.token_reduction = make(tokens=3)
        expected[method] = [model.generate(batch, 4) for batch in (inputs, other)]
    model.remember(2**20)
    encoded: list[int] = []
    model.network.vision_backbone.register_forward_hook(lambda *_: encoded.append(1))
    for method, make in METHODS.items():
        model.token_reduction = make(tokens=3)
        for batch, answer in zip((inputs, other), expected[method], strict=True):
            assert torch.equal(model.generate(batch, 4), answer)
    assert len(encoded) == 2
    model.generate(inputs, 4, clock=Counter())  # what is timed is computed
    assert len(encoded) == 3
    model.remember(1)
    for _ in range(2):
        model.generate(inputs, 4)
    assert len(encoded) == 5
    assert model.memory is not None
    assert model.memory.num_bytes == 0
