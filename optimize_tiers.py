"""Design a tier for a distribution of image sizes; `python optimize_tiers.py --help` says how."""

from __future__ import annotations

from tierexp.cli.commands import run_optimize_tiers

if __name__ == "__main__":
    run_optimize_tiers()
