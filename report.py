"""Make one page about the runs of a sweep: `python report.py DIR`."""

from __future__ import annotations

from tierexp.report.command import main

if __name__ == "__main__":
    main()
