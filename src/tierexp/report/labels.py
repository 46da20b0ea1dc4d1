"""Names beside the points of a figure, where they cover nothing.

In: points of an axes and their names. Out: annotations inside the axes that overlap neither each
other nor a point, as far as there is room.
"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

_MARK = 7.0
"""Half the side of what a point and its cap take, in pixels at 100 dots per inch."""
_PLACES = (
    (-8, 8, "right", "bottom"), (8, 8, "left", "bottom"), (8, -8, "left", "top"),
    (-8, -8, "right", "top"), (0, 16, "center", "bottom"), (0, -16, "center", "top"),
    (14, 0, "left", "center"), (-14, 0, "right", "center"), (8, 24, "left", "bottom"),
    (-8, 24, "right", "bottom"), (8, -24, "left", "top"), (-8, -24, "right", "top"),
)  # fmt: skip
"""Where a name may stand: offset in points, and how it is aligned there; the first that is free."""


def place_labels(
    axes: Axes, points: Sequence[tuple[float, float]], names: Sequence[str], colors: Sequence[str]
) -> None:
    """Annotate points.

    Args:
        axes: With everything else drawn; room for names is added around the points.
        points: (x, y) in data coordinates.
        names: One a point.
        colors: Colors of the names.
    """
    axes.margins(x=0.14, y=0.16)
    figure = axes.figure
    root = figure.get_figure(root=True)
    assert root is not None
    root.draw_without_rendering()
    inside = axes.get_window_extent()
    shown = [axes.transData.transform(point) for point in points]
    taken = [Bbox.from_extents(x - _MARK, y - _MARK, x + _MARK, y + _MARK) for x, y in shown]
    for point, name, color in zip(points, names, colors, strict=True):
        best, least = None, float("inf")
        for x, y, horizontal, vertical in _PLACES:
            note = axes.annotate(
                name, point, (x, y), textcoords="offset points", ha=horizontal, va=vertical,
                color=color, fontsize=9,
            )  # fmt: skip
            box = note.get_window_extent()
            cost = sum(_overlap(box, other) for other in taken) + _outside(box, inside)
            if cost < least:
                if best is not None:
                    best.remove()
                best, least = note, cost
            else:
                note.remove()
            if least == 0:
                break
        assert best is not None
        taken.append(best.get_window_extent())


def _overlap(one: Bbox, other: Bbox) -> float:
    """Pixels that two boxes share."""
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    return max(0.0, float(width)) * max(0.0, float(height))


def _outside(box: Bbox, frame: Bbox) -> float:
    """Pixels of a box beyond a frame."""
    return float(box.width) * float(box.height) - _overlap(box, frame)
