"""Compare results files, older ones among them: `python compare.py PATH...`."""

from __future__ import annotations

from tierexp.report.compare_command import main

if __name__ == "__main__":
    main()
