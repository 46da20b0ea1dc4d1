"""Evaluate one tier of a vision-language model; `python eval.py --help` says how."""

from __future__ import annotations

from tierexp.cli.launch import launch
from tierexp.evaluation.run import evaluate
from tierexp.report.comparison import finish

if __name__ == "__main__":
    launch(evaluate, config_name="eval", finish=finish)
