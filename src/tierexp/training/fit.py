"""The heavy half of `python train.py`: Lightning's trainer around the training module."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError

import torch
from lightning import Trainer, seed_everything
from lightning.pytorch.loggers import CSVLogger, Logger
from omegaconf import DictConfig
from rich.console import Console

from tierexp.config.build import blueprint, build
from tierexp.config.checks import path
from tierexp.data.datamodule import TierDataModule
from tierexp.data.tierqa.dataset import TierQA
from tierexp.errors import CheckpointError, ConfigError
from tierexp.imaging.preprocessing import Preprocessing
from tierexp.imaging.resize import Resize
from tierexp.models.molmo.checkpoint import MolmoCheckpoint, save_checkpoint
from tierexp.models.molmo.config import MolmoConfig
from tierexp.models.molmo.model import Molmo
from tierexp.runtime.closing import closing
from tierexp.runtime.trainer import build_trainer, interruptible, quiet_lightning
from tierexp.tiers.rule import CropRule
from tierexp.training.batches import TrainingBatches
from tierexp.training.datamodule import TrainingDataModule
from tierexp.training.kept_memory import keep_freed_memory
from tierexp.training.module import MolmoTraining
from tierexp.training.recipe import Recipe
from tierexp.training.reporting import Pace, TrainingLines, keep_earlier_losses
from tierexp.training.states import TrainingStates

STATE_EVERY = 50
"""Steps between saved states: what a power cut can cost."""


def fit(
    config: DictConfig,
    recipe: Recipe,
    resize: Resize,
    tiers: Mapping[str, CropRule],
    architecture: MolmoConfig,
    folder: Path,
    seed: int,
    state: Path,
    resume: bool,
) -> None:
    """Train, and write the weights beside the configuration and the tokenizer in `folder`.

    Args:
        config: The run's trainer and logger.
        recipe: How to train.
        resize: How an image meets its canvas.
        tiers: Those that the recipe names.
        architecture: Architecture of the model.
        folder: The checkpoint folder, with `config.json` and `tokenizer.json`.
        seed: Seed of everything random.
        state: The file that keeps the state of training.
        resume: Whether to go on from it.

    Raises:
        ConfigError: A trainer or logger that cannot work, or a recipe that is not the one the
            state was trained with.
        KeyboardInterrupt: After Ctrl-C.
    """
    quiet_lightning()
    keep_freed_memory()
    seed_everything(seed, workers=True, verbose=False)
    source = MolmoCheckpoint(checkpoint=str(folder))
    tokenizer = source.tokenizer()
    batches = TrainingBatches(
        recipe.phases,
        tiers,
        seed,
        architecture,
        resize,
        tokenizer,
    )
    questions = TierQA(split="validation", max_samples=recipe.validation_questions)
    validation = {
        name: TierDataModule(
            questions,
            source,
            Preprocessing(tier, resize=resize, geometry=source.geometry),
            batch_size=recipe.validation_batch_size,
            num_workers=0,
        )
        for name, tier in tiers.items()
        if name in recipe.phases[-1].tiers
    }
    module = MolmoTraining(architecture, recipe, tokenizer, dict.fromkeys(validation, questions))
    if recipe.vision_from is not None and not resume:
        start_vision_from(module.molmo, path("recipe.vision_from", recipe.vision_from))
    logger: Logger = build(config, "logger", save_dir=str(folder.parent))
    if resume and isinstance(logger, CSVLogger):
        keep_earlier_losses(Path(logger.log_dir) / "metrics.csv")
    with closing(logger):
        states = TrainingStates(state, STATE_EVERY, recipe.validation_every)
        trainer = _trainer(config, recipe, logger, states)
        with interruptible(trainer), states.awaiting_interruption():
            try:
                trainer.fit(
                    module,
                    TrainingDataModule(batches, validation, recipe.num_workers),
                    ckpt_path=state if resume else None,
                    weights_only=True,
                )
            except UnpicklingError as error:
                # More than tensors and numbers: it would have to run code to be read.
                raise CheckpointError(f"{state} holds more than a training state") from error
        save_checkpoint(module.molmo, folder, torch.float16)


def start_vision_from(model: Molmo, folder: Path) -> None:
    """Take over the vision backbone of a checkpoint with the same one.

    Raises:
        ConfigError: There is no checkpoint, or its backbone has other sizes.
    """
    trained = MolmoCheckpoint(str(folder)).load(torch.device("cpu")).network
    try:
        model.vision_backbone.load_state_dict(trained.vision_backbone.state_dict())
    except RuntimeError as error:
        allowed = f"a checkpoint with the same vision backbone ({error})"
        raise ConfigError("recipe.vision_from", str(folder), allowed) from None


def _trainer(config: DictConfig, recipe: Recipe, logger: Logger, states: TrainingStates) -> Trainer:
    return build_trainer(
        blueprint(config, "trainer"),
        max_steps=recipe.steps,
        max_epochs=-1,
        precision="bf16-mixed",
        gradient_clip_val=recipe.gradient_clip,
        val_check_interval=recipe.validation_every,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        log_every_n_steps=min(10, recipe.steps),
        logger=logger,
        callbacks=[TrainingLines(STATE_EVERY, Pace(recipe.validation_every)), states],
        enable_checkpointing=False,  # Lightning's own saves in the middle of a step, too
        enable_progress_bar=Console().is_terminal,
        enable_model_summary=False,
    )
