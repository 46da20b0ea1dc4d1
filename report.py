"""Make one page about the runs of a sweep: `python report.py DIR`."""

from __future__ import annotations

from tierexp.cli.commands import run_report

if __name__ == "__main__":
    run_report()
