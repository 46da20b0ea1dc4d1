"""What an image costs in every family: `python tokens.py PHOTO_OR_SIZE...`."""

from __future__ import annotations

from tierexp.report.tokens_command import main

if __name__ == "__main__":
    main()
