"""Which samples share a batch, decided from image sizes before any image is loaded.

In: a data set, preprocessing and a policy. Out: a plan, that is, an operating point and a selection
for every sample, and batches of one point and of equal crop count, so that no batch holds padding
crops, and of prompts of similar length, so that few hold much padding at all; questions about one
image share one where they fit. The plan depends on nothing but the data set, the policy and the
batch size; how several processes divide it, on nothing but the plan and their number.
"""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby
from weakref import WeakKeyDictionary

import numpy as np

from tierexp.data.progress import told
from tierexp.data.sample import QuestionDataset
from tierexp.data.views import DatasetView
from tierexp.errors import ConfigError, ImageDecodeError
from tierexp.imaging.preprocessing import Preprocessing
from tierexp.tiers.geometry import CropGeometry
from tierexp.tiers.policy import Policy, StaticPolicy
from tierexp.tiers.rule import CropRule
from tierexp.tiers.selection import Selection


@dataclass(frozen=True)
class EvaluationPlan:
    """A selection for every readable sample, and the batches they form.

    Args:
        selections: By index in the data set.
        sizes: (height, width) of the image, by index in the data set.
        unreadable: Why the header of an image cannot be read, by index in the data set.
        points: Number of the policy's operating point, by index in the data set; 0 where the image
            is unreadable.
        rules: For tilings, by number of the operating point.
        geometry: Geometry of the crops.
        batches: Indices of one point and equal crop count, at most one batch size of them; those
            of unreadable images are among themselves.
    """

    selections: Mapping[int, Selection]
    sizes: Mapping[int, tuple[int, int]]
    unreadable: Mapping[int, str]
    points: Sequence[int]
    rules: tuple[CropRule, ...]
    geometry: CropGeometry
    batches: tuple[tuple[int, ...], ...]

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)

    def weight(self, batch: Sequence[int]) -> int:
        """What the encoder sees of a batch: its vision tokens, up to a constant."""
        selections = self.selections
        return sum(self.geometry.views(selections[i].crops) for i in batch if i in selections)


def divide(weights: Sequence[int], shards: int) -> list[list[int]]:
    """Divide batches into shards of about the same weight, each batch in one of them.

    The heaviest goes first, each to the shard that is lightest so far (Graham, 1969): no shard
    weighs more than another by more than the heaviest batch, and none has two batches more than
    one that has none.

    Args:
        weights: Weights of the batches, none negative.
        shards: How many, at least 1.

    Returns:
        The places of the batches of each shard, in their order; a shard may be empty.
    """
    lightest = [(0, 0, shard) for shard in range(shards)]  # weight, batches, shard
    divided: list[list[int]] = [[] for _ in range(shards)]
    for place in sorted(range(len(weights)), key=lambda place: -weights[place]):
        weight, batches, shard = heapq.heappop(lightest)
        divided[shard].append(place)
        heapq.heappush(lightest, (weight + weights[place], batches + 1, shard))
    return [sorted(places) for places in divided]


_Sizes = tuple[Mapping[int, tuple[int, int]], Mapping[int, str]]


def readable_sizes(dataset: QuestionDataset) -> _Sizes:
    """The (height, width) of every sample's image by index, and why others cannot be read.

    Args:
        dataset: Asked once for every image, however many samples share it, and however often its
            sizes are needed: for the plan, and for the digest of what was measured. Progress is
            logged where that takes long.
    """
    try:
        known = _SIZES.get(dataset)
    except TypeError:  # somebody's own, which has no hash to be remembered by
        return _read_sizes(dataset)
    return _SIZES.setdefault(dataset, _read_sizes(dataset)) if known is None else known


_SIZES: WeakKeyDictionary[QuestionDataset, _Sizes] = WeakKeyDictionary()


def _read_sizes(dataset: QuestionDataset) -> _Sizes:
    answers: dict[str, tuple[int, int] | str] = {}
    sizes: dict[int, tuple[int, int]] = {}
    unreadable: dict[int, str] = {}
    for index in told(range(len(dataset)), len(dataset), "samples' image headers read"):
        key = dataset.image_key(index)
        if key not in answers:
            try:
                answers[key] = dataset.image_size(index)
            except ImageDecodeError as error:
                answers[key] = str(error)
        answer = answers[key]
        if isinstance(answer, str):
            unreadable[index] = answer
        else:
            sizes[index] = answer
    return sizes, unreadable


