"""Answers of Molmo2 against the library's own, and what the knobs do to them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import Molmo2ForConditionalGeneration

from tests.support.flop_counter import Counter
from tests.support.molmo2_models import (
    OLMO,
    PROCESSOR,
    formula_image,
    small_network,
    write_settings,
)
from tierexp.errors import ConfigError
from tierexp.imaging.preprocess import preprocess, stack_views
from tierexp.imaging.resize import Resize
from tierexp.models.block_importance import BlockImportance
from tierexp.models.knobs.reduction.settings import (
    NO_REDUCTION,
    DiverseTokens,
    FastV,
    PooledTokens,
    RandomTokens,
    Reduction,
    StridedTokens,
)
from tierexp.models.molmo.model_inputs import ModelInputs
from tierexp.models.molmo.token_layout import layout_tokens
from tierexp.models.molmo2.checkpoint import METHODS
from tierexp.models.molmo2.model import Molmo2
from tierexp.models.molmo2.pooling import pooled_patches
from tierexp.models.molmo2.prompt import Molmo2ImageTokens
from tierexp.models.molmo2.reduction import reduced
from tierexp.models.molmo2.settings import Molmo2Settings, read_settings
from tierexp.models.patches import normalised_patches
from tierexp.tiers.geometry import Tiling

KINDS: dict[str, dict[str, Any]] = {
    "qwen": {},
    "olmo": OLMO,
    "scaled": {
        "rope_parameters": {
            "rope_type": "yarn",
            "rope_theta": 10000.0,
            "factor": 8.0,
            "original_max_position_embeddings": 64,
        },
        "rope_scaling_layers": [1, 3],
    },
}
TOKENS = Molmo2ImageTokens(
    im_start=320, view_start=324, im_end=321, im_patch=322, im_col=323, view_col=None
)  # fmt: skip
NEVER = 319
NEW_TOKENS = 6


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Molmo2Settings:
    folder = tmp_path_factory.mktemp("molmo2")
    write_settings(folder)
    return read_settings(folder)


def model_of(
    settings: Molmo2Settings, kind: str = "qwen", end_ids: tuple[int, ...] = (NEVER,)
) -> Molmo2:
    return Molmo2(small_network(**KINDS[kind]), settings, TOKENS, end_ids)


def inputs_of(
    settings: Molmo2Settings, images: list[Tiling], prompts: list[tuple[int, list[int]]]
) -> ModelInputs:
    """A batch of (image, question), padded on the left, as `collate_inputs` makes it."""
    geometry = settings.geometry
    resize = Resize("stretch", "stretch", exact=False, antialias=False)
    pictures = [formula_image(90 + 70 * rows, 80 + 60 * cols) for rows, cols in images]
    prepared = [
        preprocess(picture, tiling, resize, geometry)
        for picture, tiling in zip(pictures, images, strict=True)
    ]
    rows = [layout_tokens(images[i], geometry, TOKENS, [2], ids) for i, ids in prompts]
    longest = max(len(row.input_ids) for row in rows)
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    mask = torch.zeros(len(rows), longest, dtype=torch.bool)
    positions = []
    for number, row in enumerate(rows):
        padding = longest - len(row.input_ids)
        ids[number, padding:] = torch.from_numpy(row.input_ids)
        mask[number, padding:] = True
        idx = torch.from_numpy(row.image_input_idx)
        positions.append(torch.where(idx < 0, idx, idx + padding))
    return ModelInputs(
        input_ids=ids,
        attention_mask=mask,
        pixels=torch.from_numpy(stack_views(prepared)),
        patch_mask=torch.stack([torch.from_numpy(image.patch_mask) for image in prepared]),
        image_input_idx=torch.stack(positions),
        image_index=torch.tensor([image for image, _ in prompts]),
    )


def the_librarys_answer(
    network: Molmo2ForConditionalGeneration,
    settings: Molmo2Settings,
    inputs: ModelInputs,
    kept: list[int] | None = None,
) -> Tensor:
    """`generate` of the whole library, told what its own processor would tell it; of one prompt
    without padding, where only the kept ones of its vision tokens are there.
    """
    (pooling,) = pooled_patches(inputs, settings.geometry)
    ids = inputs.input_ids
    if kept is not None:
        pooling = pooling[kept]
        of_vision = iter(range(10**6))
        ids = torch.tensor(
            [[i for i in ids[0].tolist() if i != TOKENS.im_patch or next(of_vision) in kept]]
        )
    with torch.inference_mode():
        answer = network.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids) if kept else inputs.attention_mask.long(),
            mm_token_type_ids=torch.isin(ids, torch.tensor([320, 321, 322, 323, 324])).long(),
            pixel_values=normalised_patches(inputs.pixels[0], 14, (0.5,) * 3, (0.5,) * 3),
            image_token_pooling=pooling,
            image_grids=torch.tensor([[1, 1, len(pooling) - 1, 1]]),
            image_num_crops=torch.tensor([inputs.pixels.shape[1]]),
            max_new_tokens=NEW_TOKENS,
            do_sample=False,
            eos_token_id=None,
        )
    return answer[:, ids.shape[1] :]


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_is_the_librarys(settings: Molmo2Settings, kind: str) -> None:
    model = model_of(settings, kind)
    answers = set()
    for tiling, question in (((2, 3), [5, 6, 7, 8]), ((1, 4), [7, 8, 9, 10]), ((2, 2), [11])):
        inputs = inputs_of(settings, [tiling], [(0, question)])
        expected = the_librarys_answer(model.network, settings, inputs)
        torch.testing.assert_close(model.generate(inputs, NEW_TOKENS), expected)
        answers.add(tuple(expected[0].tolist()))
    assert len(answers) > 1


@pytest.mark.parametrize("kind", KINDS)
def test_kept_vision_tokens_are_as_if_there_were_no_others(
    settings: Molmo2Settings, kind: str
) -> None:
    model = model_of(settings, kind)
    model.token_reduction = StridedTokens(tokens=7)
    answers = set()
    for tiling, question in (((2, 3), [5, 6, 7, 8]), ((1, 4), [7, 8, 9, 10]), ((2, 2), [11])):
        inputs = inputs_of(settings, [tiling], [(0, question)])
        total = int((inputs.input_ids == TOKENS.im_patch).sum())
        middles = [(2 * number + 1) * total // 14 for number in range(7)]
        expected = the_librarys_answer(model.network, settings, inputs, middles)
        assert model.generate(inputs, NEW_TOKENS).tolist() == expected.tolist()
        answers.add(tuple(expected[0].tolist()))
    assert len(answers) > 1


REDUCTIONS: list[Reduction] = [
    RandomTokens(keep=0.5), StridedTokens(tokens=5), PooledTokens(tokens=6), DiverseTokens(keep=0.3)
]  # fmt: skip


@pytest.mark.parametrize("reduction", REDUCTIONS, ids=lambda reduction: reduction.method)
def test_a_reduced_batch_answers_as_its_rows_alone(
    settings: Molmo2Settings, reduction: Reduction
) -> None:
    """Images of different tilings, so that each has its own places and number of tokens."""
    tilings, questions = [(1, 4), (2, 2)], [(1, [5, 6]), (0, [7, 8, 9, 10]), (1, [11])]
    model = model_of(settings)
    model.token_reduction = reduction
    together = model.generate(inputs_of(settings, tilings, questions), NEW_TOKENS)
    for row, (image, ids) in zip(together, questions, strict=True):
        alone = inputs_of(settings, [tilings[image]], [(0, ids)])
        assert row.tolist() == model.generate(alone, NEW_TOKENS)[0].tolist()


@pytest.mark.parametrize("reduction", REDUCTIONS, ids=lambda reduction: reduction.method)
def test_with_everything_kept_nothing_changes(
    settings: Molmo2Settings, reduction: Reduction
) -> None:
    inputs = inputs_of(settings, [(2, 1)], [(0, [5, 6])])
    features = model_of(settings).vision_features(inputs)
    everything = replace(reduction, keep=1.0, tokens=None)
    prompts, tokens = reduced(inputs, features, everything, TOKENS.im_patch)
    assert prompts is inputs
    assert all(map(torch.equal, tokens, features))


@pytest.mark.parametrize("reduction", REDUCTIONS, ids=lambda reduction: reduction.method)
def test_text_stays_whole_and_as_many_tokens_as_asked(
    settings: Molmo2Settings, reduction: Reduction
) -> None:
    inputs = inputs_of(settings, [(1, 4), (2, 2)], [(0, [5, 6, 7]), (1, [8])])
    features = model_of(settings).vision_features(inputs)
    prompts, tokens = reduced(inputs, features, reduction, TOKENS.im_patch)
    for row, (before, after) in enumerate(zip(inputs.input_ids, prompts.input_ids, strict=True)):
        kept = after[prompts.attention_mask[row]].tolist()
        whole = before[inputs.attention_mask[row]].tolist()
        asked = reduction.count(whole.count(TOKENS.im_patch))
        assert kept.count(TOKENS.im_patch) == len(tokens[row]) == asked
        assert [i for i in kept if i != TOKENS.im_patch] == [
            i for i in whole if i != TOKENS.im_patch
        ]


def test_methods_that_look_elsewhere_are_refused() -> None:
    with pytest.raises(ConfigError, match="one of none, random, stride, pool, diverse"):
        FastV(keep=0.5).check(METHODS, "molmo2_4b", 4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_padded_batch_answers_as_its_rows_alone(settings: Molmo2Settings, kind: str) -> None:
    """Tilings of equal crop count, whose prompts are of different lengths, and an image that
    two questions are about."""
    tilings, questions = [(1, 4), (2, 2)], [(1, [5, 6]), (0, [7, 8, 9, 10]), (1, [11])]
    model = model_of(settings, kind)
    together = model.generate(inputs_of(settings, tilings, questions), NEW_TOKENS)
    for row, (image, ids) in zip(together, questions, strict=True):
        alone = inputs_of(settings, [tilings[image]], [(0, ids)])
        assert row.tolist() == model.generate(alone, NEW_TOKENS)[0].tolist()
    assert len({tuple(row.tolist()) for row in together}) > 1


@pytest.mark.parametrize("kind", KINDS)
def test_it_answers_parts_of_a_batch_as_the_whole(settings: Molmo2Settings, kind: str) -> None:
    tilings, questions = [(1, 4), (2, 2)], [(0, [5, 6]), (0, [7, 8, 9]), (1, [11]), (1, [12, 13])]
    model, inputs = model_of(settings, kind), inputs_of(settings, tilings, questions)
    together = model.generate(inputs, NEW_TOKENS)
    for part in (range(1), range(1, 3), range(3, 4)):
        answers = model.generate(inputs.select(part), NEW_TOKENS)
        assert answers.tolist() == together[part.start : part.stop].tolist()


def test_an_image_is_encoded_once_for_all_its_questions(settings: Molmo2Settings) -> None:
    model = model_of(settings)
    seen: list[int] = []
    model.network.model.vision_tower.patch_embedding.register_forward_hook(
        lambda _, arguments, __: seen.append(len(arguments[0]))
    )
    model.generate(inputs_of(settings, [(1, 2)], [(0, [5]), (0, [6, 7]), (0, [8])]), 2)
    assert seen == [3]  # the global view and two crops


@pytest.mark.parametrize("kind", KINDS)
def test_skipped_blocks_are_as_if_they_were_not_there(settings: Molmo2Settings, kind: str) -> None:
    model = model_of(settings, kind)
    inputs = inputs_of(settings, [(2, 1)], [(0, [5, 6, 7])])
    whole = model.generate(inputs, NEW_TOKENS)
    for numbers in ((0, 2, 3), (3,), (1, 2)):
        scaled = KINDS[kind].get("rope_scaling_layers", range(4))
        smaller = small_network(
            **KINDS[kind]
            | {
                "num_hidden_layers": len(numbers),
                "rope_scaling_layers": [p for p, n in enumerate(numbers) if n in scaled],
            }
        )
        weights = {}
        for name, weight in small_network(**KINDS[kind]).state_dict().items():
            before, of_layer, after = name.partition("language_model.layers.")
            number, _, rest = after.partition(".")
            if not of_layer:
                weights[name] = weight
            elif int(number) in numbers:
                weights[f"{before}{of_layer}{numbers.index(int(number))}.{rest}"] = weight
        smaller.load_state_dict(weights)
        model.run_blocks(numbers)
        assert model.num_active_blocks == len(numbers)
        expected = the_librarys_answer(smaller, settings, inputs)
        torch.testing.assert_close(model.generate(inputs, NEW_TOKENS), expected)
    model.run_blocks(range(4))
    torch.testing.assert_close(model.generate(inputs, NEW_TOKENS), whole)


def test_skipped_blocks_cost_no_cache(
    settings: Molmo2Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tierexp.models.molmo2 import model as module

    caches: list[Any] = []

    def remembered() -> Any:
        caches.append(kept())
        return caches[-1]

    kept = module.DynamicCache
    monkeypatch.setattr(module, "DynamicCache", remembered)
    model = model_of(settings)
    inputs = inputs_of(settings, [(1, 1)], [(0, [5])])
    for numbers in ((0, 3), (0, 1, 2, 3)):
        model.run_blocks(numbers)
        model.generate(inputs, NEW_TOKENS)
        assert len(caches[-1].layers) == len(numbers)


def test_importance_watches_every_block(settings: Molmo2Settings) -> None:
    model = model_of(settings)
    model.run_blocks((0, 3))
    measured = BlockImportance(model)
    measured.update(inputs_of(settings, [(1, 1)], [(0, [5, 6]), (0, [7])]))
    assert len(measured.scores) == 4
    assert all(0 < score < 2 for score in measured.scores)
    assert model.active_blocks == (0, 3)


def test_after_any_end_of_text_a_row_holds_the_first_of_them(settings: Molmo2Settings) -> None:
    inputs = inputs_of(settings, [(1, 2)], [(0, [5, 6, 7]), (0, [9])])
    free = model_of(settings).generate(inputs, NEW_TOKENS).tolist()
    other = free[0][2]
    ended = model_of(settings, end_ids=(NEVER, other)).generate(inputs, NEW_TOKENS).tolist()
    for row, before in zip(ended, free, strict=True):
        stop = before.index(other) + 1 if other in before else NEW_TOKENS
        assert row[:stop] == before[: len(row)][:stop]
        assert set(row[stop:]) <= {NEVER}
    alone = inputs_of(settings, [(1, 2)], [(0, [5, 6, 7])])
    first = free[0].index(other) + 1
    stopping = model_of(settings, end_ids=(other,))
    assert stopping.generate(alone, NEW_TOKENS).shape == (1, first)
    assert stopping.generate(alone, NEW_TOKENS, fixed_length=True).shape == (1, NEW_TOKENS)


@pytest.mark.parametrize("fixed_length", [False, True])
def test_an_answer_of_no_tokens_has_none(settings: Molmo2Settings, fixed_length: bool) -> None:
    inputs = inputs_of(settings, [(1, 2)], [(0, [5, 6, 7]), (0, [9])])
    answers = model_of(settings).generate(inputs, 0, fixed_length=fixed_length)
    assert (answers.shape, answers.dtype) == ((2, 0), torch.int64)


@pytest.mark.parametrize(("kind", "new_tokens"), [("qwen", 1), ("olmo", 3)])
@pytest.mark.parametrize("reduction", [NO_REDUCTION, *REDUCTIONS], ids=lambda one: one.method)
def test_estimated_cost_is_what_torch_counts(
    settings: Molmo2Settings, kind: str, new_tokens: int, reduction: Reduction
) -> None:
    model = model_of(settings, kind)
    model.token_reduction = reduction
    inputs = inputs_of(settings, [(2, 2)], [(0, [5, 6, 7])])
    for blocks in (range(4), (1, 3)):
        model.run_blocks(blocks)
        counter = Counter()
        model.generate(inputs, new_tokens, clock=counter, fixed_length=True)
        estimated = model.stage_flops(inputs, new_tokens)
        for stage, counted in counter.flops.items():
            assert getattr(estimated, stage) == pytest.approx(counted, rel=0.02), stage


def test_the_processor_of_these_tests_is_that_of_the_settings(settings: Molmo2Settings) -> None:
    images = PROCESSOR["image_processor"]
    assert settings.geometry.crop_size == images["size"]["height"] == 70
    assert settings.geometry.tokens_per_crop == 9


def test_float_crops_are_taken_too(settings: Molmo2Settings) -> None:
    model = model_of(settings)
    inputs = inputs_of(settings, [(1, 1)], [(0, [5])])
    exact = ModelInputs(**(vars(inputs) | {"pixels": inputs.pixels.float() / 255}))
    # Rounding of the last bit, of which random weights make a thousand times as much on some CPUs.
    torch.testing.assert_close(
        model.vision_features(exact)[0], model.vision_features(inputs)[0], rtol=2e-3, atol=2e-3
    )
