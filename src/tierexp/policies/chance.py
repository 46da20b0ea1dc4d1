"""The chance of a right answer: gradient-boosted trees, stored as numbers, calibrated.

In: features of questions at points. Out: probabilities. The fitting is scikit-learn's; what is
stored are the trees' own numbers, and `ChanceModel` evaluates them without scikit-learn. Friedman,
"Greedy Function Approximation" (2001); Platt, "Probabilistic Outputs" (1999), for the calibration.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tierexp.errors import ConfigError, DataError

if TYPE_CHECKING:
    from sklearn.ensemble import GradientBoostingClassifier

Floats = NDArray[np.float64]
FOLDS = 5
_LEAF = -1
_AT_ONCE = 1024
"""Rows that are put to all trees at once, so that what they meet fits into the cache."""


@dataclass(frozen=True)
class Tree:
    """A regression tree; node 0 is its root.

    Args:
        feature: The column that every node asks about; -1 in a leaf.
        threshold: The left child takes what is at most this, in float32 as the trees were grown.
        left: Number of the left child.
        right: Number of the right child.
        value: What a leaf says.
    """

    feature: tuple[int, ...]
    threshold: tuple[float, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    value: tuple[float, ...]


@dataclass(frozen=True)
class ChanceModel:
    """Boosted trees and a calibration.

    Args:
        start: Logit before the first tree.
        rate: Share of each tree that counts.
        trees: In order.
        slope: Slope of the calibration: the calibrated logit is slope * logit + shift.
        shift: See `slope`.
    """

    start: float
    rate: float
    trees: tuple[Tree, ...]
    slope: float = 1.0
    shift: float = 0.0

    def logits(self, rows: Floats) -> Floats:
        """(M,) of (M, F), before calibration."""
        narrow = np.ascontiguousarray(rows, dtype=np.float32)
        parts = [
            self._grown(narrow[first : first + _AT_ONCE]) for first in range(0, len(rows), _AT_ONCE)
        ]
        return np.concatenate(parts) if parts else np.zeros(0)

    def _grown(self, rows: NDArray[np.float32]) -> Floats:
        """(M,) of (M, F): all trees step down one level at a time."""
        trees, flat, width = self._trees, rows.reshape(-1), rows.shape[1]
        begin = np.arange(len(rows))[None] * width
        node = np.broadcast_to(trees.root[:, None], (len(trees.root), len(rows)))
        for _ in range(trees.depth):
            # A leaf is its own child on both sides, whatever it is asked.
            goes_left = flat[begin + trees.feature[node]] <= trees.threshold[node]
            node = np.where(goes_left, trees.left[node], trees.right[node])
        total = np.full(len(rows), self.start)
        for values in trees.value[node]:  # one after the other, as they were grown
            total += self.rate * values
        return total

    @cached_property
    def _trees(self) -> _Trees:
        return _trees_of(self.trees)

    def predict(self, rows: Floats) -> Floats:
        """(M,) calibrated probabilities of a right answer, of (M, F)."""
        return sigmoid(self.slope * self.logits(rows) + self.shift)


@dataclass(frozen=True, eq=False)
class _Trees:
    """All trees' nodes in one row.

    Args:
        root: (T,) where each tree begins.
        depth: Steps after which all are in a leaf.
        feature: Feature of every node, as in `Tree`; 0 in a leaf.
        threshold: See `Tree`.
        left: Number of the left child; the leaf's own.
        right: Number of the right child; the leaf's own.
        value: See `Tree`.
    """

    root: NDArray[np.int64]
    depth: int
    feature: NDArray[np.int64]
    threshold: Floats
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    value: Floats


def _trees_of(trees: Sequence[Tree]) -> _Trees:
    root = np.cumsum([0, *(len(tree.feature) for tree in trees)])[:-1]
    own = np.concatenate([[]] + [np.arange(len(tree.feature)) for tree in trees]).astype(np.int64)
    begin = np.repeat(root, [len(tree.feature) for tree in trees])

    def of_all(name: str) -> NDArray[Any]:
        return np.array([entry for tree in trees for entry in getattr(tree, name)])

    feature = of_all("feature")
    leaf = feature == _LEAF
    left, right = (begin + np.where(leaf, own, of_all(name)) for name in ("left", "right"))
    reached, depth = root, 0
    while not leaf[reached].all():
        reached, depth = np.union1d(left[reached], right[reached]), depth + 1
    return _Trees(
        root, depth, np.maximum(feature, 0), of_all("threshold"), left, right, of_all("value")
    )


def sigmoid(logits: Floats) -> Floats:
    """Logits to probabilities, without overflow."""
    probabilities: Floats = np.exp(-np.logaddexp(0.0, -logits))
    return probabilities


@dataclass(frozen=True)
class Boosting:
    """How trees are grown.

    Args:
        trees: How many.
        depth: Depth of each.
        rate: Share of each that counts.
        sample_share: Fraction of the rows that each sees.
        feature_share: Fraction of the features that each split may choose from.
        leaf_rows: Fewest rows in a leaf.
        seed: Seed of what is drawn.
    """

    trees: int = 300
    depth: int = 4
    rate: float = 0.03
    sample_share: float = 0.6
    feature_share: float = 0.5
    leaf_rows: int = 20
    seed: int = 0


def fit_chance(
    table: Floats, accuracy: Floats, images: Sequence[str], boosting: Boosting
) -> tuple[ChanceModel, Floats]:
    """Fit, and calibrate on what each fold's model says of images that it has not seen.

    Args:
        table: (N, P, F) features.
        accuracy: (N, P) scores in [0, 1]; a score between counts as right and wrong in part.
        images: (N) keys; an image's questions are in one fold.
        boosting: How.

    Returns:
        The model of all rows, and (N, P) calibrated chances from the folds, for honest estimates.

    Raises:
        DataError: Fewer images than folds.
        ConfigError: Answers that are all right or all wrong.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold

    count, points, width = table.shape
    rows, scores = table.reshape(-1, width), accuracy.reshape(-1)
    groups = np.repeat(np.asarray(images), points)
    if len(set(images)) < FOLDS:
        found = len(set(images))
        raise DataError(f"results of {found} images: a router is fitted on {FOLDS} or more")
    held_out = np.empty(len(rows))
    for seen, unseen in GroupKFold(FOLDS).split(rows, groups=groups):
        held_out[unseen] = _grow(rows[seen], scores[seen], boosting).logits(rows[unseen])
    doubled, right, weights = _weighted(held_out[:, None], scores)
    calibration = LogisticRegression(C=1e6).fit(doubled, right, weights)
    slope, shift = float(calibration.coef_[0, 0]), float(calibration.intercept_[0])
    whole = _grow(rows, scores, boosting)
    model = ChanceModel(whole.start, whole.rate, whole.trees, slope, shift)
    return model, sigmoid(slope * held_out + shift).reshape(count, points)


