"""What the tests keep between commands changes nothing of what Hydra composes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from tests.support.composing import composing_as_hydra_does
from tierexp.cli.launch import launch

pytestmark = pytest.mark.whole

COMMANDS = [
    ["tier=high", "data.max_samples=5"],
    ["-m", "tier=low,fixed_432", "model.top_k=1"],
    ["experiment=tier_sweep", "seed=3"],
    ["hydra.mode=MULTIRUN", "seed=1,2"],
]


class Kept:
    """The configurations that a command's runs get, Hydra's part included."""

    def __init__(self) -> None:
        self.runs: list[tuple[Any, Any]] = []

    def __call__(self, config: DictConfig, folder: Path) -> None:
        """Keep a run's."""
        del folder
        hydra = HydraConfig.get()
        self.runs.append(
            (
                OmegaConf.to_container(config, resolve=False),
                OmegaConf.to_container(hydra, resolve=False),
            )
        )


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_the_same_configurations(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["eval.py", *arguments, "output_dir=~/a"])
    asked = sys.argv[:]
    plain, quick, again = Kept(), Kept(), Kept()
    with composing_as_hydra_does():
        launch(plain, "eval")
    for kept in (quick, again):
        sys.argv[:] = asked
        launch(kept, "eval")
    assert plain.runs
    assert quick.runs == plain.runs
    assert again.runs == plain.runs
