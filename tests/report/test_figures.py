"""Figures that can be read: names apart from each other and from the points, text on every colour,
curves that one outlier does not squeeze."""

from __future__ import annotations

from itertools import combinations

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tests.support.results import LANDSCAPE, results_of, with_metrics
from tierexp.report.figures import ink_on, mismatch_distribution
from tierexp.report.labels import place_labels


def test_names_cover_neither_each_other_nor_the_points_nor_the_axes() -> None:
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    points = [(0.0, 0.0), (1.0, 100.0), (0.5, 50.0), (0.52, 51.0), (1.0, 0.0), (0.0, 100.0)]
    axes.plot([x for x, _ in points], [y for _, y in points], "o")
    names = [f"point {number}" for number in range(len(points))]
    place_labels(axes, points, names, ["#000000"] * len(points))
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    boxes = [text.get_window_extent(renderer) for text in axes.texts]
    assert [text.get_text() for text in axes.texts] == names
    for one, other in combinations(boxes, 2):
        assert not one.overlaps(other)
    inside = axes.get_window_extent(renderer)
    for box in boxes:
        assert inside.x0 <= box.x0 < box.x1 <= inside.x1
        assert inside.y0 <= box.y0 < box.y1 <= inside.y1
        assert not any(box.contains(*axes.transData.transform(point)) for point in points)


@pytest.mark.parametrize(
    "color", ["#148f68", "#cc5a3f", "#7a7aa8", "#ffff00", "#000080", "#777777"]
)
def test_text_on_a_colour_has_contrast(color: str) -> None:
    """At least 4.5 to 1, as WCAG 2 asks for, by its definition of relative luminance."""

    def luminance(text: str) -> float:
        parts = (int(text[start : start + 2], 16) / 255 for start in (1, 3, 5))
        red, green, blue = (
            part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    light, dark = sorted((luminance(color), luminance(ink_on(color))), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_an_outlier_does_not_squeeze_a_curve() -> None:
    values = [0.01 * number for number in range(200)]
    few = [with_metrics(LANDSCAPE, aspect_ratio_mismatch=value / 20) for value in values]
    for extra, beyond in ((), False), ((500.0,), True):
        odd = [with_metrics(LANDSCAPE, aspect_ratio_mismatch=value) for value in extra]
        (axes,) = mismatch_distribution([results_of(*few, *odd)]).axes
        assert axes.get_xlim()[1] < 1
        assert ("1 of 201 samples lie beyond" in axes.get_xlabel()) == beyond
