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

from tierexp.config.build import build, refuse_unknown_keys, resolved, unknown_key
from tierexp.config.checks import MAX_SEED, flag, whole_number
from tierexp.config.logger_settings import check_logger
from tierexp.config.settings import flat
from tierexp.data.tierqa.generator import generate_scene
from tierexp.data.tierqa.questions import questions_for
from tierexp.errors import CheckpointError, ConfigError
from tierexp.imaging.resize import Resize
from tierexp.models.checkpoint_files import CONFIG_FILE, TOKENIZER_FILE, WEIGHTS_FILE
from tierexp.models.molmo.config import MolmoConfig
from tierexp.models.molmo.tokenizer import IMAGE_TOKENS
from tierexp.models.molmo.tokenizer_training import BYTES, train_tokenizer
from tierexp.runtime.trainer_settings import check_trainer
from tierexp.tiers.files import load_tier
from tierexp.training.recipe import Recipe
from tierexp.training.taught_heads import QUARTERS, TAUGHT_PER_BLOCK

log = logging.getLogger(__name__)

_KEYS = (
    "architecture", "recipe", "resize", "trainer", "logger", "seed", "run_name", "output_dir",
    "resume",
)  # fmt: skip
_TOKENIZER_SCENES = 2000


def train(config: DictConfig, output_dir: Path) -> None:
    """Train a model and write its checkpoint folder. resume=true goes on with the saved state, or
    begins where none was saved yet.

    Args:
        config: As composed by Hydra from `conf/train.yaml`.
        output_dir: Folder of the run; `checkpoint/` in it becomes the checkpoint folder.

    Raises:
        ConfigError: A key that nothing reads, a value that cannot work, or another run's files in
            the way.
        KeyboardInterrupt: After Ctrl-C, once the step is saved.
    """
    refuse_unknown_keys(config, _KEYS)
    seed = whole_number("seed", config.seed, 0, MAX_SEED)
    resume = flag("resume", config.resume)
    recipe: Recipe = build(config, "recipe")
    resize: Resize = build(config, "resize")
    named = [name for phase in recipe.phases for name in phase.tiers]
    tiers = {name: load_tier(name, key="recipe.phases.tiers") for name in named}
    check_trainer(resolved(config.trainer))
    check_logger(resolved(config.logger))
    architecture = _architecture(resolved(config.architecture))
    folder, state = output_dir / "checkpoint", output_dir / "training_states" / "last.ckpt"
    saved, weights = state.is_file(), (folder / WEIGHTS_FILE).is_file()
    if resume and weights and not saved:
        raise ConfigError("resume", resume, f"only where {state} exists")
    if not resume and (saved or weights):
        allowed = "a folder without a training run; resume=true goes on with the one that is there"
        raise ConfigError("output_dir", str(output_dir), allowed)
    if resume and not saved:
        log.warning("no step is saved in %s: training begins with the first", output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG_FILE).write_text(json.dumps(architecture.to_checkpoint_json(), indent=1))
    train_tokenizer(_texts(), architecture.decoder.vocab_size, folder / TOKENIZER_FILE)

    from tierexp.training.fit import fit

    fit(config, recipe, resize, tiers, architecture, folder, seed, state, resume and saved)
    log.info("checkpoint written: python eval.py model=molmo model.checkpoint=%s", folder)


_WIDEST = 65_536
_MOST = {
    "n_layers": 512, "vision_backbone.image_num_layers": 512, "embedding_size": 1_000_000,
}  # fmt: skip
"""Sizes of an architecture; what is larger is no model that one trains from nothing."""


def _architecture(values: dict[str, Any]) -> MolmoConfig:
    for key, value in flat(values).items():
        most = _MOST.get(key, _WIDEST)
        if isinstance(value, int) and value > most:
            raise ConfigError(f"architecture.{key}", value, f"at most {most}")
    try:
        architecture = MolmoConfig.from_sizes(values)
    except CheckpointError as error:
        raise ConfigError("architecture", "...", str(error)) from error
    # A released config.json has keys that nothing here reads; a configuration must not.
    known = architecture.to_checkpoint_json()
    nested = "vision_backbone"
    for parent, given, allowed in (
        ("architecture", values, known),
        (f"architecture.{nested}", values.get(nested, {}), known[nested]),
    ):
        for key, value in given.items():
            if key not in allowed:
                raise unknown_key(f"{parent}.{key}", value, allowed)
    _refuse_untrainable(architecture)
    return architecture


def _refuse_untrainable(architecture: MolmoConfig) -> None:
    """Refuse what a released model may be and a model trained here may not."""
    vocab_size, geometry = architecture.decoder.vocab_size, architecture.geometry
    for key, value, least in (
        ("n_layers", architecture.decoder.num_layers, QUARTERS),
        ("n_heads", architecture.decoder.num_heads, TAUGHT_PER_BLOCK),
    ):
        if value < least:
            allowed = f"at least {least}: some heads are taught where to look"
            raise ConfigError(f"architecture.{key}", value, allowed)
    if vocab_size <= BYTES:
        allowed = f"above {BYTES}: every byte and the end of text need an id"
        raise ConfigError("architecture.embedding_size", vocab_size, allowed)
    extra = architecture.decoder.extra_vocab_size
    if extra < len(IMAGE_TOKENS):
        allowed = f"at least {len(IMAGE_TOKENS)}, the special tokens of an image"
        raise ConfigError("architecture.additional_vocab_size", extra, allowed)
    pooling, leading = geometry.pooling, geometry.overlap_margins[0]
    if pooling[0] != pooling[1] or leading % pooling[0] or geometry.window_patches % pooling[0]:
        allowed = "square, and dividing margins and window, so that crops share a grid of tokens"
        raise ConfigError("architecture.image_pooling_h", pooling[0], allowed)


def _texts() -> Iterator[str]:
    """What the tokenizer has to write down in few tokens: questions and answers."""
    rng = Random(0)
    for index in range(_TOKENIZER_SCENES):
        for question in questions_for(generate_scene("train", index), rng, per_task=1):
            yield f" User: {question.text} Assistant: {question.answer}"
