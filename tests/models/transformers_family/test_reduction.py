"""Fewer vision tokens in the families of `transformers`, with random weights: the answers are the
library's own, told the embeddings of the short sequence; everything else stays whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from tests.support import random_checkpoints as checkpoints
from tests.support.flop_counter import Counter
from tests.support.parameters import slow
from tierexp.errors import ConfigError
from tierexp.models.knobs.reduction import settings
from tierexp.models.plans.preprocessing import SizedImage
from tierexp.models.plans.registry import family_of_type
from tierexp.models.transformers_family.encoded import token_grids
from tierexp.models.transformers_family.inputs import FamilyInputBuilder, FamilyInputs, FamilyRow
from tierexp.models.transformers_family.model import FamilyModel
from tierexp.models.transformers_family.source import FamilyCheckpoint

Writer = Callable[[Path], None]
FAMILIES: dict[str, tuple[Writer, str, tuple[tuple[int, int], tuple[int, int]]]] = {
    # Writer, preset, and (height, width) of two images with different numbers of tokens.
    "internvl3_5": (checkpoints.internvl3_5, "internvl", ((448, 448), (448, 896))),
    "qwen3_vl": (checkpoints.qwen3_vl, "qwen3_vl", ((256, 320), (352, 256))),
    "smolvlm2": (checkpoints.smolvlm2, "smolvlm2", ((256, 256), (256, 512))),
    "llava_onevision": (checkpoints.llava_onevision, "llava_ov", ((384, 384), (300, 384))),
    "gemma3": (checkpoints.gemma3, "gemma3_pan_and_scan", ((896, 896), (600, 1200))),
}
NEW = 3


@pytest.fixture(scope="module", params=FAMILIES)
def loaded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, FamilyModel, FamilyInputs]:
    """A family, its model, and a batch of two questions about different images."""
    writer, preset, sizes = FAMILIES[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    writer(folder)
    source = FamilyCheckpoint(str(folder), request.param, preset)
    model, builder = source.load(torch.device("cpu")), source.inputs()
    assert isinstance(builder, FamilyInputBuilder)
    rows = []
    for seed, (size, question) in enumerate(
        zip(sizes, ("what?", "how many of them?"), strict=True)
    ):
        pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
        plan = source.preset.geometry.plan(*size)
        own, tokens = (), plan.vision_tokens
        if request.param == "smolvlm2":
            # At half of its usual size: two rows of two crops, and one row of them.
            own, tokens = (("size", {"longest_edge": 1024}),), 64 * (5, 3)[seed]
        rows.append(FamilyRow(SizedImage(pixels, own, tokens, plan.marks, 1.0), question))
    return request.param, model, builder.collate(rows)


def counts_of(model: FamilyModel, inputs: FamilyInputs) -> list[int]:
    (part,) = inputs.parts
    return (part.tensors["input_ids"] == model.image_token).sum(dim=1).tolist()


def features_of(model: FamilyModel, inputs: FamilyInputs) -> list[Tensor]:
    """The tokens of every row, each encoded alone."""
    found = []
    for row in range(len(inputs)):
        (part,) = inputs.builder.collate([inputs.rows[row]]).parts
        seen: dict[str, Any] = {}

        def look(_: Any, __: Any, named: dict[str, Any], seen: dict[str, Any] = seen) -> None:
            seen.setdefault("embeds", named["inputs_embeds"])

        hook = model._decoder.register_forward_pre_hook(look, with_kwargs=True)
        with torch.inference_mode():
            model.network(**part.tensors)
        hook.remove()
        found.append(seen["embeds"][0][part.tensors["input_ids"][0] == model.image_token])
    return found


def strided(count: int, keep: int) -> list[int]:
    return [(2 * number + 1) * count // (2 * keep) for number in range(keep)]


def short_row(
    model: FamilyModel, inputs: FamilyInputs, row: int, places: Sequence[int], tokens: Tensor
) -> dict[str, Tensor]:
    """One row as the library reads embeddings: text whole, some tokens of the image."""
    (part,) = inputs.builder.collate([inputs.rows[row]]).parts
    ids = part.tensors["input_ids"][0]
    at = [place for place, token in enumerate(ids.tolist()) if token == model.image_token]
    dropped = {at[place] for place in range(len(at)) if place not in set(places)}
    left = [place for place in range(len(ids)) if place not in dropped]
    with torch.inference_mode():
        embeds = model.network.get_input_embeddings()(ids[left])
    embeds = embeds.clone()
    embeds[[left.index(at[place]) for place in places]] = tokens.to(embeds)
    told = {"inputs_embeds": embeds[None], "attention_mask": torch.ones(1, len(left)).long()}
    if "token_type_ids" in part.tensors:
        told["token_type_ids"] = part.tensors["token_type_ids"][:, left]
    told["ids"], told["left"] = ids[left], torch.tensor(left)
    return told


Answer = tuple[list[int], Tensor]
"""Ids, and the logits (V,) that the first is chosen from."""


def library_answer(model: FamilyModel, told: dict[str, Tensor]) -> Answer:
    asked = {name: value for name, value in told.items() if name not in ("ids", "left")}
    with torch.inference_mode():
        made = model.network.generate(
            **asked, max_new_tokens=NEW, min_new_tokens=NEW, do_sample=False,
            return_dict_in_generate=True, output_logits=True,
        )  # fmt: skip
    return made.sequences[0, -NEW:].tolist(), made.logits[0][0]


def gemma_answer(model: FamilyModel, told: dict[str, Tensor]) -> Answer:
    """Gemma 3's `generate` takes no embeddings: its forward, token by token, without a cache."""
    embeds, kinds = told["inputs_embeds"], told["token_type_ids"]
    answer: list[int] = []
    logits_of: list[Tensor] = []
    for _ in range(NEW):
        with torch.inference_mode():
            logits = model.network(
                inputs_embeds=embeds, token_type_ids=kinds, use_cache=False
            ).logits[:, -1]
            logits_of.append(logits[0].clone())
            logits[:, list(model.end_ids)] = -torch.inf
            answer.append(int(logits.argmax()))
            more = model.network.get_input_embeddings()(torch.tensor([[answer[-1]]]))
        embeds = torch.cat([embeds, more], dim=1)
        kinds = torch.cat([kinds, kinds.new_zeros(1, 1)], dim=1)
    return answer, logits_of[0]


