"""Evaluate one tier of a vision-language model; `python eval.py --help` says how."""

from __future__ import annotations

from tierexp.cli.commands import run_eval

if __name__ == "__main__":
    run_eval()
