"""What deciding which vision tokens to keep costs beside the time that it saves: the model in the
box, the high tier, half of the tokens, one sample at a time.

    python benchmarks/reduction.py [SAMPLES]

Milliseconds of CPU time, on one thread; of repeated runs the least counts, over samples the mean.
*Deciding*: the class token's weights, scores, the choice and the shorter prompt. *Saved*: the
prefill of all tokens less that of those that are kept, without deciding.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from time import thread_time
from typing import Any

import numpy as np
import torch

from tierexp.config.location import config_dir
from tierexp.data.datamodule import TierDataModule
from tierexp.data.tierqa import TierQA
from tierexp.imaging.preprocessing import Preprocessing
from tierexp.models.knobs.reduction import settings
from tierexp.models.molmo import engine as engine_module
from tierexp.models.molmo import pruned_prefill, vision_backbone
from tierexp.models.molmo.checkpoint import MolmoCheckpoint
from tierexp.models.molmo.engine import MolmoEngine
from tierexp.models.molmo.reduction import LOOKS_AT_ENCODER
from tierexp.models.molmo.vision_backbone import Encoded
from tierexp.models.protocol import ModelInputs
from tierexp.tiers.files import load_tier

REPEATS = 15
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
def least(model: MolmoEngine, inputs: ModelInputs) -> dict[str, Figures]:
    """The least of repeated runs, method after method in turn, so that what else the machine does
    meets all of them.
    """
    encoded = model.encoded(inputs)
    runs: dict[str, list[Figures]] = {}
    for _ in range(REPEATS):
        for name, reduction in {"none": settings.NO_REDUCTION, **METHODS}.items():
            model.token_reduction = reduction
            looks = reduction.method in LOOKS_AT_ENCODER
            runs.setdefault(name, []).append(measure(model, inputs, None if looks else encoded))
    return {name: (min(r[0] for r in of), min(r[1] for r in of)) for name, of in runs.items()}


def main(samples: int) -> None:
    """Print a line per method."""
    torch.set_num_threads(1)
    source = MolmoCheckpoint(str(config_dir().parent / "src/tierexp/assets/tiny"))
    model = source.load(torch.device("cpu"))
    preprocessing = Preprocessing(load_tier("high"))
    dataset = TierQA("validation", 7 * samples)
    data = TierDataModule(dataset, source, preprocessing, batch_size=1, num_workers=0)
    batches = [batch.inputs for batch in islice(data.test_dataloader(), samples)]
    figures = [least(model, inputs) for inputs in batches]
    means = {name: np.mean([of[name] for of in figures], axis=0) for name in figures[0]}
    whole = means["none"][1]
    print(f"prefill of all tokens {whole:.1f} ms, {len(batches)} samples")
    for name in METHODS:
        choice, prefill = means[name]
        saved = whole - prefill
        share = choice / saved
        print(f"{name:14} deciding {choice:6.2f} ms, saved {saved:6.2f} ms: {share:.1%}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
