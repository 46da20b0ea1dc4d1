"""Train a small Molmo from nothing on the benchmark in the box; `python train.py --help`."""

from __future__ import annotations

from tierexp.cli.commands import run_train

if __name__ == "__main__":
    run_train()