def stored(classifier: GradientBoostingClassifier) -> ChanceModel:
    """The trees of a fitted two-class classifier with log loss and its default start."""
    prior = float(classifier.init_.class_prior_[1])
    trees = []
    for (regressor,) in classifier.estimators_:
        tree: Any = regressor.tree_
        trees.append(
            Tree(
                feature=tuple(int(f) if f >= 0 else _LEAF for f in tree.feature),
                threshold=tuple(map(float, tree.threshold)),
                left=tuple(max(int(n), 0) for n in tree.children_left),
                right=tuple(max(int(n), 0) for n in tree.children_right),
                value=tuple(map(float, tree.value[:, 0, 0])),
            )
        )
    start = float(np.log(prior / (1 - prior)))
    return ChanceModel(start, float(classifier.learning_rate), tuple(trees))


def _grow(rows: Floats, scores: Floats, boosting: Boosting) -> ChanceModel:
    from sklearn.ensemble import GradientBoostingClassifier

    doubled, right, weights = _weighted(rows, scores)
    if len(set(right)) < 2:
        word = "right" if right[0] else "wrong"
        raise ConfigError("results", word, "answers of both kinds; these are all of one")
    classifier = GradientBoostingClassifier(
        n_estimators=boosting.trees,
        max_depth=boosting.depth,
        learning_rate=boosting.rate,
        subsample=boosting.sample_share,
        max_features=boosting.feature_share,
        min_samples_leaf=boosting.leaf_rows,
        random_state=boosting.seed,
    )
    return stored(classifier.fit(doubled, right, weights))


def _weighted(rows: Floats, scores: Floats) -> tuple[Floats, NDArray[np.int64], Floats]:
    """Rows once as right and once as wrong, as far as they are either."""
    right, wrong = scores > 0, scores < 1
    return (
        np.concatenate([rows[right], rows[wrong]]),
        np.concatenate([np.ones(right.sum(), np.int64), np.zeros(wrong.sum(), np.int64)]),
        np.concatenate([scores[right], 1 - scores[wrong]]),
    )
