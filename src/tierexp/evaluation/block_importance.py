"""`python block_importance.py`: which transformer blocks matter on a data set.

In: the configuration. Out: a JSON file that `model.block_importance` reads. Everything that can be
wrong with the configuration is found before torch is imported.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from tierexp.config.build import blueprint, has_target, refuse_unknown_keys, resolved
from tierexp.config.checks import MAX_SEED, flag, refuse_overwriting, whole_number
from tierexp.data.loader_settings import LoaderSettings
from tierexp.errors import ConfigError
from tierexp.errors.machine import writing
from tierexp.evaluation.setup import read_dataset
from tierexp.imaging.preprocessing import read_preprocessing
from tierexp.models.knobs.source import read_source
from tierexp.models.none import NoModel
from tierexp.models.protocol import LoadsMeasurable, ModelSource
from tierexp.runtime.trainer_settings import check_trainer

if TYPE_CHECKING:
    import torch

    from tierexp.data.datamodule import TierDataModule
    from tierexp.models.block_importance import BlockImportance
    from tierexp.models.protocol import MeasurableModel

log = logging.getLogger(__name__)

FILE_NAME = "block_importance.json"
KEYS = (
    "tier",
    "threshold",
    "resize",
    "model",
    "data",
    "trainer",
    "seed",
    "overwrite",
    "output_dir",
)
"""The top-level keys of `conf/block_importance.yaml`."""


def measure_block_importance(config: DictConfig, output_dir: Path) -> None:
    """Measure, print, and write the scores of all blocks.

    Args:
        config: As composed from `conf/block_importance.yaml`.
        output_dir: Where the file goes.

    Raises:
        TierexpError: A setting or a data file that cannot work, or scores that are not to be
            touched.
        SystemExit: With code 1 where no sample could be prepared.
    """
    refuse_unknown_keys(config, KEYS)
    seed = whole_number("seed", config.seed, 0, MAX_SEED)
    allowed = "a Molmo: the blocks of others are not measured"
    if has_target(config, "model", NoModel):
        raise ConfigError("model", "none", allowed)
    source: ModelSource = read_source(config, kind=ModelSource)
    file = output_dir / FILE_NAME
    if not isinstance(source, LoadsMeasurable):
        raise ConfigError("model", source.name, allowed)
    preprocessing = read_preprocessing(config, source)
    check_trainer(resolved(config.trainer))
    loader = LoaderSettings.from_config(config)
    dataset = read_dataset(config, source)
    refuse_overwriting([file], flag("overwrite", config.overwrite))

    from tierexp.data.datamodule import TierDataModule
    from tierexp.results.provenance import digest_inputs, gather_provenance
    from tierexp.runtime.trainer import build_trainer, quiet_lightning

    quiet_lightning()
    # Only the choice of the device is the trainer's: nothing is learned, logged or scored.
    device = build_trainer(blueprint(config, "trainer"), logger=False).strategy.root_device
    data = TierDataModule(dataset, source, preprocessing, **dataclasses.asdict(loader))
    measured, prompts, failed = _measured(data, source.load_measurable(device), device)
    inputs = digest_inputs(dataset, source)
    provenance = gather_provenance(resolved(config), seed, str(device), inputs)
    content = {
        "schema_version": 1,
        "model": source.name,
        "dataset": dataset.name,
        "tier": preprocessing.tier.name,
        "num_samples": prompts,
        "num_failed": failed,
        "num_tokens": measured.num_tokens,
        "block_importance": measured.scores,
        "provenance": dataclasses.asdict(provenance),
    }
    output_dir.mkdir(parents=True, exist_ok=True)
    with writing(file):
        file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    _print_scores(content, file)


def _measured(
    data: TierDataModule, model: MeasurableModel, device: torch.device
) -> tuple[BlockImportance, int, int]:
    """(scores, prompts, samples that failed) of a data set.

    Raises:
        SystemExit: With code 1 where no sample could be prepared.
    """
    from tierexp.models.block_importance import BlockImportance

    measured = BlockImportance(model)
    prompts = failed = 0
    for prepared in data.test_dataloader():
        batch = data.on_before_batch_transfer(prepared, 0)  # data.on_error
        failed += len(batch.failures)
        if batch.inputs is not None:
            measured.update(batch.inputs.to(device))
            prompts += len(batch.prepared)
    if not prompts:
        raise SystemExit(f"error: none of {failed} samples could be prepared")
    return measured, prompts, failed


def _print_scores(content: Mapping[str, Any], file: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="{model} · {dataset} · tier {tier}".format(**content))
    table.add_column("block", justify="right")
    table.add_column("changes its input by (1 - cosine)", justify="right")
    for number, score in enumerate(content["block_importance"]):
        table.add_row(str(number), f"{score:.4f}")
    console = Console()
    console.print(table)
    console.print(
        "{num_samples} prompts, {num_tokens} tokens, {num_failed} failed".format(**content)
    )
    console.print(f"scores  {file}", soft_wrap=True)
    console.print(
        "use     model.num_active_blocks=N model.block_policy=importance "
        f"model.block_importance={file}",
        soft_wrap=True,
    )
