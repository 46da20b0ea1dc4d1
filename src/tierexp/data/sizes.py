"""Image sizes without pixels: all that selection and preprocessing statistics need to know.

In: a CSV file with the columns `height` and `width`, a folder of images, of which only headers are
read, or any data set of questions. Out: columns of sizes, and the images whose header cannot be
read. Knows nothing about tiers.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tierexp.config import checks
from tierexp.data.image_files import find_images
from tierexp.data.plan import readable_sizes
from tierexp.data.progress import told
from tierexp.data.sample import QuestionDataset
from tierexp.errors import ConfigError, DataError, ImageDecodeError
from tierexp.imaging.decode import read_image_size

_log = logging.getLogger(__name__)

COLUMNS = ("height", "width")
MAX_SIDE = 2**31 - 1
"""No image format holds a longer side."""
_DIGITS = 20
"""Numbers of more are refused unread; leading zeros are not worth more."""


@dataclass(frozen=True)
class ImageSizes:
    """The sizes of N images, as displayed.

    Args:
        name: How results call the collection.
        heights: (N,) int64, in pixels.
        widths: (N,) int64, in pixels.
        unreadable: Why further images have no size, by sample id or path.
    """

    name: str
    heights: NDArray[np.int64]
    widths: NDArray[np.int64]
    unreadable: Mapping[str, str]

    def without(self, refused: Mapping[int, str]) -> ImageSizes:
        """The others, where some images are refused; they are among the unreadable ones.

        Args:
            refused: Why, by place.
        """
        if not refused:
            return self
        numbered = {f"image {place + 1}": why for place, why in refused.items()}
        places = [*refused]
        return ImageSizes(
            self.name,
            np.delete(self.heights, places),
            np.delete(self.widths, places),
            {**self.unreadable, **numbered},
        )


def read_sizes(
    path: str | Path, max_samples: int | None = None, name: str | None = None
) -> ImageSizes:
    """The sizes that a CSV file lists, or those of the images in a folder.

    A file begins with a line that names its columns; others than `height` and `width` are ignored,
    and so are empty lines. A folder is searched with everything below it (`find_images`), in the
    order of paths; what is passed over is logged, with the reasons.

    Args:
        path: Path of the file or the folder.
        max_samples: Keep only the first; None keeps all. All lines of a file are checked either
            way.
        name: How results call it; None takes that of the file without its suffix, or the folder's.

    Raises:
        ConfigError: There is neither, or `max_samples` is below 1.
        DataError: A column is missing, a line has no whole number of pixels from 1 to 2**31 - 1 in
            one of them, or there is no size or image at all. The message names file and line.
    """
    checks.optional_whole_number("data.max_samples", max_samples, 1)
    source = checks.path("data.path", path)
    if name is not None:
        checks.text("data.name", name)
    if source.is_dir():
        return _of_folder(source, max_samples, name or source.resolve().name)
    if not source.is_file():
        expected = "an existing CSV file with the columns height and width, or a folder of images"
        raise ConfigError("data.path", str(path), expected)
    try:
        with source.open(encoding="utf-8-sig", newline="") as file:
            flat = np.fromiter(_numbers(file, source), np.int64)
    except UnicodeDecodeError:
        raise DataError(f"{source}: not UTF-8 text; expected a CSV file of sizes") from None
    except OSError as error:
        raise DataError(f"{source}: {error.strerror}") from None
    if not flat.size:
        raise DataError(f"{source}: no sizes; expected lines such as 480,640 below height,width")
    heights, widths = flat.reshape(-1, 2)[:max_samples].T.copy()  # (2, N)
    return ImageSizes(name or source.stem, heights, widths, {})


def sample_sizes(dataset: QuestionDataset) -> ImageSizes:
    """The image sizes of a data set, one for every question, without decoding anything.

    Args:
        dataset: Read for image sizes and, where there is none, for sample ids.
    """
    sizes, unreadable = readable_sizes(dataset)
    failed = {dataset[index].sample_id: reason for index, reason in unreadable.items()}
    return _as_columns(dataset.name, list(sizes.values()), failed)


def _of_folder(folder: Path, max_samples: int | None, name: str) -> ImageSizes:
    found = find_images(folder)
    passed_over = found.passed_over_in_words()
    if not found.images:
        raise DataError(f"{folder}: no images in this folder" + passed_over)
    if passed_over:
        _log.info("%s: %d images%s", folder, len(found.images), passed_over)
    images = found.images[:max_samples]
    sizes: list[tuple[int, int]] = []
    unreadable: dict[str, str] = {}
    for image in told(images, len(images), "image headers read"):
        try:
            sizes.append(read_image_size(image))
        except ImageDecodeError as error:
            unreadable[str(image.relative_to(folder))] = str(error)
    return _as_columns(name, sizes, unreadable)


def _as_columns(
    name: str, sizes: list[tuple[int, int]], unreadable: Mapping[str, str]
) -> ImageSizes:
    heights, widths = np.array(sizes, np.int64).reshape(-1, 2).T.copy()  # (2, N)
    return ImageSizes(name, heights, widths, unreadable)


def _numbers(lines: Iterator[str], file: Path) -> Iterator[int]:
    """Height, width, height, width ... of a CSV file."""
    rows = csv.reader(lines)
    try:
        header = [cell.strip() for cell in next(rows, [])]
        positions = [_position(header, column, file) for column in COLUMNS]
        for row in rows:
            if not row:
                continue
            for position in positions:
                cell = row[position].strip() if position < len(row) else ""
                # int() alone would read 1_000 and digits of other scripts, too.
                plain = len(cell) <= _DIGITS and cell.isascii() and cell.isdigit()
                side = int(cell) if plain else 0
                if not 1 <= side <= MAX_SIDE:
                    problem = f"{header[position]} is {cell[:40]!r}"
                    expected = f"expected a whole number of pixels from 1 to {MAX_SIDE}"
                    raise DataError(f"{file}, line {rows.line_num}: {problem}; {expected}")
                yield side
    except csv.Error as error:
        raise DataError(f"{file}, line {rows.line_num}: malformed CSV ({error})") from None


def _position(header: list[str], column: str, file: Path) -> int:
    if header.count(column) != 1:
        problem = f"several columns {column!r}" if column in header else f"no column {column!r}"
        found = ", ".join(header)[:200] or "nothing"
        expected = "expected the names of the columns, height and width among them"
        raise DataError(f"{file}, line 1: {problem} in {found!r}; {expected}")
    return header.index(column)
