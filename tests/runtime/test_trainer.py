"""Which device `trainer.accelerator=auto` is."""

from __future__ import annotations

import logging

import pytest
import torch

from tierexp.config.build import Blueprint
from tierexp.runtime.trainer import build_trainer


@pytest.mark.parametrize("found", ["mps", "xpu", None])
def test_only_an_accelerator_that_is_supported_is_chosen(
    found: str | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    device = None if found is None else torch.device(found)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: device)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: found == "mps")
    settings = {"_target_": "lightning.Trainer", "accelerator": "auto", "devices": 1}
    with caplog.at_level(logging.WARNING, "tierexp"):
        trainer = build_trainer(Blueprint("trainer", settings), logger=False)
    assert trainer.strategy.root_device.type == "cpu"
    said = [m for m in caplog.messages if "not supported" in m]
    assert said == (
        []
        if found is None
        else [f"this machine has an accelerator that is not supported, {found}: running on the CPU"]
    )