def plan_evaluation(
    dataset: QuestionDataset,
    preprocessing: Preprocessing,
    batch_size: int,
    policy: Policy | None = None,
) -> EvaluationPlan:
    """Choose a point and select a tiling for every sample, and group the samples by both.

    Within a crop count the shorter prompts come first: those whose tilings leave fewer tokens to
    the language model, and of these the ones with shorter questions, give or take a factor of two.

    Args:
        dataset: Read for image sizes and questions; for pixels only where the policy asks.
        preprocessing: The rule for tilings, and the model's crops.
        batch_size: Most samples of a batch.
        policy: That chooses the points, whose rules stand in for the preprocessing's; None gives
            all samples the preprocessing as it is.

    Raises:
        ConfigError: The policy chooses points that it does not have, or not one for each sample.
    """
    sizes, unreadable = readable_sizes(dataset)
    policy = StaticPolicy(preprocessing.tier) if policy is None else policy
    points = array("i", bytes(4 * len(dataset)))
    for index, point in zip(sizes, _chosen(dataset, sizes, policy), strict=True):
        points[index] = point
    rules = tuple(point.tier for point in policy.points)
    selections = _selections(sizes, points, rules, preprocessing)
    groups: dict[tuple[int, int], list[int]] = {}
    for index, selection in selections.items():
        groups.setdefault((points[index], selection.crops), []).append(index)
    longest = _longest_questions(dataset, selections)

    first: dict[str, int] = {}
    for index in selections:
        first.setdefault(dataset.image_key(index), index)

    hows = [replace(preprocessing, tier=rule) for rule in rules]

    @cache
    def tokens(point: int, selection: Selection, size: tuple[int, int]) -> int:
        return hows[point].llm_vision_tokens(selection, size)

    def length(index: int) -> tuple[int, int, int]:
        image = dataset.image_key(index)
        read = tokens(points[index], selections[index], sizes[index])
        # Questions about one image stay together.
        return read, longest[image].bit_length(), first[image]

    alike = [sorted(groups[key], key=length) for key in sorted(groups)]
    batches = [
        batch
        for indices in ([*alike, list(unreadable)] if unreadable else alike)
        for batch in _batches(indices, dataset, batch_size)
    ]
    return EvaluationPlan(
        selections, sizes, unreadable, points, rules, preprocessing.geometry,
        tuple(batches),
    )  # fmt: skip


def _chosen(
    dataset: QuestionDataset, sizes: Mapping[int, tuple[int, int]], policy: Policy
) -> Sequence[int]:
    """The number of every readable sample's first point, in the order of `sizes`."""
    views = [DatasetView(dataset, index, size) for index, size in sizes.items()]
    chosen = policy.choose(views)
    if len(chosen) != len(views):
        allowed = f"one point for each of {len(views)} samples, not {len(chosen)}"
        raise ConfigError("policy", policy.name, allowed)
    numbers = range(len(policy.points))
    for point in chosen:
        if point not in numbers:
            raise ConfigError("policy", policy.name, f"points from 0 to {numbers[-1]}, not {point}")
    return chosen


def _selections(
    sizes: Mapping[int, tuple[int, int]],
    points: Sequence[int],
    rules: Sequence[CropRule],
    preprocessing: Preprocessing,
) -> dict[int, Selection]:
    """The selection of every sample at its point, by index and in its order."""
    selections: dict[int, Selection] = {}
    for number, rule in enumerate(rules):
        members = [index for index in sizes if points[index] == number]
        if not members:
            continue
        distinct = list(dict.fromkeys(sizes[index] for index in members))
        heights, widths = np.array(distinct).T
        many = replace(preprocessing, tier=rule).select_many(heights, widths)
        of_size = {size: many.of_image(row) for row, size in enumerate(distinct)}
        for index in members:
            selections[index] = of_size[sizes[index]]
    return {index: selections[index] for index in sizes}


def _batches(
    indices: Sequence[int], dataset: QuestionDataset, batch_size: int
) -> Iterator[tuple[int, ...]]:
    """Full batches, but for room that would part questions about one image that fit a batch: it
    would be preprocessed, encoded and prefilled twice.
    """
    batch: list[int] = []
    for _, group in groupby(indices, key=dataset.image_key):
        about_one = list(group)
        if batch and len(about_one) <= batch_size < len(batch) + len(about_one):
            yield tuple(batch)
            batch = []
        batch += about_one
        while len(batch) > batch_size:
            yield tuple(batch[:batch_size])
            batch = batch[batch_size:]
    if batch:
        yield tuple(batch)


def _longest_questions(dataset: QuestionDataset, indices: Iterable[int]) -> dict[str, int]:
    """Characters of the longest question about each image, by its key."""
    longest: dict[str, int] = {}
    for index in indices:
        key = dataset.image_key(index)
        longest[key] = max(longest.get(key, 0), len(dataset[index].question))
    return longest
