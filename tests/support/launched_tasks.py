"""Tasks for runs in other processes, which import them by name; without torch, for speed."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from omegaconf import DictConfig


def note_process(config: DictConfig, output_dir: Path) -> float:
    """Writes down where it runs."""
    threads = os.environ.get("OMP_NUM_THREADS")
    (output_dir / "process.json").write_text(json.dumps({"pid": os.getpid(), "threads": threads}))
    return 1.0


def die(config: DictConfig, output_dir: Path) -> None:
    """Ends its process as the kernel does where memory is short."""
    del config, output_dir
    os.kill(os.getpid(), signal.SIGKILL)
