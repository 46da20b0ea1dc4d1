"""What lmms-eval's `--model_args` say, composed and checked as a command line of `eval.py` is.

In: the text of `--model_args`, and what lmms-eval says beside it. Out: tier, threshold, resizing,
prompt and model source, ready to run, or one line about what cannot work. Imports neither torch nor
lmms-eval.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from tierexp.config.build import has_target, refuse_unknown_keys, resolved, unknown_key
from tierexp.config.checks import flag, path, whole_number
from tierexp.config.credentials import refuse_credentials
from tierexp.config.location import config_dir
from tierexp.config.overrides import describe_composition_error
from tierexp.data.hub.prompt import Prompt
from tierexp.data.loader_settings import MAX_BATCH_SIZE, MAX_WORKERS
from tierexp.errors import ConfigError, TierexpError
from tierexp.imaging.preprocessing import Preprocessing, read_preprocessing
from tierexp.models.knobs.source import read_source
from tierexp.models.none import NoModel
from tierexp.models.protocol import ModelSource

CONFIG_NAME = "lmms_eval"
KEYS = ("tier", "threshold", "resize", "model", "trainer", "data", "output_dir", "overwrite")
"""The top-level keys of `conf/lmms_eval.yaml`."""
_DATA_KEYS = ("batch_size", "num_workers", "prompt")

_OPENING, _CLOSING, _QUOTES = "[{(", "]})", "'\""


@dataclass(frozen=True)
class AnsweringSetup:
    """Everything that answers are given by.

    Args:
        preprocessing: How images become crops.
        source: The model, its weights not read yet.
        prompt: How a task's question is put.
        batch_size: Most questions of a batch.
        num_workers: Processes that prepare images; 0 prepares in the main process.
        output_dir: Where the metrics of the run go.
        overwrite: Whether those of an earlier run there may go.
        config: That all of this was read from.
    """

    preprocessing: Preprocessing
    source: ModelSource
    prompt: Prompt
    batch_size: int
    num_workers: int
    output_dir: Path
    overwrite: bool
    config: DictConfig


def read_arguments(text: str, beside: Mapping[str, object]) -> AnsweringSetup:
    """Check arguments and build what they describe.

    Args:
        text: Text of `--model_args`: overrides with commas between them, `tier=low,model.top_k=1`.
        beside: What lmms-eval hands over beside them: `batch_size`, `max_batch_size`, `device`.

    Raises:
        TierexpError: A key that nothing reads, or a value that cannot work.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError(
            "WORLD_SIZE", os.environ["WORLD_SIZE"], "1: a run of lmms-eval is one process here"
        )
    overrides = [*_of_command_line(beside), *split_arguments(text)]
    return read_answering_setup(compose_arguments(overrides))


def split_arguments(text: str) -> list[str]:
    """The overrides in a text, split at the commas that are in no brackets and no quotes."""
    parts, depth, quote = [""], 0, ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in _QUOTES:
            quote = letter
        elif letter in _OPENING:
            depth += 1
        elif letter in _CLOSING:
            depth -= 1
        elif letter == "," and not depth:
            parts.append("")
            continue
        parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]


def compose_arguments(overrides: Sequence[str]) -> DictConfig:
    """The configuration that overrides make of `conf/lmms_eval.yaml`.

    Raises:
        TierexpError: They cannot be read, or name something that is not there.
    """
    for override in overrides:
        key, _, value = override.lstrip("+~").partition("=")
        refuse_credentials({key: value})
        if key == "data":
            raise ConfigError("data", value, "left to lmms-eval: its --tasks are the data")
    try:
        with initialize_config_dir(str(config_dir()), version_base="1.3"):
            return compose(CONFIG_NAME, list(overrides))
    except (HydraException, OmegaConfBaseException, TypeError, ValueError) as error:
        line = describe_composition_error(error, CONFIG_NAME, overrides)
        raise TierexpError(line) from error


def read_answering_setup(config: DictConfig) -> AnsweringSetup:
    """Check a configuration and build what it describes, the cheapest things first.

    Args:
        config: As composed from `conf/lmms_eval.yaml`.

    Raises:
        ConfigError: A key that nothing reads, or a value that cannot work.
    """
    refuse_unknown_keys(config, KEYS)
    if has_target(config, "model", NoModel):
        raise ConfigError("model", "none", "a model that answers")
    source = read_source(config)
    preprocessing = read_preprocessing(config, source)
    preprocessing.check(preprocessing.tier)
    data = resolved(config.data)
    for key, value in data.items():
        if key not in _DATA_KEYS:
            raise unknown_key(f"data.{key}", value, _DATA_KEYS)
    return AnsweringSetup(
        preprocessing, source,
        Prompt.from_config(data.get("prompt")),
        whole_number("data.batch_size", data.get("batch_size"), 1, MAX_BATCH_SIZE),
        whole_number("data.num_workers", data.get("num_workers"), 0, MAX_WORKERS),
        path("output_dir", resolved(config)["output_dir"]),
        flag("overwrite", config.overwrite),
        config,
    )  # fmt: skip


def _of_command_line(beside: Mapping[str, object]) -> list[str]:
    """The overrides that lmms-eval's own options stand for."""
    device = beside.get("device")
    if device is not None:
        allowed = "left out: trainer=cpu or trainer=gpu in --model_args chooses"
        raise ConfigError("device", device, allowed)
    most = beside.get("max_batch_size")
    if most is not None:
        raise ConfigError("max_batch_size", most, "left out: nothing looks for a batch size")
    size = beside.get("batch_size")
    if size is not None and not str(size).isdecimal():
        raise ConfigError("batch_size", size, "a whole number >= 1")
    return [] if size is None else [f"data.batch_size={size}"]
