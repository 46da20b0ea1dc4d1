"""Some samples of a run to look at, and what a logger needs to be able to show them."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from tierexp.data.sample import QuestionDataset
from tierexp.errors import ImageDecodeError
from tierexp.imaging.preprocessing import Preprocessing
from tierexp.report.thumbnails import thumbnail_name
from tierexp.report.tiling_figure import draw_tiling
from tierexp.results.metrics import Metric
from tierexp.results.schema import SampleResult

_log = logging.getLogger(__name__)

_THREADS = 2
"""That draw, each with one image in memory: one is read while another is drawn."""


@dataclass(frozen=True)
class SampleRow:
    """One sample to look at.

    Args:
        figure: (h, w, 3) uint8: the image with its tiling drawn over it.
        result: What was measured of it.
    """

    figure: NDArray[np.uint8]
    result: SampleResult


class SampleTableLogger(ABC):
    """A logger of runs that have to be closed and can show samples.

    Args:
        table_samples: How many it wants.
    """

    table_samples: int

    @abstractmethod
    def log_sample_table(self, rows: Sequence[SampleRow], metrics: Sequence[Metric]) -> None:
        """Show samples, in the order given, with the columns that are to be seen of them."""

    @abstractmethod
    def log_file(self, file: Path, kind: str) -> None:
        """Keep a file with the run, such as its `results`."""

    @abstractmethod
    def whereabouts(self) -> str:
        """Where the run is to be found, for the user; to be asked before `finish`."""

    @abstractmethod
    def finish(self, exit_code: int) -> None:
        """Write what is left and close the run, so that a next one in this process is its own."""


def sample_rows(
    dataset: QuestionDataset,
    preprocessing: Preprocessing,
    results: Sequence[tuple[int, SampleResult]],
) -> Iterator[SampleRow]:
    """Samples with their tilings drawn; those are left out whose image has become unreadable since.

    Args:
        dataset: That the results are of.
        preprocessing: How its images became crops.
        results: Places in the data set, and what was measured there.
    """
    mode = preprocessing.resize.crops
    # Questions about one image share its tiling, unless a policy has read them.
    keys = [thumbnail_name(of.image_key, of.selected_tiling, mode) for _, of in results]
    distinct = dict(zip(reversed(keys), reversed(results), strict=True))  # the first of each
    reading = Lock()  # nobody says that a data set can be read by several threads

    def figure(sample: tuple[int, SampleResult]) -> NDArray[np.uint8] | ImageDecodeError:
        index, result = sample
        try:
            with reading:
                pixels = dataset.image(index)
        except ImageDecodeError as error:
            return error
        return draw_tiling(pixels, result.selected_tiling, mode, preprocessing.geometry)

    with ThreadPoolExecutor(_THREADS) as threads:
        drawn = dict(zip(distinct, threads.map(figure, distinct.values()), strict=True))
    for key, (_, result) in zip(keys, results, strict=True):
        shown = drawn[key]
        if isinstance(shown, ImageDecodeError):
            _log.warning("sample %s is not shown: %s", result.sample_id, shown)
        else:
            yield SampleRow(shown, result)
