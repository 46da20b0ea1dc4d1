"""Train a small Molmo from nothing on the benchmark in the box; `python train.py --help`."""

from __future__ import annotations

from tierexp.cli.launch import launch
from tierexp.training.run import train

if __name__ == "__main__":
    launch(train, config_name="train")
