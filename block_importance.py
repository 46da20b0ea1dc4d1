"""Measure which transformer blocks matter on a data set; `python block_importance.py --help`."""

from __future__ import annotations

from tierexp.cli.launch import launch
from tierexp.evaluation.block_importance import measure_block_importance

if __name__ == "__main__":
    launch(measure_block_importance, config_name="block_importance")
