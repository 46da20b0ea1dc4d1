"""The checkout of an older commit that a benchmark compares with."""

from __future__ import annotations

from pathlib import Path


def checkout(folder: Path) -> Path:
    """The folder, made absolute.

    Raises:
        SystemExit: There is no tierexp in it: Python would take the one that is installed, and the
            commit would be compared with itself.
    """
    if not (folder / "src" / "tierexp").is_dir():
        raise SystemExit(f"{folder} holds no tierexp: git worktree add --detach {folder} 44dde4c")
    return folder.resolve()
