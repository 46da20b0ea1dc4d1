"""Samples to look at: drawn side by side, read one after another, in the order asked for."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tierexp.errors import ImageDecodeError
from tierexp.imaging.preprocessing import Preprocessing
from tierexp.report.sample_table import sample_rows
from tierexp.report.tiling_figure import draw_tiling
from tierexp.tiers.files import load_tier

BROKEN = 4


class Pictures:
    """Of one grey each; the reader of a picture is alone."""

    def __init__(self) -> None:
        self.reading = False
        self.read: list[int] = []

    def image(self, index: int) -> Any:
        assert not self.reading
        self.reading = True
        time.sleep(0.002)
        self.read.append(index)
        self.reading = False
        if index == BROKEN:
            raise ImageDecodeError("broken")
        return np.full((60, 80, 3), 20 * index, dtype=np.uint8)


def test_rows_come_in_order_and_an_image_is_read_once(caplog: pytest.LogCaptureFixture) -> None:
    order = [3, 0, 4, 9, 1, 3, 8, 2, 7, 9, 5, 4, 6]
    results: list[Any] = [
        (index, SimpleNamespace(sample_id=f"s{n}", image_key=f"i{index}", selected_tiling=(1, 2)))
        for n, index in enumerate(order)
    ]
    how = Preprocessing(tier=load_tier("low"))
    pictures: Any = Pictures()
    rows = list(sample_rows(pictures, how, results))
    assert [row.result for row in rows] == [of for index, of in results if index != BROKEN]
    for row, index in zip(rows, [index for index in order if index != BROKEN], strict=True):
        grey = np.full((60, 80, 3), 20 * index, dtype=np.uint8)
        drawn = draw_tiling(grey, (1, 2), how.resize.crops, how.geometry)
        np.testing.assert_array_equal(row.figure, drawn)
    assert sorted(pictures.read) == list(range(10))
    assert caplog.messages == [f"sample s{n} is not shown: broken" for n in (2, 11)]
