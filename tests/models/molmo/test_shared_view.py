"""A global view that is kept from pass to pass: the same bits, and one view less to encode."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from tests.support.molmo_models import prompt, small_engine
from tierexp.models.molmo.engine import MolmoEngine
from tierexp.models.molmo.model_inputs import ModelInputs


def counted(engine: MolmoEngine, inputs: ModelInputs) -> tuple[Tensor, int]:
    """Features, and how many views the encoder has seen for them."""
    seen: list[int] = []
    hook = engine.network.vision_backbone.image_vit.register_forward_pre_hook(
        lambda _, given: seen.append(len(given[0]))
    )
    with torch.inference_mode():
        features = engine.vision_features(inputs.pixels, inputs.patch_mask)
    hook.remove()
    return features, sum(seen)


def with_crops(inputs: ModelInputs, crops: int) -> ModelInputs:
    """The same global views with other crops behind them."""
    images, _, *size = inputs.pixels.shape
    generator = torch.Generator().manual_seed(crops)
    shape = (images, crops, *size)
    more = torch.randint(256, shape, generator=generator).to(torch.uint8)
    mask = torch.ones(images, crops, inputs.patch_mask.shape[2])
    return dataclasses.replace(
        inputs,
        pixels=torch.cat([inputs.pixels[:, :1], more], dim=1),
        patch_mask=torch.cat([inputs.patch_mask[:, :1], mask], dim=1),
    )


def test_a_second_pass_encodes_the_crops_alone_and_says_the_same() -> None:
    engine, cheap = small_engine("mixture"), prompt([9, 7])
    dear = with_crops(cheap, 3)
    whole, views = counted(engine, dear)
    assert views == 8
    flops = engine.stage_flops(dear.select(range(1)), 4)
    engine.shared_view.begin()
    assert counted(engine, cheap)[1] == counted(engine, cheap)[1] == 4  # a pass timed twice
    assert engine.earlier_views(dear) == [False, False]
    engine.shared_view.next_pass()
    assert engine.earlier_views(dear) == [True, True]
    features, views = counted(engine, dear)
    assert views == 6
    assert torch.equal(features, whole)
    again = engine.stage_flops(dear.select(range(1)), 4)
    assert flops is not None
    assert again is not None
    assert (again.vision * 4, again.prefill) == (flops.vision * 3, flops.prefill)
    engine.shared_view.end()
    assert counted(engine, dear)[1] == 8
    assert engine.earlier_views(dear) == [False, False]


def test_another_image_is_encoded_whole() -> None:
    engine = small_engine("dense")
    engine.shared_view.begin()
    counted(engine, prompt([9, 7]))
    engine.shared_view.next_pass()
    other = prompt([9, 7], seed=1)
    assert engine.earlier_views(other) == [False, False]
    assert counted(engine, other)[1] == 4
    engine.shared_view.begin()  # other questions: what was known is forgotten
    assert engine.earlier_views(prompt([9, 7])) == [False, False]
