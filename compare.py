"""Compare results files, older ones among them: `python compare.py PATH...`."""

from __future__ import annotations

from tierexp.cli.commands import run_compare

if __name__ == "__main__":
    run_compare()
