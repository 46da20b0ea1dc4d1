"""What a router may know before anything is encoded, as numbers.

In: questions, and the regions of their images. Out: a table, a row
a question and point. The task's name is never among them: a user does not have it.

| group | of | what |
|---|---|---|
| `words` | the question | whether each word of the vocabulary is in it |
| `sizes` | the image | area and aspect ratio, in powers of two |
| `points` | image and point | crops, mismatch, scale, the share of the image that is kept |
| `detail` | image, question, point | how large the regions that the question names, and all, are |

Lengths of `detail` are in pixels of the point's crops, in powers of two.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tierexp.errors import ConfigError
from tierexp.imaging.resize import Placement, ResizeMode, place
from tierexp.policies.detail import Region, Regions, named_colors
from tierexp.policies.questions import Questions
from tierexp.tiers.geometry import CropGeometry

Floats = NDArray[np.float64]
Group = Literal["words", "sizes", "points", "detail"]
GROUPS: tuple[Group, ...] = get_args(Group)

ABSENT = -16.0
"""Stands for a length or share of which there is none; below every other value."""
ELONGATED = 1.35
"""Width over height from which a region may be a line of text."""
RAREST = 5
"""Questions a word must be in to get into the vocabulary."""

_NAMED = (
    "named_line_height", "named_line_elongation", "named_blob_largest", "named_blob_smallest",
    "named_regions", "named_blobs",
)  # fmt: skip
_DETAIL = (
    *(f"{name}_min" for name in _NAMED), *(f"{name}_max" for name in _NAMED),
    "blobs", "blob_smallest", "blob_largest", "blob_median",
    "lines", "line_lowest", "line_highest", "line_median",
    "named_kept", "regions_lost",
)  # fmt: skip
_LENGTHS = ("height", "largest", "smallest", "lowest", "highest", "median")
POINTS = ("crops", "mismatch", "scale", "content_kept")


@dataclass(frozen=True)
class FeatureSpace:
    """Which features there are, in which order.

    Args:
        groups: Groups of `GROUPS`.
        vocabulary: Lower-case words, where `words` is among the groups.
    """

    groups: tuple[Group, ...]
    vocabulary: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """(F) of the columns; the first is the point's number, whatever the groups."""
        names = ["point"]
        if "words" in self.groups:
            names += [f"word {word}" for word in self.vocabulary]
        if "sizes" in self.groups:
            names += ["area", "aspect"]
        if "points" in self.groups:
            names += POINTS
        if "detail" in self.groups:
            names += _DETAIL
        return tuple(names)


def check_groups(groups: object) -> tuple[Group, ...]:
    """Feature groups as configured, in the order of `GROUPS`.

    Raises:
        ConfigError: Not a list of groups, at least one.
    """
    given = list(groups) if isinstance(groups, Sequence) and not isinstance(groups, str) else []
    if not given or any(group not in GROUPS for group in given):
        raise ConfigError("policy.features", groups, f"a list of {', '.join(GROUPS)}")
    return tuple(group for group in GROUPS if group in given)


def words_of(question: str) -> set[str]:
    """Lower-case words, digits among them."""
    return set(re.findall(r"\w+", question.lower()))


def feature_space(groups: tuple[Group, ...], questions: Sequence[str]) -> FeatureSpace:
    """The space that these questions span."""
    counts: dict[str, int] = {}
    for question in questions:
        for word in words_of(question):
            counts[word] = counts.get(word, 0) + 1
    frequent = sorted(word for word, count in counts.items() if RAREST <= count < len(questions))
    return FeatureSpace(groups, tuple(frequent) if "words" in groups else ())


def feature_table(
    space: FeatureSpace, asked: Questions, images: Mapping[str, Regions] | None, mode: ResizeMode
) -> Floats:
    """(N, P, F): the features of every question at every point.

    Args:
        space: Which.
        asked: The questions.
        images: Regions by image key; needed for `detail` alone.
        mode: How images meet their canvas.

    Raises:
        ValueError: `detail` without images.
    """
    count, points = len(asked), asked.num_points
    numbers = np.broadcast_to(
        np.arange(points, dtype=np.float64)[None, :, None], (count, points, 1)
    )
    parts: list[Floats] = [numbers]

    def of_question(columns: Floats) -> Floats:
        return np.broadcast_to(columns[:, None, :], (count, points, columns.shape[1]))

    if "words" in space.groups:
        rows = [words_of(question) for question in asked.texts]
        known = np.array([[float(w in row) for w in space.vocabulary] for row in rows])
        parts.append(of_question(known.reshape(count, len(space.vocabulary))))
    if "sizes" in space.groups:
        height, width = asked.sizes.T
        parts.append(of_question(np.log2(np.stack([height * width, width / height], axis=1))))
    if "points" in space.groups or "detail" in space.groups:
        placed = _placements(asked, mode)
        if "points" in space.groups:
            parts.append(_point_features(asked, placed))
        if "detail" in space.groups:
            if images is None:
                raise ValueError("features of detail need the images")
            parts.append(_detail_features(asked, images, placed))
    return np.concatenate(parts, axis=2)


