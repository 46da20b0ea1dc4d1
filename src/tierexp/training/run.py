"""`python train.py`: from a configuration to a checkpoint folder that `eval.py` reads.

The order is the order of cost: settings are checked and the tokenizer is made before torch is
imported. An interrupted run goes on from its last checkpoint with the same batches it would have
seen.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from omegaconf import DictConfig

from tierexp.config import build, refuse_unknown_keys, resolved, unknown_key
from tierexp.data.tierqa.generator import generate_scene
from tierexp.data.tierqa.questions import questions_for
from tierexp.errors import CheckpointError, ConfigError
from tierexp.imaging.resize import Resize
from tierexp.loading import load_tier
from tierexp.models.molmo.config import MolmoConfig
from tierexp.models.tokenizer_training import train_tokenizer
from tierexp.tiers import Tier
from tierexp.training.recipe import Recipe

log = logging.getLogger(__name__)

_KEYS = ("architecture", "recipe", "resize", "trainer", "logger", "seed", "output_dir", "resume")
_TOKENIZER_SCENES = 2000


def train(config: DictConfig, output_dir: Path) -> None:
    """Train a model and write its checkpoint folder.

    Args:
        config: As composed by Hydra from `conf/train.yaml`.
        output_dir: Of the run; `checkpoint/` in it becomes the checkpoint folder.

    Raises:
        ConfigError: A key that nothing reads, or a value that cannot work.
    """
    refuse_unknown_keys(config, _KEYS)
    recipe: Recipe = build(config, "recipe")
    resize: Resize = build(config, "resize")
    tiers = list(zip(map(_tier, recipe.tiers), recipe.tier_shares, strict=True))
    folder = output_dir / "checkpoint"
    architecture = _architecture(resolved(config.architecture))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(architecture.to_checkpoint_json(), indent=1))
    train_tokenizer(_texts(), architecture.decoder.vocab_size, folder / "tokenizer.json")

    from tierexp.training.fit import fit

    fit(config, recipe, resize, tiers, architecture, folder)
    log.info("checkpoint written: python eval.py model=molmo model.checkpoint=%s", folder)


def _architecture(values: dict[str, Any]) -> MolmoConfig:
    try:
        architecture = MolmoConfig.from_checkpoint_json(values)
    except CheckpointError as error:
        raise ConfigError("architecture", "...", str(error)) from error
    # A released config.json has keys that nothing here reads; a configuration must not.
    known = architecture.to_checkpoint_json()
    for key, value in values.items():
        if key not in known:
            raise unknown_key(f"architecture.{key}", value, known)
    return architecture


def _tier(name: str) -> Tier:
    tier = load_tier(name)
    if not isinstance(tier, Tier):
        raise ConfigError("recipe.tiers", name, "tiers that have a range of crop counts")
    return tier


def _texts() -> Iterator[str]:
    """What the tokenizer has to write down in few tokens: questions and answers."""
    rng = Random(0)
    for index in range(_TOKENIZER_SCENES):
        for question in questions_for(generate_scene("train", index), rng, per_task=1):
            yield question.text
            yield question.answer
