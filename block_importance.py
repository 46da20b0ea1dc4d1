"""Measure which transformer blocks matter on a data set; `python block_importance.py --help`."""

from __future__ import annotations

from tierexp.cli.commands import run_block_importance

if __name__ == "__main__":
    run_block_importance()
