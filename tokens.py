"""What an image costs in every family: `python tokens.py PHOTO_OR_SIZE...`."""

from __future__ import annotations

from tierexp.cli.commands import run_tokens

if __name__ == "__main__":
    run_tokens()
