"""The heavy half of `python train.py`: Lightning's trainer around the training module."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from omegaconf import DictConfig
from rich.console import Console

from tierexp.config import build
from tierexp.data.datamodule import TierDataModule
from tierexp.data.tierqa.dataset import TierQA
from tierexp.evaluation.progress import quiet_lightning
from tierexp.imaging.resize import Resize
from tierexp.models.molmo.checkpoint import MolmoCheckpoint, save_checkpoint
from tierexp.models.molmo.config import MolmoConfig
from tierexp.tiers import Threshold, Tier
from tierexp.training.batches import TrainingBatches
from tierexp.training.datamodule import TrainingDataModule
from tierexp.training.module import MolmoTraining
from tierexp.training.recipe import Recipe
from tierexp.training.reporting import ValidationLines


def fit(
    config: DictConfig,
    recipe: Recipe,
    resize: Resize,
    tiers: Sequence[tuple[Tier, float]],
    architecture: MolmoConfig,
    folder: Path,
) -> None:
    """Train, and write the weights beside the configuration and the tokenizer in `folder`.

    Args:
        config: The run's trainer and logger, its seed, and whether to resume.
        recipe: How to train.
        resize: How an image meets its canvas.
        tiers: What batches are cut for, and how often.
        architecture: Of the model.
        folder: The checkpoint folder, with `config.json` and `tokenizer.json`.
    """
    quiet_lightning()
    seed_everything(config.seed, workers=True, verbose=False)
    source = MolmoCheckpoint(checkpoint=str(folder))
    tokenizer = source.tokenizer()
    batches = TrainingBatches(
        recipe.steps,
        recipe.vision_steps,
        config.seed,
        tiers,
        recipe.crops_per_batch,
        recipe.questions_per_task,
        architecture.geometry,
        resize,
        tokenizer,
    )
    questions = TierQA(split="validation", max_samples=recipe.validation_questions)
    validation = {
        tier.name: TierDataModule(
            questions,
            source,
            tier,
            Threshold(),
            resize,
            batch_size=recipe.validation_batch_size,
            num_workers=0,
        )
        for tier, _ in tiers
    }
    module = MolmoTraining(architecture, recipe, tokenizer, list(validation))
    states = folder.parent / "training_states"
    trainer = _trainer(config, recipe, states)
    last = states / "last.ckpt"
    try:
        trainer.fit(
            module,
            TrainingDataModule(batches, validation, recipe.num_workers),
            ckpt_path=last if config.resume and last.is_file() else None,
            weights_only=True,
        )
    except SystemExit:
        if trainer.interrupted:  # Lightning's answer to Ctrl-C
            raise KeyboardInterrupt from None
        raise
    save_checkpoint(module.molmo, folder, torch.float16)


def _trainer(config: DictConfig, recipe: Recipe, states: Path) -> Trainer:
    logger: Any = build(config, "logger", save_dir=str(states.parent))
    trainer: Trainer = build(
        config,
        "trainer",
        max_steps=recipe.steps,
        max_epochs=-1,
        precision="bf16-mixed",
        gradient_clip_val=recipe.gradient_clip,
        val_check_interval=recipe.validation_every,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        log_every_n_steps=10,
        logger=logger,
        callbacks=[
            ModelCheckpoint(
                states,
                save_last=True,
                save_top_k=0,
                every_n_train_steps=recipe.validation_every,
            ),
            ValidationLines(),
        ],
        enable_progress_bar=Console().is_terminal,
        enable_model_summary=False,
    )
    return trainer
