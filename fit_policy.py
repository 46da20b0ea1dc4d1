"""Fit a policy to a static sweep's results; `python fit_policy.py --help` says how."""

from __future__ import annotations

from tierexp.cli.commands import run_fit_policy

if __name__ == "__main__":
    run_fit_policy()
