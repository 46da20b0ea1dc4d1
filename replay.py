"""Replay a policy on a static sweep's results: `python replay.py DIR`; `--help` says more."""

from __future__ import annotations

from tierexp.cli.commands import run_replay

if __name__ == "__main__":
    run_replay()
