"""What deciding which vision tokens to keep costs beside the time that it saves: the high tier,
half of the tokens, one sample at a time, by the model in the box or at a released model's widths.

    python benchmarks/reduction.py [SAMPLES]
    python benchmarks/reduction.py [SAMPLES] released

`released` has random weights of Molmo-7B-D's widths in float32, two of the encoder's blocks and
four of the decoder's 28: fewer are spared than there, so that a share is too high, never too low.

Milliseconds of CPU time, on one thread; of repeated runs the least counts, over samples the mean.
*Deciding*: the class token's weights, scores, the choice and the shorter prompt. *Saved*: the
prefill of all tokens less that of those that are kept, without deciding.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from time import thread_time
from typing import Any

import numpy as np
import torch
from gpu import random_model

from tierexp.config.location import config_dir
from tierexp.data.datamodule import TierDataModule
from tierexp.data.tierqa import TierQA
from tierexp.imaging.preprocessing import Preprocessing
from tierexp.models.knobs.reduction import settings
from tierexp.models.molmo import engine as engine_module
from tierexp.models.molmo import pruned_prefill, vision_backbone
from tierexp.models.molmo.checkpoint import MolmoCheckpoint
from tierexp.models.molmo.engine import MolmoEngine
from tierexp.models.molmo.model_inputs import ModelInputs
from tierexp.models.molmo.reduction import LOOKS_AT_ENCODER
from tierexp.models.molmo.released import RELEASED
from tierexp.models.molmo.sizes import ConnectorConfig, VisionConfig
from tierexp.models.molmo.vision_backbone import Encoded
from tierexp.tiers.files import load_tier

REPEATS = 15
REPEATS_OF_RELEASED = 3
Figures = tuple[float, float]
"""Milliseconds of deciding, and of the prefill without it."""
METHODS = {
    "cls_attention": settings.ClassAttention(keep=0.5),
    "vision_zip": settings.VisionZip(keep=0.5),
    "merge": settings.MergedTokens(keep=0.5),
    "diverse": settings.DiverseTokens(keep=0.5),
    "text": settings.TextRelevance(keep=0.5),
    "fastv": settings.FastV(keep=0.5),
}
DECIDING: tuple[tuple[Any, str], ...] = (
    (vision_backbone, "class_attention"), (vision_backbone, "patches_as_tokens"),
    (vision_backbone, "window_means"), (engine_module, "reduced"), (pruned_prefill, "_scores"),
    (pruned_prefill, "_staying"),
)  # fmt: skip
"""The functions that decide."""


@contextmanager
def deciding(spent: list[float]) -> Iterator[None]:
    """Add up, in `spent[0]`, the seconds that deciding takes."""
    kept = [(module, name, getattr(module, name)) for module, name in DECIDING]

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            start = thread_time()
            result = function(*arguments)
            spent[0] += thread_time() - start
            return result

        return run

    for module, name, function in kept:
        setattr(module, name, timed(function))
    try:
        yield
    finally:
        for module, name, function in kept:
            setattr(module, name, function)


@torch.inference_mode()
def measure(model: MolmoEngine, inputs: ModelInputs, encoded: Encoded | None) -> Figures:
    """(deciding, prefill without it) in milliseconds of one run.

    Args:
        model: Its method set.
        inputs: Of one sample.
        encoded: Its image; None where a method looks at the encoder.
    """
    spent = [0.0]
    with deciding(spent):
        encoded = model.encoded(inputs) if encoded is None else encoded
        looking, start = spent[0], thread_time()
        model._prefill(inputs, encoded, 8)
        prefill = thread_time() - start - (spent[0] - looking)
    return 1e3 * spent[0], 1e3 * prefill


@torch.inference_mode()
def least(model: MolmoEngine, inputs: ModelInputs, repeats: int) -> dict[str, Figures]:
    """The least of repeated runs, method after method in turn, so that what else the machine does
    meets all of them.
    """
    encoded = model.encoded(inputs)
    runs: dict[str, list[Figures]] = {}
    for _ in range(repeats):
        for name, reduction in {"none": settings.NO_REDUCTION, **METHODS}.items():
            model.token_reduction = reduction
            looks = reduction.method in LOOKS_AT_ENCODER
            runs.setdefault(name, []).append(measure(model, inputs, None if looks else encoded))
    return {name: (min(r[0] for r in of), min(r[1] for r in of)) for name, of in runs.items()}


def with_released_widths(box: MolmoEngine) -> MolmoEngine:
    """Random weights in place of the box's: Molmo-7B-D's, but for the blocks that are left out and
    the box's ids and crops.
    """
    ours = box.network.config
    vision = replace(VisionConfig(), num_layers=2, feature_layers=(-1, -2))
    decoder = replace(
        RELEASED["Molmo-7B-D-0924"], num_layers=4, vocab_size=ours.decoder.vocab_size,
        extra_vocab_size=ours.decoder.extra_vocab_size,
    )  # fmt: skip
    config = replace(
        ours, vision=vision, connector=ConnectorConfig((2, 2), decoder.mlp_width), decoder=decoder
    )
    return random_model(config, torch.device("cpu"), torch.float32)


def main(samples: int, released: bool) -> None:
    """Print a line per method."""
    torch.set_num_threads(1)
    source = MolmoCheckpoint(str(config_dir().parent / "src/tierexp/assets/tiny"))
    model = source.load(torch.device("cpu"))
    if released:
        model = with_released_widths(model)
    preprocessing = Preprocessing(load_tier("high"))
    dataset = TierQA("validation", 7 * samples)
    data = TierDataModule(dataset, source, preprocessing, batch_size=1, num_workers=0)
    batches = [batch.inputs for batch in islice(data.test_dataloader(), samples)]
    repeats = REPEATS_OF_RELEASED if released else REPEATS
    figures = [least(model, inputs, repeats) for inputs in batches]
    means = {name: np.mean([of[name] for of in figures], axis=0) for name in figures[0]}
    whole = means["none"][1]
    print(f"prefill of all tokens {whole:.1f} ms, {len(batches)} samples")
    for name in METHODS:
        choice, prefill = means[name]
        saved = whole - prefill
        share = choice / saved
        print(f"{name:14} deciding {choice:6.2f} ms, saved {saved:6.2f} ms: {share:.1%}")


if __name__ == "__main__":
    numbers = [argument for argument in sys.argv[1:] if argument != "released"]
    main(int(numbers[0]) if numbers else 2, "released" in sys.argv[1:])
