"""Image paths as a data file writes them, to files of this machine.

In: a folder and the paths. Out: one path per file, however it is written. Looks files up and opens
none. A path is looked up once, a folder's links are followed once: a data file of 100,000 lines
names the same few thousand images again and again.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path


class ImagePaths:
    """Finds the images that a data file in a folder names.

    Args:
        folder: What relative paths start from; links in its own path are followed.
        anywhere: Whether an image may lie outside: the file of somebody else could name any
            picture of this machine.
    """

    def __init__(self, folder: Path, anywhere: bool) -> None:
        self.folder = os.path.realpath(folder)
        self._below = os.path.join(self.folder, "")  # noqa: PTH118  # ends in a separator
        self._anywhere = anywhere
        self._found: dict[str, str] = {}
        self._folders: dict[str, str] = {}

    def find(self, written: str) -> str:
        """The absolute path of a file, symbolic links followed.

        A backslash parts folders, as on Windows, where no file has it in its name.

        Args:
            written: Absolute, or relative to the folder.

        Raises:
            ValueError: There is no such file, or it lies outside; the message is the reason.
        """
        found = self._found.get(written)
        if found is None:
            try:
                found = self._look_up(written)
            except ValueError:
                if "\\" not in written:
                    raise
                found = self._look_up(written.replace("\\", "/"))
            self._found[written] = found
        return found

    def key(self, found: str) -> str:
        """A file that was found, from the folder: the same wherever that lies."""
        inside = found.startswith(self._below)
        return found[len(self._below) :] if inside else os.path.relpath(found, self.folder)

    def _look_up(self, written: str) -> str:
        named = os.path.join(self.folder, written)  # noqa: PTH118  # pathlib takes ten times as long
        if written.partition("://")[0] in ("http", "https", "ftp", "s3", "gs"):
            raise ValueError(f"image {_short(written)} is an address; it has to be a file")
        try:
            found, mode = self._followed(named)
            # Said whether it exists or not: that, too, would be news from elsewhere.
            if not self._anywhere and not found.startswith(self._below):
                raise _OutsideError
            exists = stat.S_ISREG(os.stat(found).st_mode if mode is None else mode)  # noqa: PTH116
        except _OutsideError:
            raise ValueError(
                f"image {_short(named)} lies outside {self.folder}; "
                "data.images_anywhere=true allows that"
            ) from None
        except (OSError, RuntimeError, ValueError):
            exists = False  # a name no file can have, such as a base64 picture, or a loop of links
        if not exists:
            raise ValueError(f"image {_short(named)} does not exist")
        return found

    def _followed(self, named: str) -> tuple[str, int | None]:
        """A path without links, and what kind of file is there, where that is known already."""
        parent, name = os.path.split(named)
        if name in ("", ".", ".."):
            return os.path.realpath(named), None
        if parent not in self._folders:
            self._folders[parent] = os.path.realpath(parent)
        plain = os.path.join(self._folders[parent], name)  # noqa: PTH118
        try:
            mode = os.lstat(plain).st_mode
        except (FileNotFoundError, NotADirectoryError):
            return plain, 0
        return (os.path.realpath(plain), None) if stat.S_ISLNK(mode) else (plain, mode)


class _OutsideError(Exception):
    """A path that leads out of the folder."""


def _short(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}..."
