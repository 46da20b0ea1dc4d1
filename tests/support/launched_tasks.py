"""Tasks for runs in other processes, which import them by name; without torch, for speed."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

from omegaconf import DictConfig

from tierexp.errors import ConfigError, MachineError


def note_process(config: DictConfig, output_dir: Path) -> float:
    """Writes down where it runs."""
    threads = os.environ.get("OMP_NUM_THREADS")
    part = output_dir / "process.part"
    part.write_text(json.dumps({"pid": os.getpid(), "threads": threads}))
    part.replace(output_dir / "process.json")
    return 1.0


def linger(config: DictConfig, output_dir: Path) -> None:
    """Writes down where it runs, and stays."""
    note_process(config, output_dir)
    time.sleep(60)


def die(config: DictConfig, output_dir: Path) -> None:
    """Ends its process as the kernel does where memory is short."""
    del config, output_dir
    os.kill(os.getpid(), signal.SIGKILL)


def end(config: DictConfig, output_dir: Path) -> None:
    """Ends as `tier.name` says."""
    endings: dict[str, BaseException] = {
        "mistake": ConfigError("seed", 1, "2"),
        "machine": MachineError("the machine is too small"),
        "code": SystemExit(3),
        "interrupt": KeyboardInterrupt(),
        "defect": RuntimeError("a defect"),
    }
    if config.tier.name in endings:
        raise endings[config.tier.name]
