"""The image files of a folder, known by their names or by how they begin.

In: a folder. Out: paths, and how many files were passed over for what reason. Looks at no more than
the first bytes of a file.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tierexp.imaging.decode import holds_image

SUFFIXES = frozenset((
    ".jpg", ".jpeg", ".jfif", ".jpe", ".mpo", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff",
    ".avif", ".heic", ".heif",
))  # fmt: skip
"""What is taken for an image by its name, in lower case."""

_MOST_SUFFIXES = 4
_FORK = "companion files of macOS (._name)"
_UNREADABLE = "not readable"
_NO_FILE = "neither a file nor a folder"
_DANGLING = "links that lead nowhere"


@dataclass(frozen=True)
class FoundImages:
    """What a folder holds.

    Args:
        images: In the order of their paths.
        passed_over: How many files were none, by reason.
    """

    images: tuple[Path, ...]
    passed_over: Mapping[str, int]

    def passed_over_in_words(self) -> str:
        """To be added to a line: how many were passed over, and why; empty where none was."""
        if not self.passed_over:
            return ""
        reasons = ", ".join(f"{count} {reason}" for reason, count in self.passed_over.items())
        return f"; passed over {sum(self.passed_over.values())}: {reasons}"


def find_images(folder: Path) -> FoundImages:
    """Search a folder with everything below it, linked folders included, each folder once.

    A file is an image if its suffix says so, even if it turns out not to be readable, or if it
    begins as one (`holds_image`), whatever its name.

    Args:
        folder: That exists.
    """
    images: list[Path] = []
    suffixes: Counter[str] = Counter()
    others: Counter[str] = Counter()
    for file in _files(folder, others):
        if file.name.startswith("._"):
            others[_FORK] += 1
        elif file.suffix.lower() in SUFFIXES:
            images.append(file)
        else:
            try:
                if holds_image(file):
                    images.append(file)
                else:
                    suffixes[file.suffix.lower() or "no suffix"] += 1
            except OSError:
                others[_UNREADABLE] += 1
    passed_over: dict[str, int] = {}
    if suffixes:
        # Not most_common(): of equal counts it takes the one that the disk lists first.
        ranked = sorted(suffixes.items(), key=lambda item: (-item[1], item[0]))
        named = [f"{suffix} {count}" for suffix, count in ranked[:_MOST_SUFFIXES]]
        rest = sum(count for _, count in ranked[_MOST_SUFFIXES:])
        named += [f"others {rest}"] if rest else []
        passed_over[f"not images ({', '.join(named)})"] = suffixes.total()
    return FoundImages(tuple(sorted(images)), {**passed_over, **others})


def _files(folder: Path, passed_over: Counter[str]) -> Iterator[Path]:
    """Every regular file, links to some included; what else there is is counted."""
    seen: set[tuple[int, int]] = set()

    def unreadable(_: OSError) -> None:
        passed_over[f"folders {_UNREADABLE}"] += 1

    roots = [folder]
    for root in roots:
        for parent, folders, names in os.walk(root, onerror=unreadable):
            status = Path(parent).stat()
            if (status.st_dev, status.st_ino) in seen:  # a link back up, or a second one
                folders.clear()
                continue
            seen.add((status.st_dev, status.st_ino))
            # Links come last: a folder is listed under its own path where that is below, too.
            roots += [link for name in sorted(folders) if (link := Path(parent, name)).is_symlink()]
            yield from _regular_files(parent, names, passed_over)


def _regular_files(parent: str, names: list[str], passed_over: Counter[str]) -> Iterator[Path]:
    for name in names:
        file = Path(parent, name)
        try:
            mode = file.stat().st_mode
        except OSError:
            passed_over[_DANGLING] += 1
            continue
        if stat.S_ISREG(mode):
            yield file
        else:
            passed_over[_NO_FILE] += 1