def qwen_answer(
    model: FamilyModel,
    inputs: FamilyInputs,
    row: int,
    told: dict[str, Tensor],
    places: Sequence[int],
) -> Answer:
    """Qwen's decoder, told everything: each token its own time, row and column, and what deeper
    layers of the encoder say of those that are kept.
    """
    (part,) = inputs.builder.collate([inputs.rows[row]]).parts
    ids = part.tensors["input_ids"][0].tolist()
    _, height, width = part.tensors["image_grid_thw"][0].tolist()
    rows, cols = height // 2, width // 2
    positions, begun, seen = [], 0, 0
    for token in ids:
        if token == model.image_token:
            positions.append((begun, begun + seen // cols, begun + seen % cols))
            seen += 1
            if seen == rows * cols:
                begun += max(rows, cols)
        else:
            positions.append((begun,) * 3)
            begun += 1
    with torch.inference_mode():
        encoded = model.network.model.get_image_features(
            part.tensors["pixel_values"], part.tensors["image_grid_thw"], return_dict=True
        )
    deeper = [layer[0][list(places)] for layer in encoded.deepstack_features]
    own = torch.tensor([positions[place] for place in told["left"].tolist()]).T[
        :, None
    ]  # (3, 1, L)
    embeds, image = told["inputs_embeds"], (told["ids"] == model.image_token)[None]
    answer: list[int] = []
    logits_of: list[Tensor] = []
    for _ in range(NEW):
        with torch.inference_mode():
            hidden = model.network.model.language_model(
                inputs_embeds=embeds,
                position_ids=own,
                visual_pos_masks=image,
                deepstack_visual_embeds=deeper,
                use_cache=False,
            ).last_hidden_state
            logits = model.network.lm_head(hidden[:, -1])
            logits_of.append(logits[0].clone())
            logits[:, list(model.end_ids)] = -torch.inf
            answer.append(int(logits.argmax()))
            more = model.network.get_input_embeddings()(torch.tensor([[answer[-1]]]))
        embeds = torch.cat([embeds, more], dim=1)
        own = torch.cat([own, own[:, :, -1:] + 1], dim=2)
        image = torch.cat([image, torch.zeros(1, 1, dtype=torch.bool)], dim=1)
    return answer, logits_of[0]


def answers(
    model: FamilyModel, inputs: FamilyInputs, reduction: settings.Reduction, new: int = NEW
) -> Tensor:
    model.token_reduction = reduction
    try:
        return model.generate(inputs, new, fixed_length=True)
    finally:
        model.token_reduction = settings.NO_REDUCTION


def check(
    model: FamilyModel,
    inputs: FamilyInputs,
    reduction: settings.Reduction,
    kept: Sequence[tuple[Sequence[int], Tensor]],
    name: str,
) -> None:
    """Answers and logits are those of the short sequences, and not those of the whole ones."""
    lengths: list[int] = []
    logits = watched(model, inputs, reduction, lengths)
    mine = answers(model, inputs, reduction)
    for row, (places, tokens) in enumerate(kept):
        told = short_row(model, inputs, row, places, tokens)
        if name == "qwen3_vl":
            answer, first = qwen_answer(model, inputs, row, told, places)
        elif name == "gemma3":
            answer, first = gemma_answer(model, told)
        else:
            answer, first = library_answer(model, told)
        assert mine[row].tolist() == answer
        torch.testing.assert_close(logits[row], first, atol=1e-4, rtol=1e-4)
    whole = watched(model, inputs, settings.NO_REDUCTION, lengths)
    assert (logits - whole).abs().max() > 1e-3  # else nothing has been shown


@pytest.mark.whole
def test_answers_are_the_library_s_of_the_short_sequence(
    loaded: tuple[str, FamilyModel, FamilyInputs],
) -> None:
    name, model, inputs = loaded
    counts, features = counts_of(model, inputs), features_of(model, inputs)
    assert counts[0] != counts[1]
    kept = []
    for count, tokens in zip(counts, features, strict=True):
        places = strided(count, int(0.3 * count + 0.5))
        kept.append((places, tokens[places]))
    check(model, inputs, settings.StridedTokens(keep=0.3), kept, name)


@pytest.mark.whole
def test_keeping_all_changes_no_bit(loaded: tuple[str, FamilyModel, FamilyInputs]) -> None:
    _, model, inputs = loaded
    lengths: list[int] = []
    plain = watched(model, inputs, settings.NO_REDUCTION, lengths)
    for kind in (settings.RandomTokens, settings.PooledTokens, settings.DiverseTokens):
        assert torch.equal(watched(model, inputs, kind(keep=1), lengths), plain)
    assert len({*lengths}) == 1


def watched(
    model: FamilyModel, inputs: FamilyInputs, reduction: settings.Reduction, lengths: list[int]
) -> Tensor:
    """The logits of the first token; and how many keys the cache holds behind the prompt."""
    seen: list[Tensor] = []

    def look(_: Any, __: Any, output: Any) -> None:
        if not seen:
            seen.append(output.logits[:, -1])
            lengths.append(output.cache.get_seq_length())

    hook = model.network.register_forward_hook(look)
    answers(model, inputs, reduction, new=1)
    hook.remove()
    return seen[0]


@pytest.mark.parametrize("kind", [settings.RandomTokens, settings.PooledTokens])
def test_exactly_as_many_are_kept_and_the_text_stays(
    loaded: tuple[str, FamilyModel, FamilyInputs], kind: type[settings.Reduction]
) -> None:
    name, model, inputs = loaded
    told: list[dict[str, Any]] = []
    generate = model.network.generate
    lengths: list[int] = []
    model.network.generate = lambda **named: told.append(named) or generate(**named)
    try:
        watched(model, inputs, kind(tokens=37), lengths)
    finally:
        del model.network.generate
    (part,) = inputs.parts
    whole, short = part.tensors["input_ids"], told[0]["input_ids"]
    mask = told[0]["attention_mask"].bool()
    for row in range(2):
        left = short[row][mask[row]].tolist()
        assert left.count(model.image_token) == 37
        before = whole[row][part.tensors["attention_mask"][row].bool()].tolist()
        text = [token for token in before if token != model.image_token]
        assert [token for token in left if token != model.image_token] == text
    longest = int(mask.sum(dim=1).max())
    assert lengths == [longest] == [short.shape[1]]
    if name == "gemma3":
        same = (short == model.image_token) == (told[0]["token_type_ids"] == 1)
        assert bool(same.all())


@pytest.mark.whole
def test_each_row_has_its_own_places_whoever_is_beside_it(
    loaded: tuple[str, FamilyModel, FamilyInputs],
) -> None:
    _, model, inputs = loaded
    for reduction in (settings.RandomTokens(keep=0.2), settings.DiverseTokens(tokens=20)):
        together = answers(model, inputs, reduction)
        for row in range(2):
            alone = answers(model, inputs.select(range(row, row + 1)), reduction)
            assert torch.equal(together[row], alone[0])


@pytest.mark.whole
def test_pooled_tokens_are_means_of_neighbours(
    loaded: tuple[str, FamilyModel, FamilyInputs],
) -> None:
    """Of grids whose sides are even: a quarter of the tokens, as `avg_pool2d` has them."""
    name, model, inputs = loaded
    (part,) = inputs.parts
    counts, features = counts_of(model, inputs), features_of(model, inputs)
    family = family_of_type(model.network.config.model_type)
    assert family is not None
    library = family.library
    assert library is not None
    for row, tokens in enumerate(features):
        grids = token_grids(model.network, part.tensors, row, tokens, library)
        assert sum(rows * cols for rows, cols in grids) == counts[row]
        sides = {
            "internvl3_5": [(16, 16)] * (counts[row] // 256),
            "qwen3_vl": [((8, 10), (11, 8))[row]],
            "smolvlm2": [(8, 8)] * (counts[row] // 64),
            "gemma3": [(16, 16)] * (counts[row] // 256),
            # The canvas without its padding; a column more ends its rows.
            "llava_onevision": [(27, 27), ((27, 28), (21, 28))[row]],
        }
        assert grids == sides[name]
    if any(side % 2 for grid in grids for side in grid) or name == "qwen3_vl":
        return
    kept = []
    for tokens in features:
        grid = tokens.view(-1, *grids[0], tokens.shape[-1]).permute(0, 3, 1, 2)
        means = F.avg_pool2d(grid, 2).permute(0, 2, 3, 1).flatten(0, 2)
        numbers = torch.arange(len(tokens)).view(-1, *grids[0])[:, ::2, ::2]
        kept.append((numbers.flatten().tolist(), means))
    check(model, inputs, settings.PooledTokens(keep=0.25), kept, name)


@pytest.mark.whole
def test_the_class_token_s_attention(
    loaded: tuple[str, FamilyModel, FamilyInputs], monkeypatch: pytest.MonkeyPatch
) -> None:
    """InternVL's, against the weights that eager attention hands out."""
    name, model, inputs = loaded
    if name != "internvl3_5":
        return
    counts, features = counts_of(model, inputs), features_of(model, inputs)
    attended, zipped = (
        watched(model, inputs, reduction, [])
        for reduction in (
            settings.ClassAttention(keep=0.1), settings.VisionZip(keep=0.1, contextual=0),
        )
    )  # fmt: skip
    assert torch.equal(attended, zipped)  # both keep what is attended to
    weights: list[Tensor] = []
    tower = model.network.model.vision_tower
    monkeypatch.setattr(tower.config, "_attn_implementation", "eager")
    hook = tower.encoder.layer[-1].attention.register_forward_hook(
        lambda _, __, made: weights.append(made[1])
    )
    (part,) = inputs.parts
    with torch.inference_mode():
        model.network.model.get_image_features(part.tensors["pixel_values"])
    hook.remove()
    of_patches = weights[0].mean(dim=1)[:, 0, 1:].view(-1, 16, 2, 16, 2)
    scores = of_patches.mean(dim=(2, 4)).flatten()
    kept = []
    for tokens, of_row in zip(features, scores.split(counts), strict=True):
        best = of_row.topk(int(0.1 * len(tokens) + 0.5)).indices.sort().values.tolist()
        kept.append((best, tokens[best]))
    check(model, inputs, settings.ClassAttention(keep=0.1), kept, name)


@pytest.mark.whole
@pytest.mark.parametrize(
    "reduction",
    [
        settings.DiverseTokens(keep=0.5),
        slow(settings.StridedTokens(keep=0.25)),
        settings.VisionZip(keep=0.5),
    ],
)
def test_operations_are_the_counter_s(
    loaded: tuple[str, FamilyModel, FamilyInputs], reduction: settings.Reduction
) -> None:
    name, model, inputs = loaded
    if reduction.method == "vision_zip" and name != "internvl3_5":
        return
    one = inputs.select(range(1, 2))
    model.token_reduction = reduction
    try:
        said = model.stage_flops(one, NEW)
        counter = Counter()
        model.generate(one, NEW, fixed_length=True, clock=counter)
    finally:
        model.token_reduction = settings.NO_REDUCTION
    for stage in ("vision", "prefill", "decode"):
        assert getattr(said, stage) == pytest.approx(counter.flops[stage], rel=0.02)  # type: ignore[index]


@pytest.mark.parametrize("tokens", [30, 200])
def test_the_cache_takes_what_is_said(
    loaded: tuple[str, FamilyModel, FamilyInputs], tokens: int
) -> None:
    """A little, and more than the window of Gemma 3's blocks, 64 tokens."""
    _, model, inputs = loaded
    one, caches = inputs.select(range(1, 2)), []
    if min(counts_of(model, inputs)) < tokens:
        tokens = 80
    hook = model.network.register_forward_hook(lambda _, __, output: caches.append(output.cache))
    model.token_reduction = settings.StridedTokens(tokens=tokens)
    try:
        model.generate(one, NEW, fixed_length=True)
        said = model.cache_bytes(one, NEW)
    finally:
        model.token_reduction = settings.NO_REDUCTION
        hook.remove()
    taken = [part for layer in caches[-1].layers for part in (layer.keys, layer.values)]
    assert said == sum(part.numel() * part.element_size() for part in taken)


def test_what_a_family_cannot_serve_is_a_line(tmp_path: Path) -> None:
    checkpoints.qwen3_vl(tmp_path)
    for reduction in (settings.ClassAttention(keep=0.5), settings.FastV(keep=0.5)):
        with pytest.raises(ConfigError, match="one of none, random, stride, pool, diverse for"):
            FamilyCheckpoint(str(tmp_path), "qwen", "qwen3_vl", reduction=reduction)


def test_more_tokens_than_there_are_is_a_line(
    loaded: tuple[str, FamilyModel, FamilyInputs],
) -> None:
    _, model, inputs = loaded
    fewest = min(counts_of(model, inputs))
    with pytest.raises(ConfigError, match=f"at most {fewest}"):
        answers(model, inputs, settings.StridedTokens(tokens=fewest + 1))
