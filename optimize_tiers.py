"""Design a tier for a distribution of image sizes; `python optimize_tiers.py --help` says how."""

from __future__ import annotations

from tierexp.cli.launch import launch
from tierexp.tier_design.run import optimize_tiers

if __name__ == "__main__":
    launch(optimize_tiers, config_name="optimize_tiers")