def _placements(asked: Questions, mode: ResizeMode) -> list[list[Placement]]:
    geometry = CropGeometry()
    known: dict[tuple[float, ...], Placement] = {}
    rows = []
    for (height, width), tilings in zip(asked.sizes, asked.tilings, strict=True):
        row = []
        for down, across in tilings:
            key = (height, width, down, across)
            if key not in known:
                canvas = geometry.canvas_size((int(down), int(across)))
                known[key] = place((int(height), int(width)), canvas, mode)
            row.append(known[key])
        rows.append(row)
    return rows


def _point_features(asked: Questions, placed: Sequence[Sequence[Placement]]) -> Floats:
    crops = asked.tilings.prod(axis=2)
    scale = np.array([[min(p.scale) for p in row] for row in placed])
    kept = np.array([[p.content_kept for p in row] for row in placed])
    return np.stack([np.log2(crops), asked.mismatch, np.log2(scale), kept], axis=2)


def _detail_features(
    asked: Questions, images: Mapping[str, Regions], placed: Sequence[Sequence[Placement]]
) -> Floats:
    table = np.empty((*asked.mismatch.shape, len(_DETAIL)))
    scaled = np.array([name.removesuffix("_min").removesuffix("_max").endswith(_LENGTHS)
                       for name in _DETAIL])  # fmt: skip
    of_image: dict[str, tuple[list[float], list[Region]]] = {}
    cropped: dict[tuple[str, Placement], int] = {}  # questions about one image share it
    for row, (key, question) in enumerate(zip(asked.images, asked.texts, strict=True)):
        found = images[key]
        named = [found[word] for word in named_colors(question) if found[word]]
        if key not in of_image:
            everything = [region for of_word in found.values() for region in of_word]
            of_image[key] = _all_features(everything), everything
        of_all, everything = of_image[key]
        in_image = np.array([*_named_features(named), *of_all, 0.0, 0.0])
        there = np.isfinite(in_image)
        lengths = there & scaled
        plain = np.where(there, in_image, ABSENT)
        lines = [_most_telling(of_word) for of_word in named]
        for column, placement in enumerate(placed[row]):
            values = plain.copy()
            values[lengths] = np.log2(in_image[lengths] * min(placement.scale))
            kept = [_kept_share(region, placement) for region in lines]
            values[-2] = min(kept) if kept else ABSENT
            if (key, placement) not in cropped:
                shares = [_kept_share(region, placement) for region in everything]
                cropped[key, placement] = sum(share < 0.5 for share in shares)
            values[-1] = cropped[key, placement]
            table[row, column] = values
    return table


def _named_features(named: Sequence[Sequence[Region]]) -> list[float]:
    """Least and greatest over the colours a question names; not a number where it names none."""
    if not named:
        return [float("nan")] * (2 * len(_NAMED))
    rows = []
    for of_word in named:
        lines = [region for region in of_word if region.width >= ELONGATED * region.height]
        sides = [min(r.height, r.width) for r in of_word if r not in lines]
        line = max(lines, key=lambda region: region.height * region.width, default=None)
        rows.append([
            line.height if line else np.nan, line.width / line.height if line else np.nan,
            max(sides, default=np.nan), min(sides, default=np.nan), len(of_word), len(sides),
        ])  # fmt: skip
    table = np.array(rows, dtype=np.float64)
    nothing = np.isnan(table).all(axis=0)
    least = np.where(nothing, np.nan, np.where(np.isnan(table), np.inf, table).min(axis=0))
    most = np.where(nothing, np.nan, np.where(np.isnan(table), -np.inf, table).max(axis=0))
    return [*map(float, least), *map(float, most)]


def _all_features(everything: Sequence[Region]) -> list[float]:
    lines = sorted(r.height for r in everything if r.width >= ELONGATED * r.height)
    blobs = sorted(min(r.height, r.width) for r in everything if r.width < ELONGATED * r.height)

    def ends(lengths: list[float]) -> list[float]:
        if not lengths:
            return [0.0, float("nan"), float("nan"), float("nan")]
        return [float(len(lengths)), lengths[0], lengths[-1], float(np.median(lengths))]

    return [*ends(blobs), *ends(lines)]


def _most_telling(of_word: Sequence[Region]) -> Region:
    """The largest region that may be text, else the largest."""
    lines = [region for region in of_word if region.width >= ELONGATED * region.height]
    return max(lines or of_word, key=lambda region: region.height * region.width)


def _kept_share(region: Region, placement: Placement) -> float:
    """The share of a region that is on the canvas."""
    top, left = placement.to_canvas(region.top, region.left)
    bottom, right = placement.to_canvas(region.bottom, region.right)
    height, width = placement.canvas_size
    down = min(bottom, height) - max(top, 0)
    across = min(right, width) - max(left, 0)
    return max(down, 0) * max(across, 0) / ((bottom - top) * (right - left))
